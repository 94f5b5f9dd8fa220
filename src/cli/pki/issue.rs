//! `s2sd pki issue`: issues and renews leaf and intermediate certificates.

use std::path::PathBuf;

use clap::ValueEnum;

use super::bundle::{self, Pkcs12Password};
use super::folder::{CertificateFiles, Folder, Issuer, is_called};
use super::new_files::NewFiles;
use super::{Directory, Strength, init};
use crate::certs::issue::{AltNameError, CertificateKind, CertificateOrder, alt_name};
use crate::crypto::signature::{KeyKind, rsa_key};
use crate::pki::certificate::{AltName, Certificate};
use crate::pki::common_name::CommonName;
use crate::sys::clock;
use crate::sys::random::SystemRng;
use crate::time::UnixTime;

/// The seconds of a day.
const DAY: u64 = 86_400;

/// The arguments of `s2sd pki issue`.
#[derive(clap::Args, Debug)]
pub struct PkiIssueArguments {
    /// What the certificate is for, seen from Azure.
    #[arg(value_name = "WHAT")]
    what: IssuedKind,
    /// The common name of the certificate; its files are named after it.
    #[arg(long, value_name = "NAME")]
    cn: CommonName,
    /// A subject alternative name, which Azure does not need; may be repeated.
    #[arg(long, value_name = "NAME", value_parser = san)]
    san: Vec<AltName>,
    /// How many further authorities may stand between this intermediate and a leaf certificate.
    #[arg(long, value_name = "N")]
    pathlen: Option<u8>,
    /// The authority that signs: its name in the directory, or the file of its certificate.
    /// Required when there are several.
    #[arg(long, value_name = "AUTHORITY")]
    by: Option<String>,
    /// The file of the authority's key, unless the key is beside the certificate.
    #[arg(long, value_name = "FILE", requires = "by")]
    by_key: Option<PathBuf>,
    /// The file with the password of the authority's PKCS#12 file.
    #[arg(long, value_name = "FILE", requires = "by")]
    by_password_file: Option<PathBuf>,
    /// Renew: issue a certificate with the same subject and a new key, as NAME-2, NAME-3, ...
    #[arg(long)]
    renew: bool,
    #[command(flatten)]
    strength: Strength,
    #[command(flatten)]
    directory: Directory,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum IssuedKind {
    /// The certificate of this device, presented to Azure.
    Inbound,
    /// The certificate of Azure's gateway, kept in Key Vault.
    Outbound,
    /// The certificate of an authority below the root.
    Intermediate,
}

/// Reads the value of `--san`.
pub fn san(text: &str) -> Result<AltName, AltNameError> {
    alt_name(text)
}

/// Issues a certificate, and returns the text to print.
pub fn issue(arguments: &PkiIssueArguments) -> Result<String, String> {
    let folder = Folder::open(&arguments.directory.dir)?;
    let now = clock::now().unix;
    let (old, names) = plan(arguments, &folder)?;
    let remedy = "choose another --cn or --dir, or add --renew to renew the certificate";
    let mut batch = NewFiles::check(names.iter(), remedy)?;
    let order = order(arguments, old.as_ref())?;
    let subject = old.as_ref().map(Certificate::issuer);
    let by_key = arguments.by_key.as_deref();
    let unlock = Pkcs12Password::read("--by-password-file", arguments.by_password_file.as_deref())?;
    let issuer = folder.issuer(arguments.by.as_deref(), by_key, &unlock, subject, now)?;
    let mut rng = SystemRng::default();
    let size = arguments.strength.key_size.into();
    let (key, secret) = rsa_key::make(&mut rng, size).map_err(|error| error.to_string())?;
    let made = issuer
        .authority
        .issue(&order, key.public_key(), now, &mut rng)
        .map_err(|error| format!("{error}; {}", error.remedy()))?;
    let mut path = vec![made.clone(), issuer.authority.certificate().clone()];
    path.extend(issuer.above.iter().cloned());
    init::write(&mut batch, &names, &secret, &path)?;
    batch.keep();
    let wanted = order.end(now).map_err(|error| error.to_string())?;
    Ok([
        headline(arguments.what, &made, key.kind(), &issuer),
        init::list(&names, pem_use(arguments.what)),
        notes(&made, &issuer, wanted, order.months),
        next(arguments.what, &names, &made, old.as_ref(), &issuer),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join("\n"))
}

/// The certificate to renew, with `--renew`, and the files of the new certificate.
fn plan(
    arguments: &PkiIssueArguments,
    folder: &Folder,
) -> Result<(Option<Certificate>, CertificateFiles), String> {
    let name = arguments.cn.as_str();
    if !arguments.renew {
        return Ok((None, folder.names(name)?));
    }
    let (latest, next) = folder.renewal(name)?;
    let pem = latest.pem.display().to_string();
    let old = bundle::read(&latest.pem, &Pkcs12Password::none())?.certificates.into_iter().next();
    let old = old.ok_or_else(|| format!("{pem} holds no certificate to renew"))?;
    if !is_called(&old, name) {
        return Err(format!(
            "{pem} has the subject {}, which is not just CN={name}: renew the certificate with the authority that issued it",
            old.subject()
        ));
    }
    let authority = arguments.what == IssuedKind::Intermediate;
    if old.is_ca() != authority {
        return Err(format!(
            "{pem} is {} authority's certificate: choose another WHAT",
            if authority { "no" } else { "an" }
        ));
    }
    Ok((Some(old), next))
}

/// The certificate to issue; a renewal keeps what the arguments do not change.
fn order(
    arguments: &PkiIssueArguments,
    old: Option<&Certificate>,
) -> Result<CertificateOrder, String> {
    let kind = match (arguments.what, arguments.pathlen) {
        (IssuedKind::Intermediate, _) if !arguments.san.is_empty() => {
            return Err("an authority needs no alternative name: leave --san out".to_owned());
        }
        (IssuedKind::Intermediate, given) => {
            let before = old.and_then(Certificate::basic_constraints).and_then(|c| c.path_len);
            let before = before.and_then(|length| u8::try_from(length).ok());
            CertificateKind::Authority { path_len: given.or(before).unwrap_or(0) }
        }
        (_, Some(_)) => {
            return Err("--pathlen is for an intermediate only: leave it out".to_owned());
        }
        (_, None) => {
            let before = || old.map(|old| old.alt_names().to_vec()).unwrap_or_default();
            let given = Some(arguments.san.clone()).filter(|given| !given.is_empty());
            CertificateKind::Leaf { alt_names: given.unwrap_or_else(before) }
        }
    };
    Ok(CertificateOrder { name: arguments.cn.clone(), months: arguments.strength.months, kind })
}

fn headline(what: IssuedKind, made: &Certificate, key: KeyKind, issuer: &Issuer) -> String {
    let what = match what {
        IssuedKind::Inbound => "inbound certificate (ours)",
        IssuedKind::Outbound => "outbound certificate (Azure's)",
        IssuedKind::Intermediate => "intermediate",
    };
    let by = issuer.authority.certificate().subject();
    format!(
        "created the {what} {}, {key}, valid until {}, issued by {by}",
        made.subject(),
        made.not_after()
    )
}

fn pem_use(what: IssuedKind) -> &'static str {
    match what {
        IssuedKind::Inbound => {
            "the certificate and its issuers: for inbound_certificate in s2sd.toml"
        }
        IssuedKind::Outbound | IssuedKind::Intermediate => "the certificate and its issuers",
    }
}

fn notes(made: &Certificate, issuer: &Issuer, wanted: UnixTime, months: u16) -> String {
    let mut notes = Vec::new();
    // A certificate with the root's own lifetime expires some minutes early; that needs no note.
    if made.not_after().0 + DAY < wanted.0 {
        notes.push(format!(
            "note: the certificate expires with its issuer, before {months} months are over"
        ));
    }
    let top = issuer.above.last().unwrap_or(issuer.authority.certificate());
    if !top.is_self_issued() {
        notes.push(format!(
            "note: the root {} is not in the directory, so NAME.pem ends below the root",
            top.issuer()
        ));
    }
    notes.join("\n")
}

fn next(
    what: IssuedKind,
    names: &CertificateFiles,
    made: &Certificate,
    old: Option<&Certificate>,
    issuer: &Issuer,
) -> String {
    let pem = names.pem.display();
    let name = made.subject().common_name().unwrap_or_default();
    let same_issuer = old.is_some_and(|old| old.is_signed_by(issuer.authority.certificate()));
    match what {
        IssuedKind::Inbound if same_issuer => format!(
            "next: name {pem} and its key in s2sd.toml, and run `s2sd reload`; subject and issuer are the same, so nothing changes in \
             Azure\n\
             with inbound_private_key = \"credential:inbound.key\", systemd hands the key over at a start alone: install -m 600 {} \
             /etc/s2sd/private/inbound.key, name {pem} in s2sd.toml, and run `systemctl restart s2sd`, which keeps the tunnels up",
            names.key.display()
        ),
        IssuedKind::Inbound => format!(
            "next: s2sd pki export --azure-chain {pem} prints inboundAuthCertificateChain; inboundAuthCertificateSubjectName is {name}"
        ),
        IssuedKind::Outbound => {
            let url = match old {
                Some(_) => {
                    " as a new version; then set the connection's outboundAuthCertificate to the new version"
                }
                None => "",
            };
            let pfx = names.pem.with_extension("pfx");
            format!(
                "next: s2sd pki export --pfx {} {pem}, and import the .pfx file into Key Vault{url}",
                pfx.display()
            )
        }
        IssuedKind::Intermediate => {
            format!(
                "next: s2sd pki issue inbound --cn NAME --by {pem}; then update the chain in Azure"
            )
        }
    }
}
