//! Riders, open loop: a request is sent when it is due, however long the ones before it take, and
//! its latency counts from the instant it was due.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::city;
use crate::http::{Pool, Request};
use crate::net::until_stop;
use crate::report::{Course, Latencies, Tally};
use crate::wire::{Problem, RideView};
use crate::witness::{Command, Witness};

/// How riders behave.
#[derive(Debug, Clone)]
pub struct RiderPlan {
    /// Requests per second.
    pub rate: f64,
    /// The number of the first request.
    pub first: u64,
    /// Requests at most.
    pub count: u64,
    /// Only every second request names its ride; the server names the others.
    pub half_unnamed: bool,
    /// Share of riders who call their ride off again.
    pub cancel: f64,
    /// Seed of places and decisions.
    pub seed: u64,
}

impl RiderPlan {
    /// How long after the beginning the request after `sent` others is due.
    fn due_after(&self, sent: u64) -> Duration {
        Duration::from_secs_f64(sent as f64 / self.rate)
    }
}

/// What happened to the requests.
#[derive(Debug)]
pub struct Outcomes {
    /// From the instant a request was due to its answer.
    pub latencies: Latencies,
    /// The same by the second in which they were due.
    pub course: Course,
    /// How late requests were sent: the generator's own share.
    pub lateness: Latencies,
    /// Answers by status, and failures by kind.
    pub answers: Tally,
}

impl Outcomes {
    /// None yet, of a run of so many seconds.
    pub fn of(seconds: usize) -> Self {
        Self {
            latencies: Latencies::default(),
            course: Course::new(seconds),
            lateness: Latencies::default(),
            answers: Tally::default(),
        }
    }
}

/// The rider of request `number`.
pub fn rider_id(number: u64) -> String {
    format!("rider-{number}")
}

/// The idempotency key of request `number`.
pub fn request_key(number: u64) -> String {
    format!("key-{number}")
}

/// The ride that request `number` names, if it does.
pub fn ride_id(number: u64, half_unnamed: bool) -> Option<String> {
    (!half_unnamed || number.is_multiple_of(2)).then(|| format!("ride-{number}"))
}

/// The number in an id such as `ride-17`.
pub fn number_of(id: &str) -> Option<u64> {
    id.rsplit('-').next()?.parse().ok()
}

/// The body of request `number`, the same whenever it is asked for.
pub fn request_body(number: u64, seed: u64, half_unnamed: bool) -> String {
    let mut dice = city::dice(seed.wrapping_mul(7_919).wrapping_add(number));
    let (from, to) = (city::place(&mut dice), city::place(&mut dice));
    let id = ride_id(number, half_unnamed);
    let id = id.map(|id| format!(r#""ride_id":"{id}","#)).unwrap_or_default();
    let fare = dice.random_range(800..6000);
    format!(
        r#"{{{id}"rider_id":"{}","pickup":{{"lat":{:.6},"lng":{:.6}}},"dropoff":{{"lat":{:.6},"lng":{:.6}}},"fare":{{"amount":{fare},"currency":"USD"}}}}"#,
        rider_id(number),
        from.lat,
        from.lng,
        to.lat,
        to.lng
    )
}

/// Riders at work.
pub struct Riders {
    /// Their plan.
    pub plan: RiderPlan,
    /// Their connections.
    pub pool: Arc<Pool>,
    /// Who listens.
    pub witness: Arc<dyn Witness>,
    /// What happened so far.
    pub outcomes: Outcomes,
}

impl Riders {
    /// Sends the requests of the plan until `stop`, waits for their answers, and returns how many
    /// were sent and for how long.
    pub async fn work(self: &Arc<Self>, mut stop: watch::Receiver<bool>) -> (u64, Duration) {
        let mut requests = JoinSet::new();
        let began = Instant::now();
        let mut sent = 0;
        while sent < self.plan.count {
            let due = began + self.plan.due_after(sent);
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = until_stop(&mut stop) => break,
            }
            requests.spawn(Arc::clone(self).request(self.plan.first + sent, due, stop.clone()));
            sent += 1;
            while requests.try_join_next().is_some() {}
        }
        let took = began.elapsed();
        while requests.join_next().await.is_some() {}
        (sent, took)
    }

    async fn request(self: Arc<Self>, number: u64, due: Instant, stop: watch::Receiver<bool>) {
        let body = request_body(number, self.plan.seed, self.plan.half_unnamed);
        let key = request_key(number);
        let command = Command::Request(rider_id(number));
        self.witness.sent(&command);
        self.outcomes.lateness.record(due.elapsed());
        let answer = self.pool.call(&Request::post("/v1/rides", &body).with_key(&key)).await;
        let (took, after) = (due.elapsed(), self.plan.due_after(number - self.plan.first));
        self.outcomes.latencies.record(took);
        self.outcomes.course.record(after, took);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.outcomes.answers.add(error.kind().to_string()),
        };
        self.witness.answered(&command);
        if !answer.ok() {
            let code = answer.json::<Problem>().map_or_else(|_| "?".to_owned(), |p| p.code);
            return self.outcomes.answers.add(format!("{} {code}", answer.status));
        }
        self.outcomes.answers.add(answer.status.to_string());
        match answer.json::<RideView>() {
            Ok(ride) => {
                self.witness.ride(&ride);
                self.perhaps_cancel(number, &ride.ride_id, stop).await;
            }
            Err(error) => self.witness.odd(&format!("unreadable ride: {error}")),
        }
    }

    /// Some riders change their mind.
    async fn perhaps_cancel(&self, number: u64, ride: &str, mut stop: watch::Receiver<bool>) {
        let mut dice = city::dice(self.plan.seed ^ number.wrapping_mul(31));
        if self.plan.cancel <= 0.0 || !dice.random_bool(self.plan.cancel) {
            return;
        }
        let after = Duration::from_millis(dice.random_range(100..3_000));
        tokio::select! {
            () = tokio::time::sleep(after) => {}
            () = until_stop(&mut stop) => return,
        }
        let command = Command::Cancel(ride.to_owned());
        self.witness.sent(&command);
        let path = format!("/v1/rides/{ride}/cancel");
        let body = r#"{"by":"rider","reason":"changed_mind"}"#;
        let Ok(answer) = self.pool.call(&Request::post(&path, body)).await else { return };
        self.witness.answered(&command);
        if answer.ok()
            && let Ok(view) = answer.json::<RideView>()
        {
            self.witness.ride(&view);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_same_whenever_it_is_made() {
        assert_eq!(request_body(7, 1, true), request_body(7, 1, true));
        assert_ne!(request_body(7, 1, true), request_body(7, 2, true));
        assert!(request_body(8, 1, true).contains(r#""ride_id":"ride-8""#));
        assert!(!request_body(7, 1, true).contains("ride_id"));
        assert!(request_body(7, 1, false).contains("ride-7"));
        assert_eq!(number_of("ride-17"), Some(17));
        let body: serde_json::Value = serde_json::from_str(&request_body(7, 1, false)).unwrap();
        assert_eq!(body["rider_id"], "rider-7");
    }
}
