//! Access to the files that a configuration names. The daemon opens real files, tests bring their
//! own.

use std::io;

use zeroize::Zeroizing;

use super::value::FileRef;

/// A source of files.
pub trait Files {
    /// Reads a whole file. [`io::ErrorKind::Unsupported`] means that the file may exist but is not
    /// visible to this process: a systemd credential, asked for outside the service.
    fn read(&self, file: &FileRef) -> io::Result<FileContent>;
}

/// A file that was read.
#[derive(Clone)]
pub struct FileContent {
    /// The file's bytes, which may be a private key.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether others than the file's owner and group may read it.
    pub exposed: bool,
}

impl std::fmt::Debug for FileContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileContent({} bytes)", self.bytes.len())
    }
}
