//! Where private keys may be kept instead of in this process.
//!
//! The service keeps its keys in a process that parses nothing from the network. It says so once,
//! with [`install`], before it reads its files: from then on [`super::PrivateKey::from_der`] hands
//! the octets over and has only the public half, so that no part of a key is ever laid out in the
//! memory of the process that strangers talk to. The octets of the file pass through it and are
//! wiped.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use super::{KeyError, PublicKey, Scheme, SignError};

/// Another place for private keys.
pub trait Vault: Debug + Send + Sync {
    /// Takes a key in DER. Its number there and its public half; `None` when it is no key that can
    /// sign, or nobody answers.
    fn keep(&self, der: &[u8]) -> Option<(u32, PublicKey)>;

    /// Signs with the key of this number.
    fn sign(&self, key: u32, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignError>;

    /// The key is not needed any more.
    fn forget(&self, key: u32);
}

static VAULT: OnceLock<Arc<dyn Vault>> = OnceLock::new();

/// Keeps all private keys that are read from now on in there. Only the first call counts.
pub fn install(vault: Arc<dyn Vault>) {
    let _ = VAULT.set(vault);
}

/// A key that is kept elsewhere.
#[derive(Debug)]
pub(super) struct Kept {
    vault: Arc<dyn Vault>,
    number: u32,
}

impl Kept {
    /// Hands a key over, if there is where to; it may be refused there.
    pub(super) fn take(der: &[u8]) -> Option<Result<(Kept, PublicKey), KeyError>> {
        let vault = Arc::clone(VAULT.get()?);
        let kept = vault.keep(der).ok_or(KeyError::NotKept);
        Some(kept.map(|(number, public)| (Kept { vault, number }, public)))
    }

    pub(super) fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.vault.sign(self.number, scheme, message)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.vault.forget(self.number);
    }
}
