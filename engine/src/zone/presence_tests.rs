//! Noise at a zone's border, fix by fix.

use super::{Presence, Whereabouts, Zones};
use crate::geo::Position;
use crate::time::Timestamp;

const ZONES: &str = r#"{"type":"FeatureCollection","features":[
    {"type":"Feature","geometry":{"type":"Polygon","coordinates":
        [[[0,0],[0.01,0],[0.01,0.01],[0,0.01],[0,0]]]},
     "properties":{"id":"a","name":"A","queue":{"entry_fixes":2,"exit_fixes":3},
        "gates":[{"id":"g","kind":"pickup","lat":0.005,"lng":0.005,"radius_m":100}]}},
    {"type":"Feature","geometry":{"type":"Polygon","coordinates":
        [[[0.01,0],[0.02,0],[0.02,0.01],[0.01,0.01],[0.01,0]]]},
     "properties":{"id":"b","name":"B","queue":{"entry_fixes":2,"exit_fixes":3}}}]}"#;

const A: (f64, f64) = (0.002, 0.002);
const GATE: (f64, f64) = (0.005, 0.005);
const B: (f64, f64) = (0.002, 0.015);
const OUT: (f64, f64) = (0.05, 0.05);

struct Case {
    presence: Presence,
    zones: Zones,
    fixes: u64,
}

impl Case {
    fn new() -> Self {
        let zones = Zones::from_geojson(ZONES).unwrap();
        Self { presence: Presence::default(), zones, fixes: 0 }
    }

    /// Applies fixes; tells which of them settled the driver elsewhere.
    fn see(&mut self, places: &[(f64, f64)]) -> Vec<bool> {
        let mut settled = Vec::new();
        for (lat, lng) in places {
            self.fixes += 1;
            let at = Position::from_degrees(*lat, *lng).unwrap();
            let when = Timestamp::from_millis(self.fixes * 1_000);
            settled.push(self.presence.observe(at, when, &self.zones));
        }
        settled
    }

    fn zone(&self) -> Option<String> {
        self.presence.whereabouts().zone().map(ToString::to_string)
    }

    fn gate(&self) -> Option<String> {
        match self.presence.whereabouts() {
            Whereabouts::Settled { gate, .. } => gate.map(|gate| gate.to_string()),
            Whereabouts::Unknown => None,
        }
    }
}

#[test]
fn one_fix_inside_lets_nobody_in_and_enough_in_a_row_do() {
    let mut case = Case::new();
    assert_eq!(case.see(&[A]), [false]);
    assert_eq!(case.presence.whereabouts(), Whereabouts::Unknown);
    assert_eq!(case.see(&[OUT, A, A]), [false, false, true]);
    assert_eq!(case.zone().as_deref(), Some("a"));
    let since = Timestamp::from_millis(4_000);
    assert!(matches!(case.presence.whereabouts(),
        Whereabouts::Settled { since: settled, .. } if settled == since));
}

#[test]
fn noise_at_the_border_evicts_nobody_however_long_it_lasts() {
    let mut case = Case::new();
    case.see(&[A, A]);
    for _ in 0..50 {
        assert_eq!(case.see(&[OUT, OUT, A]), [false; 3]);
    }
    assert_eq!(case.see(&[OUT, OUT, OUT]), [false, false, true]);
    assert_eq!(case.zone(), None);
}

#[test]
fn a_driver_who_goes_over_to_the_next_zone_is_settled_there_once() {
    let mut case = Case::new();
    case.see(&[A, A]);
    assert_eq!(case.see(&[B, B]), [false, false], "he may still be in the first zone");
    assert_eq!(case.see(&[B]), [true]);
    assert_eq!(case.zone().as_deref(), Some("b"));
}

#[test]
fn noise_between_two_zones_and_outside_still_takes_a_driver_out_in_the_end() {
    let mut case = Case::new();
    case.see(&[A, A]);
    assert_eq!(case.see(&[B, OUT, B]), [false, false, true]);
    assert_eq!(case.zone(), None);
}

#[test]
fn a_driver_far_from_all_zones_is_settled_nowhere_and_looked_at_no_more() {
    let mut case = Case::new();
    assert!(case.presence.is_open());
    assert_eq!(case.see(&[OUT, OUT, OUT]), [false, false, true]);
    assert!(!case.presence.is_open());
    case.see(&[A]);
    assert!(case.presence.is_open());
}

#[test]
fn a_gate_is_reached_and_left_by_the_same_counts() {
    let mut case = Case::new();
    case.see(&[A, A]);
    assert_eq!(case.gate(), None);
    assert_eq!(case.see(&[GATE, A, GATE, GATE]), [false, false, false, true]);
    assert_eq!(case.gate().as_deref(), Some("g"));
    assert_eq!(case.see(&[A, A, GATE, A, A, A]), [false, false, false, false, false, true]);
    assert_eq!(case.gate(), None);
}
