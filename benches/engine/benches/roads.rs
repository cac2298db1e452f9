//! Travel times on Manhattan's streets: building, drivers to a pickup, tables, and what plain Dijkstra
//! would need.

#![expect(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

#[path = "../../../engine/tests/roads/dijkstra.rs"]
mod dijkstra;
#[path = "processor/mod.rs"]
mod processor;
#[path = "results/mod.rs"]
mod results;

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dijkstra::Dijkstra;
use muster_engine::geo::Position;
use muster_engine::roads::{RoadNetwork, Street, Streets};
use muster_figures::{Better, Suite};
use processor::timed;

/// What one must know to read the figures.
const NOTES: [&str; 3] = [
    "All of Manhattan, 4,588 nodes, one thread. Building takes less than 2 s and 200 drivers to a pickup \
     p99 less than 0.5 ms, that is aimed at.",
    "Equal to plain Dijkstra on 10,000 random ways: `cargo test -p muster-engine --test roads`. Beside \
     OSRM: [docs/roads.md](../../docs/roads.md#beside-osrm).",
    "The figures named `roads: …` are criterion's: the 95 % confidence interval of the median, put in by \
     `figures import-criterion roads roads`.",
];

const NODES: &[u8] = include_bytes!("../../../api/city/data/manhattan_drive_nodes.csv.zst");
const EDGES: &[u8] = include_bytes!("../../../api/city/data/manhattan_drive_edges.csv.zst");

/// Metres per second on all streets: what is measured does not depend on them.
const SPEED_MPS: f64 = 5.0;

fn rows(packed: &[u8]) -> Vec<csv::StringRecord> {
    let text = zstd::decode_all(packed).unwrap();
    csv::Reader::from_reader(text.as_slice()).records().map(Result::unwrap).collect()
}

fn streets() -> Streets {
    let mut streets = Streets::default();
    let mut numbers = BTreeMap::new();
    for row in rows(NODES) {
        let (lat, lng) = (row[1].parse().unwrap(), row[2].parse().unwrap());
        numbers.insert(row[0].to_owned(), streets.nodes.len() as u32);
        streets.nodes.push(Position::from_degrees(lat, lng).unwrap());
    }
    for row in rows(EDGES) {
        let ends = (numbers.get(&row[0]), numbers.get(&row[1]));
        if let (Some(from), Some(to)) = ends {
            let length_m = row[2].parse().unwrap();
            streets.segments.push(Street::new(*from, *to, length_m, SPEED_MPS).unwrap());
        }
    }
    streets
}

/// Places spread over the streets, off their nodes.
fn places(network: &RoadNetwork, count: usize, offset: usize) -> Vec<Position> {
    let nodes = network.positions();
    let place = |i: usize| {
        let node = nodes[(i * 7_919 + offset) % nodes.len()];
        Position::from_degrees(node.lat() + 3e-5, node.lng() - 4e-5).unwrap()
    };
    (0..count).map(place).collect()
}

#[expect(clippy::print_stdout, reason = "processor time is part of the result")]
fn roads(criterion: &mut Criterion) {
    let streets = streets();
    let (took, network) = timed(3, || RoadNetwork::build(&streets, |_, _| {}).unwrap());
    println!("build of {} nodes: {took}", network.positions().len());
    let command = "SAVE_FIGURES=1 cargo bench -p muster-engine-benches --bench roads";
    let mut suite = Suite::new("roads", "Travel times by the streets", command);
    suite.add("building the network", "muster", "ms", Better::Lower, &took.wall_ms);
    let (drivers, pickups) = (places(&network, 200, 0), places(&network, 2_000, 1_234));
    let mut next = pickups.iter().cycle();
    let (took, _) = timed(2_000, || network.many_to_one(&drivers, *next.next().unwrap(), 17));
    println!("200 drivers to a pickup, 2,000 times: {took}");
    for (unit, share) in [("p50 ms", 0.5), ("p99 ms", 0.99)] {
        suite.add("200 drivers to a pickup", "muster", unit, Better::Lower, &[took.wall_ms(share)]);
    }
    let mut group = criterion.benchmark_group("roads");
    group.sample_size(10);
    group.bench_function("build_manhattan", |bencher| {
        bencher.iter(|| RoadNetwork::build(&streets, |_, _| {}).unwrap());
    });
    let bytes = network.to_bytes();
    group.bench_function("read_manhattan", |bencher| {
        bencher.iter(|| RoadNetwork::from_bytes(&bytes).unwrap());
    });
    group.sample_size(100);
    let (drivers, pickups) = (places(&network, 200, 0), places(&network, 64, 1_234));
    let mut next = pickups.iter().cycle();
    group.bench_function("200_drivers_to_a_pickup", |bencher| {
        bencher.iter(|| network.many_to_one(&drivers, *next.next().unwrap(), black_box(17)));
    });
    group.bench_function("20_drivers_to_a_pickup", |bencher| {
        bencher.iter(|| network.many_to_one(&drivers[..20], *next.next().unwrap(), 17));
    });
    group.bench_function("1_driver_to_a_pickup", |bencher| {
        bencher.iter(|| network.many_to_one(&drivers[..1], *next.next().unwrap(), 17));
    });
    group.bench_function("200_drivers_to_64_pickups", |bencher| {
        bencher.iter(|| network.many_to_many(&drivers, &pickups, 17));
    });
    let plain = Dijkstra::of(&network);
    let mut from = (0..network.positions().len()).cycle().step_by(97);
    group.bench_function("plain_dijkstra_from_a_node", |bencher| {
        bencher.iter(|| plain.from(from.next().unwrap()));
    });
    group.finish();
    suite.notes.extend(NOTES.map(str::to_owned));
    results::save(&suite);
}

criterion_group!(benches, roads);
criterion_main!(benches);
