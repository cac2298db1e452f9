//! Every rule of eligibility twice: in the search, which sees the supply index, and in the driver's
//! machine, which is offered the ride all the same.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]
#![expect(clippy::wildcard_enum_match_arm, reason = "tests look for one effect among many")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_engine::driver::{
    Departure, DriverCommand, DriverMachine, DriverProfile, DriverRecord, DriverStats,
    RidePreferences, RiderBlocks, VehicleCapacity,
};
use muster_engine::effect::{Effect, Outbox};
use muster_engine::geo::{CellResolution, Position};
use muster_engine::grid::{DriverSlot, Fix, FixLimits, Grid, Standing, Supply, TagFilter, TierSet};
use muster_engine::id::{DriverId, MarketId, RideId, RiderId, ServiceTierId};
use muster_engine::machine::Machine;
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::offer::{Exclusion, Offer};
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::ride::{
    Candidate, CandidateQuery, Candidates, PriorityGroup, RankedCandidate, RideCommand,
    RideMachine, RideRequest, attribute, find_candidates,
};
use muster_engine::time::Timestamp;
use muster_engine::units::{Meters, Money};

const NOW: Timestamp = Timestamp::from_millis(10_000_000);

fn tier(name: &str) -> ServiceTierId {
    ServiceTierId::new(name).unwrap()
}

/// Tiers from the least to the best.
fn market() -> Arc<Market> {
    let square = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#;
    let config = MarketConfig {
        id: MarketId::new("m").unwrap(),
        name: "M".to_owned(),
        boundary: Boundary::from_geojson(square).unwrap(),
        tiers: ["economy", "comfort", "premium"].map(tier).to_vec(),
        default_tier: tier("economy"),
        resolution: CellResolution::new(9).unwrap(),
    };
    Arc::new(Market::new(config).unwrap())
}

/// A place so many metres north of the pickup.
fn north(metres: f64) -> Position {
    Position::from_degrees(0.5 + metres / 111_195.0, 0.5).unwrap()
}

/// A ride and a driver 500 m away; each rule changes what it is about.
struct Pair {
    policy: DispatchPolicy,
    request: RideRequest,
    record: DriverRecord,
}

impl Pair {
    fn new() -> Self {
        let request = RideRequest {
            entropy: 7,
            ..RideRequest::plain(
                RideId::new("ride").unwrap(),
                RiderId::new("rider").unwrap(),
                MarketId::new("m").unwrap(),
                north(0.0),
                vec![tier("economy")],
                NOW,
            )
        };
        let profile = DriverProfile {
            market: MarketId::new("m").unwrap(),
            service_tiers: vec![tier("economy")],
            vehicle: Arc::from("{}"),
            tags: Vec::new(),
            rating: None,
            blocked_until: None,
            home: None,
            preferences: RidePreferences::default().into(),
            capacity: VehicleCapacity::default(),
            wallet: None,
            departure: Departure::None,
            scheduled_pickup_at: None,
        };
        let driver = DriverId::new("d").unwrap();
        let rider_blocks = RiderBlocks::default();
        let record = DriverRecord {
            driver,
            profile,
            online: true,
            rider_blocks,
            stats: DriverStats::default(),
        };
        Self { policy: DispatchPolicy::default(), request, record }
    }

    fn attribute(mut self, name: &str, value: &str) -> Self {
        self.request.attributes.insert(name.to_owned(), value.to_owned());
        self
    }

    fn request(mut self, change: impl FnOnce(&mut RideRequest)) -> Self {
        change(&mut self.request);
        self
    }

    fn profile(mut self, change: impl FnOnce(&mut DriverProfile)) -> Self {
        change(&mut self.record.profile);
        self
    }

    fn likes(self, change: impl FnOnce(&mut RidePreferences)) -> Self {
        self.profile(|profile| {
            let mut preferences = RidePreferences::clone(&profile.preferences);
            change(&mut preferences);
            profile.preferences = preferences.into();
        })
    }

    fn policy(mut self, change: impl FnOnce(&mut DispatchPolicy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// The driver, and his slot.
    fn driver(&self) -> (DriverMachine, Arc<DriverSlot>) {
        let slot = Arc::new(DriverSlot::new(self.record.driver.clone()));
        let position = north(500.0);
        let fix = Fix { position, at: NOW, accuracy_m: None, speed_mps: None, bearing_deg: None };
        slot.apply(&fix, NOW, &FixLimits::default(), &market()).unwrap();
        let policy = Arc::new(DispatchPolicy::default());
        let (record, shared) = (self.record.clone(), Arc::clone(&slot));
        (DriverMachine::new(record, shared, market(), policy, NOW), slot)
    }

    fn ride(&self) -> (RideMachine, Box<CandidateQuery>) {
        let book = Arc::new(PolicyBook::of(self.policy.clone()));
        let mut ride = RideMachine::new(self.request.clone(), market(), book);
        let mut out = Outbox::default();
        ride.handle(RideCommand::Request { reply: None }, NOW, &mut out);
        let query = out.drain().find_map(|effect| match effect {
            Effect::FindCandidates(query) => Some(query),
            _ => None,
        });
        (ride, query.unwrap())
    }

    /// Why the search leaves the driver out.
    fn searched(&self) -> Option<Exclusion> {
        let grid = Grid::new(CellResolution::new(9).unwrap());
        let (mut driver, slot) = self.driver();
        let mut out = Outbox::default();
        driver.handle(DriverCommand::PositionChanged, NOW, &mut out);
        for effect in out.drain() {
            if let Effect::PlaceSupply(supply) = effect {
                grid.place(&slot, supply);
            }
        }
        let candidates = find_candidates(&grid, &self.ride().1);
        let reasons: Vec<Exclusion> = candidates.excluded_counts.keys().copied().collect();
        assert_eq!(candidates.found.len() + reasons.len(), 1, "found or left out, with one reason");
        assert_eq!(candidates.excluded.len(), reasons.len(), "explained one by one");
        reasons.first().copied()
    }

    /// The offer of a ride whose search saw nothing against the driver.
    fn offer(&self) -> Box<Offer> {
        let (mut ride, query) = self.ride();
        let serves = market().tier_set(&self.record.profile.service_tiers).unwrap();
        let serves = serves.indices().filter(|index| query.tiers.contains(*index));
        let tiers = serves.fold(TierSet::EMPTY, TierSet::with);
        let driver = self.record.driver.clone();
        let candidate = Candidate {
            driver,
            at: query.pickup,
            distance: Meters::new(500.0),
            travel: None,
            tiers,
            instant_tiers: TierSet::EMPTY,
            tags: TagFilter::default(),
            standing: Standing::default(),
        };
        let group = PriorityGroup::Other;
        let found = vec![RankedCandidate { candidate, group, score: None }];
        let (attempt, excluded) = (query.attempt, Vec::new());
        let excluded_counts = BTreeMap::new();
        let candidates = Candidates {
            attempt,
            found,
            forward: Vec::new(),
            passed_over: Vec::new(),
            excluded,
            excluded_counts,
            window: None,
            trip: None,
            costs_ms: BTreeMap::new(),
        };
        let mut out = Outbox::default();
        ride.handle(RideCommand::Candidates(Box::new(candidates)), NOW, &mut out);
        let offer = out.drain().find_map(|effect| match effect {
            Effect::ToDriver(_, DriverCommand::Offer { offer, .. }) => Some(offer),
            _ => None,
        });
        offer.unwrap()
    }

    /// Why the driver's machine refuses the offer.
    fn rechecked(&self) -> Option<Exclusion> {
        let (mut driver, _) = self.driver();
        let mut out = Outbox::default();
        let command = DriverCommand::Offer { offer: self.offer(), redelivered: false };
        driver.handle(command, NOW, &mut out);
        let refused = out.drain().find_map(|effect| match effect {
            Effect::ToRide(_, RideCommand::OfferRefused { reason, .. }) => Some(reason),
            _ => None,
        });
        assert_eq!(driver.live_offers().count(), usize::from(refused.is_none()));
        refused
    }

    fn is_left_out(&self, reason: Exclusion) {
        assert_eq!(self.searched(), Some(reason), "in the search");
        assert_eq!(self.rechecked(), Some(reason), "in the driver's check");
    }

    fn is_offered(&self) {
        assert_eq!(self.searched(), None, "in the search");
        assert_eq!(self.rechecked(), None, "in the driver's check");
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_driver_without_wishes_is_offered_a_plain_ride() {
    Pair::new().is_offered();
}

#[test]
fn a_required_tag_is_compared_as_written_and_not_by_its_bit() {
    let wants = |tag: &str| Pair::new().request(|r| r.require_tags = vec![tag.to_owned()]);
    // Two tags that share one of the 64 bits: the cheap filter lets the driver through.
    let of = |tag: &str| TagFilter::of([tag]);
    let twin = (0..).map(|i| format!("tag-{i}")).find(|tag| of(tag) == of("wheelchair")).unwrap();
    wants("wheelchair").is_left_out(Exclusion::MissingTag);
    wants("wheelchair").profile(|p| p.tags = vec![twin]).is_left_out(Exclusion::MissingTag);
    wants("wheelchair").profile(|p| p.tags = vec!["wheelchair".to_owned()]).is_offered();
}

#[test]
fn a_forbidden_tag_leaves_its_bearers_out() {
    let pair = || Pair::new().request(|r| r.forbid_tags = vec!["smoker".to_owned()]);
    pair().is_offered();
    pair().profile(|p| p.tags = vec!["smoker".to_owned()]).is_left_out(Exclusion::ForbiddenTag);
}

#[test]
fn some_categories_need_to_be_opted_into() {
    let ride = |category: &str| Pair::new().attribute(attribute::CATEGORY, category);
    for category in ["rental", "intercity", "delivery", "ambulance"] {
        ride(category).is_left_out(Exclusion::Category);
        ride(category).likes(|p| p.categories = Some(names(&[category]))).is_offered();
    }
    ride("one_way").is_offered();
    ride("airport").is_offered();
    let rental_only = |pair: Pair| pair.likes(|p| p.categories = Some(names(&["rental"])));
    rental_only(Pair::new()).is_left_out(Exclusion::Category);
    rental_only(ride("airport")).is_left_out(Exclusion::Category);
}

#[test]
fn a_driver_gets_trips_of_the_length_he_likes() {
    let trip = || Pair::new().request(|r| r.dropoff = Some(north(4_000.0)));
    let least = |m| move |p: &mut RidePreferences| p.trip_distance_m_min = Some(m);
    let most = |m| move |p: &mut RidePreferences| p.trip_distance_m_max = Some(m);
    trip().likes(least(4_100)).is_left_out(Exclusion::TripDistance);
    trip().likes(most(3_900)).is_left_out(Exclusion::TripDistance);
    trip().likes(least(3_900)).likes(most(4_100)).is_offered();
    Pair::new().likes(least(4_100)).is_offered();
}

#[test]
fn a_driver_gets_pickups_as_far_as_he_likes() {
    let most = |m| move |p: &mut RidePreferences| p.pickup_distance_m_max = Some(m);
    Pair::new().likes(most(490)).is_left_out(Exclusion::PickupDistance);
    Pair::new().likes(most(510)).is_offered();
}

#[test]
fn a_pet_rides_with_a_driver_who_takes_pets() {
    let pet = |value| Pair::new().attribute(attribute::PETS, value);
    pet("true").is_left_out(Exclusion::Pets);
    pet("true").likes(|p| p.pets = Some(false)).is_left_out(Exclusion::Pets);
    pet("true").likes(|p| p.pets = Some(true)).is_offered();
    pet("false").is_offered();
}

#[test]
fn a_driver_gets_rides_that_are_paid_as_he_takes() {
    let card = |p: &mut RidePreferences| p.payment = Some(names(&["card", "wallet"]));
    let paid = |how| Pair::new().attribute(attribute::PAYMENT, how);
    paid("cash").likes(card).is_left_out(Exclusion::PaymentMethod);
    paid("card").likes(card).is_offered();
    paid("cash").is_offered();
    Pair::new().likes(card).is_offered();
}

#[test]
fn the_vehicle_must_be_known_to_be_large_enough() {
    let (seats, luggage) = (attribute::SEATS_MIN, attribute::LUGGAGE_MIN);
    let with = |pair: Pair, seats, luggage| {
        pair.profile(|p| p.capacity = VehicleCapacity { seats, luggage })
    };
    let ride = |name| Pair::new().attribute(name, "4");
    ride(seats).is_left_out(Exclusion::VehicleSeats);
    with(ride(seats), Some(3), Some(9)).is_left_out(Exclusion::VehicleSeats);
    with(ride(seats), Some(4), None).is_offered();
    ride(luggage).is_left_out(Exclusion::VehicleLuggage);
    with(ride(luggage), Some(9), Some(3)).is_left_out(Exclusion::VehicleLuggage);
    with(ride(luggage), None, Some(4)).is_offered();
    Pair::new().attribute(seats, "0").is_offered();
}

#[test]
fn a_rider_and_a_driver_who_cancelled_on_him_are_kept_apart() {
    let blocked = |rider: &str, until| {
        let mut pair = Pair::new();
        pair.record.rider_blocks.add(&RiderId::new(rider).unwrap(), until, Timestamp::default());
        pair
    };
    blocked("rider", NOW.plus_millis(1)).is_left_out(Exclusion::BlockedForRider);
    blocked("rider", NOW).is_offered();
    blocked("another", NOW.plus_millis(1)).is_offered();
}

#[test]
fn a_balance_below_the_floor_or_unknown_gets_no_rides() {
    let floor = || Pair::new().policy(|p| p.wallet_floor = 500);
    let balance = |amount| Some(Money { amount, currency: "USD".to_owned() });
    floor().is_left_out(Exclusion::WalletFloor);
    floor().profile(|p| p.wallet = balance(499).map(Box::new)).is_left_out(Exclusion::WalletFloor);
    floor().profile(|p| p.wallet = balance(500).map(Box::new)).is_offered();
    Pair::new().profile(|p| p.wallet = balance(0).map(Box::new)).is_offered();
    let cash = |pair: Pair| pair.attribute(attribute::PAYMENT, "cash");
    cash(floor())
        .profile(|p| p.wallet = balance(499).map(Box::new))
        .is_left_out(Exclusion::WalletFloor);
}

#[test]
fn a_driver_is_in_time_for_the_ride_he_is_promised_to() {
    // 500 m to the pickup and 2000 m of trip at 5 m/s: 500 s, and 100 s of buffer.
    let ride = || {
        Pair::new().request(|r| r.dropoff = Some(north(2_000.0))).policy(|p| {
            (p.detour_factor, p.pickup_speed_mps) = (1.0, 5.0);
            p.scheduled_buffer_ms = 100_000;
        })
    };
    let promised = |pair: Pair, s: u64| {
        pair.profile(|p| p.scheduled_pickup_at = Some(NOW.plus_millis(s * 1_000)))
    };
    promised(ride(), 595).is_left_out(Exclusion::ScheduledConflict);
    promised(ride(), 605).is_offered();
    promised(ride(), 0).is_offered();
    let later = |pair: Pair| pair.request(|r| r.pickup_at = Some(NOW.plus_millis(300_000)));
    promised(later(ride()), 795).is_left_out(Exclusion::ScheduledConflict);
    promised(later(ride()), 805).is_offered();
    let unbuffered = ride().policy(|p| p.scheduled_buffer_ms = 0);
    promised(unbuffered, 505).is_offered();
}

#[test]
fn a_pickup_that_takes_too_long_is_not_offered() {
    let pair = |most_s| {
        Pair::new().policy(|p| {
            (p.detour_factor, p.pickup_speed_mps) = (1.0, 5.0);
            p.pickup_eta_s_max = most_s;
        })
    };
    pair(99).is_left_out(Exclusion::PickupEta);
    pair(101).is_offered();
    pair(0).is_offered();
}

#[test]
fn book_any_offers_each_driver_the_least_downgrade_within_the_limit() {
    let serves = |tiers: &[&str], wants: &[&str]| {
        let (tiers, wants) = (tiers.iter().map(|t| tier(t)), wants.iter().map(|t| tier(t)));
        Pair::new().profile(|p| p.service_tiers = tiers.collect()).request(|r| {
            r.service_tiers = wants.collect();
        })
    };
    let levels = |most| move |p: &mut DispatchPolicy| p.downgrade_levels_max = most;
    let all = ["economy", "comfort", "premium"];
    let any = serves(&all, &["economy", "comfort"]);
    any.is_offered();
    assert_eq!(any.offer().service_tier, tier("comfort"));
    serves(&all, &["economy"]).policy(levels(1)).is_left_out(Exclusion::TierDowngrade);
    serves(&all, &["economy"]).policy(levels(2)).is_offered();
    serves(&all, &["economy", "comfort"]).policy(levels(1)).is_offered();
    serves(&["economy"], &all).policy(levels(0)).is_offered();
}

/// Drivers at these distances with so many live offers each.
fn search(drivers: &[(&str, f64, u8)], limit: usize, soft: u8) -> Candidates {
    let grid = Grid::new(CellResolution::new(9).unwrap());
    let pair = Pair::new().policy(|p| (p.live_offers_max, p.live_offers_soft_max) = (3, soft));
    for (name, metres, live_offers) in drivers {
        let slot = Arc::new(DriverSlot::new(DriverId::new(name).unwrap()));
        let (position, at) = (north(*metres), NOW);
        let fix = Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
        slot.apply(&fix, NOW, &FixLimits::default(), &market()).unwrap();
        let mut out = Outbox::default();
        let (mut machine, _) = pair.driver();
        machine.handle(DriverCommand::PositionChanged, NOW, &mut out);
        for effect in out.drain() {
            if let Effect::PlaceSupply(supply) = effect {
                grid.place(&slot, Supply { live_offers: *live_offers, ..Supply::clone(&supply) });
            }
        }
    }
    let query = CandidateQuery { limit, ..*pair.ride().1 };
    find_candidates(&grid, &query)
}

fn found(candidates: &Candidates) -> Vec<&str> {
    candidates.found.iter().map(|found| found.candidate.driver.as_str()).collect()
}

#[test]
fn drivers_between_the_caps_only_take_the_places_that_would_stay_empty() {
    let drivers = [("busy", 100.0, 1), ("idle", 300.0, 0), ("busier", 200.0, 2), ("full", 50.0, 3)];
    let one = search(&drivers, 1, 1);
    assert_eq!(found(&one), ["idle"]);
    let counts = [(Exclusion::OfferSlotsFull, 1), (Exclusion::OfferSlotsBusy, 2)];
    assert_eq!(one.excluded_counts, BTreeMap::from(counts));
    let two = search(&drivers, 2, 1);
    assert_eq!(found(&two), ["idle", "busy"], "the nearer one only fills up");
    assert_eq!(two.excluded_counts[&Exclusion::OfferSlotsBusy], 1);
    assert!(two.excluded.iter().all(|excluded| excluded.driver.as_str() != "busy"));
    let all = search(&drivers, 9, 1);
    assert_eq!(found(&all), ["idle", "busy", "busier"]);
    assert_eq!(all.excluded_counts, BTreeMap::from([(Exclusion::OfferSlotsFull, 1)]));
    assert_eq!(found(&search(&drivers, 1, 3)), ["busy"], "no soft cap");
}

#[test]
fn only_drivers_who_need_not_be_asked_are_found_by_an_instant_search() {
    let grid = Grid::new(CellResolution::new(9).unwrap());
    let pair = Pair::new();
    let premium = TierSet::EMPTY.with(1);
    let economy = TierSet::EMPTY.with(0);
    let drivers = [
        ("asked", 100.0, TierSet::EMPTY, true, 0),
        ("other_tier", 150.0, premium, true, 0),
        ("gone", 200.0, economy, false, 0),
        ("thinking", 300.0, economy, true, 1),
        ("instant", 400.0, economy, true, 0),
    ];
    for (name, metres, instant_tiers, in_session, live_offers) in drivers {
        let slot = Arc::new(DriverSlot::new(DriverId::new(name).unwrap()));
        let (position, at) = (north(metres), NOW);
        let fix = Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
        slot.apply(&fix, NOW, &FixLimits::default(), &market()).unwrap();
        let mut out = Outbox::default();
        let (mut machine, _) = pair.driver();
        machine.handle(DriverCommand::PositionChanged, NOW, &mut out);
        for effect in out.drain() {
            if let Effect::PlaceSupply(supply) = effect {
                let supply = Supply::clone(&supply);
                grid.place(&slot, Supply { instant_tiers, in_session, live_offers, ..supply });
            }
        }
    }
    let query = CandidateQuery { instant: true, limit: 9, ..*pair.ride().1 };
    let candidates = find_candidates(&grid, &query);
    assert_eq!(found(&candidates), ["instant"]);
    let counts =
        [(Exclusion::InstantOptOut, 2), (Exclusion::NoSession, 1), (Exclusion::OfferPending, 1)];
    assert_eq!(candidates.excluded_counts, BTreeMap::from(counts));
}
