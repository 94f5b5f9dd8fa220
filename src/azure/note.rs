//! What an import leaves to people.

use std::fmt;

use super::quote::one_line;

/// One thing, with its reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// What is to be done about it.
    pub kind: NoteKind,
    /// The connection or gateway it is about.
    pub about: String,
    /// What, and why.
    pub text: String,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoteKind {
    /// The configuration has no place for it.
    Left,
    /// The JSON does not have it.
    Fill,
}

impl NoteKind {
    /// Both, in the order in which they are told.
    pub const ALL: [NoteKind; 2] = [NoteKind::Fill, NoteKind::Left];

    /// Above a list of them.
    pub fn title(self) -> &'static str {
        match self {
            NoteKind::Left => "Not taken over",
            NoteKind::Fill => "Still to be filled in or checked",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", one_line(&self.about), one_line(&self.text))
    }
}
