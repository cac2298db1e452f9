//! A shadow tells nobody: a seed with one goes as without.

use muster_sim::{Options, Tally, run, run_seed, shadow_of};

/// What happened to people, without what the shadow counted.
fn of_people(tally: &Tally) -> Vec<(&'static str, u64)> {
    let people = tally.iter().filter(|(what, _)| !what.starts_with("shadow: "));
    people.map(|(what, times)| (*what, *times)).collect()
}

#[test]
fn a_seed_with_a_shadow_has_the_trace_of_the_seed_without() {
    let (mut compared, mut same, mut skipped) = (0, 0, 0);
    let shadowed = (0..90).filter(|seed| shadow_of(*seed).is_some());
    for seed in shadowed {
        let (with, without) = (run_seed(seed, None, false), run(Options::drawn(seed)));
        assert_eq!(with.violation, None, "{}", with.reproduce());
        assert_eq!(with.trace_hash, without.trace_hash, "seed {seed}");
        assert_eq!((with.steps, with.simulated_ms), (without.steps, without.simulated_ms));
        assert_eq!(of_people(&with.tally), of_people(&without.tally), "seed {seed}");
        let times = |what| with.tally.get(what).copied().unwrap_or(0);
        compared += times("shadow: rides compared");
        same += times("shadow: rides with the same driver");
        skipped += times("shadow: rides not followed");
    }
    // Or the test would hold of a shadow that does nothing.
    assert!(compared > 50 && same > 20, "{compared} compared, {same} with the same driver");
    assert!(skipped > 0);
}
