//! The nearest drivers, exactly.
//!
//! Rings of cells are searched outwards until nothing in the next ring can be nearer than the last
//! driver found (see [`rings`](super::rings)) or lie within the radius. Where the rings would hold
//! more cells than are occupied, the occupied cells are searched instead.
//!
//! Within a cell the [seats](super::seat) tell who is near enough to matter; only those drivers are
//! looked at, nearest first, so that each makes the rest matter less.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hint::black_box;
use std::sync::Arc;

use super::bucket::{Bucket, Occupant, Occupants};
use super::index::Grid;
use super::reading::Reading;
use super::rings::Walk;
use super::seat::{PlanePoint, SeatRing};
use super::slot::DriverSlot;
use super::supply::{Supply, Taken};
use crate::geo::{Position, Rings, UnitVector};
use crate::id::DriverId;
use crate::time::Timestamp;
use crate::units::Meters;

/// Taken off a bound before a search stops by it, in earth radii: floating point error of chords, 6 mm.
pub(super) const BOUND_SLACK: f64 = 1e-9;

/// Room for the drivers that are wanted, where they are not unusually many.
const FOUND_USUAL: usize = 64;

/// Room for the drivers of a cell who are near enough, where they are not unusually many.
const NEAR_USUAL: usize = 256;

/// Drivers of a cell that are put in order at once, at least.
const BATCH_MIN: usize = 16;

/// How many times the drivers that are wanted are first looked for in a full cell: whoever asks at its
/// border has half of them there.
const REACH_SURPLUS: usize = 2;

/// How many times larger an area is looked at next when they were too few.
const REACH_GROWTH: f32 = 4.0;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NearbyQuery {
    /// The place drivers should be near.
    pub at: Position,
    /// How far away a driver may be.
    pub radius: Meters,
    /// How many drivers are wanted.
    pub limit: usize,
    /// Of how many refused drivers it is told who they are; the others are counted. They are the
    /// nearest ones, but for drivers who are [`Taken`]: cells are searched from the inside out, and
    /// of those only who is in a cell that was met before so many were known.
    pub excluded_max: usize,
    /// Live offers that one driver may hold.
    pub live_offers_max: u8,
    /// The present instant.
    pub now: Timestamp,
    /// Whether refused drivers are reported. Otherwise those who are [`Taken`] are passed over
    /// unseen: a search that is repeated while supply is scarce pays only for free drivers.
    pub explains: bool,
}

/// A driver that was admitted, named by `K`; `V` is what the search was told to keep of him.
#[derive(Debug, Clone, PartialEq)]
pub struct Found<K, V> {
    /// Who.
    pub driver: K,
    /// How far away, in a straight line over ground.
    pub distance: Meters,
    /// The position the distance is measured to.
    pub reading: Reading,
    /// What was kept of the supply facts the driver was admitted with.
    pub kept: V,
}

/// A driver that was refused.
#[derive(Debug, Clone)]
pub struct Excluded<R> {
    /// Who.
    pub driver: DriverId,
    /// How far away, in a straight line over ground.
    pub distance: Meters,
    /// Why.
    pub reason: R,
}

impl<R: PartialEq> PartialEq for Excluded<R> {
    fn eq(&self, other: &Self) -> bool {
        let same_driver = self.driver == other.driver;
        same_driver && self.distance == other.distance && self.reason == other.reason
    }
}

/// The answer to a [`NearbyQuery`]; `R` is why drivers were refused, for the rest see [`Found`].
#[derive(Debug, Clone, PartialEq)]
pub struct Nearby<K, V, R: Ord> {
    /// The nearest admitted drivers, by distance and then by id.
    pub found: Vec<Found<K, V>>,
    /// Refused drivers within the radius, no farther than the last one found where the limit was
    /// reached; by distance and then by id, at most as many as asked for.
    pub excluded: Vec<Excluded<R>>,
    /// All such drivers, by reason. The drivers who are [`Taken`] are counted cell by cell, by where
    /// the cell's centre lies, from when `excluded` was full.
    pub excluded_counts: BTreeMap<R, u32>,
    /// The whole radius was seen: fewer were found than wanted.
    pub complete: bool,
}

impl Grid {
    /// The nearest drivers that `admit` lets pass, with what it keeps of their facts; it must not
    /// touch the grid. A driver that moves to another cell meanwhile may be missed, or counted twice;
    /// in a grid at rest the answer is exact.
    ///
    /// They are named by `K`: a [`DriverId`], or an [`InlineDriverId`](crate::id::InlineDriverId) where
    /// searches that find the same drivers should not slow each other down by counting references.
    ///
    /// Who is [`Taken`] must be refused: once enough refused drivers are known by name `admit` is
    /// not asked about them, and they are counted for the reason that `taken` gives.
    pub fn nearest<K, V, R>(
        &self,
        query: &NearbyQuery,
        taken: impl Fn(Taken) -> R,
        admit: impl FnMut(&DriverId, &Supply, &Reading) -> Result<V, R>,
    ) -> Nearby<K, V, R>
    where
        K: for<'d> From<&'d DriverId> + Ord,
        R: Copy + Ord,
    {
        let mut search = Search::new(query, taken, admit);
        if query.limit > 0 {
            search.rings(self, query.at);
        }
        search.finish()
    }
}

/// A driver that was judged.
struct Judged<K, V> {
    chord_squared: f64,
    driver: K,
    /// Tells drivers apart without a look at them.
    slot: *const DriverSlot,
    verdict: V,
}

impl<K: Ord, V> Judged<K, V> {
    fn by_distance_and_id(&self, other: &Self) -> Ordering {
        self.chord_squared
            .total_cmp(&other.chord_squared)
            .then_with(|| self.driver.cmp(&other.driver))
    }

    fn distance(&self) -> Meters {
        UnitVector::chord_squared_to_distance(self.chord_squared)
    }
}

/// The nearest refused drivers, farthest first.
struct Refused<R>(Judged<DriverId, R>);

impl<R> Ord for Refused<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.by_distance_and_id(&other.0)
    }
}

impl<R> PartialOrd for Refused<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> PartialEq for Refused<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<R> Eq for Refused<R> {}

struct Search<K, V, R, T, A> {
    at: UnitVector,
    limit: usize,
    excluded_max: usize,
    live_offers_max: u8,
    now: Timestamp,
    explains: bool,
    taken: T,
    admit: A,
    /// Only what is within this squared chord matters; shrinks once `limit` are found.
    within: f64,
    /// Admitted, nearest first, at most `limit`.
    found: Vec<Judged<K, (Reading, V)>>,
    /// Why refused drivers were, how many, and their squared chord or that of their cell's centre.
    reasons: Vec<(f64, R, u32)>,
    /// The nearest of them, at most `excluded_max`.
    refused: BinaryHeap<Refused<R>>,
    /// Who of the cell at hand is near enough, used again for every cell.
    near: Vec<Near>,
}

/// Who of a cell may be near enough: the squared distance in the cell's plane in the upper half, in the
/// order of numbers because it is not negative; below it one bit for the row, and the index in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Near(u64);

impl Near {
    const TAKEN: u64 = 1 << 31;

    fn new(squared: f32, row: u64, index: usize) -> Self {
        Self(u64::from(squared.to_bits()) << 32 | row | index as u64)
    }

    fn squared(self) -> f32 {
        f32::from_bits((self.0 >> 32) as u32)
    }

    /// The driver, if he is still there.
    fn of(self, occupants: &Occupants) -> Option<&Occupant> {
        let row = if self.0 & Self::TAKEN == 0 { &occupants.free } else { &occupants.taken };
        row.get((self.0 & (Self::TAKEN - 1)) as usize)
    }
}

impl<K, V, R, T, A> Search<K, V, R, T, A>
where
    K: for<'d> From<&'d DriverId> + Ord,
    R: Copy + Ord,
    T: Fn(Taken) -> R,
    A: FnMut(&DriverId, &Supply, &Reading) -> Result<V, R>,
{
    fn new(query: &NearbyQuery, taken: T, admit: A) -> Self {
        let within = UnitVector::distance_to_chord_squared(query.radius);
        Self {
            at: query.at.unit(),
            limit: query.limit,
            excluded_max: query.excluded_max,
            live_offers_max: query.live_offers_max,
            now: query.now,
            explains: query.explains,
            taken,
            admit,
            // The antipode may come out a rounding error beyond the longest chord.
            within: if within < 4.0 { within } else { f64::INFINITY },
            found: Vec::with_capacity(query.limit.min(FOUND_USUAL) + 1),
            reasons: Vec::new(),
            refused: BinaryHeap::new(),
            near: Vec::with_capacity(NEAR_USUAL),
        }
    }

    /// Searches ring after ring of cells around the place.
    fn rings(&mut self, grid: &Grid, at: Position) {
        let origin = grid.cells.number_near(at);
        let off_centre = self.at.chord_squared(grid.cells.bucket(origin).centre).sqrt();
        let mut walk = Walk::around(&grid.cells, origin);
        for k in 0_u32.. {
            let Some(ring) = walk.next_ring() else { return };
            if self.passes_over(ring.floor - off_centre - BOUND_SLACK) {
                return;
            }
            if Rings::disk_len(k) > grid.cells.occupied() as u64 {
                return self.everywhere(grid, origin, k);
            }
            for number in &ring.cells {
                self.consider_bucket(grid.cells.bucket(*number));
            }
        }
    }

    /// Searches all occupied cells but those of so many rings around `origin`.
    fn everywhere(&mut self, grid: &Grid, origin: u32, rings: u32) {
        let mut walk = Walk::around(&grid.cells, origin);
        let mut seen = Vec::new();
        for _ in 0..rings {
            seen.extend(walk.next_ring().into_iter().flat_map(|ring| ring.cells.iter().copied()));
        }
        seen.sort_unstable();
        for (number, bucket) in grid.cells.all() {
            if seen.binary_search(&number).is_err() {
                self.consider_bucket(bucket);
            }
        }
    }

    /// Whether nothing matters that is as far away as this chord, in earth radii, or farther.
    fn passes_over(&self, chord: f64) -> bool {
        chord > 0.0 && chord * chord > self.within
    }

    /// Judges the drivers of a cell, unless all of it is too far away. Once enough refused drivers are
    /// known by name, those who are taken are only counted: where supply is scarce, to look at each is
    /// all a search would do.
    fn consider_bucket(&mut self, bucket: &Bucket) {
        if bucket.is_empty() {
            return;
        }
        // Chords obey the triangle inequality, so nothing in the cell is nearer than this.
        let centre = self.at.chord_squared(bucket.centre);
        if self.passes_over(centre.sqrt() - bucket.circumradius)
            || self.passes_over(bucket.beyond_side(self.at) - BOUND_SLACK)
        {
            return;
        }
        let occupants = bucket.read();
        let by_name = self.explains && self.refused.len() < self.excluded_max;
        if self.explains && !by_name {
            for (why, count) in occupants.taken_counts() {
                self.reasons.push((centre, (self.taken)(why), count));
            }
        }
        self.consider_occupants(bucket, &occupants, by_name);
    }

    /// Judges those of a cell who are near enough, nearest first; of those who are taken only `by_name`.
    fn consider_occupants(&mut self, bucket: &Bucket, occupants: &Occupants, by_name: bool) {
        let from = bucket.plane.point(self.at);
        let rows = [(&occupants.free, 0), (&occupants.taken, Near::TAKEN)];
        let rows = &rows[..if by_name { 2 } else { 1 }];
        rows.iter().for_each(|(row, _)| row.fetch_seats());
        let mut near = std::mem::take(&mut self.near);
        let count = rows.iter().map(|(row, _)| row.len()).sum();
        let mut reach = SeatRing::up_to(self.first_reach(bucket, count));
        loop {
            let limit = reach.limit.min(bucket.plane.limit(from, self.within));
            let ring = SeatRing { limit, ..reach };
            near.clear();
            for (row, bit) in rows {
                row.each_within(from, ring, |index, squared| {
                    near.push(Near::new(squared, *bit, index));
                });
            }
            self.consider_near(bucket, from, occupants, &mut near);
            if reach.limit >= bucket.plane.limit(from, self.within) {
                break;
            }
            reach = SeatRing { beyond: reach.limit, limit: reach.limit * REACH_GROWTH };
        }
        self.near = near;
    }

    /// Within which squared distance in a cell's plane more drivers than are wanted lie if its `count` are
    /// spread evenly. To put all those of a full cell in order costs more than to look through their seats
    /// once more when too few are within it.
    fn first_reach(&self, bucket: &Bucket, count: usize) -> f32 {
        if self.found.len() >= self.limit || count <= self.limit.saturating_mul(REACH_SURPLUS) {
            return f32::INFINITY;
        }
        let share = (self.limit * REACH_SURPLUS) as f64 / count as f64;
        bucket.plane.squared(share * bucket.circumradius * bucket.circumradius)
    }

    /// Judges these of a cell, nearest first, until one is too far away.
    fn consider_near(
        &mut self,
        bucket: &Bucket,
        from: PlanePoint,
        occupants: &Occupants,
        near: &mut [Near],
    ) {
        let (mut rest, mut batch) = (near, self.limit.max(BATCH_MIN));
        while !rest.is_empty() {
            // Few are near enough once the nearest are known, so they are not all put in order.
            let size = batch.min(rest.len());
            if size < rest.len() {
                rest.select_nth_unstable(size - 1);
            }
            let (next, others) = rest.split_at_mut(size);
            next.sort_unstable();
            let limit = bucket.plane.limit(from, self.within);
            fetch(next.iter().take_while(|one| one.squared() <= limit), occupants);
            for one in next {
                if one.squared() > bucket.plane.limit(from, self.within) {
                    return;
                }
                if let Some(occupant) = one.of(occupants) {
                    self.consider(occupant);
                }
            }
            (rest, batch) = (others, batch.saturating_mul(2));
        }
    }

    fn why_taken(&self, occupant: &Occupant) -> Option<Taken> {
        occupant.supply.taken_under(self.live_offers_max, self.now)
    }

    /// Judges an occupant that is near enough.
    fn consider(&mut self, occupant: &Occupant) {
        let Occupant { driver, slot, supply } = occupant;
        let Some(raw) = slot.read_raw() else { return };
        let chord_squared = self.at.chord_squared(raw.unit());
        // Who moves to a cell farther out during the search is met twice.
        if chord_squared > self.within
            || self.found.iter().any(|found| found.slot == Arc::as_ptr(slot))
        {
            return;
        }
        // A search that explains nothing never asks about who is taken.
        if !self.explains && self.why_taken(occupant).is_some() {
            return;
        }
        let Some(reading) = raw.decode() else { return };
        match (self.admit)(driver, supply, &reading) {
            Ok(kept) => {
                let (driver, slot) = (K::from(driver), Arc::as_ptr(slot));
                self.keep(Judged { chord_squared, driver, slot, verdict: (reading, kept) });
            }
            Err(reason) => self.refuse(chord_squared, occupant, reason),
        }
    }

    fn keep(&mut self, admitted: Judged<K, (Reading, V)>) {
        let nearer = |found: &Judged<_, _>| found.by_distance_and_id(&admitted).is_lt();
        let place = self.found.partition_point(nearer);
        self.found.insert(place, admitted);
        self.found.truncate(self.limit);
        if let Some(last) = self.found.get(self.limit - 1) {
            self.within = last.chord_squared;
        }
    }

    fn refuse(&mut self, chord_squared: f64, occupant: &Occupant, reason: R) {
        self.reasons.push((chord_squared, reason, 1));
        let full = self.refused.len() >= self.excluded_max;
        let farthest = self.refused.peek().map_or(f64::NEG_INFINITY, |far| far.0.chord_squared);
        if full && chord_squared > farthest {
            return;
        }
        let (driver, slot) = (occupant.driver.clone(), Arc::as_ptr(&occupant.slot));
        self.refused.push(Refused(Judged { chord_squared, driver, slot, verdict: reason }));
        if full {
            self.refused.pop();
        }
    }

    fn finish(self) -> Nearby<K, V, R> {
        let Self { limit, within, found, refused, reasons, .. } = self;
        let mut excluded_counts = BTreeMap::new();
        for (_, reason, count) in reasons.into_iter().filter(|(chord, ..)| *chord <= within) {
            *excluded_counts.entry(reason).or_insert(0) += count;
        }
        let mut refused: Vec<Judged<DriverId, R>> =
            refused.into_sorted_vec().into_iter().map(|refused| refused.0).collect();
        refused.retain(|refused| refused.chord_squared <= within);
        drop_known(&mut refused, &found);
        let excluded = refused.into_iter().map(|refused| Excluded {
            distance: refused.distance(),
            driver: refused.driver,
            reason: refused.verdict,
        });
        let (excluded, complete) = (excluded.collect(), found.len() < limit);
        let found = found.into_iter().map(found_of).collect();
        Nearby { found, excluded, excluded_counts, complete }
    }
}

/// Reads a word of everything that judging these drivers reads: first of their entries, then of what those
/// point at. The reads of a loop do not wait for one another, so the cache misses of a dozen drivers take
/// little longer than those of one; judged without it, each driver waits for his own, and a search takes half
/// as long again.
fn fetch<'n>(next: impl Iterator<Item = &'n Near> + Clone, occupants: &Occupants) {
    let entries = next.clone().filter_map(|one| one.of(occupants));
    black_box(entries.fold(0, |words, entry| words ^ Arc::as_ptr(&entry.slot).addr()));
    let words =
        next.filter_map(|one| one.of(occupants)).map(|Occupant { driver, slot, supply }| {
            let name = driver.as_str().as_bytes().first().copied().unwrap_or(0);
            slot.sequence() + supply.status as u64 + u64::from(name)
        });
    black_box(words.fold(0, u64::wrapping_add));
}

/// Leaves the nearest refusal of a driver who was met twice, none of one who was found as well.
fn drop_known<K, V, R>(refused: &mut Vec<Judged<DriverId, R>>, found: &[Judged<K, V>]) {
    if refused.is_empty() {
        return;
    }
    let mut known: BTreeSet<*const DriverSlot> = found.iter().map(|found| found.slot).collect();
    refused.retain(|refused| known.insert(refused.slot));
}

#[inline]
fn found_of<K: Ord, V>(found: Judged<K, (Reading, V)>) -> Found<K, V> {
    let distance = found.distance();
    let (reading, kept) = found.verdict;
    Found { driver: found.driver, distance, reading, kept }
}
