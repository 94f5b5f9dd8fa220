//! Key exchange on curves, by ring: ECP 256 and 384 (RFC 5903), Curve25519 (RFC 8031).

use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::SecureRandom;

use super::error::PublicValueError;
use super::keys::SharedSecret;
use super::provider::KeyAgreement;
use super::secret::Secret;
use super::suite::Group;

/// SEC 1's mark of an uncompressed point: ring wants it, IKE leaves it out (RFC 5903 §7).
const UNCOMPRESSED: u8 = 4;

/// One of the curves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Curve {
    P256,
    P384,
    X25519,
}

impl Curve {
    fn group(self) -> Group {
        match self {
            Curve::P256 => Group::Ecp256,
            Curve::P384 => Group::Ecp384,
            Curve::X25519 => Group::Curve25519,
        }
    }

    fn algorithm(self) -> &'static agreement::Algorithm {
        match self {
            Curve::P256 => &agreement::ECDH_P256,
            Curve::P384 => &agreement::ECDH_P384,
            Curve::X25519 => &agreement::X25519,
        }
    }

    /// What ring puts before the coordinates.
    fn prefix(self) -> &'static [u8] {
        match self {
            Curve::P256 | Curve::P384 => &[UNCOMPRESSED],
            Curve::X25519 => &[],
        }
    }
}

#[derive(Debug)]
pub(super) struct Ecdh {
    curve: Curve,
    private: EphemeralPrivateKey,
    /// As ring wrote it, mark included.
    public: agreement::PublicKey,
}

impl Ecdh {
    /// ring draws private keys from its own kind of source alone.
    pub(super) fn generate(curve: Curve, rng: &dyn SecureRandom) -> Ecdh {
        let private =
            EphemeralPrivateKey::generate(curve.algorithm(), rng).expect("getrandom(2) works");
        let public = private.compute_public_key().expect("a private key in range has a public key");
        Ecdh { curve, private, public }
    }
}

impl KeyAgreement for Ecdh {
    fn group(&self) -> Group {
        self.curve.group()
    }

    fn public_value(&self) -> &[u8] {
        let point = self.public.as_ref();
        point.strip_prefix(self.curve.prefix()).unwrap_or(point)
    }

    /// ring's private keys do not leave it.
    fn export(&self) -> Option<Secret> {
        None
    }

    fn agree(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, PublicValueError> {
        let group = self.curve.group();
        PublicValueError::check_len(group, peer)?;
        let peer =
            UnparsedPublicKey::new(self.curve.algorithm(), [self.curve.prefix(), peer].concat());
        // ring gives the x coordinate alone, which is what RFC 5903 §9 asks for.
        agreement::agree_ephemeral(self.private, &peer, |shared| {
            SharedSecret(Secret::copy_of(shared))
        })
        .map_err(|_| match self.curve {
            Curve::P256 | Curve::P384 => PublicValueError::Curve(group),
            Curve::X25519 => PublicValueError::SmallOrder(group),
        })
    }
}
