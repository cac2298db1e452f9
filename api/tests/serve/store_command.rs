//! A city moves from a file to PostgreSQL.

use std::process::Output;

use muster_services::Postgres;
use serde_json::json;

use crate::phone::Phone;
use crate::server::{Server, muster};

fn text(output: &Output) -> String {
    String::from_utf8([output.stdout.clone(), output.stderr.clone()].concat()).unwrap()
}

#[tokio::test]
async fn a_city_moves_to_postgresql_with_its_rides() {
    let postgres = Postgres::start().unwrap();
    let (folder, url) = (tempfile::tempdir().unwrap(), postgres.database().unwrap());
    let run = |args: &[&str], url: &str| {
        let mut command = muster(folder.path());
        command.args(args).env("MUSTER__STORE__URL", url).output().unwrap()
    };
    let server = Server::start(folder.path(), &[]).await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    let request = json!({"ride_id": "ride-1", "rider_id": "r-1",
        "pickup": {"lat": 40.7484, "lng": -73.9857}, "dropoff": {"lat": 40.76, "lng": -73.98}});
    server.post("/v1/rides", request).await;
    let offer = phone.frame("offer").await["offer"]["offer_id"].clone();
    phone.say(json!({"type": "accept", "offer_id": offer})).await;
    phone.frame("assigned").await;
    assert!(tokio::task::spawn_blocking(move || server.terminate()).await.unwrap().success());

    let missing = run(&["migrate", "--check"], &url);
    assert_eq!(missing.status.code(), Some(1), "{}", text(&missing));
    assert!(text(&missing).contains("0001 dispatch: missing"), "{}", text(&missing));
    assert!(run(&["migrate"], &url).status.success());
    assert!(run(&["migrate", "--check"], &url).status.success());

    let exported = run(&["export", "city.jsonl.zst"], "");
    assert!(exported.status.success(), "{}", text(&exported));
    assert!(!run(&["export", "city.jsonl.zst"], "").status.success(), "no file is overwritten");
    let imported = run(&["import", "city.jsonl.zst"], &url);
    assert!(imported.status.success(), "{}", text(&imported));
    let twice = run(&["import", "city.jsonl.zst"], &url);
    assert_eq!(twice.status.code(), Some(1));
    assert!(text(&twice).contains("not empty"), "{}", text(&twice));

    let server = Server::start(folder.path(), &[("MUSTER__STORE__URL", &url)]).await;
    let (_, ride) = server.get("/v1/rides/ride-1").await;
    assert_eq!(
        (&ride["status"], &ride["driver"]["driver_id"]),
        (&json!("assigned"), &json!("d-1"))
    );
    for step in ["arrived", "start", "complete"] {
        let path = format!("/v1/rides/ride-1/{step}");
        let (status, answer) = server.post(&path, json!({"otp": ride["otp"]})).await;
        assert_eq!(status, 200, "{answer}");
    }
    let train = ["values", "train", "--market", "nyc", "--store", "--output", "values.csv"];
    let trained = run(&train, &url);
    assert!(text(&trained).starts_with("rides         1\n"), "{}", text(&trained));
}
