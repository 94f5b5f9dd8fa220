//! The user that a service becomes which was started by root.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;

use nix::sys::prctl;
use nix::unistd::{Gid, Uid, User, initgroups, setresgid, setresuid};

use super::capabilities::{self, keep_only, shrink_bound};

/// A user of this host, looked up while names can be looked up.
#[derive(Clone, Debug)]
pub struct ServiceUser {
    name: CString,
    uid: Uid,
    gid: Gid,
}

impl ServiceUser {
    /// The user of this name.
    pub fn named(name: &str) -> io::Result<ServiceUser> {
        let missing = || {
            let what =
                format!("this host has no user {name}; add one with `useradd --system {name}`");
            io::Error::new(io::ErrorKind::NotFound, what)
        };
        let User { uid, gid, .. } = User::from_name(name)?.ok_or_else(missing)?;
        Ok(ServiceUser { name: CString::new(name)?, uid, gid })
    }

    /// The numbers of the user and of the user's own group.
    pub fn numbers(&self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }

    /// Makes a directory that this user may write to and its group may read. One that is there
    /// already stays as it is.
    pub fn make_directory(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::DirBuilder::new().mode(0o750).create(path)?;
        let (uid, gid) = self.numbers();
        chown(path, Some(uid), Some(gid))
    }

    /// Makes the process run as this user, with the capabilities of the service and no others. To
    /// be called while the process has one thread.
    pub(super) fn become_it(&self) -> io::Result<()> {
        // Another user than root could not shrink the bounding set any more.
        shrink_bound(capabilities::SERVICE);
        prctl::set_keepcaps(true)?;
        initgroups(&self.name, self.gid)?;
        setresgid(self.gid, self.gid, self.gid)?;
        setresuid(self.uid, self.uid, self.uid)?;
        prctl::set_keepcaps(false)?;
        keep_only(capabilities::SERVICE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_not_there_is_told_with_what_mends_it() {
        assert_eq!(ServiceUser::named("root").unwrap().numbers(), (0, 0));
        let missing = ServiceUser::named("s2sd-nobody-here").unwrap_err().to_string();
        assert!(missing.contains("no user s2sd-nobody-here"), "{missing}");
    }
}
