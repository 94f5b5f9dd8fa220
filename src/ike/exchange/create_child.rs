//! Making a child SA from its request or its response: what IKE_AUTH and CREATE_CHILD_SA (a further
//! child, the rekey of a child) have in common (RFC 7296 §1.2, §1.3.1, §1.3.3).
//!
//! ```text
//! SK {SA(our SPI), Ni, [KEi,] TSi, TSr} ──>
//!                                       <── SK {SA(their SPI), Nr, [KEr,] TSi, TSr}     (§1.3.1)
//! ```
//!
//! The first child has neither nonces nor a key exchange of its own: its keys come from those of
//! IKE_SA_INIT (§1.2, §2.17). A made child is installed by `IkeSa::install`.

use std::rc::Rc;

use super::key_exchange::{draw_nonce, finish_exchange, public_value};
use super::step::Party;
use super::{Exchange, NoncePair};
use crate::crypto::keymat::ChildKeys;
use crate::crypto::{EspSuite, Group, KeyAgreement, SharedSecret};
use crate::ike::endpoint::context::{Apart, Context};
use crate::ike::error::{Busy, Error, Incompatible, PeerMisbehaved};
use crate::ike::ids::Slot;
use crate::ike::negotiation::combination::Combination;
use crate::ike::negotiation::narrow::{self, Grant, Payloads};
use crate::ike::negotiation::proposal::{self, Groups, SelectedProposal};
use crate::ike::sa::IkeSa;
use crate::ike::sa::channel::Channel;
use crate::ike::sa::child::{ChildHalf, ChildLifecycle, ChildSa, FIRST_PACKET, OutState};
use crate::ike::sa::lifetime;
use crate::wire::codes::{NotifyType, PayloadType};
use crate::wire::payload::Payload;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::ke;
use crate::wire::payload::nonce::Nonce;
use crate::wire::payload::notify::Notify;
use crate::wire::selector::narrow::ChildSelectors;
use crate::wire::spi::EspSpi;

/// Our request for a child SA, with what its response is read with.
#[derive(Debug)]
pub(crate) struct NewChildRequest {
    pub(crate) wanted: ChildOffer,
    pub(crate) nonce: Nonce,
    pub(crate) exchange: Option<Box<dyn KeyAgreement>>,
    /// SPIs that the peer deleted meanwhile and that we do not know: the response may be about one
    /// of them.
    pub(crate) withdrawn: Vec<EspSpi>,
}

/// The most withdrawn SPIs that are kept; a peer deletes one child at a time, or all that it has.
const MAX_WITHDRAWN: usize = 16;

/// The part of a request for a child SA that IKE_AUTH has too.
#[derive(Debug)]
pub(crate) struct ChildOffer {
    pub(crate) slot: Slot,
    /// Our reserved inbound SPI.
    pub(crate) spi: EspSpi,
    /// The lines that we offered.
    pub(crate) lines: Vec<Combination>,
    pub(crate) selectors: ChildSelectors,
}

/// What the two ends agreed on; the keys are still missing.
#[derive(Debug)]
struct Agreed {
    slot: Slot,
    suite: EspSuite,
    own_spi: EspSpi,
    peer_spi: EspSpi,
    selectors: ChildSelectors,
    asked_by: Party,
}

/// A child SA that we granted, and the payloads of the reply.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) child: ChildSa,
    pub(crate) answer: Chain,
    pub(crate) nonces: NoncePair,
}

/// The payloads of a request for a child SA. `replaced` are the selectors of the child SA that it
/// replaces. `group` is the group of the KE payload, when the policy has perfect forward secrecy.
pub(crate) fn ask(
    ctx: &mut Context<'_>,
    slot: Slot,
    selectors: ChildSelectors,
    replaced: Option<&ChildSelectors>,
    group: Option<Group>,
) -> Option<(Chain, NewChildRequest)> {
    let config = Rc::clone(&ctx.config);
    let child = config.children.get(ctx.place(slot)?)?;
    // Another child of the peer may have groups that this one does not offer.
    let offered = child.esp.groups();
    let group = group.filter(|group| offered.contains(group)).or(offered.first().copied());
    let nonce = draw_nonce(ctx);
    let exchange = group.map(|group| ctx.provider.start_exchange(group, ctx.rng));
    let spi = ctx.spis.reserve_esp(ctx.peer, ctx.rng);
    let lines = child.esp.offered().to_vec();
    let mut chain = Chain::new();
    chain.push(proposal::offer(&lines, spi, Groups::Negotiated));
    chain.push(nonce.clone());
    if let Some(exchange) = &exchange {
        chain.push(ke::KeyExchange::new(exchange.group().id(), exchange.public_value()));
    }
    push_selectors(
        &mut chain,
        match replaced {
            Some(replaced) => narrow::rekey(&selectors, replaced),
            None => narrow::request(&selectors, None),
        },
    );
    let wanted = ChildOffer { slot, spi, lines, selectors };
    Some((chain, NewChildRequest { wanted, nonce, exchange, withdrawn: Vec::new() }))
}

/// Adds the request for the first child SA to IKE_AUTH, where it has no group of its own (RFC 7296
/// §1.2).
pub(crate) fn ask_first(
    ctx: &mut Context<'_>,
    slot: Slot,
    chain: &mut Chain,
) -> Option<ChildOffer> {
    let config = Rc::clone(&ctx.config);
    let child = config.children.get(ctx.place(slot)?)?;
    let spi = ctx.spis.reserve_esp(ctx.peer, ctx.rng);
    let lines = child.esp.offered().to_vec();
    let selectors = child.selectors.clone();
    chain.push(proposal::offer(&lines, spi, Groups::Omitted));
    push_selectors(chain, narrow::request(&selectors, None));
    Some(ChildOffer { slot, spi, lines, selectors })
}

/// Makes the child SA that we asked for, from the peer's response.
pub(crate) fn take(
    ctx: &mut Context<'_>,
    channel: &Channel,
    asked: NewChildRequest,
    answer: &Chain,
) -> Result<(ChildSa, NoncePair), Error> {
    let agreed = agree(&asked.wanted, Groups::Negotiated, answer)?;
    if asked.withdrawn.contains(&agreed.peer_spi) {
        // The peer made and deleted the child before the response came here: nothing is installed,
        // and the task is tried again.
        return Err(Busy::Refused.into());
    }
    let theirs = answer.nonce().ok_or(PeerMisbehaved::Missing(PayloadType::Nonce))?;
    let shared = match (agreed.suite.group, asked.exchange) {
        (None, _) => None,
        (Some(group), Some(exchange)) if exchange.group() == group => {
            let public = public_value(answer, group)?;
            Some(finish_exchange(exchange, public)?)
        }
        (Some(_), _) => return Err(PeerMisbehaved::AnswerNotOffered.into()),
    };
    let nonces = NoncePair { initiator: asked.nonce, responder: theirs.clone() };
    Ok((make(ctx, channel, agreed, &nonces, shared.as_ref()), nonces))
}

/// Makes the first child from the peer's IKE_AUTH answer.
pub(crate) fn take_first(
    ctx: &mut Context<'_>,
    channel: &Channel,
    wanted: &ChildOffer,
    nonces: &NoncePair,
    answer: &Chain,
) -> Result<ChildSa, Error> {
    let agreed = agree(wanted, Groups::Omitted, answer)?;
    Ok(make(ctx, channel, agreed, nonces, None))
}

/// Makes the child SA that the peer asks for. `only` restricts a rekey to the slot of the old
/// child.
pub(crate) fn grant(
    ctx: &mut Context<'_>,
    channel: &Channel,
    request: &Chain,
    only: Option<Slot>,
) -> Result<Granted, Error> {
    let (slot, granted, leaves_others) = grant_selectors(ctx, request, only)?;
    let choice = choose(ctx, slot, request, Groups::Negotiated)?;
    let (suite, peer_spi) = (choice.esp_suite()?, choice.esp_spi()?);
    let theirs = request.nonce().ok_or(PeerMisbehaved::Missing(PayloadType::Nonce))?.clone();
    let exchange = match suite.group {
        None => None,
        Some(group) => {
            let public = public_value(request, group)?;
            let exchange = ctx.provider.start_exchange(group, ctx.rng);
            let own = exchange.public_value().to_vec();
            Some((group, own, finish_exchange(exchange, public)?))
        }
    };
    let ours = draw_nonce(ctx);
    let own_spi = ctx.spis.reserve_esp(ctx.peer, ctx.rng);
    let mut answer = Chain::new();
    answer.push(choice.answer(own_spi));
    answer.push(ours.clone());
    if let Some((group, public, _)) = &exchange {
        answer.push(ke::KeyExchange::new(group.id(), public.as_slice()));
    }
    push_selectors(&mut answer, granted.answer);
    if leaves_others {
        answer.push(Notify::new(NotifyType::AdditionalTsPossible));
    }
    let nonces = NoncePair { initiator: theirs, responder: ours };
    let selectors = granted.selectors;
    let agreed = Agreed { slot, suite, own_spi, peer_spi, selectors, asked_by: Party::Peer };
    let shared = exchange.as_ref().map(|(_, _, shared)| shared);
    let child = make(ctx, channel, agreed, &nonces, shared);
    Ok(Granted { child, answer, nonces })
}

/// Makes the first child SA, which the peer asks for in IKE_AUTH, and adds the reply to `chain`.
pub(crate) fn grant_first(
    ctx: &mut Context<'_>,
    channel: &Channel,
    request: &Chain,
    nonces: &NoncePair,
    chain: &mut Chain,
) -> Result<ChildSa, Error> {
    let (slot, granted, leaves_others) = grant_selectors(ctx, request, None)?;
    let choice = choose(ctx, slot, request, Groups::Omitted)?;
    let (suite, peer_spi) = (choice.esp_suite()?, choice.esp_spi()?);
    let own_spi = ctx.spis.reserve_esp(ctx.peer, ctx.rng);
    chain.push(choice.answer(own_spi));
    push_selectors(chain, granted.answer);
    if leaves_others {
        chain.push(Notify::new(NotifyType::AdditionalTsPossible));
    }
    let selectors = granted.selectors;
    let agreed = Agreed { slot, suite, own_spi, peer_spi, selectors, asked_by: Party::Peer };
    let mut child = make(ctx, channel, agreed, nonces, None);
    // The peer has just proved itself and may have lost all its other children: it is sent to on
    // this one at once, without waiting for its first packet.
    (child.may_send, child.send_at) = (true, None);
    Ok(child)
}

/// Notes when the peer granted a part of what was asked for, and takes the rest in other child SAs.
pub(crate) fn note_others(ctx: &mut Context<'_>, child: &ChildSa, answer: &Chain) {
    let says_so = answer.notifies().any(|n| n.kind == NotifyType::AdditionalTsPossible);
    let policy = ctx.child_config(child.slot).map(|config| &config.selectors);
    if says_so && policy.is_some_and(|policy| !child.selectors.covers(policy)) {
        let granted = Some(child.selectors.clone());
        ctx.apart.push(Apart { slot: child.slot, granted });
    }
}

/// Whether the peer refused a new child of the slot because it takes one pair of ranges in each,
/// and the policy has several. That is no refusal: the pairs are asked for one by one.
pub(crate) fn wants_pairs_apart(ctx: &mut Context<'_>, slot: Slot, error: Error) -> bool {
    let single = Error::from(Incompatible::Refused(NotifyType::SinglePairRequired));
    let wants = error == single && ctx.has_several_pairs(slot);
    if wants {
        ctx.apart.push(Apart { slot, granted: None });
    }
    wants
}

/// Adds the two TS payloads of a message.
pub(crate) fn push_selectors(chain: &mut Chain, payloads: Payloads) {
    chain.push(Payload::TsInitiator(payloads.near));
    chain.push(Payload::TsResponder(payloads.far));
}

/// Notes that the peer deletes a child SA that we do not know: the response that tells of the child
/// may still be on its way.
pub(crate) fn note_withdrawn(sa: &mut IkeSa, spi: EspSpi) {
    let asked = match sa.flight.as_mut().map(|flight| &mut flight.exchange) {
        Some(Exchange::NewChild(asked)) => asked,
        Some(Exchange::RekeyChild(asked)) => &mut asked.new,
        _ => return,
    };
    if asked.withdrawn.len() < MAX_WITHDRAWN {
        asked.withdrawn.push(spi);
    }
}

/// Whether a request of ours for a child SA is in flight.
pub(crate) fn is_asking(sa: &IkeSa) -> bool {
    let exchange = sa.flight.as_ref().map(|flight| &flight.exchange);
    matches!(exchange, Some(Exchange::NewChild(_) | Exchange::RekeyChild(_)))
}

/// Reads from the peer's response what the two ends agreed on.
fn agree(wanted: &ChildOffer, groups: Groups, answer: &Chain) -> Result<Agreed, Error> {
    let sa = answer.sa().ok_or(PeerMisbehaved::Missing(PayloadType::Sa))?;
    let choice = proposal::read_answer(&wanted.lines, sa, groups)?;
    let (suite, peer_spi) = (choice.esp_suite()?, choice.esp_spi()?);
    let near = answer.ts_initiator().ok_or(PeerMisbehaved::Missing(PayloadType::TsInitiator))?;
    let far = answer.ts_responder().ok_or(PeerMisbehaved::Missing(PayloadType::TsResponder))?;
    let selectors = narrow::take(&wanted.selectors, near, far)?;
    let ChildOffer { slot, spi, .. } = *wanted;
    Ok(Agreed { slot, suite, own_spi: spi, peer_spi, selectors, asked_by: Party::We })
}

/// Chooses the line of a slot's policy that fits the peer's offer.
fn choose(
    ctx: &Context<'_>,
    slot: Slot,
    request: &Chain,
    groups: Groups,
) -> Result<SelectedProposal, Error> {
    let sa = request.sa().ok_or(PeerMisbehaved::Missing(PayloadType::Sa))?;
    let child = ctx.child_config(slot).ok_or(Error::from(Incompatible::Selectors))?;
    if groups == Groups::Negotiated {
        ctx.config.behaviour.takes_child_request(sa, request.key_exchange().is_some())?;
    }
    proposal::choose(child.esp.accepted(), sa, groups)
}

/// Chooses the slot that fits the peer's traffic selectors, and narrows the selectors to its
/// policy. Returns too whether the answer says that others are possible.
fn grant_selectors(
    ctx: &Context<'_>,
    request: &Chain,
    only: Option<Slot>,
) -> Result<(Slot, Grant, bool), Error> {
    let near = request.ts_initiator().ok_or(PeerMisbehaved::Missing(PayloadType::TsInitiator))?;
    let far = request.ts_responder().ok_or(PeerMisbehaved::Missing(PayloadType::TsResponder))?;
    let slots = ctx.slots.iter().copied().zip(&ctx.config.children);
    let (slots, policies): (Vec<Slot>, Vec<&ChildSelectors>) = slots
        .filter(|(slot, _)| only.is_none_or(|only| only == *slot))
        .map(|(slot, child)| (slot, &child.selectors))
        .unzip();
    let mut grant = narrow::grant(policies, near, far)?;
    let slot = slots.get(grant.policy).copied().ok_or(Error::from(Incompatible::Selectors))?;
    let leaves_others = ctx.config.behaviour.grants_one_pair(near, far, &mut grant)?;
    Ok((slot, grant, leaves_others))
}

/// Derives the keys and makes the child SA; nothing is installed yet.
fn make(
    ctx: &mut Context<'_>,
    channel: &Channel,
    agreed: Agreed,
    nonces: &NoncePair,
    shared: Option<&SharedSecret>,
) -> ChildSa {
    let Agreed { slot, suite, own_spi, peer_spi, selectors, asked_by } = agreed;
    let keys = ChildKeys::derive(
        ctx.provider,
        channel.suite.prf,
        &channel.keys.d,
        &suite,
        nonces.view(),
        shared,
    );
    // The keys are named by the sender's role in this exchange (RFC 7296 §2.17).
    let (theirs, ours) = match asked_by {
        Party::We => (keys.responder, keys.initiator),
        Party::Peer => (keys.initiator, keys.responder),
    };
    let (time, bytes) =
        ctx.child_config(slot).map_or((lifetime::CHILD_TIME, lifetime::CHILD_BYTES), |c| {
            (c.lifetime_time, c.lifetime_bytes)
        });
    let lifetime = ctx.config.behaviour.child_lifetime(time, bytes, suite.esn);
    let limits = lifetime.draw(ctx.now.mono, ctx.rng);
    ChildSa {
        id: ctx.name_child(),
        slot,
        suite,
        selectors,
        inbound: ChildHalf { spi: own_spi, keys: theirs },
        outbound: ChildHalf { spi: peer_spi, keys: ours },
        made_by: asked_by,
        made_at: ctx.now.mono,
        heard_at: None,
        may_send: asked_by == Party::We,
        send_at: (asked_by == Party::Peer).then(|| ctx.now.mono + FIRST_PACKET),
        out: OutState::Registered,
        lifecycle: ChildLifecycle::Live,
        rekey_at: Some(limits.time.soft),
        expire_at: limits.time.hard,
        limits,
    }
}

/// Frees the SPI that a request had reserved.
pub(crate) fn abandon(ctx: &mut Context<'_>, wanted: &ChildOffer) {
    ctx.spis.release_esp(wanted.spi);
}
