//! `s2sd pki csr`: a certificate request for an authority that others run.

use super::folder::Folder;
use super::issue::san;
use super::new_files::{NewFiles, PRIVATE, PUBLIC};
use super::{Directory, KeySize};
use crate::certs::issue::IssuanceRequest;
use crate::certs::text;
use crate::crypto::signature::rsa_key;
use crate::pki::certificate::AltName;
use crate::pki::common_name::CommonName;
use crate::sys::random::SystemRng;

/// The arguments of `s2sd pki csr`.
#[derive(clap::Args, Debug)]
pub struct PkiCsrArguments {
    /// The common name of the certificate; the files are named after it.
    #[arg(long, value_name = "NAME")]
    cn: CommonName,
    /// A subject alternative name, which Azure does not need; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = san)]
    san: Vec<AltName>,
    /// The size of the RSA key in bits.
    #[arg(long, value_name = "BITS", default_value = "2048")]
    key_size: KeySize,
    #[command(flatten)]
    directory: Directory,
}

/// Makes a private key and the request for its certificate, and returns the text to print.
pub fn csr(arguments: &PkiCsrArguments) -> Result<String, String> {
    let names = Folder::open(&arguments.directory.dir)?.names(arguments.cn.as_str())?;
    let request = names.key.with_file_name(file_name(&names.key));
    let remedy = "choose another --cn or --dir; a renewal has a key and a request of its own";
    let mut batch = NewFiles::check([&names.key, &request], remedy)?;
    let mut rng = SystemRng::default();
    let size = arguments.key_size.into();
    let (key, secret) = rsa_key::make(&mut rng, size).map_err(|error| error.to_string())?;
    let wanted = IssuanceRequest { name: arguments.cn.clone(), alt_names: arguments.san.clone() };
    let der = wanted.signed(&key).map_err(|error| format!("{error}; {}", error.remedy()))?;
    batch.write(&names.key, PRIVATE, text::key_pem(&secret).as_bytes())?;
    batch.write(&request, PUBLIC, text::request_pem(&der).as_bytes())?;
    batch.keep();
    let (key_file, request, pem) = (names.key.display(), request.display(), names.pem.display());
    Ok(format!(
        "created a request for CN={}, {}\n  {:<34} the private key, readable by its owner only; keep it secret\n  {:<34} the request, for the authority; nothing in it is secret\n\
         next: have the authority issue a certificate for server and client authentication from the request, with the subject \
         CN={} and nothing else\n\
         then: put the certificate and its issuers up to the root into {pem}; `s2sd pki show {pem}` looks at them, \
         `s2sd pki export --azure-chain {pem}` prints what Azure wants",
        arguments.cn.as_str(),
        key.kind(),
        key_file.to_string(),
        request.to_string(),
        arguments.cn.as_str(),
    ))
}

/// `NAME.csr` for `NAME.key`; the name may have a dot.
fn file_name(key: &std::path::Path) -> String {
    let stem = key.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    format!("{}.csr", stem.unwrap_or_default())
}
