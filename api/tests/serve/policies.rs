//! The configuration file as an operator edits it under a living server.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{Server, muster};

const POLICY: &str = "/v1/markets/nyc/policy";

fn write(folder: &Path, text: &str) {
    // In one step, so that no half-written file is seen.
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), folder.join("config.toml")).unwrap();
}

/// Reads the log until it holds all `words` in one line.
async fn logged(server: &Server, folder: &Path, words: &[&str]) {
    let told = |_: u16, _: &Value| {
        let log = std::fs::read_to_string(folder.join("log")).unwrap();
        log.lines().any(|line| words.iter().all(|word| line.contains(word)))
    };
    server.until("/healthz", told).await;
}

#[tokio::test]
async fn an_edited_file_changes_policies_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, "[markets.nyc.policy]\nwave_size = 4\n");
    let server = Server::start_on_file(folder).await;
    let size = |policy: &Value| policy["policy"]["wave_size"].as_u64().unwrap();
    assert_eq!(size(&server.get(POLICY).await.1), 4);
    let (status, _) = server.put(POLICY, json!({"policy": {"wave_size": 6}})).await;
    assert_eq!(status, 200);

    write(folder, "[clock]\nspeed = 2.0\n[markets.nyc.policy]\nwave_size = 5\n");
    let changed = server.until(POLICY, |_, policy| size(policy) == 5).await;
    assert_eq!((&changed["version"], &changed["cause"]), (&json!(2), &json!("file")));
    logged(&server, folder, &["clock", "next start"]).await;
    assert_eq!(server.get("/v1/markets/sf/policy").await.1["version"], 0);
    let (_, history) = server.get(&format!("{POLICY}/history")).await;
    assert_eq!(size(&json!({"policy": history["changes"][0]["before"]["policy"]})), 6);

    write(folder, "[markets.nyc.policy]\nwave_size = 0\n");
    let words = ["config.toml", "wave_size", "is 0", "allowed is 1..=100", "policies stay"];
    logged(&server, folder, &words).await;
    assert_eq!(server.get(POLICY).await.1["version"], 2);

    // What was put in force last is still there after a crash, with the same file beside it.
    write(folder, "[markets.nyc.policy]\nwave_size = 5\n");
    server.put(POLICY, json!({"policy": {"wave_size": 8}})).await;
    server.kill();
    let server = Server::start_on_file(folder).await;
    let (_, kept) = server.get(POLICY).await;
    assert_eq!((size(&kept), &kept["version"]), (8, &json!(3)));
}

#[tokio::test]
async fn the_arms_of_an_experiment_are_counted_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let arm = json!({"name": "wide", "weight": 1, "set": {"search_radius_m_min": 2_000}});
    let body = json!({"experiment": {"name": "radius", "arms": [arm]}});
    assert_eq!(server.put(POLICY, body).await.0, 200);
    let ride = json!({"ride_id": "ride-1", "rider_id": "r-1",
        "pickup": {"lat": 40.7484, "lng": -73.9857}});
    assert_eq!(server.post("/v1/rides", ride).await.0, 202);
    server.post("/v1/rides/ride-1/cancel", json!({"by": "rider"})).await;
    let counted = |outcome: &str| {
        let labels = format!("market=\"nyc\",arm=\"radius/wide\",outcome=\"{outcome}\"");
        format!("muster_experiment_rides_total{{{labels}}} 1")
    };
    let wanted = [counted("requested"), counted("cancelled")];
    server
        .until("/metrics", |_, text| {
            wanted.iter().all(|line| text.as_str().is_some_and(|text| text.contains(line)))
        })
        .await;
    let explain = |ride: &str| {
        let url = server.url().to_owned();
        muster(folder.path()).args(["explain", ride, "--url", &url]).output().unwrap()
    };
    let told = explain("ride-1");
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success() && text.starts_with("ride ride-1: cancelled\n"), "{text}");
    assert!(text.contains("policy version 1, no rules, arm radius/wide"), "{text}");
    let unknown = explain("ride-2");
    let text = String::from_utf8(unknown.stderr).unwrap();
    assert!(!unknown.status.success() && text.contains("no ride has this id"), "{text}");
}
