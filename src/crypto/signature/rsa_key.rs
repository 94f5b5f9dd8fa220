//! Generation of RSA keys: ring signs with RSA keys but generates none.
//!
//! The `rsa` crate makes them: its primes come from `crypto-primes` (Baillie-PSW, both top bits
//! set, FIPS 186-5 appendix B.9 in all that matters: e is 65537, p and q are independent), its
//! numbers from `crypto-bigint`, which this tree uses anyway; what it holds is cleared when
//! dropped. The other candidates were a C library for this one call (`aws-lc-rs`: a second
//! libcrypto in the binary, and a minute of compiling), and the `openssl` program, which a small
//! device may not have.
//!
//! Nothing else of the crate is used. Its advisory RUSTSEC-2023-0071 is about the timing of
//! decryption by versions before 0.10, towards somebody on the network; here nobody watches, and a
//! key is made once in its life. What comes out is read back by [`PrivateKey`], which has ring
//! check it, and signs and verifies once before it is handed out.

use std::convert::Infallible;

use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{TryCryptoRng, TryRng};

use super::{PrivateKey, Scheme};
use crate::crypto::Secret;
use crate::rng::Rng;

/// How big an RSA key is made: the sizes that Azure's Key Vault makes too, and that ring signs
/// with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RsaSize {
    /// 2048 bits: what Azure's article has.
    #[default]
    Bits2048,
    /// 3072 bits.
    Bits3072,
    /// 4096 bits.
    Bits4096,
}

impl RsaSize {
    /// The bits of the modulus.
    pub fn bits(self) -> u32 {
        match self {
            RsaSize::Bits2048 => 2048,
            RsaSize::Bits3072 => 3072,
            RsaSize::Bits4096 => 4096,
        }
    }
}

/// Why no key was generated.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no RSA key could be made: {0}")]
pub struct MakeKeyError(String);

/// A new key, and the same as PKCS#8 to be kept.
pub fn make(rng: &mut dyn Rng, size: RsaSize) -> Result<(PrivateKey, Secret), MakeKeyError> {
    let failed = |why: &dyn std::fmt::Display| MakeKeyError(why.to_string());
    let bits = usize::try_from(size.bits()).map_err(|error| failed(&error))?;
    let made = rsa::PrivateKey::new(&mut RsaRandom(rng), bits).map_err(|error| failed(&error))?;
    let document = made.to_pkcs8_der().map_err(|error| failed(&error))?;
    let pkcs8 = Secret::copy_of(document.as_bytes());
    let key = PrivateKey::from_der(pkcs8.expose()).map_err(|error| failed(&error))?;
    let message = b"s2sd tries its key";
    let signature = key.sign(Scheme::RsaPkcs1Sha256, message).map_err(|error| failed(&error))?;
    let verified = key.public_key().verify(Scheme::RsaPkcs1Sha256, message, &signature);
    verified.map_err(|error| failed(&error))?;
    Ok((key, pkcs8))
}

/// Our source of randomness in the type that `rsa` takes.
struct RsaRandom<'a>(&'a mut dyn Rng);

impl TryRng for RsaRandom<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for RsaRandom<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::signature::KeyKind;
    use crate::sys::random::SystemRng;

    #[test]
    fn a_new_key_has_its_size_and_is_another_each_time() {
        let mut rng = SystemRng::default();
        let (first, pkcs8) = make(&mut rng, RsaSize::Bits2048).unwrap();
        assert_eq!(first.kind(), KeyKind::Rsa { bits: 2048 });
        let read = PrivateKey::from_der(pkcs8.expose()).unwrap();
        assert_eq!(read.public_key(), first.public_key());
        let (second, _) = make(&mut rng, RsaSize::Bits2048).unwrap();
        assert_ne!(second.public_key(), first.public_key());
    }
}
