//! `s2sd signer`: the process that keeps the private keys. Only `s2sd run` starts this command.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use super::fail;
use crate::daemon::signer;
use crate::sys::confine;

/// Answers signing requests on standard input, which is a socket, until the socket is closed.
pub fn run() -> ExitCode {
    let stream = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let stream = match stream {
        Ok(stream) if stream.peer_addr().is_ok() => stream,
        _ => return fail("only `s2sd run` may start `s2sd signer`"),
    };
    if let Err(why) = confine::signer() {
        super::complain(format_args!("the process with the private keys is not confined: {why}"));
    }
    match signer::serve(stream) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("the process with the private keys ends: {error}")),
    }
}
