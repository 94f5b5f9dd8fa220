//! Traffic selector narrowing: which selectors to request, to grant and to take (RFC 7296 §2.9).
//!
//! Traffic selectors are compared with the policy in each exchange, never with the child SA that is
//! replaced. Azure asks for any-to-any in its own rekeys of a child that we had made narrower, and
//! takes whatever we ask for (Azure docs, "Custom traffic selectors"). So our rekey asks for the
//! whole policy again (§2.9.2), and the peer's rekey may change the selectors within the policy.
//!
//! "Near" is the asking end's side (TSi), "far" the other one's (TSr): for our own requests near is
//! local, for the peer's it is remote.

use std::net::IpAddr;

use crate::ike::error::{Error, Incompatible, PeerMisbehaved};
use crate::wire::payload::ts::{MAX_SELECTORS, TrafficSelectors};
use crate::wire::selector::Selector;
use crate::wire::selector::address::AddressRange;
use crate::wire::selector::narrow::{ChildSelectors, Tuple, choose};
use crate::wire::selector::ports::Ports;
use crate::wire::selector::set::SelectorSet;

/// The two TS payloads of one message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Payloads {
    /// The TSi payload: the asking end's side.
    pub near: TrafficSelectors,
    /// The TSr payload: the answering end's side.
    pub far: TrafficSelectors,
}

/// What we grant to a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The index of the policy that the request falls under.
    pub policy: usize,
    /// The traffic selectors of the child SA.
    pub selectors: ChildSelectors,
    /// The TS payloads of the reply.
    pub answer: Payloads,
}

/// The selectors that we ask for: the whole policy, and in front of it the packet that made us ask,
/// if there is one. A peer that cannot take the whole policy sees first what matters most.
pub fn request(policy: &ChildSelectors, packet: Option<&Tuple>) -> Payloads {
    let packet = packet.filter(|packet| policy.matches_outbound(packet));
    let near = packet.map(|p| selector(p.source, p.protocol, p.source_port));
    let far = packet.map(|p| selector(p.destination, p.protocol, p.destination_port));
    Payloads { near: with_first(near, &policy.local), far: with_first(far, &policy.remote) }
}

/// The selectors that the rekey of a child SA asks for: the whole policy, and in front of it what
/// the child SA has. A peer that cannot take the whole policy keeps to the first (RFC 7296 §2.9).
pub fn rekey(policy: &ChildSelectors, replaced: &ChildSelectors) -> Payloads {
    let first = |policy: &SelectorSet, replaced: &SelectorSet| {
        let first = replaced.selectors().first().copied().filter(|_| policy != replaced);
        with_first(first.filter(|first| policy.covers_selector(first)), policy)
    };
    Payloads {
        near: first(&policy.local, &replaced.local),
        far: first(&policy.remote, &replaced.remote),
    }
}

/// The selectors that we grant: those of the policy that fits the request best, narrowed to what
/// both ends allow.
pub fn grant<'p>(
    policies: impl IntoIterator<Item = &'p ChildSelectors>,
    near: &TrafficSelectors,
    far: &TrafficSelectors,
) -> Result<Grant, Error> {
    // Selector types that we do not understand are left out of the reply, which is narrowing too.
    let remote: Vec<Selector> = near.selectors().copied().collect();
    let local: Vec<Selector> = far.selectors().copied().collect();
    let choice = choose(&local, &remote, policies).ok_or(Error::from(Incompatible::Selectors))?;
    let (local, remote) = (choice.local.selectors, choice.remote.selectors);
    let answer =
        Payloads { near: remote.iter().copied().collect(), far: local.iter().copied().collect() };
    let selectors =
        ChildSelectors { local: local.into_iter().collect(), remote: remote.into_iter().collect() };
    Ok(Grant { policy: choice.policy, selectors, answer })
}

/// The selectors that we take from the response to our own request, which must be a part of the
/// policy that we asked for: a responder may narrow and never widen.
pub fn take(
    policy: &ChildSelectors,
    near: &TrafficSelectors,
    far: &TrafficSelectors,
) -> Result<ChildSelectors, Error> {
    let set = |ts: &TrafficSelectors| ts.selectors().copied().collect::<SelectorSet>();
    let taken = ChildSelectors { local: set(near), remote: set(far) };
    let is_foreign = near.has_unknown() || far.has_unknown();
    let is_empty = taken.local.is_empty() || taken.remote.is_empty();
    match is_foreign || is_empty || !policy.covers(&taken) {
        true => Err(PeerMisbehaved::SelectorsNotOffered.into()),
        false => Ok(taken),
    }
}

/// The selector of one side of a packet; without a port in the packet, any port.
fn selector(address: IpAddr, protocol: u8, port: Option<u16>) -> Selector {
    let ports = port.map_or(Ports::ANY, Ports::one);
    Selector { addresses: AddressRange::host(address), protocol, ports }
}

/// The set with one selector in front, unless the payload has no room for all.
fn with_first(first: Option<Selector>, set: &SelectorSet) -> TrafficSelectors {
    let first = first.filter(|_| set.selectors().len() < MAX_SELECTORS);
    first.into_iter().chain(set.selectors().iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::codes::TsType;
    use crate::wire::payload::ts::TrafficSelector;
    use crate::wire::reserved::ReservedBits;

    fn set(texts: &[&str]) -> SelectorSet {
        texts.iter().map(|text| text.parse::<Selector>().expect("a selector")).collect()
    }

    fn pair(local: &[&str], remote: &[&str]) -> ChildSelectors {
        ChildSelectors { local: set(local), remote: set(remote) }
    }

    fn ts(texts: &[&str]) -> TrafficSelectors {
        texts.iter().map(|text| text.parse::<Selector>().expect("a selector")).collect()
    }

    fn texts(ts: &TrafficSelectors) -> Vec<String> {
        ts.selectors().map(ToString::to_string).collect()
    }

    const ANY: &[&str] = &["0.0.0.0/0"];

    fn packet() -> Tuple {
        Tuple {
            source: "10.1.0.5".parse().expect("an address"),
            destination: "10.2.0.9".parse().expect("an address"),
            protocol: 6,
            source_port: Some(40000),
            destination_port: Some(443),
        }
    }

    #[test]
    fn we_ask_for_the_policy_with_the_packet_in_front() {
        let policy = pair(&["10.1.0.0/24"], &["10.2.0.0/24", "10.3.0.0/24"]);
        let plain = request(&policy, None);
        assert_eq!(texts(&plain.near), ["10.1.0.0/24"]);
        let asked = request(&policy, Some(&packet()));
        assert_eq!(asked.near.selectors().count(), 2);
        let far = texts(&asked.far);
        assert!(far[0].starts_with("10.2.0.9"), "{far:?}");
        assert_eq!(far[1..], ["10.2.0.0/24", "10.3.0.0/24"]);
        // A packet that the policy does not carry is no reason to ask for it.
        let stray = Tuple { destination: "192.0.2.1".parse().expect("an address"), ..packet() };
        assert_eq!(request(&policy, Some(&stray)), plain);
    }

    #[test]
    fn a_rekey_asks_for_the_policy_with_the_old_selectors_in_front() {
        let policy = pair(&["10.1.0.0/16"], &["10.2.0.0/24", "10.3.0.0/24"]);
        let asked = rekey(&policy, &pair(&["10.1.4.0/24"], &["10.3.0.0/24"]));
        assert_eq!(texts(&asked.near), ["10.1.4.0/24", "10.1.0.0/16"]);
        assert_eq!(texts(&asked.far), ["10.3.0.0/24", "10.2.0.0/24", "10.3.0.0/24"]);
        assert_eq!(rekey(&policy, &policy), request(&policy, None));
        // A responder that allows all of it answers with the policy.
        let granted = grant([&pair(ANY, ANY)], &asked.near, &asked.far).expect("they meet");
        let mirrored =
            ChildSelectors { local: policy.remote.clone(), remote: policy.local.clone() };
        assert_eq!(granted.selectors, mirrored);
        assert_eq!(take(&policy, &granted.answer.near, &granted.answer.far), Ok(policy));
    }

    #[test]
    fn azures_any_to_any_is_narrowed_to_a_narrow_policy_and_taken_whole_by_a_wide_one() {
        let narrow = pair(&["10.1.0.0/24"], &["10.2.0.0/16"]);
        let wide = pair(ANY, ANY);
        let granted = grant([&narrow], &ts(ANY), &ts(ANY)).expect("they meet");
        assert_eq!(granted.selectors, narrow);
        assert_eq!(
            (texts(&granted.answer.near), texts(&granted.answer.far)),
            (vec!["10.2.0.0/16".to_owned()], vec!["10.1.0.0/24".to_owned()],)
        );
        // Of two policies the one that takes it whole.
        let granted = grant([&narrow, &wide], &ts(ANY), &ts(ANY)).expect("they meet");
        assert_eq!((granted.policy, granted.selectors), (1, wide));
    }

    #[test]
    fn several_ranges_of_one_azure_policy_make_one_child() {
        let policy = pair(&["10.1.0.0/24", "10.4.0.0/24"], &["10.2.0.0/16"]);
        let granted = grant([&policy], &ts(&["10.2.0.0/16"]), &ts(&["10.4.0.0/24", "10.1.0.0/24"]));
        let granted = granted.expect("they meet");
        assert_eq!(granted.selectors, policy);
        // In the order of the request.
        assert_eq!(texts(&granted.answer.far), ["10.4.0.0/24", "10.1.0.0/24"]);
    }

    #[test]
    fn what_does_not_meet_is_refused() {
        let policy = pair(&["10.1.0.0/24"], &["10.2.0.0/16"]);
        let unacceptable = Err(Incompatible::Selectors.into());
        assert_eq!(grant([&policy], &ts(&["192.168.0.0/16"]), &ts(ANY)), unacceptable);
        assert_eq!(grant([&policy], &ts(ANY), &ts(&["10.1.1.0/24"])), unacceptable);
        assert_eq!(grant([&policy], &ts(&[]), &ts(ANY)), unacceptable);
        assert_eq!(grant([], &ts(ANY), &ts(ANY)), unacceptable);
        assert_eq!(grant([&policy], &ts(&["::/0"]), &ts(&["::/0"])), unacceptable);
    }

    #[test]
    fn an_answer_may_be_narrower_and_never_wider() {
        let policy = pair(&["10.1.0.0/24"], &["10.2.0.0/16"]);
        let narrower =
            take(&policy, &ts(&["10.1.0.0/25"]), &ts(&["10.2.3.0/24"])).expect("narrower");
        assert_eq!(narrower, pair(&["10.1.0.0/25"], &["10.2.3.0/24"]));
        let label = TrafficSelector::Unknown { kind: TsType::SecLabel, second: 0, body: vec![1] };
        let mut labelled = ts(&["10.1.0.0/24"]);
        labelled.entries.push(label.clone());
        let only_label =
            TrafficSelectors { entries: vec![label], reserved: ReservedBits::default() };
        for (near, far) in [
            (ts(ANY), ts(&["10.2.0.0/16"])),
            (ts(&["10.1.0.0/24"]), ts(ANY)),
            (ts(&[]), ts(&["10.2.0.0/16"])),
            (labelled, ts(&["10.2.0.0/16"])),
            (only_label, ts(&["10.2.0.0/16"])),
        ] {
            let refused = Err(PeerMisbehaved::SelectorsNotOffered.into());
            assert_eq!(take(&policy, &near, &far), refused, "{near:?} {far:?}");
        }
    }

    fn prefixes() -> impl Strategy<Value = SelectorSet> {
        let prefix = (0u32..16, 28u32..=32).prop_map(|(n, length)| {
            let bits = (0x0a00_0000 | n << 1) & (u32::MAX << (32 - length));
            let address = std::net::Ipv4Addr::from_bits(bits);
            format!("{address}/{length}").parse::<Selector>().expect("a selector")
        });
        proptest::collection::vec(prefix, 1..4).prop_map(|all| all.into_iter().collect())
    }

    proptest! {
        /// Whatever both ends' policies are: what one grants the other takes, both keep the same
        /// child (mirrored), it is within both policies, and it is refused only where nothing is
        /// common.
        #[test]
        fn what_is_granted_is_taken(
            a in prefixes(),
            b in prefixes(),
            c in prefixes(),
            d in prefixes(),
        ) {
            let asker = ChildSelectors { local: a, remote: b };
            let granter = ChildSelectors { local: c, remote: d };
            let asked = request(&asker, None);
            let common = !asker.local.intersect(&granter.remote).is_empty()
                && !asker.remote.intersect(&granter.local).is_empty();
            match grant([&granter], &asked.near, &asked.far) {
                Ok(granted) => {
                    let taken = take(&asker, &granted.answer.near, &granted.answer.far);
                    let mirrored = ChildSelectors {
                        local: granted.selectors.remote.clone(),
                        remote: granted.selectors.local.clone(),
                    };
                    prop_assert_eq!(taken, Ok(mirrored));
                    prop_assert!(granter.covers(&granted.selectors));
                    prop_assert!(common);
                }
                Err(_) => prop_assert!(!common),
            }
        }
    }
}
