//! System calls that fail because a test has them so, and clocks that jump. Only in builds with the
//! feature `faults`, which no release has: without it the macro `fault!`, which stands before each
//! of these calls, is nothing at all.
//!
//! ```text
//!   tun_write:ENOBUFS                      every call fails
//!   send:EPERM:times=20                    the first 20 do
//!   receive:ENOMEM:after=100:every=3       after 100 calls every third does
//!   wall_clock:-86400                      the wall clock is a day behind
//!   boot_clock:3600                        the machine slept for an hour
//!   send:                                  no call fails any more
//! ```
//!
//! Where they are written, several with commas between them: in `S2SD_FAULTS` of a service's
//! environment; for one thread of this process, in [`here`]. Where `S2SD_FAULTS` is the path of a
//! [`FaultTable`], its owner arms and disarms while the service runs, and counts.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

use super::memfd::{self, Words};

#[cfg(not(debug_assertions))]
compile_error!("the feature `faults` is for tests; a release build must not have it");

/// Where a service is told what is to fail.
const VARIABLE: &str = "S2SD_FAULTS";

/// Declares the calls, in the order of their places in a table.
macro_rules! calls {
    ($($variant:ident $name:literal)*) => {
        /// What can fail.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Call {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        const NAMES: &[&str] = &[$($name,)*];
    };
}

calls! {
    Send "send"
    Receive "receive"
    IkeSend "ike_send"
    IkeReceive "ike_receive"
    Bind "bind"
    TunCreate "tun_create"
    TunRead "tun_read"
    TunWrite "tun_write"
    Netlink "netlink"
    Poll "poll"
    Memfd "memfd"
    StoreWrite "store_write"
    Mlock "mlock"
}

/// The clocks that can jump, behind the calls.
const CLOCKS: [&str; 2] = ["wall_clock", "boot_clock"];

/// Words of one call: what it fails with, how many pass first, how many fail, every which, how many
/// came, how many failed.
const WIDTH: usize = 6;
const ERRNO: usize = 0;
const AFTER: usize = 1;
const TIMES: usize = 2;
const EVERY: usize = 3;
const CAME: usize = 4;
const FAILED: usize = 5;
const WORDS: usize = NAMES.len() * WIDTH + CLOCKS.len();

/// What is to fail, shared between threads and processes.
#[derive(Debug)]
pub struct FaultTable(Words);

impl FaultTable {
    /// Nothing fails.
    pub fn create() -> io::Result<FaultTable> {
        let len = WORDS * size_of::<AtomicU64>();
        let file = memfd::create("s2sd-faults", len.try_into().map_err(io::Error::other)?)?;
        Ok(FaultTable(Words::map(file, WORDS)?))
    }

    /// The table of another process.
    fn open(path: &str) -> io::Result<FaultTable> {
        let file = File::options().read(true).write(true).open(path)?;
        Ok(FaultTable(Words::map(file, WORDS)?))
    }

    /// Where another process finds it, while this one lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_fd().as_raw_fd())
    }

    /// Has calls fail, or not any more.
    pub fn arm(&self, faults: &str) -> Result<(), String> {
        faults.split(',').filter(|fault| !fault.is_empty()).try_for_each(|fault| {
            self.arm_one(fault).ok_or_else(|| {
                format!(
                    "`{fault}` is no fault: CALL:ERRNO[:after=N][:times=N][:every=N], CLOCK:SECONDS"
                )
            })
        })
    }

    fn arm_one(&self, fault: &str) -> Option<()> {
        let mut parts = fault.split(':');
        let (name, value) = (parts.next()?, parts.next()?);
        if let Some(clock) = CLOCKS.iter().position(|clock| *clock == name) {
            let seconds: i64 = value.parse().ok()?;
            self.clock(clock).store(seconds.cast_unsigned(), Ordering::Release);
            return Some(());
        }
        let call = NAMES.iter().position(|known| *known == name)?;
        let [mut after, mut times, mut every] = [0, u64::MAX, 1];
        for part in parts {
            let (key, number) = part.split_once('=')?;
            let place = match key {
                "after" => &mut after,
                "times" => &mut times,
                "every" => &mut every,
                _ => return None,
            };
            *place = number.parse().ok()?;
        }
        let words = self.words(call);
        words[ERRNO].store(0, Ordering::Release);
        let all = [(AFTER, after), (TIMES, times), (EVERY, every.max(1)), (CAME, 0), (FAILED, 0)];
        all.into_iter().for_each(|(at, value)| words[at].store(value, Ordering::Release));
        words[ERRNO].store(number(value)?, Ordering::Release);
        Some(())
    }

    /// How often a call failed since it was armed.
    pub fn failed(&self, call: Call) -> u64 {
        self.words(call as usize)[FAILED].load(Ordering::Acquire)
    }

    fn meet(&self, call: Call) -> io::Result<()> {
        let words = self.words(call as usize);
        let [errno, after, times, every] =
            [ERRNO, AFTER, TIMES, EVERY].map(|at| words[at].load(Ordering::Acquire));
        let Ok(errno @ 1..) = i32::try_from(errno) else { return Ok(()) };
        let came = words[CAME].fetch_add(1, Ordering::AcqRel);
        let Some(due) = came.checked_sub(after) else { return Ok(()) };
        if due % every != 0 || due / every >= times {
            return Ok(());
        }
        words[FAILED].fetch_add(1, Ordering::AcqRel);
        Err(io::Error::from_raw_os_error(errno))
    }

    fn words(&self, call: usize) -> &[AtomicU64] {
        &self.0[call * WIDTH..][..WIDTH]
    }

    fn clock(&self, clock: usize) -> &AtomicU64 {
        &self.0[NAMES.len() * WIDTH + clock]
    }
}

/// The number of an error by its name; 0 by none.
fn number(name: &str) -> Option<u64> {
    let mut known = (1..=133).map(Errno::from_raw);
    match name {
        "" => Some(0),
        name => u64::try_from(known.find(|errno| format!("{errno:?}") == name)? as i32).ok(),
    }
}

static PROCESS: OnceLock<FaultTable> = OnceLock::new();

thread_local! {
    static THREAD: RefCell<Option<Rc<FaultTable>>> = const { RefCell::new(None) };
}

/// Has this process fail as its environment says. To be called before it gives up its rights.
pub fn from_environment() -> Result<(), String> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(()) };
    let shared = text.starts_with('/');
    let table = if shared { FaultTable::open(&text) } else { FaultTable::create() };
    let table = table.map_err(|error| format!("{VARIABLE}={text}: {error}"))?;
    if !shared {
        table.arm(&text)?;
    }
    // The second of two callers finds what the first one set.
    let _ = PROCESS.set(table);
    Ok(())
}

/// Has calls of this thread fail while `work` is done.
pub fn here<T>(faults: &str, work: impl FnOnce(&FaultTable) -> T) -> T {
    let table = Rc::new(FaultTable::create().expect("memory for a test"));
    table.arm(faults).expect("a test's own faults");
    THREAD.set(Some(Rc::clone(&table)));
    let done = work(&table);
    THREAD.set(None);
    done
}

/// Fails, if this call is to.
pub(super) fn meet(call: Call) -> io::Result<()> {
    let of_thread = THREAD.with_borrow(|table| table.as_ref().map(|table| table.meet(call)));
    of_thread.unwrap_or_else(|| PROCESS.get().map_or(Ok(()), |table| table.meet(call)))
}

/// How far the wall clock and the clock of this boot are off, in seconds.
pub(super) fn off() -> [i64; 2] {
    let read = |clock: usize| {
        PROCESS.get().map_or(0, |table| table.clock(clock).load(Ordering::Acquire).cast_signed())
    };
    [read(0), read(1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(faults: &str) -> String {
        here(faults, |table| {
            let outcomes = (0..8).map(|_| meet(Call::Send));
            let text: String =
                outcomes.map(|outcome| if outcome.is_ok() { '.' } else { 'x' }).collect();
            let failed = text.matches('x').count();
            assert_eq!(table.failed(Call::Send), u64::try_from(failed).unwrap());
            text
        })
    }

    #[test]
    fn the_calls_that_are_to_fail_do() {
        for (faults, outcomes) in [
            ("", "........"),
            ("send:EPERM", "xxxxxxxx"),
            ("receive:EPERM", "........"),
            ("send:EPERM:times=2", "xx......"),
            ("send:EPERM:after=3:times=2", "...xx..."),
            ("send:EPERM:every=3", "x..x..x."),
            ("send:EPERM:after=1:every=2:times=2", ".x.x...."),
            ("send:EPERM,send:", "........"),
        ] {
            assert_eq!(fails(faults), outcomes, "{faults}");
        }
        assert!(meet(Call::Send).is_ok(), "and nothing fails afterwards");
    }

    #[test]
    fn each_fails_with_its_error() {
        for errno in [Errno::EPERM, Errno::ENOBUFS, Errno::EMSGSIZE, Errno::EBADFD] {
            let error = here(&format!("tun_read:{errno:?}"), |_| meet(Call::TunRead).unwrap_err());
            assert_eq!(error.raw_os_error(), Some(errno as i32));
        }
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        let table = FaultTable::create().unwrap();
        for wrong in ["x", "send", "sent:EPERM", "send:EWHAT", "send:EPERM:often", "wall_clock:x"] {
            assert!(table.arm(wrong).unwrap_err().contains(wrong));
        }
        assert!(table.arm("wall_clock:-5,boot_clock:7").is_ok());
    }

    #[test]
    fn a_table_is_found_by_its_path() {
        let table = FaultTable::create().unwrap();
        let other = FaultTable::open(&table.path()).unwrap();
        table.arm("poll:EINTR").unwrap();
        assert!(other.meet(Call::Poll).is_err());
        assert_eq!(table.failed(Call::Poll), 1);
    }
}
