//! Which policy holds: every search has exactly one, and the most specific rule sets each key.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use muster_engine::id::RideId;
use muster_engine::policy::{
    AttemptKind, BookError, DispatchMode, DispatchPolicy, Experiment, ExperimentArm, PolicyBook,
    PolicyContext, PolicyPatch, PolicyRule, Resolution, RuleMatch, TimeWindow,
};
use muster_engine::time::Timestamp;
use proptest::prelude::*;

fn size(wave_size: u32) -> PolicyPatch {
    PolicyPatch { wave_size: Some(wave_size), ..PolicyPatch::default() }
}

fn rule(name: &str, when: RuleMatch, set: PolicyPatch) -> PolicyRule {
    PolicyRule { name: name.to_owned(), when, set }
}

fn book(rules: Vec<PolicyRule>) -> PolicyBook {
    PolicyBook::new(3, DispatchPolicy::default(), rules, None, 0).unwrap()
}

fn ride(name: &str) -> RideId {
    RideId::new(name).unwrap()
}

fn context<'a>(ride: &'a RideId) -> PolicyContext<'a> {
    PolicyContext {
        ride,
        service_tiers: vec!["standard"],
        category: None,
        pickup_zones: Vec::new(),
        drop_zones: Vec::new(),
        distance_m: 0,
        at: Timestamp::default(),
        attempt: AttemptKind::Initial,
    }
}

#[test]
fn the_most_specific_rule_sets_a_key_and_the_others_set_the_rest() {
    let tier = || Some("standard".to_owned());
    let by_tier = RuleMatch { service_tier: tier(), ..RuleMatch::default() };
    let by_both = RuleMatch {
        service_tier: tier(),
        category: Some("rental".to_owned()),
        ..RuleMatch::default()
    };
    let both = PolicyPatch { wave_size: Some(7), ..PolicyPatch::default() };
    let tier = PolicyPatch { offer_ttl_ms: Some(20_000), ..size(5) };
    let book = book(vec![rule("both", by_both, both), rule("tier", by_tier, tier)]);
    let ride = ride("r");
    let plain = book.resolve(&context(&ride));
    assert_eq!((plain.policy.wave_size, plain.policy.offer_ttl_ms), (5, 20_000));
    let rental = book.resolve(&PolicyContext { category: Some("rental"), ..context(&ride) });
    assert_eq!((rental.policy.wave_size, rental.policy.offer_ttl_ms), (7, 20_000));
    assert_eq!(rental.rules, ["tier", "both"]);
    assert_eq!((rental.version, rental.arm), (3, None));
    let other = PolicyContext { service_tiers: vec!["xl"], ..context(&ride) };
    assert_eq!(*book.resolve(&other).policy, DispatchPolicy::default());
}

#[test]
fn each_part_of_the_context_is_matched() {
    let ride = ride("r");
    let zone = || Some("airport".to_owned());
    let attempt = Some(AttemptKind::Reallocation);
    let none = RuleMatch::default;
    let cases = [
        (
            RuleMatch { pickup_zone: zone(), ..none() },
            PolicyContext { pickup_zones: vec!["airport"], ..context(&ride) },
        ),
        (
            RuleMatch { drop_zone: zone(), ..none() },
            PolicyContext { drop_zones: vec!["airport"], ..context(&ride) },
        ),
        (
            RuleMatch { distance_m_min: Some(5_000), ..none() },
            PolicyContext { distance_m: 5_000, ..context(&ride) },
        ),
        (
            RuleMatch { attempt, ..none() },
            PolicyContext { attempt: AttemptKind::Reallocation, ..context(&ride) },
        ),
    ];
    for (when, matching) in cases {
        let book = book(vec![rule("one", when, size(9))]);
        assert_eq!(book.resolve(&matching).policy.wave_size, 9, "{matching:?}");
        assert_eq!(book.resolve(&context(&ride)).policy.wave_size, 3, "{matching:?}");
    }
}

#[test]
fn of_several_distance_bands_the_farthest_that_is_reached_holds() {
    let from = |metres| RuleMatch { distance_m_min: Some(metres), ..RuleMatch::default() };
    let book =
        book(vec![rule("long", from(20_000), size(9)), rule("middle", from(5_000), size(5))]);
    let ride = ride("r");
    let size_at =
        |distance_m| book.resolve(&PolicyContext { distance_m, ..context(&ride) }).policy.wave_size;
    assert_eq!([4_999, 5_000, 19_999, 20_000].map(size_at), [3, 5, 5, 9]);
}

#[test]
fn a_time_window_is_local_and_may_span_midnight() {
    let night = TimeWindow { from_min: 22 * 60, to_min: 5 * 60 };
    let when = RuleMatch { time: Some(night), ..RuleMatch::default() };
    let rules = vec![rule("night", when, size(9))];
    // New York in winter: five hours behind.
    let book = PolicyBook::new(1, DispatchPolicy::default(), rules, None, -300).unwrap();
    let ride = ride("r");
    let size_at = |utc_hour: u64, minute: u64| {
        let at = Timestamp::from_millis((utc_hour * 60 + minute) * 60_000);
        book.resolve(&PolicyContext { at, ..context(&ride) }).policy.wave_size
    };
    assert_eq!(size_at(26, 59), 3, "21:59 in New York");
    assert_eq!(size_at(27, 0), 9, "22:00");
    assert_eq!(size_at(33, 59), 9, "04:59");
    assert_eq!(size_at(34, 0), 3, "05:00");
}

#[test]
fn rules_that_meet_never_leave_a_search_without_a_valid_policy() {
    let far = PolicyPatch { search_radius_m_min: Some(9_000), ..PolicyPatch::default() };
    let near = PolicyPatch { search_radius_m_max: Some(2_000), ..PolicyPatch::default() };
    let long = RuleMatch { distance_m_min: Some(1), ..RuleMatch::default() };
    let book = book(vec![rule("near", RuleMatch::default(), near), rule("far", long, far)]);
    let ride = ride("r");
    let both = book.resolve(&PolicyContext { distance_m: 1, ..context(&ride) });
    assert_eq!((both.policy.search_radius_m_min, both.policy.search_radius_m_max), (9_000, 9_000));
}

#[test]
fn an_arm_is_drawn_by_the_ride_alone_and_by_weight() {
    let arm = |name: &str, weight, wave_size| ExperimentArm {
        name: name.to_owned(),
        weight,
        set: size(wave_size),
    };
    let arms = vec![arm("three", 3, 3), arm("five", 1, 5)];
    let experiment = Experiment { name: "waves".to_owned(), arms };
    let book =
        PolicyBook::new(1, DispatchPolicy::default(), Vec::new(), Some(experiment), 0).unwrap();
    let mut five = 0;
    for number in 0..4_000 {
        let ride = ride(&format!("ride-{number}"));
        let first = book.resolve(&context(&ride));
        let again = PolicyContext { attempt: AttemptKind::Retry, ..context(&ride) };
        assert_eq!(book.resolve(&again).arm, first.arm, "for all attempts of a ride");
        let expected = if first.arm.as_deref() == Some("waves/five") { 5 } else { 3 };
        assert_eq!(first.policy.wave_size, expected);
        five += usize::from(expected == 5);
    }
    assert!((900..1_100).contains(&five), "{five} of 4000");
    // The hash is part of the contract: a ride stays in its arm over releases.
    let arms: Vec<_> = (0..6)
        .map(|n| book.resolve(&context(&ride(&format!("golden-{n}")))).arm.unwrap())
        .collect();
    let golden = ["three", "five", "three", "three", "five", "five"];
    let golden = golden.map(|arm| format!("waves/{arm}"));
    assert_eq!(arms, golden);
}

#[test]
fn what_cannot_hold_is_refused_with_its_place() {
    let refused = |rules, experiment, offset| {
        let base = DispatchPolicy::default();
        PolicyBook::new(1, base, rules, experiment, offset).unwrap_err().to_string()
    };
    let all = RuleMatch::default;
    let text = refused(vec![rule("a", all(), size(0))], None, 0);
    assert_eq!(text, "rule a: wave_size is 0, allowed is 1..=100");
    let text = refused(vec![rule("a", all(), PolicyPatch::default())], None, 0);
    assert_eq!(text, "rule a is without anything to set");
    let text = refused(vec![rule("a", all(), size(1)), rule("a", all(), size(2))], None, 0);
    assert_eq!(text, "rule a is there twice");
    let time = Some(TimeWindow { from_min: 5, to_min: 5 });
    let text = refused(vec![rule("a", RuleMatch { time, ..all() }, size(1))], None, 0);
    assert_eq!(text, "rule a is bound to a time window outside 0..1440 minutes");
    let idle = Experiment { name: "x".to_owned(), arms: Vec::new() };
    assert_eq!(refused(vec![], Some(idle), 0), "experiment x is without an arm that has weight");
    assert!(refused(vec![], None, 2_000).contains("utc_offset_min"));
    let base = DispatchPolicy { wave_size: 0, ..DispatchPolicy::default() };
    let error = PolicyBook::new(1, base, vec![], None, 0).unwrap_err();
    assert!(matches!(error, BookError::Value { .. }));
}

fn any_patch() -> impl Strategy<Value = PolicyPatch> {
    let mode = prop_oneof![Just(DispatchMode::Broadcast), Just(DispatchMode::Sequential)];
    (
        proptest::option::of(mode),
        proptest::option::of(50_u32..=100_000),
        proptest::option::of(50_u32..=100_000),
        proptest::option::of(1_u32..=100),
        proptest::option::of(1_000_u64..=600_000),
        proptest::option::of(1_000_u64..=86_400_000),
    )
        .prop_map(|(mode, min, max, wave_size, ttl, limit)| PolicyPatch {
            mode,
            search_radius_m_min: min,
            search_radius_m_max: max,
            wave_size,
            offer_ttl_ms: ttl,
            search_limit_ms: limit,
            otp_required: Some(false),
            ..PolicyPatch::default()
        })
}

fn any_match() -> impl Strategy<Value = RuleMatch> {
    let name = || proptest::option::of(prop_oneof![Just("a".to_owned()), Just("b".to_owned())]);
    let minute = || 0_u16..1_440;
    let window = (minute(), minute())
        .prop_filter("not empty", |(from, to)| from != to && *to > 0)
        .prop_map(|(from_min, to_min)| TimeWindow { from_min, to_min });
    (
        name(),
        name(),
        name(),
        name(),
        proptest::option::of(0_u32..20_000),
        proptest::option::of(window),
        proptest::option::of(any_attempt()),
    )
        .prop_map(
            |(service_tier, category, pickup_zone, drop_zone, distance_m_min, time, attempt)| {
                RuleMatch {
                    service_tier,
                    category,
                    pickup_zone,
                    drop_zone,
                    distance_m_min,
                    time,
                    attempt,
                }
            },
        )
}

fn any_attempt() -> impl Strategy<Value = AttemptKind> {
    prop_oneof![
        Just(AttemptKind::Initial),
        Just(AttemptKind::Retry),
        Just(AttemptKind::Reallocation),
        Just(AttemptKind::Scheduled),
    ]
}

proptest! {
    /// Total: every context has a policy, and a valid one. Deterministic: the same one, whatever
    /// the order of equally named rules was written in.
    #[test]
    fn resolution_is_total_and_deterministic(
        rules in proptest::collection::vec((any_match(), any_patch()), 0..8),
        tier in prop_oneof![Just("a"), Just("b"), Just("c")],
        category in proptest::option::of(prop_oneof![Just("a"), Just("b")]),
        zones in proptest::collection::vec(prop_oneof![Just("a"), Just("b")], 0..2),
        distance_m in 0_u32..30_000,
        at_ms in 0_u64..200_000_000,
        attempt in any_attempt(),
        offset in -1_440_i32..1_440,
    ) {
        let named = |(number, (when, set)): (usize, (RuleMatch, PolicyPatch))| {
            rule(&format!("rule-{number}"), when, set)
        };
        let rules: Vec<PolicyRule> = rules.into_iter().enumerate().map(named).collect();
        let build = |rules| PolicyBook::new(1, DispatchPolicy::default(), rules, None, offset);
        let book = build(rules.clone()).unwrap();
        let ride = ride("r");
        let context = PolicyContext {
            ride: &ride,
            service_tiers: vec![tier],
            category,
            pickup_zones: zones.clone(),
            drop_zones: zones,
            distance_m,
            at: Timestamp::from_millis(at_ms),
            attempt,
        };
        let resolved: Resolution = book.resolve(&context);
        prop_assert!(DispatchPolicy::clone(&resolved.policy).validated().is_ok());
        prop_assert_eq!(&build(rules).unwrap().resolve(&context), &resolved);
        let held = book.rules().iter().filter(|rule| resolved.rules.contains(&rule.name));
        // The last rule that sets a key is the one that holds.
        let wanted = held.filter_map(|rule| rule.set.wave_size).next_back().unwrap_or(3);
        prop_assert_eq!(resolved.policy.wave_size, wanted);
    }
}
