//! Which drivers are near a place: asked over HTTP on a few connections that are kept, each question as soon
//! as the one before it is answered, while all drivers report as in life. Beside it a bare server, which
//! takes the same fixes and answers the same bytes every time without looking for anybody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::contender::{Contender, Measured, Who};
use super::frames::Encoding;
use super::generator::Order;
use super::schedule::Pace;
use super::{TargetArgs, progress};
use crate::city;
use crate::http::{Connection, Pool, Request};
use crate::process::Usage;
use crate::report::{Latencies, Report, latencies_in_micros};

/// Places that are asked about.
const PLACES: u64 = 1_024;
/// Answers that are looked at before anything is timed.
const LOOKED_AT: usize = 101;
/// Seconds in which every driver reports once, before anybody asks.
const FIRST_FIXES_S: f64 = 1.2;
/// What is asked, and where the bare server is told what to answer.
const NEARBY: &str = "/v1/drivers/nearby";

/// `load nearby`
#[derive(Debug, Clone, Args)]
pub struct NearbyArgs {
    /// Drivers, all free, each on a socket.
    #[arg(long, default_value_t = 10_000)]
    pub drivers: usize,
    /// Seconds between two fixes of a driver.
    #[arg(long, default_value_t = 4.0)]
    pub fix_every_s: f64,
    /// How far to look, metres.
    #[arg(long, default_value_t = 3_000)]
    pub radius_m: u32,
    /// Drivers in an answer, the nearest: 20 is what the API answers unasked, 200 the most.
    #[arg(long, default_value_t = 20)]
    pub limit: usize,
    /// Connections, each with one question at a time.
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    /// Seconds before a measurement.
    #[arg(long, default_value_t = 0.5)]
    pub warm_s: f64,
    /// Seconds of a measurement.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Measurements.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
}

impl NearbyArgs {
    /// The fixes of everybody.
    fn order(&self, every_s: f64, warm_s: f64, seconds: f64) -> Order {
        Order {
            encoding: Encoding::Binary,
            fixes: 1,
            pace: Pace::Rate(self.drivers as f64 / every_s),
            ping_every: 16,
            warm_s,
            seconds,
            server_pid: 0,
        }
    }

    fn questions(&self, seed: u64) -> Arc<Vec<String>> {
        let question = |number| {
            let at = city::place(&mut city::dice(seed.wrapping_mul(7_919).wrapping_add(number)));
            let (lat, lng, radius_m, limit) = (at.lat, at.lng, self.radius_m, self.limit);
            format!("{NEARBY}?lat={lat:.6}&lng={lng:.6}&radius_m={radius_m}&limit={limit}")
        };
        Arc::new((0..PLACES).map(question).collect())
    }
}

/// One measurement of one server.
pub(super) struct Asked {
    pub(super) per_s: f64,
    /// From a question to its answer, which waits behind those of the other connections.
    pub(super) latency: Latencies,
    /// What came of the fixes meanwhile.
    pub(super) fixes: Measured,
    /// Processors that kept busy whoever asked.
    pub(super) own_cores: f64,
}

impl Asked {
    fn json(&self) -> serde_json::Value {
        let [p50, p99, p999] =
            [0.5, 0.99, 0.999].map(|quantile| self.latency.quantile_ms(quantile));
        json!({
            "per_s": self.per_s, "latency_p50_ms": p50, "latency_p99_ms": p99, "latency_p99.9_ms": p999,
            "server_cores": self.fixes.server_cores, "client_cores": self.own_cores,
            "stolen_cores": self.fixes.stolen_cores, "fixes_per_s": self.fixes.fixes_per_s,
        })
    }

    fn shown(&self) -> String {
        let [p50, p99, p999] =
            [0.5, 0.99, 0.999].map(|quantile| self.latency.quantile_ms(quantile));
        format!(
            "{:>8.0} /s  p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2} ms  cores: server {:.2}, client {:.2}, \
             stolen {:.2}  {:.0} fixes/s meanwhile",
            self.per_s,
            self.fixes.server_cores,
            self.own_cores,
            self.fixes.stolen_cores,
            self.fixes.fixes_per_s,
        )
    }
}

/// How the contenders are called here.
pub(super) const fn name(who: Who) -> &'static str {
    match who {
        Who::Muster => "muster",
        Who::Bare => "bare actix-web",
    }
}

pub(super) async fn run(target: &TargetArgs, args: &NearbyArgs) -> anyhow::Result<Report> {
    let mut contenders = start(target, args).await?;
    let rounds = in_turn(&mut contenders, args, target.seed).await?;
    let mut report = Report::new(format!(
        "The nearest {} of {} drivers within {} m over HTTP, {} connections",
        args.limit, args.drivers, args.radius_m, args.connections
    ));
    for (contender, rounds) in contenders.iter().zip(&rounds) {
        for (index, asked) in rounds.iter().enumerate() {
            let key = format!("{} round {}", name(contender.who), index + 1);
            report.add(&key, &key, asked.json(), asked.shown());
            for fault in &asked.fixes.faults {
                report.fail(format!("{key}: {fault}"));
            }
        }
    }
    if let [ours, bare] = rounds.as_slice() {
        let ratios: Vec<f64> = ours.iter().zip(bare).map(|(a, b)| a.per_s / b.per_s).collect();
        let shown: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        report.add("of_bare", "answers/s as part of the bare server's", ratios, shown.join("  "));
    }
    Ok(report)
}

/// Both servers, each with all drivers on the road.
pub(super) async fn start(
    target: &TargetArgs,
    args: &NearbyArgs,
) -> anyhow::Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    for who in [Who::Muster, Who::Bare] {
        let mut contender = Contender::start(who, target, args.drivers, None).await?;
        let first = contender.run(&args.order(1.0, 0.0, FIRST_FIXES_S)).await?;
        ensure!(first.faults.is_empty(), "{}: {:?}", name(who), first.faults);
        contenders.push(contender);
    }
    Ok(contenders)
}

/// Asks the contenders in turn; what came of each is at its index.
pub(super) async fn in_turn(
    contenders: &mut [Contender],
    args: &NearbyArgs,
    seed: u64,
) -> anyhow::Result<Vec<Vec<Asked>>> {
    let questions = args.questions(seed);
    let mut answer = None;
    for contender in contenders.iter() {
        match (contender.who, &answer) {
            (Who::Muster, _) => {
                answer = Some(usual_answer(contender.pool(), &questions, args).await?);
            }
            (Who::Bare, Some(answer)) => {
                let told = contender.pool().call(&Request::put(NEARBY, answer)).await?;
                ensure!(told.ok(), "the bare server was told what to answer: {}", told.status);
            }
            (Who::Bare, None) => bail!("nobody knows what the bare server is to answer"),
        }
    }
    let mut all: Vec<Vec<Asked>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..args.rounds {
        for (contender, own) in contenders.iter_mut().zip(&mut all) {
            let asked = ask(contender, &questions, args).await?;
            progress(&format!("{:<16}{}", name(contender.who), asked.shown()));
            own.push(asked);
        }
    }
    Ok(all)
}

#[derive(Deserialize)]
struct Answer {
    drivers: Vec<Near>,
}

#[derive(Deserialize)]
struct Near {
    distance_m: f64,
}

/// An answer of Muster's with as many bytes as half of them have at most, after a look at whether they are
/// what was asked for.
async fn usual_answer(
    pool: &Pool,
    questions: &[String],
    args: &NearbyArgs,
) -> anyhow::Result<String> {
    let mut answers = Vec::new();
    for question in questions.iter().take(LOOKED_AT) {
        let response = pool.call(&Request::get(question)).await?;
        let Answer { drivers } = response.json()?;
        let most = args.limit.min(args.drivers);
        ensure!((1..=most).contains(&drivers.len()), "{question}: {} drivers", drivers.len());
        let within = drivers.iter().all(|near| near.distance_m <= f64::from(args.radius_m) + 1.0);
        let nearest_first = drivers.is_sorted_by_key(|near| near.distance_m);
        ensure!(within && nearest_first, "{question}: not within the radius, nearest first");
        answers.push(response.body);
    }
    answers.sort_by_key(Vec::len);
    let middle = answers.len() / 2;
    let usual = answers.into_iter().nth(middle).context("nothing was asked")?;
    Ok(String::from_utf8(usual)?)
}

/// One measurement: questions on all connections while everybody reports.
async fn ask(
    contender: &mut Contender,
    questions: &Arc<Vec<String>>,
    args: &NearbyArgs,
) -> anyhow::Result<Asked> {
    let order = args.order(args.fix_every_s, args.warm_s, args.seconds);
    let address = contender.pool().address();
    let began = Instant::now();
    let from = began + Duration::from_secs_f64(args.warm_s);
    let until = from + Duration::from_secs_f64(args.seconds);
    let mut asking = JoinSet::new();
    for connection in 0..args.connections {
        let questions = Arc::clone(questions);
        // Each begins elsewhere in the city.
        let first = connection * questions.len() / args.connections;
        asking.spawn(async move {
            let connection = Connection::open(address).await?;
            keep_asking(connection, &questions, first, (from, until)).await
        });
    }
    let own = std::process::id();
    let before = Usage::of(own)?;
    let fixes = contender.run(&order).await?;
    let latency = Latencies::default();
    while let Some(done) = asking.join_next().await {
        latency.merge(&done??)?;
    }
    let own_s = (Usage::of(own)?.cpu() - before.cpu()).as_secs_f64();
    let per_s = latency.count() as f64 / args.seconds;
    let own_cores = own_s / began.elapsed().as_secs_f64();
    Ok(Asked { per_s, latency, fixes, own_cores })
}

/// Asks one question after the other on a connection; latencies of those asked between two instants.
async fn keep_asking(
    mut connection: Connection,
    questions: &[String],
    first: usize,
    (from, until): (Instant, Instant),
) -> anyhow::Result<Histogram<u64>> {
    let mut latency = latencies_in_micros();
    for turn in first.. {
        let question = &questions[turn % questions.len()];
        let asked = Instant::now();
        let answer = connection.call(&Request::get(question)).await?;
        let answered = Instant::now();
        ensure!(answer.ok(), "{question} was answered {}", answer.status);
        if answered > until {
            break;
        }
        if asked >= from {
            let micros = u64::try_from((answered - asked).as_micros())?;
            latency.saturating_record(micros.max(1));
        }
    }
    Ok(latency)
}
