//! What is left of a dead SA at one end: children of a peer that restarted without a word, Deletes
//! and notifies about children that the peer does not have.

use std::time::Duration;

use super::{PEER, Pair, address, config, established, in_both_ways};
use crate::ike::endpoint::command::{Command, DataEvent};
use crate::ike::endpoint::config::DialRole;
use crate::ike::endpoint::event::{Cause, IkeEvent};
use crate::ike::path::{Datagram, Path};
use crate::ike::peer::handshake::Handshake;
use crate::ike::sa::channel::Envelope;
use crate::ike::sa::child::OutState;
use crate::ike::testing::emulation::PeerBehaviour;
use crate::wire::codes::{ExchangeType, NotifyType};
use crate::wire::message::Message;
use crate::wire::payload::Payload;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::delete::Delete;
use crate::wire::payload::notify::Notify;
use crate::wire::payload::vendor::KnownVendor;
use crate::wire::spi::EspSpi;

/// A tunnel with a peer, end 0, that never says INITIAL_CONTACT.
fn with_a_quiet_peer() -> Pair {
    let mut one = config(1, 2, DialRole::Dial);
    one.behaviour = PeerBehaviour::Quiet;
    let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
    for end in 0..2 {
        pair.command(end, Command::Up(PEER));
    }
    pair.deliver();
    pair
}

/// Seals a request of `end` on its IKE SA number `at`.
fn sealed(pair: &mut Pair, end: usize, at: usize, chain: &Chain) -> (Path, Vec<u8>) {
    let mut request = None;
    let now = pair.now;
    pair.ends[end].with(now, PEER, |peer, ctx| {
        let sa = &mut peer.sas[at];
        let id = sa.requests.next();
        let envelope = Envelope { exchange: ExchangeType::Informational, id, response: false };
        let message = sa.channel.seal(envelope, chain, 1280, ctx.rng).expect("seals");
        request = Some((sa.path, message.datagrams().concat()));
        sa.requests.begin(message);
        sa.requests.finish();
    });
    request.expect("an IKE SA")
}

/// Gives an end the request that the other has sealed.
fn give(pair: &mut Pair, to: usize, (path, bytes): (Path, Vec<u8>)) {
    let path = Path { local: path.remote, remote: path.local, port: path.port };
    pair.ends[to].handle_datagram(pair.now, Datagram { path, bytes: &bytes });
    pair.collect(to);
}

fn spis(pair: &Pair, end: usize) -> (EspSpi, EspSpi) {
    let sas = &pair.ends[end].peers[&PEER].sas;
    let child = sas.iter().flat_map(|sa| &sa.children).next().expect("a child");
    (child.inbound.spi, child.outbound.spi)
}

#[test]
fn the_child_of_ike_auth_carries_as_soon_as_its_ike_sa_stands() {
    in_both_ways(|| {
        let mut pair = with_a_quiet_peer();
        let old = pair.child(1);
        let used = DataEvent::FirstPacket(spis(&pair, 1).0);
        pair.ends[1].handle_data_event(pair.now, used);
        pair.collect(1);
        pair.forget(0);
        pair.command(0, Command::Up(PEER));
        pair.deliver();
        let sas = &pair.ends[1].peers[&PEER].sas;
        let carries: Vec<_> = sas
            .iter()
            .flat_map(|sa| &sa.children)
            .filter(|child| child.out == OutState::Active)
            .map(|child| child.id)
            .collect();
        assert_eq!(carries, [pair.child(1)], "the peer has no other");
        assert_ne!(carries, [old]);
    });
}

/// [MS-IKEE] 3.1.7.3: Windows says initial contact by a vendor ID in IKE_SA_INIT.
#[test]
fn microsofts_vendor_id_of_initial_contact_counts_once_the_peer_has_proved_itself() {
    in_both_ways(|| {
        let mut pair = with_a_quiet_peer();
        pair.forget(0);
        pair.command(0, Command::Up(PEER));
        let now = pair.now;
        let (from, path, bytes) = pair.wire.pop_front().expect("IKE_SA_INIT");
        let mut message = Message::decode(&bytes).expect("decodes");
        message.chain.push(Payload::VendorId(KnownVendor::MsInitialContact.into()));
        let bytes = message.encode().expect("fits");
        let request = bytes.clone();
        pair.ends[0].with(now, PEER, |peer, _| match &mut peer.handshakes[0] {
            Handshake::InitSent(sent) => sent.request = request,
            other => panic!("{other:?}"),
        });
        pair.wire.push_back((from, path, bytes));
        let told = |pair: &Pair| {
            pair.count(1, |e| matches!(e, IkeEvent::IkeDown { cause: Cause::InitialContact, .. }))
        };
        pair.deliver_one();
        assert_eq!(told(&pair), 0, "nobody has proved anything yet");
        pair.deliver();
        assert_eq!((told(&pair), pair.holds(1)), (1, (1, 1, 1)));
    });
}

#[test]
fn a_delete_on_the_old_ike_sa_finds_the_child_that_has_moved() {
    in_both_ways(|| {
        let mut pair = established();
        let (theirs, own) = spis(&pair, 0);
        pair.command(1, Command::RekeyIke(PEER));
        pair.deliver_one();
        pair.deliver_one();
        assert_eq!(pair.ends[1].peers[&PEER].sas.len(), 2, "the old one is not deleted yet");
        pair.wire.clear();
        let old = {
            let sas = &pair.ends[0].peers[&PEER].sas;
            sas.iter().position(|sa| sa.children.is_empty()).expect("the old IKE SA")
        };
        let mut chain = Chain::new();
        chain.push(Delete::esp([theirs]));
        let request = sealed(&mut pair, 0, old, &chain);
        give(&mut pair, 1, request);
        let deleted =
            |e: &IkeEvent| matches!(e, IkeEvent::ChildDown { cause: Cause::DeletedByPeer, .. });
        assert_eq!(pair.count(1, deleted), 1, "{:#?}", pair.events[1]);
        // The answer names the other half (RFC 7296 §1.4.1).
        let (_, path, answer) = pair.wire.pop_front().expect("an answer");
        let mut named = Vec::new();
        let now = pair.now;
        pair.ends[0].with(now, PEER, |peer, ctx| {
            use crate::ike::sa::channel::OpenedMessage;
            use crate::ike::sa::window::Fingerprint;
            let opened = peer.sas[old].channel.open(ctx.now.mono, &answer, Fingerprint([0; 32]));
            let Some(OpenedMessage::Whole(Ok(chain), _)) = opened else { panic!("no answer") };
            named = chain.deletes().flat_map(Delete::esp_spis).collect();
        });
        assert_eq!(named, [own], "on {path:?}");
    });
}

#[test]
fn a_child_that_the_peer_does_not_have_is_made_anew() {
    in_both_ways(|| {
        for end in [0, 1] {
            let mut pair = established();
            pair.pass(Duration::from_secs(20));
            let (old, dead) = (pair.child(end), spis(&pair, end).1);
            let mut chain = Chain::new();
            chain.push(Notify::invalid_spi(dead));
            let request = sealed(&mut pair, 1 - end, 0, &chain);
            give(&mut pair, end, request);
            pair.pass(Duration::from_secs(6));
            assert_ne!(pair.child(end), old, "end {end}: {:#?}", pair.events[end]);
            assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
            pair.assert_joined();
        }
    });
}

#[test]
fn what_the_peer_says_of_no_child_of_ours_or_of_one_just_made_changes_nothing() {
    in_both_ways(|| {
        let mut pair = established();
        let fresh = spis(&pair, 1).1;
        for (spi, wait) in [(fresh, 0), (EspSpi(0x1234_5678), 20), (spis(&pair, 1).0, 0)] {
            pair.pass(Duration::from_secs(wait));
            let old = pair.child(1);
            let mut chain = Chain::new();
            chain.push(Notify::invalid_spi(spi));
            let request = sealed(&mut pair, 0, 0, &chain);
            give(&mut pair, 1, request);
            pair.pass(Duration::from_secs(6));
            assert_eq!((pair.child(1), pair.holds(1)), (old, (1, 1, 1)));
        }
    });
}

/// End 1 has lost its child without a word; end 0 sends on it, and is told in the IKE SA, once.
#[test]
fn an_established_peer_is_told_of_the_spi_that_nobody_receives_on() {
    in_both_ways(|| {
        let mut pair = established();
        pair.pass(Duration::from_secs(20));
        let (old, path) = (pair.child(0), pair.ends[1].peers[&PEER].sas[0].path);
        let dead = spis(&pair, 0).1;
        let now = pair.now;
        pair.ends[1].with(now, PEER, |peer, ctx| {
            let sa = &mut peer.sas[0];
            let id = sa.children[0].id;
            sa.detach_child(id, Cause::Expired);
            peer.slot_retries[0].at = Some(now.mono + Duration::from_secs(3_600));
            peer.run_followups(ctx);
        });
        pair.collect(1);
        let before = pair.sendings[1].len();
        for _ in 0..100 {
            let stray = DataEvent::UnknownSpi { path, spi: dead, len: 100 };
            pair.ends[1].handle_data_event(pair.now, stray);
            pair.collect(1);
        }
        assert_eq!(pair.sendings[1].len() - before, 1, "one message for a hundred packets");
        pair.pass(Duration::from_secs(4));
        assert_ne!(pair.child(0), old);
        assert_eq!(pair.holds(0), (1, 1, 1));
        pair.assert_joined();
    });
}

#[test]
fn the_time_that_the_peer_gives_our_proof_is_kept() {
    in_both_ways(|| {
        let mut two = config(2, 1, DialRole::Answer);
        two.reauthenticate = Some(Duration::from_secs(600));
        let mut pair = Pair::with(config(1, 2, DialRole::Dial), two);
        for end in 0..2 {
            pair.command(end, Command::Up(PEER));
        }
        let dialled =
            |pair: &Pair, end| pair.count(end, |e| matches!(e, IkeEvent::Dialling { .. }));
        pair.pass(Duration::from_secs(595));
        assert_eq!((dialled(&pair, 0), dialled(&pair, 1)), (2, 0));
        // The peer may say so later too.
        let mut chain = Chain::new();
        chain.push(Notify::with_data(NotifyType::AuthLifetime, 100_u32.to_be_bytes()));
        let request = sealed(&mut pair, 1, 0, &chain);
        give(&mut pair, 0, request);
        pair.pass(Duration::from_secs(95));
        assert_eq!((dialled(&pair, 0), dialled(&pair, 1)), (3, 0));
        assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
    });
}

/// An end that restarted and only answers has no IKE SA to say so in: it says so in the clear, in
/// less than what came, a few times (RFC 7296 §1.5). What it may say is not in the snapshot.
#[test]
fn a_stranger_is_told_that_its_esp_belongs_to_nobody() {
    let mut pair = established();
    let (dead, path) = (spis(&pair, 0).1, pair.ends[1].peers[&PEER].sas[0].path);
    pair.forget(1);
    let before = pair.wire.len();
    let strays = |pair: &mut Pair, path: Path, len| {
        pair.ends[1].handle_data_event(pair.now, DataEvent::UnknownSpi { path, spi: dead, len });
        pair.collect(1);
        pair.wire.len() - before
    };
    assert_eq!(strays(&mut pair, path, 43), 0, "the answer would be larger");
    let elsewhere = std::net::SocketAddr::new(address(9), 4500);
    assert_eq!(strays(&mut pair, Path { remote: elsewhere, ..path }, 1_000), 0, "no peer");
    assert_eq!(strays(&mut pair, path, 44), 1);
    let told = (0..1_000).map(|_| strays(&mut pair, path, 1_000)).last();
    assert!((1..=10).contains(&told.unwrap_or_default()), "{told:?}");
    let (_, _, bytes) = pair.wire.pop_back().expect("an answer");
    let chain = Message::decode(&bytes).expect("decodes").chain;
    let notify = chain.notify(NotifyType::InvalidSpi).expect("INVALID_SPI");
    assert_eq!((bytes.len(), notify.data.as_slice()), (40, &dead.0.to_be_bytes()[..]));
}

/// What anybody may have sent makes the peer be asked for a sign of life, and nothing else.
#[test]
fn an_unprotected_invalid_spi_makes_us_ask_the_peer_once() {
    in_both_ways(|| {
        let mut pair = established();
        pair.pass(Duration::from_secs(5));
        let (dead, path) = (spis(&pair, 0).1, pair.ends[1].peers[&PEER].sas[0].path);
        let mut gone = Pair::idle([DialRole::Dial, DialRole::Answer]);
        gone.command(1, Command::Up(PEER));
        gone.now = pair.now;
        let stray = DataEvent::UnknownSpi { path, spi: dead, len: 100 };
        gone.ends[1].handle_data_event(gone.now, stray);
        gone.collect(1);
        let (_, path, bytes) = gone.wire.pop_front().expect("INVALID_SPI");
        for asked in [1, 1, 1] {
            give(&mut pair, 0, (path, bytes.clone()));
            assert_eq!(pair.wire.len(), asked);
        }
        pair.pass(Duration::from_secs(60));
        assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
        assert_eq!(pair.count(0, |e| matches!(e, IkeEvent::Dialling { .. })), 1);
    });
}
