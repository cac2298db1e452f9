//! A rider: asks for a ride, watches its events, loses patience or gets in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::behaviour::RiderPlan;
use crate::line::StandCode;
use crate::measure::End;
use crate::quoting::Quoting as _;
use crate::sse::{SseEvent, SseParser};
use crate::trips::{Trip, fare_cents};
use crate::wire::{RideStatus, RideView};
use crate::world::World;

/// A request sent later than this in city time has missed its deadline.
const LATE_MS: i64 = 1_000;
/// Pause before a broken event stream is opened again.
const STREAM_PAUSE: Duration = Duration::from_millis(200);
/// City time before a rider whose choice was gone looks at the others.
const CHOOSE_AGAIN_MS: i64 = 2_000;
/// Straight lines become this much longer on streets.
const DETOUR: f64 = 1.3;
/// Parties from this size on may also be served by larger vehicles.
const LARGE_PARTY: u8 = 4;

/// One rider with one wish.
pub(crate) struct Rider {
    pub(crate) world: Arc<World>,
    pub(crate) index: usize,
    pub(crate) trip: Trip,
    /// When the request is to be sent, in city time.
    pub(crate) due_ms: i64,
}

/// What the rider knows of the ride.
struct Progress {
    status: RideStatus,
    /// City time at which the rider gives up or changes their mind.
    cancels_at_ms: Option<i64>,
    /// City time at which the rider chooses among the quotes that are there.
    chooses_at_ms: Option<i64>,
    assigned_before: bool,
    /// The password last shown to drivers at a stand.
    shown_otp: Option<String>,
}

impl Rider {
    /// Requests the ride and stays with it until boarding or its end.
    pub(crate) async fn run(self) {
        let world = &self.world;
        let ride_id = world.recorder.ride_id(self.index);
        let plan = world.behaviour.rider(&self.index.to_string());
        let now_ms = world.clock.now_ms();
        if now_ms - self.due_ms > LATE_MS {
            world.recorder.requests_missed.fetch_add(1, Ordering::Relaxed);
        }
        let sent = Instant::now();
        world.recorder.requested(self.index, sent, now_ms);
        match world.api.request_ride(&ride_id, &self.body(&ride_id)).await {
            Ok(view) => {
                world.recorder.posted(sent);
                let mut progress = Progress {
                    status: RideStatus::Searching,
                    cancels_at_ms: Some(now_ms + plan.patience_ms),
                    chooses_at_ms: None,
                    assigned_before: false,
                    shown_otp: None,
                };
                self.learn(&view, &plan, &mut progress);
                self.watch(&ride_id, &plan, progress).await;
            }
            Err(code) => {
                world.recorder.error(&format!("request {code}"));
                world.recorder.ended(&ride_id, End::Refused { code });
            }
        }
    }

    fn body(&self, ride_id: &str) -> serde_json::Value {
        let Trip { pickup, dropoff, passengers, .. } = self.trip;
        let tiers: &[&str] =
            if passengers >= LARGE_PARTY { &["standard", "xl"] } else { &["standard"] };
        serde_json::json!({
            "ride_id": ride_id,
            "rider_id": format!("rider-{}", self.index),
            "market": self.world.market,
            "pickup": pickup,
            "dropoff": dropoff,
            "service_tiers": tiers,
            "fare": {"amount": fare_cents(pickup.distance_m(dropoff) * DETOUR), "currency": "USD"},
        })
    }

    /// Follows the ride's events, opening the stream again when it breaks.
    async fn watch(&self, ride_id: &str, plan: &RiderPlan, mut progress: Progress) {
        let mut parser = SseParser::default();
        while !self.is_done(&progress) {
            let last_id = parser.last_id().map(ToOwned::to_owned);
            match self.world.api.ride_events(ride_id, last_id.as_deref()).await {
                Ok(mut stream) => {
                    parser.reset();
                    self.follow(ride_id, plan, &mut stream, &mut parser, &mut progress).await;
                }
                Err(code) => self.world.recorder.error(&format!("events {code}")),
            }
            if !self.is_done(&progress) {
                sleep(STREAM_PAUSE).await;
                self.do_what_is_due(ride_id, plan, &mut progress).await;
                if let Ok(view) = self.world.api.ride(ride_id).await {
                    self.learn(&view, plan, &mut progress);
                }
            }
        }
    }

    async fn follow(
        &self,
        ride_id: &str,
        plan: &RiderPlan,
        stream: &mut reqwest::Response,
        parser: &mut SseParser,
        progress: &mut Progress,
    ) {
        while !self.is_done(progress) {
            let due_ms = progress.cancels_at_ms.into_iter().chain(progress.chooses_at_ms).min();
            let due = due_ms.map(|due_ms| self.world.clock.instant_of(due_ms));
            tokio::select! {
                chunk = stream.chunk() => match chunk {
                    Ok(Some(bytes)) => for event in parser.push(&bytes) {
                        self.on_event(&event, plan, progress);
                    },
                    Ok(None) | Err(_) => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)),
                    if due.is_some() => self.do_what_is_due(ride_id, plan, progress).await,
            }
        }
    }

    fn on_event(&self, event: &SseEvent, plan: &RiderPlan, progress: &mut Progress) {
        // Positions and ETAs come every second and change nothing for the rider.
        if event.name.contains("position") || event.name.contains("eta") {
            return;
        }
        if let Some(view) = ride_of(&event.data) {
            self.learn(&view, plan, progress);
        }
    }

    /// Takes in a view of the ride.
    fn learn(&self, view: &RideView, plan: &RiderPlan, progress: &mut Progress) {
        let world = &self.world;
        world.recorder.shown(view);
        if let Some(otp) = &view.otp {
            world.codes.learn(&view.ride_id, otp);
        }
        progress.status = view.status;
        self.look_at_quotes(view, progress);
        self.stand_in_line(view, progress);
        match view.status {
            RideStatus::Assigned => {
                if !progress.assigned_before {
                    progress.assigned_before = true;
                    let now_ms = world.clock.now_ms();
                    progress.cancels_at_ms =
                        plan.cancel_after_assigned_ms.map(|after_ms| now_ms + after_ms);
                }
            }
            RideStatus::InProgress
            | RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => progress.cancels_at_ms = None,
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Arrived
            | RideStatus::Other => {}
        }
    }

    /// The first quote begins the time in which the rider compares.
    fn look_at_quotes(&self, view: &RideView, progress: &mut Progress) {
        if view.status != RideStatus::Searching || view.quotes.is_empty() {
            progress.chooses_at_ms = None;
        } else if progress.chooses_at_ms.is_none() {
            let plan = self.world.behaviour.choice(&self.index.to_string());
            progress.chooses_at_ms = Some(self.world.clock.now_ms() + plan.looking_ms);
        }
    }

    /// A ride that nobody is searched for waits for a driver at the stand.
    fn stand_in_line(&self, view: &RideView, progress: &mut Progress) {
        let stands = self.world.stands.as_ref();
        let Some(zone) = stands.and_then(|stands| stands.zone_at(self.trip.pickup)) else { return };
        let otp = view.otp.as_ref().filter(|_| view.status == RideStatus::Searching);
        match otp {
            Some(otp) if progress.shown_otp.as_ref() != Some(otp) => {
                let code = StandCode { ride_id: view.ride_id.clone(), otp: otp.clone() };
                self.world.line.join(zone, code);
                progress.shown_otp = Some(otp.clone());
            }
            Some(_) => {}
            None if progress.shown_otp.is_some() => self.world.line.leave(zone, &view.ride_id),
            None => {}
        }
    }

    async fn do_what_is_due(&self, ride_id: &str, plan: &RiderPlan, progress: &mut Progress) {
        self.cancel_when_due(ride_id, progress).await;
        let now_ms = self.world.clock.now_ms();
        if progress.chooses_at_ms.is_some_and(|at_ms| at_ms <= now_ms) && !self.is_done(progress) {
            progress.chooses_at_ms = None;
            self.choose(ride_id, plan, progress).await;
        }
    }

    /// Takes the best of the quotes that are there now; one that is gone is no fault.
    async fn choose(&self, ride_id: &str, plan: &RiderPlan, progress: &mut Progress) {
        let world = &self.world;
        let choice = world.behaviour.choice(&self.index.to_string());
        let chosen = match world.api.quotes(ride_id).await {
            Ok(quotes) => choice.best(&quotes).map(|quote| quote.quote_id.clone()),
            Err(code) => return world.recorder.error(&format!("quotes {code}")),
        };
        // Without a quote the next one begins the comparison anew.
        let Some(quote_id) = chosen else { return };
        match world.api.select_quote(ride_id, &quote_id).await {
            Ok(view) => {
                world.recorder.chosen("selected");
                self.learn(&view, plan, progress);
            }
            Err(code) => {
                world.recorder.chosen(&code);
                progress.chooses_at_ms = Some(world.clock.now_ms() + CHOOSE_AGAIN_MS);
            }
        }
    }

    async fn cancel_when_due(&self, ride_id: &str, progress: &mut Progress) {
        let world = &self.world;
        if progress.cancels_at_ms.is_none_or(|at_ms| at_ms > world.clock.now_ms()) {
            return;
        }
        progress.cancels_at_ms = None;
        let reason = if progress.assigned_before { "changed_plans" } else { "patience" };
        match world.api.cancel_ride(ride_id, reason).await {
            Ok(view) => {
                world.recorder.shown(&view);
                self.stand_in_line(&view, progress);
                progress.status = view.status;
            }
            Err(code) => world.recorder.error(&format!("cancel {code}")),
        }
    }

    /// Whether there is nothing more for the rider to see.
    fn is_done(&self, progress: &Progress) -> bool {
        let on_board = progress.status == RideStatus::InProgress && !self.world.follow_trips;
        on_board || progress.status.is_terminal()
    }
}

/// The ride in an event's data: as `ride`, or the data itself.
fn ride_of(data: &str) -> Option<RideView> {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        ride: RideView,
    }
    serde_json::from_str::<Wrapped>(data)
        .map(|wrapped| wrapped.ride)
        .or_else(|_| serde_json::from_str(data))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ride_is_found_in_an_events_data_however_it_is_wrapped() {
        let bare = r#"{"ride_id":"r","status":"assigned","otp":"42"}"#;
        let wrapped = format!(r#"{{"type":"ride_assigned","at":"…","ride":{bare}}}"#);
        for data in [bare, &wrapped] {
            assert_eq!(ride_of(data).unwrap().otp.as_deref(), Some("42"));
        }
        assert!(ride_of(r#"{"type":"driver_position","position":{"lat":1,"lng":2}}"#).is_none());
        assert!(ride_of("not json").is_none());
    }
}
