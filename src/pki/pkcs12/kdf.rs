//! The key derivation of PKCS#12 (RFC 7292 appendix B.2).

use ring::digest::{self, Algorithm};
use zeroize::Zeroizing;

/// What the derived octets are for; each purpose gives others.
#[derive(Clone, Copy, Debug)]
pub(super) enum KdfPurpose {
    /// An encryption key.
    Key = 1,
    /// An initialisation vector.
    Iv = 2,
    /// A MAC key.
    Mac = 3,
}

/// `length` octets from a password and a salt, with this many rounds of `hash`.
pub(super) fn derive(
    hash: &'static Algorithm,
    purpose: KdfPurpose,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let block = hash.block_len();
    let diversifier = vec![purpose as u8; block];
    // Salt and password, each repeated to whole blocks: zero blocks when empty.
    let stretched = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().copied().cycle().take(bytes.len().div_ceil(block) * block).collect()
    };
    let mut input = Zeroizing::new([stretched(salt), stretched(password)].concat());
    let mut out = Zeroizing::new(Vec::with_capacity(length + hash.output_len()));
    while out.len() < length {
        let mut context = digest::Context::new(hash);
        context.update(&diversifier);
        context.update(&input);
        let mut round = context.finish();
        for _ in 1..iterations {
            round = digest::digest(hash, round.as_ref());
        }
        out.extend_from_slice(round.as_ref());
        let addend: Zeroizing<Vec<u8>> =
            Zeroizing::new(round.as_ref().iter().copied().cycle().take(block).collect());
        for part in input.chunks_exact_mut(block) {
            add_one_more(part, &addend);
        }
    }
    out.truncate(length);
    out
}

/// `part + addend + 1`, big-endian, dropping what overflows.
fn add_one_more(part: &mut [u8], addend: &[u8]) {
    let mut carry = 1_u16;
    for (octet, add) in part.iter_mut().zip(addend).rev() {
        let sum = u16::from(*octet) + u16::from(*add) + carry;
        let [high, low] = sum.to_be_bytes();
        *octet = low;
        carry = u16::from(high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Known = (&'static Algorithm, KdfPurpose, u32, usize, &'static str);

    /// Of the password "smeg"; see the test.
    const KNOWN: &[Known] = &[
        (SHA1, KdfPurpose::Key, 1, 24, "8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3"),
        (SHA1, KdfPurpose::Iv, 1, 8, "79993dfe048d3b76"),
        (SHA1, KdfPurpose::Mac, 1000, 20, "eeda645443827451e9753694f90ee9b9cf9248ff"),
        (
            &digest::SHA256,
            KdfPurpose::Key,
            3,
            100,
            "469e0a6907c9598d58e9611a2b3dceb1c8ae273415360bf8bf510e1ccecc8674e28f97d0dbc836d78502\
             a75f6a8e624ce3732b56ba426aedb32930ea60b0ce0f4360262c3b860fe5f2278892721b55db1c7b65a1\
             c265e51677c4eeb7f0b9006688988fb2",
        ),
        (
            &digest::SHA512,
            KdfPurpose::Mac,
            2048,
            64,
            "69031cde571784322f67194614901b9e59cc9f2ce42f482700bc69be5467b802399fa1c8004f9e2c33cb\
             4ea1368526bdc9170bd903079c4ced6cbb30546946a4",
        ),
    ];

    const SHA1: &Algorithm = &digest::SHA1_FOR_LEGACY_USE_ONLY;

    /// By OpenSSL 3.0:
    /// `openssl kdf -keylen LENGTH -kdfopt digest:HASH -kdfopt hexpass:0073006d006500670000 -kdfopt
    /// hexsalt:0a58cf64530d823f -kdfopt iter:ROUNDS -kdfopt id:PURPOSE PKCS12KDF`.
    #[test]
    fn the_octets_are_those_of_openssl() {
        let password = b"\0s\0m\0e\0g\0\0";
        let salt = [0x0a, 0x58, 0xcf, 0x64, 0x53, 0x0d, 0x82, 0x3f];
        for (hash, purpose, iterations, length, expected) in KNOWN {
            let got = derive(hash, *purpose, password, &salt, *iterations, *length);
            let got: String = got.iter().map(|octet| format!("{octet:02x}")).collect();
            assert_eq!(got, *expected);
        }
    }
}
