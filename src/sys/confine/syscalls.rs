//! The system calls that each role may make, enforced by seccomp (seccomp(2)).

use std::collections::BTreeMap;

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::ConfinedRole;

/// Memory, locks, clocks, signals, the end: what every thread of every program does.
const COMMON: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Between descriptors that are open.
const TRANSFER: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_getsockopt,
    libc::SYS_ppoll,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

/// What the standard library asks of a descriptor before it closes it, where assertions are on.
const CHECKS: &[c_long] = if cfg!(debug_assertions) { &[libc::SYS_fcntl] } else { &[] };

/// Files, sockets, devices, timers, threads.
const CONTROL: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_clock_getres,
    libc::SYS_connect,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getuid,
    libc::SYS_ioctl,
    libc::SYS_kill,
    libc::SYS_listen,
    libc::SYS_lseek,
    libc::SYS_memfd_create,
    libc::SYS_mkdirat,
    libc::SYS_msync,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_prctl,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
    libc::SYS_pwrite64,
    libc::SYS_readlinkat,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_seccomp,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_statx,
    libc::SYS_tgkill,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_uname,
    libc::SYS_unlinkat,
    libc::SYS_wait4,
];

/// The older names of some of them.
#[cfg(target_arch = "x86_64")]
const CONTROL_OLD: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_chmod,
    libc::SYS_epoll_wait,
    libc::SYS_getdents,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_readlink,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const CONTROL_OLD: &[c_long] = &[];

/// Families of sockets: UDP and raw ESP, routes and devices, the control socket and the service
/// manager.
const FAMILIES: [i32; 4] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_UNIX];

/// Filters the system calls of the calling thread and of those that it starts from now on.
pub(super) fn enforce(role: ConfinedRole) -> Result<(), String> {
    let filters = programs(role).map_err(|error| error.to_string())?;
    filters.iter().try_for_each(|f| seccompiler::apply_filter(f)).map_err(|e| e.to_string())
}

/// The filters of a role; of several the strictest counts.
fn programs(role: ConfinedRole) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let stray = match role {
        ConfinedRole::Control | ConfinedRole::Lane => SeccompAction::Errno(errno(libc::EPERM)),
        ConfinedRole::Signer => SeccompAction::KillProcess,
    };
    let mut filters = vec![program(rules(role)?, stray, SeccompAction::Allow)?];
    if role == ConfinedRole::Control {
        // The flags of clone3 are out of a filter's sight: the C library falls back to clone, whose
        // are not.
        let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let absent = SeccompAction::Errno(errno(libc::ENOSYS));
        filters.push(program(clone3, SeccompAction::Allow, absent)?);
    }
    Ok(filters)
}

type SyscallRules = BTreeMap<i64, Vec<SeccompRule>>;

fn program(
    rules: SyscallRules,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()
}

/// What a role may do. A call without conditions is allowed whatever its arguments.
fn rules(role: ConfinedRole) -> Result<SyscallRules, seccompiler::BackendError> {
    let lists: &[&[c_long]] = match role {
        ConfinedRole::Signer => {
            &[COMMON, &[libc::SYS_close, libc::SYS_recvfrom, libc::SYS_sendto], CHECKS]
        }
        ConfinedRole::Lane => &[COMMON, TRANSFER],
        ConfinedRole::Control => &[COMMON, TRANSFER, CONTROL, CONTROL_OLD],
    };
    let mut rules: SyscallRules =
        lists.iter().copied().flatten().map(|&number| (number, Vec::new())).collect();
    let (write, execute) = (bits(libc::PROT_WRITE), bits(libc::PROT_EXEC));
    let without = |bit| condition(2, SeccompCmpOp::MaskedEq(bit), 0);
    // No new code, but for control, whose C library loads modules to look up names: there no memory
    // is both written and run.
    let mut mappings = vec![SeccompRule::new(vec![without(execute)?])?];
    if role == ConfinedRole::Control {
        mappings.push(SeccompRule::new(vec![without(write)?])?);
    }
    rules.insert(libc::SYS_mmap, mappings);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![without(execute)?])?]);
    if role == ConfinedRole::Control {
        let families = FAMILIES
            .into_iter()
            .map(|family| SeccompRule::new(vec![condition(0, SeccompCmpOp::Eq, bits(family))?]));
        rules.insert(libc::SYS_socket, families.collect::<Result<_, _>>()?);
        let unix = SeccompRule::new(vec![condition(0, SeccompCmpOp::Eq, bits(libc::AF_UNIX))?])?;
        rules.insert(libc::SYS_socketpair, vec![unix]);
        // Threads, and no processes: a thread of this process shares everything with it.
        let thread = bits(libc::CLONE_THREAD);
        let shared = SeccompRule::new(vec![condition(0, SeccompCmpOp::MaskedEq(thread), thread)?])?;
        rules.insert(libc::SYS_clone, vec![shared]);
        rules.insert(libc::SYS_clone3, Vec::new());
    }
    Ok(rules)
}

fn condition(
    argument: u8,
    is: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)
}

fn bits(flags: i32) -> u64 {
    u64::from(flags.cast_unsigned())
}

fn errno(number: i32) -> u32 {
    number.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::UdpSocket;
    use std::process::Command;

    use super::*;

    /// Runs in a thread of its own under a role's filter.
    fn under<T: Send + 'static>(role: ConfinedRole, work: fn() -> T) -> T {
        let confined = move || {
            enforce(role).unwrap();
            work()
        };
        std::thread::spawn(confined).join().unwrap()
    }

    fn refused<T>(done: io::Result<T>) -> bool {
        done.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
    }

    #[test]
    fn control_makes_sockets_and_threads_and_no_programs() {
        under(ConfinedRole::Control, || {
            assert!(UdpSocket::bind("127.0.0.1:0").is_ok());
            assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
            assert!(std::fs::read_to_string("/etc/hostname").is_ok());
            assert!(refused(Command::new("/bin/true").status()));
            assert!(refused(
                nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).map_err(Into::into)
            ));
            assert!(refused(std::os::unix::fs::chroot("/")));
            assert!(refused(
                nix::sys::socket::socket(
                    nix::sys::socket::AddressFamily::Packet,
                    nix::sys::socket::SockType::Raw,
                    nix::sys::socket::SockFlag::empty(),
                    None,
                )
                .map_err(Into::into)
            ));
        });
        // What is inherited stays: a thread that a confined thread starts is confined.
        let inherits = under(ConfinedRole::Control, || {
            std::thread::spawn(|| refused(std::os::unix::fs::chroot("/"))).join().unwrap()
        });
        assert!(inherits);
    }

    #[test]
    fn a_lane_moves_bytes_and_opens_nothing() {
        let outcome = under(ConfinedRole::Lane, || {
            let (mut out, mut room) = (Vec::new(), [0; 4096]);
            room.fill(7);
            out.extend(room);
            (
                refused(UdpSocket::bind("127.0.0.1:0")),
                refused(std::fs::read("/etc/hostname")),
                out.len(),
            )
        });
        assert_eq!(outcome, (true, true, 4096));
        assert!(under(ConfinedRole::Lane, || refused(Command::new("/bin/true").status())));
    }
}
