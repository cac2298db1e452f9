//! Who is asked beside a matched driver, and who is too far away while drivers are scarce.

use super::case_tests::*;

use crate::grid::Grid;
use crate::matching::{WindowOutcome, WindowQuery, WindowRequest, match_window};
use crate::offer::Exclusion;
use crate::policy::DispatchPolicy;

fn matched(grid: &Grid, requests: Vec<WindowRequest>) -> WindowOutcome {
    match_window(grid, None, WindowQuery { number: 7, closed_at: at(1_000), requests })
}

/// Who each request is offered to, the matched driver first.
fn asked(outcome: &WindowOutcome) -> Vec<Vec<String>> {
    let of = |found: &crate::ride::RankedCandidate| found.candidate.driver.to_string();
    outcome.matches.iter().map(|m| m.candidates.found.iter().map(of).collect()).collect()
}

fn city(easts: &[f64]) -> Grid {
    let grid = grid();
    easts.iter().zip(1..).for_each(|(east_m, nth)| put(&grid, &format!("d{nth}"), *east_m));
    grid
}

#[test]
fn match_offers_parallel_asks_the_next_cheapest_whom_no_other_request_was_given() {
    let asked_by = |match_offers_parallel| {
        let policy = DispatchPolicy { match_offers_parallel, ..policy() };
        let grid = city(&[10.0, 40.0, 200.0, 900.0, 1_000.0]);
        let requests = vec![join(&policy, "a", 0.0, 0), join(&policy, "b", 50.0, 0)];
        let outcome = matched(&grid, requests);
        assert_eq!(outcome.facts.served, 2);
        let all: Vec<String> = asked(&outcome).concat();
        let held = |name: &String| grid.supply_of(&driver(name)).unwrap().slots_taken(at(1_000));
        assert!(all.iter().all(|name| held(name) == 1), "{all:?}");
        let costs = outcome.matches.iter().map(|m| m.candidates.costs_ms.len());
        (asked(&outcome), costs.collect::<Vec<_>>())
    };
    assert_eq!(asked_by(1), (vec![vec!["d1".to_owned()], vec!["d2".to_owned()]], vec![0, 0]));
    // The first chooses first; the second never gets whom the first was given.
    let (two, costs) = asked_by(2);
    assert_eq!(
        (two, costs),
        (vec![vec!["d1".into(), "d3".into()], vec!["d2".into(), "d4".into()]], vec![2, 2])
    );
    let (three, _) = asked_by(3);
    assert_eq!(three, [vec!["d1", "d3", "d5"], vec!["d2", "d4"]]);
}

#[test]
fn nobody_is_asked_whom_the_request_is_not_worth() {
    let policy = DispatchPolicy { match_offers_parallel: 3, match_unserved_s: 500, ..policy() };
    let outcome = matched(&city(&[10.0, 400.0, 600.0]), vec![join(&policy, "a", 0.0, 0)]);
    assert_eq!(asked(&outcome), [vec!["d1", "d2"]]);
}

#[test]
fn pickup_eta_s_min_keeps_far_drivers_for_nearer_riders_where_drivers_are_scarce() {
    let capped = DispatchPolicy {
        pickup_eta_s_max: 1_000,
        pickup_eta_s_min: 300,
        pickup_eta_ample_permille: 500,
        pickup_eta_scarce_permille: 1_000,
        ..policy()
    };
    let served = |easts: &[f64], policy: &DispatchPolicy| {
        let outcome = matched(&city(easts), vec![join(policy, "a", 0.0, 0)]);
        (outcome.facts.served, outcome.facts.pickup_eta_cap_s, outcome)
    };
    let (count, cap_s, outcome) = served(&[400.0], &capped);
    assert_eq!((count, cap_s), (0, Some(300)));
    let candidates = &outcome.matches[0].candidates;
    assert_eq!(candidates.excluded_counts.get(&Exclusion::PickupEtaAdaptive), Some(&1));
    assert_eq!(candidates.excluded[0].reason, Exclusion::PickupEtaAdaptive);
    assert_eq!(candidates.window.unwrap().pickup_eta_cap_s, Some(300));
    // Two for one rider are enough, although both are beyond the limit of scarcity.
    let (count, cap_s, _) = served(&[400.0, 450.0], &capped);
    assert_eq!((count, cap_s), (1, Some(1_000)));
    let late = DispatchPolicy { pickup_eta_ample_permille: 1_000, ..capped.clone() };
    assert_eq!(served(&[400.0], &late).1, Some(1_000));
    let scarce = DispatchPolicy { pickup_eta_scarce_permille: 2_000, ..capped.clone() };
    let (count, cap_s, _) = served(&[400.0], &scarce);
    assert_eq!((count, cap_s), (1, Some(767)));
    let fixed = DispatchPolicy { pickup_eta_s_min: 0, ..capped };
    let (count, cap_s, _) = served(&[400.0], &fixed);
    assert_eq!((count, cap_s), (1, None));
}
