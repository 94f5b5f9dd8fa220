//! IKE_SA_INIT as a question: would you speak with us, and how? Nothing is kept here, and no key is
//! ever made.
//!
//! ```text
//! [N(COOKIE)], SA, KE, Ni, N(NAT_DETECTION x2), N(FRAGMENTATION), [V(padding)] ──>
//!                       <── SA, KE, Nr, N(NAT_DETECTION x2), [N(FRAGMENTATION)], [CERTREQ]     Accepted
//!                       <── N(COOKIE)                                                          Cookie: ask again
//!                       <── N(INVALID_KE_PAYLOAD, group)                                       Group
//!                       <── N(NO_PROPOSAL_CHOSEN) or another error                             Refused
//! ```
//!
//! A value of a group that no proposal names makes an answer that commits the peer to nothing: a
//! peer that would take one of the proposals says INVALID_KE_PAYLOAD (RFC 7296 §1.2) and keeps no
//! half-open IKE SA. So a gateway can be asked often.

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

/// In no policy of Azure's: a value of it never fits what is offered.
pub const STRANGE: Group = Group::Curve25519;
/// Bytes of a nonce: half the key of any PRF (RFC 7296 §2.10).
const NONCE: usize = 32;
/// A payload's generic header.
const GENERIC: usize = 4;

/// What is asked.
#[derive(Clone, Debug)]
pub struct IkeProbe<'a> {
    /// What we offer.
    pub offer: &'a SecurityAssociation,
    /// Of which group the public value is.
    pub group: Group,
    /// The cookie that the peer wants to see; empty when it wants none.
    pub cookie: &'a [u8],
    /// The length to fill the message up to, where it is to be long.
    pub length: usize,
}

/// A request that is out.
#[derive(Clone, Debug)]
pub struct PendingProbe {
    /// Ours.
    pub spi: IkeSpi,
    /// Where it goes.
    pub path: Path,
    /// The message.
    pub bytes: Vec<u8>,
}

/// What came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IkeProbeAnswer {
    /// The peer would go on.
    Accepted(Box<Acceptance>),
    /// The peer wants to see this cookie first.
    Cookie(Vec<u8>),
    /// The peer takes a proposal, with a value of this group.
    Group(KeId),
    /// The peer refuses.
    Refused(NotifyType),
}

/// What a peer says of itself when it accepts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Acceptance {
    /// The proposal that it takes.
    pub chosen: SecurityAssociation,
    /// Whether addresses are translated on the way.
    pub nat: Nat,
    /// Whether it takes IKE messages in fragments (RFC 7383).
    pub fragments: bool,
    /// The authorities that it names in CERTREQ, 20 octets each.
    pub authorities: Vec<u8>,
}

impl IkeProbe<'_> {
    /// The request along a path.
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
            // A vendor ID that nobody knows is passed over by everybody (RFC 7296 §3.12).
            chain.push(VendorId { data: vec![0; padding] });
        }
        let bytes =
            encode(&chain).expect("an offer and a padding below 64 KiB fit their length fields");
        PendingProbe { spi, path, bytes }
    }
}

impl PendingProbe {
    /// What a datagram says to this request; `None` when it does not belong to it.
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
        let knock = IkeProbe { offer: &offer, group: STRANGE, cookie: &[], length };
        knock.request(&Standard::default(), &mut SystemRng::default(), path())
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
