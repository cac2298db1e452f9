//! `muster kafka init`.

use crate::bridge::{Bridge, shared_broker};
use crate::server::muster;

#[test]
fn topics_are_created_once_and_differences_reported() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::new(shared_broker(), "init")
        .with("KAFKA__TOPICS__DRIVER_PROFILES", "init.profiles")
        .with("KAFKA__TOPICS__DLQ_SUFFIX", ".dead");
    let run = |args: &[&str]| {
        let output = bridge.init(folder.path(), args);
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let args = ["--partitions", "3", "--replication", "1", "--retention-h", "48"];
    let dry: Vec<&str> = args.iter().copied().chain(["--dry-run"]).collect();
    let (code, lines) = run(&dry);
    assert_eq!((code, lines.len()), (Some(0), 6), "{lines:?}");
    let profiles = "init.profiles: would be created: 3 partitions, replication 1, \
        cleanup.policy=compact";
    assert!(lines.contains(&profiles.to_owned()), "{lines:?}");
    let (code, lines) = run(&args);
    assert_eq!(code, Some(0), "{lines:?}");
    let events = "init.ride_events: created: 3 partitions, replication 1, \
        cleanup.policy=delete, retention.ms=172800000";
    assert!(lines.contains(&events.to_owned()), "a dry run created it: {lines:?}");
    let (code, lines) = run(&args);
    assert_eq!(code, Some(0), "{lines:?}");
    assert!(lines.iter().all(|line| line.ends_with(": exists")), "{lines:?}");
    assert!(lines.contains(&"init.profiles.dead: exists".to_owned()), "{lines:?}");
    let (code, lines) = run(&["--partitions", "5", "--replication", "1", "--retention-h", "24"]);
    assert_eq!(code, Some(1));
    let differs = "init.ride_events: exists and differs: partitions is 3, wanted is 5; \
        retention.ms is 172800000, wanted is 86400000";
    assert!(lines.contains(&differs.to_owned()), "{lines:?}");
}

#[test]
fn without_a_broker_there_is_nothing_to_create() {
    let folder = tempfile::tempdir().unwrap();
    let output = muster(folder.path()).args(["kafka", "init"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("kafka.brokers is empty"), "{error}");
}

#[test]
fn a_property_that_librdkafka_does_not_know_is_a_bad_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let output = muster(folder.path())
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env("MUSTER__KAFKA__BROKERS", "127.0.0.1:9")
        .env("MUSTER__KAFKA__PROPERTIES", r#"{ "no.such.property" = "1" }"#)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("kafka.properties") && error.contains("no.such.property"), "{error}");
}
