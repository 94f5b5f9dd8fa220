//! Confinement: rights that a process or thread gives up for good, by role, so that an attacker who
//! takes it over cannot use them.
//!
//! | role | what may be done |
//! |---|---|
//! | [`ConfinedRole::Control`] | sockets, devices, routes, files below [`Paths`] |
//! | [`ConfinedRole::Lane`] | moving packets between descriptors that are open |
//! | [`ConfinedRole::Signer`] | reading, writing and getting memory; any other call ends it |
//!
//! Control is the main thread and all that it starts later, as for looking up names; it may start
//! no other program, no namespace, no mount, no module and no tracing. A lane is the two threads
//! of a tunnel, which make no new descriptor. The signer is the process with the private keys.
//!
//! **Refused, not killed.** What control or a lane may not do fails with EPERM: to an attacker that
//! is as good a wall as death, and to a system whose C library takes another system call than the
//! one foreseen it is an error message instead of an outage. The signer does so little that there
//! is nothing to foresee, so there a stray call is an attack and ends it.
//!
//! **Capabilities.** Control keeps the three that it needs, whoever started it: root, a unit, a
//! container. The signer keeps none. Started by root, control can be told to become another user.
//!
//! **No new code.** No role maps memory that can be run, so what an attacker brings along stays
//! data. The modules of the C library that look up names are loaded before (`name_service`).
//!
//! The filters are in `syscalls`, the directories in `paths`, the capabilities in `capabilities`,
//! and the user that root's service becomes in `user`.
//!
//! **Files.** Landlock leaves the directories of the configuration and of what it names, and what
//! the C library looks names up with. `/etc` is among that as a whole: its files are replaced by
//! renaming, which a rule for one file does not follow, and what is secret in it is so by its
//! owner. A reload cannot name files elsewhere; a restart can.
//!
//! **Memory.** No core dump and no tracer (`PR_SET_DUMPABLE` 0, which also stops dumps that go to a
//! program and that `RLIMIT_CORE` does not stop). So there is no dump that single pages would have
//! to be left out of. Keys are spread over the heap with all that holds them, ring's own copies
//! too, so it is all memory or none that is kept out of the swap: all, where `RLIMIT_MEMLOCK` has
//! no end (as in the unit, and where root starts the service by hand). Under a finite limit an
//! allocation would fail some day, and nothing is locked.
//!
//! A kernel without one of these goes without it; the caller logs [`Confinement`], in a line.

mod capabilities;
mod name_service;
mod paths;
mod syscalls;
mod user;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::SigSet;

use capabilities::keep_only;
pub use paths::Paths;
pub use user::ServiceUser;

/// Whether this process was confined: threads that narrow themselves further do so only then.
static CONFINED: AtomicBool = AtomicBool::new(false);

/// The role of a confined process or thread.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfinedRole {
    /// The main process: everything but moving packets.
    Control,
    /// A thread of a lane: moving packets between open descriptors.
    Lane,
    /// The process that holds the private keys and makes signatures.
    Signer,
}

/// The parts of the confinement, each with the reason if the kernel did not apply it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Confinement {
    /// Capabilities that the service does not need are given up.
    pub capabilities: Result<(), String>,
    /// System calls are filtered.
    pub system_calls: Result<(), String>,
    /// Access to files is limited.
    pub files: Result<(), String>,
    /// Memory is kept out of dumps.
    pub dumps: Result<(), String>,
    /// Memory is kept out of the swap.
    pub swap: Result<(), String>,
}

impl Confinement {
    /// Whether nothing is missing but what the unit may leave out.
    pub fn is_full(&self) -> bool {
        let parts = [&self.capabilities, &self.system_calls, &self.files, &self.dumps];
        parts.into_iter().all(Result::is_ok)
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |name: &str, how: &Result<(), String>| match how {
            Ok(()) => format!("{name} yes"),
            Err(why) => format!("{name} no ({why})"),
        };
        let parts = [
            part("capabilities dropped", &self.capabilities),
            part("system call filter", &self.system_calls),
            part("file filter", &self.files),
            part("no dumps", &self.dumps),
            part("locked memory", &self.swap),
        ];
        f.write_str(&parts.join(", "))
    }
}

/// Confines the process to [`ConfinedRole::Control`]. Threads that run already are not reached, so
/// it is called before there are any.
pub fn process(paths: &Paths) -> Confinement {
    raise_memory_limit();
    let capabilities = keep_only(capabilities::SERVICE).map_err(|error| error.to_string());
    let dumps = forbid_dumps().map_err(|error| error.to_string());
    let swap = lock_memory();
    name_service::load();
    let files = paths.enforce();
    let system_calls = syscalls::enforce(ConfinedRole::Control);
    CONFINED.store(true, Ordering::Relaxed);
    Confinement { capabilities, system_calls, files, dumps, swap }
}

/// Makes the process run as another user than root, before [`process`] and before there are
/// threads.
pub fn become_user(user: &ServiceUser) -> io::Result<()> {
    raise_memory_limit();
    user.become_it()
}

/// Confines the calling thread of a confined process to [`ConfinedRole::Lane`].
pub fn lane() -> Result<(), String> {
    match CONFINED.load(Ordering::Relaxed) {
        true => thread(ConfinedRole::Lane),
        false => Ok(()),
    }
}

/// Confines the calling process, of one thread, to [`ConfinedRole::Signer`]. Signals are the
/// service's business: it ends when the service does.
pub fn signer() -> Result<(), String> {
    SigSet::all().thread_block().map_err(|error| error.to_string())?;
    keep_only(capabilities::NONE).map_err(|error| error.to_string())?;
    forbid_dumps().map_err(|error| error.to_string())?;
    // Whatever is missing in the way of locked memory, control has said already.
    let _ = lock_memory();
    thread(ConfinedRole::Signer)
}

/// Filters the system calls of the calling thread and of those that it starts.
pub fn thread(role: ConfinedRole) -> Result<(), String> {
    syscalls::enforce(role)
}

fn forbid_dumps() -> io::Result<()> {
    prctl::set_dumpable(false)?;
    prctl::set_no_new_privs()?;
    // A service manager may have done it already and forbidden limits altogether.
    if getrlimit(Resource::RLIMIT_CORE)?.0 != 0 {
        setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    }
    Ok(())
}

/// Lets the process lock all its memory, if it was started with the right to that (by root, not in
/// a container). Otherwise [`lock_memory`] finds the limit and says so.
fn raise_memory_limit() {
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
}

fn lock_memory() -> Result<(), String> {
    let (limit, _) = getrlimit(Resource::RLIMIT_MEMLOCK).map_err(|error| error.to_string())?;
    if limit != RLIM_INFINITY {
        return Err(format!("RLIMIT_MEMLOCK is {limit}, LimitMEMLOCK=infinity is wanted"));
    }
    lock_all().map_err(|error| error.to_string())
}

fn lock_all() -> io::Result<()> {
    fault!(Mlock);
    // Pages are locked when they are first used: what nobody touches costs nothing.
    let flags = MlockAllFlags::from_bits_retain(nix::libc::MCL_ONFAULT);
    Ok(mlockall(flags | MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?)
}
