//! The reader of DER, below certificates, keys and signatures.

use s2sd::der::{DerReader, encode};

/// Any bytes: an element that is read encodes to the same bytes, elements and what is left make up
/// the input, and an error is within it. Constructed values are looked into.
pub fn der(data: &[u8]) {
    let mut unread = vec![DerReader::new(data)];
    while let Some(mut reader) = unread.pop() {
        let before = reader.rest();
        match reader.any() {
            Ok(element) => {
                assert_eq!(encode(element.tag, element.body), element.whole);
                assert_eq!(before.strip_prefix(element.whole), Some(reader.rest()));
                if let Ok(number) = DerReader::new(element.whole).unsigned() {
                    assert!(number.len() <= element.body.len() && !number.is_empty());
                }
                unread.push(reader);
                if element.tag & 0x20 != 0 {
                    unread.push(DerReader::new(element.body));
                }
            }
            Err(error) => {
                assert!(error.left <= data.len() && !error.to_string().is_empty());
                assert_eq!(reader.rest(), before);
            }
        }
    }
}
