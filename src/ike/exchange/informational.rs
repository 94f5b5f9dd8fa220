//! INFORMATIONAL: the Deletes of child SAs and of the IKE SA, and the empty request that asks for a
//! sign of life (dead peer detection, [`crate::ike::sa::dpd`]) (RFC 7296 §1.4).
//!
//! ```text
//! probe        SK {} ──>
//!                                         <── SK {}
//! child SAs    SK {D(our inbound SPIs)} ──>
//!                                         <── SK {D(the peer's inbound SPIs)}
//! IKE SA       SK {[N,] D(IKE)} ──>
//!                                         <── SK {}
//! ```
//!
//! The Delete of a child names the sender's inbound SPIs, and the response the other halves
//! (§1.4.1). The Delete of an IKE SA ends all its children too. An authentic response ends each of
//! these exchanges, whatever the response says.

use std::time::Duration;

use super::Exchange;
use super::collision::{self, Closure, Deletion};
use super::create_child;
use super::rekey_child;
use super::rekey_ike;
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::Cause;
use crate::ike::error::{AuthFailed, Error};
use crate::ike::ids::ChildId;
use crate::ike::sa::task::TaskKind;
use crate::ike::sa::{IkeLifecycle, IkeSa, SaEffect};
use crate::wire::codes::{NotifyType, ProtocolId};
use crate::wire::payload::chain::Chain;
use crate::wire::payload::delete::Delete;
use crate::wire::payload::notify::Notify;
use crate::wire::spi::EspSpi;

/// The age from which on the peer is believed that it does not have a child.
const SETTLED: Duration = Duration::from_secs(10);

/// Sends a probe: an empty request that asks for a sign of life.
pub(crate) fn probe(ctx: &mut Context<'_>, sa: &mut IkeSa) {
    sa.ask(ctx, TaskKind::Probe, Exchange::Probe, &Chain::new());
}

/// Tells the peer that its ESP packets with this SPI reach no SA (RFC 7296 §1.5). The message is a
/// probe too: it is answered.
pub(crate) fn tell_invalid_spi(ctx: &mut Context<'_>, sa: &mut IkeSa, spi: EspSpi) {
    let mut chain = Chain::new();
    chain.push(Notify::invalid_spi(spi));
    sa.ask(ctx, TaskKind::Probe, Exchange::Probe, &chain);
}

/// Sends the Delete of child SAs, by our inbound SPIs; `spis` are of children that are gone here
/// already.
pub(crate) fn delete_children(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    kind: TaskKind,
    children: Vec<ChildId>,
    mut spis: Vec<EspSpi>,
) {
    spis.extend(children.iter().filter_map(|id| sa.child(*id)).map(|child| child.inbound.spi));
    if spis.is_empty() {
        return;
    }
    let mut chain = Chain::new();
    chain.push(Delete::esp(spis));
    sa.ask(ctx, kind, Exchange::CloseChildren(children), &chain);
}

/// Sends the Delete of the IKE SA, with a notify that says why, if there is one.
pub(crate) fn delete_ike(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    cause: Cause,
    notify: Option<NotifyType>,
) {
    let mut chain = Chain::new();
    if let Some(kind) = notify {
        chain.push(Notify::new(kind));
    }
    chain.push(Delete::ike_sa());
    sa.ask(ctx, TaskKind::CloseIke(cause, notify), Exchange::CloseIke, &chain);
}

/// Answers an INFORMATIONAL request of the peer. `others` are the peer's other IKE SAs.
pub(crate) fn answer(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    others: &mut [IkeSa],
    request: &Chain,
) -> Result<(Chain, Vec<SaEffect>), Error> {
    if let Some(fatal) = request.notifies().find_map(|notify| fatal(notify.kind)) {
        return Err(fatal);
    }
    if request.deletes().any(|delete| delete.protocol == ProtocolId::Ike) {
        return Ok((Chain::new(), deleted(ctx, sa)));
    }
    for span in request.notifies().filter_map(Notify::auth_lifetime_span) {
        sa.authenticate_within(ctx, span);
    }
    let mut gone = Vec::new();
    for spi in request.deletes().flat_map(Delete::esp_spis) {
        // The peer's inbound SPI is our outbound one.
        let Some((holder, id)) = holder_of(sa, others, spi) else {
            create_child::note_withdrawn(sa, spi);
            continue;
        };
        let own = holder.child(id).map(|child| child.inbound.spi);
        if collision::on_delete_child(holder.child_activity(id)) == Deletion::WithDelete {
            gone.extend(own);
            holder.detach_child(id, Cause::DeletedByPeer);
            rekey_child::note_gone(holder, id);
        }
    }
    for spi in request.notifies().filter_map(Notify::refused_spi) {
        if let Some((holder, id)) = holder_of(sa, others, spi) {
            give_up_child(ctx, holder, id);
        }
    }
    let mut chain = Chain::new();
    if !gone.is_empty() {
        chain.push(Delete::esp(gone));
    }
    Ok((chain, Vec::new()))
}

/// Gives up a child that the peer says it does not have: another is made in its place. A word that
/// was on its way while the child was made is old.
fn give_up_child(ctx: &mut Context<'_>, sa: &mut IkeSa, id: ChildId) {
    let now = ctx.mono();
    let Some(child) = sa.child(id).filter(|child| child.is_live()) else { return };
    if now < child.made_at + SETTLED {
        return;
    }
    let own = child.inbound.spi;
    sa.detach_child(id, Cause::DeletedByPeer);
    rekey_child::note_gone(sa, id);
    sa.want(ctx, TaskKind::Disown(own), now);
}

/// The IKE SA that has the child with this outbound SPI, which is the peer's inbound one: this IKE
/// SA, or the successor to which its children have moved. What the peer sent before it knew of the
/// successor comes on the old IKE SA.
fn holder_of<'s>(
    sa: &'s mut IkeSa,
    others: &'s mut [IkeSa],
    spi: EspSpi,
) -> Option<(&'s mut IkeSa, ChildId)> {
    let nonces = sa.origin.nonces.clone();
    let kin = others.iter_mut().filter(|other| other.origin.nonces == nonces);
    std::iter::once(sa).chain(kin).find_map(|sa| {
        let id = sa.children.iter().find(|child| child.outbound.spi == spi)?.id;
        Some((sa, id))
    })
}

/// Handles the peer's Delete of the IKE SA. Our own request in flight is dropped (RFC 7296
/// §2.25.2).
fn deleted(ctx: &mut Context<'_>, sa: &mut IkeSa) -> Vec<SaEffect> {
    let activity = sa.activity();
    let cause = match sa.lifecycle {
        IkeLifecycle::Live => Cause::DeletedByPeer,
        IkeLifecycle::Replaced { .. } => Cause::Rekeyed,
        IkeLifecycle::Rival { .. } => Cause::Duplicate,
        IkeLifecycle::Leaving(cause) => cause,
    };
    let Some(Exchange::RekeyIke(asked)) = sa.flight.take().map(|flight| flight.exchange) else {
        return vec![SaEffect::End(cause)];
    };
    let closure = collision::on_delete_ike(activity, asked.rival.rival());
    match (closure, rekey_ike::forget(ctx, sa, &asked)) {
        (Closure::RivalStands, Some(promote)) => vec![promote, SaEffect::End(Cause::Rekeyed)],
        _ => vec![SaEffect::End(cause)],
    }
}

/// The error of a notify that ends the IKE SA when the peer sends it in a request (RFC 7296
/// §2.21.2, §2.21.3).
fn fatal(kind: NotifyType) -> Option<Error> {
    match kind {
        NotifyType::AuthenticationFailed => Some(AuthFailed::Refused.into()),
        NotifyType::InvalidSyntax => Some(Error::told(kind)),
        _ => None,
    }
}
