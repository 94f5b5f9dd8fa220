//! Nonce payloads (RFC 7296 §3.9).

use crate::wire::error::{FieldFault, Malformed};
use crate::wire::reader::FieldReader;
use crate::wire::writer::Writer;

/// The body of a Nonce payload: 16 to 256 bytes.
///
/// Nonces are ordered as byte strings, which decides a simultaneous rekey: the SA that was made
/// with the lowest of the four nonces is closed (§2.8.1).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Nonce(Vec<u8>);

impl Nonce {
    /// The shortest nonce, in bytes.
    pub const MIN: usize = 16;
    /// The longest nonce, in bytes.
    pub const MAX: usize = 256;

    /// A nonce of these bytes; `None` when the length is not allowed.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Nonce> {
        let bytes = bytes.into();
        (Nonce::MIN..=Nonce::MAX).contains(&bytes.len()).then_some(Nonce(bytes))
    }

    /// The nonce as bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<Nonce, Malformed> {
        let at = reader.clone();
        Nonce::new(reader.take_rest()).ok_or_else(|| {
            at.fault("nonce data", FieldFault::Length { found: at.left(), must: "16 to 256" })
        })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.0);
    }
}
