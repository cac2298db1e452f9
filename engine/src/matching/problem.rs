//! From a window to a problem, and from its solution to what each request gets.
//!
//! The pairs of a request are its nearest eligible drivers, all filters on, nobody in it who holds a
//! live offer: a match is for one ride. Where nearer requests contest all drivers of a request it
//! would starve beside free ones a little farther away, so a request that got nobody is given more
//! candidates and the window is solved again, a few times at most.

use std::collections::{BTreeMap, BTreeSet};

use crate::geo::Position;
use crate::grid::Grid;
use crate::id::DriverId;
use crate::matching::advantage::value_ms;
use crate::matching::command::{
    WindowFacts, WindowMatch, WindowOutcome, WindowQuery, WindowRequest,
};
use crate::matching::cost::PairTerms;
use crate::matching::parallel::drivers_of;
use crate::matching::pickup_cap::cap_pickups;
use crate::matching::solve::{Solution, solve};
use crate::matching::sparse::{Pair, SparseProblem};
use crate::matching::value::ValueTable;
use crate::ride::{
    CandidateQuery, Candidates, ForwardCandidate, Late, PickupTimes, PriorityGroup,
    RankedCandidate, Times, hold, search_nearest, time_pickups,
};
use crate::time::Timestamp;
use crate::travel::TravelTime;

/// Live offers from which on a driver is no candidate.
const LIVE_OFFERS_MAX: u8 = 1;

/// How often requests that got nobody are given more candidates.
const COMPLETIONS_MAX: u32 = 2;

/// How many times as many candidates they are given.
const COMPLETION_FACTOR: usize = 4;

/// How many times `match_candidates` candidates a request is given at most.
pub(crate) const CANDIDATES_FACTOR_MAX: usize = COMPLETION_FACTOR.pow(COMPLETIONS_MAX);

/// Matches the requests of a window at the least cost of all, and holds a slot of each driver who is
/// to be asked for the offer that is on its way.
/// `values` are those of the market, if it has any.
pub fn match_window(grid: &Grid, values: Option<&ValueTable>, query: WindowQuery) -> WindowOutcome {
    let WindowQuery { number, closed_at, requests } = query;
    let travel = grid.travel_times();
    let times = travel.as_ref().map(|times| times.windows.as_ref());
    let row = |request| Row::new(values, request, closed_at);
    let mut rows: Vec<Row<'_>> = requests.into_iter().map(row).collect();
    search(grid, times, rows.iter_mut().collect(), closed_at);
    let pickup_eta_cap_s = cap_pickups(&mut rows);
    let drivers = rows.iter().flat_map(Row::candidates).collect::<BTreeSet<_>>().len();
    let crowding = (rows.len(), drivers);
    rows.iter_mut().for_each(|row| row.crowding = crowding);
    let mut matched = Matching::of(&rows);
    for _ in 0..COMPLETIONS_MAX {
        let starving = rows.iter_mut().zip(&matched.solution.driver_of);
        let starving = starving.filter(|(row, driver)| driver.is_none() && row.full);
        let starving: Vec<&mut Row<'_>> = starving.map(|(row, _)| row.looking_farther()).collect();
        if !search(grid, times, starving, closed_at) {
            break;
        }
        matched = Matching::of(&rows);
    }
    let facts = WindowFacts { pickup_eta_cap_s, ..matched.facts(number, rows.len()) };
    let drivers = drivers_of(&rows, &matched.driver_of());
    let answers = rows.into_iter().zip(drivers);
    let matches = answers.map(|(row, drivers)| row.into_match(grid, &drivers, facts));
    WindowOutcome { number, facts, matches: matches.collect() }
}

/// A request with its candidates.
pub(super) struct Row<'v> {
    request: WindowRequest,
    pub(super) found: Candidates,
    /// What each candidate costs.
    pub(super) terms: BTreeMap<DriverId, PairTerms>,
    /// The longest time to the pickup in seconds, where it depends on the window.
    pub(super) cap_s: Option<u32>,
    /// Requests of the window, and drivers who are candidates of any of them at the first look.
    crowding: (usize, usize),
    values: Option<&'v ValueTable>,
    /// Whether the search may have left somebody out.
    full: bool,
}

impl<'v> Row<'v> {
    fn new(
        values: Option<&'v ValueTable>,
        mut request: WindowRequest,
        closed_at: Timestamp,
    ) -> Self {
        let query = &mut request.query;
        let policy = &query.ranking.policy;
        query.limit = policy.match_candidates as usize;
        query.live_offers_max = LIVE_OFFERS_MAX;
        query.fix_received_after = closed_at.minus_millis(policy.stale_after_ms);
        query.now = closed_at;
        if let Some(places) = &mut query.forward {
            places.limit = policy.match_candidates as usize;
        }
        let (found, terms) = (Candidates::default(), BTreeMap::new());
        Self { request, found, terms, cap_s: None, crowding: (0, 0), values, full: false }
    }

    pub(super) const fn query(&self) -> &CandidateQuery {
        &self.request.query
    }

    /// What it costs to leave the request unserved.
    pub(super) fn unserved_ms(&self) -> i64 {
        let waited_ms = self.query().now.millis_since(self.request.waiting_since);
        let (requests, drivers) = self.crowding;
        self.query().ranking.policy.unserved_ms(waited_ms, requests, drivers)
    }

    /// Finds the candidates; what is told of them comes with [`settle`](Self::settle).
    fn find(&mut self, grid: &Grid, times: Times<'_>) {
        let mut found = search_nearest(grid, self.query(), times);
        self.full = found.found.len() >= self.query().limit;
        // Whoever was preferred is the solver's to say: all that were found may be matched.
        found.found.append(&mut found.passed_over);
        let asked_before = |ranked: &RankedCandidate| ranked.group == PriorityGroup::AskedBefore;
        if found.found.iter().any(|ranked| !asked_before(ranked)) {
            found.found.retain(|ranked| !asked_before(ranked));
        }
        // A driver whose ride ended between the two scans is in both.
        let idle: BTreeSet<&DriverId> =
            found.found.iter().map(|ranked| &ranked.candidate.driver).collect();
        found.forward.retain(|forward| !idle.contains(&forward.ranked.candidate.driver));
        found.trip = self.found.trip;
        self.found = found;
    }

    /// The candidates whose times are to be asked for, and the trip while its time is not known.
    fn pickup_times(&mut self) -> PickupTimes<'_> {
        let Candidates { found, forward, trip, .. } = &mut self.found;
        let idle = found.iter_mut().map(|ranked| (&mut ranked.candidate, None));
        let on_trip = forward
            .iter_mut()
            .map(|forward| (&mut forward.ranked.candidate, Some(forward.link.dropoff)));
        let query = &self.request.query;
        let trip_to = query.ranking.dropoff.filter(|_| trip.is_none());
        PickupTimes { query, candidates: idle.chain(on_trip).collect(), trip_to }
    }

    /// Leaves out who needs too long, and says what each of the others costs.
    fn settle(&mut self) {
        let query = &self.request.query;
        let policy = &query.ranking.policy;
        let mut late = Late::default();
        let found = &mut self.found;
        found.found.retain(|ranked| !late.takes(policy, &ranked.candidate));
        found.forward.retain(|forward| !late.takes(policy, &forward.ranked.candidate));
        late.add_to(query, found);
        found.found.sort_by(|one, other| one.candidate.nearer(&other.candidate));
        let trip = found.trip.map(|(_, travel)| travel);
        let terms = |(ranked, freed_at): (&RankedCandidate, Option<Position>)| {
            let candidate = &ranked.candidate;
            let terms = PairTerms::of(policy, candidate, query.tiers, query.now);
            let from = freed_at.unwrap_or(candidate.at);
            let value_ms = value_ms(self.values, query, (candidate, from), trip, &terms);
            (candidate.driver.clone(), PairTerms { value_ms, ..terms })
        };
        let idle = found.found.iter().map(|ranked| (ranked, None));
        let forward = found.forward.iter().map(|one| (&one.ranked, Some(one.link.dropoff)));
        self.terms = idle.chain(forward).map(terms).collect();
        self.leave_out_beyond_cap();
    }

    /// The same with room for more candidates.
    fn looking_farther(&mut self) -> &mut Self {
        self.request.query.limit *= COMPLETION_FACTOR;
        self
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = &DriverId> {
        let forward = self.found.forward.iter().map(|forward| &forward.ranked);
        self.found.found.iter().chain(forward).map(|ranked| &ranked.candidate.driver)
    }

    /// What the request gets: these drivers, the one it is matched with first; the others as passed
    /// over.
    fn into_match(self, grid: &Grid, drivers: &[DriverId], facts: WindowFacts) -> WindowMatch {
        let Self { request, found, terms, cap_s, .. } = self;
        let place = |ranked: &RankedCandidate| {
            drivers.iter().position(|driver| *driver == ranked.candidate.driver)
        };
        let (mut chosen, mut passed_over): (Vec<RankedCandidate>, Vec<RankedCandidate>) =
            found.found.into_iter().partition(|ranked| place(ranked).is_some());
        let (forward, others): (Vec<ForwardCandidate>, Vec<ForwardCandidate>) =
            found.forward.into_iter().partition(|forward| place(&forward.ranked).is_some());
        chosen.sort_by_key(place);
        passed_over.extend(others.into_iter().map(|forward| forward.ranked));
        let cost =
            |ranked: &RankedCandidate| terms.get(&ranked.candidate.driver).map(PairTerms::total_ms);
        passed_over.sort_by_key(cost);
        hold(grid, &request.query, chosen.iter().chain(forward.iter().map(|f| &f.ranked)));
        let pair = drivers.first().and_then(|driver| terms.get(driver)).copied();
        let window = Some(WindowFacts { pair, pickup_eta_cap_s: cap_s, ..facts });
        let mut costs_ms = BTreeMap::new();
        if drivers.len() > 1 {
            let cost = |driver: &DriverId| Some((driver.clone(), terms.get(driver)?.total_ms()));
            costs_ms.extend(drivers.iter().filter_map(cost));
        }
        let candidates =
            Candidates { found: chosen, forward, passed_over, window, costs_ms, ..found };
        WindowMatch { ride: request.ride, join: request.join, candidates }
    }
}

/// Searches for the candidates of these requests and asks for the times of all of them together;
/// tells whether any request has more than before.
fn search(
    grid: &Grid,
    times: Option<&dyn TravelTime>,
    mut rows: Vec<&mut Row<'_>>,
    closed_at: Timestamp,
) -> bool {
    if rows.is_empty() {
        return false;
    }
    let before: Vec<usize> = rows.iter().map(|row| row.terms.len()).collect();
    let asks = times.map_or(Times::StraightLine, |_| Times::Later);
    rows.iter_mut().for_each(|row| row.find(grid, asks));
    if let Some(times) = times {
        let mut pickups: Vec<PickupTimes<'_>> =
            rows.iter_mut().map(|row| row.pickup_times()).collect();
        let trips = time_pickups(times, &mut pickups, closed_at);
        for (row, travel) in rows.iter_mut().zip(trips) {
            let to = row.query().ranking.dropoff;
            row.found.trip = row.found.trip.or(to.zip(travel));
        }
    }
    rows.iter_mut().for_each(|row| row.settle());
    rows.iter().zip(before).any(|(row, before)| row.terms.len() > before)
}

/// A problem that was solved.
struct Matching {
    drivers: Vec<DriverId>,
    pairs: usize,
    gap_ms: i64,
    solution: Solution,
}

impl Matching {
    fn of(rows: &[Row<'_>]) -> Self {
        let drivers: BTreeSet<&DriverId> = rows.iter().flat_map(Row::candidates).collect();
        let index: BTreeMap<&DriverId, u32> = drivers.iter().copied().zip(0..).collect();
        let mut problem = SparseProblem::new(drivers.len() as u32);
        let mut steps_max = u64::MAX;
        for row in rows {
            steps_max = steps_max.min(row.query().ranking.policy.match_steps_max);
            // In the order of distance: it decides between pairs that cost the same.
            let pairs = row.candidates().filter_map(|driver| {
                let cost_ms = row.terms.get(driver)?.total_ms();
                Some(Pair { driver: *index.get(driver)?, cost_ms })
            });
            problem.add_request(row.unserved_ms(), pairs);
        }
        let solution = solve(&problem, steps_max);
        // The solver's prices are feasible by construction; a bug in it would show as no bound.
        let gap_ms = solution.certificate.gap_ms(&problem, &solution.driver_of);
        let gap_ms = gap_ms.unwrap_or(i64::MAX);
        let pairs = problem.pair_count();
        Self { drivers: drivers.into_iter().cloned().collect(), pairs, gap_ms, solution }
    }

    /// The driver of each request.
    fn driver_of(&self) -> Vec<Option<&DriverId>> {
        let of_index = |driver: &Option<u32>| driver.map(|driver| &self.drivers[driver as usize]);
        self.solution.driver_of.iter().map(of_index).collect()
    }

    fn facts(&self, number: u64, requests: usize) -> WindowFacts {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        WindowFacts {
            number,
            requests: count(requests),
            drivers: count(self.drivers.len()),
            pairs: count(self.pairs),
            served: count(self.solution.driver_of.iter().flatten().count()),
            optimal: self.gap_ms == 0,
            gap_ms: self.gap_ms,
            pickup_eta_cap_s: None,
            pair: None,
        }
    }
}
