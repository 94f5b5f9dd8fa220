//! Text with Base64 in it: PEM (RFC 7468) as found in the wild, and Windows' bare "Base-64 encoded
//! X.509".
//!
//! Found in the wild: any text around the sections, CRLF, a byte order mark, UTF-16 (PowerShell's
//! `>`), everything on one line, no headers at all with one certificate a line (what Azure's portal
//! takes).

use base64ct::{Base64Unpadded, Encoding};
use zeroize::Zeroizing;

use crate::der::DerReader;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// What stands between a BEGIN and its END.
pub(super) struct Section {
    /// `CERTIFICATE`, `PRIVATE KEY`, ...
    pub label: String,
    /// The line of its BEGIN, from 1.
    pub line: usize,
    /// The decoded content, or why there is none.
    pub content: Result<Zeroizing<Vec<u8>>, PemFault>,
}

/// Why a section has no content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PemFault {
    /// No END with the same label follows.
    Unterminated,
    /// Characters that are not Base64.
    Base64,
    /// Encrypted in the old OpenSSL way (RFC 1421 headers).
    Encrypted,
}

/// A file as text, if it is text: UTF-16 by its byte order mark, else whatever it is with ASCII in
/// it.
pub(super) fn text(bytes: &[u8]) -> Zeroizing<String> {
    let wide = |bytes: &[u8], order: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).filter_map(|pair| pair.try_into().ok()).map(order);
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    Zeroizing::new(match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        // Friendly names between sections may be in any encoding; only ASCII matters.
        bytes => bytes.iter().map(|&octet| char::from(octet)).collect(),
    })
}

/// Every section, in order.
pub(super) fn sections(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let line = text.len() - after.len() - BEGIN.len();
        let line = 1 + text.get(..line).unwrap_or_default().matches('\n').count();
        // The label ends on its own line; a BEGIN in running text is none.
        let label = after.split_once(DASHES).filter(|(label, _)| {
            label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'#' | b'.'))
        });
        let Some((label, body)) = label else {
            rest = after;
            continue;
        };
        let end = format!("{END}{label}{DASHES}");
        let (content, next) = match body.split_once(&end) {
            // A new BEGIN before the END means that this section was cut off.
            Some((body, next)) if !body.contains(BEGIN) => (decode_body(body), next),
            _ => (Err(PemFault::Unterminated), body),
        };
        sections.push(Section { label: label.to_owned(), line, content });
        rest = next;
    }
    sections
}

fn decode_body(body: &str) -> Result<Zeroizing<Vec<u8>>, PemFault> {
    if body.contains("Proc-Type:") && body.contains("ENCRYPTED") {
        return Err(PemFault::Encrypted);
    }
    decode(body).ok_or(PemFault::Base64)
}

/// Base64 without headers: one element in as many lines as may be, or one a line. `None` when it is
/// something else.
pub(super) fn bare(text: &str) -> Option<Vec<Zeroizing<Vec<u8>>>> {
    let text = text.trim_start_matches(['\u{feff}', '\u{ef}', '\u{bb}', '\u{bf}']).trim();
    let is_one = |der: &[u8]| {
        let mut reader = DerReader::new(der);
        reader.any().is_ok() && reader.is_empty()
    };
    let one = |text: &str| decode(text).filter(|der| is_one(der));
    one(text).map(|der| vec![der]).or_else(|| text.split_whitespace().map(one).collect())
}

/// Base64 with white space anywhere, padded or not. The decoder does not branch on what it decodes:
/// keys pass here too.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut packed = Zeroizing::new(String::with_capacity(text.len()));
    packed.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
    let unpadded = packed.trim_end_matches('=');
    if packed.len() - unpadded.len() > 2 {
        return None;
    }
    Base64Unpadded::decode_vec(unpadded).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Vec<(String, usize, Option<Vec<u8>>)> {
        let sections = sections(text).into_iter();
        sections.map(|s| (s.label, s.line, s.content.ok().map(|c| c.to_vec()))).collect()
    }

    #[test]
    fn sections_are_found_among_junk() {
        let text = "Bag Attributes\r\n  friendlyName: -----BEGIN \u{e9}\r\n-----BEGIN A-----\r\nAQID\r\n\
                    BA==\r\n-----END A-----\r\njunk -----BEGIN B C----- AQ -----END B C----- more";
        assert_eq!(
            labels(text),
            [("A".into(), 3, Some(vec![1, 2, 3, 4])), ("B C".into(), 7, Some(vec![1]))]
        );
    }

    #[test]
    fn broken_sections_are_reported_and_do_not_swallow_the_next() {
        let cut = "-----BEGIN A-----\nAQID\n-----BEGIN B-----\nAQ==\n-----END B-----\n";
        assert_eq!(labels(cut), [("A".into(), 1, None), ("B".into(), 3, Some(vec![1]))]);
        let faults = |text: &str| sections(text).pop().unwrap().content.err();
        assert_eq!(faults("-----BEGIN A-----\nAQID"), Some(PemFault::Unterminated));
        assert_eq!(faults("-----BEGIN A-----\nA*ID\n-----END A-----"), Some(PemFault::Base64));
        let old = "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAQ==\n-----END A-----";
        assert_eq!(faults(old), Some(PemFault::Encrypted));
    }

    #[test]
    fn wide_text_and_byte_order_marks_are_read() {
        let wide: Vec<u8> =
            "\u{feff}-----BEGIN A-----".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(*text(&wide), "-----BEGIN A-----");
        assert_eq!(sections(&text(b"\xef\xbb\xbf-----BEGIN A-----AQ==-----END A-----")).len(), 1);
    }

    #[test]
    fn bare_base64_is_one_element_or_one_a_line() {
        let read =
            |text| bare(text).map(|ders| ders.iter().map(|d| d.to_vec()).collect::<Vec<_>>());
        assert_eq!(read("MAMCAQU=\r\n"), Some(vec![vec![0x30, 3, 2, 1, 5]]));
        assert_eq!(read("MAMC\nAQU=\n"), Some(vec![vec![0x30, 3, 2, 1, 5]]));
        assert_eq!(read("MAMCAQU=\nMAMCAQY=\n").map(|ders| ders.len()), Some(2));
        assert_eq!(read("hello world"), None);
    }
}
