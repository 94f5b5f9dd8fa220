//! Why something cannot be done, and what would mend it.

use std::fmt;

use crate::config::Diagnostic;

/// A reason that a person can act on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AzureFault(String);

impl AzureFault {
    /// What is wrong, and what would mend it.
    pub fn new(what: impl fmt::Display, hint: impl fmt::Display) -> AzureFault {
        AzureFault(visible(&format!("{what}\n = hint: {hint}")))
    }
}

impl From<Diagnostic> for AzureFault {
    fn from(diagnostic: Diagnostic) -> AzureFault {
        AzureFault(visible(diagnostic.to_string().trim_end()))
    }
}

/// Names in it come from files: none may steer a terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

impl fmt::Display for AzureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AzureFault {}
