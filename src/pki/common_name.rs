//! The common name that tells one certificate from another: `--cn` of the certificates that
//! [`crate::certs`] issues, `outbound_certificate_subject_name` of the gateway's certificate.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The most characters of a common name (RFC 5280 appendix A.1, ub-common-name).
const MAX_CHARACTERS: usize = 64;

/// A common name, without the `CN=` in front.
///
/// What an authority may write into a certificate is parsed ([`FromStr`]): 1 to 64 characters, no
/// control characters, no blank at either end, and nothing that reads as several attributes of a
/// subject. Certificates of other authorities may break the limits of length and characters, and
/// still have to be named: [`CommonName::of_existing`] leaves those two out.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CommonName(String);

/// Why a text is no common name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommonNameError {
    /// The text is empty.
    #[error("a common name has 1 to 64 characters (RFC 5280); this one is empty")]
    Empty,
    /// The text begins with `CN=`; what follows is given.
    #[error("write the name without \"CN=\", as Azure does: {0:?}")]
    Prefixed(String),
    /// The text holds an attribute type, such as `O=`, further on.
    #[error("this is a whole subject; write what stands after \"CN=\" alone")]
    WholeSubject,
    /// The text is longer than RFC 5280 allows; its number of characters is given.
    #[error("a common name has 1 to 64 characters (RFC 5280); this one has {0}")]
    Length(usize),
    /// The text has control characters, or a blank at one end.
    #[error("a common name has no control characters and neither begins nor ends with a blank")]
    Characters,
}

impl CommonName {
    /// The common name of a certificate that exists, whoever issued it.
    pub fn of_existing(text: &str) -> Result<CommonName, CommonNameError> {
        if text.is_empty() {
            return Err(CommonNameError::Empty);
        }
        if let Some((prefix, rest)) = text.split_at_checked(3)
            && prefix.eq_ignore_ascii_case("CN=")
        {
            return Err(CommonNameError::Prefixed(rest.to_owned()));
        }
        if text.contains("CN=") || text.contains("O=") {
            return Err(CommonNameError::WholeSubject);
        }
        Ok(CommonName(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CommonName {
    type Err = CommonNameError;

    /// The common name of a certificate to be issued.
    fn from_str(text: &str) -> Result<CommonName, CommonNameError> {
        let name = CommonName::of_existing(text)?;
        let length = text.chars().count();
        if length > MAX_CHARACTERS {
            return Err(CommonNameError::Length(length));
        }
        if text.trim() != text || text.contains(char::is_control) {
            return Err(CommonNameError::Characters);
        }
        Ok(name)
    }
}

impl fmt::Display for CommonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_in_both_uses() {
        let refused = |text: &str| CommonName::of_existing(text).unwrap_err();
        assert_eq!(refused(""), CommonNameError::Empty);
        assert_eq!(refused("cn=site"), CommonNameError::Prefixed("site".into()));
        assert_eq!(refused("C=CH, O=Example, CN=site"), CommonNameError::WholeSubject);
        for text in ["", "cn=site", "C=CH, O=Example, CN=site"] {
            assert_eq!(text.parse::<CommonName>(), Err(refused(text)));
        }
        for text in ["Inbound-certificate", "ünïcode €", &"é".repeat(64)] {
            assert_eq!(text.parse::<CommonName>().unwrap().as_str(), text);
            assert_eq!(CommonName::of_existing(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn limits_of_rfc_5280_bind_the_issuer_alone() {
        let long = "é".repeat(65);
        assert_eq!(long.parse::<CommonName>(), Err(CommonNameError::Length(65)));
        assert_eq!(CommonName::of_existing(&long).unwrap().as_str(), long);
        for bad in [" site", "site\n", "a\u{1b}b"] {
            assert_eq!(bad.parse::<CommonName>(), Err(CommonNameError::Characters));
            assert_eq!(CommonName::of_existing(bad).unwrap().as_str(), bad);
        }
    }
}
