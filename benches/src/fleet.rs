//! The drivers of a run: registers them, connects their phones, reports for those without one.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::city::{self, Route};
use crate::http::{Pool, Request};
use crate::net::{unix_ms, until_stop};
use crate::phone::{Crew, Phone};
use crate::report::Latencies;
use crate::witness::Witness;

/// Calls or handshakes under way at once while a fleet is set up.
const AT_ONCE: usize = 64;

/// Tries of one call while a fleet is set up; a refusal for load is answered by trying again.
const TRIES: u32 = 20;

/// Drivers by number.
#[derive(Debug)]
pub struct Fleet {
    seed: u64,
    /// The newest frame each phone has seen, kept over reconnects.
    last_seqs: Vec<Arc<AtomicU64>>,
}

impl Fleet {
    /// A fleet of `count` drivers.
    pub fn new(count: usize, seed: u64) -> Self {
        Self { seed, last_seqs: (0..count).map(|_| Arc::default()).collect() }
    }

    /// How many drivers there are.
    pub const fn len(&self) -> usize {
        self.last_seqs.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.last_seqs.is_empty()
    }

    /// The id of a driver.
    pub fn id(number: usize) -> String {
        format!("driver-{number}")
    }

    fn seed_of(&self, number: usize) -> u64 {
        self.seed.wrapping_mul(1_000_003).wrapping_add(number as u64)
    }

    /// Puts the profile of every driver.
    ///
    /// # Errors
    /// When the server does not take one.
    pub async fn register(&self, pool: &Pool) -> anyhow::Result<()> {
        let profiles = (0..self.len()).map(|number| async move {
            let body = format!(
                r#"{{"market":"nyc","service_tiers":["standard"],"vehicle":{{"plate":"T{number:06}C","model":"Camry"}},"rating":4.8}}"#
            );
            let path = format!("/v1/drivers/{}", Self::id(number));
            insist(pool, &Request::put(&path, &body)).await
        });
        all(profiles).await
    }

    /// Puts drivers online, each with a first fix.
    ///
    /// # Errors
    /// When the server does not take one.
    pub async fn go_online(&self, pool: &Pool, drivers: Range<usize>) -> anyhow::Result<()> {
        let calls = drivers.map(|number| async move {
            let id = Self::id(number);
            let path = format!("/v1/drivers/{id}/status");
            insist(pool, &Request::post(&path, r#"{"status":"online"}"#)).await?;
            let now = unix_ms();
            let fix = city::fix_body(Route::new(self.seed_of(number)).at(now), now);
            insist(pool, &Request::post(&format!("/v1/drivers/{id}/positions"), &fix)).await
        });
        all(calls).await
    }

    /// Connects phones and lets them work until `stop` or the end of their connections.
    ///
    /// # Errors
    /// When one cannot connect.
    pub async fn connect(
        &self,
        drivers: Range<usize>,
        crew: &Arc<Crew>,
        handshakes: &Latencies,
        stop: &watch::Receiver<bool>,
    ) -> io::Result<JoinSet<bool>> {
        let mut phones = JoinSet::new();
        let connecting = drivers.map(|number| {
            let last_seq = Arc::clone(&self.last_seqs[number]);
            let (crew, seed) = (Arc::clone(crew), self.seed_of(number));
            async move {
                let began = Instant::now();
                let phone = Phone::connect(Self::id(number), seed, crew, last_seq).await?;
                handshakes.record(began.elapsed());
                Ok::<_, io::Error>(phone)
            }
        });
        let mut connected = stream::iter(connecting).buffer_unordered(AT_ONCE);
        while let Some(phone) = connected.next().await {
            phones.spawn(phone?.work(stop.clone()));
        }
        Ok(phones)
    }

    /// Reports a fix of each of these drivers every `every`, by HTTP, until `stop`.
    pub async fn report(
        self: Arc<Self>,
        drivers: Range<usize>,
        every: Duration,
        pool: Arc<Pool>,
        witness: Arc<dyn Witness>,
        mut stop: watch::Receiver<bool>,
    ) {
        if drivers.is_empty() {
            return;
        }
        let routes: Vec<Route> =
            drivers.clone().map(|number| Route::new(self.seed_of(number))).collect();
        let step = every / u32::try_from(routes.len()).unwrap_or(u32::MAX);
        let mut due = Instant::now();
        for turn in 0_usize.. {
            due += step;
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = until_stop(&mut stop) => return,
            }
            let index = turn % routes.len();
            let (number, route) = (drivers.start + index, routes[index]);
            let (pool, witness) = (Arc::clone(&pool), Arc::clone(&witness));
            tokio::spawn(async move {
                let now = unix_ms();
                let path = format!("/v1/drivers/{}/positions", Self::id(number));
                let fix = city::fix_body(route.at(now), now);
                match pool.call(&Request::post(&path, &fix)).await {
                    Ok(answer) if answer.ok() => witness.fix(),
                    Ok(answer) => witness.odd(&format!("positions {}", answer.status)),
                    Err(error) => witness.odd(&format!("positions {}", error.kind())),
                }
            });
        }
    }
}

/// Performs all of these, many at once.
async fn all<F>(calls: impl Iterator<Item = F>) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let mut calls = stream::iter(calls).buffer_unordered(AT_ONCE);
    while let Some(done) = calls.next().await {
        done?;
    }
    Ok(())
}

/// Performs a call that has to work; a server that is busy is asked again.
async fn insist(pool: &Pool, request: &Request<'_>) -> anyhow::Result<()> {
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..TRIES {
        pause.tick().await;
        let answer = pool.call(request).await;
        let answer = answer.with_context(|| format!("{} {}", request.method, request.path))?;
        if answer.ok() {
            return Ok(());
        }
        if answer.status != 503 && answer.status != 429 {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            bail!("{} {} answered {}: {body}", request.method, request.path, answer.status);
        }
    }
    bail!("{} {} was refused {TRIES} times", request.method, request.path)
}
