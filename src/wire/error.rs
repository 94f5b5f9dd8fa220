//! What can be wrong with bytes, and with values that do not fit into bytes.
//!
//! [`DecodeError`] is all the reasons a message may be refused; each maps to one notify of RFC 7296
//! §3.10.1. [`Malformed`] names the payload, the field and the byte, so that a log line can be held
//! against a capture.

use std::fmt;

use thiserror::Error;

use super::codes::PayloadType;
use super::header::IkeVersion;

/// Why a message or a chain of payloads was refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum DecodeError {
    /// The bytes are no IKE message: INVALID_SYNTAX.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A payload that s2sd does not know and must not skip: UNSUPPORTED_CRITICAL_PAYLOAD (RFC 7296
    /// §2.5).
    #[error("{payload} payload at byte {offset}: unknown to s2sd, and marked critical")]
    UnsupportedCritical {
        /// The type that the notify has to carry.
        payload: PayloadType,
        /// The byte at which its generic header starts.
        offset: usize,
    },
    /// Another major version: INVALID_MAJOR_VERSION (RFC 7296 §2.5). The payloads were not decoded.
    #[error("IKE version {0}: s2sd speaks major version 2 only")]
    MajorVersion(IkeVersion),
}

/// Bytes that break the format: where, and how.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{}, {field} at byte {offset}: {fault}", FaultPlace(*.payload))]
pub struct Malformed {
    /// The payload with the fault; [`PayloadType::None`] is the IKE header.
    pub payload: PayloadType,
    /// The field, in the words of the RFC.
    pub field: &'static str,
    /// Bytes from the start of what was decoded: the datagram, or the decrypted text of an SK
    /// payload.
    pub offset: usize,
    /// What is wrong with the field.
    pub fault: FieldFault,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum FieldFault {
    /// The field reaches beyond the end of what surrounds it.
    #[error("needs {needed} bytes, {left} are left")]
    Short {
        /// Bytes the field needs.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// Bytes are left over after the last field.
    #[error("{extra} bytes too many")]
    Excess {
        /// How many bytes.
        extra: usize,
    },
    /// The value is not allowed.
    #[error("found {found}, must be {must}")]
    Value {
        /// The value as a number.
        found: u64,
        /// What the value must be, as the end of a sentence.
        must: &'static str,
    },
    /// The number of bytes is not allowed.
    #[error("has {found} bytes, must have {must}")]
    Length {
        /// The number of bytes found.
        found: usize,
        /// How many bytes there must be, as the end of a sentence.
        must: &'static str,
    },
    /// More elements than s2sd decodes.
    #[error("more than {limit}")]
    TooMany {
        /// The most elements that are decoded.
        limit: usize,
    },
}

/// A value too large for its length field. Only s2sd itself can cause it, never a peer: what was
/// decoded always encodes.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{field}: {length} does not fit, the limit is {limit}")]
pub struct Unencodable {
    /// The field that overflows.
    pub field: &'static str,
    /// The length or count that the field would have to hold.
    pub length: usize,
    /// The most that the field can hold.
    pub limit: usize,
}

/// Prints where a fault is: in the IKE header or in a payload.
struct FaultPlace(PayloadType);

impl fmt::Display for FaultPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PayloadType::None => f.write_str("IKE header"),
            other => write!(f, "{other} payload"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_read_well() {
        let short = Malformed {
            payload: PayloadType::Sa,
            field: "transform length",
            offset: 44,
            fault: FieldFault::Short { needed: 8, left: 4 },
        };
        assert_eq!(
            short.to_string(),
            "SA payload, transform length at byte 44: needs 8 bytes, 4 are left"
        );
        let header = Malformed {
            payload: PayloadType::None,
            field: "length",
            offset: 24,
            fault: FieldFault::Value { found: 27, must: "the datagram's length" },
        };
        assert_eq!(
            DecodeError::from(header).to_string(),
            "IKE header, length at byte 24: found 27, must be the datagram's length"
        );
        let critical =
            DecodeError::UnsupportedCritical { payload: PayloadType::Unknown(99), offset: 28 };
        assert_eq!(
            critical.to_string(),
            "unknown 99 payload at byte 28: unknown to s2sd, and marked critical"
        );
    }
}
