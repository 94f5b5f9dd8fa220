//! The errors of Azure Resource Manager about certificates, from Microsoft's page "Troubleshoot
//! site-to-site connections with digital certificate authentication".

pub(crate) const ROOT_INVALID: &str = "VpnConnectionAuthenticationRootCertificateDataInvalid";
pub(crate) const PRIVATE_KEY: &str =
    "VpnConnectionAuthenticationRootCertificateDataInvalidBecausePrivateKey";
pub(crate) const DUPLICATE: &str = "VpnConnectionAuthenticationDuplicateRootCertificate";
pub(crate) const CHAIN_CREATION: &str = "VpnConnectionAuthenticationCertChainCreationIssue";
pub(crate) const ROOT_EXPIRED: &str = "VpnConnectionAuthenticationRootCertificateIsExpired";
pub(crate) const TOO_MANY: &str = "MaxRootCertificatePublicKeySupported";
pub(crate) const NO_SUBJECT_NAME: &str = "CertificateSubjectNameIsEmpty";

pub(crate) const OUTBOUND_EXPIRED: &str = "VpnConnectionOutBoundAuthenticationCertificateIsExpired";
pub(crate) const OUTBOUND_NOT_RSA: &str =
    "VpnConnectionOutBoundAuthenticationCertificateDoesNotHaveRSAPrivateKey";
pub(crate) const OUTBOUND_KEY_LENGTH: &str =
    "VpnConnectionOutBoundAuthenticationCertificateRSAPrivateKeyLength";
pub(crate) const OUTBOUND_CHAIN_CREATION: &str =
    "VpnConnectionOutBoundAuthenticationCertificateChainCreationIssue";
pub(crate) const OUTBOUND_CHAIN_FAULT: &str =
    "VpnConnectionOutBoundAuthenticationCertificateChainFault";
pub(crate) const OUTBOUND_NO_ROOT: &str =
    "VpnConnectionOutBoundAuthenticationCertificateChainDoesNotHaveRootCert";
pub(crate) const OUTBOUND_PURPOSES: &str =
    "VpnConnectionOutBoundAuthenticationCertificateClientAndServerAuth";

pub(crate) const INBOUND_CHAIN_FAULT: &str =
    "VpnConnectionInBoundAuthenticationCertificateChainFault";
pub(crate) const INBOUND_NO_ROOT: &str =
    "VpnConnectionInBoundAuthenticationCertificateChainDoesNotHaveRootCert";
pub(crate) const INBOUND_NOT_ALL: &str =
    "VpnConnectionInBoundAuthenticationCertificateChainDoesNotHaveAllGivenCerts";
