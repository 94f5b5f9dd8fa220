//! Packets and bytes that moved through a tunnel.

/// Packets and bytes of inner packets, in both directions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Traffic {
    pub(crate) packets_out: u64,
    pub(crate) bytes_out: u64,
    pub(crate) packets_in: u64,
    pub(crate) bytes_in: u64,
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
    /// The sum of both.
    pub(crate) fn plus(self, other: Traffic) -> Traffic {
        self.each(other, u64::saturating_add)
    }

    /// The difference, at least 0.
    pub(crate) fn minus(self, other: Traffic) -> Traffic {
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
