//! Rekeying a child SA (RFC 7296 §1.3.3, §2.8).
//!
//! ```text
//! SK {N(REKEY_SA, our SPI of the old), SA, Ni, [KEi,] TSi, TSr} ──>
//!                                                               <── SK {SA, Nr, [KEr,] TSi, TSr}
//! SK {D(our SPI of the old)} ──>
//!                            <── SK {D(their SPI of the old)}
//! ```
//!
//! Make-before-break: both ends install the new pair before the old pair is deleted, so no packet
//! is lost. Which pair sends meanwhile is decided by [`crate::ike::sa::child::carriers`]. When both
//! ends rekey at once (simultaneous rekey), [`super::collision`] decides which pair stays.

use super::collision::{self, AfterRefusal, Creation};
use super::create_child::{self, Granted};
use super::step::Party;
use super::{Crossing, Exchange};
use crate::crypto::Group;
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::Cause;
use crate::ike::error::{Busy, Error, Incompatible, PeerMisbehaved};
use crate::ike::ids::ChildId;
use crate::ike::sa::child;
use crate::ike::sa::task::TaskKind;
use crate::ike::sa::{IkeSa, LINGER};
use crate::wire::codes::NotifyType;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::notify::Notify;

/// Our request for a successor, with what its response is read with.
#[derive(Debug)]
pub(crate) struct RekeyChildRequest {
    pub(crate) new: create_child::NewChildRequest,
    pub(crate) old: ChildId,
    pub(crate) rival: Crossing<ChildId>,
}

/// Requests a successor, unless the child is gone or going. A child that has its slot for itself is
/// replaced by one of the slot's whole policy, which may be wider than what the peer granted before
/// (RFC 7296 §2.9.2).
pub(crate) fn ask(ctx: &mut Context<'_>, sa: &mut IkeSa, old: ChildId, group: Option<Group>) {
    let Some(child) = sa.child(old).filter(|child| child.is_live()) else { return };
    let (slot, replaced, spi) = (child.slot, child.selectors.clone(), child.inbound.spi);
    let others = |child: &&child::ChildSa| child.slot == slot && child.is_live();
    let alone = sa.children.iter().filter(others).count() == 1;
    let policy = ctx.child_config(slot).map(|child| &child.selectors).filter(|_| alone);
    let selectors = policy.unwrap_or(&replaced).clone();
    let asked = create_child::ask(ctx, slot, selectors, Some(&replaced), group);
    let Some((chain, new)) = asked else { return };
    let mut request = Chain::new();
    request.push(Notify::rekey(spi));
    request.extend(chain.iter().cloned());
    let exchange = Exchange::RekeyChild(RekeyChildRequest { new, old, rival: Crossing::None });
    sa.ask(ctx, TaskKind::RekeyChild(old, group), exchange, &request);
}

/// Handles the peer's grant: installs our successor, decides whether it or the peer's rival stays,
/// and deletes what we have to delete.
pub(crate) fn granted(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    asked: RekeyChildRequest,
    answer: &Chain,
) -> Result<(), Error> {
    let RekeyChildRequest { new, old, rival } = asked;
    let (mut child, nonces) = create_child::take(ctx, &sa.channel, new, answer)?;
    let stays = collision::successor(nonces.view(), rival.rival());
    let id = child.id;
    child.may_send = stays == Party::We;
    if let Some(old) = sa.child(old) {
        child.succeed(old);
    }
    if stays == Party::We {
        create_child::note_others(ctx, &child, answer);
    }
    sa.install(ctx, child, Some(old));
    match stays {
        Party::We => {
            sa.close_child(ctx, old);
            if let Crossing::Standing(theirs, _) = rival {
                replaced(ctx, sa, theirs);
            }
        }
        // The peer deletes the old child; we delete our own successor.
        Party::Peer => {
            sa.close_child(ctx, id);
            replaced(ctx, sa, old);
        }
    }
    Ok(())
}

/// Handles a refusal of the peer: for the moment, or because the peer does not know the child.
pub(crate) fn refused(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    asked: &RekeyChildRequest,
    unknown_there: bool,
) -> AfterRefusal {
    let after = collision::after_refused_rekey(
        sa.child_activity(asked.old),
        asked.rival.rival(),
        unknown_there,
    );
    match after {
        AfterRefusal::Done => replaced(ctx, sa, asked.old),
        // The slot is empty then, and `Peer::reconcile` asks for a new child.
        AfterRefusal::Recreate => {
            sa.detach_child(asked.old, Cause::DeletedByPeer);
        }
        AfterRefusal::Retry => {}
    }
    after
}

/// Answers the peer's request for a successor.
pub(crate) fn answer(
    ctx: &mut Context<'_>,
    sa: &mut IkeSa,
    request: &Chain,
) -> Result<Chain, Error> {
    let notify = request.notify(NotifyType::RekeySa);
    let spi = notify.and_then(Notify::rekey_spi).ok_or(Error::from(PeerMisbehaved::Spi))?;
    // The SPI is the sender's inbound one (RFC 7296 §1.3.3): our outbound.
    let old = sa.children.iter().find(|child| child.outbound.spi == spi);
    let Some((old, slot)) = old.map(|child| (child.id, child.slot)) else {
        // The child may be the one that we are asking for, with the peer's response late or lost:
        // then the child will exist in a moment.
        return Err(match create_child::is_asking(sa) {
            true => Busy::Crossing.into(),
            false => Busy::ChildGone(spi).into(),
        });
    };
    let creation = collision::on_rekey_child(sa.activity(), sa.child_activity(old));
    match creation {
        Creation::NotFound => return Err(Busy::ChildGone(spi).into()),
        Creation::NotNow => return Err(Busy::Crossing.into()),
        Creation::Usual | Creation::Rival => {}
    }
    if !sa.has_room(ctx, true) {
        return Err(Incompatible::NoAdditionalSas.into());
    }
    let Granted { mut child, answer, nonces } =
        create_child::grant(ctx, &sa.channel, request, Some(slot))?;
    if let Some(old) = sa.child(old) {
        child.succeed(old);
    }
    let new = child.id;
    sa.install(ctx, child, Some(old));
    match (creation, sa.flight.as_mut().map(|flight| &mut flight.exchange)) {
        (Creation::Rival, Some(Exchange::RekeyChild(asked))) => {
            asked.rival = Crossing::Standing(new, nonces);
        }
        _ => replaced(ctx, sa, old),
    }
    Ok(answer)
}

/// Marks a child that the peer has rekeyed and is to delete.
fn replaced(ctx: &mut Context<'_>, sa: &mut IkeSa, old: ChildId) {
    let overdue = ctx.mono() + LINGER;
    if let Some(child) = sa.child_mut(old).filter(|child| child.is_live()) {
        child.lifecycle = child::ChildLifecycle::Replaced { overdue };
        sa.tasks.forget(|kind| matches!(kind, TaskKind::RekeyChild(of, _) if of == old));
    }
}

/// Notes that a child is gone: if it is the peer's rival in a simultaneous rekey, our successor
/// stays.
pub(crate) fn note_gone(sa: &mut IkeSa, gone: ChildId) {
    if let Some(Exchange::RekeyChild(asked)) = sa.flight.as_mut().map(|flight| &mut flight.exchange)
        && matches!(asked.rival, Crossing::Standing(rival, _) if rival == gone)
    {
        asked.rival = Crossing::Withdrawn;
    }
}
