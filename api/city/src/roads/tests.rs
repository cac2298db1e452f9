//! Tests of the network on the bundled streets.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::trips;

fn reachable(network: &RoadNetwork, start: NodeIndex) -> usize {
    let mut seen = HashSet::from([start]);
    let mut stack = vec![start];
    while let Some(node) = stack.pop() {
        for edge in network.leaving(node) {
            if seen.insert(edge.to) {
                stack.push(edge.to);
            }
        }
    }
    seen.len()
}

#[test]
fn every_node_of_manhattan_reaches_every_other_one() {
    let network = RoadNetwork::manhattan().unwrap();
    assert!(network.node_count() > 4_400, "{} nodes kept", network.node_count());
    for start in (0..network.node_count()).step_by(97) {
        assert_eq!(reachable(&network, start as NodeIndex), network.node_count());
    }
}

#[test]
fn one_way_streets_are_driven_one_way() {
    // A square of one-way streets, with a cul-de-sac that nobody could leave again.
    let points = [
        Point::new(40.750, -73.990),
        Point::new(40.751, -73.990),
        Point::new(40.751, -73.989),
        Point::new(40.750, -73.989),
        Point::new(40.752, -73.988),
    ];
    let segment = |from, to| Segment { from, to, length_m: 120.0, speed_kmh: 18.0 };
    let segments = [segment(0, 1), segment(1, 2), segment(2, 3), segment(3, 0), segment(2, 4)];
    let network = RoadNetwork::build(&points, &segments);
    assert_eq!(network.node_count(), 4, "the trap is not part of the network");
    let against = network.route(1, 0);
    assert_eq!(against.steps.iter().map(|step| step.to).collect::<Vec<_>>(), [2, 3, 0]);
    assert_eq!(network.route(0, 1).steps.len(), 1);
    assert!(network.route(2, 2).steps.is_empty());
}

#[test]
fn a_route_is_a_chain_of_edges_and_as_long_as_their_sum() {
    let network = RoadNetwork::manhattan().unwrap();
    let count = network.node_count() as NodeIndex;
    for (from, to) in (0..40).map(|i| (i * 101 % count, (i * 757 + 31) % count)) {
        let route = network.route(from, to);
        let (mut node, mut length_m, mut time_ms) = (from, 0.0, 0);
        for step in &route.steps {
            let edge = network
                .leaving(node)
                .iter()
                .find(|edge| edge.to == step.to && edge.time_ms == step.time_ms)
                .expect("each step is an edge in its own direction");
            length_m += f64::from(edge.length_m);
            time_ms += u64::from(edge.time_ms);
            node = step.to;
        }
        assert_eq!(node, to);
        assert!((route.length_m() - length_m).abs() < 1e-6);
        assert_eq!(route.time_ms(), time_ms);
    }
}

#[test]
fn routes_are_as_fast_as_an_exhaustive_search_says() {
    let network = RoadNetwork::manhattan().unwrap();
    let start = 17;
    let mut best: HashMap<NodeIndex, u64> = HashMap::from([(start, 0)]);
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let so_far = best[&node];
        for edge in network.leaving(node) {
            let candidate = so_far + u64::from(edge.time_ms);
            if best.get(&edge.to).is_none_or(|&known| candidate < known) {
                best.insert(edge.to, candidate);
                queue.push_back(edge.to);
            }
        }
    }
    for to in (0..network.node_count() as NodeIndex).step_by(61) {
        assert_eq!(network.route(start, to).time_ms(), best[&to]);
    }
}

#[test]
fn snapping_finds_the_nearest_node() {
    let network = RoadNetwork::manhattan().unwrap();
    for trip in trips::manhattan(1).unwrap().iter().step_by(800) {
        let (node, distance_m) = network.snap(trip.pickup);
        let nearest_m = (0..network.node_count() as NodeIndex)
            .map(|other| network.point(other).distance_m(trip.pickup))
            .fold(f64::INFINITY, f64::min);
        assert!((network.point(node).distance_m(trip.pickup) - nearest_m).abs() < 0.5);
        assert!((distance_m - nearest_m).abs() < 2.0);
    }
}

#[test]
fn trips_of_the_hour_drive_at_manhattan_speed() {
    let network = RoadNetwork::manhattan().unwrap();
    let (mut metres, mut hours) = (0.0, 0.0);
    for trip in trips::manhattan(1).unwrap().iter().step_by(40) {
        let route = network.route(network.snap(trip.pickup).0, network.snap(trip.dropoff).0);
        metres += route.length_m();
        hours += route.time_ms() as f64 / 3_600_000.0;
    }
    let mean_kmh = metres / 1_000.0 / hours;
    println!("mean speed {mean_kmh:.1} km/h");
    assert!((12.0..=21.0).contains(&mean_kmh), "{mean_kmh} km/h");
}
