//! The directory of the certificates: file names, renewals, and the authorities to issue by.

use std::io;
use std::path::{Path, PathBuf};

use super::bundle::{self, Pkcs12Password};
use super::file;
use crate::certs::issue::Authority;
use crate::pki::certificate::Certificate;
use crate::pki::chain::{above, is_authority};
use crate::pki::name::Name;
use crate::time::UnixTime;

/// A directory that exists.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// An authority to issue by, with its issuers.
#[derive(Debug)]
pub struct Issuer {
    /// The authority.
    pub authority: Authority,
    /// The authority's issuers in order; the root is last if known.
    pub above: Vec<Certificate>,
}

/// The names of a certificate's three files.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The path of the private key.
    pub key: PathBuf,
    /// The path of the file with the certificate and its issuers.
    pub pem: PathBuf,
    /// The path of the file with the certificate alone.
    pub cer: PathBuf,
}

impl Folder {
    /// Opens an existing directory.
    pub fn open(path: &Path) -> Result<Folder, String> {
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => Ok(Folder(path.to_owned())),
            Ok(_) => {
                Err(format!("{} is no directory: name a directory with --dir", path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = path.display();
                Err(format!("the directory {path} does not exist: mkdir -m 700 {path}"))
            }
            Err(error) => Err(file::cannot_read(path, &error)),
        }
    }

    /// The files of the certificate with this name. A character that does not fit into a file name
    /// becomes a dash.
    pub fn names(&self, name: &str) -> Result<CertificateFiles, String> {
        if !name.contains(char::is_alphanumeric) {
            return Err(format!(
                "\"{name}\" has neither a letter nor a digit, and the files are named after it: choose another name"
            ));
        }
        let fit = |c: char| if c.is_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let stem: String = name.chars().map(fit).collect();
        let stem = stem.trim_start_matches('.');
        let file = |end: &str| self.0.join(format!("{stem}.{end}"));
        Ok(CertificateFiles { key: file("key"), pem: file("pem"), cer: file("cer") })
    }

    /// The files of a certificate's latest renewal, and those of its next one.
    pub fn renewal(&self, name: &str) -> Result<(CertificateFiles, CertificateFiles), String> {
        let mut latest = self.names(name)?;
        if !latest.pem.exists() {
            return Err(format!(
                "there is no {} to renew: leave --renew out, or name the directory with --dir",
                latest.pem.display()
            ));
        }
        let mut number = 2_u32;
        loop {
            let next = self.names(&format!("{name}-{number}"))?;
            if next.iter().all(|path| !path.exists()) {
                return Ok((latest, next));
            }
            // An unrelated certificate may have been issued under a name like `NAME-2`.
            if first_of(&next.pem).is_some_and(|certificate| is_called(&certificate, name)) {
                latest = next;
            }
            number += 1;
        }
    }

    /// The certificates of all authorities in the directory, with or without their keys.
    pub fn authorities(&self) -> Vec<(PathBuf, Certificate)> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "pem"));
        paths.sort();
        let authority = |path: PathBuf| {
            let certificate = first_of(&path)?;
            is_authority(&certificate).then_some((path, certificate))
        };
        paths.into_iter().filter_map(authority).collect()
    }

    /// The authority to issue by: the named one, else the only one in the directory with a key, and
    /// with this subject if given.
    pub fn issuer(
        &self,
        by: Option<&str>,
        key: Option<&Path>,
        password: &Pkcs12Password,
        subject: Option<&Name>,
        now: UnixTime,
    ) -> Result<Issuer, String> {
        let pem = match by {
            Some(name) => self.find(name)?,
            None => self.only_authority(subject)?,
        };
        let mut bundle = bundle::read(&pem, password)?;
        let certificate = bundle.certificates.first().cloned().ok_or_else(|| {
            format!(
                "{} holds no certificate: name the file of the authority's certificate",
                pem.display()
            )
        })?;
        let key = match (key, bundle.keys.is_empty()) {
            (None, false) => bundle.keys.remove(0),
            (path, _) => {
                let path = path.map_or_else(|| pem.with_extension("key"), Path::to_owned);
                let keys = bundle::read(&path, password)?.keys;
                let none = || format!("{} holds no private key", path.display());
                keys.into_iter().next().ok_or_else(none)?
            }
        };
        let mut pool = bundle.certificates;
        pool.extend(self.authorities().into_iter().map(|(_, certificate)| certificate));
        let above = above(&certificate, &pool);
        let authority = Authority::new(certificate, key, now)
            .map_err(|error| format!("{error}; {}", error.remedy()))?;
        Ok(Issuer { authority, above })
    }

    /// The file that an operator names: by its path, or by the name of a certificate in the
    /// directory.
    pub fn find(&self, word: &str) -> Result<PathBuf, String> {
        let path = PathBuf::from(word);
        // A pipe is accepted too.
        if path.exists() && !path.is_dir() {
            return Ok(path);
        }
        let missing = || format!("there is no file {word}: name a certificate's file");
        let named = self.names(word).map_err(|_| missing())?.pem;
        if !word.contains('/') && named.is_file() {
            Ok(named)
        } else {
            Err(format!(
                "there is neither a file {word} nor a {}: name a certificate's file, or its directory with --dir",
                named.display()
            ))
        }
    }

    fn only_authority(&self, subject: Option<&Name>) -> Result<PathBuf, String> {
        let wanted = |c: &Certificate| subject.is_none_or(|subject| c.subject() == subject);
        let all = self.authorities();
        let fit: Vec<&PathBuf> =
            all.iter().filter(|(_, c)| wanted(c)).map(|(path, _)| path).collect();
        let with_key: Vec<&&PathBuf> =
            fit.iter().filter(|path| path.with_extension("key").exists()).collect();
        let folder = self.0.display();
        let who = subject.map(|subject| format!(" {subject}")).unwrap_or_default();
        match (&with_key[..], fit.first()) {
            ([only], _) => Ok((***only).clone()),
            ([], None) => Err(format!(
                "there is no authority{who} in {folder}: create one with `s2sd pki init`, or name its directory with --dir, or its \
                 certificate with --by"
            )),
            ([], Some(pem)) => Err(format!(
                "{} has no key beside it: copy the key to {}, or name the key with --by-key",
                pem.display(),
                pem.with_extension("key").display()
            )),
            (several, _) => {
                let names: Vec<String> = several.iter().map(|p| p.display().to_string()).collect();
                Err(format!(
                    "there are several authorities: choose one with --by: {}",
                    names.join(", ")
                ))
            }
        }
    }
}

/// Whether the certificate's subject is this common name and nothing else.
pub fn is_called(certificate: &Certificate, name: &str) -> bool {
    certificate.subject().to_string() == format!("CN={name}")
}

/// The first certificate of a file, or `None` when the file has none or cannot be read.
fn first_of(path: &Path) -> Option<Certificate> {
    let bundle = bundle::read(path, &Pkcs12Password::none()).ok()?;
    bundle.certificates.into_iter().next()
}

impl CertificateFiles {
    /// All three paths.
    pub fn iter(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.key, &self.pem, &self.cer].into_iter()
    }
}
