//! The log in its JSON form, as programs read it.

use nix::sys::signal::Signal;
use serde_json::Value as Json;

use super::lab::pair::Pair;
use super::passes;

/// Lines that are about the service as a whole; those about the configuration's file name the place
/// in it.
const OF_ALL: [&str; 5] = [
    "process confined",
    "running",
    "stopping",
    "reload: nothing was changed",
    "reload: nothing changed",
];

#[test]
fn each_line_is_an_object_and_names_its_connection() {
    let Some(mut pair) = Pair::start("log") else { return };
    pair.end(0, Signal::SIGTERM);
    pair.launch_with(0, |service| {
        service.args(["--log-format", "json"]);
    });
    pair.wait(0, "up");
    pair.obey(0, &["rekey", "tunnel"]);
    pair.lab.set_wan_mtu(1300);
    pair.wait_for(0, "told of the path", |_| {
        passes(&pair.lab);
        pair.log(0).contains("path MTU changed")
    });
    pair.obey(0, &["down", "tunnel"]);
    pair.obey(0, &["up", "tunnel"]);
    pair.wait(0, "up");
    pair.edit(0, "dpd_timeout_seconds = 45", "dpd_timeout_seconds = 30");
    pair.obey(0, &["reload"]);
    pair.obey(0, &["reload"]);
    pair.edit(0, "\"Default\"", "\"Defalt\"");
    assert!(!pair.order(0, &["reload"]).status.success());
    pair.end(0, Signal::SIGTERM);

    let log = pair.log(0);
    let mut messages = Vec::new();
    for line in log.lines() {
        let line: Json = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let message = line["message"].as_str().unwrap().to_owned();
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
        let of_file = message.contains("site.toml:");
        let of_all = of_file || OF_ALL.iter().any(|known| message.starts_with(known));
        assert!(!message.contains('\n'), "{message}");
        let expected = if of_all { Json::Null } else { "tunnel".into() };
        assert_eq!(line["connection"], expected, "{line}");
        messages.push(message);
    }
    let told = |part: &str| messages.iter().any(|message| message.contains(part));
    for part in [
        "data plane started",
        "path MTU changed",
        "IKE SA up",
        "child SA up",
        "child SA down",
        "routes",
        "dialling",
        "reload: dpd_timeout_seconds: 45 -> 30",
        "reload: nothing was changed",
        "stopping",
    ] {
        assert!(told(part), "no {part:?} in {messages:#?}");
    }
}
