//! Our certificate in the form that Azure's connection needs: its common name, and its issuers,
//! root first, each as one line of Base64 (Azure docs, "Configure a site-to-site VPN with
//! certificate authentication").

use base64ct::{Base64, Encoding};

use super::fault::AzureFault;
use crate::config::file::Files;
use crate::config::settings::CertificateAuthentication;
use crate::config::value::FileRef;
use crate::pki::certificate::Certificate;
use crate::pki::load::Bundle;
use crate::pki::path::{Roots, Trust};
use crate::time::UnixTime;

/// The inbound settings of a connection's `certificateAuthentication`, as far as known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InboundChain {
    /// `inboundAuthCertificateSubjectName`.
    pub subject: Option<String>,
    /// `inboundAuthCertificateChain`.
    pub chain: Option<Vec<String>>,
}

/// The most certificates that Azure accepts as a chain, root included.
const CHAIN_MAX: usize = 5;

impl InboundChain {
    /// Reads the settings from the certificate file of a connection; `more` are certificates that
    /// the file lacks, often the root. Returns the reason when a setting could not be determined.
    /// The private key is not needed.
    pub(crate) fn read(
        authentication: &CertificateAuthentication,
        more: &[Certificate],
        files: &dyn Files,
        now: UnixTime,
    ) -> (InboundChain, Option<AzureFault>) {
        let certificates = match certificates(authentication, files) {
            Ok(certificates) => certificates,
            Err(fault) => return (InboundChain::default(), Some(fault)),
        };
        let file = &authentication.inbound_certificate;
        let first = certificates.iter().position(|c| !c.is_ca()).unwrap_or(0);
        let Some(leaf) = certificates.get(first) else {
            let fault = AzureFault::new(
                format_args!("{file} holds no certificate"),
                "name the file with this device's certificate and its intermediates as `inbound_certificate`",
            );
            return (InboundChain::default(), Some(fault));
        };
        let subject = leaf.subject().common_name().map(str::to_owned);
        match chain(leaf, certificates.iter().chain(more), file, now) {
            Ok(chain) => (InboundChain { subject, chain: Some(chain) }, None),
            Err(fault) => (InboundChain { subject, chain: None }, Some(fault)),
        }
    }
}

fn certificates(
    auth: &CertificateAuthentication,
    files: &dyn Files,
) -> Result<Vec<Certificate>, AzureFault> {
    let content = |file: &FileRef| {
        files.read(file).map_err(|error| {
            AzureFault::new(
                format_args!("{file} cannot be read: {error}"),
                "without this device's certificate the output has placeholders: run the export where the file is, as a user who may read it",
            )
        })
    };
    let password = auth.inbound_password_file.as_ref().map(content).transpose()?;
    let bytes = content(&auth.inbound_certificate)?.bytes;
    let password = password.as_ref().map(|content| content.bytes.as_slice());
    let bundle = Bundle::read(&bytes, password, &auth.inbound_certificate.to_string());
    let bundle = bundle.map_err(|error| {
        AzureFault::new(format_args!("{}: {}", error.file, error.fault), error.remedy())
    })?;
    Ok(bundle.certificates)
}

/// The issuers of a leaf certificate, validated by the rules of a gateway.
fn chain<'a>(
    leaf: &'a Certificate,
    known: impl Iterator<Item = &'a Certificate>,
    file: &FileRef,
    now: UnixTime,
) -> Result<Vec<String>, AzureFault> {
    let (roots, others): (Vec<_>, Vec<_>) = known.partition(|c| c.is_self_issued());
    if roots.is_empty() {
        return Err(AzureFault::new(
            format_args!("{file} does not contain the root of {leaf}"),
            "Azure needs the root: name its file with --inbound-root FILE",
        ));
    }
    let mut presented = vec![leaf.as_der()];
    presented.extend(others.iter().filter(|c| **c != leaf).map(|c| c.as_der()));
    let path = Roots::new(roots.into_iter().cloned())
        .and_then(|roots| Trust::new(roots).validate(&presented, now))
        .map_err(|refusal| {
            AzureFault::new(
                format_args!("Azure would refuse {leaf}: {refusal}"),
                "`s2sd check` explains the certificate",
            )
        })?;
    let intermediates = path.intermediates().iter().rev();
    let chain: Vec<String> = std::iter::once(path.root())
        .chain(intermediates)
        .map(|certificate| Base64::encode_string(certificate.as_der()))
        .collect();
    match chain.len() {
        ..=CHAIN_MAX => Ok(chain),
        many => Err(AzureFault::new(
            format_args!("{leaf} has {many} issuers, and Azure accepts {CHAIN_MAX}"),
            "have the certificate issued by an authority nearer to the root",
        )),
    }
}
