//! Reading the files that a configuration names: certificates, keys, CRLs, systemd credentials.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::unit_credentials;
use crate::config::encoding;
use crate::config::file::{FileContent, Files};
use crate::config::value::FileRef;
use crate::pki::load::MAX_FILE_SIZE;

/// The variable with the directory of the service's credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// What to do when there is no configuration yet.
const NO_FILE: &str = "`s2sd azure import FILE` writes a configuration from what `az network vpn-connection show` prints, and \
                       s2sd.toml(5) begins with an example";
/// What to do when the configuration may not be read.
const NOT_ALLOWED: &str =
    "be root, or a member of the service's group: `usermod -aG s2sd $USER`, then log in again";

fn with_remedy(error: &io::Error, remedy: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{error}; {remedy}"))
}

/// Why a credential cannot be read.
const ONLY_SERVICE: &str = "only the service can read a credential of its unit";

/// The text of a configuration file. An error says what to do.
pub fn configuration(path: &Path) -> io::Result<String> {
    let octets = std::fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => with_remedy(&error, NO_FILE),
        io::ErrorKind::PermissionDenied => with_remedy(&error, NOT_ALLOWED),
        _ => error,
    })?;
    encoding::decode(octets).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The files of this system.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Files for System {
    fn read(&self, file: &FileRef) -> io::Result<FileContent> {
        let mut file = match (std::env::var_os(CREDENTIALS), file) {
            (None, FileRef::Credential(name)) => of_unit(name)?,
            _ => std::fs::File::open(path(file)?)?,
        };
        let about = file.metadata()?;
        let exposed = about.mode() & 0o004 != 0;
        // One byte more than the limit, so that the caller notices a file that is too big.
        let most = u64::try_from(MAX_FILE_SIZE).unwrap_or(u64::MAX).saturating_add(1);
        // The whole buffer at once: a vector that grows leaves copies in memory, perhaps of a key.
        let room = about.len().saturating_add(1).min(most);
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(0)));
        file.by_ref().take(most).read_to_end(&mut bytes)?;
        Ok(FileContent { bytes, exposed })
    }
}

/// The files of this system for the service, with a record of every path that was read: the service
/// keeps the right to read these paths again at a reload ([`crate::sys::confine`]).
#[derive(Debug, Default)]
pub struct Noting(RefCell<BTreeSet<PathBuf>>);

impl Noting {
    /// The paths that were read.
    pub fn seen(&self) -> BTreeSet<PathBuf> {
        self.0.borrow().clone()
    }
}

impl Files for Noting {
    fn read(&self, file: &FileRef) -> io::Result<FileContent> {
        // The service sees all credentials of its unit, so a credential that cannot be seen is
        // missing.
        let missing = |error: io::Error| match error.kind() {
            io::ErrorKind::Unsupported => io::Error::new(io::ErrorKind::NotFound, error),
            _ => error,
        };
        self.0.borrow_mut().insert(path(file).map_err(missing)?);
        System.read(file)
    }
}

/// A credential for a command outside the service: root can read what the unit loads.
fn of_unit(name: &str) -> io::Result<std::fs::File> {
    let hidden = || io::Error::new(io::ErrorKind::Unsupported, ONLY_SERVICE);
    match std::fs::File::open(unit_credentials::file_of(name).ok_or_else(hidden)?) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(hidden()),
        opened => opened,
    }
}

/// The path of a file.
pub(super) fn path(file: &FileRef) -> io::Result<PathBuf> {
    match file {
        FileRef::Path(path) => Ok(path.clone()),
        FileRef::Credential(name) => match std::env::var_os(CREDENTIALS) {
            Some(directory) => Ok(PathBuf::from(directory).join(name)),
            None => Err(io::Error::new(io::ErrorKind::Unsupported, ONLY_SERVICE)),
        },
    }
}
