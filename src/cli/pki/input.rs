//! Files that an operator names.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::super::complain;
use super::password;
use crate::config::file::Files;
use crate::config::value::FileRef;
use crate::daemon::files::System;
use crate::pki::load::{Bundle, LoadFault};

/// What opens PKCS#12 files, and the option that brings it.
#[derive(Debug)]
pub struct Unlock {
    password: Option<Zeroizing<Vec<u8>>>,
    /// Absent where no password is expected.
    option: Option<&'static str>,
}

impl Unlock {
    /// Nothing: a file of our own is not locked.
    pub fn none() -> Unlock {
        Unlock { password: None, option: None }
    }

    /// The password in the file that the option names, if it was given.
    pub fn read(option: &'static str, file: Option<&Path>) -> Result<Unlock, String> {
        Ok(Unlock { password: file.map(password::read).transpose()?, option: Some(option) })
    }
}

/// What a file holds, keys with their PKCS#8. Says so when everyone may read a key.
pub fn bundle(path: &Path, unlock: &Unlock) -> Result<Bundle, String> {
    let (bytes, exposed) = content(path)?;
    let name = path.display().to_string();
    let password = unlock.password.as_ref().map(|bytes| bytes.as_slice());
    let bundle = Bundle::read_with_secrets(&bytes, password, &name).map_err(|error| {
        match (&error.fault, unlock.option) {
            (LoadFault::PasswordMissing, Some(option)) => format!(
                "{name} is a PKCS#12 file: write its password into a file, and add {option} FILE"
            ),
            _ => error.to_string(),
        }
    })?;
    if exposed && !bundle.keys.is_empty() {
        complain(format_args!(
            "everyone on this device can read the private key in {name}: chmod go= {name}"
        ));
    }
    Ok(bundle)
}

/// A file's bytes, and whether everyone may read it.
pub fn content(path: &Path) -> Result<(Zeroizing<Vec<u8>>, bool), String> {
    let file = System.read(&FileRef::Path(path.to_owned()));
    let file = file.map_err(|error| trouble(path, &error))?;
    Ok((file.bytes, file.exposed))
}

/// What stands in the way of reading a file, and what would help.
pub fn trouble(path: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "; see whether the name and the directory are right",
        io::ErrorKind::PermissionDenied => "; be its owner, or root",
        _ => "",
    };
    format!("{}: {error}{remedy}", path.display())
}
