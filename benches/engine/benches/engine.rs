//! What the engine's rules cost, without IO: positions, the grid, searches, offers.

#[path = "engine/fixture.rs"]
mod fixture;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use muster_engine::geo::Position;
use muster_engine::grid::{DriverStatus, Fix, FixLimits, Grid, NearbyQuery, Supply};
use muster_engine::id::InlineDriverId;
use muster_engine::ride::find_candidates;
use muster_engine::time::Timestamp;
use muster_engine::units::Meters;
use muster_engine_benches::workload::Spread;

use fixture::{City, Round, limits, market, slot_at};

/// Step of latitude that stays within a cell, and one that leaves it.
const WITHIN: f64 = 0.000_001;
const BEYOND: f64 = 0.008;

fn moved(home: Position, step: f64, at: Timestamp) -> Fix {
    let position = Position::from_degrees(home.lat() + step, home.lng()).unwrap_or(home);
    Fix { position, at, accuracy_m: None, speed_mps: Some(7.0), bearing_deg: None }
}

fn positions(criterion: &mut Criterion) {
    let (market, limits) = (market(), limits());
    let home = fixture::place(7);
    let mut group = criterion.benchmark_group("position");
    for (name, step) in [("fix within a cell", WITHIN), ("fix into another cell", BEYOND)] {
        let slot = slot_at("d", home);
        let mut ms = 1_000_u64;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                ms += 1_000;
                let now = Timestamp::from_millis(ms);
                let fix = moved(home, step * (ms / 1_000 % 2) as f64, now);
                black_box(slot.apply(&fix, now, &limits, &market))
            });
        });
    }
    group.finish();
}

fn placing(criterion: &mut Criterion) {
    let (market, limits) = (market(), FixLimits { jump_m_min: 1e9, ..limits() });
    let grid = Grid::of(&market);
    let home = fixture::place(7);
    let slot = slot_at("d", home);
    let mut ms = 1_000_u64;
    let mut group = criterion.benchmark_group("grid");
    group.bench_function("move to another cell", |bencher| {
        bencher.iter_batched(
            || {
                ms += 1_000;
                let now = Timestamp::from_millis(ms);
                let fix = moved(home, BEYOND * (ms / 1_000 % 2) as f64, now);
                slot.apply(&fix, now, &limits, &market)
            },
            |_| black_box(grid.place(&slot, fixture::supply(DriverStatus::Available))),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// The nearest `limit` within a radius; of refused drivers 32 by name when it `explains`.
fn nearby(at: Position, radius_m: f64, limit: usize, explains: bool) -> NearbyQuery {
    NearbyQuery {
        at,
        radius: Meters::new(radius_m),
        limit,
        excluded_max: if explains { 32 } else { 0 },
        live_offers_max: 2,
        now: Timestamp::default(),
        explains,
    }
}

fn search(city: &City, query: &NearbyQuery) -> usize {
    let admit = |supply: &Supply| supply.taken().map_or(Ok(()), |_| Err(()));
    let near = city.grid.nearest::<InlineDriverId, _, _>(query, |_| (), |_, s, _| admit(s));
    black_box(near).found.len()
}

fn searches(criterion: &mut Criterion) {
    let sizes = [10_000, 100_000, 1_000_000];
    let spreads = [Spread::Clustered, Spread::Uniform];
    for (drivers, spread) in sizes.into_iter().flat_map(|d| spreads.map(|spread| (d, spread))) {
        let city = City::new(drivers, spread);
        let mut group = criterion.benchmark_group(format!("{drivers} drivers, {}", spread.name()));
        let mut turn = 0_u64;
        let mut next = || {
            turn += 1;
            fixture::place_of(spread, turn % 512)
        };
        group.bench_function("nearest 10 within 3 km", |bencher| {
            bencher.iter(|| search(&city, &nearby(next(), 3_000.0, 10, false)));
        });
        group.bench_function("nearest 10 within 3 km, explained", |bencher| {
            bencher.iter(|| search(&city, &nearby(next(), 3_000.0, 10, true)));
        });
        group.bench_function("everyone within 300 m", |bencher| {
            bencher.iter(|| search(&city, &nearby(next(), 300.0, usize::MAX, false)));
        });
        group.bench_function("candidates of a wave, half of the drivers busy", |bencher| {
            let mut wave = 0;
            bencher.iter(|| {
                wave += 1;
                let query = fixture::query(next(), 3_000.0, wave);
                black_box(find_candidates(&city.grid, &query))
            });
        });
        group.finish();
    }
}

fn scarcity(criterion: &mut Criterion) {
    for drivers in [10_000, 100_000] {
        let busy = City::all_busy(drivers);
        let mut group = criterion.benchmark_group(format!("{drivers} drivers, clustered"));
        group.sample_size(20);
        let mut turn = 0_u64;
        group.bench_function("candidates of a wave, everybody busy", |bencher| {
            bencher.iter(|| {
                turn += 1;
                let query = fixture::query(fixture::place(turn % 512), 3_000.0, turn);
                black_box(find_candidates(&busy.grid, &query))
            });
        });
        group.finish();
    }
}

fn offers(criterion: &mut Criterion) {
    let market = Arc::new(market());
    let mut group = criterion.benchmark_group("ride");
    group.bench_function("offer round trip", |bencher| {
        bencher.iter_batched(
            || Round::new(&market),
            |mut round| {
                round.run();
                round
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("wave planned from 30 candidates", |bencher| {
        bencher.iter_batched(
            || {
                let mut round = Round::choosing_among(&market, 30);
                let found = round.ask();
                (round, found)
            },
            |(mut round, found)| (round.plan(found), round),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, positions, placing, searches, scarcity, offers);
criterion_main!(benches);
