//! Three hundred seeds of faults: every invariant holds after every step, and faults really happen.

use std::sync::Mutex;

use muster_sim::{Report, Tally, run_many};

/// Seeds of one test run.
const SEEDS: u64 = 300;

/// Things that must have happened somewhere in the swarm, or it proves nothing.
const EXPECTED: [&str; 26] = [
    "accepts answered: lost",
    "accepts answered: won",
    "conflicts refused by the store",
    "fault: acknowledgement lost",
    "fault: call delayed",
    "fault: call dropped",
    "fault: call duplicated",
    "fault: commit failed",
    "fault: commit of a dead process",
    "fault: commit slow",
    "fault: crash after a commit",
    "fault: crash before a commit",
    "fault: driver went offline or came back",
    "fault: fix overtaken",
    "fault: fix stale or repeated",
    "fault: gps jumped",
    "fault: gps silent",
    "fault: machine panicked",
    "fault: message stalled",
    "fault: process killed",
    "fault: second session",
    "fault: socket dropped",
    "late accepts",
    "rides cancelled",
    "rides completed",
    "rides unfulfilled",
];

#[test]
fn no_seed_of_the_swarm_breaks_an_invariant() {
    let seen = Mutex::new((Tally::new(), Vec::<Report>::new()));
    run_many(0, SEEDS, 2, None, |report| {
        let mut seen = seen.lock().unwrap();
        for (what, count) in &report.tally {
            *seen.0.entry(what).or_insert(0) += count;
        }
        let passed = report.violation.is_none();
        if !passed {
            seen.1.push(report);
        }
        passed
    });
    let (tally, failed) = seen.into_inner().unwrap();
    if let Some(report) = failed.first() {
        let lines = report.trace.iter().rev().take(40).rev().cloned().collect::<Vec<_>>();
        let trace = lines.join("\n");
        panic!("{trace}\n{:?}\nrun it again: {}", report.violation, report.reproduce());
    }
    let missing: Vec<_> =
        EXPECTED.iter().filter(|what| tally.get(**what).is_none_or(|n| *n == 0)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}, of {tally:#?}");
}
