//! Certificates and keys as text to be written: PEM (RFC 7468), and the one unbroken line that
//! Azure takes.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::crypto::Secret;
use crate::pki::certificate::Certificate;

/// A line of Base64 in PEM (RFC 7468 §2).
const COLUMNS: usize = 64;

/// A certificate as PEM.
pub fn pem(certificate: &Certificate) -> String {
    wrapped("CERTIFICATE", &one_line(certificate), COLUMNS).to_string()
}

/// A certificate as one unbroken line of Base64 without header: an element of
/// `inboundAuthCertificateChain`.
pub fn one_line(certificate: &Certificate) -> String {
    Base64::encode_string(certificate.as_der())
}

/// A certificate as a `.cer` file: PEM whose body is one unbroken line. Windows and OpenSSL read
/// the file, and the middle line can be pasted into the Azure portal.
pub fn cer(certificate: &Certificate) -> String {
    wrapped("CERTIFICATE", &one_line(certificate), usize::MAX).to_string()
}

/// A certificate request (RFC 7468 §7) as PEM.
pub fn request_pem(der: &[u8]) -> String {
    wrapped("CERTIFICATE REQUEST", &Base64::encode_string(der), COLUMNS).to_string()
}

/// A private key in PKCS#8 as PEM. The encoder does not branch on what it encodes.
pub fn key_pem(pkcs8: &Secret) -> Zeroizing<String> {
    wrapped("PRIVATE KEY", &Zeroizing::new(Base64::encode_string(pkcs8.expose())), COLUMNS)
}

fn wrapped(label: &str, base64: &str, columns: usize) -> Zeroizing<String> {
    // The buffer never grows: growing would leave a copy of a key in memory.
    let room = base64.len() + base64.len() / columns + 2 * label.len() + 64;
    let mut out = Zeroizing::new(String::with_capacity(room));
    out.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(columns));
        out.push_str(line);
        out.push('\n');
        rest = next;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::load::Bundle;

    const ROOT: &[u8] = include_bytes!("../../tests/vectors/pki/root.pem");

    fn root() -> Certificate {
        Bundle::read(ROOT, None, "root").unwrap().certificates.remove(0)
    }

    #[test]
    fn pem_is_written_as_openssl_writes_it() {
        assert_eq!(pem(&root()).as_bytes(), ROOT);
    }

    #[test]
    fn a_cer_file_has_three_lines_and_reads_back() {
        let text = cer(&root());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1], one_line(&root()));
        assert_eq!(Bundle::read(text.as_bytes(), None, "cer").unwrap().certificates, [root()]);
    }

    #[test]
    fn a_key_reads_back_and_its_text_did_not_move() {
        let der = include_bytes!("../../tests/vectors/pki/keys/rsa2048-2.p8.der");
        let text = key_pem(&Secret::copy_of(der));
        assert_eq!(Bundle::read(text.as_bytes(), None, "key").unwrap().keys.len(), 1);
        let der = include_bytes!("../../tests/vectors/pki/keys/rsa4096.p8.der");
        let text = key_pem(&Secret::copy_of(der));
        assert!(text.capacity() < text.len() + 64, "it was given room once: {}", text.capacity());
    }
}
