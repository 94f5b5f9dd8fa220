//! What the process with the private keys is asked: by the service, or by whoever took the service
//! over.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use s2sd::daemon::signer;

/// Any questions, framed or not: each whole one has one answer, which is of a known kind, and the
/// end of input is the end.
pub fn signer_questions(data: &[u8]) {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    // No more than the socket holds: nobody reads it yet.
    ours.write_all(&data[..data.len().min(1 << 15)]).expect("room");
    ours.shutdown(Shutdown::Write).expect("an end");
    let answers = std::thread::spawn(move || {
        let mut answers = Vec::new();
        // An end with questions that nobody read is a reset.
        let _ = ours.read_to_end(&mut answers);
        answers
    });
    // What ends in the middle of a question is an error.
    let _ = signer::serve(theirs);
    let answers = answers.join().expect("a reader");
    let mut rest = answers.as_slice();
    let mut count = 0;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        assert!(length > 0 && after[0] <= 4, "an answer of no kind");
        (rest, count) = (&after[length..], count + 1);
    }
    assert!(rest.is_empty() && count <= data.len() / 4, "{count} answers");
}
