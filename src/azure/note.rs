//! Notes of an import: what is left to the operator.

use std::fmt;

use super::quote::one_line;

/// One note, with its reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Note {
    /// What the operator has to do.
    pub(crate) kind: NoteKind,
    /// The name of the connection or gateway that the note is about.
    pub(crate) about: String,
    /// The text: what, and why.
    pub(crate) text: String,
}

/// What the operator has to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoteKind {
    /// The configuration cannot hold this setting.
    Left,
    /// The JSON does not have this value.
    Fill,
}

impl NoteKind {
    /// Both kinds, in the order of output.
    pub(crate) const ALL: [NoteKind; 2] = [NoteKind::Fill, NoteKind::Left];

    /// The heading of the notes of this kind.
    pub(crate) fn title(self) -> &'static str {
        match self {
            NoteKind::Left => "Not imported",
            NoteKind::Fill => "To be filled in or checked",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", one_line(&self.about), one_line(&self.text))
    }
}
