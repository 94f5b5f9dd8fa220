//! Reads a file that an operator named, and explains why the file cannot be read.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use crate::config::file::Files;
use crate::config::value::FileRef;
use crate::daemon::files::System;

/// The content of a file, and whether every user of this host may read the file.
pub fn read(path: &Path) -> Result<(Zeroizing<Vec<u8>>, bool), String> {
    let file = System.read(&FileRef::Path(path.to_owned()));
    let file = file.map_err(|error| cannot_read(path, &error))?;
    Ok((file.bytes, file.exposed))
}

/// The sentence for a file that cannot be read, with what would help.
pub fn cannot_read(path: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "; check the name and the directory",
        io::ErrorKind::PermissionDenied => "; run the command as the owner of the file, or as root",
        _ => "",
    };
    format!("{}: {error}{remedy}", path.display())
}
