//! From what the server did to lines: only what came in from outside, and only when it is news.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::driver::{Departure, DriverProfile, DriverRecord};
use muster_engine::geo::Position;
use muster_engine::id::{DriverId, MarketId, OfferId, RideId};
use muster_engine::offer::OfferEnd;
use muster_engine::ride::{LiveOffer, RideEventKind, RideRecord};
use muster_engine::time::Timestamp;

use crate::line::{DriverLine, FixLine, Line, MarketLine, OfferEndedLine, RequestLine, RideLine};

/// A fix is written when its driver has moved this far since the last one written.
const FIX_MOVED_M: f64 = 25.0;

/// Or when this long has passed: then a driver who waits can be told from a phone that is silent.
const FIX_INTERVAL_MS: u64 = 60_000;

/// What the scribe knows: enough to begin a file that stands for itself.
#[derive(Debug, Default)]
pub(crate) struct Scribe {
    markets: BTreeMap<MarketId, MarketLine>,
    drivers: BTreeMap<DriverId, (DriverProfile, bool)>,
    fixes: BTreeMap<DriverId, (Position, Timestamp)>,
    /// Rides with an offer or a search open, as they were told last.
    rides: BTreeMap<RideId, Arc<RideRecord>>,
}

impl Scribe {
    /// The first lines of a file: markets, drivers, where they are.
    pub(crate) fn preface(&self, at: Timestamp) -> Vec<Line> {
        let markets = self
            .markets
            .values()
            .map(|market| Line::Market(Box::new(MarketLine { at, ..market.clone() })));
        let drivers = self.drivers.iter().map(|(driver, (profile, online))| {
            let (driver, profile, online) = (driver.clone(), profile.clone(), *online);
            Line::Driver(Box::new(DriverLine { at, driver, online, profile }))
        });
        let fixes = self.fixes.iter().map(|(driver, (position, at))| {
            Line::Fix(FixLine { at: *at, driver: driver.clone(), position: *position })
        });
        markets.chain(drivers).chain(fixes).collect()
    }

    pub(crate) fn market(&mut self, line: MarketLine) -> Vec<Line> {
        self.markets.insert(line.market.clone(), line.clone());
        vec![Line::Market(Box::new(line))]
    }

    /// A driver's record is written with every ride of his: mostly it says nothing new.
    pub(crate) fn driver(&mut self, at: Timestamp, record: DriverRecord) -> Vec<Line> {
        let DriverRecord { driver, mut profile, online, .. } = record;
        // To the city, one who is removed is one whose work ends.
        profile.departure = Departure::None;
        let news = (profile, online);
        if self.drivers.get(&driver) == Some(&news) {
            return Vec::new();
        }
        self.drivers.insert(driver.clone(), news.clone());
        let (profile, online) = news;
        vec![Line::Driver(Box::new(DriverLine { at, driver, online, profile }))]
    }

    pub(crate) fn fix(&mut self, at: Timestamp, driver: DriverId, position: Position) -> Vec<Line> {
        if let Some((last, last_at)) = self.fixes.get(&driver) {
            let moved = last.distance(position).get() >= FIX_MOVED_M;
            if at <= *last_at || (!moved && at.millis_since(*last_at) < FIX_INTERVAL_MS) {
                return Vec::new();
            }
        }
        self.fixes.insert(driver.clone(), (position, at));
        vec![Line::Fix(FixLine { at, driver, position })]
    }

    /// A ride that was open when the recording began.
    pub(crate) fn open_ride(&mut self, record: Arc<RideRecord>) {
        self.rides.insert(record.request.ride.clone(), record);
    }

    pub(crate) fn ride(
        &mut self,
        at: Timestamp,
        kind: RideEventKind,
        record: &Arc<RideRecord>,
    ) -> Vec<Line> {
        let ride = record.request.ride.clone();
        let before = self.rides.get(&ride);
        let mut lines = before.map_or_else(Vec::new, |before| offers_ended(before, record, at));
        if kind == RideEventKind::RideRequested {
            let mut request = (*record.request).clone();
            (request.entropy, request.request_key, request.origin) = (0, None, None);
            lines.push(Line::Request(Box::new(RequestLine { at, request })));
        } else if is_told(kind) {
            lines.push(Line::Ride(Box::new(step(at, kind, record, before.map(|b| &**b)))));
        }
        if record.status.is_terminal() {
            self.rides.remove(&ride);
        } else {
            self.rides.insert(ride, Arc::clone(record));
        }
        lines
    }
}

/// Steps that people took, or that change whose ride it is; searches, waves and the like are what
/// dispatch made of them.
const fn is_told(kind: RideEventKind) -> bool {
    match kind {
        RideEventKind::SearchStarted
        | RideEventKind::DriverAssigned
        | RideEventKind::DriverArrived
        | RideEventKind::RideStarted
        | RideEventKind::RideCompleted
        | RideEventKind::RideCancelled
        | RideEventKind::RideReallocated
        | RideEventKind::RideUnfulfilled
        | RideEventKind::DropoffChanged
        | RideEventKind::ForwardPromoted
        | RideEventKind::ForwardReturned
        | RideEventKind::OtpEntered => true,
        RideEventKind::RideRequested
        | RideEventKind::WaveSent
        | RideEventKind::NoCandidates
        | RideEventKind::OffersEnded
        | RideEventKind::InstantOffered
        | RideEventKind::InstantEnded
        | RideEventKind::QuoteReceived
        | RideEventKind::QuoteEnded
        | RideEventKind::DriverNudged
        | RideEventKind::TryUnfulfilled
        | RideEventKind::ForwardUpdated
        | RideEventKind::OtpDrawn
        | RideEventKind::BetterDriverSearchStarted
        | RideEventKind::StandbyHeld
        | RideEventKind::StandbyEnded => false,
    }
}

fn step(
    at: Timestamp,
    kind: RideEventKind,
    record: &RideRecord,
    before: Option<&RideRecord>,
) -> RideLine {
    // A ride that was given back names the driver who lost it.
    let assignment = record.assignment.as_ref().or_else(|| before?.assignment.as_ref());
    let changed = kind == RideEventKind::DropoffChanged;
    RideLine {
        at,
        ride: record.request.ride.clone(),
        event: kind,
        attempt: record.attempt,
        policy_version: record.policy.version,
        driver: assignment.map(|own| own.driver.id.clone()),
        pickup_eta_s: assignment.map(|own| own.pickup_eta.get()),
        dropoff: record.dropoff().filter(|_| changed),
        by: record.cancelled_by,
        reason: record.reason.clone(),
    }
}

/// The offers that ended between two states of a ride, as its counts tell. One commit holds answers
/// of one kind beside withdrawals; where declines could be meant by several, none is told as one.
fn offers_ended(before: &RideRecord, after: &RideRecord, at: Timestamp) -> Vec<Line> {
    let gone: Vec<(&OfferId, &LiveOffer)> =
        before.offers.iter().filter(|(id, _)| !after.offers.contains_key(*id)).collect();
    let (old, new) = (&before.offer_counts, &after.offer_counts);
    let won = after.assignment.as_ref().map(|own| &own.offer);
    let accepted = |id: &OfferId| new.accepted > old.accepted && won == Some(id);
    let expired = |live: &LiveOffer| new.expired > old.expired && live.expires_at <= at;
    let open = gone.iter().filter(|(id, live)| !accepted(id) && !expired(live)).count();
    let declined = open == new.declined.saturating_sub(old.declined) as usize;
    let end = |id: &OfferId, live: &LiveOffer| {
        if accepted(id) {
            OfferEnd::Accepted
        } else if expired(live) {
            OfferEnd::Expired
        } else if declined {
            OfferEnd::Declined
        } else {
            OfferEnd::Withdrawn
        }
    };
    let line = |(id, live): (&OfferId, &LiveOffer)| {
        let answered_at = live.answered_at().unwrap_or(at);
        Line::OfferEnded(OfferEndedLine {
            at,
            ride: before.request.ride.clone(),
            offer: id.clone(),
            driver: live.driver.clone(),
            end: end(id, live),
            after_ms: answered_at.millis_since(live.visible_at.max(live.offered_at)),
            pickup_eta_s: live.pickup_eta.get(),
            kind: live.kind.clone(),
        })
    };
    gone.into_iter().map(line).collect()
}

#[cfg(test)]
#[path = "scribe_tests.rs"]
mod tests;
