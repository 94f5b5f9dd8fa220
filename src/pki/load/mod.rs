//! Files as people have them, to certificates, keys and revocation lists. The bytes are read by the
//! caller; nothing is trusted by being loaded.

use std::fmt;

use super::certificate::{Certificate, CertificateError};
use super::crl::{Crl, CrlError};
use super::pem::{self, PemFault, Section};
use super::pkcs12::{self, Password, Pkcs12Error};
use crate::crypto::Secret;
use crate::crypto::signature::{KeyError, KeyStore, PrivateKey, to_pkcs8};
use crate::der::{DerReader, Element, tag};

/// The largest file read, in octets: room for a big CRL in Base64.
pub const MAX_FILE_SIZE: usize = 8 * 1024 * 1024;

/// What a file holds, each kind in the file's order.
#[derive(Debug, Default)]
pub struct Bundle {
    /// The certificates, in the order of the file.
    pub certificates: Vec<Certificate>,
    /// The private keys.
    pub keys: Vec<PrivateKey>,
    /// Certificate revocation lists.
    pub crls: Vec<Crl>,
    /// The keys as PKCS#8, where they were asked for.
    secrets: Option<Vec<Secret>>,
    /// Where the private keys of the file go.
    key_store: KeyStore,
}

/// Why a file was not loaded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoadError {
    /// The file, as the caller calls it.
    pub file: String,
    /// The line of the section it is about, from 1, in a file of several.
    pub line: Option<usize>,
    /// What is wrong.
    pub fault: LoadFault,
}

impl LoadError {
    /// How to mend it.
    pub fn remedy(&self) -> String {
        self.fault.remedy()
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        write!(f, ": {}; {}", self.fault, self.remedy())
    }
}

impl std::error::Error for LoadError {}

/// What is wrong with a file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LoadFault {
    /// When it holds nothing that is known.
    #[error("it holds neither a certificate nor a key nor a CRL")]
    Nothing,
    /// When it is bigger than any such file.
    #[error("it has {0} octets; at most {MAX_FILE_SIZE} are read")]
    TooBig(usize),
    /// When a section has no end.
    #[error("the section {0} has no END line")]
    Unterminated(String),
    /// When a section is not Base64.
    #[error("the section {0} is not Base64")]
    Base64(String),
    /// When a certificate cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(CertificateError),
    /// When a CRL cannot be read.
    #[error("the CRL cannot be read: {0}")]
    Crl(CrlError),
    /// When a private key cannot be used.
    #[error("{0}")]
    Key(KeyError),
    /// When a section is of a kind that does not serve here.
    #[error("it holds a {0}, which does not serve here")]
    Unfit(String),
    /// When a private key that is encrypted by itself cannot be decrypted.
    #[error("the private key is encrypted, and {}", undecrypted(.0))]
    EncryptedKey(Pkcs12Error),
    /// When a PKCS#12 file comes without its password.
    #[error("it is a PKCS#12 file and no password file is configured for it")]
    PasswordMissing,
    /// When a PKCS#12 file cannot be opened.
    #[error("{0}")]
    Pkcs12(#[from] Pkcs12Error),
}

impl LoadFault {
    fn remedy(&self) -> String {
        match self {
            LoadFault::Nothing => "name a file in PEM, DER, Base-64 X.509 or PKCS#12 form".into(),
            LoadFault::TooBig(_) => "name the right file".into(),
            LoadFault::Unterminated(_) | LoadFault::Base64(_) => {
                "copy the whole section again, from BEGIN to END".into()
            }
            LoadFault::Certificate(_) => "export the certificate again as X.509".into(),
            LoadFault::Crl(_) => "fetch the authority's complete CRL".into(),
            LoadFault::Key(error) => error.remedy().into(),
            LoadFault::EncryptedKey(_) => {
                "check the password file; try `openssl pkey -in KEY -noout`, and decrypt the key with \
                 `openssl pkey -in KEY -out PLAIN` if that works"
                    .into()
            }
            LoadFault::Unfit(label) => unfit_remedy(label).into(),
            LoadFault::PasswordMissing => {
                "configure the file with its password, which may be empty".into()
            }
            LoadFault::Pkcs12(Pkcs12Error::Password) => {
                "check the password file; try `openssl pkcs12 -in FILE -noout`".into()
            }
            LoadFault::Pkcs12(Pkcs12Error::PasswordEncoding) => {
                "write the password file in UTF-8".into()
            }
            LoadFault::Pkcs12(_) => {
                "convert it: `openssl pkcs12 -in FILE -nodes -out BUNDLE.pem` (add -legacy for old \
                 files) and name the PEM file"
                    .into()
            }
        }
    }
}

/// Why a private key could not be decrypted; the errors of PKCS#12 speak of its files.
fn undecrypted(error: &Pkcs12Error) -> String {
    match error {
        Pkcs12Error::Unsupported(what) => format!("with {what}, which is not supported"),
        Pkcs12Error::Iterations(rounds) => format!("with {rounds} rounds of key derivation"),
        Pkcs12Error::PasswordEncoding => "the password is not UTF-8".to_owned(),
        _ => "the password does not decrypt it".to_owned(),
    }
}

fn unfit_remedy(label: &str) -> &'static str {
    match label {
        "TRUSTED CERTIFICATE" => "convert it: `openssl x509 -in FILE -out CERT`",
        "PKCS7" | "PKCS #7" => {
            "convert it: `openssl pkcs7 -in FILE -print_certs -out BUNDLE` (-inform DER for .p7b)"
        }
        "OPENSSH PRIVATE KEY" => "convert it: `ssh-keygen -p -m PKCS8 -f FILE`",
        _ => "have the authority sign it, and name the certificate that comes back",
    }
}

impl Bundle {
    /// Reads a file: PEM with any number of sections and any text between, DER, Windows' Base-64
    /// without headers, or PKCS#12 with its password as the bytes of a password file. `file` is
    /// what messages call it.
    pub fn read(bytes: &[u8], password: Option<&[u8]>, file: &str) -> Result<Bundle, LoadError> {
        Bundle::default().fill(bytes, password, file)
    }

    /// The same, with the private keys of the file put into `key_store`.
    pub fn read_into(
        key_store: &KeyStore,
        bytes: &[u8],
        password: Option<&[u8]>,
        file: &str,
    ) -> Result<Bundle, LoadError> {
        let bundle = Bundle { key_store: key_store.clone(), ..Bundle::default() };
        bundle.fill(bytes, password, file)
    }

    /// The same, with the keys kept as PKCS#8 too, for who wants to put them into another file.
    pub fn read_with_secrets(
        bytes: &[u8],
        password: Option<&[u8]>,
        file: &str,
    ) -> Result<Bundle, LoadError> {
        let bundle = Bundle { secrets: Some(Vec::new()), ..Bundle::default() };
        bundle.fill(bytes, password, file)
    }

    /// The private keys with their PKCS#8; nothing when the file was read without.
    pub fn keys_with_secrets(&self) -> impl Iterator<Item = (&PrivateKey, &Secret)> {
        self.keys.iter().zip(self.secrets.iter().flatten())
    }

    fn fill(
        mut self,
        bytes: &[u8],
        password: Option<&[u8]>,
        file: &str,
    ) -> Result<Bundle, LoadError> {
        let at = |line| move |fault| LoadError { file: file.to_owned(), line, fault };
        let bundle = &mut self;
        if bytes.len() > MAX_FILE_SIZE {
            return Err(at(None)(LoadFault::TooBig(bytes.len())));
        }
        if is_der(bytes) {
            bundle.take_der(bytes, password).map_err(at(None))?;
            return Ok(self);
        }
        let text = pem::text(bytes);
        for section in pem::sections(&text) {
            let line = Some(section.line);
            bundle.take_section(section, password).map_err(at(line))?;
        }
        if bundle.is_empty() {
            for der in pem::bare(&text).unwrap_or_default() {
                bundle.take_der(&der, password).map_err(at(None))?;
            }
        }
        if bundle.is_empty() { Err(at(None)(LoadFault::Nothing)) } else { Ok(self) }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty() && self.keys.is_empty() && self.crls.is_empty()
    }

    fn take_section(&mut self, section: Section, password: Option<&[u8]>) -> Result<(), LoadFault> {
        let Section { label, content, .. } = section;
        let content = match content {
            Ok(content) => content,
            Err(PemFault::Encrypted) => return Err(LoadFault::Key(KeyError::Encrypted)),
            Err(PemFault::Unterminated) => return Err(LoadFault::Unterminated(label)),
            Err(PemFault::Base64) => return Err(LoadFault::Base64(label)),
        };
        match label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => self.take_certificate(&content),
            "X509 CRL" | "CRL" => self.take_crl(&content),
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => {
                self.take_written_key(&content, password)
            }
            "TRUSTED CERTIFICATE"
            | "CERTIFICATE REQUEST"
            | "NEW CERTIFICATE REQUEST"
            | "PKCS7"
            | "PKCS #7"
            | "OPENSSH PRIVATE KEY" => Err(LoadFault::Unfit(label)),
            // Curve parameters, public keys and whatever else stands in bundles.
            _ => Ok(()),
        }
    }

    /// DER tells what it is by its shape.
    fn take_der(&mut self, der: &[u8], password: Option<&[u8]>) -> Result<(), LoadFault> {
        if pkcs12::is_pkcs12(der) {
            let password = password.ok_or(LoadFault::PasswordMissing)?;
            return self.take_pkcs12(der, password);
        }
        match shape(der)[..] {
            [tag::OID, ..] => Err(LoadFault::Unfit("PKCS7".to_owned())),
            [tag::INTEGER, ..] | [tag::SEQUENCE, tag::OCTET_STRING, ..] => {
                self.take_written_key(der, password)
            }
            _ if is_crl(der) => self.take_crl(der),
            _ => self.take_certificate(der),
        }
    }

    fn take_pkcs12(&mut self, der: &[u8], password: &[u8]) -> Result<(), LoadFault> {
        let contents = pkcs12::open(der, &Password::new(password)?)?;
        contents.certificates.iter().try_for_each(|der| self.take_certificate(der))?;
        contents.keys.iter().try_for_each(|key| self.take_key(key))
    }

    fn take_certificate(&mut self, der: &[u8]) -> Result<(), LoadFault> {
        self.certificates.push(Certificate::from_der(der).map_err(LoadFault::Certificate)?);
        Ok(())
    }

    /// A key as a file has it: encrypted with the password, or not.
    fn take_written_key(&mut self, der: &[u8], password: Option<&[u8]>) -> Result<(), LoadFault> {
        match password.filter(|_| pkcs12::is_encrypted_key(der)) {
            Some(password) => {
                let opened = pkcs12::decrypt_key(der, &Password::new(password)?);
                self.take_key(&opened.map_err(LoadFault::EncryptedKey)?)
            }
            None => self.take_key(der),
        }
    }

    fn take_key(&mut self, der: &[u8]) -> Result<(), LoadFault> {
        self.keys.push(self.key_store.read(der).map_err(LoadFault::Key)?);
        if let Some(secrets) = &mut self.secrets {
            secrets.push(to_pkcs8(der).map_err(LoadFault::Key)?);
        }
        Ok(())
    }

    fn take_crl(&mut self, der: &[u8]) -> Result<(), LoadFault> {
        self.crls.push(Crl::from_der(der).map_err(LoadFault::Crl)?);
        Ok(())
    }
}

/// Whether a file is binary and not text: one whole SEQUENCE, or the start of one longer than text
/// could pass for.
fn is_der(bytes: &[u8]) -> bool {
    let mut reader = DerReader::new(bytes);
    let whole = matches!(reader.any(), Ok(Element { tag: tag::SEQUENCE, .. })) && reader.is_empty();
    whole || matches!(bytes, [tag::SEQUENCE, 0x80..=0xff, ..])
}

/// The tags of the first elements inside the outer SEQUENCE.
fn shape(der: &[u8]) -> Vec<u8> {
    tags(DerReader::new(der).read(tag::SEQUENCE).unwrap_or_default())
}

/// Whether it is a CRL, which has the outer shape of a certificate: a date stands third inside, or
/// fourth behind a version (RFC 5280 §5.1). There a certificate has sequences alone (§4.1).
fn is_crl(der: &[u8]) -> bool {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let body = DerReader::new(der)
        .read(tag::SEQUENCE)
        .and_then(|outer| DerReader::new(outer).read(tag::SEQUENCE));
    let tags = tags(body.unwrap_or_default());
    let fields = tags.strip_prefix(&[tag::INTEGER]).unwrap_or(&tags);
    matches!(fields, [tag::SEQUENCE, tag::SEQUENCE, UTC_TIME | GENERALIZED_TIME, ..])
}

/// The tags of the first elements.
fn tags(content: &[u8]) -> Vec<u8> {
    let mut reader = DerReader::new(content);
    std::iter::from_fn(|| reader.any().ok().map(|element| element.tag)).take(4).collect()
}

#[cfg(test)]
mod tests;
