//! Message IDs and the two message windows of an IKE SA, each of size one (RFC 7296 §2.2, §2.3).
//!
//! The request window counts our requests, the reply window the peer's; neither knows of the other,
//! and both may have an exchange in flight. A window keeps the datagrams that may have to be sent
//! again, byte for byte (§2.1): our request until it is answered, our reply until the peer's next
//! request. A request of the peer that is repeated or replayed is known by its octets and gets the
//! cached reply; it is never handled twice.
//!
//! ```text
//!             RequestWindow                        ReplyWindow
//!   idle      next = n,   outstanding = none       expected = n, answered = reply to n-1
//!   busy      next = n+1, outstanding = n
//! ```

use std::fmt;

use super::retransmit::SHRUNK_AFTER;
use crate::ike::testing::mutation::{self, Mutation};
use crate::rate::{Bucket, Rate};
use crate::time::Instant;
use crate::wire::header::MessageId;

/// The datagrams of one message: one, or all its fragments in order.
pub type Datagrams = Vec<Vec<u8>>;

/// A message as it is sent, and the same in smaller fragments: a path may lose the larger ones
/// without a word (RFC 7383 §2.5.1).
///
/// A message never goes back to larger fragments, also over a restart: a receiver that has one
/// fragment of a larger total drops those of a smaller one (RFC 7383 §2.6).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SealedMessage {
    pub(crate) datagrams: Datagrams,
    pub(crate) smaller: Option<Datagrams>,
}

impl SealedMessage {
    /// A message with its smaller fragments, if it can be cut smaller.
    pub fn new(datagrams: Datagrams, smaller: Option<Datagrams>) -> SealedMessage {
        SealedMessage { datagrams, smaller }
    }

    /// The datagrams that are sent now.
    pub fn datagrams(&self) -> &Datagrams {
        &self.datagrams
    }

    /// From now on the message goes in the smaller fragments.
    pub fn shrink(&mut self) {
        if let Some(smaller) = self.smaller.take() {
            self.datagrams = smaller;
        }
    }
}

impl From<Datagrams> for SealedMessage {
    fn from(datagrams: Datagrams) -> SealedMessage {
        SealedMessage::new(datagrams, None)
    }
}

/// The window of our requests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestWindow {
    next: MessageId,
    outstanding: Option<Outstanding>,
}

/// A request that is not answered yet.
#[derive(Clone, Eq, PartialEq)]
pub struct Outstanding {
    /// The message ID of the request.
    pub id: MessageId,
    /// The request, for a retransmission.
    pub message: SealedMessage,
}

impl RequestWindow {
    /// A window whose next request has this message ID: 0 on a rekeyed IKE SA, 1 after IKE_SA_INIT.
    pub fn starting_at(next: MessageId) -> RequestWindow {
        RequestWindow { next, outstanding: None }
    }

    /// A window out of a snapshot.
    pub fn restore(next: MessageId, outstanding: Option<Outstanding>) -> RequestWindow {
        RequestWindow { next, outstanding }
    }

    /// The message ID that the next request will have.
    pub fn next(&self) -> MessageId {
        self.next
    }

    /// The request in flight.
    pub fn outstanding(&self) -> Option<&Outstanding> {
        self.outstanding.as_ref()
    }

    /// The message ID for a request now; `None` while a request is in flight. The last ID is never
    /// given out: message IDs must not wrap, so an IKE SA that has used all of them ends (RFC 7296
    /// §2.2).
    pub fn free(&self) -> Option<MessageId> {
        (self.outstanding.is_none() && self.next.0 < u32::MAX).then_some(self.next)
    }

    /// Notes that the request with the message ID of [`RequestWindow::free`] has been sent.
    pub fn begin(&mut self, message: SealedMessage) {
        debug_assert!(self.free().is_some(), "one request at a time");
        self.outstanding = Some(Outstanding { id: self.next, message });
        self.next = MessageId(self.next.0.saturating_add(1));
    }

    /// From now on the request in flight goes in smaller fragments.
    pub fn shrink(&mut self) {
        if let Some(request) = &mut self.outstanding {
            request.message.shrink();
        }
    }

    /// Whether a response with this message ID answers the request in flight. The question comes
    /// before the message is opened: any other response is old or forged.
    pub fn awaits(&self, id: MessageId) -> bool {
        self.outstanding.as_ref().is_some_and(|request| request.id == id)
    }

    /// Ends the exchange in flight, whose authentic response has arrived.
    pub fn finish(&mut self) -> Option<Outstanding> {
        self.outstanding.take()
    }
}

/// The window of the peer's requests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReplyWindow {
    expected: MessageId,
    answered: Option<Answered>,
}

/// The last request that we answered.
#[derive(Clone, Eq, PartialEq)]
pub struct Answered {
    /// The fingerprint of the request.
    pub fingerprint: Fingerprint,
    /// Our reply.
    pub message: SealedMessage,
    /// How often the peer's address has asked for it again.
    pub(crate) repeats: u32,
    /// Two budgets for sending the reply again, one for all other sources and one for the peer's
    /// address, so that a third party that replays the request cannot exhaust the peer's.
    again: [Bucket; 2],
}

/// SHA-256 over the first datagram of a request as it came. A repeated request has the same octets
/// (RFC 7296 §2.1), so it is recognised without being opened, and a forged one gets no reply. Of a
/// fragmented request the first fragment stands for all (RFC 7383 §2.6.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fingerprint(pub [u8; 32]);

/// What an incoming request is, by its message ID and octets alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestArrival<'a> {
    /// The expected request, which is opened.
    New,
    /// The last request again, within its budget: these datagrams are sent again.
    Repeated(&'a [Vec<u8>]),
    /// A request that is dropped: older, ahead of the window, or the last message ID with other
    /// octets.
    Outside,
}

impl ReplyWindow {
    /// A window whose next request has this message ID: 0 on a rekeyed IKE SA and for the peer that
    /// answered IKE_SA_INIT, 1 for the peer that sent it.
    pub fn starting_at(expected: MessageId) -> ReplyWindow {
        ReplyWindow { expected, answered: None }
    }

    /// A window out of a snapshot.
    pub fn restore(expected: MessageId, answered: Option<Answered>) -> ReplyWindow {
        ReplyWindow { expected, answered }
    }

    /// The message ID of the peer's next request.
    pub fn expected(&self) -> MessageId {
        self.expected
    }

    /// The last request that was answered, with our reply.
    pub fn answered(&self) -> Option<&Answered> {
        self.answered.as_ref()
    }

    /// Classifies a request. `from_peer` says that it came from the peer's present address.
    pub fn classify(
        &mut self,
        id: MessageId,
        fingerprint: Fingerprint,
        from_peer: bool,
        now: Instant,
    ) -> RequestArrival<'_> {
        // The last ID is never taken: there would be none for the request after it.
        if id == self.expected && id.0 < u32::MAX {
            return RequestArrival::New;
        }
        let last = self.answered.as_mut().filter(|_| id.0.checked_add(1) == Some(self.expected.0));
        if last.is_some() && mutation::is(Mutation::RepeatRequest) {
            return RequestArrival::New;
        }
        last.and_then(|last| last.again(fingerprint, from_peer, now))
            .map_or(RequestArrival::Outside, |datagrams| RequestArrival::Repeated(datagrams))
    }

    /// Whether this is the message ID of the last request that was answered.
    pub fn has_answered(&self, id: MessageId) -> bool {
        self.answered.is_some() && id.0.checked_add(1) == Some(self.expected.0)
    }

    /// The reply to the last request again, after the peer has cut that request into smaller
    /// fragments: the first of them is authentic, though its octets are new (RFC 7383 §2.6.1). The
    /// reply goes in smaller fragments too, since the larger ones may be what was lost.
    pub fn answer_smaller(&mut self, from_peer: bool, now: Instant) -> Option<&Datagrams> {
        let last = self.answered.as_mut()?;
        last.again(last.fingerprint, from_peer, now)?;
        last.message.shrink();
        Some(last.message.datagrams())
    }

    /// Caches our reply to the expected request until the next request (RFC 7296 §2.1).
    pub fn answer(&mut self, fingerprint: Fingerprint, message: SealedMessage) {
        self.answered = Some(Answered::new(fingerprint, message));
        self.expected = MessageId(self.expected.0.saturating_add(1));
    }
}

impl Answered {
    /// The reply to the request with this fingerprint.
    pub fn new(fingerprint: Fingerprint, message: SealedMessage) -> Answered {
        Answered { fingerprint, message, repeats: 0, again: Default::default() }
    }

    /// The reply again, if the request is the same and the budget of its source is not exhausted.
    pub fn again(
        &mut self,
        fingerprint: Fingerprint,
        from_peer: bool,
        now: Instant,
    ) -> Option<&Datagrams> {
        let [elsewhere, there] = &mut self.again;
        let bucket = if from_peer { there } else { elsewhere };
        if self.fingerprint != fingerprint || !bucket.take(Rate::REPEATS, now) {
            return None;
        }
        self.repeats = self.repeats.saturating_add(u32::from(from_peer));
        if self.repeats >= SHRUNK_AFTER {
            self.message.shrink();
        }
        Some(self.message.datagrams())
    }
}

impl fmt::Debug for Outstanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outstanding({}, {} datagrams)", self.id, self.message.datagrams.len())
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answered({} datagrams)", self.message.datagrams.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Fingerprint = Fingerprint([0xa; 32]);
    const B: Fingerprint = Fingerprint([0xb; 32]);
    const NOW: Instant = Instant(1_000_000_000);

    fn datagrams(byte: u8) -> Datagrams {
        vec![vec![byte]]
    }

    fn message(byte: u8) -> SealedMessage {
        SealedMessage::from(datagrams(byte))
    }

    #[test]
    fn a_request_cut_anew_is_answered_in_smaller_fragments_and_never_in_larger_ones_again() {
        let small = vec![vec![1], vec![2]];
        let mut window = ReplyWindow::starting_at(MessageId(0));
        assert!(!window.has_answered(MessageId(0)));
        window.answer(A, SealedMessage::new(datagrams(5), Some(small.clone())));
        assert!(window.has_answered(MessageId(0)) && !window.has_answered(MessageId(1)));
        assert_eq!(window.answer_smaller(true, NOW), Some(&small));
        assert_eq!(window.classify(MessageId(0), A, true, NOW), RequestArrival::Repeated(&small));
        let rest = (0..100).filter(|_| window.answer_smaller(true, NOW).is_some()).count();
        assert_eq!(rest, Rate::REPEATS.burst as usize - 2, "one budget for all repetitions");
        // A request that cannot be cut itself says by its repetitions that the reply is lost.
        window.answer(A, SealedMessage::new(datagrams(5), Some(small.clone())));
        let first = MessageId(1);
        let mut again = |from_peer| match window.classify(first, A, from_peer, NOW) {
            RequestArrival::Repeated(datagrams) => datagrams.len(),
            other => panic!("{other:?}"),
        };
        assert_eq!([false, false, false, true, true, true].map(&mut again), [1, 1, 1, 1, 1, 2]);
        let mut requests = RequestWindow::starting_at(MessageId(1));
        requests.begin(SealedMessage::new(datagrams(7), Some(small.clone())));
        for _ in 0..2 {
            requests.shrink();
            assert_eq!(requests.outstanding().unwrap().message.datagrams(), &small);
        }
    }

    #[test]
    fn one_request_at_a_time_and_ids_in_order() {
        let mut window = RequestWindow::starting_at(MessageId(1));
        assert_eq!(window.free(), Some(MessageId(1)));
        window.begin(message(7));
        assert_eq!(window.free(), None);
        assert_eq!(window.outstanding().map(|o| o.message.datagrams()), Some(&datagrams(7)));
        for (id, awaited) in [(0, false), (1, true), (2, false)] {
            assert_eq!(window.awaits(MessageId(id)), awaited, "{id}");
        }
        assert_eq!(window.finish().map(|request| request.id), Some(MessageId(1)));
        // A second copy of the response answers nothing.
        assert!(!window.awaits(MessageId(1)));
        assert_eq!(window.free(), Some(MessageId(2)));
    }

    #[test]
    fn ids_do_not_wrap() {
        let mut window = RequestWindow::starting_at(MessageId(u32::MAX - 1));
        assert_eq!(window.free(), Some(MessageId(u32::MAX - 1)));
        window.begin(message(1));
        window.finish();
        assert_eq!(window.free(), None);
        let mut window = ReplyWindow::starting_at(MessageId(u32::MAX - 1));
        assert_eq!(window.classify(MessageId(u32::MAX - 1), A, true, NOW), RequestArrival::New);
        window.answer(A, message(1));
        assert_eq!(window.classify(MessageId(u32::MAX), B, true, NOW), RequestArrival::Outside);
    }

    #[test]
    fn a_repetition_gets_the_same_octets_and_nothing_else_does() {
        let mut window = ReplyWindow::starting_at(MessageId(0));
        assert_eq!(window.classify(MessageId(0), A, true, NOW), RequestArrival::New);
        assert_eq!(window.classify(MessageId(1), A, true, NOW), RequestArrival::Outside);
        window.answer(A, message(5));
        assert_eq!(
            window.classify(MessageId(0), A, true, NOW),
            RequestArrival::Repeated(&datagrams(5))
        );
        assert_eq!(window.classify(MessageId(0), B, true, NOW), RequestArrival::Outside);
        assert_eq!(window.classify(MessageId(1), A, true, NOW), RequestArrival::New);
        assert_eq!(window.classify(MessageId(2), B, true, NOW), RequestArrival::Outside);
        window.answer(B, message(6));
        assert_eq!(window.classify(MessageId(0), A, true, NOW), RequestArrival::Outside);
        assert_eq!(
            window.classify(MessageId(1), B, true, NOW),
            RequestArrival::Repeated(&datagrams(6))
        );
    }

    #[test]
    fn a_storm_of_repetitions_gets_a_few_answers_and_the_next_request_its_own() {
        let mut window = ReplyWindow::starting_at(MessageId(0));
        window.answer(A, message(5));
        let mut answers = |from_peer, now| {
            let is_answered = |_: &u32| {
                window.classify(MessageId(0), A, from_peer, now) != RequestArrival::Outside
            };
            (0..100).filter(is_answered).count()
        };
        let burst = Rate::REPEATS.burst as usize;
        assert_eq!((answers(false, NOW), answers(false, NOW)), (burst, 0));
        assert_eq!(answers(false, NOW + Rate::REPEATS.interval * 2), 2);
        assert_eq!(answers(true, NOW), burst, "the peer's own share");
        window.answer(B, message(6));
        assert_eq!(
            window.classify(MessageId(1), B, true, NOW),
            RequestArrival::Repeated(&datagrams(6))
        );
    }

    #[test]
    fn nothing_comes_before_the_first_request() {
        let mut window = ReplyWindow::starting_at(MessageId(0));
        assert_eq!(window.classify(MessageId(u32::MAX), A, true, NOW), RequestArrival::Outside);
        let mut window = ReplyWindow::starting_at(MessageId(1));
        assert_eq!(window.classify(MessageId(0), A, true, NOW), RequestArrival::Outside);
    }

    #[test]
    fn windows_survive_a_snapshot() {
        let mut requests = RequestWindow::starting_at(MessageId(4));
        requests.begin(message(1));
        let copy = RequestWindow::restore(requests.next(), requests.outstanding().cloned());
        assert_eq!(copy, requests);
        let mut replies = ReplyWindow::starting_at(MessageId(4));
        replies.answer(A, message(2));
        let copy = ReplyWindow::restore(replies.expected(), replies.answered().cloned());
        assert_eq!(copy, replies);
    }
}
