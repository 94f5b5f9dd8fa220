//! The rules of a certificate path, as refusals.

use crate::crypto::signature::KeyError;
use crate::pki::certificate::{CertificateError, KeyPurpose, Thumbprint};
use crate::time::UnixTime;

use super::MAX_CERTIFICATES;

/// The rule of a certificate path that was broken. The [`TrustRefusal`](crate::pki::TrustRefusal)
/// around it names the certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PathReason {
    /// When a peer sends no certificate.
    #[error("the peer sent no certificate")]
    NoCertificate,
    /// When a peer sends more than is looked at.
    #[error("the peer sent {0} certificates; at most {MAX_CERTIFICATES} are looked at")]
    TooMany(usize),
    /// When the first CERT payload, which must be the leaf, is not a certificate.
    #[error("the peer's certificate (thumbprint {thumbprint}) cannot be read: {error}")]
    Unreadable {
        /// The SHA-1 of the bytes that came.
        thumbprint: Thumbprint,
        /// What is wrong with it.
        error: CertificateError,
    },
    /// When a connection has no root at all.
    #[error("no root certificate is configured for this connection")]
    NoRoots,
    /// When a leaf or intermediate has no room for extensions.
    #[error("it is an X.509 version {0} certificate; version 3 is needed")]
    Version(u32),
    /// When the last day of a leaf or intermediate is over.
    #[error("it expired on {not_after}; now is {now}")]
    Expired {
        /// Its last second.
        not_after: UnixTime,
        /// The time of the check.
        now: UnixTime,
    },
    /// When the first day of a leaf or intermediate is still to come.
    #[error("it is valid from {not_before} on; now is {now}")]
    NotYetValid {
        /// Its first second.
        not_before: UnixTime,
        /// The time of the check.
        now: UnixTime,
    },
    /// When the configured root's last day is over.
    #[error("it is the configured root and expired on {not_after}; now is {now}")]
    RootExpired {
        /// Its last second.
        not_after: UnixTime,
        /// The time of the check.
        now: UnixTime,
    },
    /// When the configured root's first day is still to come.
    #[error("it is the configured root and valid from {not_before} on; now is {now}")]
    RootNotYetValid {
        /// Its first second.
        not_before: UnixTime,
        /// The time of the check.
        now: UnixTime,
    },
    /// When a certificate is configured as root that says it is none.
    #[error("it is configured as a root but says that it is no authority")]
    RootNotAuthority,
    /// When the path ends at a self-signed certificate that is not configured.
    #[error("its path ends at {found}, which is not a configured root (configured: {configured})")]
    UnknownRoot {
        /// The self-signed certificate at the end, as the peer sent it.
        found: String,
        /// The configured roots.
        configured: String,
    },
    /// When nobody has the certificate that issued it.
    #[error(
        "its issuer {issuer} is neither a configured root ({configured}) nor among the \
         certificates that the peer sent{}", and_unreadable(.unreadable)
    )]
    MissingIssuer {
        /// The name of the issuer that is missing.
        issuer: String,
        /// The configured roots.
        configured: String,
        /// How many of the peer's certificates could not be read.
        unreadable: usize,
    },
    /// When an issuer of the right name has another key than the one that signed.
    #[error("it was not signed by the key of {issuer}")]
    WrongIssuerKey {
        /// The certificate that has the issuer's name.
        issuer: String,
    },
    /// When it signed itself, is no authority, and is not configured either.
    #[error("it is signed by itself and not by an authority")]
    SelfSignedLeaf,
    /// When an authority's certificate is presented as the peer's own.
    #[error("it is an authority's certificate (basic constraints CA:TRUE) used as a peer's own")]
    CaAsLeaf,
    /// When its issuer may not issue.
    #[error("it issued a certificate but is no authority (basic constraints lack CA:TRUE)")]
    NotAnAuthority,
    /// When an authority's key usage forbids issuing.
    #[error("it issued a certificate but its key usage lacks keyCertSign")]
    KeyUsageCertify,
    /// When a leaf's key usage forbids signing.
    #[error("its key usage lacks digitalSignature")]
    KeyUsageSign,
    /// When its purposes are not those of an IKE peer.
    #[error("its extended key usage is {}; needed is {needed}", purposes(.found))]
    Purpose {
        /// What the policy asks for.
        needed: &'static str,
        /// What the certificate has; `None` when the extension is absent.
        found: Option<Vec<KeyPurpose>>,
    },
    /// When its key is of a kind or size that cannot be used.
    #[error("{0}")]
    Key(KeyError),
    /// When the algorithm of its signature proves nothing any more.
    #[error("it is signed with {0}, which is broken")]
    WeakSignature(String),
    /// When the algorithm of its signature is not spoken here.
    #[error("{0}")]
    SignatureAlgorithm(String),
    /// When a critical extension is not understood (RFC 5280 §4.2).
    #[error("its critical extension {0} is not understood")]
    CriticalExtension(String),
    /// When too many authorities stand below it.
    #[error("it allows {allowed} authorities below it; the path has {found}")]
    PathTooLong {
        /// The pathLenConstraint of the authority.
        allowed: u32,
        /// The number of authorities between this one and the leaf.
        found: u32,
    },
    /// When a name is outside what an authority above allows.
    #[error("its names break the name constraints of {by}")]
    NameConstraint {
        /// The authority that has the constraints.
        by: String,
    },
    /// When a CRL lists it.
    #[error("{by} revoked it on {at}{}", because(.why))]
    Revoked {
        /// The issuer of the CRL.
        by: String,
        /// When it was revoked.
        at: UnixTime,
        /// The reason the CRL gives, if any.
        why: Option<String>,
    },
    /// When the configured list of thumbprints has it.
    #[error("its thumbprint is in the configured list of revoked certificates")]
    RevokedThumbprint,
    /// When the CRL that would tell is out of date.
    #[error("the CRL of {issuer} was due for renewal on {next_update}; now is {now}")]
    StaleCrl {
        /// The issuer of the CRL.
        issuer: String,
        /// When the next one was promised.
        next_update: UnixTime,
        /// The time of the check.
        now: UnixTime,
    },
    /// When the CRL of its issuer cannot be relied on.
    #[error("the CRL of {issuer} cannot be used: {why}")]
    UnusableCrl {
        /// The issuer of the CRL.
        issuer: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// When a CRL is demanded of every issuer and one has none.
    #[error("no CRL of {issuer} is configured, and one is demanded")]
    NoCrl {
        /// The issuer without a CRL.
        issuer: String,
    },
    /// When a CRL is demanded and those of its issuer are about other certificates (RFC 5280
    /// §5.2.5).
    #[error(
        "no configured CRL of {issuer} is about it: each is limited to other distribution points or \
         kinds of certificates, and one is demanded"
    )]
    CrlOutOfScope {
        /// The issuer of the CRLs.
        issuer: String,
    },
    /// When the certificates allow so many paths that the search was given up.
    #[error("the search for a path was given up: {0}")]
    TooComplex(String),
    /// When rustls-webpki refuses for a reason that has no name here.
    #[error("it was refused: {0}")]
    Other(String),
}

impl PathReason {
    /// How to mend it.
    pub fn remedy(&self) -> String {
        use PathReason::{
            CaAsLeaf, CriticalExtension, CrlOutOfScope, Expired, Key, KeyUsageCertify,
            KeyUsageSign, MissingIssuer, NameConstraint, NoCertificate, NoCrl, NoRoots,
            NotAnAuthority, NotYetValid, Other, PathTooLong, Purpose, Revoked, RevokedThumbprint,
            RootExpired, RootNotAuthority, RootNotYetValid, SelfSignedLeaf, SignatureAlgorithm,
            StaleCrl, TooComplex, TooMany, UnknownRoot, Unreadable, UnusableCrl, Version,
            WeakSignature, WrongIssuerKey,
        };
        match self {
            NoCertificate => "set the peer's connection to certificate authentication".into(),
            TooMany(_) => "have the peer send its own path only".into(),
            Unreadable { .. } => "have the peer's certificate exported anew as X.509 in DER".into(),
            NoRoots => "name the file with the peer's root certificate in this connection".into(),
            Version(_) => {
                "issue it again with extensions (`openssl x509 -req -extfile ...`)".into()
            }
            Expired { .. } => "renew it where it is installed".into(),
            RootExpired { .. } => {
                "make a new root, issue from it, and configure it at both ends".into()
            }
            NotYetValid { .. } | RootNotYetValid { .. } => {
                "check this machine's clock and time zone, else wait".into()
            }
            RootNotAuthority => "configure the certificate that issued it instead".into(),
            UnknownRoot { found, .. } => {
                format!(
                    "if {found} is the root of the certificate in the gateway's key vault, add it to \
                     outbound_certificate_roots"
                )
            }
            MissingIssuer { issuer, .. } => format!(
                "have the peer send the certificate of {issuer}, or add it to \
                 outbound_certificate_roots"
            ),
            WrongIssuerKey { .. } => {
                "configure the authority that really issued it (same name, other key), or have it \
                 installed again if it was damaged"
                    .into()
            }
            SelfSignedLeaf => "issue it from a root and configure that root".into(),
            CaAsLeaf => "present a certificate issued by that authority instead".into(),
            NotAnAuthority => "issue from a certificate with basic constraints CA:TRUE".into(),
            KeyUsageCertify => "add keyCertSign to the authority's key usage".into(),
            KeyUsageSign => "issue it again with digitalSignature, or without key usage".into(),
            Purpose { .. } => {
                "issue it again with extended key usages serverAuth and clientAuth".into()
            }
            Key(error) => error.remedy().into(),
            WeakSignature(_) | SignatureAlgorithm(_) => {
                "issue it again with SHA-256 (`openssl x509 -req -sha256 ...`)".into()
            }
            CriticalExtension(_) => "issue it again without that extension or not critical".into(),
            PathTooLong { .. } => {
                "issue the leaf from a higher authority, or raise the path length".into()
            }
            NameConstraint { .. } => "issue it with a permitted name (constraints on directory \
                                      names are not supported and forbid every name)"
                .into(),
            Revoked { .. } | RevokedThumbprint => {
                "install a new certificate, with a new key, at the peer".into()
            }
            StaleCrl { .. } => {
                "fetch the authority's current CRL, and name its file under crls".into()
            }
            UnusableCrl { .. } => {
                "replace the file by the CRL of just this authority, or leave it out".into()
            }
            NoCrl { .. } => "configure the authority's CRL, or do not demand CRLs".into(),
            CrlOutOfScope { .. } => {
                "configure the authority's complete CRL, or that of the distribution point which \
                 the certificate names"
                    .into()
            }
            TooComplex(_) => "have the peer send its own path only".into(),
            Other(_) => "issue it again with a common tool and default settings".into(),
        }
    }
}

fn purposes(found: &Option<Vec<KeyPurpose>>) -> String {
    match found {
        None => "absent".to_owned(),
        Some(found) => found.iter().map(KeyPurpose::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn because(why: &Option<String>) -> String {
    why.as_ref().map_or_else(String::new, |why| format!(" ({why})"))
}

fn and_unreadable(count: &usize) -> String {
    match count {
        0 => String::new(),
        count => format!(" ({count} of them could not be read)"),
    }
}
