//! Streets of a few blocks, by hand.

use super::*;
use crate::geo::Position;

/// About a metre of latitude, in degrees.
const METRE: f64 = 1.0 / 111_195.08;

fn at(north_m: f64, east_m: f64) -> Position {
    Position::from_degrees(north_m * METRE, east_m * METRE).unwrap()
}

/// `from` to `to` at 10 m/s, as long as it looks.
fn way(nodes: &[Position], from: u32, to: u32) -> Street {
    let metres = nodes[from as usize].distance(nodes[to as usize]).get();
    Street::new(from, to, metres, 10.0).unwrap()
}

/// A block of 1,000 m a side, driven around clockwise; its west side both ways.
fn block() -> RoadNetwork {
    let nodes = vec![at(0.0, 0.0), at(1_000.0, 0.0), at(1_000.0, 1_000.0), at(0.0, 1_000.0)];
    let ways = [(0, 1), (1, 0), (1, 2), (2, 3), (3, 0)];
    let segments = ways.map(|(from, to)| way(&nodes, from, to)).to_vec();
    RoadNetwork::build(&Streets { nodes, segments, ..Streets::default() }, |_, _| {}).unwrap()
}

fn seconds(network: &RoadNetwork, from: Position, to: Position) -> f64 {
    let leg = network.many_to_one(&[from], to, 0)[0].expect("both are on the network");
    assert_eq!(network.one_to_many(from, &[to], 0)[0], Some(leg));
    (f64::from(leg.time_ms) / 1_000.0).round()
}

#[test]
fn offsets_along_the_first_and_the_last_street_count() {
    let network = block();
    // From the middle of the north side along it, and half of the east side.
    assert_eq!(seconds(&network, at(1_000.0, 500.0), at(500.0, 1_000.0)), 100.0);
    let leg = network.many_to_one(&[at(1_000.0, 250.0)], at(1_000.0, 750.0), 0)[0].unwrap();
    assert_eq!((leg.time_ms, leg.distance.rounded()), (50_000, 500));
}

#[test]
fn a_driver_who_has_passed_the_pickup_on_a_one_way_street_drives_around_the_block() {
    let network = block();
    assert_eq!(seconds(&network, at(1_000.0, 750.0), at(1_000.0, 250.0)), 350.0);
    // On a street of both directions he turns.
    assert_eq!(seconds(&network, at(750.0, 0.0), at(250.0, 0.0)), 50.0);
}

#[test]
fn at_a_crossing_every_street_may_be_taken_whichever_was_found() {
    let network = block();
    assert_eq!(seconds(&network, at(1_000.0, 0.0), at(0.0, 0.0)), 100.0);
    assert_eq!(seconds(&network, at(1_000.0, 0.0), at(1_000.0, 1_000.0)), 100.0);
}

#[test]
fn the_way_to_the_street_counts_and_nobody_is_far_from_one() {
    let network = block();
    // 200 m west of the street, then 300 m along it.
    assert_eq!(seconds(&network, at(500.0, -200.0), at(800.0, 0.0)), 50.0);
    assert_eq!(network.many_to_one(&[at(500.0, -1_100.0)], at(500.0, 0.0), 0), [None]);
    assert_eq!(network.many_to_one(&[at(500.0, 0.0)], at(500.0, -1_100.0), 0), [None]);
    assert_eq!(network.many_to_one(&[], at(500.0, 0.0), 0), []);
}

#[test]
fn what_cannot_be_left_again_is_no_part_of_the_network() {
    let mut nodes = vec![at(0.0, 0.0), at(1_000.0, 0.0), at(1_000.0, 500.0), at(0.0, 500.0)];
    nodes.push(at(-500.0, 0.0));
    let ways = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 4)];
    let segments = ways.map(|(from, to)| way(&nodes, from, to)).to_vec();
    let streets = Streets { nodes, segments, ..Streets::default() };
    let network = RoadNetwork::build(&streets, |_, _| {}).unwrap();
    assert_eq!((network.size().nodes, network.size().streets), (4, 4));
}

/// A kilometre of street that takes twice the time from 8 to 9.
fn slow_at_eight() -> RoadNetwork {
    let mut factors = [1.0; 24];
    factors[8] = 0.5;
    let nodes = vec![at(0.0, 0.0), at(1_000.0, 0.0)];
    let segments = vec![way(&nodes, 0, 1), way(&nodes, 1, 0)];
    let profile = Some(HourProfile::new(&factors).unwrap());
    let streets = Streets { nodes, segments, profile, ..Streets::default() };
    RoadNetwork::build(&streets, |_, _| {}).unwrap()
}

#[test]
fn the_hours_factor_divides_the_time_and_no_other() {
    let network = slow_at_eight();
    let time_ms = |hour| network.many_to_one(&[at(0.0, 0.0)], at(1_000.0, 0.0), hour)[0].unwrap();
    assert_eq!(time_ms(8).time_ms, 2 * time_ms(7).time_ms);
    assert_eq!(time_ms(8).distance, time_ms(7).distance);
    assert_eq!(time_ms(7 + 24), time_ms(7));
    assert_eq!(HourProfile::new(&[1.0; 23]), Err(ProfileError::Count(23)));
    let mut factors = [1.0; 24];
    factors[3] = 9.0;
    let refused = HourProfile::new(&factors).unwrap_err().to_string();
    assert_eq!(refused, "the factor of hour 3 is 9, allowed is 0.05..=5");
}

#[test]
fn streets_that_cannot_be_are_refused_by_name() {
    assert_eq!(Street::new(0, 1, -1.0, 10.0), Err(RoadError::Length(-1.0)));
    assert!(matches!(Street::new(0, 1, f64::NAN, 10.0), Err(RoadError::Length(_))));
    assert_eq!(Street::new(0, 1, 1.0, 0.0), Err(RoadError::Speed(0.0)));
    let nodes = vec![at(0.0, 0.0), at(1_000.0, 0.0)];
    let segments = vec![Street { from: 0, to: 7, time_ms: 1, length_dm: 1 }];
    let streets = Streets { nodes: nodes.clone(), segments, ..Streets::default() };
    let refused = RoadNetwork::build(&streets, |_, _| {}).unwrap_err();
    assert_eq!(refused, RoadError::UnknownNode { street: 0, node: 7 });
    let one_way = Streets { segments: vec![way(&nodes, 0, 1)], nodes, ..Streets::default() };
    assert_eq!(RoadNetwork::build(&one_way, |_, _| {}).unwrap_err(), RoadError::Nothing);
}

fn written() -> Vec<u8> {
    let mut factors = [1.0; 24];
    factors[17] = 0.62;
    let nodes = vec![at(0.0, 0.0), at(1_000.0, 0.0), at(1_000.0, 1_000.0), at(-9.0, 1_000.0)];
    let ways = [(0, 1), (1, 0), (1, 2), (2, 3), (3, 0), (0, 2)];
    let segments = ways.map(|(from, to)| way(&nodes, from, to)).to_vec();
    let profile = Some(HourProfile::new(&factors).unwrap());
    let attribution = "© OpenStreetMap contributors".to_owned();
    let streets = Streets { nodes, segments, profile, attribution };
    RoadNetwork::build(&streets, |_, _| {}).unwrap().to_bytes()
}

#[test]
fn a_network_comes_back_as_it_was_written() {
    let bytes = written();
    let read = RoadNetwork::from_bytes(&bytes).unwrap();
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(read.attribution(), "© OpenStreetMap contributors");
    assert_eq!(read.profile().permille(17), 620);
    let leg = read.many_to_one(&[at(0.0, 0.0)], at(1_000.0, 0.0), 0)[0].unwrap();
    assert_eq!((leg.time_ms, leg.distance.rounded()), (100_000, 1_000));
}

#[test]
fn a_damaged_file_is_refused_wherever_the_damage_is() {
    let bytes = written();
    assert_eq!(RoadNetwork::from_bytes(b"osm").unwrap_err(), FileError::Magic);
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert_eq!(RoadNetwork::from_bytes(&newer).unwrap_err(), FileError::Version(2));
    for at in 0..bytes.len() {
        assert!(RoadNetwork::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert!(RoadNetwork::from_bytes(&damaged).is_err(), "damaged at {at}");
    }
}

#[test]
fn nothing_in_a_file_is_trusted_although_its_checksum_holds() {
    let bytes = written();
    let body = bytes.len() - 8;
    for at in 12..body {
        for value in [0x00, 0x7f, 0x80, 0xff] {
            let mut forged = bytes[..body].to_vec();
            forged[at] = value;
            let checksum = crate::id::stable_hash(&forged, 0);
            forged.extend_from_slice(&checksum.to_le_bytes());
            // Refused, or a network that answers something: never a panic, never a huge allocation.
            if let Ok(network) = RoadNetwork::from_bytes(&forged) {
                network.many_to_many(network.positions(), network.positions(), 0);
            }
        }
    }
}

#[test]
fn a_market_asks_for_its_own_hour() {
    use crate::time::Timestamp;
    use crate::travel::{EtaSource, TravelTime};
    let network = slow_at_eight();
    let in_new_york = RoadTravelTime::new(std::sync::Arc::new(network), -300);
    let at_utc = |hour: u64| Timestamp::from_millis((20_000 * 24 + hour) * 3_600_000);
    let way = |hour| in_new_york.way(at(0.0, 0.0), at(1_000.0, 0.0), at_utc(hour)).unwrap();
    assert_eq!((way(13).time_ms, way(12).time_ms), (200_000, 100_000));
    assert_eq!(way(13).source, EtaSource::Roads);
    assert_eq!(in_new_york.way(at(0.0, 0.0), at(90_000.0, 0.0), at_utc(1)), None);
}
