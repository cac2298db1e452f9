//! The search by drop-off against a plain scan of all drivers, and who of them may be asked.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_engine::driver::{DriverFacts, RidePreferences};
use muster_engine::forward::{ForwardLink, ForwardSupply};
use muster_engine::geo::{CellResolution, Position};
use muster_engine::grid::{
    Contact, DriverSlot, DriverStatus, Fix, FixLimits, ForwardNearbyQuery, Grid, Supply, TagFilter,
    TierSet,
};
use muster_engine::id::{DriverId, MarketId, RideId, RiderId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::offer::Exclusion;
use muster_engine::policy::DispatchPolicy;
use muster_engine::ride::{
    CandidateQuery, Candidates, ForwardPlaces, RankQuery, RideNeeds, RideRequest, find_candidates,
};
use muster_engine::time::Timestamp;
use muster_engine::units::Meters;
use proptest::prelude::*;
use proptest::test_runner::Config;

const NOW: Timestamp = Timestamp::from_millis(10_000_000);

fn market() -> Market {
    let square = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#;
    let tier = ServiceTierId::new("economy").unwrap();
    Market::new(MarketConfig {
        id: MarketId::new("m").unwrap(),
        name: "M".to_owned(),
        boundary: Boundary::from_geojson(square).unwrap(),
        tiers: vec![tier.clone()],
        default_tier: tier,
        resolution: CellResolution::new(9).unwrap(),
    })
    .unwrap()
}

/// A place so many metres east and north of the pickup.
fn place(east: f64, north: f64) -> Position {
    Position::from_degrees(0.5 + north / 111_195.0, 0.5 + east / 111_195.0).unwrap()
}

fn slot(name: &str, at: Position) -> Arc<DriverSlot> {
    let slot = Arc::new(DriverSlot::new(DriverId::new(name).unwrap()));
    let fix = Fix { position: at, at: NOW, accuracy_m: None, speed_mps: None, bearing_deg: None };
    slot.apply(&fix, NOW, &FixLimits::default(), &market()).unwrap();
    slot
}

fn supply(status: DriverStatus, forward: ForwardSupply) -> Supply {
    Supply { status, forward, ..Supply::free(TierSet::EMPTY.with(0)) }
}

fn after(dropoff: Position) -> ForwardSupply {
    let link = ForwardLink { after: RideId::new("before").unwrap(), dropoff };
    ForwardSupply::After(link.into())
}

/// A driver on a trip from `at` to `dropoff`.
fn on_trip(at: (f64, f64), dropoff: (f64, f64)) -> (Position, Supply) {
    let dropoff = place(dropoff.0, dropoff.1);
    (place(at.0, at.1), supply(DriverStatus::OnTrip, after(dropoff)))
}

fn query(policy: DispatchPolicy, places: usize) -> CandidateQuery {
    let policy = Arc::new(policy);
    let request = Arc::new(RideRequest {
        entropy: 7,
        ..RideRequest::plain(
            RideId::new("ride").unwrap(),
            RiderId::new("rider").unwrap(),
            MarketId::new("m").unwrap(),
            place(0.0, 0.0),
            vec![ServiceTierId::new("economy").unwrap()],
            NOW,
        )
    });
    CandidateQuery {
        attempt: 1,
        pickup: place(0.0, 0.0),
        radius: Meters::new(3_000.0),
        limit: 2,
        tiers: TierSet::EMPTY.with(0),
        tags: TagFilter::default(),
        now: NOW,
        live_offers_max: 2,
        live_offers_soft_max: 2,
        fix_received_after: Timestamp::default(),
        asked: BTreeSet::new(),
        blocked: BTreeSet::new(),
        explains: true,
        explained_max: 32,
        needs: Arc::new(RideNeeds::of(&request, &policy)),
        ranking: RankQuery {
            policy,
            favourite_drivers: BTreeSet::new(),
            pickup: place(0.0, 0.0),
            dropoff: None,
            asked_before: BTreeSet::new(),
            seed: 0,
        },
        forward: Some(ForwardPlaces { limit: places, beside_idle: true, alone: true }),
        queue: None,
        instant: false,
    }
}

fn found(drivers: &[(Position, Supply)], query: &CandidateQuery) -> Candidates {
    let grid = Grid::new(CellResolution::new(9).unwrap());
    for (number, (at, supply)) in drivers.iter().enumerate() {
        grid.place(&slot(&format!("d{number}"), *at), supply.clone());
    }
    assert_eq!(grid.misplaced(), vec![]);
    find_candidates(&grid, query)
}

/// Why the one driver is left out; nothing when he is asked.
fn left_out(driver: (Position, Supply), policy: DispatchPolicy) -> Option<Exclusion> {
    let result = found(&[driver], &query(policy, 1));
    let reasons: Vec<Exclusion> = result.excluded.iter().map(|one| one.reason).collect();
    assert_eq!(reasons, result.excluded_counts.keys().copied().collect::<Vec<_>>());
    assert_eq!(result.excluded_counts.values().sum::<u32>() as usize, reasons.len());
    assert_eq!(result.forward.len() + reasons.len(), 1, "{result:?}");
    reasons.first().copied()
}

#[test]
fn the_way_leads_over_the_drop_off_and_idle_drivers_come_first() {
    let idle = (place(2_500.0, 0.0), supply(DriverStatus::Available, ForwardSupply::NotOnTrip));
    let near = on_trip((-300.0, 0.0), (0.0, 400.0));
    let far = on_trip((0.0, 500.0), (0.0, 600.0));
    let result = found(&[idle, near, far], &query(DispatchPolicy::default(), 1));
    let names: Vec<_> = result.found.iter().map(|one| one.candidate.driver.as_str()).collect();
    assert_eq!(names, ["d0"], "he is farther than both and free");
    let [chosen] = &result.forward[..] else { panic!("{result:?}") };
    assert_eq!(chosen.ranked.candidate.driver.as_str(), "d2", "700 m against 900 m");
    assert_eq!(chosen.ranked.candidate.distance.rounded(), 700);
    assert_eq!(chosen.link.dropoff, place(0.0, 600.0));
    let counts: Vec<_> = result.excluded_counts.iter().collect();
    assert_eq!(counts, [(&Exclusion::OnRide, &1)], "who was not reached is on a ride");
}

type Change = fn(&mut Supply);

#[test]
fn each_driver_on_a_trip_who_is_left_out_has_a_reason() {
    let policy = DispatchPolicy::default;
    let good = || on_trip((0.0, 300.0), (0.0, 0.0));
    assert_eq!(left_out(good(), policy()), None);
    let with = |change: Change| {
        let (at, mut supply) = good();
        change(&mut supply);
        (at, supply)
    };
    let cases: [(Change, Exclusion); 8] = [
        (|s| s.forward = ForwardSupply::Unwanted, Exclusion::ForwardUnwanted),
        (|s| s.forward = ForwardSupply::NoDropoff, Exclusion::ForwardNoDropoff),
        (|s| s.forward = ForwardSupply::Held, Exclusion::ForwardHeld),
        (|s| s.contact = Contact::Stale, Exclusion::StalePosition),
        (|s| s.live_offers = 1, Exclusion::OfferSlotsFull),
        (|s| s.blocked = true, Exclusion::Blocked),
        (|s| s.tiers = TierSet::EMPTY.with(1), Exclusion::ServiceTier),
        (
            |s| {
                let categories = Some(BTreeSet::new());
                let picky = RidePreferences { categories, ..RidePreferences::default() };
                let facts = DriverFacts { preferences: picky.into(), ..DriverFacts::default() };
                s.facts = facts.into();
            },
            Exclusion::Category,
        ),
    ];
    for (change, reason) in cases {
        assert_eq!(left_out(with(change), policy()), Some(reason));
    }
}

#[test]
fn each_bound_of_the_policy_holds() {
    let default = DispatchPolicy::default;
    // 300 m to the drop-off, 400 m from there: 93 s and 124 s.
    let driver = || on_trip((400.0, 300.0), (400.0, 0.0));
    let tight = |m, s, eta| DispatchPolicy {
        forward_remaining_m_max: m,
        forward_remaining_s_max: s,
        pickup_eta_s_max: eta,
        ..default()
    };
    assert_eq!(left_out(driver(), tight(301, 93, 217)), None);
    let reason = left_out(driver(), tight(299, 93, 0));
    assert_eq!(reason, Some(Exclusion::ForwardRemainingDistance));
    assert_eq!(left_out(driver(), tight(301, 92, 0)), Some(Exclusion::ForwardRemainingTime));
    assert_eq!(left_out(driver(), tight(301, 93, 216)), Some(Exclusion::PickupEta));

    let asked = |policy: DispatchPolicy, live_offers: u8| {
        let (at, mut supply) = driver();
        supply.live_offers = live_offers;
        found(&[(at, supply)], &query(policy, 1)).forward.len()
    };
    let radius = |forward_radius_m| DispatchPolicy { forward_radius_m, ..default() };
    assert_eq!([asked(radius(701), 0), asked(radius(699), 0)], [1, 0]);
    let slots = |forward_live_offers_max| DispatchPolicy { forward_live_offers_max, ..default() };
    assert_eq!([asked(slots(2), 1), asked(slots(1), 1)], [1, 0]);
}

#[test]
fn a_chosen_driver_has_a_slot_held() {
    let grid = Grid::new(CellResolution::new(9).unwrap());
    let (at, supply) = on_trip((0.0, 300.0), (0.0, 0.0));
    grid.place(&slot("d0", at), supply);
    let query = query(DispatchPolicy::default(), 1);
    assert_eq!(find_candidates(&grid, &query).forward.len(), 1);
    let again = find_candidates(&grid, &query);
    assert_eq!(again.forward.len(), 0);
    assert_eq!(again.excluded_counts, BTreeMap::from([(Exclusion::OfferSlotsFull, 1)]));
}

#[test]
fn the_index_follows_a_driver_through_his_trips() {
    let grid = Grid::new(CellResolution::new(9).unwrap());
    let slot = slot("d0", place(0.0, 0.0));
    let near = ForwardNearbyQuery {
        pickup: place(0.0, 0.0),
        radius: Meters::new(1_000.0),
        limit: 1,
        excluded_max: 0,
    };
    let count = || grid.nearest_by_dropoff(&near, |_, _, _, _| Ok::<(), ()>(())).found.len();
    for (dropoff, expected) in [(100.0, 1), (5_000.0, 0), (300.0, 1)] {
        grid.place(&slot, supply(DriverStatus::OnTrip, after(place(dropoff, 0.0))));
        assert_eq!((count(), grid.misplaced()), (expected, vec![]));
    }
    grid.place(&slot, supply(DriverStatus::Available, ForwardSupply::NotOnTrip));
    assert_eq!((count(), grid.misplaced()), (0, vec![]));
    grid.place(&slot, supply(DriverStatus::OnTrip, after(place(0.0, 0.0))));
    grid.remove(slot.driver());
    assert_eq!((count(), grid.misplaced()), (0, vec![]));
}

proptest! {
    #![proptest_config(Config { cases: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_search_by_drop_off_equals_a_scan_of_all_drivers(
        drivers in prop::collection::vec(
            ((-6e3..6e3, -6e3..6e3), (-6e3..6e3, -6e3..6e3), prop::bool::weighted(0.8)),
            0..60,
        ),
        limit in 0_usize..6,
        radius in 100.0..20_000.0,
    ) {
        let grid = Grid::new(CellResolution::new(9).unwrap());
        let pickup = place(0.0, 0.0);
        let mut expected = Vec::new();
        for (number, (at, dropoff, willing)) in drivers.into_iter().enumerate() {
            let (at, mut supply) = on_trip(at, dropoff);
            supply.blocked = !willing;
            let slot = slot(&format!("d{number:02}"), at);
            let link = supply.forward.link().unwrap();
            let distance = link.way(slot.read().unwrap().position, pickup).distance;
            if willing && distance.get() <= radius {
                expected.push((distance, slot.driver().clone()));
            }
            grid.place(&slot, supply);
        }
        expected.sort_by(|a, b| a.0.get().total_cmp(&b.0.get()).then_with(|| a.1.cmp(&b.1)));
        expected.truncate(limit);
        let query =
            ForwardNearbyQuery { pickup, radius: Meters::new(radius), limit, excluded_max: 0 };
        let found = grid.nearest_by_dropoff(&query, |_, supply, _, _| {
            if supply.blocked { Err(()) } else { Ok(()) }
        });
        let found: Vec<_> = found.found.into_iter().map(|f| (f.distance, f.driver)).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(grid.misplaced(), vec![]);
    }
}
