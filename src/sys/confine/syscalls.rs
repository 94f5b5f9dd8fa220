//! The system calls that each role may make, enforced by seccomp (seccomp(2)).

use std::collections::BTreeMap;

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::ConfinedRole;
use crate::sys::memfd;

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
    libc::SYS_listen,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_mlock,
    libc::SYS_msync,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pipe2,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_readlinkat,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_seccomp,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_statx,
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

/// What the kernel takes as the kind of a socket from its second argument; the rest are flags.
const SOCKET_KIND: i32 = 0xf;

/// What may be asked of a descriptor beside reading and writing: a device made and told its
/// offloads (linux/if_tun.h), a device's number, and what the standard library asks.
const REQUESTS: &[u64] =
    &[TUNSETIFF, TUNSETOFFLOAD, libc::SIOCGIFINDEX, libc::FIONBIO, libc::FIOCLEX, libc::TCGETS];
const TUNSETIFF: u64 = 0x4004_54ca;
const TUNSETOFFLOAD: u64 = 0x4004_54d0;

/// What a thread may change about itself: its name, and to give up more.
const SETTINGS: &[i32] = &[libc::PR_SET_NAME, libc::PR_SET_NO_NEW_PRIVS];

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
    let execute = bits(libc::PROT_EXEC);
    let data = || Ok(vec![only(&[masked(2, execute, 0)?])?]);
    // No new code: what looks up names is loaded before (`name_service.rs`).
    rules.insert(libc::SYS_mmap, data()?);
    rules.insert(libc::SYS_mprotect, data()?);
    if role == ConfinedRole::Control {
        rules.extend(control_rules()?);
    }
    Ok(rules)
}

/// What control may do only with some arguments.
fn control_rules() -> Result<SyscallRules, seccompiler::BackendError> {
    let is = |argument, value| condition(argument, SeccompCmpOp::Eq, bits(value));
    let mut sockets = vec![
        // The control socket, the service manager, and who answers for names.
        only(&[is(0, libc::AF_UNIX)?])?,
        // Devices, addresses and routes.
        only(&[is(0, libc::AF_NETLINK)?, is(2, libc::NETLINK_ROUTE)?])?,
    ];
    let kind = |kind| masked(1, bits(SOCKET_KIND), bits(kind));
    for family in [libc::AF_INET, libc::AF_INET6] {
        // 0 is UDP.
        for protocol in [0, libc::IPPROTO_UDP] {
            sockets.push(only(&[is(0, family)?, kind(libc::SOCK_DGRAM)?, is(2, protocol)?])?);
        }
        let esp = is(2, libc::IPPROTO_ESP)?;
        sockets.push(only(&[is(0, family)?, kind(libc::SOCK_RAW)?, esp])?);
    }
    let requests = REQUESTS.iter().map(|&it| only(&[condition(1, SeccompCmpOp::Eq, it)?]));
    let settings = SETTINGS.iter().map(|&it| only(&[is(0, it)?]));
    let this = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    // Threads, and no processes: a thread of this process shares everything with it.
    let thread = bits(libc::CLONE_THREAD);
    let sealed = u64::from(libc::MFD_NOEXEC_SEAL);
    let memory = match memfd::can_forbid_execution() {
        true => vec![only(&[masked(1, sealed, sealed)?])?],
        false => Vec::new(),
    };
    Ok(SyscallRules::from([
        (libc::SYS_socket, sockets),
        (libc::SYS_socketpair, vec![only(&[is(0, libc::AF_UNIX)?])?]),
        (libc::SYS_ioctl, requests.collect::<Result<_, _>>()?),
        (libc::SYS_prctl, settings.collect::<Result<_, _>>()?),
        (libc::SYS_prlimit64, vec![only(&[is(0, 0)?])?]),
        (libc::SYS_tgkill, vec![only(&[is(0, this)?])?]),
        (libc::SYS_clone, vec![only(&[masked(0, thread, thread)?])?]),
        (libc::SYS_clone3, Vec::new()),
        (libc::SYS_memfd_create, memory),
    ]))
}

/// A call that is allowed when all of these are so.
fn only(conditions: &[SeccompCondition]) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(conditions.to_vec())
}

fn masked(
    argument: u8,
    mask: u64,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    condition(argument, SeccompCmpOp::MaskedEq(mask), value)
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
    use std::os::fd::AsRawFd;
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

    /// A socket of these three numbers, which control tries to make.
    fn tried(family: i32, kind: i32, protocol: i32) -> io::Result<()> {
        // SAFETY: socket(2) takes integers only.
        let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else has it.
        unsafe { libc::close(fd) };
        Ok(())
    }

    #[test]
    fn control_makes_sockets_of_the_kinds_that_it_uses_and_no_others() {
        under(ConfinedRole::Control, || {
            let (dgram, raw, stream) = (libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_STREAM);
            for family in [libc::AF_INET, libc::AF_INET6] {
                assert!(tried(family, dgram, 0).is_ok());
                assert!(tried(family, dgram | libc::SOCK_NONBLOCK, libc::IPPROTO_UDP).is_ok());
                if nix::unistd::geteuid().is_root() {
                    assert!(tried(family, raw, libc::IPPROTO_ESP).is_ok());
                }
                for (kind, protocol) in [
                    (stream, 0),
                    (raw, libc::IPPROTO_ICMP),
                    (raw, libc::IPPROTO_TCP),
                    (raw, libc::IPPROTO_RAW),
                    (dgram, libc::IPPROTO_ICMP),
                    (libc::SOCK_SEQPACKET, libc::IPPROTO_SCTP),
                ] {
                    assert!(refused(tried(family, kind, protocol)), "{kind} {protocol}");
                }
            }
            let netlink = |protocol| tried(libc::AF_NETLINK, raw, protocol);
            assert!(netlink(libc::NETLINK_ROUTE).is_ok());
            for other in [
                libc::NETLINK_NETFILTER,
                libc::NETLINK_XFRM,
                libc::NETLINK_AUDIT,
                libc::NETLINK_GENERIC,
                libc::NETLINK_KOBJECT_UEVENT,
            ] {
                assert!(refused(netlink(other)), "netlink {other}");
            }
            assert!(tried(libc::AF_UNIX, stream, 0).is_ok());
            assert!(tried(libc::AF_UNIX, dgram, 0).is_ok());
        });
    }

    #[test]
    fn control_runs_no_new_code_and_keeps_its_protections() {
        under(ConfinedRole::Control, || {
            let mapped = |rights| {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                // SAFETY: a new mapping, placed by the kernel; it touches nothing that exists.
                let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, rights, flags, -1, 0) };
                if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(at) }
            };
            assert!(mapped(libc::PROT_READ | libc::PROT_WRITE).is_ok());
            assert!(refused(mapped(libc::PROT_READ | libc::PROT_EXEC)));
            assert!(refused(mapped(libc::PROT_WRITE | libc::PROT_EXEC)));
            let set = |option, to: libc::c_ulong| {
                // SAFETY: these options take integers only.
                match unsafe { libc::prctl(option, to, 0, 0, 0) } {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            };
            assert!(set(libc::PR_SET_NO_NEW_PRIVS, 1).is_ok());
            for option in [libc::PR_SET_DUMPABLE, libc::PR_SET_PTRACER, libc::PR_SET_KEEPCAPS] {
                assert!(refused(set(option, 1)), "prctl {option}");
            }
            assert!(refused(nix::sys::prctl::set_child_subreaper(true).map_err(Into::into)));
            let file = crate::sys::memfd::create("test", 4096).unwrap();
            let mode = file.metadata().unwrap().permissions();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
            if crate::sys::memfd::can_forbid_execution() {
                let program = nix::sys::memfd::memfd_create(
                    "program",
                    nix::sys::memfd::MFdFlags::MFD_CLOEXEC,
                );
                assert!(refused(program.map_err(Into::into)));
            }
        });
    }

    /// A terminal that takes typed-in characters from a program would have them run by the shell
    /// that started the service (TIOCSTI, TIOCLINUX).
    #[test]
    fn control_types_nothing_into_a_terminal_and_signals_nobody() {
        under(ConfinedRole::Control, || {
            let null = std::fs::File::open("/dev/null").unwrap();
            for request in [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCCONS] {
                // SAFETY: /dev/null knows none of these requests and reads no memory for them.
                let done = unsafe { libc::ioctl(null.as_raw_fd(), request, 0) };
                assert_eq!(done, -1);
                assert!(refused::<()>(Err(io::Error::last_os_error())), "ioctl {request}");
            }
            assert!(refused(
                nix::sys::signal::kill(nix::unistd::Pid::this(), None).map_err(Into::into)
            ));
            UdpSocket::bind("127.0.0.1:0").unwrap().set_nonblocking(true).unwrap();
        });
    }

    /// Modules of the C library that look up names are code, which is loaded before.
    #[test]
    fn names_are_looked_up_without_new_code() {
        super::super::name_service::load();
        let found = under(ConfinedRole::Control, || {
            std::net::ToSocketAddrs::to_socket_addrs("localhost:500").map(Iterator::count)
        });
        assert!(found.unwrap() > 0);
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
