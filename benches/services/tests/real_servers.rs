//! The servers start, answer an independent client, survive a pause and come back after a kill.

use muster_services::{Kafka, Postgres, Redis, RedisCluster};

#[test]
fn postgres_keeps_what_was_committed() {
    let mut postgres = Postgres::start().unwrap();
    let url = postgres.database().unwrap();
    let database = url.rsplit_once('/').unwrap().1.to_owned();
    postgres.sql(&database, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").unwrap();
    postgres.kill().unwrap();
    assert!(postgres.sql(&database, "SELECT n FROM kept").is_err());
    postgres.restart().unwrap();
    postgres.pause().unwrap();
    postgres.resume().unwrap();
    assert_eq!(postgres.sql(&database, "SELECT n FROM kept").unwrap().trim(), "7");
}

#[test]
fn redis_forgets_everything_when_killed() {
    let mut redis = Redis::start().unwrap();
    redis.command(&["set", "a", "1"]).unwrap();
    assert_eq!(redis.command(&["get", "a"]).unwrap().trim(), "1");
    redis.kill().unwrap();
    assert!(redis.command(&["ping"]).is_err());
    redis.restart().unwrap();
    assert_eq!(redis.command(&["get", "a"]).unwrap().trim(), "");
}

#[test]
fn three_masters_share_the_keys() {
    let mut cluster = RedisCluster::start().unwrap();
    assert_eq!(cluster.urls().len(), 3);
    let nodes = cluster.nodes()[0].command(&["cluster", "nodes"]).unwrap();
    assert_eq!(nodes.lines().filter(|line| line.contains("master")).count(), 3);
}

#[test]
fn kafka_comes_back_on_its_data() {
    let mut kafka = Kafka::start().unwrap();
    assert!(kafka.bootstrap().starts_with("127.0.0.1:"));
    kafka.kill().unwrap();
    kafka.restart().unwrap();
}
