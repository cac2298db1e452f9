//! Schema Registry framing, against a small server that speaks the registry's documented calls: no real
//! registry is at hand.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use crate::bridge::{Bridge, PATIENCE, drain, shared_broker};
use crate::kcat::first_bytes;
use crate::schemas::schema;

/// A registry that knows `known` subjects and gives ids from 258 on.
struct Registry {
    compatible: bool,
    known: bool,
    calls: Mutex<Vec<(String, Value)>>,
}

fn start(compatible: bool, known: bool) -> (String, Arc<Registry>) {
    let registry = Arc::new(Registry { compatible, known, calls: Mutex::default() });
    let data = web::Data::from(Arc::clone(&registry));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let app = move || {
                App::new()
                    .app_data(data.clone())
                    .app_data(web::PayloadConfig::new(1 << 20))
                    .route("/compatibility/subjects/{s}/versions/latest", web::post().to(check))
                    .route("/subjects/{s}/versions", web::post().to(register))
            };
            let server = HttpServer::new(app).workers(1).bind(("127.0.0.1", 0)).unwrap();
            tell.send(server.addrs()[0].port()).unwrap();
            server.disable_signals().run().await.unwrap();
        });
    });
    (format!("http://127.0.0.1:{}", told.recv().unwrap()), registry)
}

fn heard(registry: &Registry, call: &str, subject: &str, body: &[u8]) -> usize {
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body["schemaType"], "JSON");
    let mut calls = registry.calls.lock().unwrap();
    calls.push((format!("{call} {subject}"), body));
    calls.iter().filter(|(name, _)| name.starts_with("register")).count()
}

async fn check(
    registry: web::Data<Registry>,
    subject: web::Path<String>,
    body: web::Bytes,
) -> HttpResponse {
    heard(&registry, "check", &subject, &body);
    if !registry.known {
        return HttpResponse::NotFound()
            .json(json!({"error_code": 40401, "message": "no subject"}));
    }
    let answer = json!({"is_compatible": registry.compatible, "messages": ["a field is gone"]});
    HttpResponse::Ok().json(answer)
}

async fn register(
    registry: web::Data<Registry>,
    subject: web::Path<String>,
    body: web::Bytes,
) -> HttpResponse {
    let count = heard(&registry, "register", &subject, &body);
    HttpResponse::Ok().json(json!({"id": 257 + count}))
}

fn request() -> Value {
    json!({"ride_id": "r", "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_begin_with_the_id_of_their_schema() {
    let (url, registry) = start(true, false);
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::new(shared_broker(), "framed").with("KAFKA__RELAY__REGISTRY_URL", &url);
    bridge.create(folder.path());
    let server = bridge.serve(folder.path()).await;
    server.post("/v1/rides", request()).await;
    drain(server).await;
    let bytes = first_bytes(&bridge.brokers, &bridge.topic("ride_events"));
    // Magic byte, id in big endian, JSON.
    assert_eq!(bytes[..5], [0, 0, 0, 1, 2]);
    let body: Value = serde_json::from_slice(&bytes[5..]).unwrap();
    assert_eq!(body["type"], "ride_requested");
    let calls = registry.calls.lock().unwrap();
    let (call, put) = &calls[1];
    assert_eq!(call, "register framed.ride_events-value");
    let shipped: Value = serde_json::from_str(put["schema"].as_str().unwrap()).unwrap();
    assert_eq!(shipped, schema("ride-events.v1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_does_not_fit_is_not_registered_and_nothing_is_told() {
    let (url, registry) = start(false, true);
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::new(shared_broker(), "unfit")
        .with("KAFKA__RELAY__REGISTRY_URL", &url)
        .with("SERVER__DRAIN_WITHIN_MS", "2000");
    bridge.create(folder.path());
    let server = bridge.serve(folder.path()).await;
    assert_eq!(server.post("/v1/rides", request()).await.0, 202, "dispatch does not care");
    let began = std::time::Instant::now();
    while server.metric("muster_outbox_restarts_total").await < 2.0 {
        assert!(began.elapsed() < PATIENCE, "the relay does not ask again");
    }
    drain(server).await;
    assert_eq!(bridge.read("ride_events"), []);
    let calls = registry.calls.lock().unwrap();
    assert!(calls.iter().all(|(call, _)| call == "check unfit.ride_events-value"), "{calls:?}");
}
