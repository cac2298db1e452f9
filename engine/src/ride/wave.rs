//! Waves: who is offered the ride next, and what happens when offers end without a winner.

use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{Effect, Outbox};
use crate::event::EventKind;
use crate::forward::ForwardLink;
use crate::grid::TagFilter;
use crate::id::{OfferId, ServiceTierId};
use crate::offer::{Exclusion, Offer, OfferEnd, WithdrawReason};
use crate::policy::AttemptKind;
use crate::ride::command::{CandidateQuery, Candidates};
use crate::ride::eligibility::tier_with_least_downgrade;
use crate::ride::instant::instant_search;
use crate::ride::machine::RideMachine;
use crate::ride::ranking::{Candidate, RankQuery, RankedCandidate};
use crate::ride::record::{AttemptOffers, LiveOffer, RideEventKind, RideStatus};
use crate::ride::seeking::Seeking;
use crate::time::{Deadline, DeadlineReason, Timestamp};
use crate::units::Meters;

/// The pause between searches that find nobody doubles this often: where supply is scarce, many
/// rides look, and each look costs the more.
const RETRY_DOUBLINGS_MAX: u32 = 2;

impl RideMachine {
    /// Begins a search: from here the attempt's deadline runs.
    pub(super) fn enter_search(&mut self, kind: AttemptKind, now: Timestamp) {
        self.pin_policy(kind, now);
        let record = &mut self.record;
        record.status = RideStatus::Searching;
        record.wave = 0;
        record.search_radius_m = self.policy.search_radius_m_min;
        record.search_began_at = now;
        record.search_deadline = now.plus_millis(self.policy.search_limit_ms);
        record.asked.clear();
        record.attempts.offers_again.clear();
        record.instant = instant_search(&self.policy);
        record.attempt_offers = AttemptOffers::default();
        record.assignment = None;
        record.otp = None;
        record.ended_at = None;
        record.reason = None;
        self.widened = 0;
        self.empty_searches = 0;
        self.retry_at = None;
        self.set_aside.clear();
        self.enter_otp_wait(now);
    }

    /// Looks for the drivers of the next wave.
    pub(super) fn begin_wave(&mut self, now: Timestamp, out: &mut Outbox) {
        self.retry_at = None;
        if self.record.otp_ride {
            return;
        }
        if self.record.instant.is_some() {
            return self.begin_instant(now, out);
        }
        if !self.may_send_wave() {
            return self.write_ends(now, out);
        }
        if self.record.wave >= self.policy.wave_count_max {
            return self.give_up("wave_limit", now, out);
        }
        if self.is_batched() {
            return self.join_window(false, now, out);
        }
        self.seek(Seeking::Wave, now, out);
    }

    pub(super) fn seek(&mut self, seeking: Seeking, now: Timestamp, out: &mut Outbox) {
        let Some(query) = self.candidate_query(seeking, now) else {
            return self.end_unfulfilled("unknown_service_tier", now, out);
        };
        self.seeking = Some(seeking);
        out.push(Effect::FindCandidates(Box::new(query)));
    }

    /// What a search asks of drivers; nothing when the market has none of the tiers.
    pub(super) fn candidate_query(
        &mut self,
        seeking: Seeking,
        now: Timestamp,
    ) -> Option<CandidateQuery> {
        let (limit, radius) = match seeking {
            Seeking::Wave => (self.places_of_next_wave(), self.radius_of_next_wave()),
            Seeking::Widest => (self.places_of_next_wave(), self.policy.search_radius_m_max),
            Seeking::Places(places) => (places, self.record.search_radius_m),
            Seeking::ForwardPlaces(_) => (0, self.record.search_radius_m),
            Seeking::Instant => (1, self.policy.radius_of_wave(1)),
            Seeking::Standby(radius) => (self.places_of_next_wave(), radius),
            // How many are candidates is the matcher's to say.
            Seeking::Window { .. } => (1, self.policy.search_radius_m_max),
        };
        let tiers = self.market.tier_set(&self.record.service_tiers).ok()?;
        self.set_aside.retain(|_, until| *until > now);
        let request = &self.record.request;
        Some(CandidateQuery {
            attempt: self.record.attempt,
            pickup: request.pickup,
            radius: Meters::new(f64::from(radius)),
            limit: limit as usize,
            tiers,
            tags: TagFilter::of(request.require_tags.iter().map(String::as_str)),
            now,
            live_offers_max: self.policy.live_offers_max,
            fix_received_after: now.minus_millis(self.policy.stale_after_ms),
            asked: self.passed_over(radius),
            blocked: self.blocked_drivers(),
            explains: seeking.fills_up() || self.empty_searches == 0,
            explained_max: self.policy.explained_max,
            live_offers_soft_max: self.policy.live_offers_soft_max,
            needs: self.needs(),
            instant: seeking == Seeking::Instant,
            ranking: self.rank_query(seeking),
            forward: self.forward_places(seeking),
            queue: self.queue_query(seeking),
        })
    }

    fn rank_query(&self, seeking: Seeking) -> RankQuery {
        let request = &self.record.request;
        let wave = match seeking {
            Seeking::Wave | Seeking::Widest | Seeking::Window { .. } | Seeking::Standby(_) => {
                self.record.wave.saturating_add(1)
            }
            Seeking::Places(_) | Seeking::ForwardPlaces(_) | Seeking::Instant => self.record.wave,
        };
        RankQuery {
            policy: Arc::clone(&self.policy),
            favourite_drivers: request.favourite_drivers.clone(),
            pickup: request.pickup,
            dropoff: self.record.dropoff(),
            asked_before: self.asked_before(),
            seed: RankQuery::seed_of(&request.ride, self.record.attempt, wave),
        }
    }

    fn places_of_next_wave(&self) -> u32 {
        let AttemptOffers { sent, declined } = self.record.attempt_offers;
        self.policy.places_of_wave(self.record.wave.saturating_add(1), sent, declined)
    }

    pub(super) fn radius_of_next_wave(&self) -> u32 {
        self.policy.radius_of_wave(self.record.wave.saturating_add(1).saturating_add(self.widened))
    }

    /// Takes as many radius steps at once as it takes to reach `metres`.
    fn widen_to(&mut self, metres: f64) {
        let most = self.policy.search_radius_m_max;
        while f64::from(self.radius_of_next_wave()) < metres.min(f64::from(most)) {
            self.widened += 1;
        }
    }

    /// Turns the drivers that were found into offers, or widens the search.
    pub(super) fn on_candidates(
        &mut self,
        candidates: Candidates,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        // A search of the attempt before must not use up the one that this attempt waits for.
        if candidates.attempt != self.record.attempt {
            return;
        }
        let Some(seeking) = self.seeking.take() else { return };
        if let Seeking::Standby(radius) = seeking {
            return self.on_better_drivers(radius, candidates, now, out);
        }
        if self.record.status != RideStatus::Searching {
            return self.write_ends(now, out);
        }
        if candidates.found.is_empty() && candidates.forward.is_empty() {
            self.on_nobody_found(seeking, candidates, now, out);
            if self.seeking.is_none() {
                self.write_ends(now, out);
            }
            return;
        }
        if !seeking.fills_up() && seeking != Seeking::Instant {
            if seeking == Seeking::Widest {
                let distances = candidates.found.iter().map(|f| f.candidate.distance.get());
                // Drivers on a trip alone: nobody idle is within the full radius.
                let farthest = distances.reduce(f64::max).unwrap_or(f64::INFINITY);
                self.widen_to(farthest);
            }
            self.record.search_radius_m = self.radius_of_next_wave();
            self.record.wave += 1;
            self.refusals = 0;
        }
        self.send_wave(seeking, candidates, now, out);
    }

    fn on_nobody_found(
        &mut self,
        seeking: Seeking,
        candidates: Candidates,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        match seeking {
            Seeking::Places(_) | Seeking::ForwardPlaces(_) | Seeking::Standby(_) => {
                if !self.awaits_answers() {
                    self.begin_wave(now, out);
                }
            }
            Seeking::Instant => self.end_instant(Some(candidates), now, out),
            Seeking::Window { fills_up } => self.join_window(fills_up, now, out),
            Seeking::Wave if self.radius_of_next_wave() < self.policy.search_radius_m_max => {
                self.seek(Seeking::Widest, now, out);
            }
            Seeking::Wave | Seeking::Widest => {
                self.widen_to(f64::from(self.policy.search_radius_m_max));
                let pause =
                    self.policy.search_retry_ms << self.empty_searches.min(RETRY_DOUBLINGS_MAX);
                self.empty_searches += 1;
                self.retry_at = Some(now.plus_millis(pause));
                // The first empty search at full radius is history; its repetitions are not.
                if self.record.search_radius_m != self.policy.search_radius_m_max {
                    self.record.search_radius_m = self.policy.search_radius_m_max;
                    self.count_excluded(&candidates, out);
                    let decision = self.decision(candidates, Vec::new(), now);
                    self.commit(RideEventKind::NoCandidates, now, Some(decision), out);
                }
            }
        }
    }

    pub(super) fn send_wave(
        &mut self,
        seeking: Seeking,
        candidates: Candidates,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        self.empty_searches = 0;
        // Who takes a freed place comes late already, and who is not asked sees nothing.
        let whole = matches!(seeking, Seeking::Instant | Seeking::Standby(_));
        let at_once = seeking.fills_up() || whole;
        let idle = candidates.found.iter().map(|ranked| (ranked, None));
        let forward = candidates.forward.iter().map(|f| (&f.ranked, Some(&f.link)));
        let chosen: Vec<(&RankedCandidate, Option<&ForwardLink>)> = idle.chain(forward).collect();
        let carries = |ranked: &RankedCandidate| ranked.carries_any(&self.policy.priority_tags);
        let carriers: Vec<bool> = chosen.iter().map(|(ranked, _)| carries(ranked)).collect();
        let delays = self.policy.split_delays(&carriers);
        let planned: Vec<(OfferId, LiveOffer)> = chosen
            .into_iter()
            .zip(delays)
            .filter_map(|((RankedCandidate { candidate, .. }, link), delay_ms)| {
                let split_ms = if at_once { 0 } else { delay_ms };
                let cancelled = candidate.standing.cancellation_permille;
                let penalty_ms = self.policy.popup_delay_for(cancelled);
                let delay_ms = if seeking == Seeking::Instant { 0 } else { split_ms + penalty_ms };
                let (id, live) = self.plan_offer(candidate, link, seeking, delay_ms, now)?;
                let cost_ms = candidates.costs_ms.get(&live.driver).copied();
                Some((id, LiveOffer { cost_ms, ..live }))
            })
            .collect();
        self.record.attempt_offers.sent += planned.len() as u32;
        for (id, live) in &planned {
            self.note_asked(live);
            self.record.offers.insert(id.clone(), live.clone());
        }
        self.count_excluded(&candidates, out);
        self.publish(EventKind::WaveSent { size: planned.len() as u32 }, out);
        let decision = self.decision(candidates, planned.clone(), now);
        let kind = match seeking {
            Seeking::Wave
            | Seeking::Widest
            | Seeking::Places(_)
            | Seeking::ForwardPlaces(_)
            | Seeking::Window { .. }
            | Seeking::Standby(_) => RideEventKind::WaveSent,
            Seeking::Instant => RideEventKind::InstantOffered,
        };
        self.commit(kind, now, Some(decision), out);
        for (id, live) in &planned {
            let offer = Box::new(self.offer(id, live));
            let command = DriverCommand::Offer { offer, redelivered: false };
            out.push(Effect::ToDriver(live.driver.clone(), command));
        }
    }

    fn plan_offer(
        &mut self,
        candidate: &Candidate,
        forward: Option<&ForwardLink>,
        seeking: Seeking,
        delay_ms: u64,
        now: Timestamp,
    ) -> Option<(OfferId, LiveOffer)> {
        let service_tier = self.tier_for(candidate, seeking)?;
        let id = self.next_offer_id(now);
        let deadline = self.record.search_deadline;
        // A delay that the search does not outlive would keep the offer from its driver for good.
        let delayed = Some(now.plus_millis(delay_ms)).filter(|at| *at < deadline);
        let visible_at = delayed.unwrap_or(now);
        let expires_at = visible_at.plus_millis(self.policy.offer_ttl_ms).min(deadline);
        let live = LiveOffer {
            driver: candidate.driver.clone(),
            service_tier,
            distance: candidate.distance.to_decimetre(),
            pickup_eta: self.policy.pickup_eta(candidate.distance),
            offered_at: now,
            visible_at,
            expires_at,
            forward: forward.cloned(),
            kind: self.offer_kind(seeking),
            quote: None,
            cost_ms: None,
            standby: None,
        };
        Some((id, live))
    }

    /// The id of one more offer.
    pub(super) fn next_offer_id(&mut self, now: Timestamp) -> OfferId {
        let ordinal = u64::from(self.record.offer_counts.sent);
        self.record.offer_counts.sent += 1;
        OfferId::derive(&self.record.request.ride, ordinal, now.as_millis())
    }

    /// The tier of the request that is least below the driver's own.
    fn tier_for(&self, candidate: &Candidate, seeking: Seeking) -> Option<ServiceTierId> {
        let mut wanted = self.market.tier_set(&self.record.service_tiers).ok()?;
        if seeking == Seeking::Instant {
            wanted = wanted.intersection(candidate.instant_tiers);
        }
        let levels_max = self.policy.downgrade_levels_max;
        let index = tier_with_least_downgrade(candidate.tiers, wanted, levels_max)?;
        self.market.tiers().get(usize::from(index)).cloned()
    }

    /// The offer as its driver sees it.
    pub(super) fn offer(&self, id: &OfferId, live: &LiveOffer) -> Offer {
        Offer {
            id: id.clone(),
            ride: self.record.request.ride.clone(),
            driver: live.driver.clone(),
            distance: live.distance,
            pickup_eta: live.pickup_eta,
            service_tier: live.service_tier.clone(),
            offered_at: live.offered_at,
            visible_at: live.visible_at.max(live.offered_at),
            expires_at: live.expires_at,
            forward: live.forward.clone(),
            kind: live.kind.clone(),
            quoted: live.quote.as_ref().map(|quote| quote.fare.clone()),
            standby: live.standby.is_some(),
            terms: self.terms(),
        }
    }

    /// A driver's machine did not take the offer in: his place goes to the next candidate at once.
    pub(super) fn on_refused(
        &mut self,
        offer: &OfferId,
        reason: Exclusion,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let live = self.record.offers.get(offer);
        let forward = live.is_some_and(|live| live.forward.is_some());
        if self.has_quote(offer) {
            return self.on_quote_withdrawn(offer, now, out);
        }
        if self.has_standby(offer) {
            return self.on_standby_left(offer, now, out);
        }
        let instant = self.is_instant(offer);
        let Some(driver) = self.end_offer(offer, OfferEnd::Withdrawn, now, out) else { return };
        self.publish(EventKind::CandidatesExcluded { reason, count: 1 }, out);
        self.record.uncount_offer(&driver);
        self.record.attempt_offers.sent = self.record.attempt_offers.sent.saturating_sub(1);
        self.ends_unwritten = true;
        if self.record.status != RideStatus::Searching {
            return self.write_ends(now, out);
        }
        if instant {
            return self.begin_wave(now, out);
        }
        self.set_aside.insert(driver, now.plus_millis(self.policy.search_retry_ms));
        self.refusals += 1;
        if self.is_batched() {
            return match self.awaits_answers() {
                true => self.write_ends(now, out),
                false => self.join_window(true, now, out),
            };
        }
        let places = self.policy.places_of_wave(self.record.wave, 0, 0);
        if self.refusals <= places + self.policy.forward_wave_size {
            let place = if forward { Seeking::ForwardPlaces(1) } else { Seeking::Places(1) };
            return self.seek(place, now, out);
        }
        // The index is that far behind: looking again at once would only be refused again.
        if !self.awaits_answers() {
            self.retry_at = Some(now.plus_millis(self.policy.search_retry_ms));
        }
        self.write_ends(now, out);
    }

    /// When a search has something to do next.
    pub(super) fn searching_deadline(&self) -> Option<Deadline> {
        let limit =
            Deadline { at: self.record.search_deadline, reason: DeadlineReason::SearchLimit };
        let close = self.record.offers.values().map(|live| live.expires_at).min();
        let close = close.map(|at| Deadline { at, reason: DeadlineReason::WaveClose });
        let retry = self.retry_at.map(|at| Deadline { at, reason: DeadlineReason::SearchRetry });
        let collect = self.collection_deadline();
        let rejoin = self.rejoins_at();
        let rejoin = rejoin.map(|at| Deadline { at, reason: DeadlineReason::WindowRejoin });
        let retell = self.zone_told.again_at();
        let retell = retell.map(|at| Deadline { at, reason: DeadlineReason::ZoneRetell });
        let selection = self.selection_deadline();
        let call = self.standby_call();
        let own = [Some(limit), close, retry, rejoin, retell, selection, call, collect];
        own.into_iter().flatten().min()
    }

    /// Closes offers that ran out, and the search itself at its limit.
    pub(super) fn on_search_deadline(&mut self, now: Timestamp, out: &mut Outbox) {
        let expired: Vec<OfferId> = self
            .record
            .offers
            .iter()
            .filter(|(_, live)| live.expires_at <= now)
            .map(|(id, _)| id.clone())
            .collect();
        let stood_by = self.record.standby().is_some();
        let held: Vec<Effect> =
            expired.iter().filter_map(|offer| self.expire(offer, now, out)).collect();
        if now >= self.record.search_deadline {
            let reason = if self.record.otp_ride { "otp_expired" } else { "search_limit" };
            self.give_up(reason, now, out);
            return held.into_iter().for_each(|effect| out.push(effect));
        }
        self.ends_unwritten |= !expired.is_empty();
        if !held.is_empty() {
            let ended =
                if stood_by { RideEventKind::StandbyEnded } else { RideEventKind::QuoteEnded };
            self.commit(ended, now, None, out);
            held.into_iter().for_each(|effect| out.push(effect));
        }
        self.ask_again_to_confirm(now, out);
        self.call_standby_again(now, out);
        self.rejoin_window(now, out);
        let wave_over = !expired.is_empty() && !self.awaits_answers();
        if wave_over || self.retry_at.is_some_and(|at| at <= now) {
            self.begin_wave(now, out);
        } else if self.seeking.is_none() {
            self.write_ends(now, out);
        }
    }

    /// Ends a search that found no driver, for good or until the ride's next try.
    fn give_up(&mut self, reason: &'static str, now: Timestamp, out: &mut Outbox) {
        if !self.goes_on_with_next_try(now, out) {
            self.end_unfulfilled(reason, now, out);
        }
    }

    /// Ends the ride without a driver; a retry searches again.
    pub(super) fn end_unfulfilled(
        &mut self,
        reason: &'static str,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let losers = self.withdraw_all(WithdrawReason::Expired, now, out);
        self.record.status = RideStatus::Unfulfilled;
        self.record.reason = Some(reason.to_owned());
        self.record.ended_at = Some(now);
        self.record.instant = None;
        self.retry_at = None;
        self.seeking = None;
        self.commit(RideEventKind::RideUnfulfilled, now, None, out);
        self.publish(EventKind::RideUnfulfilled { reason }, out);
        losers.into_iter().for_each(|effect| out.push(effect));
    }
}
