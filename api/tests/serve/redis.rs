//! A server beside a real Redis: what it mirrors, what it finds again, and that nothing depends on it.

use std::path::Path;
use std::time::Instant;

use muster_services::{Redis, RedisCluster};
use serde_json::{Value, json};

use crate::phone::Phone;
use crate::server::{PATIENCE, Server};

/// Positions are in the mirror only: the store never gets any.
const ENV: [(&str, &str); 3] = [
    ("MUSTER__STORE__POSITION_SNAPSHOT_MS", "0"),
    ("MUSTER__REDIS__MIRROR_EVERY_MS", "100"),
    ("MUSTER__REDIS__OWNER_TTL_S", "3"),
];

async fn start(folder: &Path, redis: &str) -> Server {
    let mut env = ENV.to_vec();
    env.push(("MUSTER__REDIS__URL", redis));
    Server::start(folder, &env).await
}

fn request(ride: &str, rider: &str) -> Value {
    json!({"ride_id": ride, "rider_id": rider, "pickup": {"lat": 40.7484, "lng": -73.9857}})
}

/// Waits until `holds`.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The mirrored position of `driver` on any of the nodes.
fn mirrored(nodes: &[Redis], driver: &str) -> Option<String> {
    let of_node = |node: &Redis| {
        let keys = node.command(&["keys", "muster:*:positions"]).ok()?;
        let entry = |key: &str| node.command(&["hget", key, driver]).ok();
        let keys = keys.lines().filter(|key| !key.is_empty());
        keys.filter_map(entry).map(|text| text.trim().to_owned()).find(|e| !e.is_empty())
    };
    nodes.iter().find_map(of_node)
}

async fn supply_is_back_at_once(nodes: &[Redis], url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), url).await;
    let (phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    until("the position is mirrored", || mirrored(nodes, "d-1").is_some()).await;
    let entry = mirrored(nodes, "d-1").unwrap();
    assert!(entry.starts_with("407490000,"), "{entry}");
    server.kill();
    drop(phone);

    let server = start(folder.path(), url).await;
    let (_, driver) = server.get("/v1/drivers/d-1").await;
    assert_eq!(driver["contact"], "live", "heard a moment ago, before the restart: {driver}");
    server.post("/v1/rides", request("ride-1", "r-1")).await;
    let offered = |_, ride: &Value| ride["offers"]["live"] == 1;
    server.until("/v1/rides/ride-1", offered).await;
}

#[tokio::test]
async fn a_restarted_server_has_its_supply_at_once() {
    let redis = Redis::start().unwrap();
    let url = redis.url();
    supply_is_back_at_once(&[redis], &url).await;
}

#[tokio::test]
async fn a_cluster_serves_as_well_as_a_single_server() {
    let mut cluster = RedisCluster::start().unwrap();
    let url = cluster.urls().join(",");
    supply_is_back_at_once(cluster.nodes(), &url).await;
    for node in cluster.nodes() {
        every_key_is_prefixed_tagged_and_expires(node);
    }
}

fn every_key_is_prefixed_tagged_and_expires(node: &Redis) {
    let keys = node.command(&["keys", "*"]).unwrap();
    for key in keys.lines().filter(|key| !key.is_empty()) {
        assert!(key.starts_with("muster:{") && key.contains("}:"), "{key}");
        let left_ms: i64 = node.command(&["pttl", key]).unwrap().trim().parse().unwrap();
        assert!(left_ms > 0, "{key} never expires");
    }
}

#[tokio::test]
async fn a_wiped_redis_costs_positions_and_nothing_else() {
    let redis = Redis::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &redis.url()).await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    server.post("/v1/rides", request("ride-1", "r-1")).await;
    let offer = phone.frame("offer").await;
    phone.say(json!({"type": "accept", "offer_id": offer["offer"]["offer_id"]})).await;
    phone.frame("assigned").await;
    server.kill();
    redis.command(&["flushall"]).unwrap();

    let server = start(folder.path(), &redis.url()).await;
    let (_, ride) = server.get("/v1/rides/ride-1").await;
    assert_eq!(ride["status"], "assigned", "{ride}");
    let (_, driver) = server.get("/v1/drivers/d-1").await;
    assert_eq!((&driver["status"], &driver["position"]), (&json!("en_route"), &Value::Null));
}

#[tokio::test]
async fn rides_go_on_while_redis_is_down_or_hangs_and_the_mirror_comes_back() {
    let mut redis = Redis::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &redis.url()).await;
    let (mut phone, welcome) = Phone::online(&server, "d-1", 40.7490).await;
    until("mirrored", || mirrored(std::slice::from_ref(&redis), "d-1").is_some()).await;

    redis.pause().unwrap();
    let (status, _) = server.post("/v1/rides", request("ride-1", "r-1")).await;
    assert_eq!(status, 202);
    phone.frame("offer").await;
    redis.resume().unwrap();
    redis.kill().unwrap();
    let (status, _) = server.post("/v1/rides", request("ride-2", "r-2")).await;
    assert_eq!(status, 202);
    phone.frame("offer").await;
    let counted = |text: &str, outcome: &str| {
        let wanted =
            |line: &&str| line.starts_with("muster_redis_uses_total") && line.contains(outcome);
        text.lines().any(|line| wanted(&line))
    };
    let (_, metrics) = server.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    assert!(counted(metrics, "failed") || counted(metrics, "timeout"), "{metrics}");

    redis.restart().unwrap();
    phone.fix(40.7491, crate::phone::now_ms(&welcome) + 1_000).await;
    let fresh = |entry: String| entry.starts_with("407491000,");
    let nodes = std::slice::from_ref(&redis);
    until("mirrored again", || mirrored(nodes, "d-1").is_some_and(fresh)).await;
    every_key_is_prefixed_tagged_and_expires(&redis);
}

#[tokio::test]
async fn two_servers_share_a_riders_allowance() {
    let redis = Redis::start().unwrap();
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = redis.url();
    let mut env = ENV.to_vec();
    env.push(("MUSTER__REDIS__URL", &url));
    env.push(("MUSTER__SERVER__RIDE_REQUESTS_PER_RIDER_PER_MIN", "3"));
    let one = Server::start(one.path(), &env).await;
    let two = Server::start(two.path(), &env).await;
    for (server, ride) in [(&one, "a"), (&two, "b"), (&one, "c")] {
        let (status, answer) = server.post("/v1/rides", request(ride, "r-1")).await;
        assert_eq!(status, 202, "{answer}");
    }
    let (status, problem) = two.post("/v1/rides", request("d", "r-1")).await;
    assert_eq!((status, &problem["code"]), (429, &json!("rate_limited")), "{problem}");
    let (status, _) = two.post("/v1/rides", request("e", "r-2")).await;
    assert_eq!(status, 202, "another rider has an allowance of his own");
}

#[tokio::test]
async fn the_owner_of_a_market_is_known_while_he_lives() {
    let redis = Redis::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let owner = || redis.command(&["hmget", "muster:{nyc}:owner", "address", "epoch"]).unwrap();
    let server = start(folder.path(), &redis.url()).await;
    until("claimed", || owner().contains(server.url())).await;
    assert_eq!(owner().lines().nth(1), Some("1"));
    let second = start(folder.path(), &redis.url()).await;
    until("claimed by the newer process", || owner().contains(second.url())).await;
    assert_eq!(owner().lines().nth(1), Some("2"));
    server.kill();
    let end = tokio::task::spawn_blocking(move || second.terminate());
    assert!(end.await.unwrap().success());
    assert_eq!(redis.command(&["exists", "muster:{nyc}:owner"]).unwrap().trim(), "0");
}
