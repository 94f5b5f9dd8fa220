//! Each datagram says whether it is a first sending, a retransmission or a repeated reply.

use super::*;
use crate::ike::path::Sending;

const OTHER: PeerId = PeerId(8);

/// An endpoint that knows two peers, neither of which ever answers.
fn endpoint() -> Endpoint {
    let mut end = Endpoint::new(EndpointConfig::default(), Box::new(Fake), Box::new(SeededRng(1)));
    for (peer, host) in [(PEER, 2), (OTHER, 3)] {
        end.command(at(0), Command::Add(peer, Box::new(config(1, host, DialRole::Both))));
    }
    end
}

fn at(millis: u64) -> Now {
    let mono = Instant(1_000_000_000) + Duration::from_millis(millis);
    Now { mono, unix: UnixTime(1_800_000_000) }
}

/// What the endpoint sends now: to whom, and how.
fn sent(end: &mut Endpoint) -> Vec<(IpAddr, Sending)> {
    std::iter::from_fn(|| end.poll_output())
        .filter_map(|output| match output {
            Output::Transmit(transmit) => Some((transmit.path.remote.ip(), transmit.sending)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_retransmission_is_marked_and_what_another_peer_is_sent_beside_it_is_not() {
    let mut end = endpoint();
    end.command(at(0), Command::Up(OTHER));
    assert_eq!(sent(&mut end), [(address(3), Sending::First)]);
    // The other peer is given up after a minute and is due to be dialled again a second later.
    for millis in (0..=60_500).step_by(100) {
        end.handle_timeout(at(millis));
        assert!(sent(&mut end).iter().all(|way| *way == (address(3), Sending::Retransmission)));
    }
    end.command(at(60_500), Command::Up(PEER));
    assert_eq!(sent(&mut end), [(address(2), Sending::First)]);
    end.handle_timeout(at(64_000));
    let mut ways = sent(&mut end);
    ways.sort_by_key(|(to, _)| *to);
    assert_eq!(ways, [(address(2), Sending::Retransmission), (address(3), Sending::First)]);
}

#[test]
fn answers_are_first_sendings_and_a_repeated_request_gets_a_repeated_reply() {
    let mut pair = Pair::new([DialRole::Dial, DialRole::Answer]);
    pair.deliver();
    pair.assert_joined();
    assert!(pair.sendings.iter().flatten().all(|sending| *sending == Sending::First));
    let before = pair.sendings[1].len();
    pair.command(0, Command::Probe(PEER));
    let (_, path, bytes) = pair.wire.front().cloned().expect("a request");
    pair.deliver();
    assert_eq!(pair.sendings[1][before..], [Sending::First]);
    let seen = Path { local: path.remote, remote: path.local, ..path };
    pair.ends[1].handle_datagram(pair.now, Datagram { path: seen, bytes: &bytes });
    pair.collect(1);
    assert_eq!(pair.sendings[1][before..], [Sending::First, Sending::RepeatedReply]);
}
