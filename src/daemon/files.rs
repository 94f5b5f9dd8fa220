//! The files that a configuration names, read from this system.

use std::io;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::config::value::FileRef;

/// Where systemd puts the credentials of the service (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// The bytes of a file. They may be a key.
pub fn read(file: &FileRef) -> io::Result<Zeroizing<Vec<u8>>> {
    Ok(Zeroizing::new(std::fs::read(path(file)?)?))
}

/// Where a file is.
fn path(file: &FileRef) -> io::Result<PathBuf> {
    match file {
        FileRef::Path(path) => Ok(path.clone()),
        FileRef::Credential(name) => match std::env::var_os(CREDENTIALS) {
            Some(directory) => Ok(PathBuf::from(directory).join(name)),
            None => {
                let why = "a credential of the unit is seen by the service alone";
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
        },
    }
}
