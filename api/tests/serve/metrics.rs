//! What a scrape finds, against the contract and against the files of those who look at it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;

use crate::phone::Phone;
use crate::server::Server;

/// The names of the contract; a counter's ends in `_total`.
const CONTRACT: [&str; 26] = [
    "muster_rides_requested_total",
    "muster_rides_assigned_total",
    "muster_rides_unfulfilled_total",
    "muster_rides_cancelled_total",
    "muster_rides_open",
    "muster_reallocations_total",
    "muster_offers_sent_total",
    "muster_offers_ended_total",
    "muster_offer_response_seconds",
    "muster_candidates_excluded_total",
    "muster_wave_size",
    "muster_time_to_first_offer_seconds",
    "muster_time_to_assign_seconds",
    "muster_pickup_eta_seconds",
    "muster_match_duration_seconds",
    "muster_drivers",
    "muster_position_fixes_total",
    "muster_position_apply_seconds",
    "muster_ws_sessions",
    "muster_http_request_duration_seconds",
    "muster_store_commit_seconds",
    "muster_outbox_lag_seconds",
    "muster_mailbox_full_total",
    "muster_actor_restarts_total",
    "muster_invariant_violations_total",
    "muster_rides_completed_total",
];

/// Only a server with a broker has these.
const WITH_A_BROKER: [&str; 4] = [
    "muster_outbox_events_total",
    "muster_kafka_consumer_lag",
    "muster_kafka_messages_total",
    "muster_kafka_commits_total",
];

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const ALERTS_TEST: &str = "deploy/prometheus/alerts_test.yml";
const DASHBOARD: &str = "deploy/grafana/muster.json";

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of metrics that a text has in it.
fn named(text: &str) -> BTreeSet<&str> {
    let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    text.split(word).filter(|name| name.starts_with("muster_")).collect()
}

/// A scrape of a server that has served a ride under an experiment.
async fn scrape(server: &Server) -> String {
    let arm = json!({"name": "wide", "weight": 1, "set": {"search_radius_m_min": 2_000}});
    let body = json!({"experiment": {"name": "radius", "arms": [arm]}});
    assert_eq!(server.put("/v1/markets/nyc/policy", body).await.0, 200);
    let (mut phone, _) = Phone::online(server, "d-1", 40.7490).await;
    let ride = json!({"ride_id": "ride-1", "rider_id": "r-1",
        "pickup": {"lat": 40.7484, "lng": -73.9857}});
    assert_eq!(server.post("/v1/rides", ride).await.0, 202);
    let offer = phone.frame("offer").await;
    phone.say(json!({"type": "accept", "offer_id": offer["offer"]["offer_id"]})).await;
    phone.frame("assigned").await;
    server.get("/metrics").await.1.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_scrape_has_what_the_contract_the_alerts_and_the_dashboard_name() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let text = scrape(&server).await;
    let typed: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let missing: Vec<_> = CONTRACT.iter().filter(|name| !typed.contains(*name)).collect();
    assert!(missing.is_empty(), "of the contract: {missing:?}");
    let samples: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split([' ', '{']).next())
        .collect();
    for path in [ALERTS, ALERTS_TEST, DASHBOARD] {
        let text = read(path);
        let names = named(&text);
        assert!(names.len() > 10, "{path} names {names:?}");
        let missing: Vec<_> =
            names.difference(&samples).filter(|name| !WITH_A_BROKER.contains(name)).collect();
        assert!(missing.is_empty(), "{path} names {missing:?}, which no scrape has");
    }
}

#[test]
fn every_alert_fires_in_one_test_stays_silent_in_another_and_has_its_runbook() {
    let (alerts, tests, runbook) = (read(ALERTS), read(ALERTS_TEST), read("docs/operations.md"));
    let after = |line: &str, key: &str| line.trim().strip_prefix(key).map(str::to_owned);
    let names: BTreeSet<String> =
        alerts.lines().filter_map(|line| after(line, "- alert: ")).collect();
    assert!(names.len() > 10, "{names:?}");
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    let mut of = None;
    for line in tests.lines() {
        of = after(line, "- alertname: ").or(of);
        match line.trim() {
            "exp_alerts: []" => silent.extend(of.clone()),
            "exp_alerts:" => firing.extend(of.clone()),
            _ => {}
        }
    }
    assert_eq!(firing, names, "alerts, and those that a test makes fire");
    assert_eq!(silent, names, "alerts, and those that a test keeps silent");
    let explained: BTreeSet<String> =
        runbook.lines().filter_map(|line| after(line, "### ")).collect();
    let missing: Vec<_> = names.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/operations.md has no heading for {missing:?}");
    for name in &names {
        let link = format!("runbook: docs/operations.md#{}", name.to_lowercase());
        assert!(alerts.lines().any(|line| line.trim() == link), "{name} does not link its runbook");
    }
}
