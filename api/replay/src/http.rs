//! The HTTP calls of a replay, with patience for a server that asks to wait.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;

use crate::error::ReplayError;
use crate::quoting::QuoteView;
use crate::wire::RideView;

/// Times a call is sent before its failure counts.
const TRIES_MAX: u32 = 6;
/// First pause between two tries; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest pause, also when the server asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Real time for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// An event stream that is silent for so long in real time is opened again.
const STREAM_SILENCE_MAX: Duration = Duration::from_secs(90);

/// A running server.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    base: Url,
    calls: Client,
    streams: Client,
}

/// What `GET /version` tells.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Version {
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) revision: Option<String>,
    pub(crate) clock_speed: Option<f64>,
}

/// A call that failed for good: the problem's `code`, or what happened instead of an answer.
pub(crate) type Refusal = String;

impl Api {
    pub(crate) fn new(base: &str) -> Result<Self, ReplayError> {
        let failed = |error: &dyn std::fmt::Display| ReplayError::Server {
            url: base.to_owned(),
            detail: error.to_string(),
        };
        let base_url = Url::parse(base).map_err(|error| failed(&error))?;
        let client = || Client::builder().tcp_nodelay(true).no_proxy();
        let calls = client()
            .pool_max_idle_per_host(256)
            .timeout(ANSWER_TIMEOUT)
            .build()
            .map_err(|error| failed(&error))?;
        let streams = client()
            .pool_max_idle_per_host(0)
            .read_timeout(STREAM_SILENCE_MAX)
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self { base: base_url, calls, streams })
    }

    /// `host:port` of the server.
    pub(crate) fn authority(&self) -> String {
        let host = self.base.host_str().unwrap_or("127.0.0.1");
        format!("{host}:{}", self.base.port_or_known_default().unwrap_or(80))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    pub(crate) async fn version(&self) -> Result<Version, Refusal> {
        let response = self.call(|| self.calls.get(self.url("/version"))).await?;
        response.json().await.map_err(|error| error.to_string())
    }

    pub(crate) async fn metrics(&self) -> Result<String, Refusal> {
        let response = self.call(|| self.calls.get(self.url("/metrics"))).await?;
        response.text().await.map_err(|error| error.to_string())
    }

    pub(crate) async fn put_driver(&self, driver: &str, profile: &Value) -> Result<(), Refusal> {
        let url = self.url(&format!("/v1/drivers/{driver}"));
        self.call(|| self.calls.put(&url).json(profile)).await?;
        Ok(())
    }

    pub(crate) async fn request_ride(
        &self,
        ride_id: &str,
        body: &Value,
    ) -> Result<RideView, Refusal> {
        let url = self.url("/v1/rides");
        let call = || self.calls.post(&url).header("idempotency-key", ride_id).json(body);
        view(self.call(call).await?).await
    }

    pub(crate) async fn cancel_ride(
        &self,
        ride_id: &str,
        reason: &str,
    ) -> Result<RideView, Refusal> {
        let url = self.url(&format!("/v1/rides/{ride_id}/cancel"));
        let body = serde_json::json!({"by": "rider", "reason": reason});
        let key = format!("{ride_id}.cancel");
        let call = || self.calls.post(&url).header("idempotency-key", &key).json(&body);
        view(self.call(call).await?).await
    }

    pub(crate) async fn ride(&self, ride_id: &str) -> Result<RideView, Refusal> {
        let url = self.url(&format!("/v1/rides/{ride_id}"));
        view(self.call(|| self.calls.get(&url)).await?).await
    }

    /// The quotes that a rider can choose from.
    pub(crate) async fn quotes(&self, ride_id: &str) -> Result<Vec<QuoteView>, Refusal> {
        #[derive(Deserialize)]
        struct List {
            quotes: Vec<QuoteView>,
        }
        let url = self.url(&format!("/v1/rides/{ride_id}/quotes"));
        let response = self.call(|| self.calls.get(&url)).await?;
        let list: List = response.json().await.map_err(|_| "unreadable_quotes".to_owned())?;
        Ok(list.quotes)
    }

    /// Chooses a quote; the answer is the ride, assigned.
    pub(crate) async fn select_quote(
        &self,
        ride_id: &str,
        quote_id: &str,
    ) -> Result<RideView, Refusal> {
        let url = self.url(&format!("/v1/rides/{ride_id}/quotes/{quote_id}/select"));
        view(self.call(|| self.calls.post(&url)).await?).await
    }

    /// The policies of a market, without what only tells about them.
    pub(crate) async fn policy(&self, market: &str) -> Result<Value, Refusal> {
        let url = self.url(&format!("/v1/markets/{market}/policy"));
        let response = self.call(|| self.calls.get(&url)).await?;
        let told: Value = response.json().await.map_err(|_| "unreadable_policy".to_owned())?;
        let parts = ["policy", "rules", "experiment", "utc_offset_min"];
        let kept = parts.into_iter().filter_map(|part| Some((part, told.get(part)?.clone())));
        Ok(kept.map(|(part, value)| (part.to_owned(), value)).collect())
    }

    /// Replaces the policies of a market.
    pub(crate) async fn put_policy(&self, market: &str, book: &Value) -> Result<(), Refusal> {
        let url = self.url(&format!("/v1/markets/{market}/policy"));
        self.call(|| self.calls.put(&url).json(book)).await?;
        Ok(())
    }

    /// Opens a ride's event stream, after the event with the given id.
    pub(crate) async fn ride_events(
        &self,
        ride_id: &str,
        last_id: Option<&str>,
    ) -> Result<Response, Refusal> {
        let url = self.url(&format!("/v1/rides/{ride_id}/events"));
        let call = || {
            let request = self.streams.get(&url).header("accept", "text/event-stream");
            match last_id {
                Some(id) => request.header("last-event-id", id),
                None => request,
            }
        };
        self.call(call).await
    }

    /// Sends a call until it is answered with success or refused for good.
    async fn call(&self, build: impl Fn() -> RequestBuilder) -> Result<Response, Refusal> {
        let mut pause = PAUSE;
        let mut tried = 1;
        loop {
            let (refusal, wait) = match build().send().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let status = response.status().as_u16();
                    let wait = retry_after(&response);
                    let code = problem_code(response).await;
                    if status != 429 && status < 500 {
                        return Err(code);
                    }
                    (code, wait)
                }
                Err(error) if error.is_timeout() => ("no_answer".to_owned(), None),
                Err(_) => ("connection_failed".to_owned(), None),
            };
            if tried == TRIES_MAX {
                return Err(refusal);
            }
            sleep(wait.unwrap_or(pause).min(PAUSE_MAX)).await;
            pause = (pause * 2).min(PAUSE_MAX);
            tried += 1;
        }
    }
}

async fn view(response: Response) -> Result<RideView, Refusal> {
    response.json().await.map_err(|_| "unreadable_ride_view".to_owned())
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: f64 = response.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

async fn problem_code(response: Response) -> Refusal {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
    }
    let status = response.status().as_u16();
    match response.json::<Problem>().await {
        Ok(problem) => format!("{status} {}", problem.code),
        Err(_) => format!("{status}"),
    }
}

/// The sum of all samples of a counter in OpenMetrics text; `None` when it is absent.
pub(crate) fn sum_of_counter(text: &str, name: &str) -> Option<f64> {
    let sample = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    };
    text.lines().filter_map(sample).reduce(|sum, value| sum + value)
}

/// A counter's samples in OpenMetrics text, summed by the value of one of their labels.
pub(crate) fn counter_by_label(text: &str, name: &str, label: &str) -> BTreeMap<String, u64> {
    let prefix = format!("{label}=\"");
    let sample = |line: &str| {
        let (labels, rest) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once('}')?;
        let mut labels = labels.split(',');
        let value = labels.find_map(|one| one.strip_prefix(&prefix)?.strip_suffix('"'))?;
        let count = rest.split_whitespace().next()?.parse::<f64>().ok()?;
        Some((value.to_owned(), count as u64))
    };
    let mut sums = BTreeMap::new();
    for (value, count) in text.lines().filter_map(sample) {
        *sums.entry(value).or_insert(0) += count;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_their_labels() {
        let text = "# TYPE muster_x counter\nmuster_x_total{invariant=\"M1\"} 2\n\
                    muster_x_total{invariant=\"M2 {odd}\"} 1 1700000000\nmuster_x_total_other 9\n\
                    muster_y_total 4\n# EOF\n";
        assert_eq!(sum_of_counter(text, "muster_x_total"), Some(3.0));
        assert_eq!(sum_of_counter(text, "muster_y_total"), Some(4.0));
        assert_eq!(sum_of_counter(text, "muster_z_total"), None);
    }

    #[test]
    fn counters_are_told_apart_by_a_label() {
        let text = "x_total{market=\"nyc\",outcome=\"expired\"} 2\n\
                    x_total{market=\"sf\",outcome=\"expired\"} 3\n\
                    x_total{market=\"nyc\",outcome=\"accepted\"} 1\nx_total_other 9\n# EOF\n";
        let ends = counter_by_label(text, "x_total", "outcome");
        assert_eq!((ends.len(), ends["expired"], ends["accepted"]), (2, 5, 1));
        assert!(counter_by_label(text, "x_total", "reason").is_empty());
    }

    #[test]
    fn the_base_address_may_end_with_a_slash() {
        let api = Api::new("http://localhost:9996/").unwrap();
        assert_eq!(api.url("/version"), "http://localhost:9996/version");
        assert_eq!(api.authority(), "localhost:9996");
        assert!(Api::new("not an address").is_err());
    }
}
