//! Our street network beside a real OSRM over the same extract of OpenStreetMap: how alike their travel
//! times are, and how fast each answers a table, in one run.
//!
//! OSRM is no part of Muster and is told as missing where it is. `benches/README.md` says how to get it.
//! `OSRM_BIN` is the folder of its programs, `OSRM_PBF` the extract, `OSRM_ROADS` what
//! `muster roads build --osm` made of that.

#![expect(clippy::unwrap_used, reason = "a benchmark ends by panicking")]
#![expect(clippy::print_stdout, reason = "its result")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use muster_engine::geo::Position;
use muster_engine::roads::RoadNetwork;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Tables asked for; each of these many drivers to one pickup.
const TABLES: usize = 200;
const DRIVERS: usize = 200;

/// A square table: as many drivers as pickups.
const SQUARE: usize = 100;
const SQUARES: usize = 20;

/// The hour whose speeds our network drives at; the extract has one for all hours.
const HOUR: u8 = 12;

/// How long OSRM may take to be there.
const START_MAX: Duration = Duration::from_secs(60);

fn main() {
    let setting = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let settings = (setting("OSRM_BIN"), setting("OSRM_PBF"), setting("OSRM_ROADS"));
    let (Some(programs), Some(extract), Some(roads)) = settings else {
        return println!(
            "OSRM is missing: set OSRM_BIN, OSRM_PBF and OSRM_ROADS (benches/README.md)"
        );
    };
    let network = RoadNetwork::from_bytes(&std::fs::read(roads).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let osrm = Osrm::start(&programs, &extract, folder.path());
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut places = |count: usize| -> Vec<Position> {
        let nodes = network.positions();
        (0..count).map(|_| nodes[random.random_range(0..nodes.len())]).collect()
    };
    let tables: Vec<(Vec<Position>, Position)> =
        (0..TABLES).map(|_| (places(DRIVERS), places(1)[0])).collect();
    let (froms, tos) = (places(SQUARE), places(SQUARE));

    let (mut ours, mut theirs) = (Timed::default(), Timed::default());
    let mut pairs = Vec::new();
    let before_us = osrm.processor_us();
    for (drivers, pickup) in &tables {
        let legs = ours.take(|| network.many_to_one(drivers, *pickup, HOUR));
        let ways = theirs.take(|| osrm.table(drivers, &[*pickup]));
        let both = legs.into_iter().zip(ways);
        pairs.extend(both.filter_map(|(leg, way)| {
            let (leg, (time_s, length_m)) = (leg?, way?);
            // Of short ways the ends decide, which each snaps to streets in its own way.
            (time_s > 30.0 && length_m > 200.0)
                .then(|| (f64::from(leg.time_ms) / 1e3 / time_s, leg.distance.get() / length_m))
        }));
    }
    println!("{} pairs of {} tables, ours over OSRM's:", pairs.len(), tables.len());
    tell("  travel time", pairs.iter().map(|pair| pair.0).collect());
    tell("  length", pairs.iter().map(|pair| pair.1).collect());
    println!("{DRIVERS} drivers to a pickup, wall time:");
    compared(&ours, &theirs, (osrm.processor_us() - before_us) / tables.len() as f64);
    let (mut ours, mut theirs) = (Timed::default(), Timed::default());
    let before_us = osrm.processor_us();
    for _ in 0..SQUARES {
        ours.take(|| network.many_to_many(&froms, &tos, HOUR));
        theirs.take(|| osrm.table(&froms, &tos));
    }
    println!("{SQUARE} drivers to {SQUARE} pickups, wall time:");
    compared(&ours, &theirs, (osrm.processor_us() - before_us) / SQUARES as f64);
}

/// The least of both are the least disturbed by other work; OSRM's includes HTTP and JSON.
fn compared(ours: &Timed, theirs: &Timed, processor_us: f64) {
    println!(
        "  ours, a call    {ours}\n  OSRM, a request {theirs}, of which its processor {processor_us:.0} us"
    );
    println!("  least over least: OSRM takes {:.0} times as long", theirs.at(0.0) / ours.at(0.0));
}

fn tell(what: &str, mut ratios: Vec<f64>) {
    ratios.sort_by(f64::total_cmp);
    let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: p1 {:.2}  p10 {:.2}  median {:.2}  p90 {:.2}  p99 {:.2}",
        at(0.01),
        at(0.1),
        at(0.5),
        at(0.9),
        at(0.99)
    );
}

/// How long calls took, in microseconds.
#[derive(Default)]
struct Timed(Vec<f64>);

impl Timed {
    fn take<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = call();
        self.0.push(began.elapsed().as_secs_f64() * 1e6);
        result
    }

    fn at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * share) as usize]
    }

    fn median_us(&self) -> f64 {
        self.at(0.5)
    }
}

impl std::fmt::Display for Timed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (least, median, p99) = (self.at(0.0), self.median_us(), self.at(0.99));
        write!(f, "least {least:.0} us  median {median:.0} us  p99 {p99:.0} us")
    }
}

/// A running server; it ends with this value.
struct Osrm {
    server: Child,
    port: u16,
}

impl Osrm {
    /// Prepares the extract in `folder` and serves it from there.
    fn start(programs: &Path, extract: &Path, folder: &Path) -> Self {
        let local = folder.join("extract.osm.pbf");
        std::fs::copy(extract, &local).unwrap();
        let base = folder.join("extract.osrm");
        let profile = programs.join("../share/profiles/car.lua");
        let run = |name: &str, arguments: &[&Path]| {
            let mut command = Command::new(programs.join(name));
            let status = command.args(arguments).stdout(Stdio::null()).status().unwrap();
            assert!(status.success(), "{name} failed");
        };
        run("osrm-extract", &[Path::new("-p"), &profile, &local]);
        let began = Instant::now();
        run("osrm-contract", &[&base]);
        println!("osrm-contract took {:.1} s", began.elapsed().as_secs_f64());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(programs.join("osrm-routed"));
        command.args(["--algorithm", "ch", "--ip", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--max-table-size", "1000"]).arg(&base).stdout(Stdio::null());
        let server = command.spawn().unwrap();
        let until = Instant::now() + START_MAX;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "osrm-routed does not answer");
            std::thread::yield_now();
        }
        Self { server, port }
    }

    /// Processor time of the server so far, which the kernel counts in hundredths of a second.
    fn processor_us(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.server.id())).unwrap();
        let after_name = text.rsplit(')').next().unwrap();
        let ticks = after_name.split_whitespace().skip(11).take(2);
        ticks.map(|ticks| ticks.parse::<f64>().unwrap() * 1e4).sum()
    }

    /// Seconds and metres of each way, destination by destination.
    fn table(&self, froms: &[Position], tos: &[Position]) -> Vec<Option<(f64, f64)>> {
        let mut path = "/table/v1/driving/".to_owned();
        for (index, place) in froms.iter().chain(tos).enumerate() {
            let comma = if index > 0 { ";" } else { "" };
            write!(path, "{comma}{:.6},{:.6}", place.lng(), place.lat()).unwrap();
        }
        let numbers = |range: std::ops::Range<usize>| {
            range.map(|n| n.to_string()).collect::<Vec<_>>().join(";")
        };
        let (sources, all) = (froms.len(), froms.len() + tos.len());
        write!(
            path,
            "?sources={}&destinations={}&annotations=duration,distance&skip_waypoints=true\
             &generate_hints=false",
            numbers(0..sources),
            numbers(sources..all)
        )
        .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&self.get(&path)).unwrap();
        let at = |what: &str, from: usize, to: usize| answer[what][from][to].as_f64();
        let ways = (0..tos.len()).flat_map(|to| (0..sources).map(move |from| (from, to)));
        ways.map(|(from, to)| at("durations", from, to).zip(at("distances", from, to))).collect()
    }

    fn get(&self, path: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: osrm\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while reader.read_line(&mut line).unwrap() > 2 {
            line.clear();
        }
        let mut body = Vec::new();
        reader.read_to_end(&mut body).unwrap();
        body
    }
}

impl Drop for Osrm {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
