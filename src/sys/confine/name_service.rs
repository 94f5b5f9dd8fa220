//! What the C library looks up names with (nsswitch.conf(5)): loaded before a process gives up the
//! right to load code.

use std::ffi::CString;
use std::fs;

use nix::libc;

/// Which modules look up names of hosts, line by line.
const SETTINGS: &str = "/etc/nsswitch.conf";
/// What is used where the settings name nothing, and what an older C library has as modules.
const ALWAYS: [&str; 2] = ["files", "dns"];
/// Settings of the C library's own resolver (resolv.conf(5)).
const RESOLVER_OPTIONS: &str = "RES_OPTIONS";

/// Loads all modules that look up names of hosts. A module that is not installed is left out, as
/// the C library does when it looks for one. To be called while the process has one thread.
pub(super) fn load() {
    let text = fs::read_to_string(SETTINGS).unwrap_or_default();
    for module in modules(&text) {
        let Ok(name) = CString::new(format!("libnss_{module}.so.2")) else { continue };
        // SAFETY: a module of the C library, which the C library itself would load at the first
        // look-up; the handle is kept for ever.
        unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    }
    // An answer of more than 512 octets would be asked for again over TCP, for which a confined
    // process has no socket.
    if std::env::var_os(RESOLVER_OPTIONS).is_none() {
        // SAFETY: by the rule above no other thread reads the environment.
        unsafe { std::env::set_var(RESOLVER_OPTIONS, "edns0") };
    }
}

/// The modules of the line `hosts:`, and those of every C library.
fn modules(text: &str) -> Vec<&str> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let hosts =
        lines.filter_map(|line| line.strip_prefix("hosts:")).flat_map(str::split_whitespace);
    let is_name = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // What stands in brackets says what follows from an outcome.
    ALWAYS.into_iter().chain(hosts.filter(is_name).filter(|name| !ALWAYS.contains(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_by_the_line_for_hosts() {
        let text = "passwd: files systemd\n# hosts: ldap\n\
                    hosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns # end\n";
        assert_eq!(modules(text), ["files", "dns", "mdns4_minimal", "resolve"]);
        assert_eq!(modules(""), ALWAYS);
        assert_eq!(modules("hosts: ../../tmp/own"), ALWAYS, "no path");
    }
}
