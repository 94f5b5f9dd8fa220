//! The files that a confined process may still open, enforced by Landlock (landlock(7)).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus,
    path_beneath_rules,
};

/// What names are looked up with: the C library's modules, its settings, the sockets of those who
/// answer.
const NAME_SERVICE: &[&str] = &["/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/run/nscd"];
/// The same where `/etc/resolv.conf` may lead.
const RESOLVERS: &[&str] =
    &["/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager", "/run/connman"];
/// Every device of a tunnel is made through it.
const TUN: &str = "/dev/net/tun";
/// Rights that newer kernels know too are not asked for: what is not handled is not denied.
const KNOWN: ABI = ABI::V5;

/// Where this process may still open files.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Paths {
    read: BTreeSet<PathBuf>,
    write: BTreeSet<PathBuf>,
}

impl Paths {
    /// Allows reading of all files in the directory of `file`: a file that is replaced is another
    /// file, which a rule for the old one does not cover.
    pub fn read_beside(&mut self, file: &Path) {
        self.read.extend(directory(file));
    }

    /// Allows sockets to be made and removed in the directory of `socket`.
    pub fn bind_beside(&mut self, socket: &Path) {
        self.write.extend(directory(socket));
    }

    /// Forbids all other files to the calling thread and to those that it starts.
    pub fn enforce(&self) -> Result<(), String> {
        match self.restrict() {
            Ok(RulesetStatus::NotEnforced) => Err("the kernel has no Landlock".to_owned()),
            Ok(RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn restrict(&self) -> Result<RulesetStatus, landlock::RulesetError> {
        let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
        let bind = read | AccessFs::MakeSock | AccessFs::RemoveFile;
        let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
        let names = NAME_SERVICE.iter().chain(RESOLVERS).map(Path::new);
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))?
            .create()?
            .add_rules(path_beneath_rules(names, read))?
            .add_rules(path_beneath_rules(&self.read, read))?
            .add_rules(path_beneath_rules(&self.write, bind))?
            .add_rules(path_beneath_rules([TUN], device))?
            .restrict_self()?;
        Ok(status.ruleset)
    }
}

/// Where a file is; a bare name is in the working directory.
fn directory(file: &Path) -> Option<PathBuf> {
    let parent = file.parent()?;
    Some(if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// Landlock binds a thread, so each test confines one of its own.
    #[test]
    fn a_forbidden_path_is_refused_and_an_allowed_one_is_not() {
        let base = std::env::temp_dir().join(format!("s2sd-paths-{}", std::process::id()));
        let (open, closed) = (base.join("open"), base.join("closed"));
        for directory in [&open, &closed] {
            std::fs::create_dir_all(directory).unwrap();
            std::fs::write(directory.join("file"), "text").unwrap();
        }
        let mut paths = Paths::default();
        paths.read_beside(&open.join("file"));
        paths.bind_beside(&open.join("socket"));
        let outcome = std::thread::spawn(move || {
            paths.enforce()?;
            assert_eq!(std::fs::read_to_string(open.join("file")).unwrap(), "text");
            let denied = |done: std::io::Result<()>| {
                assert_eq!(done.unwrap_err().kind(), ErrorKind::PermissionDenied);
            };
            denied(std::fs::read(closed.join("file")).map(drop));
            denied(std::fs::read_dir("/root").map(drop));
            denied(std::fs::write(open.join("file"), "other"));
            denied(std::fs::write(open.join("new"), "other"));
            denied(std::fs::write("/etc/s2sd-forbidden", "other"));
            drop(std::os::unix::net::UnixListener::bind(open.join("socket")).unwrap());
            std::fs::remove_file(open.join("socket")).unwrap();
            Ok::<(), String>(())
        });
        let outcome = outcome.join().unwrap();
        std::fs::remove_dir_all(base).unwrap();
        if let Err(why) = outcome {
            println!("SKIPPED files forbidden by Landlock: {why}");
        }
    }
}
