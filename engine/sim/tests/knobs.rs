//! Every policy key decides something: some day of the simulated city goes differently when the key,
//! and nothing else, has another value. A key that the engine ignores fails here by name, and so does
//! one that no test knows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;

use muster_engine::policy::{DispatchPolicy, PolicyPatch};
use muster_sim::{Options, run};
use serde_json::{Value, json};

/// Days that are tried per key.
const SEEDS_MAX: u64 = 60;

/// Keys that matter too rarely in the simulated city, or not to it, with the test of the engine that
/// fails when they are ignored.
const SEEN_ELSEWHERE: [(&str, &str, &str); 16] = [
    ("explained_max", "ride/ranking_tests.rs", "a_decision_keeps_the_order_and_the_terms"),
    ("favourites_first", "ride/ranking_tests.rs", "groups_come_in_their_order_before_all_scores"),
    ("go_home_gain_m", "ride/ranking_tests.rs", "groups_come_in_their_order_before_all_scores"),
    (
        "instant_attempts_max",
        "ride/instant_tests.rs",
        "no_more_drivers_are_tried_than_policy_allows",
    ),
    (
        "otp_attempts_window_ms",
        "driver/queueing_tests.rs",
        "wrong_passwords_count_for_a_while_and_only_for_that_while",
    ),
    (
        "priority_split",
        "policy/split.rs",
        "the_first_part_of_a_priority_split_is_for_carriers_alone",
    ),
    (
        "match_steps_max",
        "matching/problem_tests.rs",
        "a_window_that_runs_out_of_steps_is_matched_all_the_same",
    ),
    (
        "match_accept",
        "ride/collection_tests.rs",
        "match_accept_first_gives_the_ride_to_the_first_who_accepts",
    ),
    (
        "match_collect_ms",
        "ride/collection_tests.rs",
        "after_match_collect_ms_the_best_of_those_who_accepted_wins",
    ),
    (
        "pickup_eta_s_min",
        "matching/parallel_tests.rs",
        "pickup_eta_s_min_keeps_far_drivers_for_nearer_riders_where_drivers_are_scarce",
    ),
    (
        "pickup_eta_ample_permille",
        "matching/parallel_tests.rs",
        "pickup_eta_s_min_keeps_far_drivers_for_nearer_riders_where_drivers_are_scarce",
    ),
    (
        "pickup_eta_scarce_permille",
        "matching/parallel_tests.rs",
        "pickup_eta_s_min_keeps_far_drivers_for_nearer_riders_where_drivers_are_scarce",
    ),
    ("reallocations_lost_max", "ride/attempts_tests.rs", "every_cause_has_its_own_limit"),
    ("reallocations_operator_max", "ride/attempts_tests.rs", "every_cause_has_its_own_limit"),
    ("stats_window_ms", "driver/stats_tests.rs", "stats_window_ms_says_how_far_back_ratios_look"),
    ("weight_rides", "ride/ranking_tests.rs", "weight_rides_prefers_who_drives_much"),
];

/// Other values of a key, as far as its kind tells; the policy says which of them it allows.
fn others(key: &str, value: &Value) -> Vec<Value> {
    match (key, value) {
        ("mode", _) => ["broadcast", "sequential", "quotes", "instant", "queue", "otp", "batched"]
            .map(|mode| json!(mode))
            .to_vec(),
        ("match_accept", _) => {
            ["first_accept", "best_of_acceptors"].map(|name| json!(name)).to_vec()
        }
        ("ranking", _) => ["nearest", "score", "random"].map(|name| json!(name)).to_vec(),
        ("priority_tags", _) => vec![json!(["pet_friendly"]), json!(["wheelchair"]), json!([])],
        (_, Value::Bool(flag)) => vec![json!(!flag)],
        (_, Value::Array(_)) => vec![json!([1, 2]), json!([3]), json!([])],
        (_, Value::Number(number)) if number.is_u64() => {
            let now = number.as_u64().unwrap();
            let beyond = [now * 10 + 1_000, now * 3 + 1, now + 1, now / 3, now / 10, 1, 0];
            beyond.map(|other| json!(other)).to_vec()
        }
        (_, Value::Number(number)) => {
            let now = number.as_f64().unwrap();
            vec![json!(now * 2.0), json!(now / 2.0), json!(1.0)]
        }
        (key, value) => panic!("no other value of {key} = {value} is known"),
    }
}

/// The policy with another value of one key, where that is allowed.
fn with(policy: &DispatchPolicy, key: &str, value: &Value) -> Option<DispatchPolicy> {
    // A patch sets the key and nothing else: a float that went through JSON may differ.
    let patch: PolicyPatch = serde_json::from_value(json!({ key: value })).ok()?;
    let mut changed = policy.clone();
    changed.apply(&patch);
    changed.validated().ok().filter(|changed| changed != policy)
}

fn hash_of(day: &Options, policy: DispatchPolicy) -> u64 {
    run(Options { policy, ..day.clone() }).trace_hash
}

/// Whether a day goes differently with some other value of the key.
fn decides(key: &str, days: &mut BTreeMap<u64, (Options, u64)>) -> bool {
    (0..SEEDS_MAX).any(|seed| {
        let (day, hash) = days.entry(seed).or_insert_with(|| {
            let day = Options::drawn(seed);
            let hash = hash_of(&day, day.policy.clone());
            (day, hash)
        });
        let json = serde_json::to_value(&day.policy).unwrap();
        let others = others(key, &json[key]);
        let changed = others.iter().filter_map(|other| with(&day.policy, key, other));
        changed.into_iter().any(|policy| hash_of(day, policy) != *hash)
    })
}

/// Those of the keys that no day goes differently with.
fn ignored<'k>(keys: &[&'k str]) -> Vec<&'k str> {
    let mut days = BTreeMap::new();
    keys.iter().copied().filter(|key| !decides(key, &mut days)).collect()
}

#[test]
fn every_policy_key_decides_something() {
    let elsewhere = |name: &str| SEEN_ELSEWHERE.iter().any(|(key, ..)| *key == name);
    let keys = DispatchPolicy::KEYS.iter().map(|key| key.name).filter(|key| !elsewhere(key));
    let (even, odd): (Vec<_>, Vec<_>) = keys.enumerate().partition(|(at, _)| at % 2 == 0);
    let [even, odd] =
        [even, odd].map(|half| half.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
    let ignored = std::thread::scope(|scope| {
        let odd = scope.spawn(|| ignored(&odd));
        let mut all = ignored(&even);
        all.extend(odd.join().unwrap());
        all
    });
    assert_eq!(ignored, [""; 0], "no day of {SEEDS_MAX} goes differently with them");
}

#[test]
fn keys_that_the_city_does_not_show_have_a_test_of_their_own() {
    for (key, file, test) in SEEN_ELSEWHERE {
        assert!(DispatchPolicy::KEYS.iter().any(|known| known.name == key), "{key} is no key");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../src").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, body) = text.split_once(&format!("fn {test}()")).unwrap();
        let body = body.split("#[test]").next().unwrap();
        assert!(body.contains(key), "{test} of {file} does not set {key}");
    }
}
