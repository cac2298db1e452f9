//! The hierarchy equals plain Dijkstra, on a made city and on any small network.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod dijkstra;

use dijkstra::Dijkstra;
use muster_engine::geo::Position;
use muster_engine::roads::{RoadLeg, RoadNetwork, Street, Streets};
use proptest::prelude::*;

const SIDE: u32 = 40;

/// A city of blocks: streets and avenues are one-way by turns, every fifth is not, some segments
/// are closed, and no two are equally long or fast.
fn city() -> RoadNetwork {
    let mut state = 7_u64;
    let mut draw = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut streets = Streets::default();
    for place in 0..SIDE * SIDE {
        let (row, column) = (place / SIDE, place % SIDE);
        let jitter = draw(200) as f64 * 1e-6;
        let lat = 40.7 + f64::from(row) * 0.0008 + jitter;
        let lng = -74.0 + f64::from(column) * 0.0022 + jitter;
        streets.nodes.push(Position::from_degrees(lat, lng).unwrap());
    }
    for place in 0..SIDE * SIDE {
        for (line, next) in [(place / SIDE, place + 1), (place % SIDE, place + SIDE)] {
            let beyond = next >= SIDE * SIDE || (next == place + 1 && next % SIDE == 0);
            if beyond || draw(20) == 0 {
                continue;
            }
            let metres = streets.nodes[place as usize].distance(streets.nodes[next as usize]).get();
            let speed_mps = 2.0 + draw(1_000) as f64 / 80.0;
            let way = |from, to| Street::new(from, to, metres, speed_mps).unwrap();
            if line % 2 == 0 || line % 5 == 0 {
                streets.segments.push(way(place, next));
            }
            if line % 2 == 1 || line % 5 == 0 {
                streets.segments.push(way(next, place));
            }
        }
    }
    RoadNetwork::build(&streets, |_, _| {}).unwrap()
}

fn parts(leg: &Option<RoadLeg>) -> Option<(u32, u32)> {
    leg.map(|leg| (leg.time_ms, (leg.distance.get() * 10.0).round() as u32))
}

#[test]
fn ten_thousand_ways_through_a_city_are_those_of_plain_dijkstra() {
    let network = city();
    let plain = Dijkstra::of(&network);
    let nodes = network.positions().len();
    assert!(nodes > 1_500, "the city hangs together: {nodes}");
    let some = |offset: usize| (0..100).map(move |i| (i * 7_919 + offset) % nodes);
    let (froms, tos): (Vec<usize>, Vec<usize>) = (some(0).collect(), some(31).collect());
    let place = |node: &usize| network.positions()[*node];
    let (from_places, to_places): (Vec<_>, Vec<_>) =
        (froms.iter().map(place).collect(), tos.iter().map(place).collect());
    let table = network.many_to_many(&from_places, &to_places, 0);
    for (row, from) in froms.iter().enumerate() {
        let expected = plain.from(*from);
        let ahead = network.one_to_many(place(from), &to_places, 0);
        for (column, to) in tos.iter().enumerate() {
            assert_eq!(parts(&table[column][row]), expected[*to], "from {from} to {to}");
            assert_eq!(ahead[column], table[column][row], "from {from} to {to}");
        }
    }
    for (column, to) in to_places.iter().enumerate() {
        assert_eq!(network.many_to_one(&from_places, *to, 0), table[column]);
    }
}

/// A place of its own for each node, no three in line.
fn on_a_circle(node: u32, nodes: u32) -> Position {
    let angle = f64::from(node) / f64::from(nodes) * std::f64::consts::TAU;
    Position::from_degrees(12.9 + angle.sin() * 0.02, 77.6 + angle.cos() * 0.02).unwrap()
}

/// Whether `to` can be driven to from `from`, by following segments until nothing is new.
fn reaches(segments: &[Street], from: u32, to: u32) -> bool {
    let mut seen = vec![from];
    let mut at = 0;
    while let Some(node) = seen.get(at).copied() {
        at += 1;
        let next = segments.iter().filter(|s| s.from == node).map(|s| s.to);
        let new: Vec<u32> = next.filter(|to| !seen.contains(to)).collect();
        seen.extend(new);
        seen.dedup();
    }
    seen.contains(&to)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_small_network_equals_plain_dijkstra(
        nodes in 2_u32..14,
        drawn in prop::collection::vec((0_u32..14, 0_u32..14, 0_u32..400, 1_u32..40), 1..60),
    ) {
        let segments: Vec<Street> = drawn
            .into_iter()
            .map(|(from, to, metres, speed)| {
                let (length_m, speed_mps) = (f64::from(metres), f64::from(speed));
                Street::new(from % nodes, to % nodes, length_m, speed_mps).unwrap()
            })
            .collect();
        let together = |node: &u32, other: &u32| {
            reaches(&segments, *node, *other) && reaches(&segments, *other, *node)
        };
        let part_of = |node: u32| (0..nodes).filter(|other| together(&node, other)).count();
        let largest = (0..nodes).map(part_of).max().unwrap();
        let places = (0..nodes).map(|node| on_a_circle(node, nodes)).collect();
        let streets = Streets { nodes: places, segments, ..Streets::default() };
        let Ok(network) = RoadNetwork::build(&streets, |_, _| {}) else {
            prop_assert_eq!(largest, 1, "a part of two nodes or more is a network");
            return Ok(());
        };
        prop_assert_eq!(network.positions().len(), largest);
        let plain = Dijkstra::of(&network);
        let table = network.many_to_many(network.positions(), network.positions(), 0);
        for (to, froms) in table.iter().enumerate() {
            for (from, leg) in froms.iter().enumerate() {
                let expected = plain.from(from)[to];
                prop_assert_eq!(parts(leg), expected, "from {} to {}", from, to);
                prop_assert!(expected.is_some());
            }
        }
    }
}
