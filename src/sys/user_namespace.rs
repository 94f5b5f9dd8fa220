//! A user namespace of one's own, in which an ordinary user is root and may make network
//! namespaces.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

/// Whether the process runs as root, whatever namespace that is in.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Makes the process root in a user namespace of its own. It must not have started a thread yet
/// (user_namespaces(7)).
pub fn enter() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    // The kernel wants this before a group is mapped by someone without rights outside.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}
