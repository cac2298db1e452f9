//! Which frame is due when, on which connection, and which of them carry a ping.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How fast frames are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pace {
    /// So many frames per second, however the server does: latency counts from the instant a frame is due.
    Rate(f64),
    /// As fast as the server takes them: no more than so many frames are on the way.
    Window(u64),
}

impl Pace {
    /// The part of it for `connections` of `all`.
    pub(super) fn share(self, connections: usize, all: usize) -> Self {
        let part = connections as f64 / all as f64;
        match self {
            Self::Rate(rate) => Self::Rate(rate * part),
            Self::Window(frames) => Self::Window((frames as f64 * part).ceil() as u64),
        }
    }
}

/// The order of frames: one connection after the other, again and again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// Connections.
    pub(super) connections: usize,
    /// How fast.
    pub(super) pace: Pace,
    /// One frame in so many has a ping behind it.
    pub(super) ping_every: u64,
}

impl Schedule {
    /// When a frame is due after the beginning; at once where the server sets the pace.
    pub(super) fn due(&self, frame: u64) -> Duration {
        match self.pace {
            Pace::Rate(rate) => Duration::from_secs_f64(frame as f64 / rate),
            Pace::Window(_) => Duration::ZERO,
        }
    }

    /// The connection of a frame.
    pub(super) const fn connection(&self, frame: u64) -> usize {
        (frame % self.connections as u64) as usize
    }

    /// Whether a frame has a ping behind it. Each round they are on other connections.
    pub(super) const fn has_ping(&self, frame: u64) -> bool {
        let (connection, round) = (self.connection(frame) as u64, frame / self.connections as u64);
        (connection + round).is_multiple_of(self.ping_every)
    }

    /// Whether another frame may be sent while so many pings wait for their answer.
    pub(super) const fn may_send(&self, pings_open: u64) -> bool {
        match self.pace {
            Pace::Rate(_) => true,
            Pace::Window(frames) => pings_open * self.ping_every < frames,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(connections: usize, pace: Pace, ping_every: u64) -> Schedule {
        Schedule { connections, pace, ping_every }
    }

    #[test]
    fn frames_are_due_at_the_rate_for_ever() {
        let schedule = schedule(10, Pace::Rate(25_000.0), 16);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(25_000), Duration::from_secs(1));
        // After a day an instant is still right to the microsecond.
        let day = schedule.due(25_000 * 86_400);
        assert!(day.abs_diff(Duration::from_secs(86_400)) < Duration::from_micros(1));
        assert!((0..1_000).all(|frame| schedule.due(frame) <= schedule.due(frame + 1)));
    }

    #[test]
    fn every_connection_has_its_turn_and_every_connection_is_pinged_in_time() {
        for (connections, every) in [(10, 5), (7, 32), (32, 32), (1_000, 64)] {
            let schedule = schedule(connections, Pace::Window(64), every);
            let rounds = every * 2;
            let mut turns = vec![0; connections];
            let mut pinged = vec![false; connections];
            for frame in 0..rounds * connections as u64 {
                turns[schedule.connection(frame)] += 1;
                pinged[schedule.connection(frame)] |= schedule.has_ping(frame);
            }
            assert!(turns.iter().all(|turns| *turns == rounds));
            assert!(pinged.iter().all(|pinged| *pinged), "{connections} {every}");
        }
    }

    #[test]
    fn a_window_bounds_what_is_on_the_way_and_a_rate_does_not() {
        let window = schedule(10, Pace::Window(64), 16);
        assert!(window.may_send(0) && window.may_send(3) && !window.may_send(4));
        assert!(schedule(10, Pace::Rate(1.0), 16).may_send(u64::MAX / 16));
    }
}
