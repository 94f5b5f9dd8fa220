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

            /// The name of the counter in the status.
            pub fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name,)* }
            }

            /// A sentence that says to an operator what happened.
            pub fn story(self) -> &'static str {
                match self { $(DropReason::$variant => $story,)* }
            }
        }
    };
}

drop_reasons! {
    // From the device outward.
    BadFrame "bad_frame" "The tunnel device delivered a frame whose virtio-net header does not fit its packet."
    NotIp "not_ip" "The packet is neither valid IPv4 nor valid IPv6."
    LinkOnly "link_only" "The packet concerns one link or host (a link-local, multicast or unspecified address, Neighbor Discovery, an ICMP Redirect): the kernel sends some into each device, and none enters a tunnel unless `accept_sources` or `accept_destinations` names the address."
    NoSa "no_sa" "No security association has traffic selectors that cover the packet; a new one is negotiated if the configuration has one."
    TooBig "too_big" "The packet does not fit the path MTU; the sender gets an ICMP error, within a rate limit."
    Expired "expired" "The security association has reached a hard limit."
    NumbersSpent "numbers_spent" "The security association has used up its sequence numbers."
    NoRoom "no_room" "The kernel had no room for the sealed packet: a send queue is full."
    Firewall "firewall" "A firewall on this host refused the sealed packet."
    NoRoute "no_route" "No route leads to the gateway: a link is down, or a route is missing."
    NoAddress "no_address" "The source address of the sealed packet is not an address of this host any more."
    SendFailed "send_failed" "The socket refused the sealed packet for another reason."
    PathShrank "path_shrank" "The path MTU became smaller than the sealed packet; the next packet of this size gets an ICMP error."
    // From the peer inward.
    Runt "runt" "The datagram is too short to be ESP, IKE or a NAT keepalive."
    UnknownSpi "unknown_spi" "No security association has this SPI."
    Replayed "replayed" "The sequence number was received before."
    TooOld "too_old" "The sequence number is older than the anti-replay window."
    AuthFailed "auth_failed" "The packet failed authentication."
    BadLength "bad_length" "The packet has a length that the negotiated cipher cannot produce."
    BadPadding "bad_padding" "The packet is authentic, but its padding is wrong: the sender is broken."
    BadNextHeader "bad_next_header" "The decrypted packet is neither IPv4 nor IPv6."
    Dummy "dummy" "The packet is a dummy packet, which a peer sends to hide the flow of traffic (RFC 4303 §2.6)."
    BadInner "bad_inner" "The decrypted packet is not valid IP, or not of the IP version that its trailer announces."
    BadSelector "bad_selector" "The decrypted packet is outside the negotiated traffic selectors."
    BadSource "bad_source" "The decrypted packet comes from an address that is neither within the gateway's `address_prefixes` nor in `accept_sources`."
    BadDestination "bad_destination" "The decrypted packet goes to an address that is neither within this site's `address_prefixes` nor in `accept_destinations`."
    LinkControl "link_control" "The decrypted packet is a Router Advertisement, another message of Neighbor Discovery, or an ICMP Redirect: a tunnel has no routers and no neighbours."
    CongestionLost "congestion_lost" "Congestion was marked on a packet whose sender cannot see marks (RFC 6040)."
    DeviceFull "device_full" "The tunnel device did not take the packet."
    ControlFull "control_full" "The IKE engine had no room for another IKE message."
}

impl DropReason {
    /// The number of reasons.
    pub const COUNT: usize = DropReason::ALL.len();

    /// The place of this reason's counter in an array of counters.
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
