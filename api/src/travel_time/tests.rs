//! Servers of travel times that answer, are slow, fail, or talk nonsense.

use std::sync::{Arc, Mutex};

use muster_engine::geo::Position;
use muster_engine::id::MarketId;
use muster_engine::time::Timestamp;
use muster_engine::travel::{Approach, EtaSource, Travel, TravelTime};
use muster_engine::units::Meters;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::ExternalTimes;
use crate::config::{TravelProvider, TravelTimeSection};
use crate::telemetry::{self, Metrics};

/// What a server does with a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    /// Ten seconds and a hundred metres for the first place, twice as much for the second, ...
    Answers,
    /// As that, but there is no way from the first place.
    KnowsNoWay,
    NeverAnswers,
    Fails,
    Says(&'static str),
}

/// A server on a port of its own, and what it was asked.
struct Case {
    runtime: Runtime,
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    metrics: Arc<Metrics>,
}

impl Case {
    fn new(manner: Manner) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner, Arc::clone(&log)));
            }
        });
        Self { runtime, url, asked, metrics: Metrics::new() }
    }

    fn times(&self, provider: TravelProvider, with_streets: bool) -> ExternalTimes {
        let section = TravelTimeSection {
            provider,
            url: self.url.clone(),
            deadline_ms: 10_000,
            table_max: 3,
            failures_max: 2,
            retry_ms: 3_600_000,
        };
        self.times_of(&section, with_streets)
    }

    fn times_of(&self, section: &TravelTimeSection, with_streets: bool) -> ExternalTimes {
        let _entered = self.runtime.enter();
        let streets = with_streets.then(|| Arc::new(Streets) as Arc<dyn TravelTime>);
        let market = MarketId::new("m").unwrap();
        ExternalTimes::new(&market, section, streets, Arc::clone(&self.metrics))
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }

    fn counted(&self, outcome: &str) -> bool {
        let text = telemetry::render(&self.metrics, true);
        text.contains(&format!(
            "muster_travel_time_requests_total{{market=\"m\",outcome=\"{outcome}\"}}"
        ))
    }
}

/// Streets on which every way takes a minute.
#[derive(Debug)]
struct Streets;

impl TravelTime for Streets {
    fn approaches(&self, approaches: &[Approach], _: Timestamp) -> Vec<Vec<Option<Travel>>> {
        let distance = Meters::new(500.0);
        let way = Travel { time_ms: 60_000, distance, source: EtaSource::Roads };
        approaches.iter().map(|approach| vec![Some(way); approach.froms.len()]).collect()
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, log: Arc<Mutex<Vec<String>>>) {
    while let Some((line, body)) = request(&mut stream).await {
        log.lock().unwrap().push(format!("{line} {body}").trim().to_owned());
        let (status, answer) = match manner {
            Manner::Answers => ("200 OK", table(&line, &body, false)),
            Manner::KnowsNoWay => ("200 OK", table(&line, &body, true)),
            Manner::NeverAnswers => std::future::pending().await,
            Manner::Fails => ("500 Internal Server Error", String::new()),
            Manner::Says(text) => ("200 OK", text.to_owned()),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", answer.len());
        if stream.write_all(format!("{head}{answer}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The target of a request, and its body.
async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                let target = head.split_whitespace().nth(1)?.to_owned();
                return Some((target, body.to_owned()));
            }
        }
        if stream.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

fn table(line: &str, body: &str, first_unknown: bool) -> String {
    use serde_json::{Value, json};
    let osrm = line.starts_with("/table");
    let places =
        if osrm { line.matches(',').count() - 2 } else { body.matches("\"lat\"").count() - 1 };
    let known = |place: usize| place > 0 || !first_unknown;
    let cell = |place: usize, unit: f64| match known(place) {
        true => json!((place as f64 + 1.0) * unit),
        false => Value::Null,
    };
    let column =
        |unit: f64| -> Vec<Value> { (0..places).map(|place| json!([cell(place, unit)])).collect() };
    let row = |place| json!([{"time": cell(place, 10.0), "distance": cell(place, 0.1)}]);
    let matrix: Vec<Value> = (0..places).map(row).collect();
    match osrm {
        true => json!({"code": "Ok", "durations": column(10.0), "distances": column(100.0)}),
        false => json!({"sources_to_targets": matrix, "units": "kilometers"}),
    }
    .to_string()
}

fn place(north: u32) -> Position {
    Position::from_degrees(40.7 + f64::from(north) / 100.0, -74.0).unwrap()
}

fn approach(places: u32) -> Approach {
    Approach { froms: (1..=places).map(place).collect(), to: place(0) }
}

/// Seconds, metres and source of each way to one pickup.
fn ways(times: &ExternalTimes, places: u32) -> Vec<Option<(u32, u32, EtaSource)>> {
    let answer = times.approaches(&[approach(places)], Timestamp::from_millis(0)).remove(0);
    let parts = |way: Travel| (way.seconds(), way.distance.rounded(), way.source);
    answer.into_iter().map(|way| way.map(parts)).collect()
}

#[test]
fn tables_are_asked_for_in_parts_and_put_together_in_order() {
    let case = Case::new(Manner::Answers);
    let times = case.times(TravelProvider::Osrm, true);
    let of = |place: u32| Some((place * 10, place * 100, EtaSource::Osrm));
    // Two places and the pickup in each request.
    assert_eq!(ways(&times, 5), [of(1), of(2), of(1), of(2), of(1)]);
    let asked = case.asked();
    assert_eq!(asked.len(), 3);
    let first = "/table/v1/driving/-74.000000,40.710000;-74.000000,40.720000;-74.000000,40.700000\
                 ?sources=0;1&destinations=2&annotations=duration,distance&skip_waypoints=true\
                 &generate_hints=false";
    assert_eq!(asked[0], first);
    assert!(case.counted("answered"));
}

#[test]
fn valhalla_is_asked_in_its_own_words_and_answers_in_kilometres() {
    let case = Case::new(Manner::Answers);
    let times = case.times(TravelProvider::Valhalla, true);
    let of = |place: u32| Some((place * 10, place * 100, EtaSource::Valhalla));
    assert_eq!(ways(&times, 2), [of(1), of(2)]);
    let body = r#"{"sources":[{"lat":40.71,"lon":-74.0},{"lat":40.72,"lon":-74.0}],"targets":[{"lat":40.7,"lon":-74.0}],"costing":"auto","units":"kilometers"}"#;
    assert_eq!(case.asked(), [format!("/sources_to_targets {body}")]);
}

#[test]
fn all_pickups_of_a_window_are_asked_for_and_answered_apart() {
    let case = Case::new(Manner::Answers);
    let times = case.times(TravelProvider::Osrm, true);
    let approaches: Vec<Approach> = [2, 0, 1].map(approach).to_vec();
    let answers = times.approaches(&approaches, Timestamp::from_millis(0));
    assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [2, 0, 1]);
    assert!(answers.iter().flatten().all(Option::is_some));
    assert_eq!(case.asked().len(), 2);
}

#[test]
fn what_the_server_does_not_know_the_streets_say() {
    let case = Case::new(Manner::KnowsNoWay);
    let times = case.times(TravelProvider::Osrm, true);
    let by_streets = Some((60, 500, EtaSource::Fallback));
    assert_eq!(ways(&times, 2), [by_streets, Some((20, 200, EtaSource::Osrm))]);
    let alone = case.times(TravelProvider::Valhalla, false);
    assert_eq!(ways(&alone, 2), [None, Some((20, 200, EtaSource::Valhalla))]);
}

#[test]
fn a_server_that_is_late_is_waited_for_no_longer_than_the_deadline() {
    let case = Case::new(Manner::NeverAnswers);
    let section = TravelTimeSection {
        provider: TravelProvider::Osrm,
        url: case.url.clone(),
        deadline_ms: 50,
        table_max: 100,
        failures_max: 2,
        retry_ms: 3_600_000,
    };
    let times = case.times_of(&section, true);
    assert_eq!(ways(&times, 1), [Some((60, 500, EtaSource::Fallback))]);
    assert!(case.counted("timeout"));
}

#[test]
fn a_server_that_fails_is_left_alone() {
    let case = Case::new(Manner::Fails);
    let times = case.times(TravelProvider::Osrm, true);
    for _ in 0..4 {
        assert_eq!(ways(&times, 1), [Some((60, 500, EtaSource::Fallback))]);
    }
    assert_eq!(case.asked().len(), 2, "failures_max");
    assert!(case.counted("failed") && case.counted("left_alone"));
}

#[test]
fn an_answer_that_is_no_table_is_none() {
    let nonsense = [
        "<html>",
        "{}",
        r#"{"code":"NoTable"}"#,
        r#"{"code":"Ok","durations":[[1]],"distances":[]}"#,
        r#"{"code":"Ok","durations":[[1],[2]],"distances":[[1],[2]]}"#,
        r#"{"code":"Ok","durations":[[1,2]],"distances":[[1,2]]}"#,
        r#"{"code":"Ok","durations":[[-1]],"distances":[[1]]}"#,
        r#"{"code":"Ok","durations":[["1"]],"distances":[[1]]}"#,
    ];
    for text in nonsense {
        let case = Case::new(Manner::Says(text));
        let times = case.times(TravelProvider::Osrm, false);
        assert_eq!(ways(&times, 1), [None], "{text}");
        assert!(case.counted("garbage") || case.counted("failed"), "{text}");
        let matrix = case.times(TravelProvider::Valhalla, false);
        assert_eq!(ways(&matrix, 1), [None], "{text}");
    }
}

#[test]
fn an_answer_of_osrm_is_read_as_it_came() {
    // OSRM 26.10 for Midtown, two places and a pickup.
    let said = r#"{"code":"Ok","distances":[[2260.3],[2114.1]],"durations":[[293.1],[271.1]]}"#;
    let case = Case::new(Manner::Says(said));
    let of = |seconds, metres| Some((seconds, metres, EtaSource::Osrm));
    assert_eq!(ways(&case.times(TravelProvider::Osrm, false), 2), [of(293, 2_260), of(271, 2_114)]);
}
