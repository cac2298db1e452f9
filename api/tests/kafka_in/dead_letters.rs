//! Messages that can never be taken in: where they go, and how they come back.

use std::path::Path;

use serde_json::{Value, json};

use crate::broker::{Topics, header};
use crate::city::{messages, metric, request, serve, tracked};
use crate::server::{Server, muster};

fn letter<'l>(letters: &'l [Value], reason: &str) -> &'l Value {
    let found = letters.iter().find(|letter| header(letter, "reason") == Some(reason));
    found.unwrap_or_else(|| panic!("no letter says {reason}: {letters:?}"))
}

fn dlq(folder: &Path, topics: &Topics, args: &[&str]) -> String {
    let output = muster(folder).arg("dlq").args(args).envs(topics.env()).output().unwrap();
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&error));
    out
}

async fn ride_is(server: &Server, ride: &str, status: &str) {
    let path = format!("/v1/rides/{ride}");
    server.until(&path, |code, ride| code == 200 && ride["status"] == status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_poison_is_a_dead_letter_and_the_partition_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let broker = crate::broker::Topics::shared().await;
    let server = serve(folder.path(), &broker, &[("MESSAGE_BYTES_MAX", "4096")]).await;
    let (rides, key) = (broker.rides(), "ride-1");
    // All of one key, so that each stands behind the ones before.
    broker.kcat(&rides, key, "{ no json", &["correlation_id=c-7", "attempts=3"]);
    let large = json!({"rider_id": "r", "pickup": {"lat": 40.7, "lng": -73.9}, "attributes": {"a": "x".repeat(5_000)}});
    broker.kcat(&rides, key, &large.to_string(), &[]);
    broker.kcat(&rides, key, &request("r-1"), &["schema=ride-request/2"]);
    broker.kcat(&rides, key, r#"{"rider_id":"r","pickup":{"lat":40.7,"lng":-73.9},"tpi":1}"#, &[]);
    broker.kcat(&rides, key, r#"{"rider_id":"r","pickup":{"lat":0.0,"lng":0.0}}"#, &[]);
    broker.kcat(
        &rides,
        key,
        &json!({"ride_id": "ride-2", "cancel": {"by": "rider"}}).to_string(),
        &[],
    );
    broker.kcat(&rides, key, &json!({"cancel": {"by": "rider"}}).to_string(), &[]);
    broker.send(&rides, key, None).await;
    broker.kcat(&rides, key, &request("r-1"), &[]);
    broker.kcat(&rides, key, &request("somebody-else"), &[]);
    ride_is(&server, "ride-1", "searching").await;
    broker.until_committed(&rides).await;

    let letters = broker.read(&format!("{rides}.dlq"));
    let reasons: Vec<&str> = letters.iter().filter_map(|letter| header(letter, "reason")).collect();
    let expected = [
        "malformed_json",
        "oversized",
        "future_schema",
        "invalid_body",
        "not_serviceable",
        "key_mismatch",
        "unknown_ride",
        "no_value",
        "conflict",
    ];
    assert_eq!(reasons, expected, "in the order of their key");
    for (offset, letter) in letters.iter().enumerate() {
        assert_eq!(letter["key"], key);
        assert_eq!(header(letter, "source_topic"), Some(rides.as_str()));
        assert!(header(letter, "failed_at").is_some() && header(letter, "detail").is_some());
        let stands = header(letter, "source_offset").unwrap().parse::<usize>().unwrap();
        assert_eq!(stands, offset + usize::from(offset == 8), "the good one is left out");
    }
    let malformed = letter(&letters, "malformed_json");
    assert_eq!(malformed["payload"], "{ no json");
    assert_eq!(header(malformed, "correlation_id"), Some("c-7"));
    assert_eq!(header(malformed, "attempts"), Some("3"));
    assert_eq!(letter(&letters, "oversized")["payload"], large.to_string());
    assert!(header(letter(&letters, "invalid_body"), "detail").unwrap().contains("tpi"));
    assert_eq!(messages(&server, &rides, "dead_letter").await, 9.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_cannot_be_read_is_a_dead_letter_and_one_that_is_refused_is_counted() {
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let server = serve(folder.path(), &topics, &[]).await;
    server.put_driver("d-1").await;
    let locations = topics.locations();
    let now = jiff::Timestamp::now().as_millisecond();
    let own = |at: i64| json!({"lat": 40.75, "lng": -73.98, "at": at}).to_string();
    let several = json!({"points": [
        {"lat": 40.7501, "lng": -73.98, "at": now - 300}, {"lat": 40.7502, "lng": -73.98, "at": now - 200}
    ]});
    for (key, value) in [
        ("d-1", own(now - 500)),
        ("d-1", own(now - 600)),
        ("d-1", several.to_string()),
        ("d-1", own(now - 3_600_000)),
        ("d-1", json!({"lat": 95.0, "lng": 0.0, "at": now}).to_string()),
        ("nobody", tracked(40.75)),
        ("d-1", "\u{1}\u{2}".to_owned()),
        ("d-1", r#"{"ts":"2025-12-01T00:00:00Z"}"#.to_owned()),
    ] {
        topics.send(&locations, key, Some(value.as_bytes())).await;
    }
    topics.until_committed(&locations).await;
    let count = async |outcome: &str| {
        let name = format!(r#"muster_position_fixes_total{{outcome="{outcome}"}}"#);
        metric(&server, &name).await
    };
    assert_eq!(count("applied").await, 3.0);
    for outcome in ["out_of_order", "too_old", "out_of_range", "unknown_driver"] {
        assert_eq!(count(outcome).await, 1.0, "{outcome}");
    }
    let letters = topics.read(&format!("{locations}.dlq"));
    assert_eq!(letters.len(), 2);
    letter(&letters, "malformed_json");
    assert!(header(letter(&letters, "invalid_body"), "detail").unwrap().contains("pt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_and_put_back_once() {
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let server = serve(folder.path(), &topics, &[]).await;
    let (rides, dead) = (topics.rides(), format!("{}.dlq", topics.rides()));
    let cancel = json!({"cancel": {"by": "rider", "reason": "late"}}).to_string();
    topics.kcat(&rides, "ride-1", &cancel, &["correlation_id=c-1"]);
    // One after the other: letters of several partitions come in any order.
    topics.until_read(&dead, 1).await;
    topics.kcat(&rides, "ride-2", "no json", &[]);
    topics.until_read(&dead, 2).await;
    let listed = dlq(folder.path(), &topics, &["list"]);
    assert!(listed.contains("key ride-1  unknown_ride  attempts 1"), "{listed}");
    assert!(listed.contains("2 dead letters, 2 not put back"), "{listed}");
    let would = dlq(folder.path(), &topics, &["replay", "--dry-run", "--topic", &rides]);
    assert!(would.contains("2 would be put back, 0 left out"), "{would}");
    assert_eq!(topics.read(&rides).len(), 2, "a dry run wrote something");

    // What was missing is there; the cancel that came too early is put back and does its work.
    let body =
        json!({"ride_id": "ride-1", "rider_id": "r", "pickup": {"lat": 40.7484, "lng": -73.9857}});
    server.post("/v1/rides", body).await;
    let one = dlq(folder.path(), &topics, &["replay", "--topic", &dead, "--limit", "1"]);
    assert!(one.contains("1 put back"), "{one}");
    let rest = dlq(folder.path(), &topics, &["replay"]);
    assert!(rest.contains("1 put back"), "{rest}");
    ride_is(&server, "ride-1", "cancelled").await;

    let letters = topics.until_read(&dead, 3).await;
    let again = &letters[2];
    assert_eq!((header(again, "attempts"), &again["payload"]), (Some("2"), &json!("no json")));
    assert_eq!(letters.len(), 3);
    // What was put back is not put back again; what failed again is another letter.
    let would = dlq(folder.path(), &topics, &["replay", "--dry-run"]);
    assert!(would.contains("attempts 2") && would.contains("1 would be put back"), "{would}");
    let source = topics.read(&rides);
    let put_back = source.iter().find(|m| m["key"] == "ride-1" && header(m, "attempts").is_some());
    let put_back = put_back.unwrap();
    assert_eq!(header(put_back, "correlation_id"), Some("c-1"));
    assert_eq!((header(put_back, "reason"), &put_back["payload"]), (None, &json!(cancel)));
    let listed = dlq(folder.path(), &topics, &["list", "--topic", &rides]);
    assert!(listed.contains("3 dead letters, 1 not put back"), "{listed}");
}

#[test]
fn a_dlq_command_says_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str], brokers: &str| {
        let mut command = muster(folder.path());
        command.arg("dlq").args(args).env("MUSTER__KAFKA__BROKERS", brokers);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = run(&["list"], "");
    assert_eq!(code, Some(2));
    assert!(error.contains("kafka.brokers is empty"), "{error}");
    let (code, error) = run(&["replay", "--topic", "rides"], "127.0.0.1:9");
    assert_eq!(code, Some(2));
    assert!(error.contains("--topic is rides, allowed is location-updates"), "{error}");
}
