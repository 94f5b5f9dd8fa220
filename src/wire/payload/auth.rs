//! Authentication payloads (RFC 7296 §3.8, RFC 7427 §3).

use crate::wire::codes::AuthMethod;
use crate::wire::error::{Malformed, Unencodable};
use crate::wire::reader::FieldReader;
use crate::wire::reserved::ReservedBits;
use crate::wire::writer::Writer;

/// The body of an AUTH payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct AuthPayload {
    /// The authentication method, which tells how the data was made.
    pub method: AuthMethod,
    /// A signature, or a message authentication code made with the shared key.
    pub data: Vec<u8>,
    /// The three reserved bytes.
    pub reserved: ReservedBits<3>,
}

impl AuthPayload {
    /// A payload with data that was made by `method`.
    pub fn new(method: AuthMethod, data: impl Into<Vec<u8>>) -> AuthPayload {
        AuthPayload { method, data: data.into(), reserved: ReservedBits::default() }
    }

    /// A signature that names its algorithm: method 14. `algorithm` is the DER of an
    /// AlgorithmIdentifier.
    pub fn digital(algorithm: &[u8], signature: &[u8]) -> Result<AuthPayload, Unencodable> {
        let mut writer = Writer::new();
        writer.length8(algorithm.len(), "AlgorithmIdentifier length");
        writer.bytes(algorithm);
        writer.bytes(signature);
        Ok(AuthPayload::new(AuthMethod::DigitalSignature, writer.finish()?))
    }

    /// The AlgorithmIdentifier and the signature of method 14; None for other methods.
    pub fn digital_parts(&self) -> Option<(&[u8], &[u8])> {
        let (length, rest) = self.data.split_first()?;
        let parts = rest.split_at_checked(usize::from(*length));
        parts.filter(|_| self.method == AuthMethod::DigitalSignature)
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<AuthPayload, Malformed> {
        let method = AuthMethod::from(reader.u8("authentication method")?);
        let reserved = reader.reserved()?;
        let data = if method == AuthMethod::DigitalSignature {
            // The data has a structure of its own (RFC 7427 §3), which must be complete.
            let mut inside = reader.clone();
            let length = inside.u8("AlgorithmIdentifier length")?;
            inside.take(length.into(), "AlgorithmIdentifier")?;
            reader.take_rest()
        } else {
            reader.take_rest()
        };
        Ok(AuthPayload { method, data: data.to_vec(), reserved })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.method.into());
        writer.reserved(self.reserved);
        writer.bytes(&self.data);
    }
}
