//! The machine of one driver: state, deadlines and the door every command comes through.

use std::sync::Arc;

use crate::driver::command::{DriverCommand, PhoneFrame};
use crate::driver::facts::DriverFacts;
use crate::driver::forward::{Forward, follows};
use crate::driver::frames::PhoneFrames;
use crate::driver::offers::Offered;
use crate::driver::otp::Otp;
use crate::driver::queueing::ZoneTie;
use crate::driver::record::{DriverProfile, DriverRecord, DriverView};
use crate::driver::seldom::{Seldom, SharedSeldom};
use crate::driver::stats::DriverStats;
use crate::effect::{Answer, Asker, CloseReason, Effect, Outbox, ReplyTo, SessionId};
use crate::event::{Event, EventKind};
use crate::grid::{Contact, DriverSlot, DriverStatus, Hold, Supply, TagFilter, TierSet};
use crate::id::{DriverId, OfferId, RideId};
use crate::invariant::Invariant;
use crate::machine::Machine;
use crate::market::Market;
use crate::offer::{Exclusion, Offer, OfferEnd, WithdrawReason};
use crate::policy::DispatchPolicy;
use crate::ride::RideRecord;
use crate::time::{Deadline, DeadlineReason, Timestamp};
use crate::units::Money;

/// Ended offers a driver remembers, so that a late answer learns how they ended.
pub const ENDED_OFFERS_MAX: usize = 32;

/// The only writer of one driver.
#[derive(Debug)]
pub struct DriverMachine {
    /// Shared with whoever reads what of him is durable.
    pub(super) record: Arc<DriverRecord>,
    pub(super) market: Arc<Market>,
    pub(super) policy: Arc<DispatchPolicy>,
    pub(super) slot: Arc<DriverSlot>,
    pub(super) tiers: TierSet,
    pub(super) duty: Duty,
    /// What comes after it.
    pub(super) forward: Forward,
    pub(super) offered: Seldom<Offered>,
    /// Those ahead of the record's, until they are written with it.
    pub(super) stats_ahead: Option<Box<DriverStats>>,
    pub(super) cooldown_until: Timestamp,
    pub(super) frames: PhoneFrames,
    contact: Contact,
    /// Shared with the supply index.
    placed: Option<Arc<Supply>>,
    /// What eligibility reads of `record`.
    pub(super) facts: SharedSeldom<DriverFacts>,
    /// What the queue of a zone knows of him.
    pub(super) tie: ZoneTie,
    pub(super) otp: Seldom<Otp>,
    /// Whether this machine was told to remove him: one that was rebuilt does not know his rides yet.
    pub(super) told_to_go: bool,
}

/// What a driver is bound to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Duty {
    /// Nothing.
    Free,
    /// He accepted and waits; no second accept is possible.
    Reserved(Box<Reserved>),
    /// He serves a ride.
    Serving {
        /// The ride as last told.
        ride: Arc<RideRecord>,
        status: DriverStatus,
    },
}

/// An accept that waits for the ride's answer, or with a quote for the rider's choice.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reserved {
    pub(super) offer: OfferId,
    pub(super) ride: RideId,
    /// What he asks, where accepts are quotes.
    pub(super) fare: Option<Money>,
    pub(super) waits_for: WaitsFor,
    /// Who waits to learn who won.
    pub(super) askers: Vec<Asker>,
    /// When the accept is repeated.
    pub(super) retry_at: Timestamp,
}

/// Whose word a reserved driver waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// The ride's: nothing but its answer frees him.
    Ride,
    /// The rider's, with a quote that he may take back.
    Rider,
    /// The ride's, as one who stands by and may leave.
    Standby,
}

/// How an offer ended, as its driver remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EndedOffer {
    pub(super) end: OfferEnd,
    pub(super) reason: WithdrawReason,
}

impl DriverMachine {
    /// A machine for `record`. `slot` is where the driver's sessions write his positions.
    pub fn new(
        record: impl Into<Arc<DriverRecord>>,
        slot: Arc<DriverSlot>,
        market: Arc<Market>,
        policy: Arc<DispatchPolicy>,
        now: Timestamp,
    ) -> Self {
        let record = record.into();
        slot.request_attention();
        let facts = DriverFacts::of(&record).into();
        Self {
            tiers: market.tier_set(&record.profile.service_tiers).unwrap_or_default(),
            market,
            stats_ahead: record.stats.begun(now).map(Box::new),
            record,
            policy,
            slot,
            facts,
            duty: Duty::Free,
            forward: Forward::None,
            offered: Seldom::BLANK,
            cooldown_until: Timestamp::default(),
            frames: PhoneFrames::new(now),
            contact: Contact::Stale,
            placed: None,
            tie: ZoneTie::new(now),
            otp: Seldom::BLANK,
            told_to_go: false,
        }
    }

    /// Takes note of the policy in force.
    pub fn use_policy(&mut self, policy: &Arc<DispatchPolicy>) {
        if !Arc::ptr_eq(&self.policy, policy) {
            self.policy = Arc::clone(policy);
        }
    }

    /// Profile and intent.
    pub fn record(&self) -> &DriverRecord {
        &self.record
    }

    /// The ride this driver serves.
    pub fn serving(&self) -> Option<&RideId> {
        match &self.duty {
            Duty::Serving { ride, .. } => Some(&ride.request.ride),
            Duty::Free | Duty::Reserved(_) => None,
        }
    }

    /// Offers he holds, seen or not.
    pub fn live_offers(&self) -> impl Iterator<Item = &Offer> {
        self.offered.live.values()
    }

    /// Offers that are on his screen.
    fn shown(&self) -> impl Iterator<Item = &Offer> {
        self.offered.live.values().filter(|offer| !self.offered.hidden.contains(&offer.id))
    }

    /// Slots in use by offers for now, and by forward offers, without those of offers that came back
    /// after a restart: the caps of M2 count these.
    pub fn slots_held(&self) -> (usize, usize) {
        let counted = self
            .offered
            .live
            .values()
            .filter(|offer| !self.offered.redelivered.contains(&offer.id));
        let (forward, idle): (Vec<&Offer>, Vec<&Offer>) =
            counted.partition(|offer| offer.forward.is_some());
        (idle.len(), forward.len())
    }

    /// What the driver does.
    pub fn status(&self) -> DriverStatus {
        match &self.duty {
            Duty::Serving { status, .. } => *status,
            Duty::Reserved(_) => DriverStatus::Reserved,
            Duty::Free if self.forward.is_held() => DriverStatus::EnRoute,
            Duty::Free if self.record.online => DriverStatus::Available,
            Duty::Free => DriverStatus::Offline,
        }
    }

    /// His whole state, for people.
    pub fn view(&self) -> DriverView {
        DriverView {
            record: DriverRecord::clone(&self.record),
            status: self.status(),
            contact: self.contact,
            reading: self.slot.read(),
            offers: self.shown().cloned().collect(),
            stats: self.stats().clone(),
            ride: self.serving().cloned(),
            forward_ride: self.forward_ride().cloned(),
            standby_ride: self.standby_ride().cloned(),
            zone: self.slot.whereabouts().zone().cloned(),
            queue: self.tie.queued_at().cloned(),
        }
    }

    /// Checks the invariants this machine can see by itself.
    ///
    /// # Errors
    /// The first [`Invariant`] that does not hold.
    pub fn check(&self) -> Result<(), Invariant> {
        let (idle, forward) = self.slots_held();
        if idle > usize::from(self.policy.live_offers_max)
            || forward > usize::from(self.policy.forward_live_offers_max)
        {
            return Err(Invariant::M2);
        }
        let offered = &self.offered;
        let mut parts = offered.redelivered.iter().chain(&offered.hidden);
        let kept = parts.all(|id| offered.live.contains_key(id));
        let own = kept && offered.live.values().all(|offer| offer.driver == self.record.driver);
        let reserved_is_held = match &self.duty {
            Duty::Reserved(own) => {
                own.waits_for == WaitsFor::Ride || offered.live.contains_key(&own.offer)
            }
            Duty::Free => true,
            Duty::Serving { ride, .. } => {
                offered.live.values().all(|offer| follows(offer, ride) || self.accepts(&offer.id))
            }
        };
        let reserved_is_held =
            reserved_is_held && (!self.forward.is_held() || offered.live.is_empty());
        if own && reserved_is_held { Ok(()) } else { Err(Invariant::M5) }
    }

    pub(super) fn id(&self) -> &DriverId {
        &self.record.driver
    }

    pub(super) fn publish(&self, kind: EventKind, out: &mut Outbox) {
        out.push(Effect::Publish(Event { market: self.record.profile.market.clone(), kind }));
    }

    pub(super) fn answer(&self, reply: Option<ReplyTo>, out: &mut Outbox) {
        if let Some(reply) = reply {
            out.push(Effect::Answer(reply, Answer::Driver(Box::new(self.view()))));
        }
    }

    pub(super) fn blocked(&self, now: Timestamp) -> bool {
        self.record.profile.blocked_until.is_some_and(|until| until > now)
    }

    /// Whether the newest fix is young enough for offers.
    pub const fn contact(&self) -> Contact {
        self.contact
    }

    fn on_put_profile(
        &mut self,
        profile: DriverProfile,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if self.is_gone() {
            return;
        }
        self.tiers = self.market.tier_set(&profile.service_tiers).unwrap_or_default();
        Arc::make_mut(&mut self.record).profile = profile;
        self.refresh_facts();
        self.tie.profile_changed();
        if self.blocked(now) {
            self.free_of_waiting();
            self.release_offers(Exclusion::Blocked, out);
        }
        self.persist(out);
        self.answer(reply, out);
    }

    /// Going offline withdraws live offers at once; a ride under way is finished first.
    fn on_set_online(
        &mut self,
        online: bool,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        // He who is to go does not come back to work.
        let online = online && self.record.profile.departure.is_none();
        if self.record.online != online {
            Arc::make_mut(&mut self.record).online = online;
            if online {
                self.count_going_online(now);
            }
            self.persist(out);
            if !online {
                self.free_of_waiting();
                self.release_offers(Exclusion::Offline, out);
            }
        }
        self.answer(reply, out);
    }

    fn on_connect(&mut self, session: SessionId, last_seq: Option<u64>, out: &mut Outbox) {
        if let Some(old) = self.frames.connect(session, last_seq) {
            out.push(Effect::CloseSession(old, CloseReason::Superseded));
        }
        let driver = Box::new(self.view());
        self.frames.send(PhoneFrame::Welcome { seq: self.frames.seq(), driver }, out);
        self.frames.replay(out);
    }

    /// Reads the slot and settles the contact axis.
    fn refresh_contact(&mut self, now: Timestamp) {
        let heard_at = self.slot.read().map(|reading| reading.received_at);
        let silent_ms = heard_at.map_or(u64::MAX, |at| now.millis_since(at));
        self.contact = if silent_ms < self.policy.stale_after_ms {
            Contact::Live
        } else if silent_ms < self.policy.lost_after_ms {
            Contact::Stale
        } else {
            Contact::Lost
        };
        if self.contact != Contact::Live {
            self.slot.request_attention();
        }
    }

    /// Tells the supply index what changed, if anything did, or all of it again.
    fn refresh_supply(&mut self, now: Timestamp, moved: bool, out: &mut Outbox) {
        let supply = Supply {
            tiers: self.tiers,
            tags: TagFilter::of(self.record.profile.tags.iter().map(String::as_str)),
            status: self.status(),
            contact: self.contact,
            live_offers: u8::try_from(self.offered.live.len()).unwrap_or(u8::MAX),
            cooling_down: self.cooldown_until > now,
            blocked: self.blocked(now),
            instant_tiers: self.instant_tiers(),
            in_session: self.is_in_session(),
            hold: Hold::default(),
            forward: self.forward_supply(),
            facts: self.facts.clone(),
            standing: self.standing(now),
        };
        let visible = supply.status != DriverStatus::Offline && self.slot.read().is_some();
        if !visible {
            if self.placed.take().is_some() {
                out.push(Effect::RemoveSupply);
            }
            return;
        }
        let known = self.placed.take().filter(|known| **known == supply);
        let told = known.is_some() && !moved;
        let supply = known.unwrap_or_else(|| Arc::new(supply));
        if !told {
            out.push(Effect::PlaceSupply(Arc::clone(&supply)));
        }
        self.placed = Some(supply);
    }

    /// What a turn has emptied is not kept for the next.
    fn trim(&mut self) {
        self.offered.trim();
        self.otp.trim();
        self.frames.trim();
        self.tie.trim();
    }

    fn contact_deadline(&self) -> Option<Deadline> {
        let heard_at = self.slot.read()?.received_at;
        let at = |ms| heard_at.plus_millis(ms);
        match self.contact {
            Contact::Live => Some(Deadline {
                at: at(self.policy.stale_after_ms),
                reason: DeadlineReason::ContactStale,
            }),
            Contact::Stale => Some(Deadline {
                at: at(self.policy.lost_after_ms),
                reason: DeadlineReason::ContactLost,
            }),
            Contact::Lost => None,
        }
    }

    fn apply(&mut self, command: DriverCommand, now: Timestamp, out: &mut Outbox) {
        match command {
            DriverCommand::PutProfile { profile, reply } => {
                self.on_put_profile(*profile, reply, now, out);
            }
            DriverCommand::SetOnline { online, reply } => {
                self.on_set_online(online, reply, now, out);
            }
            DriverCommand::Remove { reply } => self.on_remove(reply, now, out),
            DriverCommand::PositionChanged => {}
            DriverCommand::Offer { offer, redelivered } => {
                self.on_offer(*offer, redelivered, now, out);
            }
            DriverCommand::Withdraw { offer, reason } => {
                self.on_withdraw(&offer, reason, now, out);
            }
            DriverCommand::AcceptAnswered { offer, answer } => {
                self.on_accept_answered(&offer, answer, now, out);
            }
            DriverCommand::RideUpdated { ride } => self.on_ride_updated(&ride, now, out),
            DriverCommand::ConfirmQuote { offer } | DriverCommand::CallStandby { offer } => {
                self.on_called(*offer, now, out);
            }
            DriverCommand::Accept { offer, fare, asker } => {
                self.on_accept(offer, fare, asker, now, out);
            }
            DriverCommand::EnterOtp { otp, asker } => self.on_enter_otp(otp, asker, now, out),
            DriverCommand::Queue { zone, news } => self.on_queue_news(&zone, news, now, out),
            DriverCommand::Decline { offer, reason: _, reply } => {
                self.on_decline(&offer, reply, now, out);
            }
            DriverCommand::Connect { session, last_seq } => {
                self.on_connect(session, last_seq, out);
            }
            DriverCommand::Disconnect { session } => self.frames.disconnect(session),
            DriverCommand::Ack { seq } => self.frames.acknowledge(seq),
            DriverCommand::Get { reply } => self.answer(Some(reply), out),
        }
    }
}

impl Machine for DriverMachine {
    type Command = DriverCommand;

    fn handle(&mut self, command: DriverCommand, now: Timestamp, out: &mut Outbox) {
        self.on_deadline(now, out);
        // An offer that arrived, taken in or refused, ends the slot that was held for it.
        let moved = match command {
            DriverCommand::PositionChanged
            | DriverCommand::Offer { .. }
            | DriverCommand::ConfirmQuote { .. }
            | DriverCommand::CallStandby { .. } => true,
            DriverCommand::PutProfile { .. }
            | DriverCommand::SetOnline { .. }
            | DriverCommand::Remove { .. }
            | DriverCommand::Withdraw { .. }
            | DriverCommand::AcceptAnswered { .. }
            | DriverCommand::RideUpdated { .. }
            | DriverCommand::Accept { .. }
            | DriverCommand::EnterOtp { .. }
            | DriverCommand::Queue { .. }
            | DriverCommand::Decline { .. }
            | DriverCommand::Connect { .. }
            | DriverCommand::Disconnect { .. }
            | DriverCommand::Ack { .. }
            | DriverCommand::Get { .. } => false,
        };
        self.apply(command, now, out);
        self.settle_zone(now, out);
        self.refresh_supply(now, moved, out);
        self.depart(out);
        self.trim();
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let expiry = self.unanswered().map(|offer| offer.expires_at).min();
        let expiry = expiry.map(|at| Deadline { at, reason: DeadlineReason::OfferExpiry });
        let showing = self.next_showing();
        let showing = showing.map(|at| Deadline { at, reason: DeadlineReason::OfferShowing });
        let retry = match &self.duty {
            Duty::Reserved(own) => {
                Some(Deadline { at: own.retry_at, reason: DeadlineReason::AcceptRetry })
            }
            Duty::Free | Duty::Serving { .. } => self.forward_deadline(),
        };
        let placed = self.placed.as_deref();
        let cooldown = placed
            .filter(|supply| supply.cooling_down)
            .map(|_| Deadline { at: self.cooldown_until, reason: DeadlineReason::CooldownEnd });
        let block = placed.filter(|supply| supply.blocked).and_then(|_| {
            let at = self.record.profile.blocked_until?;
            Some(Deadline { at, reason: DeadlineReason::BlockEnd })
        });
        let contact = if placed.is_some() { self.contact_deadline() } else { None };
        let zone = self.zone_deadline();
        [expiry, showing, retry, cooldown, block, contact, zone].into_iter().flatten().min()
    }

    fn on_deadline(&mut self, now: Timestamp, out: &mut Outbox) {
        self.refresh_contact(now);
        self.expire_offers(now, out);
        self.show_due(now, out);
        self.repeat_accept(now, out);
        self.tend_forward(now, out);
        self.settle_zone(now, out);
        self.refresh_supply(now, false, out);
        self.depart(out);
        self.trim();
    }
}
