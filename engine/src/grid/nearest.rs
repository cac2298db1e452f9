//! The nearest drivers, exactly.
//!
//! Rings of cells are searched outwards until nothing in the next ring can be nearer than the last
//! driver found (see [`reach`](super::reach)) or lie within the radius. Where the rings would hold
//! more cells than are occupied, the occupied cells are searched instead.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::index::{Grid, Occupant};
use super::slot::Reading;
use super::supply::Supply;
use crate::geo::{Cell, Position, Rings, UnitVector};
use crate::id::DriverId;
use crate::units::Meters;

/// Taken off a bound before a search stops by it: floating point error of distances.
const BOUND_SLACK_M: f64 = 0.01;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearbyQuery {
    /// The place drivers should be near.
    pub at: Position,
    /// How far away a driver may be.
    pub radius: Meters,
    /// How many drivers are wanted.
    pub limit: usize,
}

/// A driver that was admitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Who.
    pub driver: DriverId,
    /// How far away, in a straight line over ground.
    pub distance: Meters,
    /// The supply facts the driver was admitted with.
    pub supply: Supply,
    /// The position the distance is measured to.
    pub reading: Reading,
}

/// A driver that was refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Excluded<R> {
    /// Who.
    pub driver: DriverId,
    /// How far away, in a straight line over ground.
    pub distance: Meters,
    /// Why.
    pub reason: R,
}

/// The answer to a [`NearbyQuery`].
#[derive(Debug, Clone, PartialEq)]
pub struct Nearby<R> {
    /// The nearest admitted drivers, by distance and then by id.
    pub found: Vec<Found>,
    /// Refused drivers within the radius, no farther than the last one found where the limit was
    /// reached; by distance and then by id.
    pub excluded: Vec<Excluded<R>>,
    /// The whole radius was seen: fewer were found than wanted.
    pub complete: bool,
}

impl Grid {
    /// The nearest drivers that `admit` lets pass. A driver that moves to another cell meanwhile may
    /// be missed; in a grid at rest the answer is exact.
    pub fn nearest<R>(
        &self,
        query: &NearbyQuery,
        admit: impl FnMut(&DriverId, &Supply, &Reading) -> Result<(), R>,
    ) -> Nearby<R> {
        let mut search = Search::new(query, admit);
        if query.limit > 0 {
            self.search_rings(query, &mut search);
        }
        search.finish()
    }

    fn search_rings<R, A>(&self, query: &NearbyQuery, search: &mut Search<R, A>)
    where
        A: FnMut(&DriverId, &Supply, &Reading) -> Result<(), R>,
    {
        let origin = Cell::at(query.at, self.resolution());
        let mut reach = self.reach.of(origin);
        let off_centre = search.at.distance(reach.centre()).get();
        let mut seen = Vec::new();
        for (k, ring) in (0_u32..).zip(Rings::around(origin)) {
            let floor = reach.floor(k as usize, &ring) - off_centre - BOUND_SLACK_M;
            if search.stops_at(Meters::new(floor)) {
                return;
            }
            if Rings::disk_len(k) > self.occupied() as u64 {
                return self.search_everywhere(seen, search);
            }
            self.each_in(&ring, |occupant| search.consider(occupant));
            search.settle();
            seen.extend(ring);
        }
    }

    /// Searches all occupied cells but those `seen`.
    fn search_everywhere<R, A>(&self, mut seen: Vec<Cell>, search: &mut Search<R, A>)
    where
        A: FnMut(&DriverId, &Supply, &Reading) -> Result<(), R>,
    {
        seen.sort_unstable_by_key(|cell| cell.raw());
        self.each_occupant(|cell, occupant| {
            if seen.binary_search_by_key(&cell, |seen| seen.raw()).is_err() {
                search.consider(occupant);
            }
        });
        search.settle();
    }
}

/// A driver with a distance; squared chords order as distances do.
struct Candidate {
    chord_squared: f64,
    occupant: Occupant,
    reading: Reading,
}

impl Candidate {
    fn key(&self) -> (f64, &DriverId) {
        (self.chord_squared, self.occupant.slot.driver())
    }

    fn is_before(&self, other: &Self) -> bool {
        self.key() < other.key()
    }

    fn distance(&self) -> Meters {
        UnitVector::chord_squared_to_distance(self.chord_squared)
    }
}

struct Search<R, A> {
    at: UnitVector,
    limit: usize,
    admit: A,
    /// Only what is within this squared chord matters; shrinks once `limit` are found.
    within: f64,
    /// Candidates of the ring at hand, not yet shown to `admit`.
    pending: Vec<Candidate>,
    /// Admitted, nearest first, at most `limit`.
    found: Vec<Candidate>,
    refused: Vec<(Candidate, R)>,
}

impl<R, A> Search<R, A>
where
    A: FnMut(&DriverId, &Supply, &Reading) -> Result<(), R>,
{
    fn new(query: &NearbyQuery, admit: A) -> Self {
        let within = UnitVector::distance_to_chord_squared(query.radius);
        Self {
            at: query.at.unit(),
            limit: query.limit,
            admit,
            // The antipode may come out a rounding error beyond the longest chord.
            within: if within < 4.0 { within } else { f64::INFINITY },
            pending: Vec::new(),
            found: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Whether nothing at `floor` or beyond matters.
    fn stops_at(&self, floor: Meters) -> bool {
        UnitVector::distance_to_chord_squared(floor) > self.within
    }

    /// Notes an occupant that is near enough. Runs under a shard's lock, so `admit` has to wait.
    fn consider(&mut self, occupant: &Occupant) {
        let Some(reading) = occupant.slot.read() else { return };
        let chord_squared = self.at.chord_squared(reading.unit);
        if chord_squared <= self.within {
            self.pending.push(Candidate { chord_squared, occupant: occupant.clone(), reading });
        }
    }

    /// Shows the noted candidates to `admit`, nearest first.
    fn settle(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_unstable_by(|a, b| {
            a.chord_squared
                .total_cmp(&b.chord_squared)
                .then_with(|| a.occupant.slot.driver().cmp(b.occupant.slot.driver()))
        });
        for candidate in pending.drain(..) {
            if candidate.chord_squared > self.within {
                break;
            }
            self.judge(candidate);
        }
        self.pending = pending;
    }

    fn judge(&mut self, candidate: Candidate) {
        let slot = &candidate.occupant.slot;
        // Who moves to a cell farther out during the search is met twice.
        if self.found.iter().any(|found| Arc::ptr_eq(&found.occupant.slot, slot)) {
            return;
        }
        if let Err(reason) =
            (self.admit)(slot.driver(), &candidate.occupant.supply, &candidate.reading)
        {
            self.refused.push((candidate, reason));
            return;
        }
        let place = self.found.partition_point(|found| found.is_before(&candidate));
        self.found.insert(place, candidate);
        self.found.truncate(self.limit);
        if let Some(last) = self.found.get(self.limit - 1) {
            self.within = last.chord_squared;
        }
    }

    fn finish(self) -> Nearby<R> {
        let Self { limit, within, found, mut refused, .. } = self;
        refused.retain(|(candidate, _)| candidate.chord_squared <= within);
        refused.sort_by(|(a, _), (b, _)| {
            a.chord_squared
                .total_cmp(&b.chord_squared)
                .then_with(|| a.occupant.slot.driver().cmp(b.occupant.slot.driver()))
        });
        let mut named: BTreeSet<DriverId> =
            found.iter().map(|found| found.occupant.slot.driver().clone()).collect();
        refused.retain(|(candidate, _)| named.insert(candidate.occupant.slot.driver().clone()));
        let complete = found.len() < limit;
        let excluded = refused.into_iter().map(|(candidate, reason)| Excluded {
            driver: candidate.occupant.slot.driver().clone(),
            distance: candidate.distance(),
            reason,
        });
        Nearby {
            excluded: excluded.collect(),
            found: found.into_iter().map(found_of).collect(),
            complete,
        }
    }
}

fn found_of(candidate: Candidate) -> Found {
    Found {
        driver: candidate.occupant.slot.driver().clone(),
        distance: candidate.distance(),
        supply: candidate.occupant.supply,
        reading: candidate.reading,
    }
}
