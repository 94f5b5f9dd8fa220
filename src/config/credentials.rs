//! Certificates, keys and revocation lists of one connection, read from the files that it names,
//! and everything that can be checked of them before a gateway is dialled.
//!
//! An error is reported at the key that names the file. A connection with an error in its files has
//! no credentials and is not dialled; other connections are.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use toml::Spanned;

use super::algorithm::InboundIdentity;
use super::diagnostic::TextSpan;
use super::facts::{CertificateFacts, CredentialFacts};
use super::file::{FileContent, Files};
use super::reader::{ConfigReader, List, ReadKey};
use super::resolve;
use super::rules::holds_key;
use super::schema::CertificateAuthentication;
use super::value::FileRef;
use crate::crypto::signature::{KeyError, KeyStore, PublicKey};
use crate::ike::authenticator::certificates::CertificateAuthenticator;
use crate::pki::TrustRefusal;
use crate::pki::auth::{AuthPolicy, DigitalSignatures, Sha1Policy};
use crate::pki::certificate::Certificate;
use crate::pki::crl::Crl;
use crate::pki::identity::{Expectation, Id};
use crate::pki::load::{Bundle, LoadFault};
use crate::pki::own_identity::{Expiry, OwnError, OwnIdentity, Warning, expiry};
use crate::pki::path::{CrlDemand, Roots, Trust};
use crate::time::UnixTime;

/// What a connection authenticates itself with, and what it checks the gateway against.
#[derive(Debug)]
pub struct Credentials {
    /// Our certificate, its issuers and its key.
    pub own: OwnIdentity,
    /// The kind of ID that we send.
    pub identity: InboundIdentity,
    /// The roots, CRLs and thumbprints that gateways are checked against.
    pub trust: Trust,
    /// The names that the gateway must have.
    pub expectation: Expectation,
    /// How AUTH payloads are signed and verified.
    pub auth: AuthPolicy,
}

impl Credentials {
    /// The credentials in the engine's form. `address` is the site's public address, if it is
    /// known, for `inbound_identity = "address"`. Without the chosen address or common name the ID
    /// is the certificate's subject, which Azure asks for anyway.
    pub fn certificates(self, address: Option<IpAddr>) -> CertificateAuthenticator {
        let by_choice = match self.identity {
            InboundIdentity::Subject => None,
            InboundIdentity::Address => address.map(Id::from),
            InboundIdentity::Fqdn => self.own.host_id(),
        };
        let id = by_choice.unwrap_or_else(|| self.own.id());
        let Credentials { own, trust, expectation: expected, auth: policy, .. } = self;
        let own = Rc::new(own);
        let signed = RefCell::default();
        CertificateAuthenticator { own, id, trust, expected, policy, signed }
    }
}

/// Reads the revocation lists of one connection again, without the rest of its files.
pub fn read_crls(files: &dyn Files, names: &[FileRef]) -> Result<Vec<Crl>, String> {
    let mut crls = Vec::new();
    for name in names {
        let content =
            files.read(name).map_err(|error| format!("{name} cannot be read: {error}"))?;
        let bundle = Bundle::read(&content.bytes, None, &name.to_string())
            .map_err(|error| format!("{}: {}; {}", error.file, error.fault, error.remedy()))?;
        if bundle.crls.is_empty() {
            return Err(format!("{name} holds no revocation list"));
        }
        crls.extend(bundle.crls);
    }
    Ok(crls)
}

/// Loads the files of one connection.
pub(super) struct Loader<'a, 'r> {
    files: &'a dyn Files,
    key_store: &'a KeyStore,
    now: UnixTime,
    reader: &'a mut ConfigReader<'r>,
}

/// The most certificates that Azure takes as the chain of ours.
const CHAIN_MAX: usize = 5;

impl<'a, 'r> Loader<'a, 'r> {
    pub(super) fn new(
        files: &'a dyn Files,
        key_store: &'a KeyStore,
        now: UnixTime,
        reader: &'a mut ConfigReader<'r>,
    ) -> Self {
        Loader { files, key_store, now, reader }
    }

    /// Loads the credentials; what is known of the certificates is given even without credentials.
    pub(super) fn load(
        &mut self,
        file: &CertificateAuthentication,
        addresses: Vec<IpAddr>,
    ) -> (Option<Credentials>, CredentialFacts) {
        let own = self.own(file);
        let roots = self.roots(file);
        let crls = self.crls(file, roots.as_ref());
        let pinned = self.certificates(&file.outbound_certificate_pinned);
        let intermediates = self.certificates(&file.outbound_certificate_intermediates);
        if let (Some(own), Some(_)) = (&own, &roots) {
            self.check_names(file, own);
        }
        let facts = CredentialFacts {
            inbound: own.iter().flat_map(|own| own.certificates()).map(|c| self.facts(c)).collect(),
            roots: roots.iter().flat_map(|r| r.certificates()).map(|c| self.facts(c)).collect(),
            pinned: pinned.iter().flatten().map(|c| self.facts(c)).collect(),
            intermediates: intermediates.iter().flatten().map(|c| self.facts(c)).collect(),
            crls: crls.as_ref().map_or(0, Vec::len),
            lists: crls.clone().unwrap_or_default(),
        };
        let credentials = || -> Option<Credentials> {
            let settings = resolve::authentication(file)?;
            let mut trust = Trust::new(roots?);
            trust.crls = crls?;
            if settings.require_crls {
                trust.crl_demand = CrlDemand::Always;
            }
            trust.revoked = file.revoked_thumbprints.items().iter().map(|t| *t.get_ref()).collect();
            trust.intermediates = intermediates?;
            let mut expectation = Expectation::new(settings.rule()?);
            expectation.addresses = addresses;
            expectation.id = settings.remote_identity.map(|id| id.value().clone());
            expectation.pinned = pinned?;
            Some(Credentials {
                own: own?,
                identity: *file.inbound_identity.value()?,
                trust,
                expectation,
                auth: policy(file)?,
            })
        };
        (credentials(), facts)
    }

    fn facts(&self, certificate: &Certificate) -> CertificateFacts {
        CertificateFacts::of(certificate, self.now)
    }

    /// Our own certificate with its key.
    fn own(&mut self, file: &CertificateAuthentication) -> Option<OwnIdentity> {
        let password = match file.inbound_password_file.spanned() {
            Some(password) => Some(self.content(password)?),
            None => None,
        };
        let certificate = file.inbound_certificate.spanned()?;
        let key = file.inbound_private_key.spanned();
        if key.is_none() && file.inbound_private_key.present() {
            return None;
        }
        // Both files are read before either fails: an operator mends all in one go.
        let bundle = self.bundle(certificate, password.as_ref());
        let of_key = key.map(|key| self.bundle(key, password.as_ref()));
        let (mut bundle, of_key) = (bundle?, of_key.map_or(Some(None), |read| read.map(Some))?);
        if let (Some(key), Some(more)) = (key, of_key) {
            if !self.check_kinds((certificate, &bundle), (key, &more)) {
                return None;
            }
            bundle.keys.extend(more.keys);
            bundle.certificates.extend(more.certificates);
        }
        let given = bundle.certificates.clone();
        match OwnIdentity::from_bundle(bundle) {
            Ok(own) if own.leaf().is_ca() && given.iter().any(|c| !c.is_ca()) => {
                let device = given.iter().find(|c| !c.is_ca()).map(|c| c.subject().to_string());
                let device = device.unwrap_or_default();
                let what = format!(
                    "the private key is that of the authority {}, not of {device}",
                    own.leaf().subject()
                );
                let hint =
                    format!("name the private key that was made with the request for {device}");
                self.reader.error(&key.unwrap_or(certificate).span(), what, hint);
                None
            }
            Ok(own) => {
                self.check_own(&own, &given, &certificate.span());
                Some(own)
            }
            // The rules have reported that the key is missing.
            Err(OwnError::NoKey) if key.is_none() && !holds_key(certificate.get_ref()) => None,
            Err(error) => {
                let about_key = !matches!(error, OwnError::NoCertificate);
                let span = key.filter(|_| about_key).unwrap_or(certificate).span();
                self.reader.error(&span, error.to_string(), error.remedy());
                None
            }
        }
    }

    /// Reports a certificate's file that holds a key alone, and a key's file that holds a
    /// certificate alone.
    fn check_kinds(
        &mut self,
        (certificate, found): (&Spanned<FileRef>, &Bundle),
        (key, more): (&Spanned<FileRef>, &Bundle),
    ) -> bool {
        let no_certificate = found.certificates.is_empty() && !found.keys.is_empty();
        let no_key = more.keys.is_empty() && !more.certificates.is_empty();
        if no_certificate && no_key {
            let what = format!(
                "{} is the private key, {} the certificate",
                certificate.get_ref(),
                key.get_ref()
            );
            self.reader.error(&certificate.span(), what, "exchange the two file names");
        } else if no_certificate {
            let what = format!("{} holds a private key and no certificate", certificate.get_ref());
            let hint = "name the file with the certificate that was issued for this device";
            self.reader.error(&certificate.span(), what, hint);
        } else if no_key && found.keys.is_empty() {
            let what = format!("{} holds a certificate and no private key", key.get_ref());
            let hint =
                "name the file with the private key that was made with the certificate's request";
            self.reader.error(&key.span(), what, hint);
        }
        !no_certificate && (!no_key || !found.keys.is_empty())
    }

    /// Reports all that Azure would refuse of our certificate, and some that s2sd warns of.
    fn check_own(&mut self, own: &OwnIdentity, given: &[Certificate], span: &TextSpan) {
        let warnings = own.warnings(self.now);
        for warning in &warnings {
            let (fatal, hint) = remedy(warning, self.now);
            match fatal {
                true => self.reader.error(span, warning.to_string(), hint),
                false => self.reader.warning(span, warning.to_string(), hint),
            }
        }
        self.check_key(own.leaf(), span);
        let subject = own.leaf().subject();
        if let Some(name) = subject.common_name()
            && subject.to_string() != format!("CN={name}")
        {
            self.reader.warning(
                span,
                format!("our certificate's subject is {subject}, more than a common name"),
                format!(
                    "Azure's documents differ on whether the common name or the whole subject is compared: a subject of CN={name} \
                     alone serves both"
                ),
            );
        }
        let stray = |c: &&Certificate| !own.certificates().contains(c) && !c.is_self_issued();
        for certificate in given.iter().filter(stray) {
            let what =
                format!("{certificate} is not among the issuers of {} and is not sent", own.leaf());
            self.reader.warning(span, what, "take this certificate out of the file");
        }
        if own.certificates().len() > CHAIN_MAX {
            let what = format!("{} certificates stand above ours", own.certificates().len());
            let hint = format!(
                "Azure takes a chain of at most {CHAIN_MAX}: have our certificate issued by an authority nearer to the root"
            );
            self.reader.error(span, what, hint);
        }
        let refused = warnings.iter().any(|warning| remedy(warning, self.now).0);
        let roots: Vec<Certificate> =
            given.iter().filter(|c| c.is_self_issued()).cloned().collect();
        if !refused && !roots.is_empty() {
            self.check_path(own, roots, span);
        }
    }

    /// Checks our path to the root in the same file by a gateway's rules.
    fn check_path(&mut self, own: &OwnIdentity, roots: Vec<Certificate>, span: &TextSpan) {
        let presented: Vec<&[u8]> = own.certificates().iter().map(Certificate::as_der).collect();
        let checked = Roots::new(roots).and_then(|r| Trust::new(r).validate(&presented, self.now));
        if let Err(refusal) = checked {
            self.refuse(span, "a gateway would refuse our certificate", &refusal);
        }
    }

    fn check_key(&mut self, certificate: &Certificate, span: &TextSpan) {
        let floor = certificate.public_key().map_err(Clone::clone).and_then(PublicKey::floor);
        if let Err(error) = floor {
            let what = format!("the key of {certificate} is not accepted: {error}");
            self.reader.error(span, what, error.remedy());
        }
    }

    /// The roots that gateways are checked against.
    fn roots(&mut self, file: &CertificateAuthentication) -> Option<Roots> {
        let mut certificates = Vec::new();
        let mut whole = true;
        for root in file.outbound_certificate_roots.items() {
            let Some(bundle) = self.bundle(root, None) else {
                whole = false;
                continue;
            };
            whole &= self.check_root(root, &bundle);
            certificates.extend(bundle.certificates);
        }
        if !whole || certificates.is_empty() {
            return None;
        }
        Roots::new(certificates).ok()
    }

    /// The certificates in a list of files; reports a file without any.
    fn certificates(&mut self, files: &ReadKey<List<FileRef>>) -> Option<Vec<Certificate>> {
        let mut certificates = Vec::new();
        let mut whole = true;
        for file in files.items() {
            let found = self.bundle(file, None).map(|bundle| bundle.certificates);
            if found.as_ref().is_some_and(Vec::is_empty) {
                let what = format!("{} holds no certificate", file.get_ref());
                self.reader.error(
                    &file.span(),
                    what,
                    "name a file with a certificate in PEM or DER form",
                );
            }
            whole &= found.as_ref().is_some_and(|found| !found.is_empty());
            certificates.extend(found.unwrap_or_default());
        }
        whole.then_some(certificates)
    }

    fn check_root(&mut self, file: &Spanned<FileRef>, bundle: &Bundle) -> bool {
        let span = file.span();
        if bundle.certificates.is_empty() {
            let what = format!("{} holds no certificate", file.get_ref());
            self.reader.error(
                &span,
                what,
                "name the file with the root of the certificate that Azure presents",
            );
            return false;
        }
        if !bundle.keys.is_empty() {
            let what = format!("{} holds a private key beside the root", file.get_ref());
            self.reader.warning(
                &span,
                what,
                "keep the root's key where certificates are issued, and only the certificate here",
            );
        }
        for certificate in &bundle.certificates {
            self.check_dates(certificate, &span);
        }
        match Roots::new(bundle.certificates.iter().cloned()) {
            Ok(_) => true,
            Err(refusal) => {
                self.refuse(&span, "the certificate does not serve as a root", &refusal);
                false
            }
        }
    }

    fn check_dates(&mut self, root: &Certificate, span: &TextSpan) {
        let Some(expiry) = expiry(root.not_before(), root.not_after(), self.now) else { return };
        let clock = format!("check this device's clock, which says {}", self.now);
        let renew = "get the new root from whoever issues the certificate in Azure's Key Vault, and name it here beside the old one";
        match expiry {
            Expiry::NotYet(from) => {
                self.reader.error(
                    span,
                    format!("the root {root} is valid only from {from} on"),
                    clock,
                );
            }
            Expiry::Over(at) => {
                self.reader.error(span, format!("the root {root} expired on {at}"), renew);
            }
            Expiry::Within(days, at) => {
                let what =
                    format!("the root {root} expires in less than {}, on {at}", day_count(days));
                self.reader.warning(span, what, renew);
            }
        }
    }

    fn crls(
        &mut self,
        file: &CertificateAuthentication,
        roots: Option<&Roots>,
    ) -> Option<Vec<Crl>> {
        let mut crls = Vec::new();
        let mut whole = true;
        for list in file.crls.items() {
            let Some(bundle) = self.bundle(list, None) else {
                whole = false;
                continue;
            };
            let span = list.span();
            if bundle.crls.is_empty() {
                let what = format!("{} holds no revocation list", list.get_ref());
                self.reader.error(&span, what, "name the authority's CRL in PEM or DER form");
                whole = false;
            }
            for crl in &bundle.crls {
                self.check_crl(crl, roots, &span);
            }
            crls.extend(bundle.crls);
        }
        whole.then_some(crls)
    }

    fn check_crl(&mut self, crl: &Crl, roots: Option<&Roots>, span: &TextSpan) {
        let issuer = crl.issuer();
        if crl.next_update() < self.now {
            let what = format!(
                "the revocation list of {issuer} was due for renewal on {}",
                crl.next_update()
            );
            let hint = "fetch the current list: until then gateways with a certificate of this issuer are refused";
            self.reader.error(span, what, hint);
        }
        let of_issuer = |root: &&Certificate| root.subject() == issuer;
        let dumb = |root: &&Certificate| root.key_usage().is_some_and(|usage| !usage.revoke);
        let of_name = roots.iter().flat_map(|roots| roots.certificates()).filter(of_issuer);
        if let Some(root) = of_name.clone().find(dumb).filter(|_| of_name.clone().all(|c| dumb(&c)))
        {
            let what = format!(
                "the key usage of the root {root} lacks cRLSign: its revocation lists do not count, and every gateway below it \
                 is refused"
            );
            let hint = "have the root issued with key usage keyCertSign and cRLSign, or take its revocation list out";
            self.reader.warning(span, what, hint);
        }
        let known =
            |roots: &Roots| roots.certificates().iter().any(|c| c.subject().matches(issuer));
        if roots.is_some_and(|roots| !known(roots)) {
            let what =
                format!("the revocation list is issued by {issuer}, which is not among the roots");
            let hint = "right if that issuer is an intermediate authority; otherwise name the revocation list of the root";
            self.reader.warning(span, what, hint);
        }
    }

    /// Reports names that are mixed up: inbound is ours, outbound is Azure's.
    fn check_names(&mut self, file: &CertificateAuthentication, own: &OwnIdentity) {
        if let Some(expected) = file.outbound_certificate_subject_name.spanned()
            && own.leaf().subject().common_name() == Some(expected.get_ref().as_str())
        {
            let what = format!(
                "the gateway is expected to be {}, which is our own name",
                expected.get_ref()
            );
            let hint = "outbound is the certificate that goes out from Azure: write the CN of the one in the Key Vault";
            self.reader.warning(&expected.span(), what, hint);
        }
        for revoked in file.revoked_thumbprints.items() {
            if own.certificates().iter().any(|c| c.thumbprint() == *revoked.get_ref()) {
                let what = format!("{} is a certificate of our own path", revoked.get_ref());
                let hint = "`revoked_thumbprints` is about gateways' certificates: to revoke our own, replace it in Azure";
                self.reader.warning(&revoked.span(), what, hint);
            }
        }
    }

    /// The certificates, keys and lists in a file; reports a file that cannot be used.
    fn bundle(
        &mut self,
        file: &Spanned<FileRef>,
        password: Option<&FileContent>,
    ) -> Option<Bundle> {
        let content = self.content(file)?;
        let password = password.map(|password| password.bytes.as_slice());
        match Bundle::read_into(
            self.key_store,
            &content.bytes,
            password,
            &file.get_ref().to_string(),
        ) {
            Ok(bundle) => {
                if content.exposed && !bundle.keys.is_empty() {
                    let what = format!(
                        "everyone on this device can read the private key in {}",
                        file.get_ref()
                    );
                    self.reader.warning(
                        &file.span(),
                        what,
                        format!("take the permission away: chmod o= {}", file.get_ref()),
                    );
                }
                Some(bundle)
            }
            Err(error) => {
                let line = error.line.map(|line| format!(", line {line}")).unwrap_or_default();
                let what = format!("{}{line}: {}", error.file, error.fault);
                let hint = match error.fault {
                    LoadFault::PasswordMissing | LoadFault::Key(KeyError::Encrypted) => {
                        "write the name of a file with the password as `inbound_password_file`; an empty file is an empty password"
                            .to_owned()
                    }
                    _ => error.remedy(),
                };
                self.reader.error(&file.span(), what, hint);
                None
            }
        }
    }

    fn content(&mut self, file: &Spanned<FileRef>) -> Option<FileContent> {
        let error = match self.files.read(file.get_ref()) {
            Ok(content) => return Some(content),
            Err(error) => error,
        };
        let (name, span) = (file.get_ref(), file.span());
        match (error.kind(), name) {
            (io::ErrorKind::Unsupported, _) => {
                let what = format!("{name} is visible to the service only and is not checked here");
                self.reader.warning(
                    &span,
                    what,
                    "as root, `s2sd check` reads the file that the unit loads; without a unit, name the directory with the credential: CREDENTIALS_DIRECTORY=/PATH/OF/THE/DIRECTORY s2sd check",
                );
            }
            (io::ErrorKind::NotFound, FileRef::Path(_)) => {
                self.reader.error(
                    &span,
                    format!("{name} does not exist"),
                    "put the file there, or correct the path",
                );
            }
            (io::ErrorKind::NotFound, FileRef::Credential(credential)) => {
                let hint = format!(
                    "`systemctl edit s2sd`, and add LoadCredential={credential}:/PATH/OF/THE/FILE under [Service]; without systemd, name the directory with the credential: CREDENTIALS_DIRECTORY=/PATH/OF/THE/DIRECTORY s2sd run"
                );
                self.reader.error(
                    &span,
                    format!("the service has no credential {credential}"),
                    hint,
                );
            }
            (io::ErrorKind::PermissionDenied, _) => {
                let hint = format!(
                    "let the service's group read it: chgrp s2sd {name}; chmod 640 {name}; and its folder: chmod 750"
                );
                self.reader.error(&span, format!("permission to read {name} is denied"), hint);
            }
            _ => self.reader.error(
                &span,
                format!("{name} cannot be read: {error}"),
                format!("check that {name} is a regular file on a working disk"),
            ),
        }
        None
    }

    fn refuse(&mut self, span: &TextSpan, consequence: &str, refusal: &TrustRefusal) {
        let about = refusal.certificate.as_ref().map(|c| format!("{c}: ")).unwrap_or_default();
        let what = format!("{about}{}; {consequence}", refusal.reason);
        self.reader.error(span, what, refusal.remedy());
    }
}

/// Whether a warning about our certificate means that every gateway refuses the certificate, and
/// how to mend it.
fn remedy(warning: &Warning, now: UnixTime) -> (bool, String) {
    let renew = "have our certificate renewed under the same subject and issuer: then nothing changes in Azure";
    let (fatal, hint) = match warning {
        Warning::Dates { expiry: Expiry::NotYet(_), .. } => {
            return (true, format!("check this device's clock, which says {now}"));
        }
        Warning::Dates { expiry: Expiry::Over(_), .. } => (true, renew),
        Warning::Dates { expiry: Expiry::Within(..), .. } => (false, renew),
        Warning::Purposes => {
            (false, "have our certificate issued with extendedKeyUsage = serverAuth, clientAuth")
        }
        Warning::NoCommonName => (
            true,
            "have our certificate issued with a subject CN=NAME, and write NAME in Azure as inboundAuthCertificateSubjectName",
        ),
        Warning::NotRsa => {
            (false, "have our certificate issued for an RSA key of 2048 bits or more")
        }
        Warning::Version => (false, "have our certificate issued as X.509 version 3"),
        Warning::Authority => (
            true,
            "name the certificate that the authority issued for this device, and that certificate's private key",
        ),
    };
    (fatal, hint.to_owned())
}

fn day_count(days: u64) -> String {
    if days == 1 { "a day".to_owned() } else { format!("{days} days") }
}

fn policy(file: &CertificateAuthentication) -> Option<AuthPolicy> {
    Some(AuthPolicy {
        sha1: if *file.allow_sha1_signatures.value()? {
            Sha1Policy::Accept
        } else {
            Sha1Policy::Refuse
        },
        method1_hash: *file.rsa_signature_hash.value()?,
        digital_signatures: match *file.digital_signatures.value()? {
            true => DigitalSignatures::Speak,
            false => DigitalSignatures::Refuse,
        },
        padding: *file.signature_padding.value()?,
    })
}
