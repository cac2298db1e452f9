//! `Idempotency-Key`: one effect, one answer.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, server};

fn request(rider: &str) -> Value {
    json!({"rider_id": rider, "pickup": {"lat": 40.7484, "lng": -73.9857}})
}

async fn keyed(server: &Server, key: &str, path: &str, body: Value) -> Answer {
    let call = server.call(Method::POST, path).header("idempotency-key", key);
    server.send(call.json(&body)).await
}

#[actix_web::test]
async fn a_repeat_is_answered_with_the_first_answer() {
    let server = server().await;
    let first = keyed(&server, "k-1", "/v1/rides", request("r-1")).await;
    assert_eq!(first.status, 202);
    let again = keyed(&server, "k-1", "/v1/rides", request("r-1")).await;
    assert_eq!((again.status, &again.text), (202, &first.text));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    assert_ne!(again.header("x-correlation-id"), first.header("x-correlation-id"));
    assert_eq!(server.store.ride_count(), 1);

    let retry = format!("{}/retry", first.header("location"));
    let second = keyed(&server, "k-2", &retry, json!({})).await.ok();
    assert_eq!(second["attempt"], 2);
    assert_eq!(keyed(&server, "k-2", &retry, json!({})).await.ok(), second);
}

#[actix_web::test]
async fn a_refusal_is_repeated_too() {
    let server = server().await;
    let body = json!({"rider_id": "r-1", "pickup": {"lat": 0, "lng": 0}});
    let first = keyed(&server, "k-1", "/v1/rides", body.clone()).await;
    first.refused(422, "not_serviceable");
    let again = keyed(&server, "k-1", "/v1/rides", body).await;
    assert_eq!((again.status, &again.text), (422, &first.text));
    assert_eq!(again.header("content-type"), "application/problem+json");
}

#[actix_web::test]
async fn a_key_is_good_for_one_call_only() {
    let server = server().await;
    keyed(&server, "k-1", "/v1/rides", request("r-1")).await.ok();
    let other = keyed(&server, "k-1", "/v1/rides", request("r-2")).await;
    other.refused(422, "idempotency_key_reused");
    let elsewhere = keyed(&server, "k-1", "/v1/rides/x/retry", request("r-1")).await;
    elsewhere.refused(422, "idempotency_key_reused");
    for key in ["", "two words", &"x".repeat(256)] {
        let refused = keyed(&server, key, "/v1/rides", request("r-1")).await;
        refused.refused(400, "invalid_idempotency_key");
    }
    assert_eq!(server.store.ride_count(), 1);
}

#[actix_web::test]
async fn a_call_that_is_being_worked_on_is_not_begun_twice() {
    let server = server().await;
    server.store.set_open(false);
    let path = format!("{}/v1/rides", server.base);
    let call = reqwest::Client::new().post(path).header("idempotency-key", "k-1");
    let first = actix_web::rt::spawn(call.json(&request("r-1")).send());
    let second = loop {
        // Until the first call is in, this one is the first; both wait for the gate then.
        let call = server.call(Method::POST, "/v1/rides").header("idempotency-key", "k-1");
        let call = call.json(&request("r-1")).timeout(std::time::Duration::from_millis(250));
        if let Ok(response) = call.send().await {
            break response;
        }
    };
    assert_eq!(second.status(), 409);
    assert_eq!(second.headers()["retry-after"], "1");
    let problem: Value = second.json().await.unwrap();
    assert_eq!(problem["code"], "request_in_progress");
    server.store.set_open(true);
    let first = first.await.unwrap().unwrap();
    assert!([202, 409].contains(&first.status().as_u16()), "{first:?}");
    let settled = async {
        loop {
            let again = keyed(&server, "k-1", "/v1/rides", request("r-1")).await;
            if again.status != 409 {
                break again;
            }
        }
    };
    assert_eq!(settled.await.status, 202);
    assert_eq!(server.store.ride_count(), 1);
}

#[actix_web::test]
async fn a_ride_is_found_by_its_key_when_its_answer_was_not_saved() {
    let server = server().await;
    server.store.set_forgetful(true);
    let first = keyed(&server, "k-1", "/v1/rides", request("r-1")).await;
    server.store.set_forgetful(false);
    let again = keyed(&server, "k-1", "/v1/rides", request("r-1")).await;
    assert_eq!(again.status, 202);
    assert_eq!(again.json()["ride_id"], first.json()["ride_id"]);
    assert_eq!(server.store.ride_count(), 1);
    server.store.set_forgetful(true);
    keyed(&server, "k-2", "/v1/rides", request("r-2")).await.ok();
    let other = keyed(&server, "k-2", "/v1/rides", request("r-3")).await;
    other.refused(422, "idempotency_key_reused");
}

#[actix_web::test]
async fn an_answer_that_blames_the_server_is_not_kept() {
    let server = server().await;
    server.put("/v1/drivers/d-1", crate::server::profile()).await.ok();
    let ride = server.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/rides/{ride}/cancel");
    server.store.set_failing(true);
    let failed = keyed(&server, "k-1", &path, json!({"by": "rider"})).await;
    failed.refused(503, "store_unavailable");
    server.store.set_failing(false);
    let done = keyed(&server, "k-1", &path, json!({"by": "rider"})).await;
    assert_eq!(done.ok()["status"], "cancelled");
}

#[actix_web::test]
async fn a_call_that_timed_out_is_found_by_its_key_once_it_is_durable() {
    let server = server().await;
    server.store.set_open(false);
    let body =
        json!({"ride_id": "slow-1", "rider_id": "r-1", "pickup": {"lat": 40.75, "lng": -73.98}});
    let call = || keyed(&server, "slow", "/v1/rides", body.clone());
    call().await.refused(503, "timed_out");
    // The ride is in memory and nobody may be told of it yet: not a conflict with itself.
    call().await.refused(503, "timed_out");
    server.store.set_open(true);
    loop {
        let answer = call().await;
        if answer.status == 202 {
            assert_eq!(answer.json()["ride_id"], "slow-1");
            break;
        }
        answer.refused(503, "timed_out");
    }
    keyed(&server, "other", "/v1/rides", body.clone()).await.refused(409, "ride_already_exists");
}
