//! A recorded ride: what was asked for, who served it, how it ended.

use muster_engine::geo::Position;
use muster_engine::id::DriverId;
use muster_engine::offer::OfferEnd;
use muster_engine::ride::{CancelledBy, RideEventKind, RideRequest};
use muster_record::{OfferEndedLine, RideLine};

/// A driver's time with a ride.
#[derive(Debug, Clone)]
pub(crate) struct Spell {
    pub(crate) driver: DriverId,
    pub(crate) assigned_ms: u64,
    pub(crate) eta_ms: u64,
    pub(crate) arrived_ms: Option<u64>,
    pub(crate) started_ms: Option<u64>,
    /// When he had lost or finished it.
    pub(crate) until_ms: Option<u64>,
    /// Whether he lost it before the rider was on board, with the ride going on without him.
    pub(crate) lost: bool,
}

/// How a ride ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordedEnd {
    pub(crate) at_ms: u64,
    pub(crate) event: RideEventKind,
    pub(crate) by: Option<CancelledBy>,
    pub(crate) reason: Option<String>,
}

/// A ride of the log.
#[derive(Debug, Clone)]
pub(crate) struct RecordedRide {
    pub(crate) request: RideRequest,
    pub(crate) requested_ms: u64,
    /// Where the rider went instead, and when he said so.
    pub(crate) dropoffs: Vec<(u64, Position)>,
    pub(crate) spells: Vec<Spell>,
    pub(crate) ended: Option<RecordedEnd>,
    pub(crate) offers: u32,
    pub(crate) refused: u32,
    policy_versions: Vec<u64>,
}

impl RecordedRide {
    pub(super) const fn requested(requested_ms: u64, request: RideRequest) -> Self {
        Self {
            request,
            requested_ms,
            dropoffs: Vec::new(),
            spells: Vec::new(),
            ended: None,
            offers: 0,
            refused: 0,
            policy_versions: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, ms: u64, line: &RideLine) {
        if !self.policy_versions.contains(&line.policy_version) {
            self.policy_versions.push(line.policy_version);
        }
        let newest = self.spells.last_mut().filter(|spell| spell.until_ms.is_none());
        match (line.event, newest) {
            (RideEventKind::DriverAssigned | RideEventKind::OtpEntered, _) => {
                self.assigned(ms, line);
            }
            (RideEventKind::DriverArrived, Some(spell)) => spell.arrived_ms = Some(ms),
            (RideEventKind::RideStarted, Some(spell)) => spell.started_ms = Some(ms),
            (RideEventKind::RideReallocated | RideEventKind::ForwardReturned, Some(spell)) => {
                (spell.until_ms, spell.lost) = (Some(ms), true);
            }
            (RideEventKind::DropoffChanged, _) => {
                self.dropoffs.extend(line.dropoff.map(|dropoff| (ms, dropoff)));
            }
            (
                RideEventKind::RideCompleted
                | RideEventKind::RideCancelled
                | RideEventKind::RideUnfulfilled,
                spell,
            ) => {
                if let Some(spell) = spell {
                    spell.until_ms = Some(ms);
                }
                let (event, by, reason) = (line.event, line.by, line.reason.clone());
                self.ended = Some(RecordedEnd { at_ms: ms, event, by, reason });
            }
            // A retry goes on with the ride.
            (RideEventKind::SearchStarted, _) => self.ended = None,
            (_, _) => {}
        }
    }

    fn assigned(&mut self, ms: u64, line: &RideLine) {
        let Some(driver) = line.driver.clone() else { return };
        // Who stood by takes over without a word on who had it.
        if let Some(before) = self.spells.last_mut().filter(|spell| spell.until_ms.is_none()) {
            (before.until_ms, before.lost) = (Some(ms), true);
        }
        let at_once = (line.event == RideEventKind::OtpEntered).then_some(ms);
        self.spells.push(Spell {
            driver,
            assigned_ms: ms,
            eta_ms: u64::from(line.pickup_eta_s.unwrap_or(0)) * 1_000,
            arrived_ms: at_once,
            started_ms: at_once,
            until_ms: None,
            lost: false,
        });
    }

    pub(super) fn offer_ended(&mut self, line: &OfferEndedLine) {
        self.offers += 1;
        self.refused += match line.end {
            OfferEnd::Declined | OfferEnd::Expired => 1,
            OfferEnd::Accepted | OfferEnd::Withdrawn => 0,
        };
    }

    pub(super) fn is_under_other(&self, version: u64) -> bool {
        self.policy_versions.iter().any(|own| *own != version)
    }

    /// Where the rider went in the end.
    pub(crate) fn dropoff(&self) -> Option<Position> {
        self.dropoffs.last().map(|(_, dropoff)| *dropoff).or(self.request.dropoff)
    }

    /// How long the trip took, when it was completed.
    pub(crate) fn trip_ms(&self) -> Option<u64> {
        let ended = self.ended.as_ref()?;
        let started_ms = self.spells.last()?.started_ms?;
        (ended.event == RideEventKind::RideCompleted).then(|| ended.at_ms - started_ms)
    }

    /// How long the driver waited for the rider.
    pub(crate) fn dwell_ms(&self) -> Option<u64> {
        let spell = self.spells.last()?;
        spell.started_ms?.checked_sub(spell.arrived_ms?)
    }

    fn rider_left_ms(&self) -> Option<u64> {
        let ended = self.ended.as_ref()?;
        let left = ended.event == RideEventKind::RideCancelled;
        (left && ended.by == Some(CancelledBy::Rider)).then_some(ended.at_ms)
    }

    /// How long the rider waited without a driver before he left; nothing when he did not.
    pub(crate) fn patience_ms(&self) -> Option<u64> {
        let waiting = self.spells.is_empty();
        self.rider_left_ms().filter(|_| waiting).map(|ms| ms - self.requested_ms)
    }

    /// How long after his first driver was found the rider changed his plans.
    pub(crate) fn changed_plans_after_ms(&self) -> Option<u64> {
        let assigned_ms = self.spells.first()?.assigned_ms;
        self.rider_left_ms().map(|ms| ms - assigned_ms)
    }
}
