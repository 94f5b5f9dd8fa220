//! Rekeying the IKE SA (RFC 7296 §1.3.2, §2.8, §2.18).
//!
//! ```text
//! SK {SA(our new SPI), Ni, KEi} ──>
//!                               <── SK {SA(their new SPI), Nr, KEr}
//! old SA: SK {D} ──>
//!                <── SK {}
//! ```
//!
//! The successor inherits the children at once. Its message IDs start at 0, and the end that asked
//! for the rekey is its original initiator. Azure rekeys at 95 % of 28,800 seconds and offers the
//! current suite alone (seen in libreswan issue 765); s2sd offers the current suite alone too,
//! unless the configuration has changed and has it no longer. When both ends rekey at once
//! (simultaneous rekey), [`super::collision`] decides which successor stays.

use super::collision::{self, Creation};
use super::key_exchange::{draw_nonce, finish_exchange, public_value};
use super::step::Party;
use super::{Crossing, Exchange, NoncePair};
use crate::crypto::keymat::SkeySeed;
use crate::crypto::{Group, IkeSuite, KeyAgreement, SharedSecret};
use crate::ike::endpoint::context::Context;
use crate::ike::error::{Busy, Error, Local, PeerMisbehaved};
use crate::ike::negotiation::combination::Combination;
use crate::ike::negotiation::proposal::{self, Groups};
use crate::ike::sa::channel::{Channel, Parties};
use crate::ike::sa::task::TaskKind;
use crate::ike::sa::{IkeLifecycle, IkeSa, LINGER, NewIkeSa, SaEffect};
use crate::wire::codes::PayloadType;
use crate::wire::header::MessageId;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::ke;
use crate::wire::payload::nonce::Nonce;
use crate::wire::spi::IkeSpi;

/// Our request for a successor, with what its response is read with.
#[derive(Debug)]
pub(crate) struct RekeyIkeRequest {
    /// Our reserved SPI of the successor.
    pub(crate) spi: IkeSpi,
    pub(crate) nonce: Nonce,
    /// `None` when a restart has lost the private value: then the response is of no use.
    pub(crate) exchange: Option<Box<dyn KeyAgreement>>,
    /// The lines that we offered.
    pub(crate) lines: Vec<Combination>,
    pub(crate) rival: Crossing<IkeSpi>,
}

/// Requests a successor with the current suite, in another group only when the peer asked for one.
/// When the policy has the suite no longer, the whole policy is offered; a peer that takes nothing
/// of it is dialled anew (`Fate::Renew`).
pub(crate) fn ask(ctx: &mut Context<'_>, sa: &mut IkeSa, wanted: Option<Group>) {
    let current = sa.channel.suite;
    let suite = IkeSuite { group: wanted.unwrap_or(current.group), ..current };
    let policy = &ctx.config.ike;
    let line = Combination::from(suite);
    let keeps = policy.accepted().contains(&line) || policy.offered().contains(&line);
    let (lines, group) = match policy.groups().first() {
        Some(first) if !keeps => (policy.offered().to_vec(), wanted.unwrap_or(*first)),
        _ => (vec![line], suite.group),
    };
    let spi = ctx.spis.reserve_ike(ctx.peer, ctx.rng);
    let nonce = draw_nonce(ctx);
    let exchange = ctx.provider.start_exchange(group, ctx.rng);
    let mut chain = Chain::new();
    chain.push(proposal::offer(&lines, spi, Groups::Negotiated));
    chain.push(nonce.clone());
    chain.push(ke::KeyExchange::new(group.id(), exchange.public_value()));
    let asked =
        RekeyIkeRequest { spi, nonce, exchange: Some(exchange), lines, rival: Crossing::None };
    sa.ask(ctx, TaskKind::RekeyIke(wanted), Exchange::RekeyIke(asked), &chain);
}

/// Handles the peer's grant: makes our successor and decides whether it or the peer's rival stays.
pub(crate) fn granted(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    asked: RekeyIkeRequest,
    answer: &Chain,
) -> Result<SaEffect, Error> {
    let RekeyIkeRequest { spi, nonce, exchange, lines, rival } = asked;
    let payload = answer.sa().ok_or(PeerMisbehaved::Missing(PayloadType::Sa))?;
    let choice = proposal::read_answer(&lines, payload, Groups::Negotiated)?;
    let suite = choice.ike_suite()?;
    let theirs = answer.nonce().ok_or(PeerMisbehaved::Missing(PayloadType::Nonce))?.clone();
    let exchange = exchange.ok_or(Error::from(Local::Crypto))?;
    if exchange.group() != suite.group {
        return Err(PeerMisbehaved::AnswerNotOffered.into());
    }
    let public = public_value(answer, suite.group)?;
    let shared = finish_exchange(exchange, public)?;
    let nonces = NoncePair { initiator: nonce, responder: theirs };
    let parties = Parties {
        own: spi,
        peer: choice.ike_spi()?,
        made_by: Party::We,
        fragments: sa.channel.fragments,
    };
    let successor = successor(ctx, sa, parties, suite, &nonces, &shared)?;
    match (collision::successor(nonces.view(), rival.rival()), rival) {
        (Party::Peer, Crossing::Standing(to, _)) => {
            replaced(ctx, sa);
            Ok(SaEffect::Yield(Box::new(successor), to))
        }
        _ => Ok(SaEffect::Succeed(Box::new(successor))),
    }
}

/// Answers the peer's request for a successor.
pub(crate) fn answer(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    request: &Chain,
) -> Result<(Chain, SaEffect), Error> {
    let creation = collision::on_rekey_ike(sa.activity());
    if matches!(creation, Creation::NotNow | Creation::NotFound) {
        return Err(Busy::Crossing.into());
    }
    let payload = request.sa().ok_or(PeerMisbehaved::Missing(PayloadType::Sa))?;
    let choice = proposal::choose(ctx.config.ike.accepted(), payload, Groups::Negotiated)?;
    let suite = choice.ike_suite()?;
    let peer = choice.ike_spi()?;
    let theirs = request.nonce().ok_or(PeerMisbehaved::Missing(PayloadType::Nonce))?.clone();
    let public = public_value(request, suite.group)?;
    let exchange = ctx.provider.start_exchange(suite.group, ctx.rng);
    let own_public = exchange.public_value().to_vec();
    let shared = finish_exchange(exchange, public)?;
    let nonces = NoncePair { initiator: theirs, responder: draw_nonce(ctx) };
    let own = ctx.spis.reserve_ike(ctx.peer, ctx.rng);
    let parties = Parties { own, peer, made_by: Party::Peer, fragments: sa.channel.fragments };
    let mut chain = Chain::new();
    chain.push(choice.answer(own));
    chain.push(nonces.responder.clone());
    chain.push(ke::KeyExchange::new(suite.group.id(), own_public));
    let mut successor = successor(ctx, sa, parties, suite, &nonces, &shared)?;
    match (creation, sa.flight.as_mut().map(|flight| &mut flight.exchange)) {
        (Creation::Rival, Some(Exchange::RekeyIke(asked))) => {
            asked.rival = Crossing::Standing(own, nonces);
            successor.lifecycle = IkeLifecycle::Rival { overdue: ctx.mono() + LINGER };
            Ok((chain, SaEffect::Keep(Box::new(successor))))
        }
        _ => {
            replaced(ctx, sa);
            Ok((chain, SaEffect::Succeed(Box::new(successor))))
        }
    }
}

/// Drops our request, which the peer refused or has made pointless by deleting the IKE SA. The
/// peer's own successor takes over, if the peer made one.
pub(crate) fn forget(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    asked: &RekeyIkeRequest,
) -> Option<SaEffect> {
    ctx.spis.release_ike(asked.spi);
    match asked.rival {
        Crossing::Standing(to, _) => {
            replaced(ctx, sa);
            Some(SaEffect::Promote(to))
        }
        Crossing::None | Crossing::Withdrawn => None,
    }
}

/// Marks an IKE SA that the peer has rekeyed and is to delete.
fn replaced(ctx: &mut Context<'_>, sa: &mut IkeSa) {
    if sa.is_live() {
        sa.lifecycle = IkeLifecycle::Replaced { overdue: ctx.mono() + LINGER };
    }
}

/// Makes the successor of `old`, still without its children.
fn successor(
    ctx: &mut Context<'_>,
    old: &IkeSa,
    parties: Parties,
    suite: IkeSuite,
    nonces: &NoncePair,
    shared: &SharedSecret,
) -> Result<IkeSa, Error> {
    let view = nonces.view();
    let old_prf = old.channel.suite.prf;
    let seed = SkeySeed::of_rekeyed(ctx.provider, old_prf, &old.channel.keys.d, view, shared);
    let keys = parties.keys(ctx.provider, &suite, &seed, view);
    let channel = Channel::new(ctx.provider, ctx.rng, parties, suite, keys)
        .map_err(|_| Error::from(Local::Crypto))?;
    let new = NewIkeSa {
        channel,
        origin: old.origin.clone(),
        proven: old.proven.clone(),
        path: old.path,
        nat: old.nat,
        encapsulated: old.encapsulated,
        first_request: MessageId(0),
        first_reply: MessageId(0),
        sent_at: old.sent_at,
        reauth_at: old.reauth_at,
    };
    let mut sa = IkeSa::new(ctx, new);
    (sa.presented, sa.proof_ends_at) = (old.presented.clone(), old.proof_ends_at);
    Ok(sa)
}
