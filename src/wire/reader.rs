//! The checked cursor under every decoder. The cursor counts the bytes that it has read, so that
//! every error can name the place.

use super::codes::PayloadType;
use super::error::{FieldFault, Malformed};
use super::reserved::ReservedBits;

/// Reads big-endian fields off a slice, front to back.
#[derive(Clone, Debug)]
pub struct FieldReader<'a> {
    rest: &'a [u8],
    offset: usize,
    payload: PayloadType,
}

impl<'a> FieldReader<'a> {
    /// A cursor at the start of `bytes`, in no payload yet.
    pub fn new(bytes: &'a [u8]) -> FieldReader<'a> {
        FieldReader { rest: bytes, offset: 0, payload: PayloadType::None }
    }

    /// Makes `payload` the payload that the faults from here on are reported in.
    pub fn enter(&mut self, payload: PayloadType) {
        self.payload = payload;
    }

    /// The number of bytes between the start of the datagram, or of the decrypted text, and here.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The number of bytes that were not read yet.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next `count` bytes.
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], Malformed> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(
                self.fault(field, FieldFault::Short { needed: count, left: self.rest.len() })
            );
        };
        self.rest = rest;
        self.offset += count;
        Ok(taken)
    }

    /// Takes all bytes that are left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        let taken = std::mem::take(&mut self.rest);
        self.offset += taken.len();
        taken
    }

    /// A cursor over the next `count` bytes alone; this one goes on after them.
    pub fn sub(&mut self, count: usize, field: &'static str) -> Result<FieldReader<'a>, Malformed> {
        let offset = self.offset;
        let rest = self.take(count, field)?;
        Ok(FieldReader { rest, offset, payload: self.payload })
    }

    /// Takes the next `N` bytes.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.fault(field, FieldFault::Short { needed: N, left: self.rest.len() }));
        };
        self.rest = rest;
        self.offset += N;
        Ok(*taken)
    }

    /// Takes one byte as a number.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// Takes two bytes as a number.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Takes four bytes as a number.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Takes eight bytes as a number.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Takes bytes that the standard reserves; no decoder interprets them.
    pub fn reserved<const N: usize>(&mut self) -> Result<ReservedBits<N>, Malformed> {
        self.array("reserved").map(ReservedBits::from)
    }

    /// Takes a structure's 16-bit length, which counts the `before` bytes of the structure that
    /// were read and these two. Gives how many bytes of the structure follow.
    pub fn length16(&mut self, before: usize, field: &'static str) -> Result<usize, Malformed> {
        let at = self.clone();
        let found = self.u16(field)?;
        usize::from(found).checked_sub(before + 2).ok_or_else(|| {
            let must = "at least the size of its fixed fields";
            at.fault(field, FieldFault::Value { found: found.into(), must })
        })
    }

    /// Ends the reading; bytes that are left are a fault.
    pub fn finish(self, field: &'static str) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            extra => Err(self.fault(field, FieldFault::Excess { extra })),
        }
    }

    /// A fault at this place.
    pub fn fault(&self, field: &'static str, fault: FieldFault) -> Malformed {
        Malformed { payload: self.payload, field, offset: self.offset, fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_the_whole() {
        let mut reader = FieldReader::new(&[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(reader.u8("a"), Ok(1));
        let mut sub = reader.sub(3, "b").unwrap();
        sub.enter(PayloadType::Nonce);
        assert_eq!(sub.u16("c"), Ok(0x0203));
        let fault = sub.u16("d").unwrap_err();
        assert_eq!((fault.payload, fault.offset), (PayloadType::Nonce, 3));
        assert_eq!(fault.fault, FieldFault::Short { needed: 2, left: 1 });
        assert_eq!(reader.offset(), 4);
        assert_eq!(reader.clone().take_rest(), [5, 6, 7]);
        assert_eq!(reader.finish("e").unwrap_err().fault, FieldFault::Excess { extra: 3 });
    }

    #[test]
    fn a_failed_read_moves_nothing() {
        let mut reader = FieldReader::new(&[1, 2, 3]);
        assert!(reader.u32("a").is_err());
        assert!(reader.take(4, "b").is_err());
        assert_eq!(reader.take(3, "c"), Ok(&[1, 2, 3][..]));
    }

    #[test]
    fn a_length_counts_its_own_header() {
        let mut reader = FieldReader::new(&[0, 4, 0, 3]);
        assert_eq!(reader.length16(2, "a"), Ok(0));
        let fault = reader.length16(2, "b").unwrap_err();
        assert_eq!(fault.offset, 2);
        assert!(matches!(fault.fault, FieldFault::Value { found: 3, .. }));
    }
}
