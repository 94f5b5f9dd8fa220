//! The error of imports and exports: what is wrong, with a hint.

use std::fmt;

use crate::config::Diagnostic;

/// An error with a hint for the operator.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AzureFault(String);

impl AzureFault {
    /// An error of what is wrong, and how to correct it.
    pub fn new(what: impl fmt::Display, hint: impl fmt::Display) -> AzureFault {
        AzureFault(visible(&format!("{what}\n = hint: {hint}")))
    }
}

impl From<Diagnostic> for AzureFault {
    fn from(diagnostic: Diagnostic) -> AzureFault {
        AzureFault(visible(diagnostic.to_string().trim_end()))
    }
}

/// Replaces control characters: names in the text come from files, and must not control a terminal.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

impl fmt::Display for AzureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AzureFault {}
