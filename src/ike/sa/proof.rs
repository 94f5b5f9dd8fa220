//! How long the peer's proof of identity counts. An IKE SA ends when the first certificate of the
//! peer's path expires, however often it was rekeyed: a rekey proves nothing (RFC 7296 §2.8.3). It
//! ends as well when the credentials of this end change and the peer's certificates no longer pass:
//! a revocation list names one of them, a root is gone, another name is expected.

use std::time::Duration;

use super::IkeLifecycle;
use super::IkeSa;
use crate::ike::authenticator::{Disbelief, Presented};
use crate::ike::endpoint::context::Context;
use crate::ike::endpoint::event::Cause;
use crate::ike::error::AuthFailed;
use crate::ike::exchange::auth::reauthentication;
use crate::ike::exchange::step::{MessageHalf, Step};
use crate::time::{Instant, Now, UnixTime};

/// An end that is further away is none: a deadline in nanoseconds must not overflow.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

impl IkeSa {
    /// Keeps what the peer has proved itself with.
    pub(crate) fn keep_proof(&mut self, ctx: &Context<'_>, presented: Presented) {
        self.presented = Some(presented);
        self.proof_ends_at = end(ctx.now, self.proven.until);
    }

    /// Has both ends authenticate anew before the time is over that the peer gives our proof
    /// (AUTH_LIFETIME, RFC 4478 §3), and not within a minute, so that no peer makes us dial in
    /// circles.
    pub(crate) fn authenticate_within(&mut self, ctx: &Context<'_>, span: Duration) {
        let at = ctx.mono() + (span / 10 * 9).max(Duration::from_secs(60));
        self.reauth_at = Some(self.reauth_at.map_or(at, |before| before.min(at)));
    }

    /// Judges the peer's certificates anew, by credentials of this end that have changed.
    pub(crate) fn judge_again(&mut self, ctx: &mut Context<'_>) {
        let Some(presented) = &self.presented else { return };
        if matches!(self.lifecycle, IkeLifecycle::Leaving(_)) {
            return;
        }
        match ctx.config.credentials.still_proves(presented, ctx.now) {
            // Credentials that cannot judge do not prolong the proof.
            Ok(UnixTime(u64::MAX)) => {}
            Ok(until) if until == self.proven.until => {}
            Ok(until) => {
                self.proven.until = until;
                self.proof_ends_at = end(ctx.now, until);
                let sooner = reauthentication(ctx, &self.proven);
                self.reauth_at = self.reauth_at.into_iter().chain(sooner).min();
            }
            Err(disbelief) => self.end_by_proof(ctx, Cause::NotTrusted, disbelief),
        }
    }

    /// Ends the IKE SA when the peer's proof has ended.
    pub(super) fn end_with_proof(&mut self, ctx: &mut Context<'_>) {
        if self.proof_ends_at.is_none_or(|at| at > ctx.mono()) {
            return;
        }
        self.proof_ends_at = None;
        if matches!(self.lifecycle, IkeLifecycle::Leaving(_)) {
            return;
        }
        let name = &self.proven.name;
        let reason = format!("the certificates of {name} were valid until {}", self.proven.until);
        let kind = AuthFailed::Certificate;
        self.end_by_proof(ctx, Cause::ProofEnded, Disbelief { kind, reason, remedy: None });
    }

    /// Says why the peer is not believed any more, and deletes the IKE SA with its children.
    fn end_by_proof(&mut self, ctx: &mut Context<'_>, cause: Cause, why: Disbelief) {
        ctx.explain(why.reason, why.remedy);
        ctx.refuse(Step::Auth, MessageHalf::Request, why.kind.into(), None);
        self.close(ctx, cause, None);
    }
}

/// The moment after the last second of a proof.
fn end(now: Now, until: UnixTime) -> Option<Instant> {
    let left = Duration::from_secs(until.0.saturating_add(1).saturating_sub(now.unix.0));
    (left < FOREVER).then(|| now.mono + left)
}
