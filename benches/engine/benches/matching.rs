//! What it takes to match a window: clustered riders and drivers, 20 candidates per request.
//!
//! Before each benchmark its instance is told: processor time, requests served, the duality gap, which is
//! 0 for an optimum, and what an auction makes of it.

#[path = "matching_auction/mod.rs"]
mod auction;
#[path = "processor/mod.rs"]
mod processor;
#[path = "results/mod.rs"]
mod results;

use std::hint::black_box;

use auction::auction;
use criterion::{Criterion, criterion_group, criterion_main};
use muster_engine::matching::{Pair, SparseProblem, solve};
use muster_figures::{Better, Suite, grouped};
use processor::timed;
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

/// The curve: as many requests with a fifth more drivers.
const CURVE: [usize; 6] = [500, 1_000, 2_000, 5_000, 20_000, 50_000];

/// Seconds that an auction may give up per request.
const EPSILONS_S: [i64; 3] = [1, 10, 60];

/// What one must know to read the figures.
const NOTES: [&str; 3] = [
    "Clustered requests and drivers, 20 candidates a request, one thread; each value is a run. The \
     duality gap is 0 in every row: each answer is optimal.",
    "Where drivers are scarce the auction is slower than the exact solver at any ε that loses less \
     than a second per request.",
    "Aimed at: 5,000 requests in less than 10 ms, 10,000 in 20 ms, and 350 ms where requests and drivers \
     are as many.",
];

/// Runs of each instance.
const RUNS: usize = 9;

#[expect(clippy::print_stdout, reason = "the quality of the answer is part of the result")]
fn told(requests: usize, drivers: usize, peers: bool, suite: &mut Suite) -> SparseProblem {
    let problem = City::new().problem(requests, drivers);
    let (took, solution) = timed(RUNS, || solve(&problem, u64::MAX));
    let path =
        format!("{} requests, {} drivers", grouped(requests as u64), grouped(drivers as u64));
    suite.add(&path, "muster", "ms", Better::Lower, &took.wall_ms);
    let gap_ms = solution.certificate.gap_ms(&problem, &solution.driver_of);
    let served = solution.driver_of.iter().flatten().count();
    suite.add(&path, "muster", "served", Better::Higher, &[served as f64]);
    println!(
        "{requests} x {drivers}: {took}; {served} served, {} pairs, {} looked at, duality gap {gap_ms:?} ms",
        problem.pair_count(),
        solution.steps
    );
    for epsilon_s in if peers { &EPSILONS_S[..] } else { &[] } {
        let (took, answer) = timed(1, || auction(&problem, epsilon_s * 1_000));
        let cost_ms = |driver_of: &[Option<u32>]| problem.cost_ms(driver_of);
        let ms = took.processor_ms;
        match answer {
            None => println!("  auction, epsilon {epsilon_s} s: given up after {ms:.0} ms"),
            Some(driver_of) => {
                let lost = cost_ms(&driver_of).zip(cost_ms(&solution.driver_of));
                let lost_s = lost.map_or(f64::NAN, |(own, best)| (own - best) as f64 / 1e3);
                let served = driver_of.iter().flatten().count();
                let who = format!("auction, ε {epsilon_s} s");
                suite.add(&path, &who, "ms", Better::Lower, &took.wall_ms);
                suite.add(&path, &who, "served", Better::Higher, &[served as f64]);
                let lost_each = lost_s / requests as f64;
                suite.add(&path, &who, "s lost per request", Better::Lower, &[lost_each]);
                println!(
                    "  auction, epsilon {epsilon_s} s: {ms:.0} ms, {served} served, {:.2} s lost \
                     per request",
                    lost_each
                );
            }
        }
    }
    problem
}

fn matching(criterion: &mut Criterion) {
    let command = "SAVE_FIGURES=1 cargo bench -p muster-engine-benches --bench matching";
    let mut suite = Suite::new("matching", "Windows matched to optimality", command);
    for requests in CURVE {
        told(requests, requests * 6 / 5, false, &mut suite);
    }
    let mut group = criterion.benchmark_group("matching");
    group.sample_size(10);
    for (requests, drivers) in SIZES {
        let problem = told(requests, drivers, true, &mut suite);
        group.bench_function(format!("{requests}x{drivers}"), |bencher| {
            bencher.iter(|| black_box(solve(black_box(&problem), u64::MAX)));
        });
    }
    group.finish();
    suite.notes.extend(NOTES.map(str::to_owned));
    results::save(&suite);
}

criterion_group!(benches, matching);
criterion_main!(benches);
