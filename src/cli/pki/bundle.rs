//! Reads the certificates and keys in a file that an operator named: PEM, DER or PKCS#12.

use std::path::Path;

use zeroize::Zeroizing;

use super::super::complain;
use super::{file, password};
use crate::pki::load::{Bundle, LoadFault};

/// The password of PKCS#12 files to read, and the option that names its file.
#[derive(Debug)]
pub struct Pkcs12Password {
    content: Option<Zeroizing<Vec<u8>>>,
    /// `None` where no PKCS#12 file is expected.
    option: Option<&'static str>,
}

impl Pkcs12Password {
    /// No password: a file that `s2sd pki` wrote is not a PKCS#12 file.
    pub fn none() -> Pkcs12Password {
        Pkcs12Password { content: None, option: None }
    }

    /// Reads the password from the file that the option names, if the option was given.
    pub fn read(option: &'static str, file: Option<&Path>) -> Result<Pkcs12Password, String> {
        Ok(Pkcs12Password { content: file.map(password::read).transpose()?, option: Some(option) })
    }
}

/// Reads certificates, and keys with their PKCS#8. Warns when every user of this host may read a
/// key.
pub fn read(path: &Path, password: &Pkcs12Password) -> Result<Bundle, String> {
    let (bytes, exposed) = file::read(path)?;
    let name = path.display().to_string();
    let option = password.option;
    let password = password.content.as_ref().map(|bytes| bytes.as_slice());
    let bundle = Bundle::read_with_secrets(&bytes, password, &name).map_err(|error| {
        match (&error.fault, option) {
            (LoadFault::PasswordMissing, Some(option)) => format!(
                "{name} is a PKCS#12 file: write its password into a file, and add {option} FILE"
            ),
            _ => error.to_string(),
        }
    })?;
    if exposed && !bundle.keys.is_empty() {
        complain(format_args!(
            "every user of this host can read the private key in {name}: chmod go= {name}"
        ));
    }
    Ok(bundle)
}
