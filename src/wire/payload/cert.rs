//! Certificate and Certificate Request payloads (RFC 7296 §3.6 and §3.7).

use crate::wire::codes::CertEncoding;
use crate::wire::error::Malformed;
use crate::wire::reader::FieldReader;
use crate::wire::writer::Writer;

/// Bytes of one authority in a request: the SHA-1 of its SubjectPublicKeyInfo.
pub const AUTHORITY_LEN: usize = 20;

/// The body of a CERT payload: a certificate, a revocation list, or the URL of one.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CertPayload {
    /// The form of the data.
    pub encoding: CertEncoding,
    /// The certificate or list; an X.509 signature certificate is in DER.
    pub data: Vec<u8>,
}

impl CertPayload {
    /// An X.509 certificate.
    pub fn x509(der: impl Into<Vec<u8>>) -> CertPayload {
        CertPayload { encoding: CertEncoding::X509Signature, data: der.into() }
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<CertPayload, Malformed> {
        let encoding = CertEncoding::from(reader.u8("certificate encoding")?);
        Ok(CertPayload { encoding, data: reader.take_rest().to_vec() })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.encoding.into());
        writer.bytes(&self.data);
    }
}

/// The body of a CERTREQ payload: a hint at the authorities that the sender trusts.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CertificateRequest {
    /// The form of certificate that is asked for.
    pub encoding: CertEncoding,
    /// The authorities; for X.509 any number of them, [`AUTHORITY_LEN`] bytes each.
    pub data: Vec<u8>,
}

impl CertificateRequest {
    /// A request for X.509 certificates under these authorities.
    pub fn x509(authorities: &[[u8; AUTHORITY_LEN]]) -> CertificateRequest {
        let data = authorities.as_flattened().to_vec();
        CertificateRequest { encoding: CertEncoding::X509Signature, data }
    }

    /// The authorities of a request for X.509 certificates; a last piece of another length is no
    /// authority.
    pub fn authorities(&self) -> &[[u8; AUTHORITY_LEN]] {
        match self.encoding {
            CertEncoding::X509Signature => self.data.as_chunks().0,
            _ => &[],
        }
    }

    pub(crate) fn decode(reader: &mut FieldReader<'_>) -> Result<CertificateRequest, Malformed> {
        let encoding = CertEncoding::from(reader.u8("certificate encoding")?);
        Ok(CertificateRequest { encoding, data: reader.take_rest().to_vec() })
    }

    pub(crate) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.encoding.into());
        writer.bytes(&self.data);
    }
}
