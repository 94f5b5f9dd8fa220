//! `s2sd pki export`: certificates in the forms that Azure accepts, whichever authority issued
//! them.

use std::path::{Path, PathBuf};

use super::bundle::{self, Pkcs12Password};
use super::folder::Folder;
use super::new_files::{NewFiles, PRIVATE};
use super::{Directory, password};
use crate::certs::review::{CertificateDirection, Review, ReviewVerdict};
use crate::certs::text;
use crate::crypto::Secret;
use crate::crypto::signature::PublicKey;
use crate::pki::certificate::Certificate;
use crate::pki::chain::{above, heads, is_authority};
use crate::pki::load::Bundle;
use crate::pki::{Pkcs12Protection, write_pkcs12};
use crate::sys::clock;
use crate::sys::random::SystemRng;

/// The arguments of `s2sd pki export`.
#[derive(clap::Args, Debug)]
#[group(id = "form", required = true, multiple = false, args = ["azure_chain", "pfx"])]
pub struct PkiExportArguments {
    /// A certificate's file or its name in the directory; then the files of its issuers, unless the
    /// first file or the directory has them.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Print inboundAuthCertificateChain: one unbroken line for each certificate, root first.
    #[arg(long)]
    azure_chain: bool,
    /// Write a PKCS#12 file for Key Vault: the certificate, its issuers and its private key.
    #[arg(long, value_name = "NEW-FILE")]
    pfx: Option<PathBuf>,
    /// The file of the private key, unless the key is beside the certificate.
    #[arg(long, value_name = "FILE", conflicts_with = "azure_chain")]
    key: Option<PathBuf>,
    /// The file with the password of the PKCS#12 files to read.
    #[arg(long, value_name = "FILE")]
    in_password_file: Option<PathBuf>,
    /// Encrypt the file with 3DES and SHA-1, for importers without AES-256: App Service, Windows
    /// Server 2016, and Key Vault if it refuses AES-256.
    #[arg(long, conflicts_with = "azure_chain")]
    legacy: bool,
    #[command(flatten)]
    password: password::PasswordSource,
    #[command(flatten)]
    directory: Directory,
}

/// Exports, and returns the text to print.
pub fn export(arguments: &PkiExportArguments) -> Result<String, String> {
    let folder = Folder::open(&arguments.directory.dir)?;
    let paths: Vec<PathBuf> =
        arguments.files.iter().map(|word| folder.find(word)).collect::<Result<_, _>>()?;
    let unlock = Pkcs12Password::read("--in-password-file", arguments.in_password_file.as_deref())?;
    let bundles: Vec<Bundle> =
        paths.iter().map(|path| bundle::read(path, &unlock)).collect::<Result<_, _>>()?;
    let path = path(&bundles, &folder)?;
    match &arguments.pfx {
        None => chain(&path),
        Some(pfx) => key_vault(arguments, pfx, &path, bundles, &paths, &unlock),
    }
}

/// The certificate that the files are about, then its issuers.
fn path(bundles: &[Bundle], folder: &Folder) -> Result<Vec<Certificate>, String> {
    let given: Vec<Certificate> =
        bundles.iter().flat_map(|bundle| bundle.certificates.iter().cloned()).collect();
    let heads = heads(&given);
    let head = match heads[..] {
        [head] => head.clone(),
        [] => return Err("the files hold no certificate: name the certificate's file".to_owned()),
        _ => {
            let names: Vec<String> = heads.iter().map(ToString::to_string).collect();
            return Err(format!(
                "the files hold several certificates that do not issue each other: {}; name the files of one of them and of its \
                 issuers",
                names.join("; ")
            ));
        }
    };
    let mut pool = given;
    pool.extend(folder.authorities().into_iter().map(|(_, certificate)| certificate));
    let above = above(&head, &pool);
    Ok(std::iter::once(head).chain(above).collect())
}

/// The lines of the inbound chain, root first; an error when Azure would refuse the chain.
fn chain(path: &[Certificate]) -> Result<String, String> {
    let authorities: Vec<Certificate> = path.iter().filter(|c| is_authority(c)).cloned().collect();
    if authorities.is_empty() {
        return Err(missing_issuer(path));
    }
    check(&authorities, &[], CertificateDirection::Inbound)?;
    Ok(authorities.iter().rev().map(text::one_line).collect::<Vec<_>>().join("\n"))
}

fn missing_issuer(path: &[Certificate]) -> String {
    let leaf = path.first();
    let issuer = leaf.map(|leaf| leaf.issuer().to_string()).unwrap_or_default();
    format!(
        "the certificate of {issuer} is not among the files: name its file too, and those of its issuers up to the root"
    )
}

fn key_vault(
    arguments: &PkiExportArguments,
    pfx: &Path,
    path: &[Certificate],
    mut bundles: Vec<Bundle>,
    paths: &[PathBuf],
    unlock: &Pkcs12Password,
) -> Result<String, String> {
    let leaf = path.first().ok_or("the files hold no certificate")?;
    let new = [pfx.to_owned()];
    let new = new.iter().chain(arguments.password.new_file());
    let mut batch = NewFiles::check(new, "name a new file, or remove this one first")?;
    let beside = paths.first().map(|path| path.with_extension("key"));
    let key = arguments.key.clone().or(beside.filter(|path| path.exists()));
    if let Some(key) = &key {
        bundles.push(bundle::read(key, unlock)?);
    }
    let secret = secret_of(leaf, &bundles)?;
    let public = leaf.public_key().map_err(|error| error.to_string())?;
    check(path, std::slice::from_ref(public), CertificateDirection::Outbound)?;
    let protection = match arguments.legacy {
        true => Pkcs12Protection::TripleDesSha1,
        false => Pkcs12Protection::Aes256Sha256,
    };
    let mut rng = SystemRng::default();
    let password = arguments.password.obtain(&mut batch, &mut rng)?;
    let bytes = write_pkcs12(secret, path, &password, protection, &mut rng)
        .map_err(|error| error.to_string())?;
    batch.write(pfx, PRIVATE, &bytes)?;
    batch.keep();
    Ok(summary(arguments, pfx, path))
}

fn summary(arguments: &PkiExportArguments, pfx: &Path, path: &[Certificate]) -> String {
    let name = path.first().map(|leaf| leaf.subject().to_string()).unwrap_or_default();
    let top = path.last().map(|top| top.subject().to_string()).unwrap_or_default();
    let mut lines = vec![format!(
        "wrote {}: {name}, its private key, and its {} issuers up to {top}",
        pfx.display(),
        path.len() - 1
    )];
    if let Some(file) = arguments.password.new_file() {
        lines.push(format!("the password of the file is in {}", file.display()));
    }
    lines.push(format!(
        "next: az keyvault certificate import --vault-name VAULT --name NAME --file {} --password \"$(cat PASSWORD-FILE)\"; then \
         remove the file",
        pfx.display()
    ));
    lines.join("\n")
}

/// The private key that belongs to the leaf certificate, among all keys of the files.
fn secret_of<'a>(leaf: &Certificate, bundles: &'a [Bundle]) -> Result<&'a Secret, String> {
    let all = || bundles.iter().flat_map(Bundle::keys_with_secrets);
    let own = all().find(|(key, _)| leaf.public_key() == Ok(key.public_key()));
    let kinds: Vec<String> = all().map(|(key, _)| key.kind().to_string()).collect();
    match own {
        Some((_, secret)) => Ok(secret),
        None if kinds.is_empty() => Err(format!(
            "there is no private key beside the certificate of {}: name the key with --key",
            leaf.subject()
        )),
        None => Err(format!(
            "the private key ({}) is not that of {leaf}: name the key that was made with this certificate, with --key",
            kinds.join(", ")
        )),
    }
}

/// Fails when Azure would refuse these certificates.
fn check(
    certificates: &[Certificate],
    keys: &[PublicKey],
    direction: CertificateDirection,
) -> Result<(), String> {
    let review = Review::of(certificates, keys, direction, clock::now().unix);
    if review.verdict() < ReviewVerdict::Fail {
        return Ok(());
    }
    let broken = review.findings().filter(|finding| finding.verdict == ReviewVerdict::Fail);
    let broken: String =
        broken.map(|finding| format!("\n{}", finding.to_string().trim_end())).collect();
    Err(format!("Azure would refuse these certificates; `s2sd pki show` explains them:{broken}"))
}
