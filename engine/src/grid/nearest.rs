//! The nearest drivers, exactly.
//!
//! Rings of cells are searched outwards until nothing in the next ring can be nearer than the last
//! driver found (see [`reach`](super::reach)) or lie within the radius. Where the rings would hold
//! more cells than are occupied, the occupied cells are searched instead.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

use super::index::{Grid, Occupant};
use super::slot::{DriverSlot, RawReading, Reading};
use super::supply::Supply;
use crate::geo::{Cell, Position, Rings, UnitVector};
use crate::id::DriverId;
use crate::time::Timestamp;
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
    /// With a slot cap and the present instant: drivers who cannot take an offer under it are passed
    /// over unseen, neither found nor reported. A search that is repeated while supply is scarce
    /// pays for few drivers.
    pub offerable_under: Option<(u8, Timestamp)>,
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
#[derive(Debug, Clone)]
pub struct Excluded<R> {
    /// Whose slot the search met.
    pub slot: Arc<DriverSlot>,
    /// How far away, in a straight line over ground.
    pub distance: Meters,
    /// Why.
    pub reason: R,
}

impl<R: PartialEq> PartialEq for Excluded<R> {
    fn eq(&self, other: &Self) -> bool {
        let same_driver = self.slot.driver() == other.slot.driver();
        same_driver && self.distance == other.distance && self.reason == other.reason
    }
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
    /// The nearest drivers that `admit` lets pass. A driver that moves to another cell meanwhile
    /// may be missed; in a grid at rest the answer is exact.
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

/// A driver within reach of the search.
struct Candidate {
    /// Squared chords order as distances do.
    chord_squared: f64,
    occupant: Occupant,
    raw: RawReading,
}

/// A driver that was judged.
struct Judged<V> {
    chord_squared: f64,
    slot: Arc<DriverSlot>,
    verdict: V,
}

impl<V> Judged<V> {
    fn by_distance_and_id(&self, other: &Self) -> Ordering {
        self.chord_squared
            .total_cmp(&other.chord_squared)
            .then_with(|| self.slot.driver().cmp(other.slot.driver()))
    }

    fn distance(&self) -> Meters {
        UnitVector::chord_squared_to_distance(self.chord_squared)
    }
}

struct Search<R, A> {
    at: UnitVector,
    limit: usize,
    offerable_under: Option<(u8, Timestamp)>,
    admit: A,
    /// Only what is within this squared chord matters; shrinks once `limit` are found.
    within: f64,
    /// Candidates of the ring at hand, not yet shown to `admit`.
    pending: Vec<Candidate>,
    /// Admitted, nearest first, at most `limit`.
    found: Vec<Judged<(Supply, Reading)>>,
    refused: Vec<Judged<R>>,
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
            offerable_under: query.offerable_under,
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
        let offerable = |(cap, now)| occupant.supply.offerable(cap, now);
        if !self.offerable_under.is_none_or(offerable) {
            return;
        }
        let Some(raw) = occupant.slot.read_raw() else { return };
        let chord_squared = self.at.chord_squared(raw.unit());
        if chord_squared <= self.within {
            self.pending.push(Candidate { chord_squared, occupant: occupant.clone(), raw });
        }
    }

    /// Shows the noted candidates to `admit`, nearest first, as far as they matter.
    fn settle(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        // A heap, because often a few of many are judged; bits of positive floats order as they do.
        let keys = pending.iter().enumerate().map(|(i, c)| Reverse((c.chord_squared.to_bits(), i)));
        let mut nearest: BinaryHeap<_> = keys.collect();
        while let Some(Reverse((_, i))) = nearest.pop() {
            if pending[i].chord_squared > self.within {
                break;
            }
            self.judge(&pending[i]);
        }
        pending.clear();
        self.pending = pending;
    }

    fn judge(&mut self, candidate: &Candidate) {
        let Candidate { chord_squared, occupant: Occupant { slot, supply }, raw } = candidate;
        // Who moves to a cell farther out during the search is met twice.
        if self.found.iter().any(|found| found.slot.driver() == slot.driver()) {
            return;
        }
        let Some(reading) = raw.decode() else { return };
        let (chord_squared, slot) = (*chord_squared, Arc::clone(slot));
        match (self.admit)(slot.driver(), supply, &reading) {
            Ok(()) => self.keep(Judged { chord_squared, slot, verdict: (*supply, reading) }),
            Err(verdict) => self.refused.push(Judged { chord_squared, slot, verdict }),
        }
    }

    fn keep(&mut self, admitted: Judged<(Supply, Reading)>) {
        let nearer = |found: &Judged<_>| found.by_distance_and_id(&admitted).is_lt();
        let place = self.found.partition_point(nearer);
        self.found.insert(place, admitted);
        self.found.truncate(self.limit);
        if let Some(last) = self.found.get(self.limit - 1) {
            self.within = last.chord_squared;
        }
    }

    fn finish(self) -> Nearby<R> {
        let Self { limit, within, found, mut refused, .. } = self;
        refused.retain(|refused| refused.chord_squared <= within);
        refused.sort_by(Judged::by_distance_and_id);
        drop_known(&mut refused, &found);
        let excluded = refused.into_iter().map(|refused| Excluded {
            distance: refused.distance(),
            slot: refused.slot,
            reason: refused.verdict,
        });
        let (excluded, complete) = (excluded.collect(), found.len() < limit);
        Nearby { found: found.into_iter().map(found_of).collect(), excluded, complete }
    }
}

/// Leaves the nearest refusal of a driver who was met twice, none of one who was found as well.
fn drop_known<V, R>(refused: &mut Vec<Judged<R>>, found: &[Judged<V>]) {
    let mut known: HashSet<*const DriverSlot> =
        found.iter().map(|found| Arc::as_ptr(&found.slot)).collect();
    refused.retain(|refused| known.insert(Arc::as_ptr(&refused.slot)));
}

fn found_of(found: Judged<(Supply, Reading)>) -> Found {
    Found {
        driver: found.slot.driver().clone(),
        distance: found.distance(),
        supply: found.verdict.0,
        reading: found.verdict.1,
    }
}
