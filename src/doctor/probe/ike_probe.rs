//! The IKE_SA_INIT request of a probe and the meaning of its response. A probe keeps no state and
//! derives no keys.
//!
//! ```text
//! [N(COOKIE)], SA, KE, Ni, N(NAT_DETECTION x2), N(FRAGMENTATION), [V(padding)] ──>
//!     <── SA, KE, Nr, N(NAT_DETECTION x2), [N(FRAGMENTATION)], [CERTREQ]     Accepted
//!     <── N(COOKIE)                                                        Cookie: send again
//!     <── N(INVALID_KE_PAYLOAD, group)                                       Group
//!     <── N(NO_PROPOSAL_CHOSEN) or another error                             Refused
//! ```
//!
//! A stateless probe carries a KE payload of a group that no proposal names. A peer that would
//! accept one of the proposals answers INVALID_KE_PAYLOAD (RFC 7296 §1.2) and keeps no half-open
//! IKE SA, so many such probes can be sent to a gateway.

use crate::crypto::{Group, Provider};
use crate::ike::negotiation::nat_detection::{self, Nat};
use crate::ike::path::Path;
use crate::rng::Rng;
use crate::wire::codes::{ExchangeType, KeId, NotifyType};
use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::ke::KeyExchange;
use crate::wire::payload::nonce::Nonce;
use crate::wire::payload::notify::Notify;
use crate::wire::payload::sa::SecurityAssociation;
use crate::wire::payload::vendor::VendorId;
use crate::wire::spi::IkeSpi;

/// The group of a stateless probe's KE payload: no Azure policy has it, so no proposal names it.
pub const UNOFFERED_GROUP: Group = Group::Curve25519;
/// The octets of a nonce: at least half the key size of any PRF (RFC 7296 §2.10).
const NONCE: usize = 32;
/// The octets of a payload's generic header.
const GENERIC: usize = 4;

/// The content of a probe.
#[derive(Clone, Debug)]
pub struct IkeProbe<'a> {
    /// The proposals to offer.
    pub offer: &'a SecurityAssociation,
    /// The group of the public value in the KE payload.
    pub group: Group,
    /// The cookie that the peer asked for; empty when the peer asked for none (RFC 7296 §2.6).
    pub cookie: &'a [u8],
    /// The length that padding brings the message to; 0 adds no padding.
    pub length: usize,
}

/// A request that was sent and waits for its response.
#[derive(Clone, Debug)]
pub struct PendingProbe {
    /// The initiator SPI of the request.
    pub spi: IkeSpi,
    /// The addresses and ports of the request.
    pub path: Path,
    /// The encoded message.
    pub bytes: Vec<u8>,
}

/// The meaning of a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IkeProbeAnswer {
    /// The peer accepts a proposal.
    Accepted(Box<Acceptance>),
    /// The peer requires this cookie in the request (RFC 7296 §2.6).
    Cookie(Vec<u8>),
    /// The peer accepts a proposal, but requires a public value of this group.
    Group(KeId),
    /// The peer refuses with this error notify.
    Refused(NotifyType),
}

/// What the response of a peer that accepts says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acceptance {
    /// The proposal that the peer chose.
    pub chosen: SecurityAssociation,
    /// The result of NAT detection (RFC 7296 §2.23).
    pub nat: Nat,
    /// Whether the peer supports IKE fragmentation (RFC 7383).
    pub fragments: bool,
    /// The authorities that the peer names in its CERTREQ payloads, 20 octets each.
    pub authorities: Vec<u8>,
}

impl IkeProbe<'_> {
    /// The encoded request for this path.
    pub fn request(&self, provider: &dyn Provider, rng: &mut dyn Rng, path: Path) -> PendingProbe {
        let spi = IkeSpi(rng.next_u64().max(1));
        let mut nonce = vec![0; NONCE];
        rng.fill(&mut nonce);
        let exchange = provider.start_exchange(self.group, rng);
        let mut chain = Chain::new();
        if !self.cookie.is_empty() {
            chain.push(Notify::cookie(self.cookie));
        }
        chain.push(self.offer.clone());
        chain.push(KeyExchange::new(self.group.id(), exchange.public_value()));
        chain.push(Nonce::new(nonce).expect("32 octets are a nonce"));
        for notify in nat_detection::notifies(provider, (spi, IkeSpi::ZERO), path, false) {
            chain.push(notify);
        }
        chain.push(Notify::new(NotifyType::FragmentationSupported));
        let header = Header {
            initiator_spi: spi,
            responder_spi: IkeSpi::ZERO,
            version: IkeVersion::V2,
            exchange: ExchangeType::IkeSaInit,
            flags: Flags::INITIATOR,
            message_id: MessageId(0),
        };
        let encode = |chain: &Chain| Message::clear(header, chain.clone()).encode();
        let plain = encode(&chain).map_or(0, |bytes| bytes.len());
        if let Some(padding) = self.length.checked_sub(plain + GENERIC).filter(|room| *room > 0) {
            // Every peer ignores a vendor ID that it does not know (RFC 7296 §3.12).
            chain.push(VendorId { data: vec![0; padding] });
        }
        let bytes =
            encode(&chain).expect("an offer and a padding below 64 KiB fit their length fields");
        PendingProbe { spi, path, bytes }
    }
}

impl PendingProbe {
    /// The answer in a datagram; `None` when the datagram is no response to this request.
    pub fn read(&self, provider: &dyn Provider, datagram: &[u8]) -> Option<IkeProbeAnswer> {
        let Message { header, chain, sealed: None } = Message::decode(datagram).ok()? else {
            return None;
        };
        let belongs = header.is_response()
            && header.exchange == ExchangeType::IkeSaInit
            && header.initiator_spi == self.spi;
        if !belongs {
            return None;
        }
        if let Some(chosen) = chain.sa() {
            return Some(IkeProbeAnswer::Accepted(Box::new(Acceptance {
                chosen: chosen.clone(),
                nat: nat_detection::detect(provider, &chain, header, self.path),
                fragments: chain.notify(NotifyType::FragmentationSupported).is_some(),
                authorities: chain
                    .certificate_requests()
                    .flat_map(|request| request.authorities().as_flattened())
                    .copied()
                    .collect(),
            })));
        }
        chain.notifies().find_map(|notify| match notify.kind {
            NotifyType::Cookie => notify.cookie_data().map(|c| IkeProbeAnswer::Cookie(c.to_vec())),
            NotifyType::InvalidKePayload => notify.invalid_ke_group().map(IkeProbeAnswer::Group),
            kind => kind.is_error().then_some(IkeProbeAnswer::Refused(kind)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Standard;
    use crate::ike::diagnosis::azure_names::DEFAULT_IKE;
    use crate::ike::negotiation::proposal::{Groups, offer};
    use crate::ike::path::Port;
    use crate::sys::random::SystemRng;
    use crate::wire::spi::Spi;

    fn path() -> Path {
        Path::new("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap(), Port::Ike)
    }

    fn ask(length: usize) -> PendingProbe {
        let offer = offer(&DEFAULT_IKE, Spi::None, Groups::Negotiated);
        let probe = IkeProbe { offer: &offer, group: UNOFFERED_GROUP, cookie: &[], length };
        probe.request(&Standard::default(), &mut SystemRng::default(), path())
    }

    fn answer(request: &PendingProbe, payloads: Chain) -> Option<IkeProbeAnswer> {
        let asked = Message::decode(&request.bytes).unwrap().header;
        let header = Header { flags: Flags::RESPONSE, ..asked };
        let bytes = Message::clear(header, payloads).encode().unwrap();
        request.read(&Standard::default(), &bytes)
    }

    fn one(notify: Notify) -> Chain {
        [notify.into()].into_iter().collect()
    }

    #[test]
    fn a_request_is_as_long_as_it_is_wanted() {
        let plain = ask(0).bytes.len();
        assert!((300..600).contains(&plain), "{plain}");
        for length in [plain + 5, 1252, 1472] {
            let long = ask(length);
            assert_eq!(long.bytes.len(), length);
            assert_eq!(Message::decode(&long.bytes).unwrap().chain.vendor_ids().count(), 1);
        }
        assert_eq!(ask(plain).bytes.len(), plain, "what is long enough is not padded");
    }

    #[test]
    fn each_answer_is_told_from_the_others() {
        let request = ask(0);
        for (notify, expected) in [
            (Notify::cookie(b"crumbs"), Some(IkeProbeAnswer::Cookie(b"crumbs".to_vec()))),
            (Notify::invalid_ke(KeId::Ecp384), Some(IkeProbeAnswer::Group(KeId::Ecp384))),
            (
                Notify::new(NotifyType::NoProposalChosen),
                Some(IkeProbeAnswer::Refused(NotifyType::NoProposalChosen)),
            ),
            (Notify::new(NotifyType::FragmentationSupported), None),
        ] {
            assert_eq!(answer(&request, one(notify)), expected);
        }
        let mut chain = Chain::new();
        chain.push(offer(&DEFAULT_IKE[..1], Spi::None, Groups::Negotiated));
        chain.push(Notify::new(NotifyType::FragmentationSupported));
        let Some(IkeProbeAnswer::Accepted(accepted)) = answer(&request, chain) else {
            panic!("accepted")
        };
        assert!(accepted.fragments && !accepted.nat.understood);
        assert_eq!(accepted.chosen.proposals.len(), 1);
    }

    #[test]
    fn what_is_for_another_request_is_none_of_ours() {
        let (request, other) = (ask(0), ask(0));
        let notify = || one(Notify::new(NotifyType::NoProposalChosen));
        let asked = Message::decode(&other.bytes).unwrap().header;
        let bytes = |flags| Message::clear(Header { flags, ..asked }, notify()).encode().unwrap();
        assert_eq!(request.read(&Standard::default(), &bytes(Flags::RESPONSE)), None);
        assert_eq!(other.read(&Standard::default(), &bytes(Flags::INITIATOR)), None, "no response");
        assert_eq!(other.read(&Standard::default(), b"noise"), None);
    }
}
