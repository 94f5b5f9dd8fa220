//! X.509 certificates: the fields that s2sd looks at, read once and shared.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ring::digest;
use rustls_pki_types::CertificateDer;
use serde::{Serialize, Serializer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::algorithm::{self, AlgorithmError};
use super::name::Name;
use super::signed::{SignatureFault, Signed};
use crate::crypto::signature::{KeyError, PublicKey, Scheme};
use crate::der::{DerReader, tag};
use crate::time::UnixTime;

/// The largest certificate looked at, in octets. IKE itself stops at 64 KiB; real ones have one to
/// three.
pub const MAX_CERTIFICATE_SIZE: usize = 16 * 1024;

/// Extensions that rustls-webpki processes; any other one that is critical makes it refuse (RFC
/// 5280 §4.2).
const PROCESSED: &[&str] =
    &["2.5.29.15", "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.31", "2.5.29.37"];

/// An X.509 certificate. Cloning shares it.
#[derive(Clone)]
pub struct Certificate(Arc<CertificateFields>);

struct CertificateFields {
    der: CertificateDer<'static>,
    version: u32,
    subject: Name,
    issuer: Name,
    serial: Vec<u8>,
    thumbprint: Thumbprint,
    not_before: UnixTime,
    not_after: UnixTime,
    spki: Vec<u8>,
    public_key: Result<PublicKey, KeyError>,
    extensions: CertificateExtensions,
}

/// What the extensions say; absent ones leave the default.
#[derive(Clone, Debug, Default)]
struct CertificateExtensions {
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    purposes: Option<Vec<KeyPurpose>>,
    alt_names: Vec<AltName>,
    has_alt_names: bool,
    constrains_names: bool,
    crl_points: Option<Vec<String>>,
    unprocessed_critical: Vec<String>,
}

/// The extension that says whether a certificate may issue others (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BasicConstraints {
    /// Whether this is a certification authority.
    pub ca: bool,
    /// How many authorities may stand between it and a leaf.
    pub path_len: Option<u32>,
}

/// The key usages that matter here (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyUsage {
    /// digitalSignature or nonRepudiation: what IKE needs of a leaf (RFC 4945 §5.1.3.2).
    pub sign: bool,
    /// keyCertSign: the key may sign certificates.
    pub certify: bool,
    /// cRLSign: the key may sign CRLs.
    pub revoke: bool,
}

/// An extended key usage (RFC 5280 §4.2.1.12).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyPurpose {
    /// serverAuth, for TLS servers; Azure asks for it.
    ServerAuth,
    /// clientAuth, for TLS clients; Azure asks for it.
    ClientAuth,
    /// ipsecIKE (RFC 4945 §5.1.3.12).
    IpsecIke,
    /// iKEIntermediate, Windows' "IP security IKE intermediate", which older tools write in place
    /// of ipsecIKE.
    IkeIntermediate,
    /// anyExtendedKeyUsage, for every purpose.
    Any,
    /// Another one, by its object identifier.
    Other(String),
}

impl fmt::Display for KeyPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            KeyPurpose::ServerAuth => "serverAuth",
            KeyPurpose::ClientAuth => "clientAuth",
            KeyPurpose::IpsecIke => "ipsecIKE",
            KeyPurpose::IkeIntermediate => "iKEIntermediate",
            KeyPurpose::Any => "anyExtendedKeyUsage",
            KeyPurpose::Other(oid) => oid,
        })
    }
}

/// A subject alternative name of a kind that an ID payload can carry (RFC 5280 §4.2.1.6).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AltName {
    /// A host name, dNSName.
    Dns(String),
    /// A mailbox, rfc822Name.
    Email(String),
    /// An IP address, iPAddress.
    Ip(IpAddr),
}

impl AltName {
    /// Reads a name as it prints: `DNS:gw.example.com`, `email:gw@example.com` or `IP:203.0.113.1`,
    /// or without the kind in front where it is clear.
    pub fn from_text(text: &str) -> Option<AltName> {
        let text = text.trim();
        let after = |kind: &str| {
            let (head, rest) = text.split_at_checked(kind.len())?;
            head.eq_ignore_ascii_case(kind).then_some(rest)
        };
        let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic());
        if let Some(address) = after("IP:").or(Some(text)).and_then(|text| text.parse().ok()) {
            return Some(AltName::Ip(address));
        }
        let mailbox = after("email:").or(text.contains('@').then_some(text));
        match (mailbox, after("DNS:").unwrap_or(text)) {
            (Some(mailbox), _) if plain(mailbox) && mailbox.contains('@') => {
                Some(AltName::Email(mailbox.to_owned()))
            }
            (None, name) if plain(name) && !name.contains([':', '=', '/']) => {
                Some(AltName::Dns(name.to_owned()))
            }
            _ => None,
        }
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AltName::Dns(name) => write!(f, "DNS:{}", name.escape_debug()),
            AltName::Email(name) => write!(f, "email:{}", name.escape_debug()),
            AltName::Ip(address) => write!(f, "IP:{address}"),
        }
    }
}

/// The SHA-1 of a whole certificate, by which Azure and Windows name certificates. A thumbprint is
/// a name and proves nothing.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Thumbprint([u8; 20]);

impl Thumbprint {
    /// The thumbprint of a certificate in DER.
    pub fn of(der: &[u8]) -> Thumbprint {
        Thumbprint(sha1(der))
    }
}

impl fmt::Display for Thumbprint {
    /// As Azure prints it: 40 upper-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

impl Serialize for Thumbprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A thumbprint must be 40 hexadecimal digits.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a thumbprint has 40 hexadecimal digits; found {0:?}")]
pub struct ThumbprintError(pub String);

impl FromStr for Thumbprint {
    type Err = ThumbprintError;

    /// Reads what people paste: either case, with spaces or colons, and with the invisible
    /// left-to-right mark that Windows' certificate dialog puts in front.
    fn from_str(text: &str) -> Result<Thumbprint, ThumbprintError> {
        let wrong = || ThumbprintError(text.to_owned());
        let noise = |c: char| c.is_whitespace() || matches!(c, ':' | '\u{200e}' | '\u{feff}');
        let octets = hex(text.chars().filter(|c| !noise(*c))).ok_or_else(wrong)?;
        octets.try_into().map(Thumbprint).map_err(|_| wrong())
    }
}

/// The octets that an even number of hexadecimal digits stands for.
pub(super) fn hex(digits: impl Iterator<Item = char>) -> Option<Vec<u8>> {
    let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let digits: Vec<u8> = digits.map(digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Why bytes are no certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// More octets than [`MAX_CERTIFICATE_SIZE`].
    #[error("it has {0} octets; at most {MAX_CERTIFICATE_SIZE} are accepted")]
    TooBig(usize),
    /// Not an X.509 certificate in DER.
    #[error("it is not an X.509 certificate in DER ({0})")]
    Malformed(String),
}

impl Certificate {
    /// Reads a whole certificate. Reading does not make it trusted.
    pub fn from_der(der: &[u8]) -> Result<Certificate, CertificateError> {
        if der.len() > MAX_CERTIFICATE_SIZE {
            return Err(CertificateError::TooBig(der.len()));
        }
        let malformed = |why: &dyn fmt::Display| CertificateError::Malformed(why.to_string());
        Signed::read(der).map_err(|error| malformed(&error))?;
        let (_, parsed) = X509Certificate::from_der(der).map_err(|error| malformed(&error))?;
        let name = |raw: &[u8]| Name::from_der(raw).map_err(|error| malformed(&error));
        let spki = parsed.public_key().raw;
        let fields = CertificateFields {
            der: CertificateDer::from(der.to_vec()),
            version: parsed.version().0.saturating_add(1),
            subject: name(parsed.subject().as_raw())?,
            issuer: name(parsed.issuer().as_raw())?,
            serial: parsed.raw_serial().to_vec(),
            thumbprint: Thumbprint::of(der),
            not_before: unix(parsed.validity().not_before),
            not_after: unix(parsed.validity().not_after),
            spki: spki.to_vec(),
            public_key: PublicKey::from_spki(spki),
            extensions: CertificateExtensions::read(parsed.extensions())?,
        };
        Ok(Certificate(Arc::new(fields)))
    }

    /// The certificate in DER, as a CERT payload carries it.
    pub fn as_der(&self) -> &[u8] {
        &self.0.der
    }

    pub(super) fn as_pki_type(&self) -> &CertificateDer<'static> {
        &self.0.der
    }

    /// The X.509 version. Nearly all certificates have 3; a bare `openssl x509 -req` makes 1.
    pub fn version(&self) -> u32 {
        self.0.version
    }

    /// The distinguished name of the certificate's owner.
    pub fn subject(&self) -> &Name {
        &self.0.subject
    }

    /// The distinguished name of the issuer.
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// The serial number, big-endian.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// The thumbprint, by which Azure names certificates.
    pub fn thumbprint(&self) -> Thumbprint {
        self.0.thumbprint
    }

    /// The first second of validity. A date before 1970 reads as 1970.
    pub fn not_before(&self) -> UnixTime {
        self.0.not_before
    }

    /// The last second of validity.
    pub fn not_after(&self) -> UnixTime {
        self.0.not_after
    }

    /// The public key, or why it cannot be used.
    pub fn public_key(&self) -> Result<&PublicKey, &KeyError> {
        self.0.public_key.as_ref()
    }

    /// The Basic Constraints extension.
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.0.extensions.basic_constraints
    }

    /// Whether its basic constraints say that it may issue certificates.
    pub fn is_ca(&self) -> bool {
        self.basic_constraints().is_some_and(|constraints| constraints.ca)
    }

    /// The Key Usage extension.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.extensions.key_usage
    }

    /// The Extended Key Usage extension.
    pub fn purposes(&self) -> Option<&[KeyPurpose]> {
        self.0.extensions.purposes.as_deref()
    }

    /// The subject alternative names of the kinds that matter here.
    pub fn alt_names(&self) -> &[AltName] {
        &self.0.extensions.alt_names
    }

    /// Whether there is a Subject Alternative Name extension at all, of whatever kinds.
    pub fn has_alt_names(&self) -> bool {
        self.0.extensions.has_alt_names
    }

    /// Whether name constraints limit the names of certificates below it.
    pub fn constrains_names(&self) -> bool {
        self.0.extensions.constrains_names
    }

    /// The addresses at which complete CRLs of its issuer lie, if it names distribution points at
    /// all (RFC 5280 §4.2.1.13). Lists by reason and of other issuers are left out.
    pub(super) fn crl_points(&self) -> Option<&[String]> {
        self.0.extensions.crl_points.as_deref()
    }

    /// Critical extensions that s2sd does not process, by object identifier.
    pub fn unprocessed_critical(&self) -> &[String] {
        &self.0.extensions.unprocessed_critical
    }

    /// Whether subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.subject() == self.issuer()
    }

    /// The SubjectPublicKeyInfo, whole.
    pub(super) fn spki(&self) -> &[u8] {
        &self.0.spki
    }

    /// SHA-1 of the SubjectPublicKeyInfo, whole: how a CERTREQ payload names an authority (RFC 7296
    /// §3.7).
    pub fn authority_hash(&self) -> [u8; 20] {
        sha1(&self.0.spki)
    }

    /// Whether `issuer` signed it, with whatever algorithm.
    pub fn is_signed_by(&self, issuer: &Certificate) -> bool {
        let key = issuer.public_key();
        self.issuer() == issuer.subject()
            && key.is_ok_and(|key| {
                !matches!(self.signed().verify(key), Err(SignatureFault::Mismatch))
            })
    }

    /// The scheme of its signature.
    pub fn signature_scheme(&self) -> Result<Scheme, AlgorithmError> {
        algorithm::scheme(self.signed().algorithm)
    }

    pub(super) fn signed(&self) -> Signed<'_> {
        Signed::read(self.as_der()).expect("it was read so when it was made")
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Certificate) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Display for Certificate {
    /// Enough to find it: subject, serial number, thumbprint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (serial ", self.subject())?;
        self.serial().iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        write!(f, ", thumbprint {})", self.thumbprint())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({self})")
    }
}

impl CertificateExtensions {
    fn read(extensions: &[X509Extension<'_>]) -> Result<CertificateExtensions, CertificateError> {
        let mut out = CertificateExtensions::default();
        let mut seen = Vec::new();
        for extension in extensions {
            let oid = extension.oid.to_id_string();
            // RFC 5280 §4.2: never two of a kind, or readers could disagree on which one counts.
            if seen.contains(&oid) {
                return Err(CertificateError::Malformed(format!("two extensions {oid}")));
            }
            out.take(&oid, extension)?;
            seen.push(oid);
        }
        Ok(out)
    }

    fn take(&mut self, oid: &str, extension: &X509Extension<'_>) -> Result<(), CertificateError> {
        let processed = PROCESSED.contains(&oid);
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(value) => {
                let (ca, path_len) = (value.ca, value.path_len_constraint);
                self.basic_constraints = Some(BasicConstraints { ca, path_len });
            }
            ParsedExtension::KeyUsage(value) => {
                self.key_usage = Some(KeyUsage {
                    sign: value.digital_signature() || value.non_repudiation(),
                    certify: value.key_cert_sign(),
                    revoke: value.crl_sign(),
                });
            }
            ParsedExtension::ExtendedKeyUsage(_) => {
                self.purposes = Some(purposes(extension.value)?);
            }
            ParsedExtension::SubjectAlternativeName(value) => {
                self.has_alt_names = true;
                self.alt_names = value.general_names.iter().filter_map(alt_name).collect();
            }
            ParsedExtension::NameConstraints(_) => self.constrains_names = true,
            ParsedExtension::CRLDistributionPoints(value) => {
                let complete =
                    value.iter().filter(|p| p.reasons.is_none() && p.crl_issuer.is_none());
                let names = complete.filter_map(|p| p.distribution_point.as_ref());
                self.crl_points = Some(names.flat_map(addresses).collect());
            }
            ParsedExtension::ParseError { error } if processed => {
                return Err(CertificateError::Malformed(format!("extension {oid}: {error}")));
            }
            _ => {}
        }
        if extension.critical && !processed {
            self.unprocessed_critical.push(oid.to_owned());
        }
        Ok(())
    }
}

/// ExtKeyUsageSyntax, read here because x509-parser keeps ipsecIKE among the unnamed.
fn purposes(value: &[u8]) -> Result<Vec<KeyPurpose>, CertificateError> {
    /// id-kp (1.3.6.1.5.5.7.3), less its last number.
    const ID_KP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3];
    DerReader::sequence_of(value, |reader| {
        let mut purposes = Vec::new();
        while !reader.is_empty() {
            let oid = reader.read(tag::OID)?;
            purposes.push(match oid.split_last() {
                Some((1, ID_KP)) => KeyPurpose::ServerAuth,
                Some((2, ID_KP)) => KeyPurpose::ClientAuth,
                Some((17, ID_KP)) => KeyPurpose::IpsecIke,
                _ if oid == [0x2b, 6, 1, 5, 5, 8, 2, 2] => KeyPurpose::IkeIntermediate,
                _ if oid == [0x55, 0x1d, 0x25, 0] => KeyPurpose::Any,
                _ => KeyPurpose::Other(crate::der::dotted(oid)),
            });
        }
        Ok(purposes)
    })
    .map_err(|error| CertificateError::Malformed(format!("extended key usage: {error}")))
}

fn alt_name(name: &GeneralName<'_>) -> Option<AltName> {
    match name {
        GeneralName::DNSName(name) => Some(AltName::Dns((*name).to_owned())),
        GeneralName::RFC822Name(name) => Some(AltName::Email((*name).to_owned())),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(*octets).map(IpAddr::from)).ok().map(AltName::Ip)
        }
        _ => None,
    }
}

/// The URIs of a CRL's distribution point.
pub(super) fn addresses(name: &DistributionPointName<'_>) -> Vec<String> {
    let DistributionPointName::FullName(names) = name else {
        return Vec::new();
    };
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    names.iter().filter_map(uri).collect()
}

pub(super) fn unix(time: ASN1Time) -> UnixTime {
    UnixTime(u64::try_from(time.timestamp()).unwrap_or(0))
}

fn sha1(bytes: &[u8]) -> [u8; 20] {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    hash.as_ref().try_into().expect("SHA-1 has 20 octets")
}
