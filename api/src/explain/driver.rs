//! What a driver is told as text.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::render::{counted, line};

/// Decisions that are listed.
const RECENT_MAX: usize = 20;

/// What `GET /v1/drivers/{id}/explain` answers, as far as it is printed.
#[derive(Debug, Deserialize)]
pub(super) struct DriverExplanation {
    driver_id: String,
    now: Standing,
    since: String,
    stages: BTreeMap<String, u32>,
    reasons: BTreeMap<String, u32>,
    recent: Vec<Decision>,
    complete: bool,
}

#[derive(Debug, Deserialize)]
struct Standing {
    status: String,
    contact: String,
    reason: Option<String>,
    offers: usize,
    searching_nearby: usize,
    #[serde(default)]
    acceptances_lost: u32,
}

#[derive(Debug, Deserialize)]
struct Decision {
    ride_id: String,
    wave: u32,
    at: String,
    stage: String,
    reason: Option<String>,
    distance_m: f64,
}

/// The explanation, a line per fact, ending in a line feed.
pub(super) fn render(explanation: &DriverExplanation) -> String {
    let DriverExplanation { driver_id, now, since, stages, reasons, recent, complete } =
        explanation;
    let mut out = String::new();
    line(&mut out, format_args!("driver {driver_id}: {}, {}", now.status, now.contact));
    match &now.reason {
        Some(reason) => line(&mut out, format_args!("  offered nothing now: {reason}")),
        None => line(&mut out, format_args!("  may be offered rides now")),
    }
    let (offers, searching) = (now.offers, now.searching_nearby);
    line(&mut out, format_args!("  {offers} offers to answer, {searching} rides search nearby"));
    if now.acceptances_lost > 0 {
        let lost = now.acceptances_lost;
        line(&mut out, format_args!("  accepted {lost} rides of late that others won"));
    }
    line(&mut out, format_args!(""));
    line(&mut out, format_args!("since {since}: {}", counted(stages)));
    if !reasons.is_empty() {
        line(&mut out, format_args!("  left out: {}", counted(reasons)));
    }
    for one in recent.iter().take(RECENT_MAX) {
        let why = one.reason.as_deref().unwrap_or("-");
        let Decision { at, ride_id, wave, stage, distance_m, .. } = one;
        line(
            &mut out,
            format_args!("  {at} {ride_id} wave {wave}: {stage}, {why}, {distance_m:.0} m"),
        );
    }
    if recent.is_empty() {
        line(&mut out, format_args!("  no search named him"));
    }
    if !complete {
        line(&mut out, format_args!("  older decisions were not looked at"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_explained_by_how_he_stands_and_what_was_decided() {
        let explanation = serde_json::from_value(serde_json::json!({
            "driver_id": "d-1",
            "now": {"status": "available", "contact": "stale", "reason": "stale_position",
                "offers": 0, "searching_nearby": 4, "acceptances_lost": 2},
            "since": "2025-12-01T00:00:00.000Z",
            "stages": {"nearby": 3, "offered": 1}, "reasons": {"stale_position": 3},
            "recent": [{"ride_id": "ride-1", "attempt": 1, "wave": 2,
                "at": "2025-12-01T00:01:00.000Z", "driver_id": "d-1", "stage": "nearby",
                "reason": "stale_position", "distance_m": 120.4}],
            "complete": false,
        }));
        let golden = "\
driver d-1: available, stale
  offered nothing now: stale_position
  0 offers to answer, 4 rides search nearby
  accepted 2 rides of late that others won

since 2025-12-01T00:00:00.000Z: 3 nearby, 1 offered
  left out: 3 stale_position
  2025-12-01T00:01:00.000Z ride-1 wave 2: nearby, stale_position, 120 m
  older decisions were not looked at
";
        assert_eq!(render(&explanation.unwrap()), golden);
    }
}
