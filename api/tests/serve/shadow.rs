//! A shadow policy beside a living server: it decides, nobody is told, and it is compared.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::phone::Phone;
use crate::server::{Server, muster};

const SHADOW: &str = "/v1/markets/nyc/shadow";

/// One driver at a time, the nearest first.
const NEAREST: &str = "[markets.nyc.policy]\nmode = \"sequential\"\nlive_offers_max = 1\n";

/// As near as makes no difference: what is told has one decimal.
fn near(value: &Value, wanted: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - wanted).abs() < 0.05)
}

fn batched() -> String {
    let window = "batch_window_ms = 4000\nbatch_window_ms_min = 4000\n";
    format!("{NEAREST}[markets.nyc.shadow]\nmode = \"batched\"\n{window}")
}

fn write(folder: &Path, text: &str) {
    // In one step, so that no half-written file is seen.
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), folder.join("config.toml")).unwrap();
}

fn ride(id: &str, lat: f64) -> Value {
    json!({"ride_id": id, "rider_id": id, "pickup": {"lat": lat, "lng": -73.9857}})
}

async fn accepts(phone: &mut Phone, ride: &str) {
    let offer = phone.frame("offer").await["offer"].clone();
    assert_eq!(offer["ride_id"], ride);
    phone.say(json!({"type": "accept", "offer_id": offer["offer_id"]})).await;
    assert_eq!(phone.frame("accept_result").await["result"], "won");
}

fn printed(server: &Server, folder: &Path) -> Output {
    muster(folder).args(["shadow", "--url", server.url()]).output().unwrap()
}

#[tokio::test]
async fn what_batched_dispatch_would_have_decided_is_told_beside_what_was() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, &batched());
    let server = Server::start_on_file(folder).await;
    // 400 m and 600 m from the first rider; the second is 100 m and 1,100 m away from them.
    let (mut near_one, _) = Phone::online(&server, "d-1", 40.7484).await;
    let (mut far_one, _) = Phone::online(&server, "d-2", 40.7574).await;
    assert_eq!(server.post("/v1/rides", ride("ride-1", 40.7520)).await.0, 202);
    assert_eq!(server.post("/v1/rides", ride("ride-2", 40.7475)).await.0, 202);
    accepts(&mut near_one, "ride-1").await;
    accepts(&mut far_one, "ride-2").await;

    let compared = server.until(SHADOW, |_, shadow| shadow["rides"] == 2).await;
    assert_eq!(compared["policy"]["mode"], "batched");
    assert!(near(&compared["same_driver_percent"], 0.0), "{compared}");
    for side in ["real", "shadow"] {
        assert!(near(&compared[side]["served_percent"], 100.0), "{compared}");
    }
    let eta = |side: &str| compared[side]["pickup_eta_s"]["mean"].as_f64().unwrap();
    assert!(eta("shadow") * 2.0 < eta("real"), "{compared}");
    let (_, explained) = server.get("/v1/rides/ride-1/explain").await;
    let shadow = &explained["shadow"];
    assert_eq!(
        (&shadow["real"]["driver_id"], &shadow["shadow"]["driver_id"]),
        (&json!("d-1"), &json!("d-2"))
    );
    assert!(shadow["cost"]["total_ms"].as_i64().is_some(), "{shadow}");

    let table = printed(&server, folder);
    let text = String::from_utf8_lossy(&table.stdout);
    assert!(table.status.success() && text.starts_with("nyc: 2 rides since "), "{text}");
    assert!(text.contains("served                    100.0%    100.0%"), "{text}");
    let rides = r#"muster_shadow_rides_total{market="nyc",side="shadow",outcome="served"} 2"#;
    let (_, metrics) = server.get("/metrics").await;
    assert!(metrics.as_str().is_some_and(|metrics| metrics.contains(rides)));
    // Nobody was told: the drivers have the rides they accepted, and nothing else came.
    for (ride, driver) in [("ride-1", "d-1"), ("ride-2", "d-2")] {
        let (_, view) = server.get(&format!("/v1/rides/{ride}")).await;
        assert_eq!(view["driver"]["driver_id"], driver);
        assert_eq!(view["offers"]["sent"], 1);
    }
}

#[tokio::test]
async fn a_shadow_follows_the_policies_in_force_and_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(folder, &batched());
    let server = Server::start_on_file(folder).await;
    assert_eq!(server.get(SHADOW).await.1["version"], 0);
    let policy = json!({"policy": {"mode": "sequential", "live_offers_max": 2}});
    assert_eq!(server.put("/v1/markets/nyc/policy", policy).await.0, 200);
    let shadow = server.until(SHADOW, |_, shadow| shadow["version"] == 1).await;
    assert_eq!(shadow["mode"], "batched");

    // A policy that the shadow's keys do not fit is put in force all the same.
    let policy = json!({"policy": {"batch_window_ms": 60_000, "search_radius_m_max": 2_000}});
    write(folder, &format!("{NEAREST}[markets.nyc.shadow]\nsearch_radius_m_min = 2500\n"));
    server.until(SHADOW, |_, shadow| shadow["policy"]["search_radius_m_min"] == 2_500).await;
    assert_eq!(server.put("/v1/markets/nyc/policy", policy).await.0, 200);
    server
        .until(SHADOW, |status, shadow| status == 404 && shadow["code"] == "no_shadow_policy")
        .await;

    write(folder, &format!("{NEAREST}[markets.nyc.shadow]\nwave_size = 0\n"));
    let refused = |_: u16, _: &Value| {
        let log = std::fs::read_to_string(folder.join("log")).unwrap();
        log.lines().any(|line| line.contains("nyc, shadow") && line.contains("is 0"))
    };
    server.until("/healthz", refused).await;
    write(folder, &batched());
    server.until(SHADOW, |status, _| status == 200).await;
    write(folder, NEAREST);
    server.until(SHADOW, |status, _| status == 404).await;
    let table = printed(&server, folder);
    let told = String::from_utf8_lossy(&table.stderr);
    assert!(table.status.code() == Some(1) && told.contains("no shadow policy"), "{told}");
}

#[tokio::test]
async fn a_shadow_of_the_command_line_is_for_every_market() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("shadow.toml"), "mode = \"batched\"\nwave_size = 7\n").unwrap();
    let settings = ["--shadow", "shadow.toml", "--shadow", "wave_size=3"];
    let server = Server::start_with(folder, &settings).await;
    for market in ["nyc", "sf"] {
        let (status, shadow) = server.get(&format!("/v1/markets/{market}/shadow")).await;
        assert_eq!((status, &shadow["mode"]), (200, &json!("batched")));
        assert_eq!(shadow["policy"], json!({"mode": "batched", "wave_size": 3}));
    }
    for (setting, told) in [
        ("mode=fastest", "fastest"),
        ("wave_sise=3", "wave_sise"),
        ("wave_size=0", "(market nyc, shadow) is 0, allowed is 1..=100"),
        ("none.toml", "none.toml"),
    ] {
        let mut command = muster(folder);
        command.args(["serve", "--listen", "127.0.0.1:0", "--shadow", setting]);
        let refused = command.output().unwrap();
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(2) && error.contains(told), "{setting}: {error}");
    }
}
