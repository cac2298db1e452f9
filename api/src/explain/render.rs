//! An explanation as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

/// Drivers left out that are named per reason.
const EXAMPLES_MAX: usize = 3;

/// What `GET /v1/rides/{id}/explain` answers, as far as it is printed.
#[derive(Debug, Deserialize)]
pub(super) struct Explanation {
    ride_id: String,
    status: String,
    attempts: Vec<Attempt>,
    counts: BTreeMap<String, u32>,
    #[serde(default)]
    shadow: Option<Shadow>,
}

#[derive(Debug, Deserialize)]
struct Shadow {
    mode: String,
    shadow: ShadowSide,
}

#[derive(Debug, Deserialize)]
struct ShadowSide {
    end: String,
    driver_id: Option<String>,
    pickup_eta_s: Option<u32>,
    decided_after_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    attempt: u32,
    policy: Policy,
    waves: Vec<Wave>,
}

#[derive(Debug, Deserialize)]
struct Policy {
    mode: String,
    attempt: String,
    version: u64,
    rules: Vec<String>,
    arm: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Wave {
    wave: u32,
    at: String,
    radius_m: u32,
    candidates: Vec<Candidate>,
    counts: BTreeMap<String, u32>,
    #[serde(default)]
    window: Option<Window>,
}

#[derive(Debug, Deserialize)]
struct Window {
    number: u64,
    requests: u32,
    drivers: u32,
    served: u32,
    optimal: bool,
    gap_ms: i64,
    #[serde(default)]
    pickup_eta_cap_s: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct Candidate {
    driver_id: String,
    stage: String,
    reason: Option<String>,
    distance_m: f64,
    pickup_eta_s: Option<u32>,
    eta_source: Option<String>,
    service_tier: Option<String>,
    #[serde(default)]
    forward: bool,
}

/// The explanation, a line per fact, ending in a line feed.
pub(super) fn render(explanation: &Explanation) -> String {
    let mut out = String::new();
    line(&mut out, format_args!("ride {}: {}", explanation.ride_id, explanation.status));
    for attempt in &explanation.attempts {
        line(&mut out, format_args!(""));
        line(&mut out, format_args!("attempt {}: {}", attempt.attempt, policy(&attempt.policy)));
        attempt.waves.iter().for_each(|look| wave(&mut out, look));
    }
    line(&mut out, format_args!(""));
    match explanation.attempts.is_empty() {
        true => line(&mut out, format_args!("it has not looked for drivers yet")),
        false => line(&mut out, format_args!("left out in all: {}", counted(&explanation.counts))),
    }
    if let Some(shadow) = &explanation.shadow {
        line(&mut out, format_args!("a shadow, {}: {}", shadow.mode, decided(&shadow.shadow)));
    }
    out
}

fn decided(side: &ShadowSide) -> String {
    let ShadowSide { end, driver_id, pickup_eta_s, decided_after_ms } = side;
    let driver = driver_id.as_ref().map(|driver| format!(" by {driver}"));
    let eta = pickup_eta_s.map(|eta_s| format!(", pickup in {eta_s} s"));
    let after = decided_after_ms.map(|ms| format!(", decided after {ms} ms"));
    [driver, eta, after].into_iter().flatten().fold(end.clone(), |text, part| text + &part)
}

fn policy(policy: &Policy) -> String {
    let rules = match policy.rules.is_empty() {
        true => "no rules".to_owned(),
        false => format!("rules {}", policy.rules.join(" < ")),
    };
    let arm = policy.arm.as_ref().map_or("no experiment".to_owned(), |arm| format!("arm {arm}"));
    format!(
        "{}, {}, policy version {}, {rules}, {arm}",
        policy.attempt, policy.mode, policy.version
    )
}

fn wave(out: &mut String, wave: &Wave) {
    let came = |stage: &'static str| {
        wave.candidates.iter().filter(move |candidate| candidate.stage == stage)
    };
    let offered = came("offered");
    let left_out: u32 = wave.counts.values().sum();
    line(
        out,
        format_args!(
            "  wave {} at {}, within {} m: {} offered, {left_out} left out",
            wave.wave,
            wave.at,
            wave.radius_m,
            offered.clone().count(),
        ),
    );
    if let Some(window) = &wave.window {
        line(out, format_args!("    {}", matched_in(window)));
    }
    for candidate in offered {
        let tier = candidate.service_tier.as_deref().unwrap_or("-");
        let after = if candidate.forward { ", after his present ride" } else { "" };
        line(out, format_args!("    offered   {}, {tier}{after}", place(candidate)));
    }
    for candidate in came("ranked") {
        line(out, format_args!("    passed    {}", place(candidate)));
    }
    for (reason, count) in &wave.counts {
        let of_reason = |c: &&Candidate| c.reason.as_ref() == Some(reason);
        let nearest = wave.candidates.iter().filter(of_reason).take(EXAMPLES_MAX).map(place);
        let nearest: Vec<String> = nearest.collect();
        let examples = match nearest.is_empty() {
            true => String::new(),
            false => format!(", nearest: {}", nearest.join("; ")),
        };
        line(out, format_args!("    left out  {count} {reason}{examples}"));
    }
}

fn matched_in(window: &Window) -> String {
    let Window { number, requests, drivers, served, .. } = window;
    let quality = match window.optimal {
        true => "optimal".to_owned(),
        false => format!("within {} ms of optimal", window.gap_ms),
    };
    let cap = window.pickup_eta_cap_s;
    let cap = cap.map_or(String::new(), |cap_s| format!(", pickups within {cap_s} s"));
    format!(
        "window {number}: {served} of {requests} requests matched, {drivers} drivers, \
         {quality}{cap}"
    )
}

fn place(candidate: &Candidate) -> String {
    let by = match candidate.eta_source.as_deref() {
        None | Some("great_circle") => String::new(),
        Some(source) => format!(" by {source}"),
    };
    let eta = candidate.pickup_eta_s.map_or(String::new(), |s| format!(", {s} s{by}"));
    format!("{} {:.0} m{eta}", candidate.driver_id, candidate.distance_m)
}

/// The most frequent reasons first.
pub(super) fn counted(counts: &BTreeMap<String, u32>) -> String {
    let mut counts: Vec<(&String, &u32)> = counts.iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let counts: Vec<String> =
        counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if counts.is_empty() { "nobody".to_owned() } else { counts.join(", ") }
}

pub(super) fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _infallible = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(driver: &str, reason: &str, distance_m: f64) -> serde_json::Value {
        serde_json::json!({"driver_id": driver, "stage": "nearby", "reason": reason,
            "distance_m": distance_m, "pickup_eta_s": 60, "offer_id": null, "service_tier": null})
    }

    #[test]
    fn a_ride_is_explained_attempt_by_attempt_and_wave_by_wave() {
        let policy = serde_json::json!({"mode": "broadcast", "attempt": "initial", "version": 3,
            "rules": ["xl", "rush"], "arm": "ttl/long"});
        let plain = serde_json::json!({"mode": "sequential", "attempt": "retry", "version": 0,
            "rules": [], "arm": null});
        let offered = serde_json::json!({"driver_id": "d-1", "stage": "offered", "reason": null,
            "distance_m": 120.4, "pickup_eta_s": 29, "eta_source": "roads", "offer_id": "o", "service_tier": "xl"});
        let passed = serde_json::json!({"driver_id": "d-9", "stage": "ranked", "reason": null,
            "distance_m": 300.0, "pickup_eta_s": 93, "offer_id": null, "service_tier": null});
        let explanation = serde_json::from_value(serde_json::json!({
            "ride_id": "ride-1", "status": "searching", "policy": plain,
            "attempts": [
                {"attempt": 1, "policy": policy, "waves": [{
                    "wave": 1, "at": "2025-12-01T00:00:00.000Z", "radius_m": 1000,
                    "candidates": [offered, passed, excluded("d-2", "stale", 10.0),
                        excluded("d-3", "stale", 20.0), excluded("d-4", "tier", 25.0),
                        excluded("d-5", "stale", 30.0), excluded("d-6", "stale", 40.0)],
                    "counts": {"stale": 9, "tier": 1, "unlisted": 2},
                }]},
                {"attempt": 2, "policy": plain, "waves": [{
                    "wave": 1, "at": "2025-12-01T00:01:00.000Z", "radius_m": 3000,
                    "candidates": [], "counts": {},
                    "window": {"number": 7, "requests": 5, "drivers": 3, "pairs": 9,
                        "served": 3, "optimal": true, "gap_ms": 0, "pickup_eta_cap_s": 240, "cost": null},
                }]},
            ],
            "counts": {"stale": 9, "tier": 1, "unlisted": 2},
        }));
        let golden = "\
ride ride-1: searching

attempt 1: initial, broadcast, policy version 3, rules xl < rush, arm ttl/long
  wave 1 at 2025-12-01T00:00:00.000Z, within 1000 m: 1 offered, 12 left out
    offered   d-1 120 m, 29 s by roads, xl
    passed    d-9 300 m, 93 s
    left out  9 stale, nearest: d-2 10 m, 60 s; d-3 20 m, 60 s; d-5 30 m, 60 s
    left out  1 tier, nearest: d-4 25 m, 60 s
    left out  2 unlisted

attempt 2: retry, sequential, policy version 0, no rules, no experiment
  wave 1 at 2025-12-01T00:01:00.000Z, within 3000 m: 0 offered, 0 left out
    window 7: 3 of 5 requests matched, 3 drivers, optimal, pickups within 240 s

left out in all: 9 stale, 2 unlisted, 1 tier
";
        assert_eq!(render(&explanation.unwrap()), golden);
    }

    #[test]
    fn a_ride_that_has_not_looked_yet_says_so() {
        let explanation = serde_json::from_value(serde_json::json!({
            "ride_id": "ride-1", "status": "scheduled", "attempts": [], "counts": {}}));
        let text = render(&explanation.unwrap());
        assert_eq!(text, "ride ride-1: scheduled\n\nit has not looked for drivers yet\n");
    }
}
