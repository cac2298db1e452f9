//! Policies that change while the server runs.

use muster_api::http::HttpLimits;
use muster_engine::policy::DispatchPolicy;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, server, server_on, server_with};

const POLICY: &str = "/v1/markets/nyc/policy";

async fn put(server: &Server, body: Value) -> Value {
    server.put(POLICY, body).await.ok()
}

#[actix_web::test]
async fn a_put_replaces_the_book_and_takes_the_configuration_for_what_it_leaves_out() {
    let server = server().await;
    let before = server.get(POLICY).await;
    assert_eq!(before.header("etag"), "\"0\"");
    let before = before.ok();
    assert_eq!((&before["version"], &before["cause"]), (&json!(0), &json!("configuration")));
    assert_eq!(before["policy"]["wave_size"], 3);
    let rule = json!({"name": "xl", "match": {"service_tier": "xl"}, "set": {"wave_size": 9}});
    let arm = json!({"name": "a", "weight": 1, "set": {"offer_ttl_ms": 9_000}});
    let body = json!({"policy": {"wave_size": 5}, "rules": [rule], "utc_offset_min": -300,
        "experiment": {"name": "ttl", "arms": [arm]}});
    let call = server.call(Method::PUT, POLICY).header("x-correlation-id", "change-1");
    let after = server.send(call.json(&body)).await;
    assert_eq!(after.header("etag"), "\"1\"");
    assert_eq!(server.get(POLICY).await.ok(), after.ok());
    let after = after.ok();
    assert_eq!((&after["version"], &after["correlation_id"]), (&json!(1), &json!("change-1")));
    assert_eq!((&after["cause"], &after["utc_offset_min"]), (&json!("api"), &json!(-300)));
    assert_eq!(
        (&after["policy"]["wave_size"], &after["policy"]["offer_ttl_ms"]),
        (&json!(5), &json!(15_000))
    );
    assert_eq!(after["rules"][0]["match"]["service_tier"], "xl");
    assert_eq!(after["experiment"]["arms"][0]["set"], json!({"offer_ttl_ms": 9_000}));
    assert_eq!(server.get("/v1/markets/nyc").await.ok()["policy"]["wave_size"], 5);
    let again = put(&server, json!({"policy": {"search_retry_ms": 500}})).await;
    assert_eq!((&again["policy"]["wave_size"], &again["rules"]), (&json!(3), &json!([])));
    assert_eq!(server.get("/v1/markets/sf/policy").await.ok()["version"], 0);
    server.get("/v1/markets/atlantis/policy").await.refused(404, "unknown_market");

    let history = server.get(&format!("{POLICY}/history")).await.ok();
    let changes = history["changes"].as_array().unwrap();
    assert_eq!(
        changes.iter().map(|c| c["version"].as_u64()).collect::<Vec<_>>(),
        [Some(2), Some(1)]
    );
    assert_eq!(
        (&changes[1]["before"]["policy"]["wave_size"], &changes[1]["correlation_id"]),
        (&json!(3), &json!("change-1"))
    );
    assert_eq!(changes[0]["before"], changes[1]["after"]);
    let newest = server.get(&format!("{POLICY}/history?limit=1")).await.ok();
    assert_eq!(newest["changes"], json!([changes[0]]));
}

#[actix_web::test]
async fn what_cannot_hold_is_refused_with_its_place_and_nothing_changes() {
    let server = server().await;
    let refused = async |body: Value, status, code: &str, pointer: &str, words: &str| {
        let problem = server.put(POLICY, body).await.refused(status, code);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    };
    let body = json!({"policy": {"wave_sise": 4}});
    refused(body, 400, "invalid_body", "/policy/wave_sise", "unknown field").await;
    let invalid = "validation_failed";
    let body = json!({"policy": {"wave_size": 0}});
    let words = "wave_size is 0, allowed is 1..=100";
    refused(body, 422, invalid, "/policy/wave_size", words).await;
    let body = json!({"policy": {"search_radius_m_min": 9_000}});
    refused(body, 422, invalid, "/policy/search_radius_m_max", "3000, allowed is").await;
    let rule = json!({"name": "r", "match": {}, "set": {"offer_ttl_ms": 1}});
    let words = "offer_ttl_ms is 1, allowed is 1000..=600000";
    refused(json!({"rules": [rule]}), 422, invalid, "/rules/0/set/offer_ttl_ms", words).await;
    let rule = json!({"name": "r", "set": {"wave_size": 2}});
    refused(json!({"rules": [rule, rule]}), 422, invalid, "/rules", "rule r is there twice").await;
    let arms: Vec<Value> = (0..17).map(|i| json!({"name": format!("a{i}"), "weight": 1})).collect();
    let body = json!({"experiment": {"name": "many", "arms": arms}});
    refused(body, 422, invalid, "/experiment", "16 arms").await;
    let body = json!({"experiment": {"name": "two words", "arms": []}});
    refused(body, 422, invalid, "/experiment", "named with something else").await;
    assert_eq!(server.get(POLICY).await.ok()["version"], 0);
    server.store.set_failing(true);
    server.put(POLICY, json!({})).await.refused(503, "store_unavailable");
    server.store.set_failing(false);
    assert_eq!(server.get(POLICY).await.ok()["version"], 0);
}

#[actix_web::test]
async fn a_put_for_another_version_is_refused() {
    let server = server().await;
    let change = async |tag: &str| {
        let call = server.call(Method::PUT, POLICY).header("if-match", tag);
        server.send(call.json(&json!({}))).await
    };
    change("\"1\"").await.refused(412, "version_mismatch");
    assert_eq!(change("\"0\"").await.ok()["version"], 1);
    let problem = change("\"0\"").await.refused(412, "version_mismatch");
    assert_eq!(problem["detail"], "version 1 is in force");
    assert_eq!(change("*").await.ok()["version"], 2);
    change("2").await.refused(400, "invalid_if_match");
}

#[actix_web::test]
async fn a_search_under_way_keeps_its_policy_and_the_next_ride_has_the_new_one() {
    let policy = DispatchPolicy { wave_size: 1, ..DispatchPolicy::default() };
    let server = server_with(policy, HttpLimits::default()).await;
    for (driver, lat) in [("d-1", 40.7486), ("d-2", 40.7488), ("d-3", 40.7490)] {
        server.driver(driver, lat, -73.9857).await;
    }
    let old = server.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
    let offer = server.offer("d-1").await;
    put(&server, json!({"policy": {"wave_size": 2}})).await;
    server.post(&format!("/v1/offers/{offer}/decline"), json!({"reason": "too_far"})).await.ok();
    let second = |ride: &Value| ride["wave"] == 2;
    let ride = server.until(&format!("/v1/rides/{old}"), second).await;
    assert_eq!(ride["offers"]["sent"], 2, "one more, although waves have two now: {ride}");
    let new = server.ride("r-2").await["ride_id"].as_str().unwrap().to_owned();
    let first = |ride: &Value| ride["wave"] == 1;
    let ride = server.until(&format!("/v1/rides/{new}"), first).await;
    assert_eq!(ride["offers"]["sent"], 2, "{ride}");
    for (ride, version) in [(old, 0), (new, 1)] {
        let explained = server.get(&format!("/v1/rides/{ride}/explain")).await.ok();
        assert_eq!(explained["attempts"][0]["policy"]["version"], version, "{explained}");
    }
}

#[actix_web::test]
async fn after_a_restart_the_stored_book_holds_until_the_configured_one_changes() {
    let configured = DispatchPolicy::default();
    let first = server_with(configured.clone(), HttpLimits::default()).await;
    put(&first, json!({"policy": {"wave_size": 7}})).await;
    let store = first.store.clone();
    let second = server_on(store.clone(), configured.clone(), HttpLimits::default()).await;
    let kept = second.get(POLICY).await.ok();
    assert_eq!((&kept["version"], &kept["policy"]["wave_size"]), (&json!(1), &json!(7)));
    let edited = DispatchPolicy { search_retry_ms: 900, ..configured };
    let third = server_on(store, edited, HttpLimits::default()).await;
    let replaced = third.get(POLICY).await.ok();
    assert_eq!((&replaced["version"], &replaced["cause"]), (&json!(2), &json!("file")));
    assert_eq!(replaced["policy"]["wave_size"], 3);
    let history = third.get(&format!("{POLICY}/history")).await.ok();
    assert_eq!(history["changes"][0]["before"]["policy"]["wave_size"], 7);
}
