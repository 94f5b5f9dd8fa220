//! The signing process, which keeps the private keys, and how the service asks it to sign.
//!
//! ```text
//!   s2sd run        ── keep(DER) ──────────────────────>  s2sd signer      a socketpair;
//!   (parses what    <─────────────── number, public ──    (parses keys     no other process
//!   strangers send) ── sign(number, scheme, message) ──>  and numbers)     has an end of it
//!                   <───────────────────── signature ──
//! ```
//!
//! [`SigningProcess`] is the service's end, and the [`Signer`] behind the service's
//! [`crate::crypto::signature::KeyStore`]. [`serve`] is the end of `s2sd signer`.
//!
//! **Why a process.** A thread with a seccomp filter of its own shares its memory with the threads
//! that parse what strangers send: a bug that lets one of those threads read where it should not
//! would read the key. A process shares nothing but this socket. An attacker who takes over the
//! service can still have messages signed while the attack lasts, and can read the files that a
//! reload reads. The attacker does not find the key in memory, and a bug that only leaks memory
//! leaks no key.
//!
//! **Started once.** The service starts the signing process before the service gives up its rights
//! (afterwards the service can start no process). The signing process takes the keys of reloads
//! too. It has no file, no network, and no system calls but reading, writing and memory
//! ([`crate::sys::confine`]).
//!
//! **When the signing process dies**, the service, which can start no other, hands over and ends
//! with a failure ([`super::Signal::KeysLost`]): the next service process starts a new signing
//! process, and the tunnels are kept. Without a file descriptor store the tunnels go on and are
//! rekeyed, which takes no signature; new handshakes fail until a restart, and each refusal says
//! why. When the service dies, the signing process reads the end of its input and ends.
//!
//! **Latency.** The engine waits for the answer: two wake-ups beside the time of the signature
//! itself. Only proven peers, and peers that we dial, cost a signature.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::error;
use zeroize::Zeroizing;

use crate::crypto::signature::{
    KeyError, KeyKind, PrivateKey, PublicKey, Scheme, SignError, Signer,
};

/// How long the signing process may take for an answer before the service treats it as gone:
/// seconds more than the slowest key takes on the slowest machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest message in either direction, in octets: AUTH signs at most two datagrams.
const MAX_MESSAGE: usize = 1 << 18;
/// How many keys the signing process keeps: one for each connection, and as many again during a
/// reload.
const MOST_KEYS: usize = 4096;

/// The first octet of a request.
const KEEP: u8 = 1;
const SIGN: u8 = 2;
const FORGET: u8 = 3;

/// The first octet of an answer.
const DONE: u8 = 0;
const UNFIT: u8 = 1;
const FAILED: u8 = 2;
const REFUSED: u8 = 3;
const ENCRYPTED: u8 = 4;

/// What ends the finding in a refusal; the remedy follows.
const FINDING_END: char = '\n';

/// The service's end of the socket to the signing process.
#[derive(Debug)]
pub struct SigningProcess {
    /// `None` once an answer did not come in time: a late answer must not be taken for the answer
    /// to the next request.
    stream: Mutex<Option<UnixStream>>,
}

impl SigningProcess {
    /// Starts the signing process: this program with the command `signer`, as the user and group of
    /// these numbers.
    pub fn start(user: Option<(u32, u32)>) -> io::Result<SigningProcess> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut signer = Command::new("/proc/self/exe");
        if let Some((uid, gid)) = user {
            signer.uid(uid).gid(gid);
        }
        signer
            // A terminal's SIGINT is for the service, not for the signing process.
            .process_group(0)
            .arg0("s2sd")
            .arg("signer")
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()?;
        SigningProcess::over(ours)
    }

    fn over(stream: UnixStream) -> io::Result<SigningProcess> {
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(SigningProcess { stream: Mutex::new(Some(stream)) })
    }

    /// Another descriptor of the socket, which shows when the process ends. The caller must not
    /// read from the descriptor.
    pub fn line(&self) -> io::Result<OwnedFd> {
        let held = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = held.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        stream.try_clone().map(OwnedFd::from)
    }

    /// Sends a request and waits for the answer; `None` when the process is gone.
    fn ask(&self, parts: &[&[u8]]) -> Option<Vec<u8>> {
        let mut held = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = held.as_mut()?;
        match send(stream, parts).and_then(|()| receive(stream)) {
            Ok(Some(answer)) => Some(answer.to_vec()),
            outcome => {
                let why =
                    outcome.err().map_or_else(|| "the process ended".to_owned(), |e| e.to_string());
                error!(
                    why,
                    "the process that keeps the private keys is gone: no new handshake until a restart"
                );
                // Whoever watches the descriptor must see a process that hangs as one that ended.
                if let Some(stream) = held.take() {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                None
            }
        }
    }
}

impl Signer for SigningProcess {
    fn keep(&self, der: &[u8]) -> Result<(u32, PublicKey), KeyError> {
        // A file may hold anything, and a message that is too long would end the signing process.
        if der.len() >= MAX_MESSAGE {
            return Err(KeyError::Refused {
                found: format!("{} octets are no private key", der.len()),
                remedy: "name the file with the private key".to_owned(),
            });
        }
        let answer = self.ask(&[&[KEEP], der]).ok_or(KeyError::NotKept)?;
        match answer.split_first() {
            Some((&DONE, key)) => kept(key).ok_or(KeyError::NotKept),
            Some((&REFUSED, text)) => Err(refusal(text)),
            Some((&ENCRYPTED, _)) => Err(KeyError::Encrypted),
            _ => Err(KeyError::NotKept),
        }
    }

    fn sign(&self, key: u32, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let code = Scheme::ALL.iter().position(|known| *known == scheme);
        let code =
            code.and_then(|code| u8::try_from(code).ok()).ok_or(SignError::Failed(scheme))?;
        let answer =
            self.ask(&[&[SIGN], &key.to_be_bytes(), &[code], message]).ok_or(SignError::Gone)?;
        match answer.split_first() {
            Some((&DONE, signature)) => Ok(signature.to_vec()),
            // `SignError::Unfit` does not come back over the socket: the caller has the public
            // half, and so the kind of the key.
            _ => Err(SignError::Failed(scheme)),
        }
    }

    fn forget(&self, key: u32) {
        let _ = self.ask(&[&[FORGET], &key.to_be_bytes()]);
    }
}

/// The number and the public half in the answer about a key that was kept.
fn kept(answer: &[u8]) -> Option<(u32, PublicKey)> {
    let (&[a, b, c, d, kind], octets) = answer.split_first_chunk()?;
    let public = PublicKey::from_octets(kind_of(kind)?, octets).ok()?;
    Some((u32::from_be_bytes([a, b, c, d]), public))
}

/// The finding and the remedy in the answer about a key that was refused.
fn refusal(answer: &[u8]) -> KeyError {
    let text = String::from_utf8_lossy(answer);
    let (found, remedy) = text.split_once(FINDING_END).unwrap_or((&text, ""));
    KeyError::Refused { found: found.to_owned(), remedy: remedy.to_owned() }
}

/// The end of the signing process: answers requests until the service closes the socket.
pub fn serve(mut stream: UnixStream) -> io::Result<()> {
    let mut keys = SignerKeys::default();
    while let Some(question) = receive(&mut stream)? {
        let answer = keys.answer(&question).unwrap_or_else(|| vec![FAILED]);
        send(&mut stream, &[&answer])?;
    }
    Ok(())
}

/// The private keys in the signing process, by number.
#[derive(Debug, Default)]
struct SignerKeys {
    next: u32,
    kept: std::collections::BTreeMap<u32, PrivateKey>,
}

impl SignerKeys {
    fn answer(&mut self, question: &[u8]) -> Option<Vec<u8>> {
        let (&order, rest) = question.split_first()?;
        match order {
            KEEP => self.keep(rest),
            SIGN => {
                let (number, rest) = rest.split_first_chunk()?;
                let (&code, message) = rest.split_first()?;
                let scheme = *Scheme::ALL.get(usize::from(code))?;
                let key = self.kept.get(&u32::from_be_bytes(*number))?;
                Some(match key.sign(scheme, message) {
                    Ok(signature) => [&[DONE][..], &signature].concat(),
                    Err(SignError::Unfit { .. }) => vec![UNFIT],
                    Err(SignError::Failed(_) | SignError::Gone) => vec![FAILED],
                })
            }
            FORGET => {
                let (number, _) = rest.split_first_chunk()?;
                self.kept.remove(&u32::from_be_bytes(*number)).map(|_| vec![DONE])
            }
            _ => None,
        }
    }

    fn keep(&mut self, der: &[u8]) -> Option<Vec<u8>> {
        let key = match PrivateKey::from_der(der) {
            Ok(key) => key,
            // The service has a remedy of its own for the one that the operator may have meant.
            Err(KeyError::Encrypted) => return Some(vec![ENCRYPTED]),
            Err(error) => {
                let text = format!("{error}{FINDING_END}{}", error.remedy());
                return Some([&[REFUSED][..], text.as_bytes()].concat());
            }
        };
        if self.kept.len() >= MOST_KEYS {
            return None;
        }
        let number = self.next;
        self.next = self.next.checked_add(1)?;
        let public = key.public_key();
        let kind = code_of(public.kind());
        let answer = [&[DONE][..], &number.to_be_bytes(), &[kind], public.octets()].concat();
        self.kept.insert(number, key);
        Some(answer)
    }
}

/// Sends one message: its length, and that many octets.
fn send(stream: &mut UnixStream, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length).map_err(io::Error::other)?.to_be_bytes();
    // The message may hold a key, so the copy is wiped.
    let frame = Zeroizing::new([&[&length[..]], parts].concat().concat());
    stream.write_all(&frame)
}

/// Receives one message; `None` at the end of the stream.
fn receive(stream: &mut UnixStream) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE {
        return Err(io::Error::other(format!(
            "a message of {length} octets; at most {MAX_MESSAGE} are allowed"
        )));
    }
    let mut frame = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn code_of(kind: KeyKind) -> u8 {
    match kind {
        KeyKind::Rsa { .. } => 0,
        KeyKind::EcdsaP256 => 1,
        KeyKind::EcdsaP384 => 2,
        KeyKind::Ed25519 => 3,
    }
}

/// The kind of key that a code in an answer means. The size of an RSA key follows from the key.
fn kind_of(code: u8) -> Option<KeyKind> {
    Some(match code {
        0 => KeyKind::Rsa { bits: 0 },
        1 => KeyKind::EcdsaP256,
        2 => KeyKind::EcdsaP384,
        3 => KeyKind::Ed25519,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::signature::{KeyError, KeyStore};

    macro_rules! key {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/vectors/pki/keys/", $name)).as_slice()
        };
    }

    fn start() -> (SigningProcess, std::thread::JoinHandle<io::Result<()>>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (SigningProcess::over(ours).unwrap(), std::thread::spawn(|| serve(theirs)))
    }

    #[test]
    fn keys_sign_over_there_as_they_do_here() {
        let (signer, process) = start();
        let table = [
            (key!("rsa2048-1.p8.der"), Scheme::RsaPkcs1Sha1),
            (key!("rsa4096.p8.der"), Scheme::RsaPkcs1Sha256),
            (key!("rsa2048-1.p8.der"), Scheme::RsaPssSha384),
            (key!("ec256.p8.der"), Scheme::EcdsaSha256),
            (key!("ec384.sec1.der"), Scheme::EcdsaP384Sha384Fixed),
            (key!("ed25519.p8.der"), Scheme::Ed25519),
        ];
        for (der, scheme) in table {
            let here = PrivateKey::from_der(der).unwrap();
            let (number, public) = signer.keep(der).unwrap();
            assert_eq!(&public, here.public_key());
            let signature = signer.sign(number, scheme, b"message").unwrap();
            assert_eq!(public.verify(scheme, b"message", &signature), Ok(()));
            signer.forget(number);
            assert!(signer.sign(number, scheme, b"message").is_err(), "it is forgotten");
        }
        let (ed25519, _) = signer.keep(key!("ed25519.p8.der")).unwrap();
        let unfit = Scheme::RsaPkcs1Sha256;
        assert_eq!(signer.sign(ed25519, unfit, b"m"), Err(SignError::Failed(unfit)));
        drop(signer);
        process.join().unwrap().unwrap();
    }

    #[test]
    fn what_is_no_key_is_not_kept_and_nonsense_ends_nothing() {
        let (signer, process) = start();
        let long = vec![0; MAX_MESSAGE];
        for der in [
            &b""[..],
            b"no key",
            &long,
            &long[1..],
            key!("rsa1024.p8.der"),
            key!("encrypted.p8.der"),
        ] {
            let refused = signer.keep(der).unwrap_err();
            assert_ne!(refused, KeyError::NotKept);
            assert!(!refused.remedy().is_empty(), "{refused}");
        }
        // The reason is that of the signer, and its words arrive whole.
        let small = PrivateKey::from_der(key!("rsa1024.p8.der")).unwrap_err();
        let told = signer.keep(key!("rsa1024.p8.der")).unwrap_err();
        assert_eq!((told.to_string(), told.remedy()), (small.to_string(), small.remedy()));

        for question in [&[][..], &[0], &[SIGN], &[SIGN, 0, 0, 0, 9, 1, 1], &[FORGET, 1], &[9, 9]] {
            assert_eq!(signer.ask(&[question]), Some(vec![FAILED]));
        }
        assert!(signer.keep(key!("ed25519.p8.der")).is_ok());
        drop(signer);
        process.join().unwrap().unwrap();
    }

    #[test]
    fn a_signer_that_is_gone_is_an_error_and_stays_one() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let signer = SigningProcess::over(ours).unwrap();
        drop(theirs);
        for _ in 0..2 {
            assert_eq!(signer.sign(0, Scheme::Ed25519, b"m"), Err(SignError::Gone));
        }
        assert_eq!(signer.keep(key!("ed25519.p8.der")), Err(KeyError::NotKept));
    }

    #[test]
    fn a_key_store_hands_keys_over_and_has_their_public_halves() {
        let (signer, process) = start();
        let store = KeyStore::in_signer(Arc::new(signer));
        let key = store.read(key!("rsa2048-1.p8.der")).unwrap();
        let signature = key.sign(Scheme::RsaPkcs1Sha256, b"message").unwrap();
        let here = PrivateKey::from_der(key!("rsa2048-1.p8.der")).unwrap();
        assert_eq!(key.public_key(), here.public_key());
        assert_eq!(
            here.public_key().verify(Scheme::RsaPkcs1Sha256, b"message", &signature),
            Ok(())
        );
        let encrypted = store.read(key!("encrypted.p8.der")).unwrap_err();
        assert_eq!(encrypted, KeyError::Encrypted, "the reason is the signer's");
        drop((key, store));
        process.join().unwrap().unwrap();
    }

    /// What a key file holds may be an attack on what reads it, so this process reads none.
    #[test]
    fn no_key_is_read_here_when_the_signer_is_gone() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let store = KeyStore::in_signer(Arc::new(SigningProcess::over(ours).unwrap()));
        drop(theirs);
        for der in [key!("ed25519.p8.der"), key!("encrypted.p8.der"), key!("rsa1024.p8.der"), b"x"]
        {
            assert_eq!(store.read(der).unwrap_err(), KeyError::NotKept);
        }
    }
}
