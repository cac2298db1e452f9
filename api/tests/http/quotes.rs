//! Quotes over HTTP: a driver asks a fare, the rider looks and chooses.

use muster_api::http::HttpLimits;
use muster_engine::policy::{DispatchMode, DispatchPolicy};
use serde_json::{Value, json};

use crate::server::{Server, server_with};

fn quotes() -> DispatchPolicy {
    DispatchPolicy {
        mode: DispatchMode::Quotes,
        quote_fare_permille_min: 900,
        quote_fare_permille_max: 1_200,
        ..DispatchPolicy::default()
    }
}

fn usd(amount: u64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

impl Server {
    async fn ride_for(&self, fare: Option<Value>) -> String {
        let mut body = json!({"rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857}});
        if let Some(fare) = fare {
            body["fare"] = fare;
        }
        let ride = self.post("/v1/rides", body).await.ok();
        ride["ride_id"].as_str().unwrap().to_owned()
    }

    /// The quote of a driver who accepts for `fare`.
    async fn quote(&self, driver: &str, fare: u64) -> String {
        let offer = self.offer(driver).await;
        let body = json!({"fare": usd(fare)});
        let answer = self.post(&format!("/v1/offers/{offer}/accept"), body).await.ok();
        assert_eq!((&answer["result"], &answer["quote"]["fare"]), (&json!("quoted"), &usd(fare)));
        offer
    }
}

#[actix_web::test]
async fn the_rider_sees_two_quotes_chooses_one_and_the_ride_costs_what_was_quoted() {
    let server = server_with(quotes(), HttpLimits::default()).await;
    server.driver("d-1", 40.7500, -73.9870).await;
    server.driver("d-2", 40.7510, -73.9870).await;
    let ride = server.ride_for(Some(usd(1_000))).await;
    let path = format!("/v1/rides/{ride}");
    let offer = server.offer("d-1").await;
    let shown = server.get("/v1/drivers/d-1/offers").await.ok()["offers"][0].clone();
    assert_eq!((&shown["kind"], &shown["fare_min"]), (&json!("quote"), &usd(900)));
    assert_eq!((&shown["fare_max"], &shown["quoted_fare"]), (&usd(1_200), &json!(null)));
    assert_eq!(server.get(&format!("{path}/quotes")).await.ok()["quotes"], json!([]));

    let first = server.quote("d-1", 1_100).await;
    assert_eq!(first, offer);
    let second = server.quote("d-2", 900).await;
    let list = server.get(&format!("{path}/quotes")).await.ok();
    let fares: Vec<_> = list["quotes"].as_array().unwrap().iter().map(|q| &q["fare"]).collect();
    assert_eq!(fares, [&usd(1_100), &usd(900)], "oldest first");
    assert_eq!(list["quotes"][1]["quote_id"], second);
    assert_eq!(list["quotes"][1]["vehicle"]["plate"], "T123456C");
    let waiting = server.get("/v1/drivers/d-2").await.ok();
    assert_eq!(waiting["status"], "reserved");
    assert_eq!(waiting["offers"][0]["quoted_fare"], usd(900));
    let view = server.get(&path).await.ok();
    assert_eq!((&view["status"], &view["offers"]["live"]), (&json!("searching"), &json!(0)));
    assert_eq!(view["quotes"].as_array().unwrap().len(), 2);

    let select = format!("{path}/quotes/{second}/select");
    let won = server.tell(&select).await.ok();
    assert_eq!((&won["status"], &won["driver"]["driver_id"]), (&json!("assigned"), &json!("d-2")));
    assert_eq!((&won["fare"], &won["quotes"]), (&usd(900), &json!(null)));
    assert_eq!(
        server.tell(&select).await.ok()["version"],
        won["version"],
        "a repeat changes nothing"
    );
    let other = server.tell(&format!("{path}/quotes/{first}/select")).await;
    other.refused(409, "ride_already_assigned");
    server.until("/v1/drivers/d-1", |driver| driver["status"] == "available").await;
    let driver = server.get("/v1/drivers/d-2").await.ok();
    assert_eq!((&driver["status"], &driver["ride_id"]), (&json!("en_route"), &json!(ride)));
}

#[actix_web::test]
async fn a_fare_that_is_not_taken_is_refused_by_name_and_the_offer_stays() {
    let server = server_with(quotes(), HttpLimits::default()).await;
    server.driver("d-1", 40.7500, -73.9870).await;
    server.ride_for(Some(usd(1_000))).await;
    let offer = server.offer("d-1").await;
    let accept = format!("/v1/offers/{offer}/accept");
    for fare in [usd(899), usd(1_201), json!({"amount": 1_000, "currency": "INR"})] {
        let refused = server.post(&accept, json!({"fare": fare})).await;
        let problem = refused.refused(422, "fare_out_of_bounds");
        assert_eq!(problem["errors"][0]["pointer"], "/fare");
    }
    let shape = server.post(&accept, json!({"fare": {"amount": 1, "currency": "usd"}})).await;
    let problem = shape.refused(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/fare/currency");
    server.post(&accept, json!({"fair": 1})).await.refused(400, "invalid_body");
    assert_eq!(server.offer("d-1").await, offer);
    let answer = server.tell(&accept).await.ok();
    assert_eq!(answer["quote"]["fare"], usd(1_000), "without one the requested fare is asked");
}

#[actix_web::test]
async fn a_ride_without_a_fare_takes_any_but_needs_one() {
    let server = server_with(quotes(), HttpLimits::default()).await;
    server.driver("d-1", 40.7500, -73.9870).await;
    let ride = server.ride_for(None).await;
    let offer = server.offer("d-1").await;
    let accept = format!("/v1/offers/{offer}/accept");
    server.tell(&accept).await.refused(422, "fare_required");
    let quote = server.quote("d-1", 77_700).await;
    let won = server.tell(&format!("/v1/rides/{ride}/quotes/{quote}/select")).await.ok();
    assert_eq!(won["fare"], usd(77_700));
}

#[actix_web::test]
async fn an_accept_that_wins_the_ride_takes_no_fare() {
    let server = server_with(DispatchPolicy::default(), HttpLimits::default()).await;
    server.driver("d-1", 40.7500, -73.9870).await;
    server.ride_for(Some(usd(1_000))).await;
    let offer = server.offer("d-1").await;
    let accept = format!("/v1/offers/{offer}/accept");
    let refused = server.post(&accept, json!({"fare": usd(1_000)})).await;
    refused.refused(422, "fare_not_negotiable");
    assert_eq!(server.tell(&accept).await.ok()["result"], "won");
}

#[actix_web::test]
async fn quotes_that_cannot_be_chosen_say_why() {
    let short = DispatchPolicy { quote_ttl_ms: 1_000, ..quotes() };
    let server = server_with(short, HttpLimits::default()).await;
    server.driver("d-1", 40.7500, -73.9870).await;
    server.driver("d-2", 40.7510, -73.9870).await;
    let ride = server.ride_for(Some(usd(1_000))).await;
    let path = format!("/v1/rides/{ride}/quotes");
    let gone = server.quote("d-1", 1_000).await;
    server.post("/v1/drivers/d-1/status", json!({"status": "offline"})).await.ok();
    server.until(&path, |list| list["quotes"] == json!([])).await;
    let refused = server.tell(&format!("{path}/{gone}/select")).await;
    refused.refused(409, "quote_unavailable");
    let late = server.quote("d-2", 1_000).await;
    server.until(&path, |list| list["quotes"] == json!([])).await;
    server.tell(&format!("{path}/{late}/select")).await.refused(409, "quote_expired");
    server.until("/v1/drivers/d-2", |driver| driver["status"] == "available").await;
    server.tell(&format!("{path}/nobody/select")).await.refused(404, "unknown_quote");
    server.tell(&format!("{path}/no%20id/select")).await.refused(404, "unknown_quote");
    server.tell("/v1/rides/nothing/quotes/x/select").await.refused(404, "unknown_ride");
    server.get("/v1/rides/nothing/quotes").await.refused(404, "unknown_ride");
}

#[actix_web::test]
async fn a_driver_takes_his_quote_back_by_declining_the_offer() {
    let server = server_with(quotes(), HttpLimits::default()).await;
    server.driver("d-1", 40.7500, -73.9870).await;
    let ride = server.ride_for(Some(usd(1_000))).await;
    let quote = server.quote("d-1", 1_000).await;
    let driver = server.tell(&format!("/v1/offers/{quote}/decline")).await.ok();
    assert_eq!((&driver["status"], &driver["offers"]), (&json!("available"), &json!([])));
    let path = format!("/v1/rides/{ride}/quotes");
    server.until(&path, |list| list["quotes"] == json!([])).await;
    server.tell(&format!("{path}/{quote}/select")).await.refused(409, "quote_unavailable");
}

#[actix_web::test]
async fn history_shows_quotes_as_they_come_and_go() {
    let server = server_with(quotes(), HttpLimits::default()).await;
    server.driver("d-1", 40.7500, -73.9870).await;
    let ride = server.ride_for(Some(usd(1_000))).await;
    let quote = server.quote("d-1", 1_000).await;
    server.tell(&format!("/v1/offers/{quote}/decline")).await.ok();
    let path = format!("/v1/rides/{ride}");
    server.until(&format!("{path}/quotes"), |list| list["quotes"] == json!([])).await;
    server.post(&format!("{path}/cancel"), json!({"by": "rider"})).await.ok();
    let events = server.get(&format!("{path}/events")).await.text;
    let kinds: Vec<_> = events.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert!(kinds.contains(&"quote_received") && kinds.contains(&"quote_ended"), "{kinds:?}");
    let received = events.split("\n\n").find(|event| event.contains("quote_received")).unwrap();
    assert!(received.contains(&quote), "{received}");
}

#[actix_web::test]
async fn tiers_of_a_driver_who_is_not_asked_must_be_on_sale() {
    let server = server_with(quotes(), HttpLimits::default()).await;
    let put = async |tiers: Value| {
        let body = json!({"market": "nyc", "service_tiers": ["standard"],
            "preferences": {"instant_tiers": tiers}});
        server.put("/v1/drivers/d-1", body).await
    };
    put(json!(["boat"])).await.refused(422, "unknown_service_tier");
    let problem = put(json!("standard")).await.refused(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/preferences/instant_tiers");
    let driver = put(json!(["standard"])).await.ok();
    assert_eq!(driver["preferences"]["instant_tiers"], json!(["standard"]));
}
