//! RSASSA-PKCS1-v1_5 over SHA-1: the one private operation that ring does not offer.
//!
//! Who signs decides when, over partly chosen data (the peer picks a nonce), and measures how long
//! it took: the textbook setting of a timing attack on RSA. Three ways were open:
//!
//! - the `rsa` crate: its 0.9 line has the open timing advisory RUSTSEC-2023-0071, its 0.10 line is
//!   a pre-release;
//! - exponentiation by the Chinese remainder theorem: four times faster, but the primes become
//!   moduli whose every reduction must be constant-time, and one miscalculated half gives the key
//!   away (Boneh, DeMillo, Lipton 1997);
//! - **plain `m^d mod n` in constant time**, which is what stands here. The modulus is public, so
//!   the only secret is the exponent. crypto-bigint walks all of it, as many bits as the modulus
//!   has whatever its value, in fixed windows whose table entries are picked by masks and not by
//!   address. It needs about 20 lines and no blinding factor to look after.
//!
//! It costs 6 ms with 2048 bits, 20 ms with 3072 and 49 ms with 4096, once a handshake (ring's CRT:
//! 0.7, 2.3 and 5 ms on the same machine). The signature is verified with ring before it leaves, so
//! a fault in the arithmetic or a damaged exponent is an error, never an output.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use ring::digest;
use zeroize::Zeroizing;

/// The DigestInfo of SHA-1 up to the hash itself (RFC 8017 §9.2, note 1).
const DIGEST_INFO_SHA1: [u8; 15] =
    [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];

/// The private exponent with its modulus. Cleared when dropped; no `Debug`.
pub(super) struct Exponent {
    modulus: BoxedMontyParams,
    octets: usize,
    d: Zeroizing<BoxedUint>,
}

impl Exponent {
    /// From the big-endian modulus and exponent; `None` when they cannot belong together.
    pub(super) fn new(modulus: &[u8], d: &[u8]) -> Option<Exponent> {
        let bits = u32::try_from(modulus.len()).ok()?.checked_mul(8)?;
        let n = BoxedUint::from_be_slice(modulus, bits).ok()?;
        let d = Zeroizing::new(BoxedUint::from_be_slice(d, bits).ok()?);
        // "vartime" in the modulus, which is public.
        let modulus_form = BoxedMontyParams::new_vartime(Odd::new(n).into_option()?);
        Some(Exponent { modulus: modulus_form, octets: modulus.len(), d })
    }

    /// The signature over `message`, not yet verified; `None` when the modulus is too small to hold
    /// the padding.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, message);
        let padded = pad(hash.as_ref(), self.octets)?;
        let bits = self.modulus.bits_precision();
        let base = BoxedUint::from_be_slice(&padded, bits).ok()?;
        let power = BoxedMontyForm::new(base, &self.modulus).pow_bounded_exp(&self.d, bits);
        Some(power.retrieve().to_be_bytes().into_vec())
    }
}

/// EMSA-PKCS1-v1_5 (RFC 8017 §9.2): `00 01 ff .. ff 00 DigestInfo`, as long as the modulus.
fn pad(hash: &[u8], octets: usize) -> Option<Vec<u8>> {
    let filler = octets.checked_sub(3 + DIGEST_INFO_SHA1.len() + hash.len()).filter(|n| *n >= 8)?;
    let mut padded = vec![0x00, 0x01];
    padded.resize(2 + filler, 0xff);
    padded.push(0x00);
    padded.extend_from_slice(&DIGEST_INFO_SHA1);
    padded.extend_from_slice(hash);
    Some(padded)
}
