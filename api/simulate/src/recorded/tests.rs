use std::collections::BTreeSet;

use muster_engine::driver::{Departure, DriverProfile};
use muster_engine::id::{OfferId, RiderId, ServiceTierId};
use muster_engine::offer::{OfferEnd, OfferKind};
use muster_engine::policy::{DispatchMode, DispatchPolicy, PolicyPatch};
use muster_engine::ride::{CancelledBy, RideEventKind, RideRequest};
use muster_record::{DriverLine, FixLine, Header, OfferEndedLine, RequestLine, RideLine};

use super::*;
use crate::options::SimulateOptions;

const MINUTE_MS: u64 = 60_000;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + ms)
}

/// `east_m` metres east of a place.
fn east(east_m: f64) -> Position {
    let lat: f64 = 40.75;
    let lng = -73.98 + east_m / (111_195.0 * lat.to_radians().cos());
    Position::from_degrees(lat, lng).unwrap()
}

fn driver(number: u32) -> DriverId {
    DriverId::new(&format!("d-{number:03}")).unwrap()
}

fn ride(number: u32) -> RideId {
    RideId::new(&format!("ride {number}").replace(' ', "-")).unwrap()
}

fn tier(name: &str) -> ServiceTierId {
    ServiceTierId::new(name).unwrap()
}

fn market_id() -> MarketId {
    MarketId::new("city").unwrap()
}

fn market(policy: &DispatchPolicy) -> Line {
    Line::Market(Box::new(MarketLine {
        at: at(0),
        market: market_id(),
        service_tiers: vec![tier("standard"), tier("xl")],
        default_tier: tier("standard"),
        grid_resolution: 9,
        policy_version: 3,
        policy: serde_json::to_value(PolicyPatch::from(policy)).unwrap(),
        varied: false,
    }))
}

fn profile(number: u32, ms: u64, online: bool) -> Line {
    let profile = DriverProfile {
        market: market_id(),
        service_tiers: vec![tier("standard")],
        vehicle: "{}".into(),
        tags: Vec::new(),
        rating: None,
        blocked_until: None,
        home: None,
        preferences: Default::default(),
        capacity: Default::default(),
        wallet: None,
        departure: Departure::None,
        scheduled_pickup_at: None,
    };
    Line::Driver(Box::new(DriverLine { at: at(ms), driver: driver(number), online, profile }))
}

fn fix(number: u32, ms: u64, east_m: f64) -> Line {
    Line::Fix(FixLine { at: at(ms), driver: driver(number), position: east(east_m) })
}

fn request(number: u32, ms: u64, from_m: f64, to_m: f64) -> Line {
    let (pickup, tiers) = (east(from_m), vec![tier("standard")]);
    let rider = RiderId::new("rider").unwrap();
    let request = RideRequest {
        dropoff: Some(east(to_m)),
        ..RideRequest::plain(ride(number), rider, market_id(), pickup, tiers, at(ms))
    };
    Line::Request(Box::new(RequestLine { at: at(ms), request }))
}

fn step(number: u32, ms: u64, event: RideEventKind, by: Option<u32>) -> Line {
    let cancelled = event == RideEventKind::RideCancelled;
    Line::Ride(Box::new(RideLine {
        at: at(ms),
        ride: ride(number),
        event,
        attempt: 1,
        policy_version: 3,
        driver: by.map(driver),
        pickup_eta_s: by.map(|_| 60),
        dropoff: None,
        by: cancelled.then_some(CancelledBy::Rider),
        reason: None,
    }))
}

fn answered(number: u32, ms: u64, by: u32, end: OfferEnd, after_ms: u64) -> Line {
    Line::OfferEnded(OfferEndedLine {
        at: at(ms),
        ride: ride(number),
        offer: OfferId::derive(&ride(number), u64::from(by), ms),
        driver: driver(by),
        end,
        after_ms,
        pickup_eta_s: 60,
        kind: OfferKind::Ride,
    })
}

/// A ride that driver `by` takes at once, reaches in a minute and finishes in three.
fn served(number: u32, ms: u64, by: u32, from_m: f64, to_m: f64) -> Vec<Line> {
    let after = |minutes: u64| ms + 2_000 + minutes * MINUTE_MS;
    vec![
        request(number, ms, from_m, to_m),
        answered(number, after(0), by, OfferEnd::Accepted, 2_000),
        step(number, after(0), RideEventKind::DriverAssigned, Some(by)),
        step(number, after(1), RideEventKind::DriverArrived, Some(by)),
        step(number, after(2), RideEventKind::RideStarted, Some(by)),
        step(number, after(5), RideEventKind::RideCompleted, Some(by)),
    ]
}

/// Two drivers, one ride each, and a rider who leaves after 40 s.
fn a_short_day() -> Vec<Line> {
    let policy = DispatchPolicy { mode: DispatchMode::Sequential, ..DispatchPolicy::default() };
    let mut lines = vec![market(&policy), profile(1, 0, true), profile(2, 0, true)];
    for minute in 0..=20 {
        lines.push(fix(1, minute * MINUTE_MS, 0.0));
        // The second drives 100 m a minute.
        lines.push(fix(2, minute * MINUTE_MS + 1, 3_000.0 + minute as f64 * 100.0));
    }
    lines.extend(served(1, 61_000, 1, 200.0, 1_400.0));
    lines.extend(served(2, 122_000, 2, 2_900.0, 4_100.0));
    lines.push(request(3, 500_000, 30_000.0, 30_500.0));
    lines.push(step(3, 540_000, RideEventKind::RideCancelled, None));
    lines.sort_by_key(Line::at);
    lines
}

fn written(lines: &[Line]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let header =
        Header { muster_record: 1, began_at: at(0), build: "test".to_owned(), clock_speed: 1.0 };
    let mut text = serde_json::to_string(&header).unwrap() + "\n";
    for line in lines {
        text += &(serde_json::to_string(line).unwrap() + "\n");
    }
    let path = folder.path().join("muster-record-00000000000001-000.jsonl.zst");
    std::fs::write(path, zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
    folder
}

fn read(lines: &[Line]) -> RecordedCity {
    RecordedCity::read(written(lines).path(), None).unwrap()
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    options: SimulateOptions,
}

fn options(more: &[&str]) -> SimulateOptions {
    let arguments = ["simulate", "--quiet", "--seeds", "2"].iter().chain(more);
    <Cli as clap::Parser>::try_parse_from(arguments).map(|cli| cli.options).unwrap()
}

#[test]
fn the_city_of_a_log_has_its_requests_and_drivers() {
    let city = read(&a_short_day());
    let requested: Vec<u64> = city.rides.iter().map(|ride| ride.requested_ms).collect();
    assert_eq!(requested, [61_000, 122_000, 500_000]);
    let places = [1, 2, 3].map(|number| city.driver(&driver(number)));
    assert_eq!(places, [Some(0), Some(1), None]);
    assert_eq!(city.policy().unwrap().mode, DispatchMode::Sequential);
    assert_eq!((city.facts.answers, city.facts.rides_under_other_policies), (2, 0));
    assert_eq!((city.rides[0].dwell_ms(), city.rides[0].trip_ms()), (Some(60_000), Some(180_000)));
    assert_eq!((city.rides[2].patience_ms(), city.rides[0].patience_ms()), (Some(40_000), None));
}

#[test]
fn a_driver_is_where_he_drove_while_he_had_no_ride() {
    let city = read(&a_short_day());
    let second = &city.drivers[1];
    let east_m = |ms| second.place_without_ride(ms).map(|at| at.distance_m(point(east(0.0))));
    let half_way = east_m(30_001).unwrap();
    assert!((half_way - 3_050.0).abs() < 1.0, "{half_way}");
    assert_eq!(east_m(200_000), None, "he had a ride");
    assert!(east_m(900_000).is_some());
}

#[test]
fn a_shift_begins_when_the_phone_is_heard_and_ends_when_it_falls_silent() {
    let mut lines = a_short_day();
    lines.extend([profile(3, 0, true), profile(4, 0, false), fix(4, 5_000, 0.0)]);
    lines.extend([fix(3, 30_000, 50.0), fix(3, 90_000, 60.0), fix(3, 900_000, 70.0)]);
    lines.push(profile(3, 960_000, false));
    lines.sort_by_key(Line::at);
    let city = read(&lines);
    assert_eq!(city.drivers.len(), 3, "who never was online is no driver of the day");
    let third = &city.drivers[2].changes;
    let expected = [
        (30_000, ShiftChange::Online(point(east(50.0)))),
        (390_000, ShiftChange::Offline),
        (900_000, ShiftChange::Online(point(east(70.0)))),
        (960_000, ShiftChange::Offline),
    ];
    assert_eq!(*third, expected);
}

#[test]
fn what_was_recorded_is_told_in_the_figures_of_a_simulation() {
    let folder = written(&a_short_day());
    let simulation = simulate_log(&options(&["--modes"]), folder.path(), None).unwrap();
    let recorded = &simulation.columns[0];
    assert_eq!((recorded.policy.as_str(), recorded.drivers), ("recorded", 2));
    let figure = |key| recorded.figures[key].mean;
    assert_eq!((figure("requested"), figure("served")), (3.0, 2.0));
    assert_eq!((figure("assign_s_mean"), figure("pickup_eta_s_mean")), (2.0, 60.0));
    assert_eq!(recorded.unserved_pct.keys().collect::<Vec<_>>(), ["rider"]);
    // Of 20 minutes each, 3 on a trip, 1 on the way and 1 at the pickup.
    assert!((figure("on_trip_pct") - 15.0).abs() < 0.2, "{}", figure("on_trip_pct"));
    assert!((figure("idle_pct") - 75.0).abs() < 0.2, "{}", figure("idle_pct"));
    assert!(figure("earnings_gini") < 0.01, "both earned the same");
}

#[test]
fn the_same_policy_serves_the_same_riders_and_a_worse_one_does_not() {
    let folder = written(&a_short_day());
    let more = ["--modes", "--policy", "blind=search_radius_m_min=100,search_radius_m_max=100"];
    let simulation = simulate_log(&options(&more), folder.path(), None).unwrap();
    assert!(simulation.clean(), "{simulation}");
    let served = |name: &str| {
        let column = simulation.columns.iter().find(|column| column.policy == name).unwrap();
        column.figures["served"].mean
    };
    assert_eq!((served("recorded"), served("same_policy"), served("blind")), (2.0, 2.0, 0.0));
    let text = simulation.to_string();
    assert!(text.contains("3 requests, 2 drivers, 2 answers"), "{text}");
}

#[test]
fn a_log_simulated_twice_is_the_same_to_the_bit() {
    let folder = written(&a_short_day());
    let run = || {
        let simulation = simulate_log(&options(&[]), folder.path(), None).unwrap();
        serde_json::to_string(&simulation).unwrap()
    };
    assert_eq!(run(), run());
}

#[test]
fn drivers_answer_as_they_did() {
    let mut lines = a_short_day();
    let stubborn = (0..40).map(|n| answered(1, 100 + n, 1, OfferEnd::Declined, 700));
    let willing = (0..20).map(|n| answered(1, 200 + n, 2, OfferEnd::Accepted, 1_500));
    let taken_back = (0..50).map(|n| answered(1, 300 + n, 2, OfferEnd::Withdrawn, 10));
    lines.extend(stubborn.chain(willing).chain(taken_back));
    lines.sort_by_key(Line::at);
    let city = read(&lines);
    let people =
        crate::people::People::new(1, crate::people::Traits::of(crate::people::PeopleModel::City));
    let drawn = |driver| {
        let answers = (0..200).map(|n: u32| {
            let mut random = people.stream("test", &n.to_string());
            city.answers.draw(driver, 15_000, &mut random).unwrap()
        });
        answers.map(|plan| (format!("{:?}", plan.answer), plan.delay_ms)).collect::<BTreeSet<_>>()
    };
    let decline = ("Decline(\"as_recorded\")".to_owned(), 700);
    assert!(drawn(0).contains(&decline) && drawn(0).len() == 2, "{:?}", drawn(0));
    let accepts = |ms| ("Accept".to_owned(), ms);
    assert_eq!(drawn(1), [accepts(1_500), accepts(2_000)].into());
    let mut random = people.stream("test", "late");
    assert_eq!(city.answers.draw(1, 1_000, &mut random).unwrap().delay_ms, 999);
}

#[test]
fn what_a_log_does_not_tell_is_said() {
    let error = |lines: &[Line], market| {
        RecordedCity::read(written(lines).path(), market).unwrap_err().to_string()
    };
    let day = a_short_day();
    assert!(error(&day, Some("paris")).contains("the markets [city], not paris"));
    let nobody: Vec<Line> =
        day.iter().filter(|line| !matches!(line, Line::Driver(_))).cloned().collect();
    assert!(error(&nobody, None).contains("3 requests and 0 drivers"), "{}", error(&nobody, None));
    let mut odd = day.clone();
    let Line::Market(line) = &mut odd[0] else { panic!("{:?}", odd[0]) };
    line.policy["wave_sise"] = serde_json::json!(3);
    let told = read(&odd).policy().unwrap_err().to_string();
    assert!(told.contains("wave_sise"), "{told}");
}

#[test]
fn a_ride_older_than_the_log_keeps_its_driver_busy() {
    let mut lines = a_short_day();
    lines.push(step(9, 180_000, RideEventKind::RideCompleted, Some(1)));
    lines.sort_by_key(Line::at);
    let city = read(&lines);
    assert_eq!(city.facts.rides_before, 1);
    assert_eq!(city.drivers[0].changes[0], (180_000, ShiftChange::Online(point(east(0.0)))));
}
