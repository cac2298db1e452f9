//! A shadow beside rides that are dispatched for real, as sentences.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::effect::{Effect, Outbox};
use crate::event::EventKind;
use crate::grid::{DriverStatus, Grid, Hold, Supply};
use crate::id::DriverId;
use crate::machine::Machine;
use crate::matching::case_tests::{
    at, driver, grid, market, place, policy, put, put_with, request, ride,
};
use crate::policy::{DispatchMode, DispatchPolicy, PolicyBook, PolicyPatch};
use crate::ride::{
    CancelledBy, RideCommand, RideMachine, RideProgress, RideRequest, find_candidates,
};
use crate::shadow::{
    Comparison, RideEnd, ShadowCommand, ShadowEvent, ShadowMachine, ShadowQuery, decide,
};

const WINDOW_MS: u64 = 5_000;

/// One driver at a time, the nearest first.
fn nearest_first() -> DispatchPolicy {
    DispatchPolicy {
        mode: DispatchMode::Sequential,
        search_radius_m_min: 5_000,
        live_offers_max: 1,
        otp_required: false,
        ..policy()
    }
}

fn batched() -> DispatchPolicy {
    DispatchPolicy {
        batch_window_ms: WINDOW_MS,
        batch_window_ms_min: WINDOW_MS,
        search_limit_ms: 60_000,
        ..policy()
    }
}

/// A market whose rides are dispatched nearest first, and its shadow.
struct Case {
    grid: Grid,
    rides: BTreeMap<String, RideMachine>,
    shadow: ShadowMachine,
    /// Whether queries are answered at once; else the newest waits here.
    answers: bool,
    query: Option<ShadowQuery>,
    compared: Vec<Comparison>,
    skipped: usize,
    ms: u64,
}

impl Case {
    fn new(by: DispatchPolicy) -> Self {
        Self::of(ShadowMachine::new(market(), at(0)), by)
    }

    fn of(shadow: ShadowMachine, by: DispatchPolicy) -> Self {
        let (rides, compared) = (BTreeMap::new(), Vec::new());
        let (answers, query) = (true, None);
        let mut case =
            Self { grid: grid(), rides, shadow, answers, query, compared, skipped: 0, ms: 0 };
        case.tell(ShadowCommand::Use(Some(Arc::new(PolicyBook::of(by)))));
        case
    }

    fn tell(&mut self, command: ShadowCommand) {
        let mut out = Outbox::default();
        self.shadow.handle(command, at(self.ms), &mut out);
        self.perform(out);
    }

    fn wait_until(&mut self, ms: u64) {
        while let Some(due) = self.shadow.next_deadline().filter(|due| due.at <= at(ms)) {
            self.ms = self.ms.max(due.at.millis_since(at(0)));
            let mut out = Outbox::default();
            self.shadow.on_deadline(at(self.ms), &mut out);
            assert_ne!(self.shadow.next_deadline(), Some(due), "due again at once");
            self.perform(out);
        }
        self.ms = ms;
    }

    fn perform(&mut self, mut out: Outbox) {
        for effect in out.drain().collect::<Vec<_>>() {
            if let Effect::DecideShadow(query) = effect {
                match self.answers {
                    true => self.answer(*query),
                    false => self.query = Some(*query),
                }
                continue;
            }
            let Effect::Publish(event) = effect else { panic!("a shadow asks for {effect:?}") };
            let EventKind::Shadow(told) = event.kind else { panic!("a shadow tells of {event:?}") };
            match told {
                ShadowEvent::Compared(compared) => self.compared.push(*compared),
                ShadowEvent::Skipped => self.skipped += 1,
            }
        }
    }

    fn answer(&mut self, query: ShadowQuery) {
        let before = self.supply();
        let outcome = decide(&self.grid, &market(), query);
        assert_eq!(self.supply(), before, "the decision touched the real grid");
        self.tell(ShadowCommand::Decided(Box::new(outcome)));
    }

    fn supply(&self) -> Vec<Option<Supply>> {
        ["d1", "d2", "d3"].map(|name| self.grid.supply_of(&driver(name))).to_vec()
    }

    /// One turn of a ride; the shadow hears what becomes durable.
    fn turn(&mut self, name: &str, command: RideCommand) {
        let mut machine = self.rides.remove(name).unwrap();
        let mut out = Outbox::default();
        machine.handle(command, at(self.ms), &mut out);
        let mut told = Vec::new();
        while !out.is_empty() {
            for effect in out.drain().collect::<Vec<_>>() {
                if let Effect::FindCandidates(query) = effect {
                    let found = Box::new(find_candidates(&self.grid, &query));
                    machine.handle(RideCommand::Candidates(found), at(self.ms), &mut out);
                } else if let Effect::PersistRide(commit) = effect {
                    told.push(commit.record);
                }
            }
        }
        self.rides.insert(name.to_owned(), machine);
        told.into_iter().for_each(|record| self.tell(ShadowCommand::Ride(record)));
    }

    fn request(&mut self, name: &str, east_m: f64) {
        self.request_with(name, east_m, |_| {});
    }

    fn request_with(&mut self, name: &str, east_m: f64, change: impl FnOnce(&mut RideRequest)) {
        let mut asked = request(name, east_m, self.ms);
        asked.dropoff = Some(place(east_m + 600.0));
        change(&mut asked);
        let book = Arc::new(PolicyBook::of(nearest_first()));
        self.rides.insert(name.to_owned(), RideMachine::new(asked, market(), book));
        self.turn(name, RideCommand::Request { reply: None });
    }

    /// The driver who is offered the ride takes it.
    fn accept(&mut self, name: &str) -> DriverId {
        let offers = &self.rides[name].record().offers;
        let (offer, by) =
            offers.iter().map(|(offer, live)| (offer.clone(), live.driver.clone())).next().unwrap();
        let vehicle = Arc::from("{}");
        let accepted =
            RideCommand::OfferAccepted { offer, driver: by.clone(), vehicle, fare: None };
        self.set(&by, DriverStatus::EnRoute);
        self.turn(name, accepted);
        by
    }

    fn complete(&mut self, name: &str) {
        let by = self.rides[name].record().assignment.as_ref().unwrap().driver.id.clone();
        for step in
            [RideProgress::Arrived, RideProgress::Start { otp: None }, RideProgress::Complete]
        {
            let progress = RideCommand::Progress { driver: None, step, reply: None };
            self.turn(name, progress);
        }
        self.set(&by, DriverStatus::Available);
    }

    fn set(&self, by: &DriverId, status: DriverStatus) {
        let (slot, supply) = self.grid.entry_of(by).unwrap();
        self.grid.place(&slot, Supply { status, live_offers: 0, hold: Hold::default(), ..supply });
    }

    fn chosen(&self, name: &str) -> Option<&str> {
        self.shadow.comparison(&ride(name))?.shadow.driver.as_ref().map(DriverId::as_str)
    }

    fn given(&self) -> Vec<(String, String)> {
        let given = self.shadow.given();
        given.map(|(driver, ride)| (driver.to_string(), ride.to_string())).collect()
    }
}

/// Nearest first, the second rider gets who is left, 1,100 m away; together both have it shorter.
fn two_riders_two_drivers(case: &mut Case) {
    put(&case.grid, "d1", 0.0);
    put(&case.grid, "d2", 1_000.0);
    case.request("r1", 400.0);
    assert_eq!(case.accept("r1").as_str(), "d1");
    case.request("r2", -100.0);
    assert_eq!(case.accept("r2").as_str(), "d2");
    case.wait_until(2 * WINDOW_MS);
}

#[test]
fn a_batched_shadow_of_nearest_first_decides_for_two_riders_together() {
    let mut case = Case::new(batched());
    two_riders_two_drivers(&mut case);
    assert_eq!((case.chosen("r1"), case.chosen("r2")), (Some("d2"), Some("d1")));
    let etas = |side: fn(&Comparison) -> u32| case.compared.iter().map(side).sum::<u32>();
    assert_eq!(etas(|ride| ride.real.pickup_eta.unwrap().get()), 400 + 1_100);
    assert_eq!(etas(|ride| ride.shadow.pickup_eta.unwrap().get()), 600 + 100);
    let summary = case.shadow.summary();
    assert_eq!((summary.rides, summary.served_by_both, summary.same_driver), (2, 2, 0));
    assert_eq!((summary.real.served, summary.shadow.served), (2, 2));
    assert_eq!(summary.shadow.decided_ms.mean(), Some(WINDOW_MS as f64));
    assert_eq!(summary.real.decided_ms.mean(), Some(0.0));
    assert!(case.compared.iter().all(|ride| ride.pair.is_some()));
}

#[test]
fn a_shadow_of_the_same_policy_decides_the_same() {
    let mut case = Case::new(nearest_first());
    two_riders_two_drivers(&mut case);
    let summary = case.shadow.summary();
    assert_eq!((summary.rides, summary.same_driver), (2, 2));
    assert_eq!(summary.real.pickup_eta_s, summary.shadow.pickup_eta_s);
    assert_eq!((case.shadow.followed(), case.given()), (0, Vec::new()));
}

#[test]
fn who_is_offered_or_has_a_ride_for_real_is_free_in_the_shadow_where_he_stood() {
    let mut case = Case::new(batched());
    put(&case.grid, "d1", 0.0);
    put(&case.grid, "d2", 3_000.0);
    case.request("r1", 1_600.0);
    assert_eq!(case.accept("r1").as_str(), "d2");
    case.request("r2", 2_900.0);
    case.wait_until(WINDOW_MS);
    assert_eq!((case.chosen("r1"), case.chosen("r2")), (Some("d1"), Some("d2")));
    // The first decision saw him at 3,000 m; where the real ride takes him is not where he would be.
    assert_eq!(case.shadow.comparison(&ride("r2")).unwrap().shadow.pickup_eta.unwrap().get(), 100);
}

#[test]
fn no_driver_is_given_twice_and_the_rest_is_unserved_at_the_search_limit() {
    for by in [batched(), DispatchPolicy { search_limit_ms: 60_000, ..nearest_first() }] {
        let mut case = Case::new(by);
        put(&case.grid, "d1", 0.0);
        for (name, east_m) in [("r1", 100.0), ("r2", 200.0), ("r3", 300.0)] {
            case.request(name, east_m);
        }
        case.wait_until(3 * WINDOW_MS);
        assert_eq!(case.given(), [("d1".to_owned(), "r1".to_owned())]);
        case.wait_until(60_000);
        for name in ["r2", "r3"] {
            let comparison = case.shadow.comparison(&ride(name)).unwrap();
            assert_eq!(comparison.shadow.end, RideEnd::Unserved, "{name}");
        }
    }
}

#[test]
fn a_driver_whom_the_shadow_gave_a_ride_is_free_again_when_that_has_ended() {
    let mut case = Case::new(DispatchPolicy { search_limit_ms: 1_000, ..nearest_first() });
    put(&case.grid, "d1", 0.0);
    // For real nobody takes it; in the shadow he does: 100 m to the pickup and 600 m on.
    case.request("r1", 100.0);
    case.turn("r1", RideCommand::Cancel { by: CancelledBy::Rider, reason: None, reply: None });
    assert_eq!(case.given(), []);
    case.set(&driver("d1"), DriverStatus::Available);
    case.ms += 100;
    case.request("r2", 100.0);
    assert_eq!(case.chosen("r2"), Some("d1"));
    let offer = case.rides["r2"].record().offers.keys().next().unwrap().clone();
    case.turn("r2", RideCommand::OfferDeclined { offer });
    case.ms = 400_000;
    case.turn("r2", RideCommand::Get { reply: crate::effect::ReplyTo(1) });
    assert_eq!(case.rides["r2"].record().status, crate::ride::RideStatus::Unfulfilled);
    assert_eq!(case.compared.last().unwrap().real.end, RideEnd::Unserved);
    assert_eq!(case.given().len(), 1);
    case.wait_until(100 + 699_000);
    assert_eq!(case.given().len(), 1);
    case.wait_until(100 + 700_000);
    assert_eq!((case.given(), case.shadow.followed()), (Vec::new(), 0));
}

#[test]
fn rides_that_are_over_leave_the_shadow() {
    let mut case = Case::new(batched());
    two_riders_two_drivers(&mut case);
    assert_eq!(case.shadow.followed(), 2);
    case.complete("r1");
    case.complete("r2");
    assert_eq!(case.shadow.followed(), 0);
    assert_eq!(case.shadow.next_deadline(), None);
    assert_eq!(case.chosen("r1"), Some("d2"));
}

#[test]
fn a_rider_who_cancels_before_the_shadow_has_decided_is_served_by_neither() {
    let mut case = Case::new(batched());
    put(&case.grid, "d1", 0.0);
    case.request("r1", 100.0);
    case.turn("r1", RideCommand::Cancel { by: CancelledBy::Rider, reason: None, reply: None });
    let ends = (case.compared[0].real.end, case.compared[0].shadow.end);
    assert_eq!(ends, (RideEnd::Cancelled, RideEnd::Cancelled));
    case.wait_until(2 * WINDOW_MS);
    assert_eq!((case.given(), case.shadow.followed()), (Vec::new(), 0));
}

#[test]
fn rides_beyond_what_may_be_followed_are_counted_and_not_compared() {
    let mut case = Case::of(ShadowMachine::new(market(), at(0)).with_room_for(1), batched());
    put(&case.grid, "d1", 0.0);
    put(&case.grid, "d2", 50.0);
    case.request("r1", 100.0);
    case.request("r2", 100.0);
    assert_eq!((case.shadow.followed(), case.skipped), (1, 1));
    assert_eq!(case.shadow.summary().skipped, 1);
    case.wait_until(WINDOW_MS);
    assert_eq!((case.chosen("r1"), case.chosen("r2")), (Some("d2"), None));
}

#[test]
fn one_query_is_under_way_at_a_time_and_one_that_failed_is_repeated() {
    for by in [batched(), nearest_first()] {
        let mut case = Case::new(by);
        case.answers = false;
        put(&case.grid, "d1", 0.0);
        case.request("r1", 100.0);
        case.wait_until(WINDOW_MS);
        let first = case.query.take().unwrap();
        case.request("r2", 200.0);
        case.wait_until(2 * WINDOW_MS + 1);
        assert_eq!(case.query, None);
        case.tell(ShadowCommand::Failed { number: first.number });
        case.answers = true;
        if let Some(query) = case.query.take() {
            case.answer(query);
        }
        case.wait_until(5 * WINDOW_MS);
        assert_eq!(case.given().len(), 1);
        // An answer that comes late is nobody's.
        let late = decide(&case.grid, &market(), first);
        case.tell(ShadowCommand::Decided(Box::new(late)));
        assert_eq!(case.given().len(), 1);
    }
}

#[test]
fn other_policies_begin_with_an_empty_summary_and_the_same_ones_do_not() {
    let mut case = Case::new(batched());
    two_riders_two_drivers(&mut case);
    case.tell(ShadowCommand::Use(Some(Arc::new(PolicyBook::of(batched())))));
    assert_eq!(case.shadow.summary().rides, 2);
    case.tell(ShadowCommand::Use(Some(Arc::new(PolicyBook::of(nearest_first())))));
    assert_eq!((case.shadow.summary().rides, case.shadow.followed()), (0, 0));
    case.tell(ShadowCommand::Use(None));
    case.request("r3", 0.0);
    assert_eq!((case.shadow.followed(), case.shadow.next_deadline()), (0, None));
}

#[test]
fn a_driver_who_suits_nobody_for_real_suits_nobody_in_the_shadow() {
    let mut case = Case::new(batched());
    put_with(&case.grid, "d1", 0.0, |supply| supply.blocked = true);
    put_with(&case.grid, "d2", 0.0, |supply| supply.status = DriverStatus::Offline);
    put(&case.grid, "d3", 900.0);
    case.request_with("r1", 0.0, |request| {
        request.blocked_drivers.insert(driver("d3"));
    });
    case.request("r2", 0.0);
    case.wait_until(WINDOW_MS);
    assert_eq!((case.chosen("r1"), case.chosen("r2")), (None, Some("d3")));
}

#[test]
fn a_shadow_has_the_markets_policies_with_its_own_keys() {
    let book = PolicyBook::of(nearest_first());
    let patch = PolicyPatch { mode: Some(DispatchMode::Batched), ..PolicyPatch::default() };
    let shadowed = book.shadowed(&patch).unwrap();
    assert_eq!(shadowed.base().mode, DispatchMode::Batched);
    assert_eq!(shadowed.base().live_offers_max, 1);
    let wrong = PolicyPatch { search_radius_m_max: Some(1), ..PolicyPatch::default() };
    let error = book.shadowed(&wrong).unwrap_err().to_string();
    assert!(error.starts_with("policy: search_radius_m_max is 1"), "{error}");
}
