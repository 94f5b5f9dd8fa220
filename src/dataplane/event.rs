//! What a lane tells control. Events travel over a bounded channel and are lost when it is full:
//! each is either repeated by its cause or a hint.

use crate::wire::selector::narrow::Tuple;
use crate::wire::spi::EspSpi;

/// Something that control should know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LaneEvent {
    /// A packet found no SA: one is wanted for it.
    Wanted(Tuple),
    /// An outbound SA has reached its soft limit.
    OutboundAging(EspSpi),
    /// An inbound SA has reached its soft limit.
    InboundAging(EspSpi),
    /// The first packet on an inbound SA: the peer has switched to it.
    FirstPacket(EspSpi),
    /// An IKE message came on the lane's socket.
    Ike(Vec<u8>),
    /// The path carries outer packets of this size now.
    PathMtu(usize),
    /// The device is gone, and nothing is sent any more.
    DeviceLost,
}
