//! Zones: read from GeoJSON, found by place, named by policies.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::collections::BTreeSet;

use muster_engine::geo::{Cell, CellResolution, Position};
use muster_engine::id::{MarketId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::policy::{
    DispatchMode, DispatchPolicy, PolicyBook, PolicyPatch, PolicyRule, RuleMatch,
};
use muster_engine::zone::{ZoneError, Zones};
use proptest::prelude::*;

fn collection(features: &[String]) -> String {
    format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","))
}

/// A square whose south-west corner and side are in thousandths of a degree.
fn feature(properties: &str, west: i32, south: i32, side: i32) -> String {
    let [w, s, e, n] =
        [west, south, west + side, south + side].map(|milli| f64::from(milli) / 1_000.0);
    format!(
        r#"{{"type":"Feature","properties":{{{properties}}},"geometry":{{"type":"Polygon",
        "coordinates":[[[{w},{s}],[{e},{s}],[{e},{n}],[{w},{n}],[{w},{s}]]]}}}}"#
    )
}

fn named(id: &str, more: &str) -> String {
    format!(r#""id":"{id}","name":"{id}"{more}"#)
}

fn error(features: &[String]) -> String {
    Zones::from_geojson(&collection(features)).unwrap_err().to_string()
}

fn at(lat: f64, lng: f64) -> Position {
    Position::from_degrees(lat, lng).unwrap()
}

proptest! {
    /// The index finds what a scan of all polygons finds, in the order of priority and size, and a
    /// cell that it says is far from all watched zones holds no place of one.
    #[test]
    fn a_lookup_equals_a_scan_of_all_zones(
        squares in prop::collection::vec((-60_i32..60, -60_i32..60, 1_i32..40, -1_i32..2), 1..20),
        places in prop::collection::vec((-0.08_f64..0.12, -0.08_f64..0.12), 1..40),
    ) {
        let features: Vec<String> = squares.iter().enumerate().map(|(n, (w, s, side, priority))| {
            let queue = if n % 2 == 0 { "true" } else { "false" };
            let more = format!(r#","priority":{priority},"queue":{queue}"#);
            feature(&named(&format!("z{n}"), &more), *w, *s, *side)
        }).collect();
        let zones = Zones::from_geojson(&collection(&features)).unwrap();
        for (lat, lng) in places {
            let place = at(lat, lng);
            let found: Vec<&str> = zones.at(place).iter().map(|zone| zone.id.as_str()).collect();
            let scanned = zones.iter().filter(|zone| zone.area.contains(place));
            let scanned: BTreeSet<&str> = scanned.map(|zone| zone.id.as_str()).collect();
            prop_assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), scanned);
            let specific = |id: &&str| {
                let n: usize = id[1..].parse().unwrap();
                (-squares[n].3, squares[n].2)
            };
            prop_assert!(found.iter().map(specific).is_sorted());
            let watched = zones.watched_at(place).map(|zone| zone.id.as_str());
            let is_watched = |id: &&&str| id[1..].parse::<usize>().unwrap() % 2 == 0;
            prop_assert_eq!(watched, found.iter().find(is_watched).copied());
            let cell = Cell::at(place, CellResolution::new(9).unwrap());
            prop_assert!(watched.is_none() || zones.may_watch(cell));
        }
    }
}

#[test]
fn a_hole_is_outside_of_its_zone() {
    let text = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
        "properties":{"id":"z","name":"Z"},"geometry":{"type":"Polygon","coordinates":[
        [[0,0],[9,0],[9,9],[0,9],[0,0]],[[3,3],[6,3],[6,6],[3,6],[3,3]]]}}]}"#;
    let zones = Zones::from_geojson(text).unwrap();
    assert_eq!(zones.at(at(1.0, 1.0)).len(), 1);
    assert!(zones.at(at(4.5, 4.5)).is_empty());
}

#[test]
fn a_fault_is_told_by_feature_and_property() {
    let good = feature(&named("a", ""), 0, 0, 1);
    let with = |more: &str| feature(&named("b", more), 0, 0, 1);
    let cases = [
        (feature(r#""name":"x""#, 0, 0, 1), "feature 1: id is refused: it is needed"),
        (with(r#","prio":1"#), "feature 1: prio is refused: unknown"),
        (with(r#","queue":{"exit_fixes":0}"#), "feature 1: queue.exit_fixes is refused"),
        (with(r#","otp":"yes""#), "feature 1: otp is refused: true or false"),
        (
            with(r#","gates":[{"id":"g","kind":"door","lat":0,"lng":0}]"#),
            "feature 1: gates.0.kind is refused: pickup, drop or parking",
        ),
        (
            with(
                r#","gates":[{"id":"g","kind":"pickup","lat":0,"lng":0,
                "service_tiers":{"xl":{"drivers_min":3,"drivers_max":2}}}]"#,
            ),
            "feature 1: gates.0.service_tiers.xl.drivers_max is refused",
        ),
        (feature(&named("a", ""), 5, 5, 1), "zone a is there twice"),
    ];
    for (bad, expected) in cases {
        let told = error(&[good.clone(), bad]);
        assert!(told.starts_with(expected), "{told}");
    }
    let open = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":
        {"id":"z","name":"Z"},"geometry":{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1]]]}}]}"#;
    let told = Zones::from_geojson(open).unwrap_err().to_string();
    assert!(told.starts_with("feature 0: ring 0 of polygon 0 is not closed"), "{told}");
    let alone = Zones::from_geojson(&good).unwrap_err();
    assert_eq!(alone, ZoneError::NotACollection);
}

fn market(zones: Zones) -> Market {
    let square = r#"{"type":"Polygon","coordinates":[[[-1,-1],[1,-1],[1,1],[-1,1],[-1,-1]]]}"#;
    let tier = ServiceTierId::new("standard").unwrap();
    let config = MarketConfig {
        id: MarketId::new("m").unwrap(),
        name: "M".to_owned(),
        boundary: Boundary::from_geojson(square).unwrap(),
        tiers: vec![tier.clone()],
        default_tier: tier,
        resolution: CellResolution::new(9).unwrap(),
    };
    Market::new(config).unwrap().with_zones(zones).unwrap()
}

#[test]
fn a_rule_that_names_an_unknown_zone_is_refused_by_name() {
    let text = collection(&[feature(&named("station", ""), 0, 0, 1)]);
    let market = market(Zones::from_geojson(&text).unwrap());
    let book = |zone: &str| {
        let rule = PolicyRule {
            name: "queue there".to_owned(),
            when: RuleMatch { pickup_zone: Some(zone.to_owned()), ..RuleMatch::default() },
            set: PolicyPatch { mode: Some(DispatchMode::Queue), ..PolicyPatch::default() },
        };
        PolicyBook::new(1, DispatchPolicy::default(), vec![rule], None, 0).unwrap()
    };
    assert_eq!(book("station").check_zones(market.zones()), Ok(()));
    let told = book("statoin").check_zones(market.zones()).unwrap_err().to_string();
    let expected =
        "rule queue there names the zone statoin, which the market does not have".to_owned();
    assert_eq!(told, expected);
}

#[test]
fn a_gate_for_a_tier_that_is_not_sold_is_refused() {
    let gate = r#","gates":[{"id":"g","kind":"pickup","lat":0,"lng":0,
        "service_tiers":{"boat":{"drivers_min":1}}}]"#;
    let text = collection(&[feature(&named("pier", gate), 0, 0, 1)]);
    let plain = market(Zones::default());
    let told = plain.with_zones(Zones::from_geojson(&text).unwrap()).unwrap_err().to_string();
    assert_eq!(told, "zone pier, gate g: the market does not sell tier boat");
}

#[test]
fn the_shipped_zones_hold_the_places_they_are_named_after_and_queue_nobody() {
    let nyc = Zones::from_geojson(include_str!("../../api/markets/nyc-zones.geojson")).unwrap();
    let sf = Zones::from_geojson(include_str!("../../api/markets/sf-zones.geojson")).unwrap();
    let name =
        |zones: &Zones, lat, lng| zones.at(at(lat, lng)).first().map(|zone| zone.id.to_string());
    assert_eq!(name(&nyc, 40.7503, -73.9928).as_deref(), Some("penn-station"));
    assert_eq!(name(&nyc, 40.7570, -73.9910).as_deref(), Some("port-authority"));
    assert_eq!(name(&nyc, 40.7484, -73.9857), None, "the Empire State Building is no station");
    assert_eq!(name(&sf, 37.6155, -122.3870).as_deref(), Some("sfo-ground-transport"));
    assert!(!nyc.are_watched() && !sf.are_watched());
}
