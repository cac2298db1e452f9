//! The frames a phone has not acknowledged, and the session they go to.

use std::collections::VecDeque;

use crate::driver::command::PhoneFrame;
use crate::driver::seldom::{Blank, Seldom};
use crate::effect::{Effect, Outbox, SessionId};
use crate::id::{CallId, OfferId, RideId};
use crate::time::Timestamp;

/// Frames kept for one phone. When it is full the oldest goes: the `welcome` frame carries the
/// whole state, so a phone that missed a frame is still told what is true.
pub const PHONE_FRAMES_MAX: usize = 64;

/// The outgoing side of one driver's phone.
#[derive(Debug)]
pub(super) struct PhoneFrames {
    session: Option<SessionId>,
    /// The newest sequence number given out. It starts at the instant the machine was made, so it
    /// keeps growing when a machine is rebuilt, without being durable.
    seq: u64,
    unacknowledged: Seldom<VecDeque<PhoneFrame>>,
}

impl Blank for VecDeque<PhoneFrame> {
    fn blank() -> &'static Self {
        static BLANK: VecDeque<PhoneFrame> = VecDeque::new();
        &BLANK
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl PhoneFrames {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { session: None, seq: now.as_millis(), unacknowledged: Seldom::BLANK }
    }

    /// Whether a phone is connected.
    pub(super) const fn has_session(&self) -> bool {
        self.session.is_some()
    }

    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }

    /// Makes `session` the live one and returns the one it supersedes.
    pub(super) fn connect(
        &mut self,
        session: SessionId,
        last_seq: Option<u64>,
    ) -> Option<SessionId> {
        if let Some(last_seq) = last_seq {
            self.acknowledge(last_seq);
        }
        self.session.replace(session).filter(|old| *old != session)
    }

    pub(super) fn disconnect(&mut self, session: SessionId) {
        if self.session == Some(session) {
            self.session = None;
        }
    }

    /// Sends every unacknowledged frame again, in order.
    pub(super) fn replay(&self, out: &mut Outbox) {
        if let Some(session) = self.session {
            for frame in self.unacknowledged.iter() {
                out.push(Effect::SendFrame(session, frame.clone()));
            }
        }
    }

    /// Numbers a frame, keeps it and sends it.
    pub(super) fn push(&mut self, frame: impl FnOnce(u64) -> PhoneFrame, out: &mut Outbox) {
        self.seq += 1;
        let frame = frame(self.seq);
        self.send(frame.clone(), out);
        let kept = self.unacknowledged.made();
        if kept.len() == PHONE_FRAMES_MAX {
            kept.pop_front();
        }
        kept.push_back(frame);
    }

    /// Sends a frame that is not kept.
    pub(super) fn send(&self, frame: PhoneFrame, out: &mut Outbox) {
        if let Some(session) = self.session {
            out.push(Effect::SendFrame(session, frame));
        }
    }

    pub(super) fn acknowledge(&mut self, seq: u64) {
        self.keep(|frame| frame.seq().is_some_and(|own| own > seq));
    }

    fn keep(&mut self, which: impl FnMut(&PhoneFrame) -> bool) {
        if let Some(kept) = self.unacknowledged.there() {
            kept.retain(which);
        }
    }

    /// Gives back what frames took that have all been acknowledged.
    pub(super) fn trim(&mut self) {
        self.unacknowledged.trim();
    }

    /// An ended offer is not shown any more.
    pub(super) fn void_offer(&mut self, ended: &OfferId) {
        self.keep(|frame| !matches!(frame, PhoneFrame::Offer { offer, .. } if offer.id == *ended));
    }

    /// A driver who is there needs no nudge.
    pub(super) fn void_nudges(&mut self, of: &RideId) {
        self.keep(
            |frame| !matches!(frame, PhoneFrame::Nudge { ride, .. } if ride.request.ride == *of),
        );
    }

    /// A call to a gate that is over is not announced any more.
    pub(super) fn void_call(&mut self, over: &CallId) {
        self.keep(|frame| !matches!(frame, PhoneFrame::QueueCall { call, .. } if call.id == *over));
    }

    /// A ride that is over is not announced any more.
    pub(super) fn void_assigned(&mut self, over: &RideId) {
        self.void_nudges(over);
        self.keep(|frame| {
            !matches!(frame, PhoneFrame::Assigned { ride, .. } if ride.request.ride == *over)
        });
    }
}
