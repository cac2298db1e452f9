//! The process: command line, drain, crash and return.

use serde_json::{Value, json};

use crate::phone::{Phone, now_ms};
use crate::server::{Server, muster};

fn request(ride: &str) -> Value {
    json!({"ride_id": ride, "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857}})
}

#[tokio::test]
async fn a_clean_drain_says_goodbye_and_exits_with_zero() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    let pid = server.pid();
    assert!(pid > 0);
    let end = tokio::task::spawn_blocking(move || server.terminate());
    assert_eq!(phone.frame("bye").await["reason"], "draining");
    assert!(end.await.unwrap().success());
}

#[tokio::test]
async fn a_server_is_given_memory_in_small_pages() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let huge = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
    // A kernel that knows no huge pages says nothing.
    assert_ne!(huge.map(str::trim), Some("1"));
}

#[tokio::test]
async fn kill_minus_nine_loses_nothing_that_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let (mut one, _) = Phone::online(&server, "d-1", 40.7490).await;
    server.post("/v1/rides", request("ride-1")).await;
    let offer = one.frame("offer").await;
    one.say(json!({"type": "accept", "offer_id": offer["offer"]["offer_id"]})).await;
    one.frame("assigned").await;
    let (mut two, _) = Phone::online(&server, "d-2", 40.7495).await;
    server.post("/v1/rides", request("ride-2")).await;
    let shown = two.frame("offer").await["offer"]["offer_id"].clone();
    server.kill();

    let server = Server::start(folder.path(), &[]).await;
    let (_, ride) = server.get("/v1/rides/ride-1").await;
    assert_eq!(
        (&ride["status"], &ride["driver"]["driver_id"]),
        (&json!("assigned"), &json!("d-1"))
    );
    let (_, driver) = server.get("/v1/drivers/d-1").await;
    assert_eq!((&driver["status"], &driver["ride_id"]), (&json!("en_route"), &json!("ride-1")));
    // The offer that was on a screen is still good.
    let mut two = Phone::connect(&server, "d-2", "").await;
    let welcome = two.frame("welcome").await;
    assert_eq!(welcome["driver"]["offers"][0]["offer_id"], shown);
    assert_ne!(welcome["driver"]["contact"], "live", "no fix has come yet");
    two.say(json!({"type": "accept", "offer_id": shown})).await;
    assert_eq!(two.frame("assigned").await["ride"]["ride_id"], "ride-2");
    two.fix(40.7496, now_ms(&welcome)).await;
    let live = |_, view: &Value| view["contact"] == "live";
    server.until("/v1/drivers/d-2", live).await;
}

#[test]
fn a_bad_configuration_exits_with_two_and_names_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str], env: (&str, &str)| {
        let output = muster(folder.path()).args(args).env(env.0, env.1).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = run(&["serve"], ("MUSTER__CLOCK__SPEED", "0"));
    assert_eq!(code, Some(2));
    assert!(error.contains("clock.speed is 0, allowed is 0.1..=1000"), "{error}");
    let (code, error) = run(&["serve", "--config", "none.toml"], ("X", "y"));
    assert_eq!(code, Some(2));
    assert!(error.contains("none.toml"), "{error}");
    let (code, error) = run(&["serve"], ("MUSTER__SERVER__LISTEN", "0.0.0.0:9996"));
    assert_eq!(code, Some(2));
    assert!(error.contains("0.0.0.0:9996") && error.contains("token verifier"), "{error}");
}

#[test]
fn help_and_version_say_what_they_should() {
    let folder = tempfile::tempdir().unwrap();
    let text = |args: &[&str]| {
        let output = muster(folder.path()).args(args).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text(&["version"]).starts_with("muster 0.1.0 ("));
    let help = text(&["--help"]);
    for word in ["serve", "replay", "version", "Exit codes"] {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
}

#[tokio::test]
async fn a_read_only_database_refuses_new_rides_and_keeps_running_ones_readable() {
    // A file size limit stands in for a full disk: SQLite's writes fail, the process lives on.
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    server.post("/v1/rides", request("ride-1")).await;
    phone.frame("offer").await;
    let limit = std::process::Command::new("prlimit")
        .args([&format!("--pid={}", server.pid()), "--fsize=1000"])
        .status()
        .unwrap();
    assert!(limit.success());
    let (status, problem) = server.post("/v1/rides", request("ride-2")).await;
    assert_eq!((status, &problem["code"]), (503, &json!("store_unavailable")), "{problem}");
    let (status, ride) = server.get("/v1/rides/ride-1").await;
    assert_eq!((status, &ride["status"]), (200, &json!("searching")));
    let (status, _) = server.get("/v1/rides/ride-2").await;
    assert_eq!(status, 404);
}
