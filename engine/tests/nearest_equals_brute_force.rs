//! The ring search against a plain scan of all drivers: same drivers, same order, anywhere.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use muster_engine::geo::{Cell, CellResolution, Position, UnitVector};
use muster_engine::grid::{
    DriverSlot, DriverStatus, Excluded, Fix, FixLimits, Found, Grid, Nearby, NearbyQuery, Supply,
    Taken, TierSet,
};
use muster_engine::id::{DriverId, InlineDriverId, MarketId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::time::Timestamp;
use muster_engine::units::Meters;
use proptest::prelude::*;
use proptest::test_runner::Config;

/// Cities, pentagons, the antimeridian, the equator, the poles.
const PLACES: [(f64, f64); 16] = [
    (40.7484, -73.9857),
    (37.7749, -122.4194),
    (69.6492, 18.9553),
    (-17.0, 180.0),
    (-17.001, -179.999),
    (0.0, 6.6),
    (0.0, 180.0),
    (89.999, 30.0),
    (-89.99, -100.0),
    (90.0, 0.0),
    // Six of the twelve pentagon centres.
    (64.7, 10.536_199),
    (50.103_201, -143.478_49),
    (23.717_925, -67.132_326),
    (2.300_882, -5.245_39),
    (-10.447_345, -121.842_294),
    (39.1, 122.3),
];

fn world(resolution: CellResolution) -> Market {
    let text = r#"{"type":"Polygon","coordinates":
        [[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]}"#;
    let tier = ServiceTierId::new("economy").unwrap();
    Market::new(MarketConfig {
        id: MarketId::new("world").unwrap(),
        name: "World".to_owned(),
        boundary: Boundary::from_geojson(text).unwrap(),
        tiers: vec![tier.clone()],
        default_tier: tier,
        resolution,
    })
    .unwrap()
}

/// The position `north` and `east` metres from `from`, over pole and antimeridian if need be.
fn offset(from: Position, north: f64, east: f64) -> Position {
    let [x, y, z] = from.unit().coordinates();
    let (lat, lng) = (from.lat().to_radians(), from.lng().to_radians());
    let (n, e) = (north / 6_371_007.2, east / 6_371_007.2);
    let x = x - n * lat.sin() * lng.cos() - e * lng.sin();
    let y = y - n * lat.sin() * lng.sin() + e * lng.cos();
    let z = z + n * lat.cos();
    let length = (x * x + y * y + z * z).sqrt();
    let lat = (z / length).clamp(-1.0, 1.0).asin().to_degrees();
    Position::from_degrees(lat, y.atan2(x).to_degrees()).unwrap()
}

/// A point on the edge between the cell of `place` and a neighbour, or on one of its corners.
fn on_border(place: Position, resolution: CellResolution, which: usize) -> Position {
    let corners = Cell::at(place, resolution).corners();
    let a = corners[which % corners.len()].coordinates();
    let b = corners[(which + which / 8) % corners.len()].coordinates();
    let [x, y, z] = [0, 1, 2].map(|i| a[i] + b[i]);
    let lat = z.atan2(x.hypot(y)).to_degrees();
    Position::from_degrees(lat, y.atan2(x).to_degrees()).unwrap()
}

#[derive(Debug, Clone)]
struct Scene {
    place: usize,
    resolution: u8,
    /// Metres north and east of the place; drivers lie in clusters and in the open.
    drivers: Vec<(f64, f64)>,
    /// Driver and new offset; every fifth move is a removal.
    moves: Vec<(usize, (f64, f64))>,
    searches: Vec<Search>,
}

#[derive(Debug, Clone)]
struct Search {
    offset: (f64, f64),
    border: Option<usize>,
    radius: f64,
    limit: usize,
    /// Drivers are refused when their number is 0 modulo this.
    refuse: u32,
}

fn offsets() -> impl Strategy<Value = (f64, f64)> {
    let within = |m: f64| (-m..m, -m..m);
    let clump = within(6_000.0)
        .prop_map(|(n, e)| ((n / 2_000.0).round() * 2_000.0, (e / 3_000.0).round() * 3_000.0));
    prop_oneof![within(600.0), within(3_000.0), within(12_000.0), clump]
}

fn searches() -> impl Strategy<Value = Search> {
    let radius = prop_oneof![0.0..500.0, 500.0..4_000.0, 4_000.0..30_000.0, Just(3.0e7)];
    let border = proptest::option::of(0_usize..64);
    (offsets(), border, radius, 0_usize..12, 2_u32..6).prop_map(
        |(offset, border, radius, limit, refuse)| Search { offset, border, radius, limit, refuse },
    )
}

fn scenes() -> impl Strategy<Value = Scene> {
    (
        0..PLACES.len(),
        7_u8..=9,
        prop_oneof![
            proptest::collection::vec(offsets(), 0..12),
            proptest::collection::vec(offsets(), 50..400)
        ],
        proptest::collection::vec((0_usize..400, offsets()), 0..60),
        proptest::collection::vec(searches(), 8),
    )
        .prop_map(|(place, resolution, drivers, moves, searches)| Scene {
            place,
            resolution,
            drivers,
            moves,
            searches,
        })
}

/// Every third driver is on a trip: out of the question, and refused as [`ON_RIDE`].
fn supply(driver: &DriverId) -> Supply {
    let on_trip = number(driver) % 3 == 1;
    Supply {
        status: if on_trip { DriverStatus::OnTrip } else { DriverStatus::Available },
        ..Supply::free(TierSet::EMPTY.with(0))
    }
}

/// The drivers of a scene in a grid, and beside it for the plain scan.
struct City {
    market: Market,
    grid: Grid,
    all: Vec<(Arc<DriverSlot>, bool)>,
}

impl City {
    fn build(scene: &Scene) -> Self {
        let resolution = CellResolution::new(scene.resolution).unwrap();
        let mut city =
            Self { market: world(resolution), grid: Grid::new(resolution), all: Vec::new() };
        for (i, offset) in scene.drivers.iter().enumerate() {
            let driver = DriverId::new(&format!("d{i}")).unwrap();
            city.all.push((Arc::new(DriverSlot::new(driver)), true));
            city.drive(i, city.place(scene, *offset), 1_000);
        }
        for (step, (driver, offset)) in scene.moves.iter().enumerate() {
            let Some(driver) = driver.checked_rem(city.all.len()) else { break };
            if step % 5 == 4 {
                city.grid.remove(city.all[driver].0.driver());
                city.all[driver].1 = false;
            } else {
                city.drive(driver, city.place(scene, *offset), 2_000 + step as u64);
            }
        }
        city
    }

    fn place(&self, scene: &Scene, (north, east): (f64, f64)) -> Position {
        let (lat, lng) = PLACES[scene.place];
        offset(Position::from_degrees(lat, lng).unwrap(), north, east)
    }

    fn drive(&mut self, driver: usize, position: Position, at: u64) {
        let at = Timestamp::from_millis(at);
        let fix = Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
        let limits =
            FixLimits { jump_m_min: 1e9, fixes_per_s_max: 1_000_000, ..FixLimits::default() };
        let (slot, present) = &mut self.all[driver];
        slot.apply(&fix, at, &limits, &self.market).unwrap();
        self.grid.place(slot, supply(slot.driver())).unwrap();
        *present = true;
    }

    /// What `nearest` promises, by looking at every driver, with all who are refused by name; and
    /// how many drivers on a ride are certainly and at most to be counted, as farther ones are by the
    /// centre of their cell.
    fn scan(&self, query: &NearbyQuery, refuse: u32) -> (Answer, RangeInclusive<u32>) {
        let mut near: Vec<_> = self
            .all
            .iter()
            .filter(|(_, present)| *present)
            .map(|(slot, _)| (slot, slot.read().unwrap()))
            .map(|(slot, reading)| (query.at.unit().chord_squared(reading.unit), slot, reading))
            .filter(|(_, _, reading)| query.at.distance(reading.position) <= query.radius)
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.driver().cmp(b.1.driver())));
        let mut answer = Nearby {
            found: vec![],
            excluded: vec![],
            excluded_counts: BTreeMap::new(),
            complete: false,
        };
        let mut last = f64::INFINITY;
        for (chord, slot, reading) in near {
            let driver = slot.driver().clone();
            let distance = query.at.distance(reading.position);
            let supply = supply(&driver);
            if let Err(reason) = admit(&driver, &supply, refuse) {
                if query.limit > 0 && chord <= last {
                    *answer.excluded_counts.entry(reason).or_default() += 1;
                    answer.excluded.push(Excluded { driver, distance, reason });
                }
            } else if answer.found.len() < query.limit {
                let driver = InlineDriverId::from(&driver);
                answer.found.push(Found { driver, distance, reading, kept: supply });
                if answer.found.len() == query.limit {
                    last = chord;
                }
            }
        }
        answer.complete = answer.found.len() < query.limit;
        answer.excluded_counts.remove(&ON_RIDE);
        let within = if last.is_finite() {
            last
        } else {
            UnitVector::distance_to_chord_squared(query.radius)
        };
        (answer, self.on_ride_within(query, within))
    }

    fn on_ride_within(&self, query: &NearbyQuery, within: f64) -> RangeInclusive<u32> {
        let (mut both, mut either) = (0, 0);
        for (slot, present) in &self.all {
            if *present && query.limit > 0 && supply(slot.driver()).taken().is_some() {
                let reading = slot.read().unwrap();
                let inside = |unit| query.at.unit().chord_squared(unit) <= within;
                let cell = slot.cell().unwrap();
                let (here, centre) = (inside(reading.unit), inside(cell.centre_unit()));
                both += u32::from(here && centre);
                either += u32::from(here || centre);
            }
        }
        both..=either
    }
}

fn number(driver: &DriverId) -> u32 {
    driver.as_str()[1..].parse().unwrap()
}

type Answer = Nearby<InlineDriverId, Supply, u32>;

/// The reason of who is on a ride; no driver has this number.
const ON_RIDE: u32 = u32::MAX;

fn admit(driver: &DriverId, supply: &Supply, refuse: u32) -> Result<(), u32> {
    let number = number(driver);
    if supply.taken() == Some(Taken::OnRide) {
        return Err(ON_RIDE);
    }
    if number.is_multiple_of(refuse) { Err(number) } else { Ok(()) }
}

fn check(scene: &Scene) -> Result<(), TestCaseError> {
    let city = City::build(scene);
    prop_assert_eq!(city.grid.misplaced(), vec![]);
    prop_assert_eq!(city.grid.len(), city.all.iter().filter(|(_, present)| *present).count());
    for search in &scene.searches {
        let mut at = city.place(scene, search.offset);
        if let Some(which) = search.border {
            at = on_border(at, city.grid.resolution(), which);
        }
        let query = NearbyQuery {
            at,
            radius: Meters::new(search.radius),
            limit: search.limit,
            excluded_max: search.limit * 3,
            live_offers_max: 2,
            now: Timestamp::default(),
            explains: true,
        };
        let mut asked = BTreeSet::new();
        let mut answer = city.grid.nearest(
            &query,
            |_| ON_RIDE,
            |driver, supply, _| {
                assert!(asked.insert(driver.clone()), "{driver} was judged twice");
                admit(driver, supply, search.refuse).map(|()| supply.clone())
            },
        );
        let (mut expected, on_ride) = city.scan(&query, search.refuse);
        let counted = answer.excluded_counts.remove(&ON_RIDE).unwrap_or_default();
        check_names(&answer, &expected.excluded, query.excluded_max)?;
        answer.excluded.clear();
        expected.excluded.clear();
        prop_assert_eq!(answer, expected);
        prop_assert!(on_ride.contains(&counted), "{} are on a ride, not {:?}", counted, on_ride);
    }
    Ok(())
}

/// Refused drivers are told by name in order, the nearest ones; only of those on a ride a nearer one
/// may be missing, and none is where everyone was seen and there is room.
fn check_names(answer: &Answer, all: &[Excluded<u32>], most: usize) -> Result<(), TestCaseError> {
    let named = &answer.excluded;
    let mut rest = all.iter();
    let in_order = named.iter().all(|name| rest.any(|one| one == name));
    prop_assert!(in_order, "{:?} are not of {:?}", named, all);
    let room = named.len() < most;
    prop_assert!(named.len() == all.len().min(most) || room && !answer.complete);
    let farther: Vec<_> = rest.collect();
    for one in all.iter().filter(|one| one.reason != ON_RIDE && !named.contains(one)) {
        prop_assert!(!room && farther.contains(&one), "{:?} is not told", one);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config { cases: 600, failure_persistence: None, ..Config::default() })]

    #[test]
    fn nearest_equals_a_scan_of_all_drivers(scene in scenes()) {
        check(&scene)?;
    }
}

#[test]
fn nearest_equals_a_scan_at_every_place_and_resolution() {
    // A lattice that fills some forty rings, so that the rings decide and not the occupied cells.
    let spread = |i: u32| {
        let turn = f64::from(i) * 2.399_963;
        let reach = 9_000.0 * (f64::from(i) / 6_000.0).sqrt();
        (reach * turn.sin(), reach * turn.cos())
    };
    for place in 0..PLACES.len() {
        for resolution in 7..=9 {
            let searches = (0..40_u32).map(|i| Search {
                offset: spread(i * 97),
                border: (i % 3 == 0).then_some(i as usize),
                radius: 200.0 + f64::from(i * 173 % 5_000),
                limit: 1 + (i as usize * 7) % 40,
                refuse: 2 + i % 4,
            });
            let scene = Scene {
                place,
                resolution,
                drivers: (0..6_000).map(spread).collect(),
                moves: vec![],
                searches: searches.collect(),
            };
            check(&scene).unwrap();
        }
    }
}

#[test]
fn a_limit_of_nothing_finds_nothing_and_looks_at_nobody() {
    let scene = Scene {
        place: 0,
        resolution: 9,
        drivers: vec![(0.0, 0.0)],
        moves: vec![],
        searches: vec![],
    };
    let city = City::build(&scene);
    let at = city.place(&scene, (0.0, 0.0));
    let query = NearbyQuery {
        at,
        radius: Meters::new(1e3),
        limit: 0,
        excluded_max: 9,
        live_offers_max: 2,
        now: Timestamp::default(),
        explains: true,
    };
    let answer = city.grid.nearest::<DriverId, _, _>(
        &query,
        |_| (),
        |_, _, _| -> Result<(), ()> { unreachable!("nobody") },
    );
    assert!(answer.found.is_empty() && answer.excluded.is_empty() && !answer.complete);
}
