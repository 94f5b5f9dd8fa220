//! Files that a command creates: all of them or none, and never over an existing file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The mode of files that everybody may read.
pub const PUBLIC: u32 = 0o644;
/// The mode of files that only their owner may read.
pub const PRIVATE: u32 = 0o600;

/// Files that are created together: dropping the value before [`NewFiles::keep`] removes them.
#[derive(Debug)]
pub struct NewFiles {
    made: Vec<PathBuf>,
    /// What an operator can do when one of the files exists already.
    remedy: &'static str,
}

impl NewFiles {
    /// Starts a batch, or fails when one of the files exists. Checked first, because generating a
    /// key takes a while.
    pub fn check<'a>(
        paths: impl IntoIterator<Item = &'a PathBuf>,
        remedy: &'static str,
    ) -> Result<NewFiles, String> {
        let batch = NewFiles { made: Vec::new(), remedy };
        match paths.into_iter().find(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Err(batch.exists(path)),
            None => Ok(batch),
        }
    }

    /// Creates a file that must not exist.
    pub fn write(&mut self, path: &Path, mode: u32, bytes: &[u8]) -> Result<(), String> {
        let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        let mut file = made.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => self.exists(path),
            _ => format!("{} cannot be created: {error}", path.display()),
        })?;
        self.made.push(path.to_owned());
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
    }

    /// Keeps the files: all of them were created.
    pub fn keep(mut self) {
        self.made.clear();
    }

    fn exists(&self, path: &Path) -> String {
        format!("{} exists and is never overwritten: {}", path.display(), self.remedy)
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        for path in &self.made {
            // A file that cannot be removed makes the next try fail, which names the file.
            let _ = std::fs::remove_file(path);
        }
    }
}
