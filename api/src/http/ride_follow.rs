//! One follower of a ride: history first, then live, without a gap and without a buffer that grows.
//!
//! The board of a ride changes after the commit, so each change means that history has more. The
//! follower subscribes to the board before it first reads: nothing falls in between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Bytes, Data};
use muster_actors::StoreError;
use muster_engine::id::RideId;
use muster_engine::ride::RideRecord;
use muster_engine::time::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior};

use crate::http::problem::unreadable;
use crate::http::state::AppState;
use crate::store::StoredRideEvent;
use crate::wire::{
    DriverPositionEvent, LiveDriver, PositionView, Problem, RideEventView, RideView,
};

/// Events read from history at once.
const PAGE: u32 = 64;

/// No two positions of the driver are told sooner after one another.
const POSITION_EVERY: Duration = Duration::from_secs(1);

/// A sign of life for proxies that close silent connections.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// How soon a client comes back after a stream broke off.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often a follower looks for a ride whose actor is being rebuilt. Shorter than the interval of
/// positions, which begins this wait anew.
const ABSENT_EVERY: Duration = Duration::from_millis(250);

type Board = watch::Receiver<Option<Arc<RideRecord>>>;

/// A follower of one ride.
pub(super) struct Follow {
    state: Data<AppState>,
    newest: Arc<RideRecord>,
    last_seq: u64,
    board: Option<Board>,
    draining: watch::Receiver<bool>,
    frames: VecDeque<Bytes>,
    positions: Interval,
    keep_alive: Interval,
    position_told: Timestamp,
    /// History has more than was read.
    behind: bool,
    over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Follow {
    /// Follows `ride` from the event after `last_seq`.
    pub(super) async fn begin(
        state: Data<AppState>,
        ride: Arc<RideRecord>,
        last_seq: u64,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, Problem> {
        let mut follow = Self {
            board: state.dispatch.watch_ride(&ride.request.ride),
            draining: state.dispatch.draining(),
            newest: ride,
            last_seq,
            frames: VecDeque::new(),
            positions: every(POSITION_EVERY),
            keep_alive: every(KEEP_ALIVE_EVERY),
            position_told: Timestamp::default(),
            behind: false,
            over: false,
            _permit: permit,
            state,
        };
        follow.read_history().await.map_err(unreadable)?;
        if !follow.is_spent() {
            let retry = format!("retry: {}\n\n", RETRY_AFTER.as_millis());
            follow.frames.push_front(Bytes::from(retry));
        }
        Ok(follow)
    }

    /// Whether the ride is over and everything about it was told.
    pub(super) fn is_spent(&self) -> bool {
        self.over && self.frames.is_empty()
    }

    /// The next frame of the stream; nothing when it ends.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            if self.over {
                return None;
            }
            self.wait().await;
        }
    }

    /// Waits for whatever there is to tell next.
    async fn wait(&mut self) {
        if self.behind {
            return self.catch_up().await;
        }
        match self.woken().await {
            Wake::Drained => self.over = true,
            Wake::Changed => self.catch_up().await,
            Wake::Absent => {
                self.board = self.state.dispatch.watch_ride(self.ride());
                self.catch_up().await;
            }
            Wake::Position => self.tell_position(),
            Wake::KeepAlive => self.frames.push_back(Bytes::from_static(b": keep-alive\n\n")),
        }
    }

    async fn woken(&mut self) -> Wake {
        tokio::select! {
            _ = self.draining.wait_for(|draining| *draining) => Wake::Drained,
            wake = changed(self.board.as_mut()) => wake,
            _ = self.positions.tick() => Wake::Position,
            _ = self.keep_alive.tick() => Wake::KeepAlive,
        }
    }

    /// A read that fails ends the stream: the client comes back and resumes where it was.
    async fn catch_up(&mut self) {
        if let Err(error) = self.read_history().await {
            tracing::warn!(%error, "an event stream broke off");
            self.over = true;
        }
    }

    async fn read_history(&mut self) -> Result<(), StoreError> {
        let ride = self.ride().clone();
        let rows = self.state.history.ride_events(&ride, self.last_seq, PAGE).await?;
        self.behind = rows.len() == PAGE as usize;
        let count = rows.len();
        for (index, row) in rows.into_iter().enumerate() {
            self.tell(row, index + 1 == count && !self.behind);
        }
        self.over = !self.behind && self.newest.status.is_terminal();
        Ok(())
    }

    fn tell(&mut self, row: StoredRideEvent, newest: bool) {
        let live = if newest { LiveDriver::of(&self.state.dispatch, &row.record) } else { None };
        let view = RideView::new(&row.record, live.as_ref());
        let event = RideEventView::new(self.ride(), row.seq, row.kind, row.at, view);
        self.frames.extend(frame(Some(row.seq), row.kind.name(), &event));
        self.last_seq = row.seq;
        self.newest = Arc::new(row.record);
    }

    /// Where the driver is, if he serves the ride and moved since it was told last.
    fn tell_position(&mut self) {
        let Some(live) = LiveDriver::of(&self.state.dispatch, &self.newest) else { return };
        let Some(assignment) = self.newest.assignment.as_ref() else { return };
        if live.reading.recorded_at <= self.position_told {
            return;
        }
        self.position_told = live.reading.recorded_at;
        let event = DriverPositionEvent {
            ride_id: self.ride().to_string(),
            driver_id: assignment.driver.id.to_string(),
            position: PositionView::from(&live.reading),
            pickup_eta_s: live.pickup_eta.map(|eta| eta.get()),
        };
        self.frames.extend(frame(None, "driver_position", &event));
    }

    fn ride(&self) -> &RideId {
        &self.newest.request.ride
    }
}

/// What a follower wakes up for.
enum Wake {
    Drained,
    Changed,
    /// The ride is not in memory at present.
    Absent,
    Position,
    KeepAlive,
}

/// Waits until the board changes, or for a while when there is none.
async fn changed(board: Option<&mut Board>) -> Wake {
    if let Some(board) = board
        && board.changed().await.is_ok()
    {
        return Wake::Changed;
    }
    tokio::time::sleep(ABSENT_EVERY).await;
    Wake::Absent
}

fn every(period: Duration) -> Interval {
    let first = tokio::time::Instant::now() + period;
    let mut interval = tokio::time::interval_at(first, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// One event of the stream; one that is told again on request carries its number.
fn frame(id: Option<u64>, name: &str, data: &impl Serialize) -> Option<Bytes> {
    let data = serde_json::to_string(data).ok()?;
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Some(Bytes::from(format!("{id}event: {name}\ndata: {data}\n\n")))
}
