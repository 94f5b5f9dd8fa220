//! `s2sd signer`: what `s2sd run` starts to keep its private keys. Nobody else has a use for it.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use super::fail;
use crate::daemon::signer;
use crate::sys::confine;

/// Answers on standard input, a socket, until it is closed.
pub fn run() -> ExitCode {
    let stream = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let stream = match stream {
        Ok(stream) if stream.peer_addr().is_ok() => stream,
        _ => return fail("`s2sd signer` is started by `s2sd run` alone"),
    };
    if let Err(why) = confine::signer() {
        super::complain(format_args!(
            "the process that keeps the private keys is not confined: {why}"
        ));
    }
    match signer::serve(stream) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("the process that keeps the private keys ends: {error}")),
    }
}
