//! The market outlines that ship with the product hold the places they are named after.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use muster_engine::geo::Position;
use muster_engine::market::Boundary;

fn holds(boundary: &Boundary, places: &[(&str, f64, f64)], expected: bool) {
    for (name, lat, lng) in places {
        let position = Position::from_degrees(*lat, *lng).unwrap();
        assert_eq!(boundary.contains(position), expected, "{name}");
    }
}

#[test]
fn new_york_holds_manhattan_its_shores_and_two_airports() {
    let text = include_str!("../../api/markets/nyc.geojson");
    let nyc = Boundary::from_geojson(text).unwrap();
    let inside = [
        ("Battery", 40.7005, -74.0165),
        ("Inwood", 40.8785, -73.9250),
        ("Roosevelt Island", 40.7620, -73.9500),
        ("John F. Kennedy airport", 40.6413, -73.7781),
        ("LaGuardia airport", 40.7769, -73.8740),
        ("Hoboken", 40.7357, -74.0276),
        ("Coney Island", 40.5749, -73.9857),
        ("Yankee Stadium", 40.8296, -73.9262),
    ];
    holds(&nyc, &inside, true);
    holds(&nyc, &[("Newark airport", 40.6895, -74.1745), ("Yonkers", 40.9500, -73.8700)], false);
}

#[test]
fn san_francisco_reaches_from_the_ocean_to_its_airport() {
    let sf = Boundary::from_geojson(include_str!("../../api/markets/sf.geojson")).unwrap();
    let inside = [
        ("Ferry Building", 37.7955, -122.3937),
        ("Ocean Beach", 37.7600, -122.5110),
        ("Treasure Island", 37.8250, -122.3700),
        ("San Francisco airport", 37.6164, -122.3860),
    ];
    holds(&sf, &inside, true);
    holds(&sf, &[("Oakland airport", 37.7126, -122.2197), ("San Jose", 37.34, -121.89)], false);
}
