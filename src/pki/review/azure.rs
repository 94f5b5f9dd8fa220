//! The errors of Azure Resource Manager about certificates, from Microsoft's page "Troubleshoot site-to-site connections with
//! digital certificate authentication".

pub(super) const ROOT_INVALID: &str = "VpnConnectionAuthenticationRootCertificateDataInvalid";
pub(super) const PRIVATE_KEY: &str =
    "VpnConnectionAuthenticationRootCertificateDataInvalidBecausePrivateKey";
pub(super) const DUPLICATE: &str = "VpnConnectionAuthenticationDuplicateRootCertificate";
pub(super) const CHAIN_CREATION: &str = "VpnConnectionAuthenticationCertChainCreationIssue";
pub(super) const ROOT_EXPIRED: &str = "VpnConnectionAuthenticationRootCertificateIsExpired";
pub(super) const TOO_MANY: &str = "MaxRootCertificatePublicKeySupported";
pub(super) const NO_SUBJECT_NAME: &str = "CertificateSubjectNameIsEmpty";

pub(super) const OUTBOUND_EXPIRED: &str = "VpnConnectionOutBoundAuthenticationCertificateIsExpired";
pub(super) const OUTBOUND_NOT_RSA: &str =
    "VpnConnectionOutBoundAuthenticationCertificateDoesNotHaveRSAPrivateKey";
pub(super) const OUTBOUND_KEY_LENGTH: &str =
    "VpnConnectionOutBoundAuthenticationCertificateRSAPrivateKeyLength";
pub(super) const OUTBOUND_CHAIN_CREATION: &str =
    "VpnConnectionOutBoundAuthenticationCertificateChainCreationIssue";
pub(super) const OUTBOUND_CHAIN_FAULT: &str =
    "VpnConnectionOutBoundAuthenticationCertificateChainFault";
pub(super) const OUTBOUND_NO_ROOT: &str =
    "VpnConnectionOutBoundAuthenticationCertificateChainDoesNotHaveRootCert";
pub(super) const OUTBOUND_PURPOSES: &str =
    "VpnConnectionOutBoundAuthenticationCertificateClientAndServerAuth";

pub(super) const INBOUND_CHAIN_FAULT: &str =
    "VpnConnectionInBoundAuthenticationCertificateChainFault";
pub(super) const INBOUND_NO_ROOT: &str =
    "VpnConnectionInBoundAuthenticationCertificateChainDoesNotHaveRootCert";
pub(super) const INBOUND_NOT_ALL: &str =
    "VpnConnectionInBoundAuthenticationCertificateChainDoesNotHaveAllGivenCerts";
