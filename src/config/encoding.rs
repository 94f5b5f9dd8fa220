//! The letters of a configuration file: TOML is UTF-8, editors of other systems also write UTF-16
//! and Latin-1.

use std::fmt;

/// Why the octets of a file are no text in UTF-8.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EncodingError {
    /// UTF-16, as Windows PowerShell and Notepad write it.
    Utf16,
    /// Another encoding, most likely Latin-1 or Windows-1252: the first octet that is not UTF-8.
    Other {
        /// The line, counted from 1.
        line: usize,
        /// The octet.
        octet: u8,
    },
}

/// The text of a configuration file.
pub fn decode(octets: Vec<u8>) -> Result<String, EncodingError> {
    let utf16 = octets.starts_with(&[0xff, 0xfe])
        || octets.starts_with(&[0xfe, 0xff])
        || octets.iter().take(2).any(|octet| *octet == 0);
    if utf16 {
        return Err(EncodingError::Utf16);
    }
    String::from_utf8(octets).map_err(|error| {
        let (before, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let line = 1 + before.iter().filter(|octet| **octet == b'\n').count();
        EncodingError::Other { line, octet: rest.first().copied().unwrap_or_default() }
    })
}

impl fmt::Display for EncodingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodingError::Utf16 => f.write_str(
                "the file is in UTF-16, expected UTF-8; convert it: `iconv -f UTF-16 -t UTF-8 FILE > NEW`",
            ),
            EncodingError::Other { line, octet } => write!(
                f,
                "the octet {octet:#04x} in line {line} is not UTF-8; if the file is in Latin-1 (Windows-1252), convert it: \
                 `iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW`"
            ),
        }
    }
}

impl std::error::Error for EncodingError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_of_other_systems_write_is_told_by_name() {
        let utf16 = |big: bool, mark: bool| -> Vec<u8> {
            let text = if mark { "\u{feff}[device]" } else { "[device]" };
            let octets = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
            text.encode_utf16().flat_map(octets).collect()
        };
        for (big, mark) in [(false, true), (true, true), (false, false), (true, false)] {
            assert_eq!(decode(utf16(big, mark)), Err(EncodingError::Utf16));
        }
        let latin1 = b"[device]\nname = \"Z\xfcrich\"\n".to_vec();
        assert_eq!(decode(latin1), Err(EncodingError::Other { line: 2, octet: 0xfc }));
        assert_eq!(decode("# Zürich".into()), Ok("# Zürich".to_owned()));
        assert_eq!(decode(Vec::new()), Ok(String::new()));
    }
}
