//! The times that chosen drivers need to the pickup, where a market knows better than the straight
//! line.
//!
//! Drivers are found by distance, exactly; how long they need is asked for those who are left, all in
//! one call. Who needs longer than the policy allows falls out here, not in the search.

use std::collections::BTreeMap;

use crate::forward::ForwardLink;
use crate::geo::Position;
use crate::grid::{Reading, Supply};
use crate::id::DriverId;
use crate::offer::Exclusion;
use crate::policy::DispatchPolicy;
use crate::ride::command::{CandidateQuery, Candidates};
use crate::ride::decision::WaveExclusion;
use crate::ride::eligibility::{classify, classify_untimed};
use crate::ride::ranking::{Candidate, RankedCandidate};
use crate::time::Timestamp;
use crate::travel::{Approach, EtaSource, Travel, TravelTime, TravelTimes};
use crate::units::EtaSeconds;

/// When a search asks how long drivers need.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Times<'t> {
    /// Never: the straight line is all there is.
    StraightLine,
    /// Once it has chosen.
    Now(&'t dyn TravelTime),
    /// It does not: who searches asks for all searches of a window together.
    Later,
}

impl<'t> Times<'t> {
    /// What a search that must not wait has of these.
    pub(super) fn at_once(travel: Option<&'t TravelTimes>) -> Self {
        let times = travel.and_then(|times| times.at_once.as_deref());
        times.map_or(Self::StraightLine, Self::Now)
    }

    /// How many drivers a search chooses from: where times are known nearest by distance need not
    /// be soonest.
    pub(super) fn pool_size(self, query: &CandidateQuery) -> usize {
        let own = query.ranking.pool_size(query.limit);
        match self {
            Self::Now(_) => own.max(query.ranking.policy.pool_size as usize),
            Self::StraightLine | Self::Later => own,
        }
    }

    /// Whether a driver may be offered the ride, by all that is known while the search goes on.
    pub(super) fn classify(
        self,
        query: &CandidateQuery,
        driver: &DriverId,
        supply: &Supply,
        reading: &Reading,
    ) -> Result<(), Exclusion> {
        match self {
            Self::StraightLine => classify(query, driver, supply, reading),
            Self::Now(_) | Self::Later => classify_untimed(query, driver, supply, reading),
        }
    }

    /// The candidates who are there in time.
    pub(super) fn sort_out_late(
        self,
        query: &CandidateQuery,
        mut pool: Vec<Candidate>,
        late: &mut Late,
    ) -> Vec<Candidate> {
        if let Self::Now(times) = self {
            let candidates = pool.iter_mut().map(|candidate| (candidate, None)).collect();
            time_pickup(times, query, candidates);
            pool.retain(|candidate| !late.takes(&query.needs.policy, candidate));
        }
        pool
    }

    /// Says of drivers on a trip how long they need by way of its end.
    pub(super) fn time_forward(
        self,
        query: &CandidateQuery,
        pool: &mut [Candidate],
        links: &BTreeMap<DriverId, ForwardLink>,
    ) {
        if let Self::Now(times) = self {
            let by = |driver: &DriverId| links.get(driver).map(|link| link.dropoff);
            let candidates = pool.iter_mut().map(|one| (by(&one.driver), one));
            let candidates = candidates.map(|(by, one)| (one, by)).collect();
            time_pickup(times, query, candidates);
        }
    }

    /// Says of drivers whose order stands how long they need.
    pub(super) fn time_ranked(self, query: &CandidateQuery, ranked: &mut [RankedCandidate]) {
        if let Self::Now(times) = self {
            let candidates = ranked.iter_mut().map(|one| (&mut one.candidate, None)).collect();
            time_pickup(times, query, candidates);
        }
    }

    /// The way to the drop-off.
    pub(super) fn trip(self, query: &CandidateQuery) -> Option<(Position, Travel)> {
        match self {
            Self::Now(times) => {
                let to = query.ranking.dropoff?;
                Some((to, times.way(query.pickup, to, query.now)?))
            }
            Self::StraightLine | Self::Later => None,
        }
    }
}

/// The candidates of one pickup, each with the drop-off he comes by, if he is on a trip.
pub(crate) struct PickupTimes<'c> {
    pub(crate) query: &'c CandidateQuery,
    pub(crate) candidates: Vec<(&'c mut Candidate, Option<Position>)>,
    /// Where the trip leads, when its time is asked for as well.
    pub(crate) trip_to: Option<Position>,
}

impl Candidate {
    /// How long he needs to the pickup, in milliseconds.
    pub fn pickup_eta_ms(&self, policy: &DispatchPolicy) -> i64 {
        self.travel.map_or_else(|| policy.pickup_eta_ms(self.distance), |t| i64::from(t.time_ms))
    }

    /// How long he needs to the pickup.
    pub fn pickup_eta(&self, policy: &DispatchPolicy) -> EtaSeconds {
        let rounded = |travel: Travel| EtaSeconds::new(travel.seconds());
        self.travel.map_or_else(|| policy.pickup_eta(self.distance), rounded)
    }

    /// What that comes from.
    pub fn eta_source(&self) -> EtaSource {
        self.travel.map_or(EtaSource::GreatCircle, |travel| travel.source)
    }

    fn is_late(&self, policy: &DispatchPolicy) -> bool {
        let most_s = policy.pickup_eta_s_max;
        most_s > 0 && self.travel.is_some_and(|travel| travel.seconds() > most_s)
    }
}

/// As [`time_pickups`] for one pickup, without its trip.
fn time_pickup<'c>(
    times: &dyn TravelTime,
    query: &'c CandidateQuery,
    candidates: Vec<(&'c mut Candidate, Option<Position>)>,
) {
    time_pickups(times, &mut [PickupTimes { query, candidates, trip_to: None }], query.now);
}

/// Has `times` say how long each candidate needs; the straight line says it where they do not. Tells
/// of each pickup the way of its trip.
pub(crate) fn time_pickups(
    times: &dyn TravelTime,
    pickups: &mut [PickupTimes<'_>],
    at: Timestamp,
) -> Vec<Option<Travel>> {
    let mut approaches = Vec::new();
    for PickupTimes { query, candidates, trip_to } in pickups.iter() {
        let start =
            |(candidate, by): &(&mut Candidate, Option<Position>)| by.unwrap_or(candidate.at);
        let froms = candidates.iter().map(start).collect();
        approaches.push(Approach { froms, to: query.pickup });
        let remaining = candidates
            .iter()
            .filter_map(|(candidate, by)| Some(Approach { froms: vec![candidate.at], to: (*by)? }));
        approaches.extend(remaining);
        approaches.extend(trip_to.map(|to| Approach { froms: vec![query.pickup], to }));
    }
    let mut answers = times.approaches(&approaches, at).into_iter();
    let mut next = || answers.next().unwrap_or_default().into_iter();
    let mut trips = Vec::with_capacity(pickups.len());
    for PickupTimes { query, candidates, trip_to } in pickups.iter_mut() {
        let policy = &query.needs.policy;
        let mut ways = next();
        for (candidate, by) in candidates.iter_mut() {
            let last = ways.next().flatten();
            let whole = match by {
                None => last,
                Some(_) => next().next().flatten().zip(last).map(|(first, last)| first.then(last)),
            };
            candidate.travel = Some(whole.unwrap_or_else(|| fallback(policy, candidate)));
        }
        trips.push(trip_to.and_then(|_| next().next().flatten()));
    }
    trips
}

fn fallback(policy: &DispatchPolicy, candidate: &Candidate) -> Travel {
    let time_ms = u32::try_from(policy.pickup_eta_ms(candidate.distance)).unwrap_or(u32::MAX);
    Travel { time_ms, distance: candidate.distance, source: EtaSource::Fallback }
}

/// Who fell out because he needs too long.
#[derive(Debug, Default)]
pub(crate) struct Late(Vec<WaveExclusion>);

impl Late {
    /// Takes a candidate who needs longer than the policy allows, and says whether he does.
    pub(crate) fn takes(&mut self, policy: &DispatchPolicy, candidate: &Candidate) -> bool {
        let late = candidate.is_late(policy);
        if late {
            let (driver, distance) = (candidate.driver.clone(), candidate.distance.to_decimetre());
            self.0.push(WaveExclusion { driver, distance, reason: Exclusion::PickupEta });
        }
        late
    }

    /// Adds them to those that fell out of the search; tells how many they are.
    pub(crate) fn add_to(self, query: &CandidateQuery, candidates: &mut Candidates) -> usize {
        let late = self.0.len();
        if late == 0 || !query.explains {
            return late;
        }
        let Candidates { excluded, excluded_counts, .. } = candidates;
        *excluded_counts.entry(Exclusion::PickupEta).or_insert(0) += late as u32;
        excluded.extend(self.0);
        excluded.sort_by(|a, b| {
            let by_distance = a.distance.get().total_cmp(&b.distance.get());
            by_distance.then_with(|| a.driver.cmp(&b.driver))
        });
        excluded.truncate(query.explained_max);
        late
    }
}
