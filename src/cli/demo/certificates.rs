//! Both certificate chains of the demonstration, like those of Azure's article: an RSA root with a
//! path length of 4, and a leaf with both extended key usages and no alternative name. The
//! certificates are valid for 90 days.

use std::io;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SerialNumber,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use time::{Duration, OffsetDateTime};

use crate::sys::clock;

/// The names and private keys of one side; the keys are published with the source.
#[derive(Clone, Copy, Debug)]
pub struct DemoSide {
    /// The common name of the leaf, with which the file names begin.
    pub name: &'static str,
    root_name: &'static str,
    root_key: &'static [u8],
    key: &'static [u8],
}

/// The on-premises side: Azure's "inbound" certificate.
pub const SITE: DemoSide = DemoSide {
    name: "Inbound-certificate",
    root_name: "Demo site root",
    root_key: include_bytes!("keys/site-root.der"),
    key: include_bytes!("keys/site.der"),
};

/// Azure's side: its "outbound" certificate.
pub const AZURE: DemoSide = DemoSide {
    name: "Outbound-certificate",
    root_name: "Demo Azure root",
    root_key: include_bytes!("keys/azure-root.der"),
    key: include_bytes!("keys/azure.der"),
};

/// Writes root, leaf and key of one side into a directory, as DER.
pub fn write(directory: &Path, side: DemoSide) -> io::Result<()> {
    let issuer = Issuer::new(root(side.root_name)?, key(side.root_key)?);
    let root = issuer_certificate(side)?;
    let leaf = leaf(side.name)?.signed_by(&key(side.key)?, &issuer).map_err(io::Error::other)?;
    let file = |end: &str| directory.join(format!("{}{end}", side.name));
    std::fs::write(file("-root.cer"), root.der())?;
    std::fs::write(file(".cer"), leaf.der())?;
    std::fs::write(file(".key"), side.key)
}

fn issuer_certificate(side: DemoSide) -> io::Result<rcgen::Certificate> {
    root(side.root_name)?.self_signed(&key(side.root_key)?).map_err(io::Error::other)
}

fn root(name: &str) -> io::Result<CertificateParams> {
    let mut params = dated(name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(4));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf(name: &str) -> io::Result<CertificateParams> {
    let mut params = dated(name)?;
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

fn dated(name: &str) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let seconds = clock::now().unix.0;
    let now = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap_or(0))
        .map_err(io::Error::other)?;
    (params.not_before, params.not_after) = (now - Duration::hours(1), now + Duration::days(90));
    params.serial_number = Some(SerialNumber::from(seconds));
    Ok(params)
}

fn key(der: &[u8]) -> io::Result<KeyPair> {
    let der = PrivatePkcs8KeyDer::from(der);
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).map_err(io::Error::other)
}
