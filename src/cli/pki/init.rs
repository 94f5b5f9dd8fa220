//! `s2sd pki init`: creates a root certificate.

use super::folder::{CertificateFiles, Folder};
use super::new_files::{NewFiles, PRIVATE, PUBLIC};
use super::{Directory, Strength};
use crate::certs::issue::{CertificateKind, CertificateOrder};
use crate::certs::text;
use crate::crypto::Secret;
use crate::crypto::signature::rsa_key;
use crate::pki::certificate::Certificate;
use crate::pki::common_name::CommonName;
use crate::sys::clock;
use crate::sys::random::SystemRng;

/// The arguments of `s2sd pki init`.
#[derive(clap::Args, Debug)]
pub struct PkiInitArguments {
    /// The common name of the root; its files are named after it.
    #[arg(long, value_name = "NAME", default_value = "VPNRootCA01")]
    cn: CommonName,
    /// How many intermediate authorities may stand between the root and a leaf certificate.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pathlen: u8,
    #[command(flatten)]
    strength: Strength,
    #[command(flatten)]
    directory: Directory,
}

/// Creates the files of a root certificate, and returns the text to print.
pub fn init(arguments: &PkiInitArguments) -> Result<String, String> {
    let names = Folder::open(&arguments.directory.dir)?.names(arguments.cn.as_str())?;
    let mut batch = NewFiles::check(names.iter(), "take another --cn or --dir")?;
    let mut rng = SystemRng::default();
    let size = arguments.strength.key_size.into();
    let (key, secret) = rsa_key::make(&mut rng, size).map_err(|error| error.to_string())?;
    let order = CertificateOrder {
        name: arguments.cn.clone(),
        months: arguments.strength.months,
        kind: CertificateKind::Authority { path_len: arguments.pathlen },
    };
    let root = order
        .self_signed(&key, clock::now().unix, &mut rng)
        .map_err(|error| format!("{error}; {}", error.remedy()))?;
    write(&mut batch, &names, &secret, std::slice::from_ref(&root))?;
    batch.keep();
    Ok(format!(
        "created the root {}, {}, valid until {}\n{}\nnext: s2sd pki issue inbound --cn NAME, and outbound",
        root.subject(),
        key.kind(),
        root.not_after(),
        list(
            &names,
            "the certificate: for outbound_certificate_roots in s2sd.toml if it issues Azure's certificate"
        )
    ))
}

/// Writes the three files of a certificate, which is the first of `path`.
pub fn write(
    batch: &mut NewFiles,
    names: &CertificateFiles,
    secret: &Secret,
    path: &[Certificate],
) -> Result<(), String> {
    batch.write(&names.key, PRIVATE, text::key_pem(secret).as_bytes())?;
    let pem: String = path.iter().map(text::pem).collect();
    batch.write(&names.pem, PUBLIC, pem.as_bytes())?;
    let cer = path.first().map(text::cer).unwrap_or_default();
    batch.write(&names.cer, PUBLIC, cer.as_bytes())
}

/// The names of the three files, each with its use.
pub fn list(names: &CertificateFiles, pem: &str) -> String {
    let line =
        |path: &std::path::Path, what: &str| format!("  {:<34} {what}", path.display().to_string());
    [
        line(&names.key, "the private key, readable by its owner only; keep it secret"),
        line(&names.pem, pem),
        line(
            &names.cer,
            "the certificate alone, Base64 on one line, for Azure's portal and for Windows",
        ),
    ]
    .join("\n")
}
