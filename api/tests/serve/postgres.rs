//! PostgreSQL is killed, paused and restarted under a server with rides in progress.

use muster_services::Postgres;
use serde_json::{Value, json};

use crate::phone::Phone;
use crate::server::{Server, muster};

fn request(ride: &str) -> Value {
    json!({"ride_id": ride, "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857}})
}

/// A server on a database of its own, and what starts another one there.
async fn serve(postgres: &Postgres) -> (tempfile::TempDir, String, Server) {
    let (folder, url) = (tempfile::tempdir().unwrap(), postgres.database().unwrap());
    let server = Server::start(folder.path(), &env(&url)).await;
    (folder, url, server)
}

fn env(url: &str) -> [(&str, &str); 4] {
    [
        ("MUSTER__STORE__URL", url),
        ("MUSTER__STORE__CONNECT_TIMEOUT_MS", "1000"),
        ("MUSTER__STORE__STATEMENT_TIMEOUT_MS", "2000"),
        ("MUSTER__SERVER__RIDE_REQUESTS_PER_RIDER_PER_MIN", "100000"),
    ]
}

/// A ride that driver `d-1` has accepted.
async fn assigned(server: &Server, ride: &str) -> Phone {
    let (mut phone, _) = Phone::online(server, "d-1", 40.7490).await;
    assert_eq!(server.post("/v1/rides", request(ride)).await.0, 202);
    let offer = phone.frame("offer").await["offer"]["offer_id"].clone();
    phone.say(json!({"type": "accept", "offer_id": offer})).await;
    assert_eq!(phone.frame("assigned").await["ride"]["ride_id"], ride);
    phone
}

async fn status(server: &Server, ride: &str) -> Value {
    server.get(&format!("/v1/rides/{ride}")).await.1["status"].clone()
}

/// Nothing can be made durable: new rides are refused, and what was told stays as it was told.
async fn is_down(server: &Server) {
    for n in 0..3 {
        let ride = format!("ride-while-down-{n}");
        let (code, problem) = server.post("/v1/rides", request(&ride)).await;
        assert_eq!(code, 503, "{problem}");
    }
    let (code, problem) = server.post("/v1/rides/ride-1/arrived", json!({})).await;
    assert_eq!(code, 503, "{problem}");
    assert_eq!(status(server, "ride-1").await, "assigned", "nothing undurable is told");
    assert_eq!(server.get("/healthz").await.0, 200);
}

/// Everything goes on by itself, up to the end of the ride.
async fn recovers(server: &Server) {
    let mut tries = 0;
    let asked = std::time::Instant::now();
    while server.post("/v1/rides", request(&format!("ride-after-{tries}"))).await.0 != 202 {
        tries += 1;
        assert!(asked.elapsed() < std::time::Duration::from_secs(60), "the store never came back");
    }
    let otp = server.get("/v1/rides/ride-1").await.1["otp"].clone();
    let steps = [
        ("arrived", json!({}), "arrived"),
        ("start", json!({"otp": otp}), "in_progress"),
        ("complete", json!({}), "completed"),
    ];
    for (step, body, after) in steps {
        let asked = std::time::Instant::now();
        while status(server, "ride-1").await != after {
            let answer = server.post(&format!("/v1/rides/ride-1/{step}"), body.clone()).await;
            assert!(asked.elapsed() < std::time::Duration::from_secs(60), "{step}: {answer:?}");
        }
    }
}

/// History has no gap and no repeat, and the newest event is the state that was told.
fn is_consistent(postgres: &Postgres, url: &str) {
    let database = url.rsplit('/').next().unwrap();
    let gaps = "SELECT COUNT(*) FROM (SELECT ride_id, COUNT(*) AS n, MIN(seq) AS first, \
        MAX(seq) AS last FROM muster.ride_events GROUP BY ride_id) e \
        JOIN muster.rides r USING (ride_id) WHERE n <> last OR first <> 1 OR last <> r.version";
    assert_eq!(postgres.sql(database, gaps).unwrap().trim(), "0");
    let orphans = "SELECT COUNT(*) FROM muster.ride_events e LEFT JOIN muster.rides r USING (ride_id) \
        WHERE r.ride_id IS NULL";
    assert_eq!(postgres.sql(database, orphans).unwrap().trim(), "0");
    let last = "SELECT status FROM muster.rides WHERE ride_id = 'ride-1'";
    assert_eq!(postgres.sql(database, last).unwrap().trim(), "completed");
}

#[tokio::test]
async fn a_database_that_crashes_under_a_ride_takes_nothing_that_was_told() {
    let mut postgres = Postgres::start().unwrap();
    let (_folder, url, server) = serve(&postgres).await;
    let _phone = assigned(&server, "ride-1").await;
    for _round in 0..2 {
        postgres.kill().unwrap();
        is_down(&server).await;
        postgres.restart().unwrap();
    }
    recovers(&server).await;
    is_consistent(&postgres, &url);
}

#[tokio::test]
async fn a_database_that_stops_answering_under_a_ride_hangs_nobody() {
    let postgres = Postgres::start().unwrap();
    let (folder, url, server) = serve(&postgres).await;
    let phone = assigned(&server, "ride-1").await;
    postgres.pause().unwrap();
    is_down(&server).await;
    postgres.resume().unwrap();
    recovers(&server).await;
    is_consistent(&postgres, &url);
    drop(phone);

    server.kill();
    let again = Server::start(folder.path(), &env(&url)).await;
    assert_eq!(status(&again, "ride-1").await, "completed");
}

#[tokio::test]
async fn a_server_that_is_killed_comes_back_from_the_database() {
    let postgres = Postgres::start().unwrap();
    let (folder, url, server) = serve(&postgres).await;
    let _phone = assigned(&server, "ride-1").await;
    server.kill();
    let server = Server::start(folder.path(), &env(&url)).await;
    let (_, ride) = server.get("/v1/rides/ride-1").await;
    assert_eq!(
        (&ride["status"], &ride["driver"]["driver_id"]),
        (&json!("assigned"), &json!("d-1"))
    );
    recovers(&server).await;
    assert!(!folder.path().join("data/muster.db").exists(), "nothing is in a file");
}

#[test]
fn a_database_that_is_not_there_ends_the_start_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = muster(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let port = muster_services::free_port().unwrap();
    let url = format!("postgres://muster:sesame@127.0.0.1:{port}/muster");
    let output = command.env("MUSTER__STORE__URL", url).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the store cannot be opened"), "{said}");
    assert!(!said.contains("sesame"), "{said}");
    let mut command = muster(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let output = command.env("MUSTER__STORE__URL", "mysql://muster:sesame@db/muster").output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("store.url") && !said.contains("sesame"), "{said}");
}
