//! Credentials for either end: certificates of the configured root, and of other roots.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SignatureAlgorithm,
};
use s2sd::crypto::signature::PrivateKey;
use s2sd::ike::authenticator::certificates::CertificateAuthenticator;
use s2sd::pki::certificate::Certificate;
use s2sd::pki::identity::{Expectation, IdentityRule};
use s2sd::pki::own_identity::OwnIdentity;
use s2sd::pki::path::{Roots, Trust};
use s2sd::wire::payload::id::Identity;

/// The name that the target expects.
pub const PEER: &str = "peer.example";
/// The target's own.
pub const TARGET: &str = "target.example";

/// Somebody with a certificate and its key.
pub struct Person {
    pub certificate: Certificate,
    pub key: PrivateKey,
}

/// A certificate authority.
pub struct Authority {
    pub certificate: Certificate,
    pub issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// One that signed itself.
    pub fn root(name: &str) -> Authority {
        let params = authority_params(name);
        let key = KeyPair::generate().unwrap();
        let certificate = read(params.self_signed(&key).unwrap().der());
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// Another's certificate for this authority's key and name: with both ways between two, a loop.
    pub fn certified_by(&self, other: &Authority, name: &str) -> Certificate {
        read(authority_params(name).signed_by(self.issuer.key(), &other.issuer).unwrap().der())
    }

    /// Somebody of this name with a fresh P-256 key.
    pub fn person(&self, name: &str) -> Person {
        self.person_with(name, &KeyPair::generate().unwrap())
    }

    /// Somebody of this name with this key.
    pub fn person_with(&self, name: &str, key: &KeyPair) -> Person {
        let certificate = read(&self.certificate_for(name, key));
        Person { certificate, key: PrivateKey::from_der(&key.serialize_der()).unwrap() }
    }

    /// The DER of a certificate for a bare public key.
    pub fn certificate_for(&self, name: &str, key: &impl PublicKeyData) -> Vec<u8> {
        leaf_params(name).signed_by(key, &self.issuer).unwrap().der().to_vec()
    }
}

impl Person {
    /// What this person calls itself: the certificate's subject.
    pub fn identity(&self) -> Identity {
        Identity::der_dn(self.certificate.subject().as_der())
    }
}

/// An RSA public key of a size that nobody uses; its owner signs nothing.
pub struct HugeKey(Vec<u8>);

impl HugeKey {
    pub fn new(bits: usize, exponent: &[u8]) -> HugeKey {
        let mut modulus = vec![0xc3; bits / 8];
        *modulus.last_mut().unwrap() |= 1;
        let numbers = [integer(&modulus), integer(exponent)].concat();
        HugeKey(tlv(0x30, &numbers))
    }
}

impl PublicKeyData for HugeKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

/// The target's own credentials, and the peer that it accepts: `PEER` under `root`.
pub fn credentials(root: &Authority) -> CertificateAuthenticator {
    let Person { certificate, key } = root.person(TARGET);
    let own = OwnIdentity::new(&[certificate], key).unwrap();
    let roots = Roots::new([root.certificate.clone()]).unwrap();
    CertificateAuthenticator::new(
        own,
        Trust::new(roots),
        Expectation::new(IdentityRule::common_name(PEER)),
    )
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn leaf_params(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn read(der: &[u8]) -> Certificate {
    Certificate::from_der(der).unwrap()
}

fn integer(number: &[u8]) -> Vec<u8> {
    let positive: &[u8] = if number[0] & 0x80 == 0 { &[] } else { &[0] };
    tlv(2, &[positive, number].concat())
}

fn tlv(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let used: Vec<u8> = length.into_iter().skip_while(|octet| *octet == 0).collect();
    // DER wants the shortest form of a length.
    let head = match body.len() {
        0..=127 => vec![u8::try_from(body.len()).unwrap()],
        _ => [&[0x80 | u8::try_from(used.len()).unwrap()][..], &used].concat(),
    };
    [&[tag][..], &head, body].concat()
}
