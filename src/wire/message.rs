//! A whole IKE message: the header, what is in clear, and the encrypted payload that may end it.
//!
//! ```text
//! IKE_SA_INIT     | header | SA | KE | Nonce | N ... |
//! all others      | header | SK { IV | ciphertext | ICV } |          see [`sk`](super::sk)
//! ```

use super::codes::PayloadType;
use super::error::{DecodeError, Unencodable};
use super::header::{Header, IkeVersion};
use super::payload::chain::Chain;
use super::payload::sk::Sealed;
use super::reader::FieldReader;
use super::writer::Writer;

/// A message as a value. Encoding what was decoded gives the same bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The IKE header: SPIs, exchange, flags, message ID.
    pub header: Header,
    /// The payloads in clear.
    pub chain: Chain,
    /// The encrypted payload; none in IKE_SA_INIT.
    pub sealed: Option<Sealed>,
}

impl Message {
    /// A message whose payloads are all in clear.
    pub fn clear(header: Header, chain: impl Into<Chain>) -> Message {
        Message { header, chain: chain.into(), sealed: None }
    }

    /// Reads a datagram, without the non-ESP marker of port 4500. The message must fill it.
    pub fn decode(datagram: &[u8]) -> Result<Message, DecodeError> {
        let mut reader = FieldReader::new(datagram);
        let (header, first) = Header::read(&mut reader)?;
        if header.version.major != IkeVersion::V2.major {
            return Err(DecodeError::MajorVersion(header.version));
        }
        let (chain, encrypted) = Chain::read(first, &mut reader)?;
        let sealed = encrypted.map(|kind| Sealed::decode(kind, &mut reader)).transpose()?;
        Ok(Message { header, chain, sealed })
    }

    /// The message as bytes.
    pub fn encode(&self) -> Result<Vec<u8>, Unencodable> {
        let mut writer = Writer::new();
        let after = self.sealed.as_ref().map_or(PayloadType::None, Sealed::kind);
        self.header.write(self.chain.first_or(after), &mut writer);
        self.chain.write(after, &mut writer);
        if let Some(sealed) = &self.sealed {
            sealed.encode(&mut writer);
        }
        Header::close(&mut writer);
        writer.finish()
    }
}
