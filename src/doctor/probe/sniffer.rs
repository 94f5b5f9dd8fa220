//! Sniffs IKE_SA_INIT messages on an interface, ahead of this host's firewall: which peers dial
//! this host, and which answers arrive.
//!
//! A packet socket sees packets before netfilter does. An answer that the sniffer sees and the
//! probe's socket does not get was therefore dropped on this host. A gateway that dials and answers
//! no probe is set to initiate only.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pnet_datalink::{Channel, DataLinkReceiver, NetworkInterface};
use pnet_packet::Packet;
use pnet_packet::ethernet::{EtherTypes, EthernetPacket};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::udp::UdpPacket;

use crate::wire::codes::ExchangeType;
use crate::wire::header::Header;
use crate::wire::packet::datagram::Classified;
use crate::wire::spi::IkeSpi;

/// The interval at which the sniffer's thread checks whether to stop.
const TICK: Duration = Duration::from_millis(50);

/// The IKE_SA_INIT messages that a sniffer saw.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Sniffed {
    /// The sources of IKE_SA_INIT requests.
    pub dialled_by: BTreeSet<IpAddr>,
    /// The sources of IKE_SA_INIT responses.
    pub answered_by: BTreeSet<IpAddr>,
}

/// A thread that sniffs one interface; dropping the value stops the thread.
#[derive(Debug)]
pub struct Sniffer {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Sniffed>>,
}

impl Sniffer {
    /// Sniffs the interface that has this address. Needs CAP_NET_RAW.
    pub fn start(own: IpAddr) -> io::Result<Sniffer> {
        let IpAddr::V4(own) = own else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the sniffer supports IPv4 only",
            ));
        };
        let interface = pnet_datalink::interfaces()
            .into_iter()
            .find(|interface| interface.ips.iter().any(|network| network.ip() == IpAddr::V4(own)))
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, "no interface has the address")
            })?;
        let settings = pnet_datalink::Config {
            read_timeout: Some(TICK),
            promiscuous: false,
            ..pnet_datalink::Config::default()
        };
        let Channel::Ethernet(_, receiver) = pnet_datalink::channel(&interface, settings)? else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the interface has no packet socket of the expected kind",
            ));
        };
        let sniffer = Sniffer { stop: Arc::default(), seen: Arc::default() };
        let (stop, seen) = (Arc::clone(&sniffer.stop), Arc::clone(&sniffer.seen));
        thread::Builder::new()
            .name("sniffer".to_owned())
            .spawn(move || watch(receiver, &interface, own, &stop, &seen))?;
        Ok(sniffer)
    }

    /// The messages seen so far.
    pub fn seen(&self) -> Sniffed {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sniffer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(
    mut receiver: Box<dyn DataLinkReceiver>,
    interface: &NetworkInterface,
    own: Ipv4Addr,
    stop: &AtomicBool,
    seen: &Mutex<Sniffed>,
) {
    // An interface without a link layer hands over bare IP packets.
    let framed = !interface.is_point_to_point();
    while !stop.load(Ordering::Relaxed) {
        // A timeout is the tick. Any other error, as of an interface that goes down, is followed
        // by timeouts.
        let Ok(frame) = receiver.next() else { continue };
        let packet = if framed { network_layer(frame) } else { Some(frame) };
        if let Some(packet) = packet {
            seen.lock().unwrap_or_else(PoisonError::into_inner).note(packet, own);
        }
    }
}

/// The IPv4 packet of an Ethernet frame.
fn network_layer(frame: &[u8]) -> Option<&[u8]> {
    let ethernet = EthernetPacket::new(frame)?;
    let is_ip = ethernet.get_ethertype() == EtherTypes::Ipv4;
    is_ip.then(|| frame.get(EthernetPacket::minimum_packet_size()..)).flatten()
}

impl Sniffed {
    /// Records an IPv4 packet that carries an IKE_SA_INIT message to this host.
    fn note(&mut self, packet: &[u8], own: Ipv4Addr) {
        let Some(ip) = Ipv4Packet::new(packet) else { return };
        let is_udp = ip.get_next_level_protocol() == IpNextHeaderProtocols::Udp;
        if ip.get_destination() != own || !is_udp || ip.get_fragment_offset() != 0 {
            return;
        }
        let Some(udp) = UdpPacket::new(ip.payload()) else { return };
        let message = match (udp.get_source(), udp.get_destination()) {
            (4500, _) | (_, 4500) => match Classified::classify(udp.payload()) {
                Classified::Ike(message) => message,
                _ => return,
            },
            (500, _) | (_, 500) => udp.payload(),
            _ => return,
        };
        let Ok(header) = Header::decode(message) else { return };
        if header.exchange != ExchangeType::IkeSaInit {
            return;
        }
        let from = IpAddr::V4(ip.get_source());
        if header.is_response() {
            self.answered_by.insert(from);
        } else if header.responder_spi == IkeSpi::ZERO {
            self.dialled_by.insert(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use pnet_packet::ipv4::MutableIpv4Packet;
    use pnet_packet::udp::MutableUdpPacket;

    use super::*;
    use crate::wire::header::{Flags, IkeVersion, MessageId};
    use crate::wire::message::Message;
    use crate::wire::packet::datagram::NON_ESP_MARKER;
    use crate::wire::payload::chain::Chain;

    const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    fn message(flags: Flags, exchange: ExchangeType, responder: u64) -> Vec<u8> {
        let header = Header {
            initiator_spi: IkeSpi(1),
            responder_spi: IkeSpi(responder),
            version: IkeVersion::V2,
            exchange,
            flags,
            message_id: MessageId(0),
        };
        Message::clear(header, Chain::new()).encode().unwrap()
    }

    fn packet(to: Ipv4Addr, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(28 + payload.len()).unwrap();
        let mut bytes = vec![0; len.into()];
        let mut ip = MutableIpv4Packet::new(&mut bytes).unwrap();
        ip.set_version(4);
        ip.set_header_length(5);
        ip.set_total_length(len);
        ip.set_next_level_protocol(IpNextHeaderProtocols::Udp);
        ip.set_source(PEER);
        ip.set_destination(to);
        let mut udp = MutableUdpPacket::new(&mut bytes[20..]).unwrap();
        udp.set_source(ports[0]);
        udp.set_destination(ports[1]);
        udp.set_length(len - 20);
        bytes[28..].copy_from_slice(payload);
        bytes
    }

    #[test]
    fn dials_and_answers_are_told_apart_and_all_else_is_passed_over() {
        let dial = message(Flags::INITIATOR, ExchangeType::IkeSaInit, 0);
        let answer = message(Flags::RESPONSE, ExchangeType::IkeSaInit, 0);
        let marked = |message: &[u8]| [&NON_ESP_MARKER[..], message].concat();
        let peer = || BTreeSet::from([IpAddr::V4(PEER)]);
        let nobody = BTreeSet::new;
        for (packet, dialled_by, answered_by) in [
            (packet(OWN, [500, 500], &dial), peer(), nobody()),
            (packet(OWN, [4500, 4500], &marked(&dial)), peer(), nobody()),
            (packet(OWN, [500, 40_000], &answer), nobody(), peer()),
            (packet(OWN, [4500, 40_000], &marked(&answer)), nobody(), peer()),
            (packet(PEER, [500, 500], &dial), nobody(), nobody()),
            (packet(OWN, [53, 53], &dial), nobody(), nobody()),
            (packet(OWN, [4500, 4500], &[7; 64]), nobody(), nobody()),
            (
                packet(OWN, [500, 500], &message(Flags::INITIATOR, ExchangeType::IkeAuth, 9)),
                nobody(),
                nobody(),
            ),
            (packet(OWN, [500, 500], &dial)[..40].to_vec(), nobody(), nobody()),
        ] {
            let mut sighting = Sniffed::default();
            sighting.note(&packet, OWN);
            assert_eq!(sighting, Sniffed { dialled_by, answered_by });
        }
    }

    #[test]
    fn a_frame_of_something_else_has_no_packet() {
        let frame = |kind: [u8; 2]| [&[0; 12][..], &kind, b"packet"].concat();
        assert_eq!(network_layer(&frame([0x08, 0x00])), Some(&b"packet"[..]));
        assert_eq!(network_layer(&frame([0x86, 0xdd])), None);
        assert_eq!(network_layer(&[0; 5]), None);
    }
}
