//! What a lane tells control. Events travel over a bounded channel and are lost when the channel is
//! full: the limits of an SA are told until they got through, the other events are repeated while
//! their cause lasts, or are no more than a hint.

use crate::wire::selector::narrow::Tuple;
use crate::wire::spi::EspSpi;

/// One event of a lane.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LaneEvent {
    /// No SA covers this packet from the device: an SA for it is to be negotiated.
    Wanted(Tuple),
    /// An outbound SA has reached its soft limit.
    OutboundAging(EspSpi),
    /// An inbound SA has reached its soft limit.
    InboundAging(EspSpi),
    /// An outbound SA has reached its hard limit: it carries nothing more.
    OutboundExpired(EspSpi),
    /// An inbound SA has reached its hard limit.
    InboundExpired(EspSpi),
    /// The first packet came on this inbound SA: the peer has switched to it.
    FirstPacket(EspSpi),
    /// An ESP packet of so many octets came for an SPI that no SA has. Told once a second at most,
    /// since anybody may have sent it.
    UnknownSpi(EspSpi, usize),
    /// An IKE message came on the lane's socket.
    Ike(Vec<u8>),
    /// The path MTU changed to this size of outer packets.
    PathMtu(usize),
    /// Somebody deleted the tunnel device; the egress thread has ended.
    DeviceLost,
}
