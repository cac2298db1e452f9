//! A driver and the queue of the zone he is at.
//!
//! ```text
//! Away → Joining → Queued ⇄ (a person places him, takes him out)
//!   ↑        ↓        ↓
//!   └──── Leaving ←─ Out (in the zone, without a place)
//! ```
//!
//! Where he is follows from his fixes (`zone::Presence`); whether he has a place is the queue's to
//! say. An ask without an answer is repeated: the queue's machine may have died with it.

use crate::driver::command::PhoneFrame;
use crate::driver::facts::DriverFacts;
use crate::driver::machine::{DriverMachine, Duty};
use crate::driver::seldom::{Blank, Seldom};
use crate::effect::{Effect, Outbox};
use crate::id::{GateId, ZoneId};
use crate::offer::Offer;
use crate::ride::RideRecord;
use crate::time::{Deadline, DeadlineReason, Timestamp};
use crate::zone::{LeaveReason, QueueNews, Whereabouts, ZoneCommand};

/// What the queue of a zone knows of a driver.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ZoneTie {
    /// The newest ask's instant: each ask has another.
    asked_at: Timestamp,
    /// Since when he has no place, as far as he knows.
    away_since: Timestamp,
    bond: Seldom<Bond>,
}

/// What binds him to a zone.
#[derive(Debug, Clone, PartialEq, Default)]
struct Bond {
    state: TieState,
    /// The gate the queue knows him at.
    gate: Option<GateId>,
    /// The place he had when he got the ride he serves: his again if the rider calls it off.
    kept: Option<(ZoneId, Timestamp)>,
}

impl Blank for Bond {
    fn blank() -> &'static Self {
        static BLANK: Bond = Bond { state: TieState::Away, gate: None, kept: None };
        &BLANK
    }

    fn is_blank(&self) -> bool {
        self == Self::blank()
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
enum TieState {
    /// No queue has him.
    #[default]
    Away,
    /// He asked for a place.
    Joining { zone: ZoneId, retry_at: Timestamp },
    /// He has one.
    Queued { zone: ZoneId, ranked_at: Timestamp, held: bool, since: Timestamp },
    /// He is at the zone and gets none before `until`.
    Out { zone: ZoneId, until: Option<Timestamp> },
    /// He asked to be let go.
    Leaving { zone: ZoneId, reason: LeaveReason, retry_at: Timestamp },
}

/// Where a driver belongs, by his fixes and his day.
enum Wanted {
    /// Not known yet.
    Unknown,
    /// At a queue.
    At { zone: ZoneId, gate: Option<GateId>, since: Timestamp },
    /// At none, for this reason.
    Nowhere(LeaveReason),
}

impl ZoneTie {
    pub(super) const fn new(now: Timestamp) -> Self {
        // A place that his fixes show from here on is news: he came when they show it.
        Self { asked_at: now, away_since: Timestamp::from_millis(0), bond: Seldom::BLANK }
    }

    /// The zone in whose queue he has a place.
    pub(super) fn queued_at(&self) -> Option<&ZoneId> {
        match &self.bond.state {
            TieState::Queued { zone, .. } => Some(zone),
            TieState::Away
            | TieState::Joining { .. }
            | TieState::Out { .. }
            | TieState::Leaving { .. } => None,
        }
    }

    /// The place he had before his ride is gone.
    fn forget_kept(&mut self) {
        if let Some(bond) = self.bond.there() {
            bond.kept = None;
        }
    }

    /// Gives back what a bond took that is no more.
    pub(super) fn trim(&mut self) {
        self.bond.trim();
    }

    /// The queue must be told his tiers again; his place stays.
    pub(super) fn profile_changed(&mut self) {
        if let TieState::Queued { zone, held: false, .. } = &self.bond.state {
            let (zone, retry_at) = (zone.clone(), Timestamp::default());
            self.bond.made().state = TieState::Joining { zone, retry_at };
        }
    }
}

impl DriverMachine {
    /// The zone in whose queue he has a place, as far as he knows.
    pub fn queued_at(&self) -> Option<&ZoneId> {
        self.tie.queued_at()
    }

    /// Whether he waits for a queue's answer.
    pub fn asks_a_queue(&self) -> bool {
        matches!(self.tie.bond.state, TieState::Joining { .. } | TieState::Leaving { .. })
    }

    pub(super) fn refresh_facts(&mut self) {
        let zone = self.tie.queued_at().and_then(|id| self.market.zones().get(id));
        let closed = zone.filter(|zone| !zone.open_market).map(|zone| zone.id.clone());
        let facts = DriverFacts { closed_zone: closed, ..DriverFacts::of(&self.record) };
        self.facts = facts.into();
    }

    /// A ride that its rider or an operator called off before it began gives its driver his place
    /// back.
    pub(super) fn keep_place_after(&mut self, ride: &RideRecord) {
        let called_off = ride.started_at.is_none() && !ride.gave_back.contains(self.id());
        let by_others = ride.cancelled_by.is_some_and(|by| by != crate::ride::CancelledBy::Driver);
        if !(called_off && by_others) {
            self.tie.forget_kept();
        }
    }

    /// An offer of a ride at the zone he queues at that he let pass counts there.
    pub(super) fn tell_skipped(&self, offer: &Offer, out: &mut Outbox) {
        if let Some(zone) = self.tie.queued_at()
            && offer.terms.needs.is_queued_at(zone)
        {
            let driver = self.id().clone();
            out.push(Effect::ToZone(zone.clone(), ZoneCommand::Skipped { driver }));
        }
    }

    fn silent_until(&self, zone: &ZoneId) -> Option<Timestamp> {
        let rules = self.market.zones().get(zone)?.queue?;
        let since = match &self.tie.bond.state {
            TieState::Queued { since, .. } => *since,
            TieState::Away
            | TieState::Joining { .. }
            | TieState::Out { .. }
            | TieState::Leaving { .. } => Timestamp::default(),
        };
        let heard_at = self.slot.read().map_or(since, |reading| reading.received_at.max(since));
        Some(heard_at.plus_millis(rules.silent_ms))
    }

    fn wanted(&self, now: Timestamp) -> Wanted {
        if !self.record.online {
            return Wanted::Nowhere(LeaveReason::Offline);
        }
        if matches!(self.duty, Duty::Serving { .. }) || self.forward.is_held() {
            return Wanted::Nowhere(LeaveReason::Served);
        }
        if let Some(zone) = self.tie.queued_at()
            && self.silent_until(zone).is_some_and(|at| at <= now)
        {
            return Wanted::Nowhere(LeaveReason::OutOfContact);
        }
        match self.slot.whereabouts() {
            Whereabouts::Unknown => Wanted::Unknown,
            Whereabouts::Settled { zone, gate, since } => {
                let queue = zone.filter(|zone| self.has_queue(zone));
                match queue {
                    Some(zone) if self.silent_until(&zone).is_none_or(|at| at > now) => {
                        Wanted::At { zone, gate, since }
                    }
                    Some(_) => Wanted::Nowhere(LeaveReason::OutOfContact),
                    None => Wanted::Nowhere(LeaveReason::LeftZone),
                }
            }
        }
    }

    fn has_queue(&self, zone: &ZoneId) -> bool {
        self.market.zones().get(zone).is_some_and(|zone| zone.queue.is_some())
    }

    /// Brings the queues to where the driver belongs, one ask at a time.
    pub(super) fn settle_zone(&mut self, now: Timestamp, out: &mut Outbox) {
        if !self.market.zones().are_watched() && self.tie.bond.state == TieState::Away {
            return;
        }
        self.repeat_otp(now, out);
        let wanted = self.wanted(now);
        if matches!(wanted, Wanted::Nowhere(LeaveReason::OutOfContact)) {
            self.slot.request_attention();
        }
        match (self.tie.bond.state.clone(), wanted) {
            (TieState::Away, Wanted::At { zone, gate, since }) => {
                self.join(zone, gate, since, now, out);
            }
            (TieState::Joining { zone: own, retry_at }, Wanted::At { zone, gate, since })
                if own == zone =>
            {
                if retry_at <= now {
                    self.ask_to_join(own, gate, since, now, out);
                }
            }
            (TieState::Queued { zone: own, held, .. }, Wanted::At { zone, gate, since })
                if own == zone =>
            {
                if held {
                    self.join(own, gate, since, now, out);
                } else if self.tie.bond.gate != gate {
                    self.tell_gate(own, gate, out);
                }
            }
            (TieState::Out { zone: own, until }, Wanted::At { zone, gate, since })
                if own == zone =>
            {
                if until.is_some_and(|until| until <= now) {
                    self.join(own, gate, since, now, out);
                }
            }
            (TieState::Leaving { zone, reason, retry_at }, _) => {
                if retry_at <= now {
                    self.ask_to_leave(zone, reason, now, out);
                }
            }
            (TieState::Queued { held: true, .. }, Wanted::Nowhere(LeaveReason::LeftZone))
            | (TieState::Away, _) => {}
            (TieState::Joining { zone, retry_at }, Wanted::Unknown) => {
                if retry_at <= now {
                    self.ask_to_join(zone, None, now, now, out);
                }
            }
            // The bar is over: whether he is still there his next fixes tell.
            (TieState::Out { until: Some(until), .. }, Wanted::Unknown) if until <= now => {
                self.tie.bond.made().state = TieState::Away;
            }
            (TieState::Queued { .. } | TieState::Out { .. }, Wanted::Unknown) => {}
            (
                TieState::Joining { zone, .. }
                | TieState::Queued { zone, .. }
                | TieState::Out { zone, .. },
                wanted,
            ) => {
                let reason = match wanted {
                    Wanted::Nowhere(reason) => reason,
                    Wanted::At { .. } | Wanted::Unknown => LeaveReason::OtherZone,
                };
                self.leave(zone, reason, now, out);
            }
        }
    }

    const fn next_ask(&mut self, now: Timestamp) {
        let next = self.tie.asked_at.plus_millis(1);
        self.tie.asked_at = if now.as_millis() > next.as_millis() { now } else { next };
    }

    fn join(
        &mut self,
        zone: ZoneId,
        gate: Option<GateId>,
        since: Timestamp,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        self.next_ask(now);
        self.ask_to_join(zone, gate, since, now, out);
    }

    fn ask_to_join(
        &mut self,
        zone: ZoneId,
        gate: Option<GateId>,
        since: Timestamp,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let kept = self.tie.bond.kept.as_ref().filter(|(own, _)| *own == zone).map(|(_, at)| *at);
        let came_at = if since > self.tie.away_since { since } else { now };
        let retry_at = now.plus_millis(self.policy.accept_retry_ms);
        self.tie.bond.made().gate = gate.clone();
        self.tie.bond.made().state = TieState::Joining { zone: zone.clone(), retry_at };
        let join = ZoneCommand::Join {
            driver: self.id().clone(),
            tiers: self.record.profile.service_tiers.clone(),
            at: kept.unwrap_or(came_at),
            gate,
            asked_at: self.tie.asked_at,
        };
        out.push(Effect::ToZone(zone, join));
    }

    fn tell_gate(&mut self, zone: ZoneId, gate: Option<GateId>, out: &mut Outbox) {
        self.tie.bond.made().gate = gate.clone();
        let driver = self.id().clone();
        out.push(Effect::ToZone(zone, ZoneCommand::AtGate { driver, gate }));
    }

    fn leave(&mut self, zone: ZoneId, reason: LeaveReason, now: Timestamp, out: &mut Outbox) {
        if let TieState::Queued { zone, ranked_at, .. } = &self.tie.bond.state {
            let served = reason == LeaveReason::Served;
            self.tie.bond.made().kept = served.then(|| (zone.clone(), *ranked_at));
        }
        self.next_ask(now);
        self.ask_to_leave(zone, reason, now, out);
    }

    fn ask_to_leave(
        &mut self,
        zone: ZoneId,
        reason: LeaveReason,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let (driver, asked_at) = (self.id().clone(), self.tie.asked_at);
        let retry_at = now.plus_millis(self.policy.accept_retry_ms);
        out.push(Effect::ToZone(zone.clone(), ZoneCommand::Leave { driver, reason, asked_at }));
        self.tie.bond.made().state = TieState::Leaving { zone, reason, retry_at };
        self.refresh_facts();
    }

    pub(super) fn on_queue_news(
        &mut self,
        zone: &ZoneId,
        news: QueueNews,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        match news {
            QueueNews::Placed { asked_at, ranked_at, held } => {
                self.on_placed(zone, asked_at, ranked_at, held, now, out);
            }
            QueueNews::Removed { asked_at, reason, barred_until } => {
                self.on_removed(zone, asked_at, reason, barred_until, now, out);
            }
            QueueNews::Called { call } => {
                if self.tie.queued_at() == Some(zone) {
                    self.frames.void_call(&call.id);
                    let zone = zone.clone();
                    self.frames.push(|seq| PhoneFrame::QueueCall { seq, zone, call }, out);
                }
            }
            QueueNews::CallOver { call } => {
                self.frames.void_call(&call);
                let zone = zone.clone();
                self.frames.push(|seq| PhoneFrame::QueueCallOver { seq, zone, call }, out);
            }
            QueueNews::OtpFound { asked_at, standing } => {
                self.on_otp_found(asked_at, &standing, now, out);
            }
            QueueNews::OtpUnknown { asked_at } => self.on_otp_unknown(asked_at, now, out),
        }
    }

    fn on_placed(
        &mut self,
        zone: &ZoneId,
        asked_at: Option<Timestamp>,
        ranked_at: Timestamp,
        held: bool,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let own = match &self.tie.bond.state {
            TieState::Joining { zone: own, .. } => {
                let mine = own == zone && asked_at == Some(self.tie.asked_at);
                if !mine && own == zone {
                    return;
                }
                Some(own)
            }
            TieState::Queued { zone: own, .. } => Some(own),
            TieState::Away | TieState::Out { .. } => None,
            // The answer to what he asked is on its way.
            TieState::Leaving { .. } => return,
        };
        if own.is_some_and(|own| own != zone) && !held {
            // A place from before: he is elsewhere now.
            let (driver, asked_at) = (self.id().clone(), Timestamp::default());
            let reason = LeaveReason::OtherZone;
            let leave = ZoneCommand::Leave { driver, reason, asked_at };
            return out.push(Effect::ToZone(zone.clone(), leave));
        }
        if let Some(other) = own.filter(|own| *own != zone) {
            let (driver, asked_at) = (self.id().clone(), Timestamp::default());
            let reason = LeaveReason::Manual;
            let leave = ZoneCommand::Leave { driver, reason, asked_at };
            out.push(Effect::ToZone(other.clone(), leave));
        }
        if asked_at.is_some() && !matches!(self.tie.bond.state, TieState::Joining { .. }) {
            return;
        }
        let known = self.tie.queued_at() == Some(zone);
        self.tie.bond.made().kept = None;
        let state = TieState::Queued { zone: zone.clone(), ranked_at, held, since: now };
        self.tie.bond.made().state = state;
        self.refresh_facts();
        if !known {
            self.frames.send(PhoneFrame::QueueJoined { zone: zone.clone() }, out);
        }
    }

    fn on_removed(
        &mut self,
        zone: &ZoneId,
        asked_at: Option<Timestamp>,
        reason: LeaveReason,
        barred_until: Option<Timestamp>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let answered = asked_at == Some(self.tie.asked_at);
        let next = match &self.tie.bond.state {
            TieState::Leaving { zone: own, .. } if own == zone && answered => TieState::Away,
            TieState::Joining { zone: own, .. } if own == zone && answered => {
                TieState::Out { zone: zone.clone(), until: barred_until }
            }
            TieState::Queued { zone: own, .. } if own == zone && asked_at.is_none() => {
                TieState::Out { zone: zone.clone(), until: barred_until }
            }
            TieState::Away
            | TieState::Joining { .. }
            | TieState::Queued { .. }
            | TieState::Out { .. }
            | TieState::Leaving { .. } => return,
        };
        self.tie.bond.made().state = next;
        self.tie.away_since = now;
        self.refresh_facts();
        self.frames.send(PhoneFrame::QueueLeft { zone: zone.clone(), reason }, out);
    }

    /// When the tie to a zone must be looked at again.
    pub(super) fn zone_deadline(&self) -> Option<Deadline> {
        let tie = match &self.tie.bond.state {
            TieState::Joining { retry_at, .. } | TieState::Leaving { retry_at, .. } => {
                Some(Deadline { at: *retry_at, reason: DeadlineReason::QueueRetry })
            }
            TieState::Queued { zone, .. } => self
                .silent_until(zone)
                .map(|at| Deadline { at, reason: DeadlineReason::QueueSilence }),
            // Who is nowhere to be seen when it ends comes back with his next fix.
            TieState::Out { until, .. } => {
                let seen = self.slot.whereabouts() != Whereabouts::Unknown;
                until
                    .filter(|_| seen)
                    .map(|at| Deadline { at, reason: DeadlineReason::QueueBarEnd })
            }
            TieState::Away => None,
        };
        tie.into_iter().chain(self.otp_deadline()).min()
    }
}
