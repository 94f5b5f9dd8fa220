//! The handshake state machine: from the first IKE_SA_INIT to the established IKE SA, in both
//! roles.
//!
//! ```text
//! initiator   dial ─> InitSent ── on_init_response ─> AuthSent ── on_auth_response ─┐
//!                        │ no response     no response, │ ╰─> AuthRejected: the     ▼
//!                        └──────────> give_up <─ refused ┘     peer's proof   on_established
//!                                                              failed
//!                                        ▲                                          ▲
//! responder   admission ─> InitAnswered ─┴ no request in 30 s                       │
//!                              └───────────── on_auth_request ──────────────────────┤
//!                                                                                   │ refused
//!                                                          AuthRefused <────────────┘
//! ```
//!
//! A handshake is a line, so each phase is a struct that the transition to the next one consumes.
//! The phases decide what a message means: [`init`](crate::ike::exchange::init) for IKE_SA_INIT,
//! [`auth`](crate::ike::exchange::auth) for IKE_AUTH. This file decides which phase follows and
//! what the peer's dialling state learns from the outcome.
//!
//! The responder's first step, IKE_SA_INIT of an unknown source, is in [`crate::ike::admission`].
//! The responder's second step is [`Peer::on_auth_request`]: the request is opened, then
//! [`InitAnswered::finish`] verifies the initiator's AUTH, signs the responder's AUTH and installs
//! the first child SA, then [`Peer::on_established`] adds the new IKE SA to the peer's others.

use super::{Peer, fingerprint};
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::Cause;
use crate::ike::endpoint::schedule::Timer;
use crate::ike::error::Busy;
use crate::ike::exchange::auth::{
    AUTH_ID, AuthOutcome, AuthRefused, AuthRejected, AuthSent, InitAnswered,
};
use crate::ike::exchange::create_child;
use crate::ike::exchange::init::{InitDone, InitProgress, InitSent};
use crate::ike::exchange::step::{MessageHalf, Party, Step};
use crate::ike::path::{Path, Sending};
use crate::ike::sa::IkeSa;
use crate::ike::sa::channel::OpenedMessage;
use crate::ike::sa::retransmit::RetransmitVerdict;
use crate::time::Instant;
use crate::wire::codes::ExchangeType;
use crate::wire::header::Header;
use crate::wire::spi::IkeSpi;

/// A handshake of either role, by its phase.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// This end is the initiator and has sent IKE_SA_INIT.
    InitSent(Box<InitSent>),
    /// This end is the initiator and has sent IKE_AUTH.
    AuthSent(Box<AuthSent>),
    /// The peer is the initiator; its IKE_SA_INIT is answered and its IKE_AUTH is awaited.
    InitAnswered(Box<InitAnswered>),
    /// This end is the initiator and was shown a proof that failed; its farewell is sent.
    AuthRejected(Box<AuthRejected>),
    /// The peer is the initiator; its IKE_AUTH was refused. The refusal is kept for retransmissions
    /// of the request.
    AuthRefused(Box<AuthRefused>),
}

impl Handshake {
    /// This end's SPI of the IKE SA that the handshake is to establish.
    pub(crate) fn spi(&self) -> IkeSpi {
        match self {
            Handshake::InitSent(phase) => phase.spi,
            Handshake::AuthSent(phase) => phase.keyed.channel.own,
            Handshake::InitAnswered(phase) => phase.keyed.channel.own,
            Handshake::AuthRejected(phase) => phase.channel.own,
            Handshake::AuthRefused(phase) => phase.channel.own,
        }
    }

    /// Whether this end is the initiator and still hopes for an IKE SA.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Handshake::InitSent(_) | Handshake::AuthSent(_))
    }

    /// The deadline of the present phase.
    pub(crate) fn due(&self) -> (Instant, Timer) {
        match self {
            Handshake::InitSent(phase) => (phase.timer.due(), Timer::Retransmit),
            Handshake::AuthSent(phase) => (phase.timer.due(), Timer::Retransmit),
            Handshake::AuthRejected(phase) => (phase.timer.due(), Timer::Retransmit),
            Handshake::InitAnswered(phase) => (phase.forget_at, Timer::HalfOpen),
            Handshake::AuthRefused(phase) => (phase.forget_at, Timer::HalfOpen),
        }
    }

    /// Frees what the handshake had reserved: SPIs, and the share of the half-open bound.
    pub(crate) fn release(&self, ctx: &mut Context<'_>) {
        ctx.spis.release_ike(self.spi());
        match self {
            Handshake::InitAnswered(phase) => ctx.half_open.leave(phase.source),
            Handshake::AuthRefused(phase) => ctx.half_open.leave(phase.source),
            Handshake::AuthSent(phase) => {
                if let Some(wanted) = &phase.wanted {
                    create_child::abandon(ctx, wanted);
                }
            }
            Handshake::InitSent(_) | Handshake::AuthRejected(_) => {}
        }
    }
}

impl Peer {
    /// Handles a datagram for the SPI of a handshake, which the caller has taken out of the list.
    pub(super) fn on_handshake_message(
        &mut self,
        ctx: &mut Context<'_>,
        phase: Handshake,
        header: &Header,
        path: Path,
        bytes: &[u8],
    ) {
        match phase {
            Handshake::InitSent(sent) => match sent.on_response(ctx, bytes) {
                InitProgress::Wait(sent) => self.handshakes.push(Handshake::InitSent(sent)),
                InitProgress::Keyed(keyed) => self.on_init_response(ctx, *keyed),
            },
            Handshake::AuthSent(sent) => self.on_auth_response(ctx, sent, header, bytes),
            Handshake::InitAnswered(answered) => {
                self.on_auth_request(ctx, answered, header, path, bytes);
            }
            Handshake::AuthRejected(mut rejected) => {
                let print = fingerprint(ctx, bytes);
                let phase = match rejected.is_answered_by(ctx.mono(), header, bytes, print) {
                    true => return Handshake::AuthRejected(rejected).release(ctx),
                    false => Handshake::AuthRejected(rejected),
                };
                self.handshakes.push(phase);
            }
            Handshake::AuthRefused(mut refused) => {
                let (mut fingerprint, now) = (fingerprint(ctx, bytes), ctx.mono());
                // The request in other fragments: the first of them stands for it (RFC 7383
                // §2.6.1).
                let is_auth = !header.is_response() && is_ike_auth(header);
                if is_auth && refused.channel.is_first_fragment(bytes) {
                    fingerprint = refused.answered.fingerprint;
                }
                // The refusal serves the refused peer only, so all sources share one budget.
                for bytes in refused.answered.again(fingerprint, true, now).into_iter().flatten() {
                    ctx.out.transmit(Sending::RepeatedReply, path, bytes.clone());
                }
                self.handshakes.push(Handshake::AuthRefused(refused));
            }
        }
    }

    /// The responder's IKE_SA_INIT is accepted: sends IKE_AUTH.
    fn on_init_response(&mut self, ctx: &mut Context<'_>, keyed: InitDone) {
        let spi = keyed.channel.own;
        let slot = self.first_slot();
        // INITIAL_CONTACT makes the peer drop every other IKE SA with this end (RFC 7296 §2.4), so
        // it is sent only when there is no other, nor one that may come of another handshake.
        let initial_contact = self.config.behaviour.says_initial_contact()
            && self.sas.is_empty()
            && !self.handshakes.iter().any(Handshake::is_ours);
        match AuthSent::start(ctx, keyed, slot, initial_contact) {
            Ok(phase) => self.handshakes.push(Handshake::AuthSent(Box::new(phase))),
            Err(error) => {
                ctx.spis.release_ike(spi);
                ctx.refuse(Step::Auth, MessageHalf::Request, error, None);
                self.dial.refused(ctx);
            }
        }
    }

    /// Handles the responder's IKE_AUTH. [`AuthSent::finish`] verifies it.
    fn on_auth_response(
        &mut self,
        ctx: &mut Context<'_>,
        mut sent: Box<AuthSent>,
        header: &Header,
        bytes: &[u8],
    ) {
        let is_auth = header.is_response() && is_ike_auth(header);
        let print = fingerprint(ctx, bytes);
        let opened = is_auth.then(|| sent.keyed.channel.open(ctx.now.mono, bytes, print)).flatten();
        let Some(OpenedMessage::Whole(answer, _)) = opened else {
            self.handshakes.push(Handshake::AuthSent(sent));
            return;
        };
        let spi = sent.keyed.channel.own;
        match sent.finish(ctx, answer) {
            AuthOutcome::Up(sa) => self.on_established(ctx, *sa, false),
            AuthOutcome::Reject(rejected) => {
                self.handshakes.push(Handshake::AuthRejected(rejected));
                self.dial.refused(ctx);
            }
            AuthOutcome::Failed => {
                ctx.spis.release_ike(spi);
                self.dial.refused(ctx);
            }
        }
    }

    /// Handles the initiator's IKE_AUTH, as the responder. [`InitAnswered::finish`] verifies the
    /// initiator's AUTH, installs the first child SA and sends the response, or sends the refusal.
    /// A message that does not authenticate, and a fragment of one that is not complete, leave the
    /// handshake as it is.
    fn on_auth_request(
        &mut self,
        ctx: &mut Context<'_>,
        mut answered: Box<InitAnswered>,
        header: &Header,
        path: Path,
        bytes: &[u8],
    ) {
        let is_auth = !header.is_response() && is_ike_auth(header);
        let print = fingerprint(ctx, bytes);
        let channel = &mut answered.keyed.channel;
        let opened = is_auth.then(|| channel.open(ctx.now.mono, bytes, print)).flatten();
        let Some(OpenedMessage::Whole(request, print)) = opened else {
            self.handshakes.push(Handshake::InitAnswered(answered));
            return;
        };
        match answered.finish(ctx, path, print, request) {
            Ok((sa, initial_contact)) => self.on_established(ctx, *sa, initial_contact),
            Err(refused) => self.handshakes.push(Handshake::AuthRefused(refused)),
        }
    }

    /// Adds an IKE SA that a handshake has just established, and decides which of the peer's other
    /// IKE SAs and handshakes are no longer needed. `initial_contact`: the peer sent that notify.
    fn on_established(&mut self, ctx: &mut Context<'_>, sa: IkeSa, initial_contact: bool) {
        if initial_contact {
            // Only the IKE SAs that were up before the peer began to dial: the peer did not know of
            // a handshake of ours that crossed its own.
            let began_at = sa.origin.began_at;
            let stale: Vec<IkeSpi> =
                self.sas.iter().filter(|old| old.origin.up_at < began_at).map(IkeSa::spi).collect();
            for spi in stale {
                self.remove_sa(ctx, spi, Cause::InitialContact);
            }
        }
        self.dial.failures = 0;
        let ours = sa.origin.dialled_by == Party::We;
        let renewed = ours && self.dial.renew;
        // A fresh IKE SA of the peer serves as well as the one that this end has not begun to dial.
        if ours || !self.handshakes.iter().any(Handshake::is_ours) {
            self.dial.renew = false;
        }
        let surplus = self.mark_surplus(ctx, &sa, renewed);
        self.make_room(ctx);
        for child in &sa.children {
            if let Some(retry) = self.slot_retry(child.slot) {
                retry.refusals = 0;
            }
        }
        self.sas.push(IkeSa { surplus, ..sa });
        if !self.dial.renew {
            self.drop_init_sent(ctx);
        }
    }

    /// Drops the handshakes of ours that wait for the IKE_SA_INIT response: the peer has proved
    /// nothing in them yet, and another IKE SA is up.
    fn drop_init_sent(&mut self, ctx: &mut Context<'_>) {
        self.handshakes.retain(|handshake| {
            let stop = matches!(handshake, Handshake::InitSent(_));
            if stop {
                handshake.release(ctx);
            }
            !stop
        });
    }

    /// Retransmits or ends the handshakes whose deadline has come.
    pub(super) fn wake_handshakes(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.mono;
        let mut over = Vec::new();
        for mut handshake in std::mem::take(&mut self.handshakes) {
            if handshake.due().0 > now {
                self.handshakes.push(handshake);
                continue;
            }
            let verdict = match &mut handshake {
                Handshake::InitSent(phase) => phase.wake(ctx),
                Handshake::AuthSent(phase) => phase.wake(ctx),
                Handshake::AuthRejected(phase) => phase.wake(ctx),
                Handshake::InitAnswered(_) | Handshake::AuthRefused(_) => RetransmitVerdict::GiveUp,
            };
            match verdict {
                RetransmitVerdict::Resend => self.handshakes.push(handshake),
                RetransmitVerdict::GiveUp => over.push(handshake),
            }
        }
        for handshake in over {
            self.give_up(ctx, &handshake);
        }
    }

    /// Ends a handshake whose last retransmission was not answered, or that the peer never
    /// completed.
    fn give_up(&mut self, ctx: &mut Context<'_>, handshake: &Handshake) {
        handshake.release(ctx);
        let silent_in = match handshake {
            // The peer did answer, with errors that were reported when they came.
            Handshake::InitSent(phase) if !phase.hearsay.is_empty() => None,
            Handshake::InitSent(_) => Some(Step::Init),
            _ => Some(Step::Auth),
        };
        // A handshake beside another that goes on, or that has made an IKE SA, is not missed.
        let goes_on = self.handshakes.iter().any(Handshake::is_ours);
        let is_up = self.sas.iter().any(IkeSa::is_live) && !self.dial.renew;
        if handshake.is_ours() && !goes_on && !is_up {
            match silent_in {
                Some(step) => {
                    ctx.refuse(step, MessageHalf::Response, Busy::NoAnswer.into(), None);
                    self.dial.unanswered(ctx);
                }
                None => self.dial.refused(ctx),
            }
        }
    }
}

/// Whether a message is of the one IKE_AUTH exchange that a handshake has.
fn is_ike_auth(header: &Header) -> bool {
    header.exchange == ExchangeType::IkeAuth && header.message_id == AUTH_ID
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;
    use crate::ike::endpoint::command::Command;
    use crate::ike::endpoint::config::DialRole;
    use crate::ike::endpoint::event::IkeEvent;
    use crate::ike::tests::{PEER, Pair, Toy, config, established, in_both_ways};

    /// The initiator's IKE_AUTH datagrams, taken off the wire before the responder receives them.
    fn auth_request(pair: &mut Pair) -> Vec<(usize, Path, Vec<u8>)> {
        while !pair.ends[0].peers[&PEER]
            .handshakes
            .iter()
            .any(|h| matches!(h, Handshake::AuthSent(_)))
        {
            pair.deliver_one();
        }
        pair.wire.drain(..).collect()
    }

    fn is_initial_contact(event: &IkeEvent) -> bool {
        matches!(event, IkeEvent::IkeDown { cause: Cause::InitialContact, .. })
    }

    #[test]
    fn initial_contact_is_sent_by_an_end_without_ike_sa_and_by_no_other() {
        in_both_ways(|| {
            let mut pair = established();
            pair.command(0, Command::Reauthenticate(PEER));
            pair.pass(Duration::from_secs(10));
            assert_eq!(pair.count(1, |e| matches!(e, IkeEvent::IkeUp { .. })), 2);
            assert_eq!(pair.count(1, is_initial_contact), 0, "the initiator has an IKE SA");
            pair.forget(0);
            pair.command(0, Command::Up(PEER));
            pair.deliver();
            assert_eq!(pair.count(1, is_initial_contact), 1, "the initiator has lost all state");
            assert_eq!(pair.holds(1), (1, 1, 1));
        });
    }

    #[test]
    fn a_refusal_answers_retransmissions_until_it_is_forgotten() {
        in_both_ways(|| {
            let mut two = config(2, 1, DialRole::Answer);
            two.credentials = Rc::new(Toy { believes: false, ..Toy::new("two") });
            let mut pair = Pair::with(config(1, 2, DialRole::Dial), two);
            pair.command(0, Command::Up(PEER));
            let request = auth_request(&mut pair);
            let ask = |pair: &mut Pair| {
                pair.wire.extend(request.iter().cloned());
                request.iter().for_each(|_| pair.deliver_one());
                pair.wire.drain(..).map(|(_, _, bytes)| bytes).collect::<Vec<_>>()
            };
            let refusal = ask(&mut pair);
            assert_eq!(refusal.len(), 1, "{:?}", pair.events[1]);
            let phase = &pair.ends[1].peers[&PEER].handshakes[0];
            assert!(matches!(phase, Handshake::AuthRefused(_)), "{phase:?}");
            assert_eq!(ask(&mut pair), refusal);
            assert_eq!(pair.count(1, |e| matches!(e, IkeEvent::Refused(..))), 1, "told once");
            pair.is_cut = true;
            pair.pass(Duration::from_secs(31));
            assert!(pair.ends[1].peers[&PEER].handshakes.is_empty());
            assert_eq!(pair.ends[1].admissions.half_open.total(), 0);
        });
    }

    /// Whoever answers the farewell is nobody: a responder whose proof failed cannot move a tunnel
    /// that stands beside, from wherever its answer comes.
    #[test]
    fn a_rejected_responder_moves_no_tunnel() {
        in_both_ways(|| {
            let mut pair = established();
            let path = pair.ends[0].ike_sas().next().expect("an IKE SA").path;
            let mut lying = config(2, 1, DialRole::Answer);
            lying.credentials = Rc::new(Toy { lies: true, ..Toy::new("two") });
            pair.command(1, Command::Reconfigure(PEER, Box::new(lying)));
            pair.command(0, Command::Reauthenticate(PEER));
            let is_rejected = |pair: &Pair| {
                let phases = &pair.ends[0].peers[&PEER].handshakes;
                phases.iter().any(|phase| matches!(phase, Handshake::AuthRejected(_)))
            };
            while !is_rejected(&pair) {
                pair.deliver_one();
            }
            assert_eq!(pair.holds(0), (1, 1, 1), "the rejected IKE SA is none of the peer's");
            let mut elsewhere = 0;
            while let Some((from, path, _)) = pair.wire.front_mut() {
                if *from == 1 {
                    path.local.set_ip(crate::ike::tests::address(66));
                    elsewhere += 1;
                }
                pair.deliver_one();
            }
            assert!(elsewhere > 0, "the farewell is answered");
            assert!(!is_rejected(&pair), "the answer ends the farewell");
            assert_eq!(pair.ends[0].ike_sas().next().expect("an IKE SA").path, path);
            assert_eq!(pair.count(0, |e| matches!(e, IkeEvent::Moved(..))), 0);
            assert!(!pair.log[0].iter().any(|line| line == "moved"), "{:?}", pair.log[0]);
        });
    }

    #[test]
    fn a_farewell_that_nobody_answers_is_over_after_seconds() {
        in_both_ways(|| {
            let mut one = config(1, 2, DialRole::Dial);
            one.credentials = Rc::new(Toy { believes: false, ..Toy::new("one") });
            let mut pair = Pair::with(one, config(2, 1, DialRole::Answer));
            pair.command(0, Command::Up(PEER));
            while pair.ends[0].peers[&PEER].handshakes.iter().any(Handshake::is_ours) {
                pair.deliver_one();
            }
            assert_eq!(pair.holds(0), (0, 0, 0));
            let rejected = |pair: &Pair| {
                let phases = &pair.ends[0].peers[&PEER].handshakes;
                phases.iter().filter(|h| matches!(h, Handshake::AuthRejected(_))).count()
            };
            assert_eq!(rejected(&pair), 1);
            pair.is_cut = true;
            pair.pass(Duration::from_secs(6));
            assert_eq!(rejected(&pair), 0);
        });
    }

    #[test]
    fn a_datagram_that_does_not_authenticate_leaves_the_responder_waiting() {
        in_both_ways(|| {
            let mut pair = Pair::idle([DialRole::Dial, DialRole::Answer]);
            pair.command(0, Command::Up(PEER));
            let request = auth_request(&mut pair);
            for (from, path, mut bytes) in request.clone() {
                *bytes.last_mut().expect("octets") ^= 1;
                pair.wire.push_back((from, path, bytes));
                pair.deliver_one();
            }
            assert!(pair.wire.is_empty(), "no answer to a forgery");
            let phase = &pair.ends[1].peers[&PEER].handshakes[0];
            assert!(matches!(phase, Handshake::InitAnswered(_)), "{phase:?}");
            pair.wire.extend(request);
            pair.deliver();
            assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
        });
    }

    #[test]
    fn a_half_open_ike_sa_is_forgotten_after_thirty_seconds() {
        in_both_ways(|| {
            let mut pair = Pair::idle([DialRole::Dial, DialRole::Answer]);
            pair.command(0, Command::Up(PEER));
            auth_request(&mut pair);
            assert_eq!(pair.ends[1].admissions.half_open.total(), 1);
            let (at, timer) = pair.ends[1].poll_timeout().expect("a deadline");
            assert_eq!(timer, Timer::HalfOpen);
            assert!((29..=30).contains(&at.since(pair.now.mono).as_secs()));
            pair.is_cut = true;
            pair.pass(Duration::from_secs(31));
            assert!(pair.ends[1].peers[&PEER].handshakes.is_empty());
            assert_eq!(pair.ends[1].admissions.half_open.total(), 0);
            assert_eq!(pair.count(1, |e| matches!(e, IkeEvent::Refused(..))), 0);
        });
    }

    #[test]
    fn an_established_ike_sa_ends_a_dial_attempt_that_has_proved_nothing() {
        in_both_ways(|| {
            let mut pair = Pair::idle([DialRole::Dial, DialRole::Both]);
            pair.command(1, Command::Up(PEER));
            pair.wire.clear();
            pair.command(0, Command::Up(PEER));
            pair.deliver();
            assert_eq!((pair.holds(0), pair.holds(1)), ((1, 1, 1), (1, 1, 1)));
            assert!(pair.ends[1].peers[&PEER].handshakes.is_empty());
        });
    }
}
