//! Why a packet was dropped: one table makes the enum, the names in counters and the sentences for
//! operators.

use std::fmt;

/// Declares the reasons, in the order of their counters.
macro_rules! drop_reasons {
    ($($variant:ident $name:literal $story:literal)*) => {
        /// Why a packet was dropped, and the index of its counter.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[repr(u8)]
        pub enum DropReason {
            $(#[doc = $story] $variant,)*
        }

        impl DropReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$variant,)*];

            /// The name of the counter.
            pub fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name,)* }
            }

            /// What happened, for a person.
            pub fn story(self) -> &'static str {
                match self { $(DropReason::$variant => $story,)* }
            }
        }
    };
}

drop_reasons! {
    // From the device outward.
    BadFrame "bad_frame" "The device handed over a frame whose header or super-packet makes no sense."
    NotIp "not_ip" "The packet is neither sound IPv4 nor sound IPv6."
    NoSa "no_sa" "No security association covers the packet; one was asked for."
    TooBig "too_big" "The packet does not fit the path; its sender was told, within the rate limit."
    Expired "expired" "The security association has reached a hard limit."
    NumbersSpent "numbers_spent" "The security association has used up its sequence numbers."
    NoRoom "no_room" "The kernel had no room for the packet on its way out."
    Firewall "firewall" "A firewall on this host refused the sealed packet."
    NoRoute "no_route" "No way led to the gateway: a link is down, or a route is missing."
    NoAddress "no_address" "The address that the sealed packet comes from is no longer one of this host."
    SendFailed "send_failed" "The socket refused the packet for another reason."
    PathShrank "path_shrank" "The path turned out too small for the sealed packet; the next of its size is answered inward."
    // From the peer inward.
    Runt "runt" "The datagram is too short to be ESP, IKE or a keepalive."
    UnknownSpi "unknown_spi" "No security association has this SPI."
    Replayed "replayed" "The sequence number was received before."
    TooOld "too_old" "The sequence number is older than the replay window."
    AuthFailed "auth_failed" "The packet failed authentication."
    BadLength "bad_length" "The packet has a length that its cipher cannot produce."
    BadPadding "bad_padding" "The packet is authentic, but its padding is wrong: the sender is broken."
    BadNextHeader "bad_next_header" "The packet carries something that is neither IPv4 nor IPv6."
    Dummy "dummy" "A dummy packet, sent to hide the flow of traffic."
    BadInner "bad_inner" "The packet inside is not sound IP, or not of the family announced."
    BadSelector "bad_selector" "The packet inside is outside the negotiated traffic selectors."
    CongestionLost "congestion_lost" "Congestion was marked on a packet whose sender cannot see marks (RFC 6040)."
    DeviceFull "device_full" "The device did not take the packet."
    ControlFull "control_full" "Control had no room for another IKE message."
}

impl DropReason {
    /// The number of reasons.
    pub const COUNT: usize = DropReason::ALL.len();

    /// The place of this reason's counter.
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_the_place_in_the_table_and_names_are_unique() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
            assert_eq!(DropReason::ALL.iter().filter(|r| r.name() == reason.name()).count(), 1);
            assert!(reason.story().ends_with('.'));
        }
    }
}
