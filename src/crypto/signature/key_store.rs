//! The key store: where a private key goes when a file with one is read.
//!
//! | store | for | what is in this process |
//! |---|---|---|
//! | [`KeyStore::in_process`] | command line, tests | the whole key |
//! | [`KeyStore::in_signer`] | the service | the public half and a number |
//!
//! The service keeps its private keys in a process that parses nothing from the network
//! (`daemon/signer.rs`), so no part of a key lies in the memory of the process that strangers send
//! packets to, and none is read as a key there, not even one that the signer refuses. The octets of
//! the key file pass through the service once and are wiped.
//!
//! A store is passed as a value from the caller of [`crate::config::load`] down to
//! [`crate::pki::load`]: whoever reads a key file says where the key goes.

use std::fmt::Debug;
use std::sync::Arc;

use super::{KeyError, PrivateKey, PublicKey, Scheme, SignError};

/// A process (or, in tests, a thread) that holds private keys and signs with them.
pub trait Signer: Debug + Send + Sync {
    /// Hands a private key in DER over to the signer, which answers with the number and the public
    /// half of the key. [`KeyError::NotKept`] when the signer does not answer; any other error is
    /// the signer's finding.
    fn keep(&self, der: &[u8]) -> Result<(u32, PublicKey), KeyError>;

    /// Signs `message` with the key of this number.
    fn sign(&self, key: u32, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignError>;

    /// Drops the key of this number from the signer's memory.
    fn forget(&self, key: u32);
}

/// The place for private keys that are read from files: this process, or a [`Signer`].
#[derive(Clone, Debug, Default)]
pub struct KeyStore {
    signer: Option<Arc<dyn Signer>>,
}

impl KeyStore {
    /// The store that keeps private keys in the memory of this process.
    pub fn in_process() -> KeyStore {
        KeyStore::default()
    }

    /// The store that hands every private key over to a signer.
    pub fn in_signer(signer: Arc<dyn Signer>) -> KeyStore {
        KeyStore { signer: Some(signer) }
    }

    /// Reads a private key in DER (see [`PrivateKey::from_der`] for the formats) and puts the key
    /// into this store.
    pub fn read(&self, der: &[u8]) -> Result<PrivateKey, KeyError> {
        let Some(signer) = &self.signer else { return PrivateKey::from_der(der) };
        // What the signer refuses is not read here either: the reason is the signer's too.
        let (number, public) = signer.keep(der)?;
        Ok(PrivateKey::remote(RemoteKey { signer: Arc::clone(signer), number }, public))
    }
}

/// A private key that a [`Signer`] holds; dropping the value drops the key in the signer.
#[derive(Debug)]
pub(super) struct RemoteKey {
    signer: Arc<dyn Signer>,
    number: u32,
}

impl RemoteKey {
    pub(super) fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.signer.sign(self.number, scheme, message)
    }
}

impl Drop for RemoteKey {
    fn drop(&mut self) {
        self.signer.forget(self.number);
    }
}
