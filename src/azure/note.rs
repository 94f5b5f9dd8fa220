//! What an import leaves to people.

use std::fmt;

use super::quote::one_line;

/// One thing, with its reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// What is to be done about it.
    pub kind: Kind,
    /// The connection or gateway it is about.
    pub about: String,
    /// What, and why.
    pub text: String,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The configuration has no place for it.
    Left,
    /// The JSON does not have it.
    Fill,
}

impl Kind {
    /// Both, in the order in which they are told.
    pub const ALL: [Kind; 2] = [Kind::Fill, Kind::Left];

    /// Above a list of them.
    pub fn title(self) -> &'static str {
        match self {
            Kind::Left => "Not taken over",
            Kind::Fill => "Still to be filled in or checked",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", one_line(&self.about), one_line(&self.text))
    }
}
