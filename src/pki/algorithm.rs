//! AlgorithmIdentifiers of signatures: which scheme a certificate, a CRL or an AUTH payload says it
//! was signed with (RFC 5280 §4.1.1.2, RFC 4055, RFC 5758, RFC 8410; RFC 7427 §3 for AUTH).

use rustls_pki_types::alg_id;

use crate::crypto::signature::Scheme;
use crate::der::{self, DerError, DerFault, DerReader, tag};

/// The arc of PKCS#1 (RFC 8017 appendix C), less its last number.
const PKCS1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
/// The arc of NIST's hashes, less its last number.
const NIST_HASHES: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2];
/// The arc of ecdsa-with-SHA2, less its last number.
const ECDSA_SHA2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3];
/// The object identifier id-Ed25519.
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// The object identifier id-sha1.
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
/// sha1WithRSAEncryption as an AlgorithmIdentifier, with the NULL that belongs there (RFC 7427
/// appendix A.1.1).
const SHA1_WITH_RSA: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0];

/// Algorithms that are recognised only to say why they are refused.
const REFUSED: &[(&[u8], &str)] = &[
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 2], "RSA with MD2"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], "RSA with MD5"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 14], "RSA with SHA-224"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ECDSA with SHA-1"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1], "ECDSA with SHA-224"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4], "ECDSA with SHA-512"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3], "DSA with SHA-1"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
];

/// Why an AlgorithmIdentifier names no scheme.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AlgorithmError {
    /// Not an AlgorithmIdentifier.
    #[error("the algorithm identifier is damaged ({0})")]
    Malformed(#[from] DerError),
    /// A scheme that is not spoken here.
    #[error("the signature algorithm {0} is not supported")]
    Unsupported(String),
    /// RSA PSS with parameters that are not spoken here.
    #[error("the signature algorithm {0} is not supported")]
    UnsupportedPss(String),
}

/// The AlgorithmIdentifier of a scheme as AUTH method 14 sends it; none for the forms that belong
/// to methods 9 and 10.
pub(super) fn identifier(scheme: Scheme) -> Option<Vec<u8>> {
    let body: &[u8] = match scheme {
        Scheme::RsaPkcs1Sha1 => return Some(SHA1_WITH_RSA.to_vec()),
        Scheme::RsaPkcs1Sha256 => &alg_id::RSA_PKCS1_SHA256,
        Scheme::RsaPkcs1Sha384 => &alg_id::RSA_PKCS1_SHA384,
        Scheme::RsaPkcs1Sha512 => &alg_id::RSA_PKCS1_SHA512,
        Scheme::RsaPssSha256 => &alg_id::RSA_PSS_SHA256,
        Scheme::RsaPssSha384 => &alg_id::RSA_PSS_SHA384,
        Scheme::RsaPssSha512 => &alg_id::RSA_PSS_SHA512,
        Scheme::EcdsaSha256 => &alg_id::ECDSA_SHA256,
        Scheme::EcdsaSha384 => &alg_id::ECDSA_SHA384,
        Scheme::Ed25519 => &alg_id::ED25519,
        Scheme::EcdsaP256Sha256Fixed | Scheme::EcdsaP384Sha384Fixed => return None,
    };
    Some(der::encode(tag::SEQUENCE, body))
}

/// The scheme that an AlgorithmIdentifier, whole, names. Absent and NULL parameters are the same
/// thing (RFC 4055 §5), and a PSS parameter written out though it is the default is read as if it
/// were not.
pub(super) fn scheme(identifier: &[u8]) -> Result<Scheme, AlgorithmError> {
    let (oid, parameters) = DerReader::sequence_of(identifier, |reader| {
        let oid = reader.read(tag::OID)?;
        let parameters = reader.rest();
        if !reader.is_empty() {
            reader.any()?;
        }
        Ok((oid, parameters))
    })?;
    let plain = |scheme| match parameters {
        [] | [tag::NULL, 0] => Ok(scheme),
        _ => Err(DerError { what: DerFault::Value, left: parameters.len() }.into()),
    };
    match oid.split_last() {
        Some((5, PKCS1)) => plain(Scheme::RsaPkcs1Sha1),
        Some((11, PKCS1)) => plain(Scheme::RsaPkcs1Sha256),
        Some((12, PKCS1)) => plain(Scheme::RsaPkcs1Sha384),
        Some((13, PKCS1)) => plain(Scheme::RsaPkcs1Sha512),
        Some((10, PKCS1)) => pss(parameters),
        Some((2, ECDSA_SHA2)) => plain(Scheme::EcdsaSha256),
        Some((3, ECDSA_SHA2)) => plain(Scheme::EcdsaSha384),
        _ if oid == ED25519 => plain(Scheme::Ed25519),
        _ => {
            let known = REFUSED.iter().find(|(refused, _)| *refused == oid);
            let name = known.map_or_else(|| der::dotted(oid), |(_, name)| (*name).to_owned());
            Err(AlgorithmError::Unsupported(name))
        }
    }
}

/// RSASSA-PSS-params (RFC 4055 §3.1): one hash for message and mask, the salt as long as the hash,
/// trailer 1.
fn pss(parameters: &[u8]) -> Result<Scheme, AlgorithmError> {
    let (hash, mask, salt, trailer) = DerReader::sequence_of(parameters, |reader| {
        // Each field is wrapped in an explicit tag and has a default, which for the hashes is
        // SHA-1.
        let hash = explicit(reader, 0, hash)?.unwrap_or(SHA1);
        let mask = explicit(reader, 1, mask_hash)?.unwrap_or(SHA1);
        let salt = explicit(reader, 2, DerReader::small_unsigned)?.unwrap_or(20);
        let trailer = explicit(reader, 3, DerReader::small_unsigned)?.unwrap_or(1);
        Ok((hash, mask, salt, trailer))
    })?;
    let scheme = match (hash.split_last(), salt) {
        (Some((1, NIST_HASHES)), 32) => Scheme::RsaPssSha256,
        (Some((2, NIST_HASHES)), 48) => Scheme::RsaPssSha384,
        (Some((3, NIST_HASHES)), 64) => Scheme::RsaPssSha512,
        _ => return Err(AlgorithmError::UnsupportedPss(odd_pss(hash, mask, salt))),
    };
    if hash != mask || trailer != 1 {
        return Err(AlgorithmError::UnsupportedPss(odd_pss(hash, mask, salt)));
    }
    Ok(scheme)
}

fn odd_pss(hash: &[u8], mask: &[u8], salt: u32) -> String {
    let (hash, mask) = (der::dotted(hash), der::dotted(mask));
    format!("RSA PSS with hash {hash}, mask hash {mask} and a salt of {salt}")
}

fn explicit<'a, T>(
    reader: &mut DerReader<'a>,
    number: u8,
    read: impl FnOnce(&mut DerReader<'a>) -> Result<T, DerError>,
) -> Result<Option<T>, DerError> {
    let tag = tag::constructed(number);
    if reader.peek() == Some(tag) { reader.nested(tag, read).map(Some) } else { Ok(None) }
}

/// The AlgorithmIdentifier of a hash: its parameters are NULL or absent.
fn hash<'a>(reader: &mut DerReader<'a>) -> Result<&'a [u8], DerError> {
    reader.nested(tag::SEQUENCE, |inner| {
        let oid = inner.read(tag::OID)?;
        inner.optional(tag::NULL)?;
        Ok(oid)
    })
}

/// The hash inside a MaskGenAlgorithm, which must be MGF1 (1.2.840.113549.1.1.8).
fn mask_hash<'a>(reader: &mut DerReader<'a>) -> Result<&'a [u8], DerError> {
    reader.nested(tag::SEQUENCE, |inner| match inner.read(tag::OID)?.split_last() {
        Some((8, PKCS1)) => hash(inner),
        _ => Err(inner.fault(DerFault::Value)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|d| d.try_into().unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// RFC 7427 appendix A. The PSS examples there write out the default trailer, which DER leaves
    /// away.
    #[test]
    fn the_examples_of_rfc_7427_are_understood() {
        for (text, expected) in [
            ("300d 0609 2a86 4886 f70d 0101 0505 00", Scheme::RsaPkcs1Sha1),
            ("300d 0609 2a86 4886 f70d 0101 0b05 00", Scheme::RsaPkcs1Sha256),
            ("300d 0609 2a86 4886 f70d 0101 0c05 00", Scheme::RsaPkcs1Sha384),
            ("300d 0609 2a86 4886 f70d 0101 0d05 00", Scheme::RsaPkcs1Sha512),
            ("300a 0608 2a86 48ce 3d04 0302", Scheme::EcdsaSha256),
            ("300a 0608 2a86 48ce 3d04 0303", Scheme::EcdsaSha384),
            (
                "3046 0609 2a86 4886 f70d 0101 0a30 39a0 0f30 0d06 0960 8648 0165 0304 0201 0500
                 a11c 301a 0609 2a86 4886 f70d 0101 0830 0d06 0960 8648 0165 0304 0201 0500 a203
                 0201 20a3 0302 0101",
                Scheme::RsaPssSha256,
            ),
        ] {
            assert_eq!(scheme(&hex(text)), Ok(expected));
        }
        for (text, named) in [
            ("3009 0607 2a86 48ce 3d04 01", "ECDSA with SHA-1"),
            ("300a 0608 2a86 48ce 3d04 0304", "ECDSA with SHA-512"),
            ("3009 0607 2a86 48ce 3804 03", "DSA with SHA-1"),
        ] {
            assert_eq!(scheme(&hex(text)), Err(AlgorithmError::Unsupported(named.into())));
        }
        // RFC 7427 appendix A.4.1: PSS with all defaults, that is SHA-1.
        let defaults = scheme(&hex("300d 0609 2a86 4886 f70d 0101 0a30 00"));
        assert!(matches!(defaults, Err(AlgorithmError::UnsupportedPss(_))), "{defaults:?}");
    }

    #[test]
    fn what_is_sent_is_what_the_examples_show() {
        let sent = |scheme| identifier(scheme).unwrap();
        assert_eq!(sent(Scheme::RsaPkcs1Sha256), hex("300d06092a864886f70d01010b0500"));
        assert_eq!(sent(Scheme::EcdsaSha384), hex("300a06082a8648ce3d040303"));
        assert_eq!(sent(Scheme::Ed25519), hex("300506032b6570"));
        let pss = "3041 0609 2a86 4886 f70d 0101 0a30 34a0 0f30 0d06 0960 8648 0165 0304 0201 0500
                   a11c 301a 0609 2a86 4886 f70d 0101 0830 0d06 0960 8648 0165 0304 0201 0500 a203
                   0201 20";
        assert_eq!(sent(Scheme::RsaPssSha256), hex(pss));
    }

    #[test]
    fn every_scheme_of_method_14_reads_back() {
        for known in Scheme::ALL {
            match identifier(known) {
                Some(der) => assert_eq!(scheme(&der), Ok(known)),
                None => assert!(known.to_string().contains("r and s")),
            }
        }
    }

    #[test]
    fn one_changed_byte_is_never_the_same_scheme() {
        for known in Scheme::ALL {
            let Some(der) = identifier(known) else { continue };
            for at in 0..der.len() {
                let mut other = der.clone();
                other[at] ^= 0x01;
                assert_ne!(scheme(&other), Ok(known), "{known} byte {at}");
            }
        }
    }

    #[test]
    fn absent_parameters_are_null_and_others_are_refused() {
        assert_eq!(scheme(&hex("300b 0609 2a86 4886 f70d 0101 0b")), Ok(Scheme::RsaPkcs1Sha256));
        let odd = scheme(&hex("300e 0609 2a86 4886 f70d 0101 0b02 0105"));
        assert!(matches!(odd, Err(AlgorithmError::Malformed(_))), "{odd:?}");
    }
}
