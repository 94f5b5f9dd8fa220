//! Identification payloads, IDi and IDr (RFC 7296 §3.5).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::codes::IdType;
use crate::wire::error::{FieldFault, Malformed};
use crate::wire::reader::FieldReader;
use crate::wire::reserved::ReservedBits;
use crate::wire::writer::Writer;

/// The body of an IDi or IDr payload.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Identity {
    /// The kind of name that the data holds.
    pub kind: IdType,
    /// The name, without a closing zero byte. A decoded address has its family's length.
    pub data: Vec<u8>,
    /// The three reserved bytes, which AUTH is computed over as well (§2.15).
    pub reserved: ReservedBits<3>,
}

impl Identity {
    /// An identity of any type.
    pub fn new(kind: IdType, data: impl Into<Vec<u8>>) -> Identity {
        Identity { kind, data: data.into(), reserved: ReservedBits::default() }
    }

    /// The identity of a host name, ID_FQDN.
    pub fn fqdn(name: &str) -> Identity {
        Identity::new(IdType::Fqdn, name)
    }

    /// The identity of a mailbox, ID_RFC822_ADDR.
    pub fn rfc822(mailbox: &str) -> Identity {
        Identity::new(IdType::Rfc822Addr, mailbox)
    }

    /// The identity of a distinguished name, ID_DER_ASN1_DN, from the exact DER of a certificate's
    /// subject.
    pub fn der_dn(der: impl Into<Vec<u8>>) -> Identity {
        Identity::new(IdType::DerAsn1Dn, der)
    }

    /// The address of an ID_IPV4_ADDR or ID_IPV6_ADDR.
    pub fn address(&self) -> Option<IpAddr> {
        match self.kind {
            IdType::Ipv4Addr => {
                <[u8; 4]>::try_from(&*self.data).ok().map(|a| Ipv4Addr::from(a).into())
            }
            IdType::Ipv6Addr => {
                <[u8; 16]>::try_from(&*self.data).ok().map(|a| Ipv6Addr::from(a).into())
            }
            _ => None,
        }
    }

    /// The text of an ID_FQDN or ID_RFC822_ADDR, if it is text.
    pub fn text(&self) -> Option<&str> {
        match self.kind {
            IdType::Fqdn | IdType::Rfc822Addr => std::str::from_utf8(&self.data).ok(),
            _ => None,
        }
    }

    /// The payload without its generic header: the IDi' or IDr' of §2.15, which AUTH is computed
    /// over.
    pub fn signed_body(&self) -> Vec<u8> {
        let head = [self.kind.into()];
        [&head[..], self.reserved.bytes(), &self.data].concat()
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<Identity, Malformed> {
        let kind = IdType::from(reader.u8("ID type")?);
        let reserved = reader.reserved()?;
        let must = match kind {
            IdType::Ipv4Addr if reader.left() != 4 => Some("4"),
            IdType::Ipv6Addr if reader.left() != 16 => Some("16"),
            _ => None,
        };
        if let Some(must) = must {
            let found = reader.left();
            return Err(reader.fault("identification data", FieldFault::Length { found, must }));
        }
        Ok(Identity { kind, data: reader.take_rest().to_vec(), reserved })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.kind.into());
        writer.reserved(self.reserved);
        writer.bytes(&self.data);
    }
}

impl From<IpAddr> for Identity {
    fn from(address: IpAddr) -> Identity {
        match address {
            IpAddr::V4(v4) => Identity::new(IdType::Ipv4Addr, v4.octets()),
            IpAddr::V6(v6) => Identity::new(IdType::Ipv6Addr, v6.octets()),
        }
    }
}

impl fmt::Display for Identity {
    /// `203.0.113.1 (ID_IPV4_ADDR)`; a distinguished name, being DER, as its length only. Text is
    /// escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address(), self.text()) {
            (Some(address), _) => write!(f, "{address} ({})", self.kind),
            (_, Some(text)) => write!(f, "{} ({})", text.escape_debug(), self.kind),
            _ => write!(f, "{} of {} bytes", self.kind, self.data.len()),
        }
    }
}
