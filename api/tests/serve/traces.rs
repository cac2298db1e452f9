//! Traces: a real collector's side of OTLP over HTTP, and what reaches it.

use std::process::Command;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use actix_web::{App, HttpResponse, HttpServer, web};
use muster_services::Kafka;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;

use crate::phone::Phone;
use crate::server::{PATIENCE, Server, muster};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const UNSAMPLED: &str = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Takes spans as a collector does, on a port of its own.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    handle: actix_web::dev::ServerHandle,
}

impl Collector {
    fn start() -> Self {
        let spans: Arc<Mutex<Vec<Span>>> = Arc::default();
        let (started, told) = mpsc::channel();
        let taken = Arc::clone(&spans);
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let taken = web::Data::from(taken);
                let app = move || {
                    App::new().app_data(taken.clone()).route("/v1/traces", web::post().to(take))
                };
                let server = HttpServer::new(app).workers(1).disable_signals();
                let server = server.bind(("127.0.0.1", 0)).unwrap();
                let port = server.addrs()[0].port();
                let server = server.run();
                started.send((port, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (port, handle) = told.recv().unwrap();
        Self { url: format!("http://127.0.0.1:{port}"), spans, handle }
    }

    /// The spans so far, once `enough` of them are there.
    async fn until(&self, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        let began = Instant::now();
        loop {
            let spans = self.spans.lock().unwrap().clone();
            if enough(&spans) {
                return spans;
            }
            assert!(began.elapsed() < PATIENCE, "{:?}", names(&spans));
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

async fn take(spans: web::Data<Mutex<Vec<Span>>>, body: web::Bytes) -> HttpResponse {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let of_scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    spans.lock().unwrap().extend(of_scopes.flat_map(|scope| scope.spans));
    HttpResponse::Ok().content_type("application/x-protobuf").body(Vec::new())
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn request(server: &Server, ride: &str, traceparent: Option<&str>) -> String {
    let body = json!({"ride_id": ride, "rider_id": "r-1",
        "pickup": {"lat": 40.7484, "lng": -73.9857}});
    let request = reqwest::Client::new().post(format!("{}/v1/rides", server.url())).json(&body);
    let request = match traceparent {
        Some(parent) => request.header("traceparent", parent),
        None => request,
    };
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    answer.headers()["traceparent"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_request_continues_the_trace_of_its_caller() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let env = [("MUSTER__TELEMETRY__OTLP_ENDPOINT", collector.url.as_str())];
    let server = Server::start(folder.path(), &env).await;
    assert_eq!(request(&server, "ride-0", Some(UNSAMPLED)).await, UNSAMPLED);
    assert_eq!(request(&server, "ride-1", Some(PARENT)).await, PARENT);
    let posted = |spans: &[Span]| names(spans).contains(&"POST /v1/rides");
    let spans = collector.until(posted).await;
    let span = spans.iter().find(|span| span.name == "POST /v1/rides").unwrap();
    assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7");
    let others = spans.iter().filter(|span| span.trace_id != spans[0].trace_id).count();
    assert_eq!(others, 0, "a caller who does not keep his trace decides for us too");
    let status = |span: &Span| span.attributes.iter().any(|a| a.key == "http.response.status_code");
    assert!(status(span) && span.end_time_unix_nano >= span.start_time_unix_nano);
}

#[tokio::test]
async fn a_trace_leads_from_the_request_over_turns_to_their_commits() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    // Else some of the calls made while the phone comes online would be traced for themselves.
    let env = [
        ("MUSTER__TELEMETRY__OTLP_ENDPOINT", collector.url.as_str()),
        ("MUSTER__TELEMETRY__SAMPLE_RATIO", "0"),
    ];
    let server = Server::start(folder.path(), &env).await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    request(&server, "ride-1", Some(PARENT)).await;
    phone.frame("offer").await;
    let offered = |spans: &[Span]| {
        ["POST /v1/rides", "ride turn", "ride commit", "driver turn"]
            .iter()
            .all(|name| names(spans).contains(name))
    };
    let spans = collector.until(offered).await;
    assert_eq!(chain(&spans, "ride commit"), ["ride commit", "ride turn", "POST /v1/rides"]);
    assert_eq!(chain(&spans, "driver turn"), ["driver turn", "ride turn", "POST /v1/rides"]);
}

#[tokio::test]
async fn a_trace_leads_on_to_what_the_platform_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let kafka = Kafka::start().unwrap();
    let brokers = kafka.bootstrap();
    let created = muster(folder.path())
        .args(["kafka", "init", "--partitions", "1"])
        .env("MUSTER__KAFKA__BROKERS", &brokers)
        .output()
        .unwrap();
    assert!(created.status.success(), "{created:?}");
    let collector = Collector::start();
    let env = [
        ("MUSTER__TELEMETRY__OTLP_ENDPOINT", collector.url.as_str()),
        ("MUSTER__KAFKA__BROKERS", brokers.as_str()),
    ];
    let server = Server::start(folder.path(), &env).await;
    request(&server, "ride-1", Some(PARENT)).await;
    let published = |spans: &[Span]| {
        ["POST /v1/rides", "ride turn", "ride commit", "publish"]
            .iter()
            .all(|name| names(spans).contains(name))
    };
    let spans = collector.until(published).await;
    let wanted = ["publish", "ride commit", "ride turn", "POST /v1/rides"];
    assert_eq!(chain(&spans, "publish"), wanted);
    let args = ["-C", "-b", &brokers, "-t", "ride-events", "-o", "beginning", "-e", "-q"];
    let read = Command::new("kcat").args(args).args(["-f", "%h\n"]).output().unwrap();
    let headers = String::from_utf8(read.stdout).unwrap();
    let publish = spans.iter().find(|span| span.name == "publish").unwrap();
    let own = format!("traceparent=00-{}-{}-01", hex(&publish.trace_id), hex(&publish.span_id));
    assert!(headers.contains(&own), "{own} is not in {headers}");
}

/// The first span of this name and those above it, all of the caller's trace, up to the caller.
fn chain<'a>(spans: &'a [Span], name: &str) -> Vec<&'a str> {
    assert!(spans.iter().all(|span| hex(&span.trace_id) == "4bf92f3577b34da6a3ce929d0e0e4736"));
    let parent = |span: &Span| spans.iter().find(|other| other.span_id == span.parent_span_id);
    let mut span = spans.iter().find(|span| span.name == name).unwrap();
    let mut chain = vec![span.name.as_str()];
    while let Some(above) = parent(span) {
        chain.push(above.name.as_str());
        span = above;
    }
    assert_eq!(hex(&span.parent_span_id), "00f067aa0ba902b7", "{chain:?}");
    chain
}

#[tokio::test]
async fn the_last_spans_are_sent_before_the_process_ends() {
    let folder = tempfile::tempdir().unwrap();
    let collector = Collector::start();
    let env = [
        ("MUSTER__TELEMETRY__OTLP_ENDPOINT", collector.url.as_str()),
        ("MUSTER__TELEMETRY__SAMPLE_RATIO", "1"),
    ];
    let server = Server::start(folder.path(), &env).await;
    let drawn = request(&server, "ride-1", None).await;
    let end = tokio::task::spawn_blocking(move || server.terminate()).await.unwrap();
    assert!(end.success());
    let spans = collector.spans.lock().unwrap().clone();
    let span = spans.iter().find(|span| span.name == "POST /v1/rides").expect("sent at the end");
    let own = format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
    assert_eq!((own, span.parent_span_id.len()), (drawn, 0), "the caller is told his trace");
    assert!(!names(&spans).iter().any(|name| name.contains("readyz")), "{:?}", names(&spans));
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_spans_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{gone}");
    let env = [
        ("MUSTER__TELEMETRY__OTLP_ENDPOINT", url.as_str()),
        ("MUSTER__TELEMETRY__SAMPLE_RATIO", "1"),
    ];
    let server = Server::start(folder.path(), &env).await;
    request(&server, "ride-1", None).await;
    let failed = |_, text: &serde_json::Value| {
        let sample = "muster_trace_spans_total{outcome=\"failed\"} ";
        text.as_str().unwrap().lines().any(|line| {
            line.strip_prefix(sample).is_some_and(|count| count.parse::<f64>().unwrap() > 0.0)
        })
    };
    server.until("/metrics", failed).await;
    let end = tokio::task::spawn_blocking(move || server.terminate()).await.unwrap();
    assert!(end.success());
}
