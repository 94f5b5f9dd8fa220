//! How many descriptors this process may have open.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit of open descriptors as far as allowed; an error when that is less than `least`.
/// To be called before rights are given up.
pub fn claim(least: u64) -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // The soft limit is for programs that use select(2) on old data structures; none of that is
    // here.
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    if limit >= least {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the limit of open descriptors is {limit}, and {least} are needed: raise LimitNOFILE= of the unit, or `ulimit -n`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_had_and_more_is_refused_in_words() {
        claim(1).unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        let error = claim(u64::MAX).unwrap_err().to_string();
        assert!(hard == u64::MAX || error.contains("LimitNOFILE"), "{error}");
    }
}
