//! What the engine's rules cost, without IO: positions, the grid, searches, offers.

#[path = "engine/fixture.rs"]
mod fixture;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use muster_engine::geo::Position;
use muster_engine::grid::{DriverStatus, Fix, FixLimits, Grid, NearbyQuery};
use muster_engine::ride::find_candidates;
use muster_engine::time::Timestamp;
use muster_engine::units::Meters;

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
    for (name, step) in [("apply_same_cell", WITHIN), ("apply_other_cell", BEYOND)] {
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
    criterion.bench_function("grid/place_on_cell_change", |bencher| {
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
}

fn searches(criterion: &mut Criterion) {
    for drivers in [10_000, 100_000] {
        let city = City::new(drivers);
        let mut group = criterion.benchmark_group(format!("{drivers}_drivers"));
        let mut turn = 0_u64;
        group.bench_function("nearest_10", |bencher| {
            bencher.iter(|| {
                turn += 1;
                let at = fixture::place(turn % 512);
                let query = NearbyQuery {
                    at,
                    radius: Meters::new(3_000.0),
                    limit: 10,
                    excluded_max: 32,
                    live_offers_max: 2,
                    now: Timestamp::default(),
                    explains: true,
                };
                black_box(city.grid.nearest(
                    &query,
                    |_| (),
                    |_, supply, _| supply.taken().map_or(Ok(()), |_| Err(())),
                ))
            });
        });
        group.bench_function("find_candidates_half_busy", |bencher| {
            bencher.iter(|| {
                turn += 1;
                black_box(find_candidates(&city.grid, &fixture::query(turn % 512, 3_000.0)))
            });
        });
        group.finish();
        let busy = City::all_busy(drivers);
        let mut group = criterion.benchmark_group(format!("{drivers}_drivers"));
        group.sample_size(20);
        group.bench_function("find_candidates_all_busy_3km", |bencher| {
            bencher.iter(|| {
                turn += 1;
                black_box(find_candidates(&busy.grid, &fixture::query(turn % 512, 3_000.0)))
            });
        });
        group.finish();
    }
}

fn offers(criterion: &mut Criterion) {
    let market = Arc::new(market());
    criterion.bench_function("offer_round_trip", |bencher| {
        bencher.iter_batched(
            || Round::new(&market),
            |mut round| {
                round.run();
                round
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, positions, placing, searches, offers);
criterion_main!(benches);
