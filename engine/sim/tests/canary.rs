//! If one seed does not lead to one trace, nothing else the simulator says counts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::process::Command;

use muster_sim::run_seed;

fn hash_in_another_process(seed: u64) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["canary", "--seed", &seed.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_seed_has_the_same_trace_in_every_process() {
    for seed in [1, 7, 42, 0xbeef] {
        let here = format!("{:016x}", run_seed(seed, None, false).trace_hash);
        assert_eq!(here, hash_in_another_process(seed), "seed {seed}");
        assert_eq!(here, hash_in_another_process(seed), "seed {seed}");
    }
}

#[test]
fn another_seed_has_another_trace() {
    assert_ne!(run_seed(1, None, false).trace_hash, run_seed(2, None, false).trace_hash);
}
