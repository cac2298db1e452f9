//! What it takes to match a window: clustered riders and drivers, 20 candidates per request.
//!
//! Before each benchmark its instance is solved once and told: requests served, the cost, and the
//! duality gap, which is 0 for an optimum.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use muster_engine::matching::{Pair, SparseProblem, solve};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Requests and drivers: two of plenty, one of scarcity, and the balanced one, which is the hardest.
const SIZES: [(usize, usize); 4] =
    [(5_000, 6_000), (10_000, 12_000), (10_000, 8_000), (10_000, 10_000)];

/// Nearest drivers per request.
const CANDIDATES: usize = 20;

/// What it costs to serve nobody.
const UNSERVED_MS: i64 = 3_600_000;

/// The city, in metres, and how many hot spots it has.
const CITY_M: (f64, f64) = (25_000.0, 39_000.0);
const SPOTS: usize = 40;

/// Metres on the way per second, by the straight line.
const SPEED_MPS: f64 = 4.2 / 1.3;

struct City {
    random: ChaCha8Rng,
    /// Where, and how wide.
    spots: Vec<((f64, f64), f64)>,
}

impl City {
    fn new() -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let spot = |_| {
            let place = (random.random::<f64>() * CITY_M.0, random.random::<f64>() * CITY_M.1);
            (place, 300.0 + random.random::<f64>() * 1_200.0)
        };
        let spots = (0..SPOTS).map(spot).collect();
        Self { random, spots }
    }

    /// Four of five are near a hot spot, the first spots more often than the last.
    fn place(&mut self) -> (f64, f64) {
        if self.random.random::<f64>() < 0.2 {
            return (
                self.random.random::<f64>() * CITY_M.0,
                self.random.random::<f64>() * CITY_M.1,
            );
        }
        let spot = (self.random.random::<f64>().powi(2) * SPOTS as f64) as usize;
        let (place, width) = self.spots[spot.min(SPOTS - 1)];
        (place.0 + self.normal() * width, place.1 + self.normal() * width)
    }

    fn normal(&mut self) -> f64 {
        let (one, other) = (self.random.random::<f64>(), self.random.random::<f64>());
        (-2.0 * one.max(f64::MIN_POSITIVE).ln()).sqrt() * (std::f64::consts::TAU * other).cos()
    }

    fn problem(&mut self, requests: usize, drivers: usize) -> SparseProblem {
        let places: Vec<(f64, f64)> = (0..drivers).map(|_| self.place()).collect();
        let mut problem = SparseProblem::new(drivers as u32);
        for _ in 0..requests {
            let pickup = self.place();
            let metres = |place: &(f64, f64)| (place.0 - pickup.0).hypot(place.1 - pickup.1);
            let mut nearest: Vec<(f64, u32)> = places.iter().map(metres).zip(0..).collect();
            nearest.select_nth_unstable_by(CANDIDATES - 1, |a, b| a.0.total_cmp(&b.0));
            nearest.truncate(CANDIDATES);
            nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
            let pairs: Vec<Pair> = nearest
                .into_iter()
                .map(|(metres, driver)| {
                    let noise = 0.95 + 0.1 * self.random.random::<f64>();
                    Pair { driver, cost_ms: (metres / SPEED_MPS * 1_000.0 * noise) as i64 }
                })
                .collect();
            problem.add_request(UNSERVED_MS, pairs);
        }
        problem
    }
}

#[expect(clippy::print_stdout, reason = "the quality of the answer is part of the result")]
fn matching(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("matching");
    group.sample_size(10);
    for (requests, drivers) in SIZES {
        let problem = City::new().problem(requests, drivers);
        let solution = solve(&problem, u64::MAX);
        let gap_ms = solution.certificate.gap_ms(&problem, &solution.driver_of);
        let served = solution.driver_of.iter().flatten().count();
        println!(
            "{requests} x {drivers}: {served} served, {} pairs looked at, duality gap {gap_ms:?} ms",
            solution.steps
        );
        group.bench_function(format!("{requests}x{drivers}"), |bencher| {
            bencher.iter(|| black_box(solve(black_box(&problem), u64::MAX)));
        });
    }
    group.finish();
}

criterion_group!(benches, matching);
criterion_main!(benches);
