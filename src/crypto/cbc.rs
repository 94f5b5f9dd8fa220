//! AES-CBC (RFC 3602) in place. It hides and does not authenticate: only ever used under a
//! [`super::mac::Mac`].

use aes::cipher::array::Array;
use aes::cipher::consts::U16;
use aes::cipher::{
    Block, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt,
    BlockSizeUser, InnerIvInit, KeyInit,
};
use aes::{Aes128Dec, Aes128Enc, Aes192Dec, Aes192Enc, Aes256Dec, Aes256Enc};

use super::error::KeyLengthError;
use super::suite::AesKey;

pub(super) const BLOCK: usize = 16;

/// An expanded AES key for encryption. `aes` wipes it when it is dropped.
#[derive(Debug)]
pub(super) enum CbcEncrypt {
    Aes128(Aes128Enc),
    Aes192(Aes192Enc),
    Aes256(Aes256Enc),
}

impl CbcEncrypt {
    pub(super) fn new(size: AesKey, key: &[u8]) -> Result<CbcEncrypt, KeyLengthError> {
        match size {
            AesKey::Bits128 => expand(size, key).map(CbcEncrypt::Aes128),
            AesKey::Bits192 => expand(size, key).map(CbcEncrypt::Aes192),
            AesKey::Bits256 => expand(size, key).map(CbcEncrypt::Aes256),
        }
    }

    /// An IV that nobody can predict, from a number that is never used twice under this key: its
    /// encryption under the very key (NIST SP 800-38A appendix C, the first of its two methods).
    /// Chosen over a generator of random numbers because it needs no state that a restart could
    /// wind back, no lock and no system call: one AES block.
    #[inline]
    pub(super) fn unpredictable_iv(&self, unique: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let (_, number) = block.split_at_mut(8);
        number.copy_from_slice(&unique.to_be_bytes());
        let mut block = Array::from(block);
        match self {
            CbcEncrypt::Aes128(key) => key.encrypt_block(&mut block),
            CbcEncrypt::Aes192(key) => key.encrypt_block(&mut block),
            CbcEncrypt::Aes256(key) => key.encrypt_block(&mut block),
        }
        block.into()
    }

    /// False, with nothing done, when `text` is not whole blocks.
    #[inline]
    #[must_use]
    pub(super) fn encrypt(&self, iv: [u8; BLOCK], text: &mut [u8]) -> bool {
        match self {
            CbcEncrypt::Aes128(key) => encrypt(key, iv, text),
            CbcEncrypt::Aes192(key) => encrypt(key, iv, text),
            CbcEncrypt::Aes256(key) => encrypt(key, iv, text),
        }
    }
}

/// An expanded AES key for decryption. `aes` wipes it when it is dropped.
#[derive(Debug)]
pub(super) enum CbcDecrypt {
    Aes128(Aes128Dec),
    Aes192(Aes192Dec),
    Aes256(Aes256Dec),
}

impl CbcDecrypt {
    pub(super) fn new(size: AesKey, key: &[u8]) -> Result<CbcDecrypt, KeyLengthError> {
        match size {
            AesKey::Bits128 => expand(size, key).map(CbcDecrypt::Aes128),
            AesKey::Bits192 => expand(size, key).map(CbcDecrypt::Aes192),
            AesKey::Bits256 => expand(size, key).map(CbcDecrypt::Aes256),
        }
    }

    /// False, with nothing done, when `text` is not whole blocks.
    #[inline]
    #[must_use]
    pub(super) fn decrypt(&self, iv: [u8; BLOCK], text: &mut [u8]) -> bool {
        match self {
            CbcDecrypt::Aes128(key) => decrypt(key, iv, text),
            CbcDecrypt::Aes192(key) => decrypt(key, iv, text),
            CbcDecrypt::Aes256(key) => decrypt(key, iv, text),
        }
    }
}

fn expand<K: KeyInit>(size: AesKey, key: &[u8]) -> Result<K, KeyLengthError> {
    let wrong = KeyLengthError { what: "encryption", expected: size.octets(), found: key.len() };
    K::new_from_slice(key).map_err(|_| wrong)
}

fn encrypt<C>(key: &C, iv: [u8; BLOCK], text: &mut [u8]) -> bool
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let (blocks, rest) = Block::<C>::slice_as_chunks_mut(text);
    if !rest.is_empty() {
        return false;
    }
    cbc::Encryptor::<&C>::inner_iv_init(key, &iv.into()).encrypt_blocks(blocks);
    true
}

fn decrypt<C>(key: &C, iv: [u8; BLOCK], text: &mut [u8]) -> bool
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = U16>,
{
    let (blocks, rest) = Block::<C>::slice_as_chunks_mut(text);
    if !rest.is_empty() {
        return false;
    }
    cbc::Decryptor::<&C>::inner_iv_init(key, &iv.into()).decrypt_blocks(blocks);
    true
}
