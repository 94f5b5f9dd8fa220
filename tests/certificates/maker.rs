//! Makes certificates and CRLs for the tables.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, DistinguishedName, DnType, ExtendedKeyUsagePurpose as Eku, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevocationReason,
    RevokedCertParams, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls_pki_types::PrivatePkcs8KeyDer;

use s2sd::crypto::signature::{PrivateKey, Scheme};
use s2sd::der::{self, tag};
use s2sd::pki::certificate::Certificate;
use s2sd::pki::crl::Crl;
use s2sd::pki::load::Bundle;
use s2sd::time::UnixTime;

/// 2030-01-01: certificates made here live from 2020 to 2040 unless a case says otherwise.
pub const NOW: UnixTime = UnixTime(1_893_456_000);

macro_rules! vector {
    ($name:expr) => {
        include_bytes!(concat!("../vectors/pki/", $name)).as_slice()
    };
}
pub(crate) use vector;

/// A certification authority: its certificate and what signs for it.
pub struct Authority {
    pub der: Vec<u8>,
    pub issuer: Issuer<'static, KeyPair>,
}

/// What a case changes about a certificate.
pub type Change = fn(&mut CertificateParams);

/// Changes nothing.
pub fn plain(_: &mut CertificateParams) {}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params.key_identifier_method = KeyIdMethod::Sha256;
    params
}

fn authority_params(name: &str, change: Change) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    params
}

fn leaf_params(name: &str, change: Change) -> CertificateParams {
    let mut params = params(name);
    // As Azure's pages make them: both purposes, no alternative name, no key usage.
    params.extended_key_usages = vec![Eku::ClientAuth, Eku::ServerAuth];
    change(&mut params);
    params
}

pub fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

pub fn key_of(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

/// One of the committed RSA keys.
pub fn rsa_key(pkcs8: &[u8]) -> KeyPair {
    let der = PrivatePkcs8KeyDer::from(pkcs8.to_vec());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap()
}

pub fn root(name: &str) -> Authority {
    root_with(name, key(), plain)
}

pub fn root_with(name: &str, key: KeyPair, change: Change) -> Authority {
    let params = authority_params(name, change);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Authority { der, issuer: Issuer::new(params, key) }
}

/// A certificate that signs itself, of whatever kind.
pub fn self_signed_leaf(name: &str) -> Vec<u8> {
    leaf_params(name, plain).self_signed(&key()).unwrap().der().to_vec()
}

impl Authority {
    pub fn certificate(&self) -> Certificate {
        certificate(&self.der)
    }

    /// An authority below this one.
    pub fn authority(&self, name: &str) -> Authority {
        self.authority_with(name, key(), plain)
    }

    pub fn authority_with(&self, name: &str, key: KeyPair, change: Change) -> Authority {
        let params = authority_params(name, change);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Authority { der, issuer: Issuer::new(params, key) }
    }

    pub fn leaf(&self, name: &str) -> Vec<u8> {
        self.leaf_with(name, plain)
    }

    pub fn leaf_with(&self, name: &str, change: Change) -> Vec<u8> {
        self.leaf_for(&key(), name, change)
    }

    pub fn leaf_for(&self, key: &impl PublicKeyData, name: &str, change: Change) -> Vec<u8> {
        leaf_params(name, change).signed_by(key, &self.issuer).unwrap().der().to_vec()
    }

    /// A leaf that issues, though nobody allowed it.
    pub fn issuing_leaf(&self, name: &str) -> Authority {
        let (params, key) = (leaf_params(name, plain), key());
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Authority { der, issuer: Issuer::new(params, key) }
    }

    /// A CRL of the month of `year`-`month`, due a month later.
    pub fn crl(&self, year: i32, month: u8, revoked: &[&[u8]]) -> Crl {
        self.crl_at(None, year, month, revoked)
    }

    /// The same for one distribution point alone.
    pub fn crl_at(&self, url: Option<&str>, year: i32, month: u8, revoked: &[&[u8]]) -> Crl {
        let revoked_certs = revoked.iter().map(|der| RevokedCertParams {
            serial_number: SerialNumber::from_slice(certificate(der).serial()),
            revocation_time: date_time_ymd(2029, 12, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(year, month, 1),
            next_update: date_time_ymd(year + i32::from(month == 12), month % 12 + 1, 28),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: url.map(|url| CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint { uris: vec![url.to_owned()] },
                scope: None,
            }),
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Crl::from_der(params.signed_by(&self.issuer).unwrap().der()).unwrap()
    }
}

/// A CRL with these extensions, or of version 1 without any: rcgen makes neither of the odd ones.
/// `key` is the issuer's.
pub fn plain_crl(
    issuer: &Certificate,
    key: &PrivateKey,
    serials: &[&[u8]],
    extensions: Option<&[u8]>,
) -> Vec<u8> {
    let time = |text: &str| der::encode(0x17, text.as_bytes());
    let sequence = |parts: &[&[u8]]| der::encode(tag::SEQUENCE, &parts.concat());
    // ecdsa-with-SHA256.
    let algorithm = sequence(&[&der::encode(tag::OID, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])]);
    let line =
        |serial: &&[u8]| sequence(&[&der::encode(tag::INTEGER, serial), &time("290101000000Z")]);
    let lines: Vec<u8> = serials.iter().flat_map(line).collect();
    let lines = if lines.is_empty() { lines } else { der::encode(tag::SEQUENCE, &lines) };
    let version = extensions.map_or(Vec::new(), |_| der::encode_unsigned(&[1]));
    let extensions = extensions.map_or(Vec::new(), |inner| {
        der::encode(tag::constructed(0), &der::encode(tag::SEQUENCE, inner))
    });
    let body = sequence(&[
        &version,
        &algorithm,
        issuer.subject().as_der(),
        &time("291201000000Z"),
        &time("300601000000Z"),
        &lines,
        &extensions,
    ]);
    let signature = key.sign(Scheme::EcdsaSha256, &body).unwrap();
    let bits = der::encode(tag::BIT_STRING, &[&[0][..], &signature].concat());
    sequence(&[&body, &algorithm, &bits])
}

pub fn certificate(der: &[u8]) -> Certificate {
    Certificate::from_der(der).unwrap()
}

/// The one certificate of a PEM file.
pub fn pem(file: &[u8]) -> Certificate {
    Bundle::read(file, None, "vector").unwrap().certificates.remove(0)
}

/// A public key without a private one: for kinds that rcgen or ring would not make.
#[derive(Debug)]
pub struct BarePublicKey(pub Vec<u8>);

impl PublicKeyData for BarePublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

impl rcgen::SigningKey for BarePublicKey {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(vec![0; 128])
    }
}

/// The same certificate signed by an RSA key over SHA-1, or with the last number of its algorithm
/// changed to another.
pub fn resigned(der: &[u8], algorithm: u8, key: &[u8]) -> Vec<u8> {
    const SHA256_WITH_RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
    let mut der = der.to_vec();
    let places: Vec<usize> = der
        .windows(SHA256_WITH_RSA.len())
        .enumerate()
        .filter(|(_, window)| *window == SHA256_WITH_RSA)
        .map(|(place, window)| place + window.len() - 1)
        .collect();
    assert_eq!(places.len(), 2, "once inside and once outside");
    for place in places {
        der[place] = algorithm;
    }
    let end = der.len() - 256;
    // SEQUENCE header of four octets, body, AlgorithmIdentifier of 15, BIT STRING header of five.
    let body = der[4..end - 5 - 15].to_vec();
    let key = PrivateKey::from_der(key).unwrap();
    let signature = key.sign(Scheme::RsaPkcs1Sha1, &body).unwrap();
    der.truncate(end);
    der.extend(signature);
    der
}

pub use rcgen::{
    CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, KeyUsagePurpose as Usage,
    NameConstraints, SanType,
};

/// Sets the path length.
pub fn path_len<const N: u8>(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(N));
}

pub fn only_cert_sign(params: &mut CertificateParams) {
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
}

pub fn expired(params: &mut CertificateParams) {
    params.not_after = date_time_ymd(2029, 12, 31);
}

pub fn not_yet(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2030, 1, 2);
}
