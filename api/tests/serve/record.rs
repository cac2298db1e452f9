//! A server records what it serves, and the city of its log is simulated.

use serde_json::{Value, json};

use crate::phone::{Phone, now_ms};
use crate::server::{Server, muster};

fn request(ride: &str) -> Value {
    json!({"ride_id": ride, "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857},
           "dropoff": {"lat": 40.7610, "lng": -73.9790}})
}

/// Serves two rides, one of them cancelled, while two drivers are online; the log is in `log`.
async fn serve_a_short_city(folder: &std::path::Path) {
    let snapshots = ("MUSTER__STORE__POSITION_SNAPSHOT_MS", "100");
    let server = Server::start(folder, &[snapshots, ("MUSTER__LOG__RECORD", "log")]).await;
    let (mut phone, welcome) = Phone::online(&server, "d-1", 40.7490).await;
    let (mut other, _) = Phone::online(&server, "d-2", 40.8000).await;
    server.post("/v1/rides", request("ride-1")).await;
    let offer = phone.frame("offer").await["offer"].clone();
    phone.say(json!({"type": "accept", "offer_id": offer["offer_id"]})).await;
    phone.frame("assigned").await;
    let otp = server.get("/v1/rides/ride-1").await.1["otp"].clone();
    phone.fix(40.7485, now_ms(&welcome) + 1_000).await;
    let steps = [
        (json!({"type": "arrived", "ride_id": "ride-1"}), "arrived"),
        (json!({"type": "start", "ride_id": "ride-1", "otp": otp}), "in_progress"),
        (json!({"type": "complete", "ride_id": "ride-1"}), "completed"),
    ];
    for (step, status) in steps {
        phone.say(step).await;
        server.until("/v1/rides/ride-1", |_, ride| ride["status"] == status).await;
    }
    server.post("/v1/rides", request("ride-2")).await;
    phone.frame("offer").await;
    let (status, _) =
        server.post("/v1/rides/ride-2/cancel", json!({"by": "rider", "reason": "late"})).await;
    assert_eq!(status, 200);
    other.say(json!({"type": "status", "status": "offline"})).await;
    server.until("/v1/drivers/d-2", |_, view| view["status"] == "offline").await;
    assert_eq!(server.metric("muster_record_inputs_dropped_total").await, 0.0);
    let end = tokio::task::spawn_blocking(move || server.terminate());
    assert!(end.await.unwrap().success());
}

fn simulate(folder: &std::path::Path, more: &[&str]) -> (bool, String, String) {
    let words = ["simulate", "--log", "log", "--seeds", "1", "--modes=batched", "--quiet"];
    let output = muster(folder).args(words).args(more).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_city_of_a_recorded_log_is_that_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    serve_a_short_city(folder.path()).await;
    let (clean, told, error) = simulate(folder.path(), &["--json"]);
    let told: Value = serde_json::from_str(&told).expect(&error);
    assert!(clean, "{error}{told}");
    let log = &told["log"];
    assert_eq!(
        (&log["market"], &log["rides"], &log["drivers"]),
        (&json!("nyc"), &json!(2), &json!(2))
    );
    assert_eq!((&log["answers"], &log["lines_damaged"]), (&json!(1), &json!(0)));
    let names: Vec<&str> =
        told["columns"].as_array().unwrap().iter().filter_map(|c| c["policy"].as_str()).collect();
    assert_eq!(names, ["recorded", "same_policy", "batched"]);
    let recorded = &told["runs"][0];
    assert_eq!(
        (&recorded["figures"]["requested"], &recorded["figures"]["served"]),
        (&json!(2.0), &json!(1.0))
    );
    assert_eq!(recorded["unserved"], json!({"late": 1}));
    assert_eq!(told["runs"][1]["figures"]["requested"], 2.0, "the same riders ask");

    let (_, again, _) = simulate(folder.path(), &["--json"]);
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), told, "the same to the bit");
}

#[tokio::test]
async fn a_server_that_begins_again_tells_its_log_who_was_there() {
    let folder = tempfile::tempdir().unwrap();
    serve_a_short_city(folder.path()).await;
    let server = Server::start(folder.path(), &[("MUSTER__LOG__RECORD", "log")]).await;
    let end = tokio::task::spawn_blocking(move || server.terminate());
    assert!(end.await.unwrap().success());
    let mut files: Vec<_> =
        std::fs::read_dir(folder.path().join("log")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2);
    let log = muster_record::Log::read(&files[1]).unwrap();
    let mut online = std::collections::BTreeMap::new();
    for line in &log.lines {
        if let muster_record::Line::Driver(line) = line {
            online.insert(line.driver.to_string(), line.online);
        }
    }
    assert_eq!(online, [("d-1".to_owned(), true), ("d-2".to_owned(), false)].into());
}

#[test]
fn a_log_that_cannot_be_written_or_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let serve = |env: &[(&str, &str)]| {
        let args = ["serve", "--listen", "127.0.0.1:0", "--record", "file/log"];
        let output = muster(folder.path()).args(args).envs(env.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = serve(&[]);
    assert_eq!(code, Some(2));
    assert!(error.contains("--record: file/log"), "{error}");
    let (code, error) = serve(&[("MUSTER__STORE__POSITION_SNAPSHOT_MS", "0")]);
    assert_eq!(code, Some(2));
    assert!(error.contains("store.position_snapshot_ms is 0"), "{error}");
    let (_, error) = serve(&[("MUSTER__LOG__RECORD_BYTES_MAX", "1000")]);
    assert!(error.contains("log.record_bytes_max is 1000"), "{error}");
    let (clean, _, error) = simulate(folder.path(), &[]);
    assert!(!clean && error.contains("log"), "{error}");
}
