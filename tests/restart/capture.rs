//! A capture of the wire between the gateways by a packet socket: every pair of SPI and sequence
//! number, each of which may occur once.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{MsgFlags, recv};

use crate::lab::wire::{IP, UDP};

const ESP: usize = UDP + 8;

/// Numbers seen, by sender and SPI.
#[derive(Default)]
pub struct Seen {
    sas: BTreeMap<(u32, u32), HashMap<u32, u64>>,
    pub packets: u64,
    /// Pairs that came twice.
    pub repeated: Vec<(u32, u32)>,
}

impl Seen {
    /// How many SAs there were.
    pub fn sas(&self) -> usize {
        self.sas.len()
    }

    fn note(&mut self, from: u32, spi: u32, number: u32) {
        self.packets += 1;
        let block = self.sas.entry((from, spi)).or_default().entry(number / 64).or_default();
        let bit = 1 << (number % 64);
        if *block & bit != 0 {
            self.repeated.push((spi, number));
        }
        *block |= bit;
    }

    /// A frame, perhaps with many ESP packets that leave as one: each has the SPI and the next
    /// number in front.
    fn take(&mut self, frame: &[u8]) {
        let word = |at: usize| {
            let bytes = frame.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        let is_udp = frame.get(12..15) == Some(&[8, 0, 0x45]) && frame.get(IP + 9) == Some(&17);
        let port = frame.get(UDP + 2..UDP + 4).map(|p| u16::from_be_bytes([p[0], p[1]]));
        let (Some(from), Some(spi), Some(mut number)) = (word(IP + 12), word(ESP), word(ESP + 4))
        else {
            return;
        };
        // A keepalive is shorter, an IKE message has four zero bytes here.
        if !is_udp || port != Some(4500) || spi == 0 {
            return;
        }
        self.note(from, spi, number);
        let mut rest = &frame[ESP + 4..];
        loop {
            number += 1;
            let next = [spi.to_be_bytes(), number.to_be_bytes()].concat();
            match rest.windows(8).position(|window| window == next) {
                Some(at) => rest = &rest[at + 4..],
                None => return,
            }
            self.note(from, spi, number);
        }
    }
}

/// Looks at frames until it is told to stop and none is left.
pub fn watch(fd: &OwnedFd, done: &AtomicBool) -> Seen {
    let (mut seen, mut frame) = (Seen::default(), vec![0; 70_000]);
    loop {
        match recv(fd.as_raw_fd(), &mut frame, MsgFlags::MSG_DONTWAIT) {
            Ok(len) => seen.take(&frame[..len]),
            Err(_) if done.load(Ordering::Relaxed) => return seen,
            Err(_) => {
                let timeout = u8::try_from(Duration::from_millis(50).as_millis()).unwrap();
                let _ = poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout);
            }
        }
    }
}
