//! The files that a configuration names, read from this system.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::config::file::{FileContent, Files};
use crate::config::value::FileRef;
use crate::pki::load::MAX_FILE_SIZE;

/// Where systemd puts the credentials of the service (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// This system's files.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Files for System {
    fn read(&self, file: &FileRef) -> io::Result<FileContent> {
        let mut file = std::fs::File::open(path(file)?)?;
        let about = file.metadata()?;
        let exposed = about.mode() & 0o004 != 0;
        // One byte more than is taken, so that what is too big is seen to be so.
        let most = u64::try_from(MAX_FILE_SIZE).unwrap_or(u64::MAX).saturating_add(1);
        // All of it at once: a vector that grows leaves copies behind, and there may be a key in
        // it.
        let room = about.len().saturating_add(1).min(most);
        let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(room).unwrap_or(0)));
        file.by_ref().take(most).read_to_end(&mut bytes)?;
        Ok(FileContent { bytes, exposed })
    }
}

/// The same for the service, and a note of each that was asked for: what was read once may be read
/// again when it was replaced.
#[derive(Debug, Default)]
pub struct Noting(RefCell<BTreeSet<PathBuf>>);

impl Noting {
    /// Where the files were.
    pub fn seen(&self) -> BTreeSet<PathBuf> {
        self.0.borrow().clone()
    }
}

impl Files for Noting {
    fn read(&self, file: &FileRef) -> io::Result<FileContent> {
        // The service sees all of its credentials: what is not there is missing.
        let missing = |error: io::Error| match error.kind() {
            io::ErrorKind::Unsupported => io::Error::new(io::ErrorKind::NotFound, error),
            _ => error,
        };
        self.0.borrow_mut().insert(path(file).map_err(missing)?);
        System.read(file)
    }
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
