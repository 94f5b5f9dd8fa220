//! Files as people have them.

use super::*;
use crate::crypto::signature::KeyKind;

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/vectors/pki/", $name)).as_slice()
    };
}

fn read(bytes: &[u8]) -> Result<Bundle, LoadError> {
    Bundle::read(bytes, None, "peer.pem")
}

fn fault(bytes: &[u8]) -> LoadFault {
    read(bytes).unwrap_err().fault
}

/// The Base64 of a PEM file without its headers and line ends.
fn unbroken(pem: &[u8]) -> String {
    let text = String::from_utf8(pem.to_vec()).unwrap();
    text.lines().filter(|line| !line.starts_with("-----")).collect()
}

fn wide(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(text.to_vec()).unwrap();
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

const ROOT: &[u8] = vector!("root.pem");
const OUTBOUND: &[u8] = vector!("Outbound-certificate.pem");
const OUTBOUND_DER: &[u8] = vector!("Outbound-certificate.cer");

#[test]
fn one_certificate_loads_from_each_of_its_forms() {
    let unbroken = unbroken(OUTBOUND);
    let crlf = String::from_utf8(OUTBOUND.to_vec()).unwrap().replace('\n', "\r\n");
    let one_line = format!("-----BEGIN CERTIFICATE-----{unbroken}-----END CERTIFICATE-----");
    for bytes in [
        OUTBOUND,
        OUTBOUND_DER,
        crlf.as_bytes(),
        unbroken.as_bytes(),
        format!("\u{feff}{unbroken}\r\n").as_bytes(),
        one_line.as_bytes(),
        &wide(OUTBOUND),
        &[b"\xef\xbb\xbf", OUTBOUND].concat(),
    ] {
        let bundle = read(bytes).unwrap();
        assert_eq!(bundle.certificates.len(), 1);
        assert_eq!(bundle.certificates[0].as_der(), OUTBOUND_DER);
    }
}

#[test]
fn a_bundle_keeps_its_order_among_junk() {
    let file = [
        b"Bag Attributes\n    friendlyName: caf\xe9\n" as &[u8],
        OUTBOUND,
        b"subject=CN = x\nissuer=CN = y\n",
        ROOT,
        vector!("root.crl.pem"),
        vector!("root-powershell.pem"),
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
    ]
    .concat();
    let bundle = read(&file).unwrap();
    let names: Vec<_> = bundle.certificates.iter().map(|c| c.subject().to_string()).collect();
    assert_eq!(names, ["CN=Outbound-certificate", "CN=VPNRootCA01", "CN=VPNRootCA01"]);
    assert_eq!((bundle.crls.len(), bundle.keys.len()), (1, 0));
}

/// What Azure's portal and CLI take: one certificate a line, no headers.
#[test]
fn azures_chain_of_unbroken_lines_loads() {
    let chain = format!("{}\n{}\n", unbroken(ROOT), unbroken(OUTBOUND));
    assert_eq!(read(chain.as_bytes()).unwrap().certificates.len(), 2);
}

#[test]
fn keys_load_and_refusals_name_the_remedy() {
    assert_eq!(read(vector!("keys/rsa2048-1.p8.der")).unwrap().keys.len(), 1);
    assert_eq!(read(vector!("keys/rsa2048-1.pkcs1.der")).unwrap().keys.len(), 1);
    let kind = read(vector!("keys/ec384.sec1.der")).unwrap().keys[0].kind();
    assert_eq!(kind, KeyKind::EcdsaP384);
    for encrypted in [
        vector!("keys/encrypted.pem"),
        vector!("keys/encrypted-old.pem"),
        vector!("keys/encrypted.p8.der"),
    ] {
        let error = read(encrypted).unwrap_err();
        assert_eq!(error.fault, LoadFault::Key(KeyError::Encrypted));
        assert!(error.to_string().contains("openssl pkey -in"), "{error}");
    }
    let steps = fault(vector!("keys/rsa2304.p8.der"));
    assert_eq!(steps, LoadFault::Key(KeyError::RsaSteps { bits: 2304 }));
}

#[test]
fn what_does_not_serve_says_what_it_is() {
    assert_eq!(fault(b""), LoadFault::Nothing);
    assert_eq!(fault(b"just a note\n"), LoadFault::Nothing);
    assert_eq!(fault(vector!("request.pem")), LoadFault::Unfit("CERTIFICATE REQUEST".into()));
    assert_eq!(fault(vector!("trusted.pem")), LoadFault::Unfit("TRUSTED CERTIFICATE".into()));
    assert_eq!(fault(vector!("root.p7b")), LoadFault::Unfit("PKCS7".into()));
    assert_eq!(fault(vector!("openssl3.pfx")), LoadFault::PasswordMissing);
    assert!(matches!(fault(&OUTBOUND_DER[..700]), LoadFault::Certificate(_)));
    assert_eq!(fault(&OUTBOUND[..700]), LoadFault::Unterminated("CERTIFICATE".into()));
    let too_big = vec![b' '; MAX_FILE_SIZE + 1];
    assert_eq!(fault(&too_big), LoadFault::TooBig(MAX_FILE_SIZE + 1));
    let second = [ROOT, b"\n-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"].concat();
    let error = read(&second).unwrap_err();
    assert_eq!(error.fault, LoadFault::Base64("CERTIFICATE".into()));
    let lines = ROOT.iter().filter(|octet| **octet == b'\n').count();
    assert_eq!(error.line, Some(lines + 2));
    assert!(error.to_string().starts_with(&format!("peer.pem, line {}: ", lines + 2)));
}

/// A CRL without the date of the next update, and with a signature of no octets.
#[rustfmt::skip]
const ENDLESS_CRL: &[u8] = &[
    0x30, 69, 0x30, 48, 2, 1, 1,
    0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 11, 5, 0,
    0x30, 13, 0x31, 11, 0x30, 9, 6, 3, 0x55, 4, 3, 0x0c, 2, b'c', b'a',
    0x17, 13, b'2', b'9', b'1', b'2', b'0', b'1', b'0', b'0', b'0', b'0', b'0', b'0', b'Z',
    0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 11, 5, 0,
    3, 2, 0, 0,
];

/// PBES2, as `openssl pkcs8 -topk8` writes it, in DER and PEM.
#[test]
fn an_encrypted_key_is_read_with_its_password() {
    for (encrypted, plain) in [
        (vector!("keys/encrypted.p8.der"), vector!("keys/ec256.p8.der")),
        (vector!("keys/encrypted.pem"), vector!("keys/rsa2048-2.p8.der")),
    ] {
        let bundle = Bundle::read(encrypted, Some(b"secret\n"), "own.key").unwrap();
        let key = PrivateKey::from_der(plain).unwrap();
        assert_eq!(bundle.keys[0].public_key(), key.public_key());
        let error = Bundle::read(encrypted, Some(b"Secret"), "own.key").unwrap_err();
        assert!(error.to_string().contains("check the password file"), "{error}");
    }
    // A password for the certificate's file does not disturb a plain key.
    let plain = Bundle::read(vector!("keys/ec256.p8.der"), Some(b"secret"), "own.key").unwrap();
    assert_eq!(plain.keys.len(), 1);
}

#[test]
fn an_unusable_crl_is_not_called_a_certificate() {
    let endless = CrlError::Unsupported("no date of the next update".into());
    assert_eq!(fault(ENDLESS_CRL), LoadFault::Crl(endless));
    let mut unreadable = ENDLESS_CRL.to_vec();
    unreadable[39] = b'x';
    assert!(matches!(fault(&unreadable), LoadFault::Crl(CrlError::Malformed(_))));
}

#[test]
fn a_pkcs12_file_yields_certificates_and_key() {
    let bundle = Bundle::read(vector!("windows-aes.pfx"), Some(b"secret\n"), "gw.pfx").unwrap();
    assert_eq!((bundle.certificates.len(), bundle.keys.len()), (2, 1));
    let wrong = Bundle::read(vector!("windows-aes.pfx"), Some(b"Secret"), "gw.pfx").unwrap_err();
    assert_eq!(wrong.fault, LoadFault::Pkcs12(Pkcs12Error::Password));
}
