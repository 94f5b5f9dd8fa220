//! The growing buffer under every encoder.
//!
//! A value that does not fit its length field is not reported at once, but by [`Writer::finish`]:
//! encoders need no error handling in between.

use super::error::Unencodable;
use super::reserved::ReservedBits;

/// Writes big-endian fields, front to back.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    fault: Option<Unencodable>,
}

/// A structure whose 16-bit length is written when its end is known.
#[derive(Debug)]
#[must_use = "an open structure has no length yet"]
pub struct Open {
    start: usize,
    slot: usize,
}

impl Writer {
    /// An empty buffer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes one byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Writes a number of two bytes.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes a number of four bytes.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes a number of eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes `count` zeros.
    pub fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }

    /// Writes reserved bytes: zeros, or what a decoded value kept.
    pub fn reserved<const N: usize>(&mut self, reserved: ReservedBits<N>) {
        self.bytes(reserved.bytes());
    }

    /// Writes a count or length in one byte.
    pub fn length8(&mut self, length: usize, field: &'static str) {
        let fits = u8::try_from(length);
        let value = fits.unwrap_or_else(|_| self.refuse(field, length, usize::from(u8::MAX)));
        self.u8(value);
    }

    /// Writes a count or length in two bytes.
    pub fn length16(&mut self, length: usize, field: &'static str) {
        let fits = u16::try_from(length);
        let value = fits.unwrap_or_else(|_| self.refuse(field, length, usize::from(u16::MAX)));
        self.u16(value);
    }

    /// Starts the length field of a structure of which `before` bytes are written.
    pub fn open(&mut self, before: usize) -> Open {
        let slot = self.len();
        self.u16(0);
        Open { start: slot.saturating_sub(before), slot }
    }

    /// Ends a structure and writes its length.
    pub fn close(&mut self, open: Open, field: &'static str) {
        let length = self.len() - open.start;
        let fits = u16::try_from(length);
        let value = fits.unwrap_or_else(|_| self.refuse(field, length, usize::from(u16::MAX)));
        self.patch(open.slot, &value.to_be_bytes());
    }

    /// Overwrites bytes written before.
    pub fn patch(&mut self, at: usize, value: &[u8]) {
        let slot = self.bytes.iter_mut().skip(at);
        slot.zip(value).for_each(|(byte, new)| *byte = *new);
    }

    /// Records that `length` exceeds `limit`, and gives the zero to be written instead.
    pub fn refuse<T: Default>(&mut self, field: &'static str, length: usize, limit: usize) -> T {
        self.fault.get_or_insert(Unencodable { field, length, limit });
        T::default()
    }

    /// The bytes, unless something did not fit.
    pub fn finish(self) -> Result<Vec<u8>, Unencodable> {
        match self.fault {
            None => Ok(self.bytes),
            Some(fault) => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structure_learns_its_length_at_its_end() {
        let mut writer = Writer::new();
        writer.u8(9);
        writer.u8(1);
        let open = writer.open(1);
        writer.bytes(&[7; 5]);
        writer.close(open, "structure");
        assert_eq!(writer.finish(), Ok(vec![9, 1, 0, 8, 7, 7, 7, 7, 7]));
    }

    #[test]
    fn the_first_overflow_refuses_the_whole() {
        let mut writer = Writer::new();
        writer.length8(256, "count");
        writer.length16(65_536, "length");
        let fault = writer.finish().unwrap_err();
        assert_eq!(fault.to_string(), "count: 256 does not fit, the limit is 255");

        let mut writer = Writer::new();
        let open = writer.open(0);
        writer.zeros(65_534);
        writer.close(open, "structure");
        assert_eq!(writer.finish().unwrap_err().length, 65_536);
    }
}
