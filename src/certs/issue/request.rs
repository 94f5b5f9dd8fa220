//! A request for a certificate (PKCS#10, RFC 2986), for an authority that others run.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose};

use super::authority::IssueError;
use super::order::san;
use super::signer::CertificateSigner;
use crate::crypto::signature::PrivateKey;
use crate::pki::certificate::AltName;
use crate::pki::common_name::CommonName;

/// The certificate that an authority is asked for: a leaf, by Azure's profile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IssuanceRequest {
    /// The common name, which is the whole subject.
    pub name: CommonName,
    /// Subject alternative names; Azure needs none.
    pub alt_names: Vec<AltName>,
}

impl IssuanceRequest {
    /// The request in DER, signed with the key that the certificate will be for.
    pub fn signed(&self, key: &PrivateKey) -> Result<Vec<u8>, IssueError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.name.as_str());
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = self.alt_names.iter().map(san).collect::<Result<_, _>>()?;
        let request = params.serialize_request(&CertificateSigner(key));
        Ok(request.map_err(|error| IssueError::Failed(error.to_string()))?.der().to_vec())
    }
}
