//! A network namespace and threads inside it.
//!
//! It has no name in the file system: it ends with the last descriptor, thread or device that holds
//! it, so whatever way a test ends, nothing of it stays.

use std::fs::File;
use std::io;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A handle that keeps a namespace alive.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// A new, empty namespace. Needs CAP_SYS_ADMIN.
    pub fn create() -> io::Result<Namespace> {
        in_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Namespace::current()
        })
    }

    /// The namespace of the calling thread.
    pub fn current() -> io::Result<Namespace> {
        Ok(Namespace(File::open("/proc/thread-self/ns/net")?))
    }

    /// Moves the calling thread, and what it starts from now on, into this namespace.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// Runs `work` in a thread of its own inside this namespace and waits for it. Sockets made
    /// there stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        in_thread(|| {
            self.enter()?;
            work()
        })
    }

    /// Another handle to the same namespace.
    pub fn try_clone(&self) -> io::Result<Namespace> {
        Ok(Namespace(self.0.try_clone()?))
    }

    /// The descriptor, for netlink.
    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

/// Gives the calling thread a mount table of its own and an empty /run on it, so that a daemon
/// started from it can neither see nor disturb one that runs here already.
pub fn unshare_run_directory() -> io::Result<()> {
    use nix::mount::{MsFlags, mount};
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    Ok(mount(Some("none"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>)?)
}

fn in_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
