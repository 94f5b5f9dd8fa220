//! `s2sd pki show`: explains certificates by the rules of Azure's article.

use std::path::PathBuf;
use std::process::ExitCode;

use super::super::{complain, fail, say};
use super::Directory;
use super::bundle::{self, Pkcs12Password};
use super::folder::Folder;
use crate::certs::review::{CertificateDirection, Review, ReviewVerdict};
use crate::crypto::signature::PublicKey;
use crate::pki::certificate::Certificate;
use crate::sys::clock;

/// The arguments of `s2sd pki show`.
#[derive(clap::Args, Debug)]
pub struct PkiShowArguments {
    /// Files with certificates in PEM, DER, Windows' .cer or PKCS#12, or names of certificates in
    /// the directory; all are checked together.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Check for the certificate of this device, presented to Azure (inbound) only.
    #[arg(long)]
    inbound: bool,
    /// Check for the certificate of Azure's gateway, kept in Key Vault (outbound) only.
    #[arg(long, conflicts_with = "inbound")]
    outbound: bool,
    /// The file with the password of the PKCS#12 files.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    directory: Directory,
}

/// Runs `s2sd pki show`. The exit code is 0 when all rules are met, 1 with warnings, 2 with
/// failures.
pub fn show(arguments: &PkiShowArguments) -> ExitCode {
    let review = match review(arguments) {
        Ok(review) => review,
        Err(why) => {
            complain(why);
            return ExitCode::from(2);
        }
    };
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&review).map_err(|error| error.to_string()),
        false => Ok(review.to_string()),
    };
    match text {
        Ok(text) => say(text),
        Err(error) => return fail(error),
    };
    match review.verdict() {
        ReviewVerdict::Ok => ExitCode::SUCCESS,
        ReviewVerdict::Warn => ExitCode::from(1),
        ReviewVerdict::Fail => ExitCode::from(2),
    }
}

fn review(arguments: &PkiShowArguments) -> Result<Review, String> {
    let unlock = Pkcs12Password::read("--password-file", arguments.password_file.as_deref())?;
    let folder = Folder::open(&arguments.directory.dir)?;
    let (mut certificates, mut keys): (Vec<Certificate>, Vec<PublicKey>) = Default::default();
    for file in &arguments.files {
        let bundle = bundle::read(&folder.find(file)?, &unlock)?;
        certificates.extend(bundle.certificates);
        keys.extend(bundle.keys.iter().map(|key| key.public_key().clone()));
    }
    if certificates.is_empty() {
        let files = arguments.files.join(", ");
        return Err(format!("{files} holds no certificate: name the certificate's file"));
    }
    let direction = match (arguments.inbound, arguments.outbound) {
        (true, _) => CertificateDirection::Inbound,
        (_, true) => CertificateDirection::Outbound,
        _ => CertificateDirection::Either,
    };
    Ok(Review::of(&certificates, &keys, direction, clock::now().unix))
}
