//! What a window makes of requests and drivers, and what each key of its costs changes.

use super::case_tests::*;

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::grid::{Grid, TierSet};
use crate::matching::{WindowOutcome, WindowQuery, WindowRequest, match_window};
use crate::offer::Exclusion;
use crate::policy::DispatchPolicy;
use crate::ride::find_candidates;

fn matched(grid: &Grid, requests: Vec<WindowRequest>) -> WindowOutcome {
    match_window(grid, None, WindowQuery { number: 7, closed_at: at(1_000), requests })
}

/// Who each request gets, in the order of the requests.
fn drivers(outcome: &WindowOutcome) -> Vec<&str> {
    let driver = |matched: &'_ crate::matching::WindowMatch| matched.candidates.found.len();
    assert!(outcome.matches.iter().all(|matched| driver(matched) <= 1));
    let of = outcome.matches.iter();
    of.map(|m| m.candidates.found.first().map_or("-", |f| f.candidate.driver.as_str())).collect()
}

fn solved(grid: &Grid, policy: &DispatchPolicy, rides: &[(&str, f64)]) -> Vec<String> {
    let requests = rides.iter().map(|(name, east_m)| join(policy, name, *east_m, 0)).collect();
    drivers(&matched(grid, requests)).into_iter().map(str::to_owned).collect()
}

#[test]
fn together_they_are_served_better_than_one_after_the_other() {
    let grid = grid();
    put(&grid, "between", 0.0);
    put(&grid, "beyond", 900.0);
    // The first to ask would have the driver in between, and the other nobody within reach.
    let near = DispatchPolicy { search_radius_m_max: 1_000, ..policy() };
    let outcome = matched(&grid, vec![join(&near, "a", 300.0, 0), join(&near, "b", -400.0, 0)]);
    assert_eq!(drivers(&outcome), ["beyond", "between"]);
    let facts = outcome.facts;
    assert_eq!((facts.number, facts.requests, facts.drivers, facts.served), (7, 2, 2, 2));
    assert!(facts.optimal && facts.gap_ms == 0 && facts.pairs == 3);
}

#[test]
fn only_the_matched_drivers_are_held_and_the_others_are_told_as_passed_over() {
    let grid = grid();
    put(&grid, "near", 100.0);
    put(&grid, "far", 200.0);
    let outcome = matched(&grid, vec![join(&policy(), "a", 0.0, 0)]);
    assert_eq!(drivers(&outcome), ["near"]);
    let held = |name| grid.supply_of(&driver(name)).unwrap().slots_taken(at(1_000));
    assert_eq!((held("near"), held("far")), (1, 0));
    let candidates = &outcome.matches[0].candidates;
    assert_eq!(candidates.passed_over[0].candidate.driver, driver("far"));
    let cost_ms = candidates.window.unwrap().pair.unwrap().total_ms();
    assert!((99_990..=100_010).contains(&cost_ms), "{cost_ms}");
}

#[test]
fn nobody_is_matched_whom_a_filter_leaves_out_or_who_considers_an_offer() {
    let grid = grid();
    put_with(&grid, "asked", 100.0, |supply| supply.live_offers = 1);
    put_with(&grid, "blocked", 110.0, |supply| supply.blocked = true);
    put(&grid, "not wanted".replace(' ', "_").as_str(), 120.0);
    put(&grid, "free", 500.0);
    let unwanted = [driver("not_wanted")].into();
    let request = join_with(&policy(), "a", 0.0, 0, |request| request.blocked_drivers = unwanted);
    let outcome = matched(&grid, vec![request]);
    assert_eq!(drivers(&outcome), ["free"]);
    let counts = &outcome.matches[0].candidates.excluded_counts;
    let reasons = [Exclusion::OfferSlotsFull, Exclusion::Blocked, Exclusion::BlockedForRide];
    assert!(reasons.iter().all(|reason| counts.get(reason) == Some(&1)), "{counts:?}");
}

#[test]
fn match_candidates_bounds_the_pairs() {
    let pairs = |match_candidates| {
        let grid = grid();
        for at in 0..30 {
            put(&grid, &format!("d{at}"), f64::from(at) * 10.0);
        }
        let policy = DispatchPolicy { match_candidates, ..policy() };
        matched(&grid, vec![join(&policy, "a", 0.0, 0)]).facts.pairs
    };
    assert_eq!([1, 5, 40].map(pairs), [1, 5, 30]);
}

#[test]
fn a_request_whose_candidates_are_all_contested_is_given_more() {
    let grid = grid();
    for (name, east_m) in [("d1", 0.0), ("d2", 10.0), ("d3", 400.0), ("d4", 500.0)] {
        put(&grid, name, east_m);
    }
    let two = DispatchPolicy { match_candidates: 2, ..policy() };
    let rides = [("a", 0.0), ("b", 1.0), ("c", 2.0), ("d", 3.0)];
    let mut served = solved(&grid, &two, &rides);
    served.sort();
    assert_eq!(served, ["d1", "d2", "d3", "d4"]);
}

#[test]
fn a_window_that_runs_out_of_steps_is_matched_all_the_same() {
    let grid = grid();
    for at in 0..60 {
        put(&grid, &format!("d{at}"), f64::from(at) * 7.0);
    }
    let requests = |policy: &DispatchPolicy| -> Vec<WindowRequest> {
        (0..60).map(|at| join(policy, &format!("r{at}"), f64::from(at) * 3.0, 0)).collect()
    };
    let few = DispatchPolicy { match_steps_max: 1_000, match_candidates: 60, ..policy() };
    let outcome = matched(&grid, requests(&few));
    assert!(!outcome.facts.optimal && outcome.facts.gap_ms > 0, "{:?}", outcome.facts);
    assert_eq!(outcome.facts.served, 60);
    let all = DispatchPolicy { match_steps_max: 50_000_000, ..few };
    assert!(matched(&grid, requests(&all)).facts.optimal);
}

#[test]
fn match_unserved_s_bounds_the_way_of_any_driver() {
    let grid = grid();
    put(&grid, "d", 700.0);
    let served = |match_unserved_s| {
        let policy = DispatchPolicy { match_unserved_s, ..policy() };
        solved(&grid, &policy, &[("a", 0.0)])
    };
    assert_eq!((served(699), served(701)), (vec!["-".to_owned()], vec!["d".to_owned()]));
}

#[test]
fn match_age_permille_serves_first_who_waited_longer() {
    let policy = DispatchPolicy { match_age_permille: 1_000, ..policy() };
    let requests = || vec![join(&policy, "old", 8.0, 0), join(&policy, "new", 3.0, 20_000)];
    let served = |requests| {
        let grid = grid();
        put(&grid, "d", 0.0);
        let query = WindowQuery { number: 1, closed_at: at(20_000), requests };
        drivers(&match_window(&grid, None, query))
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(served(requests()), ["d", "-"]);
    let ageless = DispatchPolicy { match_age_permille: 0, ..policy.clone() };
    let requests = vec![join(&ageless, "old", 8.0, 0), join(&ageless, "new", 3.0, 20_000)];
    assert_eq!(served(requests), ["-", "d"]);
}

/// Whether the farther driver is preferred, 100 seconds farther, whom `change` makes the better one.
fn prefers_far(
    policy: &DispatchPolicy,
    near: impl FnOnce(&mut crate::grid::Supply),
    far: impl FnOnce(&mut crate::grid::Supply),
) -> bool {
    let grid = grid();
    put_with(&grid, "near", 0.0, near);
    put_with(&grid, "far", 100.0, far);
    solved(&grid, policy, &[("a", 0.0)]) == ["far"]
}

#[test]
fn match_downgrade_s_spares_drivers_of_better_tiers() {
    let better = |supply: &mut crate::grid::Supply| supply.tiers = TierSet::EMPTY.with(0).with(1);
    let prefers = |match_downgrade_s| {
        prefers_far(&DispatchPolicy { match_downgrade_s, ..policy() }, better, |_| {})
    };
    assert!(!prefers(99) && prefers(101));
}

#[test]
fn match_idle_s_prefers_who_had_no_ride_for_long() {
    let idle = |supply: &mut crate::grid::Supply| {
        supply.standing.idle_since = START.minus_millis(1_800_000);
    };
    let prefers =
        |match_idle_s| prefers_far(&DispatchPolicy { match_idle_s, ..policy() }, |_| {}, idle);
    assert!(!prefers(198) && prefers(202));
}

#[test]
fn match_refusal_s_prefers_who_accepts() {
    let refuses = |supply: &mut crate::grid::Supply| supply.standing.offers_answered = 90;
    let prefers = |match_refusal_s| {
        let policy = DispatchPolicy {
            match_refusal_s,
            match_acceptance_prior_permille: 1_000,
            match_acceptance_prior_offers: 10,
            ..policy()
        };
        prefers_far(&policy, refuses, |_| {})
    };
    // He accepts 100 of 1,000: none of 90, and the 10 that are assumed.
    assert!(!prefers(111) && prefers(112));
}

#[test]
fn an_assumed_acceptance_weighs_as_much_as_the_policy_says() {
    let refused_once = |supply: &mut crate::grid::Supply| supply.standing.offers_answered = 1;
    let prefers = |permille, offers| {
        let policy = DispatchPolicy {
            match_refusal_s: 250,
            match_acceptance_prior_permille: permille,
            match_acceptance_prior_offers: offers,
            ..policy()
        };
        prefers_far(&policy, refused_once, |_| {})
    };
    // One refusal: half of the assumption is left, or almost all of it.
    assert!(prefers(1_000, 1) && !prefers(1_000, 9));
    // Who is assumed to refuse anyway has lost nothing by it.
    assert!(!prefers(0, 1));
}

proptest! {
    #![proptest_config(Config { cases: 300, ..Config::default() })]

    #[test]
    fn a_window_with_one_request_gives_it_the_nearest_driver(
        easts in proptest::collection::vec(-6_000.0..6_000.0_f64, 0..40),
        match_candidates in 1_u32..10,
        blocked in proptest::collection::btree_set(0_usize..40, 0..10),
    ) {
        let grid = grid();
        for (at, east_m) in easts.iter().enumerate() {
            put(&grid, &format!("d{at}"), *east_m);
        }
        // No driver within reach is farther than it is worth.
        let policy = DispatchPolicy { match_candidates, match_unserved_s: 6_000, ..policy() };
        let request = join_with(&policy, "a", 0.0, 0, |request| {
            request.blocked_drivers = blocked.iter().map(|at| driver(&format!("d{at}"))).collect();
        });
        let mut alone = request.query.clone();
        alone.limit = 1;
        let outcome = matched(&grid, vec![request]);
        for at in 0..easts.len() {
            grid.remove(&driver(&format!("d{at}")));
        }
        for (at, east_m) in easts.iter().enumerate() {
            put(&grid, &format!("d{at}"), *east_m);
        }
        let nearest = find_candidates(&grid, &alone);
        let nearest = nearest.found.first().map(|found| found.candidate.driver.to_string());
        prop_assert_eq!(drivers(&outcome), [nearest.as_deref().unwrap_or("-")]);
    }
}
