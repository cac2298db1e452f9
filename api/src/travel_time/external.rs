//! Travel times from a server: tables within a deadline, the streets in this process otherwise.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use muster_engine::geo::Position;
use muster_engine::id::MarketId;
use muster_engine::time::Timestamp;
use muster_engine::travel::{Approach, EtaSource, Travel, TravelTime};
use muster_engine::units::Meters;

use super::breaker::Breaker;
use super::{osrm, valhalla};
use crate::config::{TravelProvider, TravelTimeSection};
use crate::telemetry::Metrics;

/// Requests under way at once.
const REQUESTS_AT_ONCE: usize = 16;

/// An answer longer than this is none: a table of the largest size is a tenth of it.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Failed(String),
    #[error("its answer is no table: {0}")]
    Garbage(String),
    #[error("it is left alone after failures")]
    LeftAlone,
}

impl Fault {
    const fn outcome(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Garbage(_) => "garbage",
            Self::LeftAlone => "left_alone",
        }
    }
}

/// Seconds and metres of a way; nothing where there is none.
pub(super) type TableCell = Option<(f64, f64)>;

/// A server of travel times.
#[derive(Debug)]
pub struct ExternalTimes {
    market: MarketId,
    section: TravelTimeSection,
    /// Asked where the server has no answer.
    streets: Option<Arc<dyn TravelTime>>,
    http: reqwest::Client,
    runtime: tokio::runtime::Handle,
    breaker: Mutex<Breaker>,
    metrics: Arc<Metrics>,
}

impl ExternalTimes {
    /// The times of the server that `section` names, asked on the runtime this is called on.
    pub fn new(
        market: &MarketId,
        section: &TravelTimeSection,
        streets: Option<Arc<dyn TravelTime>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let pause = Duration::from_millis(section.retry_ms);
        Self {
            market: market.clone(),
            section: section.clone(),
            streets,
            http: reqwest::Client::new(),
            runtime: tokio::runtime::Handle::current(),
            breaker: Mutex::new(Breaker::new(section.failures_max, pause)),
            metrics,
        }
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the server says within the deadline.
    async fn ask(&self, approaches: &[Approach]) -> Vec<Vec<Option<Travel>>> {
        let unknown = |approach: &Approach| vec![None; approach.froms.len()];
        let mut answers: Vec<Vec<Option<Travel>>> = approaches.iter().map(unknown).collect();
        let chunk = self.section.table_max.saturating_sub(1).max(1);
        let tables = approaches.iter().enumerate().flat_map(|(index, approach)| {
            let starts = (0..approach.froms.len()).step_by(chunk);
            starts.map(move |start| {
                let end = (start + chunk).min(approach.froms.len());
                (index, start, &approach.froms[start..end], approach.to)
            })
        });
        let asked = tables.map(|(index, start, froms, to)| async move {
            (index, start, self.table(froms, to).await)
        });
        let mut answered = stream::iter(asked).buffer_unordered(REQUESTS_AT_ONCE);
        let deadline =
            tokio::time::Instant::now() + Duration::from_millis(self.section.deadline_ms);
        loop {
            match tokio::time::timeout_at(deadline, answered.next()).await {
                Ok(Some((index, start, Ok(cells)))) => {
                    let places = answers[index][start..].iter_mut();
                    places.zip(cells).for_each(|(place, cell)| *place = self.travel(cell));
                }
                Ok(Some((_, _, Err(_)))) => {}
                Ok(None) => return answers,
                Err(_) => {
                    self.note("timeout", &"no answer within the deadline");
                    self.breaker().failed(Instant::now());
                    return answers;
                }
            }
        }
    }

    /// The ways from each of `froms` to `to`.
    async fn table(&self, froms: &[Position], to: Position) -> Result<Vec<TableCell>, Fault> {
        let answer = if self.breaker().lets_pass(Instant::now()) {
            self.request(froms, to).await
        } else {
            Err(Fault::LeftAlone)
        };
        match &answer {
            Ok(_) => {
                self.metrics.travel_time_request(&self.market, "answered");
                self.breaker().succeeded();
            }
            Err(fault) => {
                self.note(fault.outcome(), fault);
                if !matches!(fault, Fault::LeftAlone) {
                    self.breaker().failed(Instant::now());
                }
            }
        }
        answer
    }

    async fn request(&self, froms: &[Position], to: Position) -> Result<Vec<TableCell>, Fault> {
        let url = self.section.url.trim_end_matches('/');
        let request = match self.section.provider {
            TravelProvider::Osrm => self.http.get(osrm::url(url, froms, to)),
            TravelProvider::Valhalla => {
                self.http.post(valhalla::url(url)).json(&valhalla::body(froms, to))
            }
        };
        let failed = |error: reqwest::Error| Fault::Failed(error.without_url().to_string());
        let mut response = request.send().await.map_err(failed)?;
        if !response.status().is_success() {
            return Err(Fault::Failed(format!("it answered {}", response.status())));
        }
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(Fault::Garbage("it is too long".to_owned()));
            }
            body.extend_from_slice(&part);
        }
        let cells = match self.section.provider {
            TravelProvider::Osrm => osrm::parse(&body),
            TravelProvider::Valhalla => valhalla::parse(&body),
        }?;
        let holds = |value: &f64| value.is_finite() && *value >= 0.0;
        let sound = cells.iter().flatten().all(|(seconds, metres)| holds(seconds) && holds(metres));
        if cells.len() != froms.len() || !sound {
            let fact = format!("{} cells for {} places", cells.len(), froms.len());
            return Err(Fault::Garbage(fact));
        }
        Ok(cells)
    }

    fn note(&self, outcome: &'static str, fact: &dyn std::fmt::Display) {
        self.metrics.travel_time_request(&self.market, outcome);
        let provider = self.section.provider.name();
        tracing::debug!(market = %self.market, provider, outcome, %fact, "no travel times");
    }

    fn travel(&self, cell: TableCell) -> Option<Travel> {
        let (seconds, metres) = cell?;
        let source = match self.section.provider {
            TravelProvider::Osrm => EtaSource::Osrm,
            TravelProvider::Valhalla => EtaSource::Valhalla,
        };
        // Saturates: `as` clamps floats to the integer's range.
        let time_ms = (seconds * 1_000.0).round() as u32;
        Some(Travel { time_ms, distance: Meters::new(metres), source })
    }

    /// Has the streets say what the server did not.
    fn fill(&self, approaches: &[Approach], answers: &mut [Vec<Option<Travel>>], at: Timestamp) {
        let Some(streets) = &self.streets else { return };
        let missing = |(approach, answer): (&Approach, &Vec<Option<Travel>>)| {
            let froms = approach.froms.iter().zip(answer);
            let froms = froms.filter(|(_, travel)| travel.is_none()).map(|(from, _)| *from);
            Approach { froms: froms.collect(), to: approach.to }
        };
        let missing: Vec<Approach> = approaches.iter().zip(&*answers).map(missing).collect();
        if missing.iter().all(|approach| approach.froms.is_empty()) {
            return;
        }
        for (answer, found) in answers.iter_mut().zip(streets.approaches(&missing, at)) {
            let places = answer.iter_mut().filter(|travel| travel.is_none());
            for (place, found) in places.zip(found) {
                *place = found.map(|way| Travel { source: EtaSource::Fallback, ..way });
            }
        }
    }
}

impl TravelTime for ExternalTimes {
    /// Waits for the server, within the deadline: not to be called where others wait.
    fn approaches(&self, approaches: &[Approach], at: Timestamp) -> Vec<Vec<Option<Travel>>> {
        let mut answers = self.runtime.block_on(self.ask(approaches));
        self.fill(approaches, &mut answers, at);
        answers
    }

    fn waits(&self) -> bool {
        true
    }
}
