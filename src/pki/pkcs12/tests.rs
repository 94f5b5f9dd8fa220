//! Files in the forms that their makers choose; see tests/vectors/pki/README.md.

use super::*;

macro_rules! pfx {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/vectors/pki/", $name, ".pfx"))
    };
}

fn read(bytes: &[u8], password: &[u8]) -> Result<Contents, Pkcs12Error> {
    open(bytes, &Password::new(password)?)
}

#[test]
fn every_makers_file_opens() {
    let inbound = include_bytes!("../../../tests/vectors/pki/keys/rsa2048-2.p8.der");
    for (name, bytes) in [
        ("openssl3", &pfx!("openssl3")[..]),
        ("openssl1", pfx!("openssl1")),
        ("windows-3des", pfx!("windows-3des")),
        ("windows-aes", pfx!("windows-aes")),
        ("aes128-sha512", pfx!("aes128-sha512")),
        ("rc2-128", pfx!("rc2-128")),
        ("pbes2-3des", pfx!("pbes2-3des")),
        ("nomac", pfx!("nomac")),
    ] {
        for password in ["secret", "secret\n", "secret\r\n", "\u{feff}secret"] {
            let contents =
                read(bytes, password.as_bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(contents.certificates.len(), 2, "{name}");
            assert_eq!(contents.keys.len(), 1, "{name}");
            assert_eq!(contents.keys[0][..], inbound[..], "{name}");
        }
    }
}

#[test]
fn an_empty_password_opens_in_both_forms() {
    for bytes in [&pfx!("empty")[..], pfx!("empty-legacy"), pfx!("empty-null")] {
        assert_eq!(read(bytes, b"").unwrap().keys.len(), 1);
        assert_eq!(read(bytes, b"\n").unwrap().keys.len(), 1);
        assert_eq!(read(bytes, b"x").err(), Some(Pkcs12Error::Password));
    }
}

#[test]
fn a_password_beyond_ascii_opens() {
    assert_eq!(read(pfx!("umlaut"), "sécrêt€".as_bytes()).unwrap().keys.len(), 1);
    assert_eq!(read(pfx!("umlaut"), b"s\xe9cr").err(), Some(Pkcs12Error::PasswordEncoding));
}

#[test]
fn what_cannot_be_opened_says_why() {
    for bytes in [&pfx!("openssl3")[..], pfx!("openssl1"), pfx!("windows-aes")] {
        for wrong in ["", "Secret", "secret ", "secret\n\n"] {
            assert_eq!(read(bytes, wrong.as_bytes()).err(), Some(Pkcs12Error::Password));
        }
    }
    let rc4 = read(pfx!("rc4"), b"secret").err();
    assert_eq!(rc4, Some(Pkcs12Error::Unsupported("encryption 1.2.840.113549.1.12.1.1".into())));
    assert_eq!(read(pfx!("iterations"), b"secret").err(), Some(Pkcs12Error::Iterations(2_100_000)));
}

/// The MAC covers all but itself and the outermost lengths, so no changed byte goes unnoticed
/// there.
#[test]
fn changed_and_cut_files_are_refused() {
    let good = pfx!("windows-3des");
    for end in (0..good.len()).step_by(61) {
        assert!(read(&good[..end], b"secret").is_err());
    }
    for at in (30..good.len()).step_by(37) {
        let mut bad = good.to_vec();
        bad[at] ^= 0x04;
        assert!(read(&bad, b"secret").is_err(), "byte {at}");
    }
}

/// What is written opens again, with its password alone, and holds what was put in, in its order.
#[test]
fn written_files_open_again() {
    use crate::crypto::Secret;
    use crate::pki::load::Bundle;
    use crate::rng::SeededRng;

    let key = include_bytes!("../../../tests/vectors/pki/keys/rsa2048-2.p8.der");
    let secret = Secret::copy_of(key);
    let files: [&[u8]; 2] = [
        include_bytes!("../../../tests/vectors/pki/Inbound-certificate.pem"),
        include_bytes!("../../../tests/vectors/pki/root.pem"),
    ];
    let certificate = |file| Bundle::read(file, None, "file").unwrap().certificates.remove(0);
    let path = files.map(certificate);
    let mut rng = SeededRng(1);
    for protection in [Pkcs12Protection::Aes256Sha256, Pkcs12Protection::TripleDesSha1] {
        let mut write =
            || write_pkcs12(&secret, &path, "sécrêt€\n".as_bytes(), protection, &mut rng);
        let bytes = write().unwrap();
        assert!(is_pkcs12(&bytes));
        let contents = read(&bytes, "sécrêt€".as_bytes()).unwrap();
        assert_eq!(contents.certificates, [path[0].as_der(), path[1].as_der()]);
        assert_eq!(contents.keys.len(), 1);
        assert_eq!(contents.keys[0][..], key[..]);
        assert_eq!(read(&bytes, b"secret").err(), Some(Pkcs12Error::Password));
        assert_ne!(write().unwrap(), bytes, "salts are fresh");
        let inside = |window: &[u8]| bytes.windows(window.len()).any(|found| found == window);
        assert!(!inside(&key[40..72]) && !inside(&path[0].as_der()[40..72]));
    }
    let latin = write_pkcs12(&secret, &path, b"s\xe9cr", Pkcs12Protection::default(), &mut rng);
    assert_eq!(latin.err(), Some(Pkcs12Error::PasswordEncoding));
}
