//! The machine of one ride: state, deadlines and the door every command comes through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{AcceptAnswer, Answer, Effect, Outbox, Refusal, ReplyTo};
use crate::event::{Event, EventKind};
use crate::geo::Position;
use crate::id::{DriverId, OfferId, stable_hash};
use crate::machine::Machine;
use crate::market::Market;
use crate::offer::{OfferEnd, OfferTerms, StandbyOutcome, WithdrawReason};
use crate::policy::{AttemptKind, DispatchPolicy, PolicyBook};
use crate::ride::attempts::Attempts;
use crate::ride::batched::WindowPlace;
use crate::ride::collection::Collection;
use crate::ride::command::RideCommand;
use crate::ride::decision::WaveDecision;
use crate::ride::pickup_watch::PickupWatch;
use crate::ride::pinning::policy_context;
use crate::ride::places::{RidePlaces, ZoneTold};
use crate::ride::quotes::{Acceptance, Selection};
use crate::ride::record::{
    AttemptOffers, OfferCounts, PinnedPolicy, RideCommit, RideEventKind, RideRecord, RideRequest,
    RideStatus,
};
use crate::ride::seeking::Seeking;
use crate::ride::standby_search::StandbyWatch;
use crate::time::{Deadline, DeadlineReason, Timestamp};
use crate::travel::Travel;

/// The only writer of one ride.
#[derive(Debug)]
pub struct RideMachine {
    pub(super) record: RideRecord,
    /// The record as of the newest transition: what anyone may be told.
    pub(super) told: Arc<RideRecord>,
    pub(super) market: Arc<Market>,
    /// The policies in force now.
    pub(super) book: Arc<PolicyBook>,
    /// Pinned when the attempt began.
    pub(super) policy: Arc<DispatchPolicy>,
    /// What the next [`RideCommand::Candidates`] is for.
    pub(super) seeking: Option<Seeking>,
    /// Radius steps beyond the wave's own, taken because nobody was found.
    pub(super) widened: u32,
    /// Searches in a row that found nobody at full radius.
    pub(super) empty_searches: u32,
    /// When a search that found nobody looks again.
    pub(super) retry_at: Option<Timestamp>,
    /// Drivers whose machine refused an offer, until when they are passed over.
    pub(super) set_aside: BTreeMap<DriverId, Timestamp>,
    /// Offers ended in this turn whose end is written with what comes of the search for others.
    pub(super) ends_unwritten: bool,
    /// How the driver comes along.
    pub(super) pickup_watch: PickupWatch,
    /// When to look for a better one.
    pub(super) standby_watch: StandbyWatch,
    /// Drivers' machines that refused since the wave was sent.
    pub(super) refusals: u32,
    /// Drivers of a dispatch window who accepted and wait for the best of them to be chosen.
    pub(super) collection: Collection,
    /// The quote that the rider chose, until its driver has confirmed.
    pub(super) selection: Option<Selection>,
    /// From when a ride that is over stays in memory, if not from its end.
    called_at: Option<Timestamp>,
    /// The shell was asked to drop this machine.
    pub(super) retired: bool,
    /// The zones the ride begins and ends in.
    pub(super) places: Arc<RidePlaces>,
    /// What the zone of the pickup knows of it.
    pub(super) zone_told: ZoneTold,
    /// What the market's matcher knows of it.
    pub(super) window: WindowPlace,
    /// The way to this drop-off, as the newest search knew it.
    pub(super) trip_travel: Option<(Position, Travel)>,
}

impl RideMachine {
    /// A machine for a request that does not exist yet; [`RideCommand::Request`] brings it to life.
    pub fn new(request: RideRequest, market: Arc<Market>, book: Arc<PolicyBook>) -> Self {
        let at = request.requested_at;
        let record = RideRecord {
            version: 0,
            status: RideStatus::Scheduled,
            attempt: 1,
            policy: PinnedPolicy::default(),
            wave: 0,
            search_radius_m: 0,
            search_began_at: at,
            search_deadline: at,
            service_tiers: request.service_tiers.clone(),
            dropoff: None,
            tip: request.tip.clone(),
            offers: BTreeMap::new(),
            offer_counts: OfferCounts::default(),
            attempt_offers: AttemptOffers::default(),
            asked: BTreeSet::new(),
            gave_back: BTreeSet::new(),
            instant: None,
            ended_quotes: Vec::new(),
            assignment: None,
            otp: None,
            otp_ride: false,
            otp_draws: 0,
            reallocations: 0,
            attempts: Attempts::default(),
            arrived_at: None,
            started_at: None,
            completed_at: None,
            cancelled_at: None,
            ended_at: None,
            cancelled_by: None,
            reason: None,
            request: Arc::new(request),
        };
        Self::restore(record, market, book)
    }

    /// A machine that goes on where `record` ends; [`RideCommand::Resume`] takes up its work.
    ///
    /// The attempt goes on under the policies in force now: the ones it began under may be gone.
    pub fn restore(record: RideRecord, market: Arc<Market>, book: Arc<PolicyBook>) -> Self {
        let began = (record.policy.attempt, record.search_began_at);
        let places = Arc::new(RidePlaces::of(&record.request, &market));
        let policy = book.resolve(&policy_context(&record, &places, began.0, began.1)).policy;
        Self {
            told: Arc::new(record.clone()),
            record,
            market,
            book,
            policy,
            seeking: None,
            widened: 0,
            empty_searches: 0,
            retry_at: None,
            set_aside: BTreeMap::new(),
            ends_unwritten: false,
            pickup_watch: PickupWatch::default(),
            standby_watch: StandbyWatch::default(),
            refusals: 0,
            collection: Collection::default(),
            selection: None,
            called_at: None,
            retired: false,
            places,
            zone_told: ZoneTold::default(),
            window: WindowPlace::default(),
            trip_travel: None,
        }
    }

    /// The state, including transitions that are not durable yet.
    pub const fn record(&self) -> &RideRecord {
        &self.record
    }

    /// Makes the present state durable as one transition of history.
    pub(super) fn commit(
        &mut self,
        kind: RideEventKind,
        now: Timestamp,
        decision: Option<WaveDecision>,
        out: &mut Outbox,
    ) {
        self.ends_unwritten = false;
        self.record.version += 1;
        self.told = Arc::new(self.record.clone());
        let record = Arc::clone(&self.told);
        let origin = record.request.origin.clone();
        let commit = RideCommit { record, kind, at: now, decision, origin };
        out.push(Effect::PersistRide(Box::new(commit)));
    }

    pub(super) fn publish(&self, kind: EventKind, out: &mut Outbox) {
        let market = self.record.request.market.clone();
        let arm = self.record.policy.arm.as_ref();
        if let Some((outcome, arm)) = kind.experiment_outcome().zip(arm) {
            let kind = EventKind::ExperimentRide { arm: arm.clone(), outcome };
            out.push(Effect::Publish(Event { market: market.clone(), kind }));
        }
        out.push(Effect::Publish(Event { market, kind }));
    }

    /// Answers the caller, if one waits, with the ride as it stands.
    pub(super) fn answer(&self, reply: Option<ReplyTo>, out: &mut Outbox) {
        if let Some(reply) = reply {
            out.push(Effect::Answer(reply, Answer::Ride(Arc::clone(&self.told))));
        }
    }

    /// Tells the caller, if one waits, why nothing changed.
    pub(super) fn refuse(reply: Option<ReplyTo>, refusal: Refusal, out: &mut Outbox) {
        if let Some(reply) = reply {
            out.push(Effect::Answer(reply, Answer::Refused(refusal)));
        }
    }

    /// Removes a live offer and counts its end (M4: an offer that is not live cannot end again).
    pub(super) fn end_offer(
        &mut self,
        offer: &OfferId,
        end: OfferEnd,
        now: Timestamp,
        out: &mut Outbox,
    ) -> Option<DriverId> {
        let live = self.record.offers.remove(offer)?;
        let counts = &mut self.record.offer_counts;
        match end {
            OfferEnd::Accepted => counts.accepted += 1,
            OfferEnd::Declined => counts.declined += 1,
            OfferEnd::Expired => counts.expired += 1,
            OfferEnd::Withdrawn => counts.withdrawn += 1,
        }
        self.set_aside_after(&live.driver, end, now);
        let answered_at = live.answered_at().unwrap_or(now);
        let after_ms = answered_at.millis_since(live.offered_at);
        self.publish(EventKind::OfferEnded { end, after_ms }, out);
        if live.quote.is_some() {
            self.quote_ended(offer, end, out);
        }
        Some(live.driver)
    }

    /// Ends every live offer as withdrawn; returns what to tell the drivers once that is durable.
    pub(super) fn withdraw_all(
        &mut self,
        reason: WithdrawReason,
        now: Timestamp,
        out: &mut Outbox,
    ) -> Vec<Effect> {
        let offers = self.record.offers.keys().cloned().collect();
        self.withdraw(offers, reason, now, out)
    }

    pub(super) fn withdraw(
        &mut self,
        offers: Vec<OfferId>,
        reason: WithdrawReason,
        now: Timestamp,
        out: &mut Outbox,
    ) -> Vec<Effect> {
        let withdraw = |offer: OfferId| {
            if self.has_standby(&offer) {
                self.publish(EventKind::Standby { outcome: StandbyOutcome::Released }, out);
            }
            let driver = self.end_offer(&offer, OfferEnd::Withdrawn, now, out)?;
            Some(Effect::ToDriver(driver, DriverCommand::Withdraw { offer, reason }))
        };
        offers.into_iter().filter_map(withdraw).collect()
    }

    /// What an accept is told that comes for an offer which is not live any more.
    pub(super) fn lost_because(&self) -> WithdrawReason {
        match self.record.status {
            RideStatus::Cancelled => WithdrawReason::Cancelled,
            RideStatus::Assigned
            | RideStatus::Arrived
            | RideStatus::InProgress
            | RideStatus::Completed => WithdrawReason::Taken,
            RideStatus::Scheduled | RideStatus::Searching | RideStatus::Unfulfilled => {
                WithdrawReason::Expired
            }
        }
    }

    pub(super) fn terms(&self) -> Arc<OfferTerms> {
        let request = &self.record.request;
        Arc::new(OfferTerms {
            pickup: request.pickup,
            dropoff: self.record.dropoff(),
            fare: request.fare.clone(),
            tip: self.record.tip.clone(),
            needs: self.needs(),
        })
    }

    fn on_request(&mut self, reply: Option<ReplyTo>, now: Timestamp, out: &mut Outbox) {
        if self.record.version > 0 {
            return Self::refuse(reply, Refusal::RideAlreadyExists, out);
        }
        let kind = if self.record.request.pickup_at.is_some() {
            AttemptKind::Scheduled
        } else {
            AttemptKind::Initial
        };
        self.pin_policy(kind, now);
        self.publish(EventKind::RideRequested, out);
        if self.waits_for_first_try(now) {
            self.commit(RideEventKind::RideRequested, now, None, out);
        } else {
            self.enter_search(kind, now);
            self.commit(RideEventKind::RideRequested, now, None, out);
            self.begin_wave(now, out);
        }
        self.answer(reply, out);
    }

    /// Everything a restarted machine must do to go on: its drivers may have forgotten it.
    fn on_resume(&mut self, now: Timestamp, out: &mut Outbox) {
        let drivers: BTreeSet<DriverId> =
            self.record.offers.values().map(|live| live.driver.clone()).collect();
        let assigned = self.record.assignment.as_ref().map(|a| a.driver.id.clone());
        for driver in drivers.into_iter().chain(assigned) {
            self.on_driver_rebuilt(&driver, out);
        }
        self.watch_pickup(None, now);
        self.call_standby(now, out);
        let idle = self.record.status == RideStatus::Searching && self.may_look_on();
        // Right after a restart no driver has been heard yet, and every ride would look at once.
        self.empty_searches = self.empty_searches.max(1);
        if idle {
            let ride = self.record.request.ride.as_str().as_bytes();
            let spread_ms = stable_hash(ride, 0) % self.policy.search_retry_ms;
            self.retry_at = Some(now.plus_millis(spread_ms));
        }
    }

    /// Tells a driver again what this ride holds about him.
    fn on_driver_rebuilt(&self, driver: &DriverId, out: &mut Outbox) {
        for (id, live) in &self.record.offers {
            if live.driver == *driver {
                let offer = Box::new(self.offer(id, live));
                let command = DriverCommand::Offer { offer, redelivered: true };
                out.push(Effect::ToDriver(driver.clone(), command));
            }
        }
        let Some(assignment) = self.record.assignment.as_ref() else { return };
        if assignment.driver.id == *driver && self.record.status.has_driver() {
            let ride = Arc::clone(&self.told);
            out.push(Effect::ToDriver(driver.clone(), DriverCommand::RideUpdated { ride }));
        }
    }

    fn on_declined(&mut self, offer: &OfferId, now: Timestamp, out: &mut Outbox) {
        if self.has_quote(offer) {
            return self.on_quote_withdrawn(offer, now, out);
        }
        if self.has_standby(offer) {
            return self.on_standby_left(offer, now, out);
        }
        if self.end_offer(offer, OfferEnd::Declined, now, out).is_none() {
            return;
        }
        self.record.attempt_offers.declined += 1;
        self.ends_unwritten = true;
        if self.record.status == RideStatus::Searching && !self.awaits_answers() {
            self.begin_wave(now, out);
        } else {
            self.write_ends(now, out);
        }
    }

    /// Makes the end of offers durable that nothing else was written with.
    pub(super) fn write_ends(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.ends_unwritten {
            self.commit(RideEventKind::OffersEnded, now, None, out);
        }
    }

    pub(super) fn answer_lost(
        &self,
        driver: DriverId,
        offer: OfferId,
        reason: WithdrawReason,
        out: &mut Outbox,
    ) {
        let answer = AcceptAnswer::Lost(reason);
        out.push(Effect::ToDriver(driver, DriverCommand::AcceptAnswered { offer, answer }));
    }

    /// A ride that is over was loaded for a call: it stays in memory as if it had ended at `now`.
    pub const fn expect_call(&mut self, now: Timestamp) {
        self.called_at = Some(now);
    }

    fn retires_at(&self) -> Option<Timestamp> {
        let ended_at = self.record.ended_at?.max(self.called_at.unwrap_or_default());
        let terminal = self.record.status.is_terminal() && !self.retired;
        terminal.then(|| ended_at.plus_millis(self.policy.retire_after_ms))
    }
}

impl Machine for RideMachine {
    type Command = RideCommand;

    fn handle(&mut self, command: RideCommand, now: Timestamp, out: &mut Outbox) {
        // A ride that is over only leaves memory when nobody calls: a retry makes it live again.
        if !self.record.status.is_terminal() {
            self.on_deadline(now, out);
        }
        match command {
            RideCommand::Request { reply } => self.on_request(reply, now, out),
            RideCommand::Resume => self.on_resume(now, out),
            RideCommand::Candidates(candidates) => self.on_candidates(*candidates, now, out),
            RideCommand::Matched(matched) => self.on_matched(*matched, now, out),
            RideCommand::WindowUnavailable { join } => self.on_window_unavailable(join, now, out),
            RideCommand::OfferRefused { offer, reason } => {
                self.on_refused(&offer, reason, now, out);
            }
            RideCommand::OfferDeclined { offer } => self.on_declined(&offer, now, out),
            RideCommand::OfferAccepted { offer, driver, vehicle, fare } => {
                self.on_accepted(offer, driver, Acceptance { vehicle, fare }, now, out);
            }
            RideCommand::QuoteConfirmed { quote, driver } => {
                self.on_quote_confirmed(quote, driver, now, out);
            }
            RideCommand::StandbyReady { offer, driver } => {
                self.on_standby_ready(offer, driver, now, out);
            }
            RideCommand::SelectQuote { quote, reply } => {
                self.on_select_quote(quote, reply, now, out);
            }
            RideCommand::OtpEntered(entry) => self.on_otp_entered(entry, now, out),
            RideCommand::OtpTaken { otp } => self.on_otp_taken(&otp, now, out),
            RideCommand::DriverRebuilt { driver } => {
                self.forget_acceptance(&driver);
                self.on_driver_rebuilt(&driver, out);
            }
            RideCommand::Progress { driver, step, reply } => {
                self.on_progress(driver.as_ref(), step, reply, now, out);
            }
            RideCommand::Cancel { by, reason, reply } => {
                self.on_cancel(by, reason, reply, now, out);
            }
            RideCommand::Retry { tip, service_tiers, reply } => {
                self.on_retry(tip, service_tiers, reply, now, out);
            }
            RideCommand::DriverLocated { driver, reading } => {
                self.on_driver_located(&driver, reading, now, out);
                self.look_for_better_driver(&driver, reading, now, out);
            }
            RideCommand::ChangeDropoff { dropoff, reply } => {
                self.on_change_dropoff(dropoff, reply, now, out);
            }
            RideCommand::Forward { driver, news } => {
                self.on_forward_news(driver, news, now, out);
            }
            RideCommand::TellDriver { driver } => self.tell_how_it_stands(driver, out),
            RideCommand::Get { reply } => self.answer(Some(reply), out),
        }
        self.decide_collection(now, out);
        self.tell_zone(now, out);
        self.leave_window(out);
    }

    fn next_deadline(&self) -> Option<Deadline> {
        // A ride that nobody has requested yet waits for nothing.
        if self.record.version == 0 {
            return None;
        }
        let retire = || {
            let at = self.retires_at()?;
            Some(Deadline { at, reason: DeadlineReason::RideRetirement })
        };
        match self.record.status {
            RideStatus::Scheduled => {
                let at = self.scheduled_search_at();
                Some(Deadline { at, reason: DeadlineReason::ScheduledSearch })
            }
            RideStatus::Searching => self.searching_deadline(),
            RideStatus::Assigned => self.pickup_check().into_iter().chain(self.standby_due()).min(),
            RideStatus::Arrived | RideStatus::InProgress => None,
            RideStatus::Completed | RideStatus::Cancelled | RideStatus::Unfulfilled => retire(),
        }
    }

    fn on_deadline(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.record.version == 0 {
            return;
        }
        match self.record.status {
            RideStatus::Scheduled => {
                if self.scheduled_search_at() <= now {
                    self.begin_try(now, out);
                }
            }
            RideStatus::Searching => self.on_search_deadline(now, out),
            RideStatus::Assigned => {
                self.check_pickup(now, out);
                self.tend_standby(now, out);
            }
            RideStatus::Arrived | RideStatus::InProgress => {}
            RideStatus::Completed | RideStatus::Cancelled | RideStatus::Unfulfilled => {
                if self.retires_at().is_some_and(|at| at <= now) {
                    self.retired = true;
                    out.push(Effect::Retire);
                }
            }
        }
        self.decide_collection(now, out);
        self.tell_zone(now, out);
        self.leave_window(out);
    }
}
