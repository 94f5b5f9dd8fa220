//! The capabilities of a thread (capabilities(7)), of which all but some are given up for good.

use std::io;

use nix::libc::{self, c_long, c_ulong};

/// Devices, addresses and routes; ESP without UDP; ports below 1024 (linux/capability.h).
pub(super) const SERVICE: u64 = 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW | 1 << CAP_NET_BIND_SERVICE;
/// No capability at all.
pub(super) const NONE: u64 = 0;

const CAP_NET_BIND_SERVICE: u32 = 10;
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
/// More than there are: the kernel says which it knows.
const NUMBERS: u32 = 64;

/// `_LINUX_CAPABILITY_VERSION_3`: 64 capabilities in two halves.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    /// 0 is the calling thread.
    thread: i32,
}

/// 32 capabilities in each set.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up all capabilities of the calling thread, and of those that it starts, but these: what it
/// has of these is in effect afterwards.
///
/// The bounding set, which limits what a program that is started may gain, shrinks too, where the
/// thread may do that (CAP_SETPCAP). A service that was started with a few capabilities may not,
/// and starts no program that could gain any ("no new privileges").
pub(super) fn keep_only(keep: u64) -> io::Result<()> {
    shrink_bound(keep);
    let mut halves = [CapabilityHalf::default(); 2];
    call(libc::SYS_capget, &mut halves)?;
    let mut has_others = false;
    for (half, shift) in halves.iter_mut().zip([0, 32]) {
        let kept = half.permitted & u32::try_from(keep >> shift & 0xffff_ffff).unwrap_or(0);
        has_others |= kept != half.permitted;
        *half = CapabilityHalf { effective: kept, permitted: kept, inheritable: 0 };
    }
    // The ambient set follows the inheritable one. A system call filter of whoever started the
    // service may forbid the call where there is nothing to give up.
    call(libc::SYS_capset, &mut halves)
        .or_else(|error| if has_others { Err(error) } else { Ok(()) })
}

/// Takes all capabilities but these out of the bounding set, as far as the thread may.
pub(super) fn shrink_bound(keep: u64) {
    for number in (0..NUMBERS).filter(|number| keep >> number & 1 == 0) {
        // SAFETY: prctl(2) with these options takes integers only. An unknown capability is
        // EINVAL, and a missing right EPERM, which is no loss (see `keep_only`).
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, c_ulong::from(number), 0, 0, 0) };
    }
}

fn call(number: c_long, halves: &mut [CapabilityHalf; 2]) -> io::Result<()> {
    let mut header = CapabilityHeader { version: VERSION, thread: 0 };
    let (head, body) = (&raw mut header, halves.as_mut_ptr());
    // SAFETY: the kernel reads the header and reads or writes two halves, which both live on.
    match unsafe { libc::syscall(number, head, body) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

    use super::*;

    /// The sets of the calling thread by their names in proc_pid_status(5).
    fn sets() -> Vec<(String, u64)> {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let lines = status.lines().filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"));
        lines.map(|(set, mask)| (set.to_owned(), u64::from_str_radix(mask, 16).unwrap())).collect()
    }

    #[test]
    fn what_is_not_kept_is_in_no_set_and_does_not_come_back() {
        for keep in [SERVICE, NONE] {
            let thread = move || {
                let before = sets();
                keep_only(keep).unwrap();
                let after = sets();
                let is_root = nix::unistd::geteuid().is_root();
                for ((set, before), (_, after)) in before.into_iter().zip(after) {
                    match set.as_str() {
                        "Prm" | "Eff" => assert_eq!(after, before & keep, "{set}"),
                        "Bnd" if is_root => assert_eq!(after, before & keep, "{set}"),
                        "Bnd" => {}
                        _ => assert_eq!(after, 0, "{set}"),
                    }
                }
                let widened = [CapabilityHalf { effective: 1, permitted: 1, inheritable: 0 }; 2];
                assert!(call(libc::SYS_capset, &mut { widened }).is_err());
            };
            std::thread::spawn(thread).join().unwrap();
        }
    }

    /// As under a unit whose filter has no capset(2), which is a call for the privileged.
    #[test]
    fn where_the_call_is_forbidden_only_what_was_to_be_given_up_is_a_failure() {
        let thread = || {
            keep_only(SERVICE).unwrap();
            let rules = BTreeMap::from([(libc::SYS_capset, Vec::new())]);
            let refusal = SeccompAction::Errno(libc::EPERM.cast_unsigned());
            let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch).unwrap();
            seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
            keep_only(SERVICE).unwrap();
            assert_eq!(keep_only(NONE).is_err(), nix::unistd::geteuid().is_root());
        };
        std::thread::spawn(thread).join().unwrap();
    }
}
