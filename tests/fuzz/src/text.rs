//! What people and programs of this host write: the configuration file, and lines at the control
//! socket.

use s2sd::config::{self, Severity};
use s2sd::daemon::control::{Ask, ControlReply, ProtocolLine};

/// A configuration file: it is read or refused, with every finding on a line of the file and a hint
/// beside it.
pub fn config_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = config::parse("file", text);
    let errors = parsed.found.iter().any(|found| found.severity == Severity::Error);
    assert_eq!(errors, parsed.config.is_none());
    let lines: Vec<&str> = text.split('\n').collect();
    for found in &parsed.found {
        let line = lines.get(found.line - 1).expect("a line of the file");
        assert!(found.column <= line.chars().count() + 1, "{found}");
        assert!(!found.hint.is_empty() && found.to_string().contains('^'));
    }
}

/// A line at the control socket, a question or an answer: what is read is written again so that it
/// reads the same.
pub fn control_line(data: &[u8]) {
    if let Ok(line) = serde_json::from_slice::<ProtocolLine<Ask>>(data) {
        let text = serde_json::to_vec(&line).expect("it was JSON");
        assert_eq!(serde_json::from_slice::<ProtocolLine<Ask>>(&text).expect("our own line"), line);
    }
    if let Ok(line) = serde_json::from_slice::<ProtocolLine<ControlReply>>(data) {
        let text = serde_json::to_vec(&line).expect("it was JSON");
        assert_eq!(
            serde_json::from_slice::<ProtocolLine<ControlReply>>(&text).expect("our own line"),
            line
        );
    }
}
