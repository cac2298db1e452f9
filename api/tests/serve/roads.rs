//! A market's streets: built, served, exchanged under a living server, and refused.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::phone::Phone;
use crate::server::{Server, muster};

const NEARBY: &str = "/v1/drivers/nearby?lat=40.7484&lng=-73.9857&radius_m=1000&limit=5";

/// One avenue from south to north through Midtown, driven at a speed in both directions.
fn build(folder: &Path, speed_kmh: u32) -> Output {
    let nodes = "osmid,lat,lon\n1,40.7400,-73.9857\n2,40.7450,-73.9857\n3,40.7600,-73.9857\n";
    let ways = [(1, 2, 556), (2, 1, 556), (2, 3, 1_668), (3, 2, 1_668)];
    let ways = ways.map(|(from, to, metres)| format!("{from},{to},{metres},{speed_kmh}\n"));
    std::fs::write(folder.join("nodes.csv"), nodes).unwrap();
    std::fs::write(folder.join("edges.csv"), format!("u,v,length_m,speed_kmh\n{}", ways.concat()))
        .unwrap();
    let args = ["roads", "build", "--nodes", "nodes.csv", "--edges", "edges.csv"];
    muster(folder).args(args).args(["--out", "city.roads"]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn eta_s(nearby: &Value) -> Option<u64> {
    nearby["drivers"][0]["pickup_eta_s"].as_u64()
}

#[tokio::test]
async fn a_market_drives_by_its_streets_and_takes_others_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let built = build(folder, 36);
    let told = text(&built.stdout);
    assert!(built.status.success(), "{}", text(&built.stderr));
    assert!(told.contains("read 3 nodes and 4 street segments"), "{told}");
    assert!(told.contains("© OpenStreetMap contributors"), "{told}");
    std::fs::write(folder.join("config.toml"), "[markets.nyc]\nroads = \"city.roads\"\n").unwrap();
    let server = Server::start_on_file(folder).await;
    // 178 m along the avenue at 10 m/s; the straight line would say 55 s.
    let (mut phone, _) = Phone::online(&server, "d-1", 40.75).await;
    assert_eq!(eta_s(&server.get(NEARBY).await.1), Some(18));
    let ride = json!({"ride_id": "ride-1", "rider_id": "r-1",
        "pickup": {"lat": 40.7484, "lng": -73.9857}});
    assert_eq!(server.post("/v1/rides", ride).await.0, 202);
    assert_eq!(phone.frame("offer").await["offer"]["pickup_eta_s"], 18);
    let offered = |_: u16, view: &Value| view["attempts"][0]["waves"][0].is_object();
    let explained = server.until("/v1/rides/ride-1/explain", offered).await;
    let candidate = &explained["attempts"][0]["waves"][0]["candidates"][0];
    assert_eq!(candidate["eta_source"], "roads");
    assert!(server.metric("muster_travel_times_total").await > 0.0);

    assert!(build(folder, 18).status.success());
    server.until(NEARBY, |_, nearby| eta_s(nearby) == Some(36)).await;

    std::fs::write(folder.join("city.roads"), "no network").unwrap();
    let refused = |_: u16, _: &Value| {
        let log = std::fs::read_to_string(folder.join("log")).unwrap();
        log.lines().any(|line| line.contains("city.roads") && line.contains("the last stays"))
    };
    server.until("/healthz", refused).await;
    assert_eq!(eta_s(&server.get(NEARBY).await.1), Some(36));
}

#[test]
fn a_network_that_cannot_be_read_is_refused_at_the_start_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("config.toml"), "[markets.nyc]\nroads = \"none.roads\"\n").unwrap();
    let serve = || {
        let args = ["serve", "--listen", "127.0.0.1:0", "--config", "config.toml"];
        muster(folder).args(args).output().unwrap()
    };
    let (refused, words) = (serve(), ["markets.nyc.roads", "none.roads"]);
    let told = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(words.iter().all(|word| told.contains(word)), "{told}");
    std::fs::write(folder.join("none.roads"), b"MUSTROAD\x09\0\0\0").unwrap();
    let told = text(&serve().stderr);
    assert!(told.contains("it is of version 9"), "{told}");
    let server = "[markets.nyc.travel_time]\nprovider = \"osrm\"\nurl = \"ftp://x\"\n";
    std::fs::write(folder.join("config.toml"), server).unwrap();
    let told = text(&serve().stderr);
    assert!(told.contains("markets.nyc.travel_time.url is ftp://x"), "{told}");
}

#[test]
fn roads_info_tells_what_a_network_holds_and_bad_input_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    assert!(build(folder, 36).status.success());
    let info = muster(folder).args(["roads", "info", "city.roads"]).output().unwrap();
    let told = text(&info.stdout);
    let words = ["nodes      3", "streets    4", "40.7400..40.7600 N", "© OpenStreetMap"];
    assert!(words.iter().all(|word| told.contains(word)), "{told}");
    let slow = build(folder, 0);
    let told = text(&slow.stderr);
    assert_eq!(slow.status.code(), Some(2));
    assert!(told.contains("edges.csv, line 2: speed_kmh is \"0\""), "{told}");
    std::fs::write(folder.join("no.osm.pbf"), "no extract").unwrap();
    let args = ["roads", "build", "--osm", "no.osm.pbf", "--out", "x.roads"];
    let refused = muster(folder).args(args).output().unwrap();
    let told = text(&refused.stderr);
    assert!(!refused.status.success() && told.contains("no.osm.pbf"), "{told}");
    let factors = [
        "roads",
        "build",
        "--nodes",
        "nodes.csv",
        "--edges",
        "edges.csv",
        "--out",
        "x.roads",
        "--hour-factors",
        "1,2",
    ];
    let told = text(&muster(folder).args(factors).output().unwrap().stderr);
    assert!(told.contains("24 factors"), "{told}");
}
