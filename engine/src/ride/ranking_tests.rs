//! Who is asked first, and what each key of the ranking changes.

use super::case_tests::*;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::effect::Effect;
use crate::geo::{CellResolution, Position};
use crate::grid::{DriverSlot, Fix, FixLimits, Grid, Standing};
use crate::grid::{Supply, TagFilter, TierSet};
use crate::machine::Machine;
use crate::policy::{DispatchPolicy, Ranking};
use crate::ride::ranking::Merits;
use crate::ride::{
    Candidate, PriorityGroup, RankQuery, RankedCandidate, RideCommand, WaveDecision,
    find_candidates, rank,
};
use crate::time::Timestamp;
use crate::units::Meters;

const NOW: Timestamp = Timestamp::from_millis(100_000_000);

fn place(lat: f64) -> Position {
    Position::from_degrees(lat, 0.5).unwrap()
}

fn candidate(name: &str, distance_m: f64) -> Candidate {
    Candidate {
        driver: driver(name),
        at: place(0.5),
        distance: Meters::new(distance_m),
        travel: None,
        tiers: TierSet::EMPTY.with(0),
        instant_tiers: TierSet::EMPTY,
        tags: TagFilter::default(),
        standing: Standing { idle_since: NOW, ..Standing::default() },
    }
}

fn standing(name: &str, change: impl FnOnce(&mut Standing)) -> Candidate {
    let mut candidate = candidate(name, 100.0);
    change(&mut candidate.standing);
    candidate
}

fn query(policy: DispatchPolicy) -> RankQuery {
    RankQuery {
        policy: Arc::new(policy),
        favourite_drivers: BTreeSet::new(),
        pickup: place(0.5),
        dropoff: None,
        asked_before: BTreeSet::new(),
        seed: 7,
    }
}

fn only(set: impl FnOnce(&mut DispatchPolicy)) -> RankQuery {
    let mut policy = DispatchPolicy {
        ranking: Ranking::Score,
        weight_acceptance: 0,
        weight_cancellation: 0,
        weight_idle: 0,
        weight_pickup_eta: 0,
        weight_rides: 0,
        ..DispatchPolicy::default()
    };
    set(&mut policy);
    query(policy)
}

fn names(ranked: &[RankedCandidate]) -> Vec<&str> {
    ranked.iter().map(|ranked| ranked.candidate.driver.as_str()).collect()
}

#[test]
fn a_candidate_has_each_of_the_facts_he_was_found_with() {
    let supply = Supply {
        instant_tiers: TierSet::EMPTY.with(1),
        tags: TagFilter::of(["pet"]),
        standing: Standing { rides_completed: 7, ..Standing::default() },
        ..Supply::free(TierSet::EMPTY.with(0).with(1))
    };
    let (at, distance) = (place(0.5), Meters::new(20.0));
    let found = Candidate::new(driver("a"), at, distance, Merits::from(&supply));
    assert_eq!((found.driver.as_str(), found.at, found.distance), ("a", at, distance));
    assert_eq!((found.tiers, found.instant_tiers), (supply.tiers, supply.instant_tiers));
    assert_eq!((found.tags, found.standing), (supply.tags, supply.standing));
    assert_eq!(found.travel, None);
}

#[test]
fn nearest_goes_by_distance_and_then_by_id() {
    let pool = vec![candidate("b", 50.0), candidate("c", 10.0), candidate("a", 50.0)];
    let ranked = rank(pool, &query(DispatchPolicy::default()), NOW);
    assert_eq!(names(&ranked), ["c", "a", "b"]);
    assert!(ranked.iter().all(|ranked| ranked.score.is_none()));
}

/// The better of two drivers, `a` by id, comes first only by his weight.
fn prefers(set: impl FnOnce(&mut DispatchPolicy), better: Candidate, worse: Candidate) {
    let (better_name, worse_name) = (better.driver.clone(), worse.driver.clone());
    let pool = vec![better, worse];
    let without = rank(pool.clone(), &only(|_| {}), NOW);
    assert_eq!(names(&without), [worse_name.as_str(), better_name.as_str()]);
    let ranked = rank(pool, &only(set), NOW);
    assert_eq!(names(&ranked), [better_name.as_str(), worse_name.as_str()]);
    let score = |place: usize| ranked[place].score.unwrap().score;
    assert!(score(0) > score(1));
}

#[test]
fn weight_acceptance_prefers_who_accepts() {
    let worse = standing("a", |standing| standing.acceptance_permille = 300);
    prefers(|policy| policy.weight_acceptance = 10, candidate("b", 100.0), worse);
}

#[test]
fn weight_cancellation_prefers_who_keeps_his_rides() {
    let worse = standing("a", |standing| standing.cancellation_permille = 300);
    prefers(|policy| policy.weight_cancellation = 10, candidate("b", 100.0), worse);
}

#[test]
fn weight_idle_prefers_who_waited_longest() {
    let better = standing("b", |standing| standing.idle_since = NOW.minus_millis(600_000));
    prefers(|policy| policy.weight_idle = 10, better, candidate("a", 100.0));
}

#[test]
fn weight_rides_prefers_who_drives_much() {
    let better = standing("b", |standing| standing.rides_completed = 40);
    prefers(|policy| policy.weight_rides = 10, better, candidate("a", 100.0));
}

#[test]
fn weight_pickup_eta_weighs_nearness_against_the_rest() {
    let pool = || {
        vec![candidate("near", 100.0), standing("idle", |s| s.idle_since = Timestamp::default())]
    };
    let mut far = pool();
    far[1].distance = Meters::new(2_900.0);
    let ranked = |eta| {
        let query = only(|policy| (policy.weight_idle, policy.weight_pickup_eta) = (10, eta));
        rank(far.clone(), &query, NOW)
    };
    assert_eq!(names(&ranked(0)), ["idle", "near"]);
    assert_eq!(names(&ranked(90)), ["near", "idle"]);
}

#[test]
fn a_score_is_the_weighted_mean_of_its_terms() {
    let driver = standing("a", |standing| {
        standing.acceptance_permille = 600;
        standing.cancellation_permille = 100;
        standing.idle_since = NOW.minus_millis(1_800_000);
        standing.rides_completed = 250;
    });
    let set = |policy: &mut DispatchPolicy| {
        policy.weight_acceptance = 10;
        policy.weight_cancellation = 20;
        policy.weight_idle = 30;
        policy.weight_rides = 40;
    };
    let terms = rank(vec![driver], &only(set), NOW)[0].score.unwrap();
    let parts = (terms.acceptance, terms.cancellation, terms.idle, terms.rides);
    assert_eq!(parts, (600, 900, 500, 1_000));
    assert_eq!(terms.score, (600 + 2 * 900 + 3 * 500 + 4 * 1_000) / 10);
}

#[test]
fn random_repeats_itself_and_differs_from_wave_to_wave() {
    let pool: Vec<Candidate> = (0..20).map(|n| candidate(&format!("d{n:02}"), 100.0)).collect();
    let policy = DispatchPolicy { ranking: Ranking::Random, ..DispatchPolicy::default() };
    let order = |wave| {
        let seed = RankQuery::seed_of(&request(None).ride, 1, wave);
        rank(pool.clone(), &RankQuery { seed, ..query(policy.clone()) }, NOW)
    };
    assert_eq!(order(1), order(1));
    assert_ne!(names(&order(1)), names(&order(2)));
    assert_ne!(
        names(&order(1)),
        names(&rank(pool.clone(), &query(DispatchPolicy::default()), NOW))
    );
}

#[test]
fn groups_come_in_their_order_before_all_scores() {
    let mut tagged = candidate("tagged", 20.0);
    tagged.tags = TagFilter::of(["gold"]);
    let mut home = candidate("home", 30.0);
    home.standing.home = Some(place(0.7));
    let pool = vec![candidate("other", 10.0), tagged, home, candidate("favourite", 40.0)];
    let policy = DispatchPolicy {
        priority_tags: vec!["gold".to_owned()],
        go_home_gain_m: 1_000,
        ..DispatchPolicy::default()
    };
    let ask = |policy: DispatchPolicy| RankQuery {
        favourite_drivers: BTreeSet::from([driver("favourite")]),
        dropoff: Some(place(0.6)),
        ..query(policy)
    };
    let ranked = rank(pool.clone(), &ask(policy.clone()), NOW);
    assert_eq!(names(&ranked), ["favourite", "home", "tagged", "other"]);
    let groups: Vec<PriorityGroup> = ranked.iter().map(|ranked| ranked.group).collect();
    assert!(groups.is_sorted() && groups[3] == PriorityGroup::Other);

    let without = |policy| names(&rank(pool.clone(), &ask(policy), NOW)).join(" ");
    let no_favourites = DispatchPolicy { favourites_first: false, ..policy.clone() };
    assert_eq!(without(no_favourites), "home tagged other favourite");
    let no_tags = DispatchPolicy { priority_tags: Vec::new(), ..policy.clone() };
    assert_eq!(without(no_tags), "favourite home other tagged");
    let no_homes = DispatchPolicy { go_home_gain_m: 0, ..policy.clone() };
    assert_eq!(without(no_homes), "favourite tagged other home");
    let too_little = DispatchPolicy { go_home_gain_m: 12_000, ..policy };
    assert_eq!(without(too_little), "favourite tagged other home");
}

#[test]
fn a_pool_is_larger_than_the_wave_only_where_more_than_distance_counts() {
    let sized = DispatchPolicy { pool_size: 9, ..DispatchPolicy::default() };
    assert_eq!(query(sized.clone()).pool_size(3), 3);
    let scores = DispatchPolicy { ranking: Ranking::Score, ..sized.clone() };
    assert_eq!((query(scores.clone()).pool_size(3), query(scores).pool_size(30)), (9, 30));
    let favourite_drivers = BTreeSet::from([driver("a")]);
    assert_eq!(RankQuery { favourite_drivers, ..query(sized) }.pool_size(3), 9);
}

#[test]
fn a_pool_smaller_than_a_wave_is_refused() {
    let small = DispatchPolicy { pool_size: 4, wave_sizes: vec![5], ..DispatchPolicy::default() };
    assert!(small.validated().unwrap_err().to_string().starts_with("pool_size is 4"));
}

fn placed(grid: &Grid, name: &str, lat: f64, idle_since: Timestamp) {
    let slot = Arc::new(DriverSlot::new(driver(name)));
    let position = place(lat);
    let fix = Fix { position, at: START, accuracy_m: None, speed_mps: None, bearing_deg: None };
    slot.apply(&fix, START, &FixLimits::default(), &market()).unwrap();
    let supply = Supply {
        standing: Standing { idle_since, ..Standing::default() },
        ..Supply::free(TierSet::EMPTY.with(0))
    };
    grid.place(&slot, supply);
}

#[test]
fn only_the_chosen_of_the_pool_are_held() {
    let grid = Grid::new(CellResolution::new(9).unwrap());
    for (name, lat, idle_ms) in [("near", 0.5001, 0), ("idle", 0.5010, 900_000)] {
        placed(&grid, name, lat, START.minus_millis(idle_ms));
    }
    let ranking = only(|policy| policy.weight_idle = 1);
    let mut case = Case::new((*ranking.policy).clone(), &[]);
    let mut out = crate::effect::Outbox::default();
    case.machine.handle(RideCommand::Request { reply: None }, START, &mut out);
    let mut asked = out.drain().filter_map(|effect| {
        if let Effect::FindCandidates(query) = effect { Some(query) } else { None }
    });
    let mut query = asked.next().unwrap();
    query.limit = 1;
    let candidates = find_candidates(&grid, &query);
    assert_eq!(names(&candidates.found), ["idle"]);
    assert_eq!(names(&candidates.passed_over), ["near"]);
    let held = |name| grid.supply_of(&driver(name)).unwrap().slots_taken(START);
    assert_eq!((held("idle"), held("near")), (1, 0));
}

fn decision(case: &Case) -> WaveDecision {
    let decision = |effect: &Effect| {
        if let Effect::PersistRide(commit) = effect { commit.decision.clone() } else { None }
    };
    case.effects.iter().find_map(decision).unwrap()
}

#[test]
fn a_decision_keeps_the_order_and_the_terms() {
    let scores = DispatchPolicy { ranking: Ranking::Score, explained_max: 1, ..policy() };
    let case = Case::searching(scores, &["a", "b", "c", "d"]);
    let plain = decision(&Case::searching(policy(), &["a"]));
    let decision = decision(&case);
    let ranked: Vec<&str> = decision.ranked.iter().map(|r| r.driver.as_str()).collect();
    assert_eq!(ranked, ["a", "b", "c"], "two offered, one of the others explained");
    assert!(decision.ranked.iter().all(|ranked| ranked.score.is_some()));
    assert!(plain.ranked.is_empty());
}

#[test]
fn frequent_cancellers_see_offers_later() {
    let delays = DispatchPolicy {
        popup_delay_ms: 4_000,
        popup_delay_cancel_permille: 300,
        wave_size: 3,
        ..policy()
    };
    let mut case = Case::new(delays, &["a", "b", "c"]);
    for (name, cancellation_permille) in [("a", 301), ("b", 300), ("c", 0)] {
        let standing = Standing { cancellation_permille, ..Standing::default() };
        case.standings.insert(driver(name), standing);
    }
    case.tell(RideCommand::Request { reply: None }, 0);
    let offers = case.machine.record().offers.values();
    let late: Vec<(&str, u64)> = offers
        .map(|live| (live.driver.as_str(), live.visible_at.millis_since(live.offered_at)))
        .filter(|(_, ms)| *ms > 0)
        .collect();
    assert_eq!(late, [("a", 4_000)]);
}
