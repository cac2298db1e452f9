//! The zones a ride begins and ends in: found once, for policies, eligibility and queues.

use std::sync::Arc;

use crate::effect::{Effect, Outbox};
use crate::geo::Position;
use crate::id::{GateId, ZoneId};
use crate::market::Market;
use crate::policy::DispatchMode;
use crate::ride::command::QueueQuery;
use crate::ride::machine::RideMachine;
use crate::ride::record::{RideRequest, RideStatus};
use crate::ride::seeking::Seeking;
use crate::time::Timestamp;
use crate::zone::{GateKind, WaitingRide, Zone, ZoneCommand};

/// How often a waiting ride tells its zone again: a zone's machine that was rebuilt has forgotten it.
const RETELL_MS: u64 = 15_000;

/// The zones of a ride, most specific first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RidePlaces {
    /// Zones that contain the pickup.
    pub pickup: Vec<ZoneId>,
    /// Zones that contain the drop-off.
    pub dropoff: Vec<ZoneId>,
    /// The most specific zone at the pickup that has a queue or takes one-time passwords.
    pub(super) watched: Option<Arc<Zone>>,
    /// The pickup gate of that zone which is nearest to the rider, if drivers are called to it.
    pub(super) gate: Option<GateId>,
}

impl RidePlaces {
    /// The zones of a request.
    pub fn of(request: &RideRequest, market: &Market) -> Self {
        let zones = market.zones();
        let ids = |at: Position| zones.at(at).into_iter().map(|zone| zone.id.clone()).collect();
        let watched = zones.watched_at(request.pickup).cloned();
        let gate = watched
            .as_ref()
            .and_then(|zone| zone.nearest_gate(GateKind::Pickup, request.pickup))
            .filter(|gate| !gate.tiers.is_empty())
            .map(|gate| gate.id.clone());
        Self {
            pickup: ids(request.pickup),
            dropoff: request.dropoff.map(ids).unwrap_or_default(),
            watched,
            gate,
        }
    }

    /// The zone whose queue serves the pickup.
    pub(super) fn queue(&self) -> Option<&Arc<Zone>> {
        self.watched.as_ref().filter(|zone| zone.queue.is_some())
    }

    /// The zone whose drivers may enter the ride's one-time password.
    pub(super) fn otp(&self) -> Option<&Arc<Zone>> {
        self.watched.as_ref().filter(|zone| zone.otp)
    }
}

/// What the zone of the pickup was told last.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct ZoneTold {
    ride: Option<Arc<WaitingRide>>,
    again_at: Timestamp,
}

impl ZoneTold {
    /// When the zone must be told again.
    pub(super) fn again_at(&self) -> Option<Timestamp> {
        self.ride.as_ref().map(|_| self.again_at)
    }
}

impl RideMachine {
    /// How the queue at the pickup takes part in the search.
    pub(super) fn queue_query(&self, seeking: Seeking) -> Option<QueueQuery> {
        if matches!(
            seeking,
            Seeking::ForwardPlaces(_) | Seeking::Standby(_) | Seeking::Window { .. }
        ) {
            return None;
        }
        let zone = self.places.queue()?.id.clone();
        match self.policy.mode {
            DispatchMode::Queue => {
                let all = self.policy.queue_wave_size;
                let places = match seeking {
                    Seeking::Wave | Seeking::Widest | Seeking::Instant | Seeking::Window { .. } => {
                        all
                    }
                    Seeking::Places(places) | Seeking::ForwardPlaces(places) => places.min(all),
                    Seeking::Standby(_) => 0,
                };
                let (places, falls_back) = (Some(places as usize), self.policy.queue_fallback);
                Some(QueueQuery { zone, places, falls_back })
            }
            DispatchMode::Broadcast
            | DispatchMode::Sequential
            | DispatchMode::Quotes
            | DispatchMode::Instant
            | DispatchMode::Otp
            | DispatchMode::Batched => {
                let first = self.policy.zone_queue_first;
                first.then_some(QueueQuery { zone, places: None, falls_back: true })
            }
        }
    }

    /// Tells the zone of the pickup that the ride waits for a driver there, or no longer does.
    pub(super) fn tell_zone(&mut self, now: Timestamp, out: &mut Outbox) {
        let Some(zone) = self.places.watched.as_ref().map(|zone| zone.id.clone()) else { return };
        if let Some(waiting) = self.waiting() {
            let same = self.zone_told.ride.as_deref() == Some(&waiting);
            if same && self.zone_told.again_at > now {
                return;
            }
            let ride = Arc::new(waiting);
            let again_at = now.plus_millis(RETELL_MS);
            self.zone_told = ZoneTold { ride: Some(Arc::clone(&ride)), again_at };
            out.push(Effect::ToZone(zone, ZoneCommand::Waits { ride }));
        } else if self.zone_told.ride.take().is_some() {
            let ride = self.record.request.ride.clone();
            out.push(Effect::ToZone(zone, ZoneCommand::WaitsNoMore { ride }));
        }
    }

    fn waiting(&self) -> Option<WaitingRide> {
        let told = self.record.otp_ride || self.places.gate.is_some();
        if self.record.status != RideStatus::Searching || !told {
            return None;
        }
        Some(WaitingRide {
            ride: self.record.request.ride.clone(),
            tiers: self.record.service_tiers.clone(),
            gate: self.places.gate.clone(),
            until: self.record.search_deadline,
            standing: self.standing_offer(),
        })
    }
}
