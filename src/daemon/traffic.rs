//! What moved through a tunnel.

/// What moved, both ways.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Packets to the peer.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Packets from the peer.
    pub packets_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
}

impl From<[u64; 4]> for Traffic {
    fn from([packets_out, bytes_out, packets_in, bytes_in]: [u64; 4]) -> Traffic {
        Traffic { packets_out, bytes_out, packets_in, bytes_in }
    }
}

impl From<Traffic> for [u64; 4] {
    fn from(traffic: Traffic) -> [u64; 4] {
        [traffic.packets_out, traffic.bytes_out, traffic.packets_in, traffic.bytes_in]
    }
}

impl Traffic {
    /// Both together.
    pub fn plus(self, other: Traffic) -> Traffic {
        self.each(other, u64::saturating_add)
    }

    /// What is in this and not in the other.
    pub fn minus(self, other: Traffic) -> Traffic {
        self.each(other, u64::saturating_sub)
    }

    fn each(self, other: Traffic, of: fn(u64, u64) -> u64) -> Traffic {
        Traffic {
            packets_out: of(self.packets_out, other.packets_out),
            bytes_out: of(self.bytes_out, other.bytes_out),
            packets_in: of(self.packets_in, other.packets_in),
            bytes_in: of(self.bytes_in, other.bytes_in),
        }
    }
}
