//! Control messages (cmsg(3)) built and read in plain byte arrays: no pointer arithmetic, so no
//! `unsafe`.
//!
//! A message is `{ len: usize, level: i32, type: i32 }`, its data, and padding to the alignment of
//! `usize`.

/// Bytes of one message's header.
const HEADER: usize = size_of::<libc::cmsghdr>();
const ALIGN: usize = size_of::<usize>();

/// Room for the three small messages that a lane uses.
const ROOM: usize = 96;

/// A buffer for control messages, aligned as the kernel wants them.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub struct ControlBuffer {
    bytes: [u8; ROOM],
    len: usize,
}

impl Default for ControlBuffer {
    fn default() -> ControlBuffer {
        ControlBuffer { bytes: [0; ROOM], len: 0 }
    }
}

impl ControlBuffer {
    /// Appends a message. Nothing is appended when there is no room: the callers' messages are of
    /// known size.
    pub fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let space = HEADER + data.len().next_multiple_of(ALIGN);
        let Some(room) = self.bytes.get_mut(self.len..self.len + space) else { return };
        let (header, body) = room.split_at_mut(HEADER);
        let parts =
            [&(HEADER + data.len()).to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes()];
        for (to, from) in header.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        for (to, from) in body.iter_mut().zip(data) {
            *to = *from;
        }
        self.len += space;
    }

    /// What was appended.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The whole buffer, for the kernel to write into.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The messages in the first `len` bytes of the buffer, after the kernel wrote them.
    pub fn received(&self, len: usize) -> Messages<'_> {
        Messages(self.bytes.get(..len).unwrap_or(&self.bytes))
    }
}

/// Walks received control messages.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

/// One received control message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ControlMessage<'a> {
    /// The protocol level, such as `SOL_UDP`.
    pub level: i32,
    /// The type within the level.
    pub kind: i32,
    /// The data.
    pub data: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = ControlMessage<'a>;

    fn next(&mut self) -> Option<ControlMessage<'a>> {
        let (len, rest) = self.0.split_first_chunk()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let len = usize::from_ne_bytes(*len);
        let data = rest.get(..len.checked_sub(HEADER)?)?;
        self.0 = self.0.get(len.next_multiple_of(ALIGN)..).unwrap_or(&[]);
        Some(ControlMessage {
            level: i32::from_ne_bytes(*level),
            kind: i32::from_ne_bytes(*kind),
            data,
        })
    }
}

impl ControlMessage<'_> {
    /// The data as an integer: one byte for IPv4's TOS, an int for the rest.
    pub fn as_int(&self) -> Option<i32> {
        match self.data {
            [byte] => Some(i32::from(*byte)),
            data => data.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read() {
        let mut control = ControlBuffer::default();
        control.push(17, 103, &1408u16.to_ne_bytes());
        control.push(0, 1, &[3]);
        control.push(41, 67, &7i32.to_ne_bytes());
        let len = control.as_bytes().len();
        let read: Vec<_> = control.received(len).map(|m| (m.level, m.kind, m.data.len())).collect();
        assert_eq!(read, [(17, 103, 2), (0, 1, 1), (41, 67, 4)]);
        assert_eq!(control.received(len).nth(1).unwrap().as_int(), Some(3));
        assert_eq!(control.received(len).nth(2).unwrap().as_int(), Some(7));
        assert_eq!(control.received(len - 1).count(), 3, "the last message's padding may be cut");
        assert_eq!(control.received(17).count(), 0);
    }

    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(HEADER, 16);
        assert_eq!(align_of::<ControlBuffer>(), align_of::<usize>());
    }

    #[test]
    fn a_length_that_lies_ends_the_walk() {
        for len in [0usize, 15, 17, usize::MAX] {
            let mut control = ControlBuffer::default();
            control.push(0, 1, &[3]);
            control.room()[..8].copy_from_slice(&len.to_ne_bytes());
            assert!(control.received(ROOM).count() <= 1, "{len}");
        }
    }
}
