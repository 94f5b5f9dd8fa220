//! The files that a configuration names, as their bytes. Who reads them is not decided here: the
//! daemon opens them, tests bring them along.

use std::io;

use zeroize::Zeroizing;

use super::value::FileRef;

/// Where the bytes of files come from.
pub trait Files {
    /// Reads a file whole. [`io::ErrorKind::Unsupported`] says that it cannot be seen from here
    /// though it may well be there: a credential, asked for outside the service.
    fn read(&self, file: &FileRef) -> io::Result<FileContent>;
}

/// A file that was read.
#[derive(Clone)]
pub struct FileContent {
    /// Its bytes; of a key they are a secret.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether others than its owner and group may read it.
    pub exposed: bool,
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileContent({} bytes)", self.bytes.len())
    }
}
