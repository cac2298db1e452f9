//! Runs seeds and tells what happened.

use std::sync::atomic::{AtomicU64, Ordering};

use muster_engine::policy::DispatchPolicy;

use crate::oracle::Violation;
use crate::sabotage::Sabotage;
use crate::swarm::{Options, shadow_of};
use crate::world::{Tally, World};

/// What one seed led to.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Steps taken.
    pub steps: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// Hash of the whole trace.
    pub trace_hash: u64,
    /// How often things happened: faults by kind, rides by outcome.
    pub tally: Tally,
    /// The first invariant that broke.
    pub violation: Option<Violation>,
    /// The newest lines of the trace, or all of them.
    pub trace: Vec<String>,
}

impl Report {
    /// The command that runs this seed again.
    pub fn reproduce(&self) -> String {
        format!("cargo run -p muster-sim -- run --seed 0x{:x} --trace", self.seed)
    }
}

/// Runs a city to its end or to the first violation.
pub fn run(options: Options) -> Report {
    run_beside(options, None)
}

fn run_beside(options: Options, shadow: Option<DispatchPolicy>) -> Report {
    let seed = options.seed;
    let mut world = World::new(options);
    if let Some(policy) = shadow {
        world.shadow(policy);
    }
    world.run();
    report(seed, world)
}

/// Runs the swarm's draw for `seed`, with its shadow if it has one.
pub fn run_seed(seed: u64, sabotage: Option<Sabotage>, whole_trace: bool) -> Report {
    run_beside(Options { sabotage, whole_trace, ..Options::drawn(seed) }, shadow_of(seed))
}

fn report(seed: u64, mut world: World) -> Report {
    let outcomes: Vec<&'static str> = world
        .store
        .newest_rides()
        .map(|ride| match ride.status {
            muster_engine::ride::RideStatus::Completed => "rides completed",
            muster_engine::ride::RideStatus::Cancelled => "rides cancelled",
            muster_engine::ride::RideStatus::Unfulfilled => "rides unfulfilled",
            muster_engine::ride::RideStatus::Scheduled
            | muster_engine::ride::RideStatus::Searching
            | muster_engine::ride::RideStatus::Assigned
            | muster_engine::ride::RideStatus::Arrived
            | muster_engine::ride::RideStatus::InProgress => "rides still open",
        })
        .collect();
    for outcome in outcomes {
        world.count(outcome);
    }
    Report {
        seed,
        steps: world.steps,
        simulated_ms: world.elapsed_ms(),
        trace_hash: world.trace.hash(),
        violation: world.violation,
        tally: world.tally,
        trace: world.trace.into_lines(),
    }
}

/// Runs seeds `from..from + count` on `threads` threads; `each` sees every report as it comes, from
/// any of the threads. Seeds are taken in order, so the first failing one is soon known.
pub fn run_many(
    from: u64,
    count: u64,
    threads: usize,
    sabotage: Option<Sabotage>,
    each: impl Fn(Report) -> bool + Sync,
) {
    let (next, stop) = (AtomicU64::new(0), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let offset = next.fetch_add(1, Ordering::Relaxed);
                    if offset >= count {
                        break;
                    }
                    if !each(run_seed(from + offset, sabotage, false)) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
}
