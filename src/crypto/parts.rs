//! A protected message or packet cut into its parts, and the padding of IKE messages.

use std::ops::Range;

use super::error::{OpenError, SealError};
use super::suite::Layout;

/// A message cut where the layout says.
pub(super) struct Parts<'m> {
    pub(super) clear: &'m [u8],
    pub(super) iv: &'m mut [u8],
    /// Plaintext, padding and Pad Length; at least that last octet.
    pub(super) text: &'m mut [u8],
    pub(super) icv: &'m mut [u8],
}

impl<'m> Parts<'m> {
    pub(super) fn split(message: &'m mut [u8], body: usize, layout: Layout) -> Option<Parts<'m>> {
        let (clear, body) = message.split_at_mut_checked(body)?;
        let (iv, rest) = body.split_at_mut_checked(layout.iv)?;
        let (text, icv) = rest.split_at_mut_checked(rest.len().checked_sub(layout.icv)?)?;
        (text.len() >= layout.trailer).then_some(Parts { clear, iv, text, icv })
    }
}

/// Fills what follows the plaintext with padding and its length. The content of the padding is free
/// (RFC 7296 §3.14): zeros.
pub(super) fn pad(text: &mut [u8], plaintext_len: usize) -> Result<(), SealError> {
    let (last, padding) =
        text.get_mut(plaintext_len..).and_then(<[u8]>::split_last_mut).ok_or(SealError)?;
    padding.fill(0);
    *last = u8::try_from(padding.len()).map_err(|_| SealError)?;
    Ok(())
}

/// Where the plaintext lies in an opened message.
pub(super) fn unpad(
    message: &[u8],
    body: usize,
    layout: Layout,
) -> Result<Range<usize>, OpenError> {
    let start = body + layout.iv;
    let end = message.len().checked_sub(layout.icv).ok_or(OpenError::Length)?;
    let (pad_len, padded) =
        message.get(start..end).and_then(<[u8]>::split_last).ok_or(OpenError::Length)?;
    let len = padded.len().checked_sub(usize::from(*pad_len)).ok_or(OpenError::Padding)?;
    Ok(start..start + len)
}
