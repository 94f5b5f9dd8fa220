//! The right to create network namespaces: root has it, other users get it in a user namespace of
//! their own if the kernel allows one.

use std::fs;
use std::io;

use crate::sys::user_namespace;

/// The device that creates TUN interfaces.
const TUN: &str = "/dev/net/tun";

/// Acquires the right to create namespaces, or says what is missing. Must be called before the
/// first thread starts.
pub fn acquire() -> Result<(), String> {
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open(TUN) {
        let remedy = match error.kind() {
            io::ErrorKind::PermissionDenied => format!(
                "let all users open it (`sudo chmod 666 {TUN}`), or run the demonstration as root: `sudo s2sd demo`"
            ),
            _ => "load the kernel module (`sudo modprobe tun`), or give the container the device"
                .to_owned(),
        };
        return Err(format!(
            "the demonstration cannot create tunnel devices: {TUN}: {error}; {remedy}"
        ));
    }
    if user_namespace::is_root() {
        return Ok(());
    }
    user_namespace::enter().map_err(|error| missing(&error))
}

fn missing(error: &io::Error) -> String {
    let says =
        |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let why = if says("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "kernel.unprivileged_userns_clone is 0: `sudo sysctl kernel.unprivileged_userns_clone=1`"
    } else if says("/proc/sys/user/max_user_namespaces", "0") {
        "user.max_user_namespaces is 0: `sudo sysctl user.max_user_namespaces=1000`"
    } else if says("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "AppArmor forbids unprivileged user namespaces: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
    } else {
        "the system (or the container) does not allow unprivileged user namespaces"
    };
    format!(
        "the demonstration cannot create network namespaces: {error}. {why}; or run the demonstration as root: `sudo s2sd demo`"
    )
}
