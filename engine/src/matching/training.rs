//! From history to a [`ValueTable`]: tabular policy evaluation, backwards over the times of day, as in
//! Xu et al. (KDD 2018).
//!
//! What a driver did next from a place at a time, a ride or a wait, is a sample of what he may expect
//! there: the time with a rider on the way, and what the place and time are worth where it ended,
//! both discounted. The value is the mean of the samples. Every step ends in a later time of day, so
//! that one pass from the last to the first is exact; a shorter one counts as ending in the next.

use std::collections::{BTreeMap, VecDeque};

use crate::geo::{Cell, CellResolution, Position};
use crate::matching::value::{ValueSpec, ValueTable};
use crate::time::Timestamp;

/// A driver who gets no ride for longer than this has gone home, in milliseconds.
pub const IDLE_MS_MAX: u64 = 4 * 3_600_000;

/// A ride that was completed.
#[derive(Debug, Clone, PartialEq)]
pub struct DrivenRide {
    /// Who drove, where that is known.
    pub driver: Option<String>,
    /// When he was on his way to it.
    pub assigned_at: Timestamp,
    /// Where the rider got in.
    pub pickup: Position,
    /// When.
    pub boarded_at: Timestamp,
    /// Where the rider got out.
    pub dropoff: Position,
    /// When.
    pub completed_at: Timestamp,
}

/// What a driver did next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transition {
    /// Where he was.
    pub from: Position,
    /// Since when.
    pub began_at: Timestamp,
    /// When a rider got in; nothing for a wait.
    pub boarded_at: Option<Timestamp>,
    /// Where he was then.
    pub to: Position,
    /// When.
    pub ended_at: Timestamp,
}

/// The rides as transitions, and the waits between them.
///
/// A driver who is known waits from each ride to his next one. Where nobody knows who drove, the
/// next rider of a cell has the driver who waits there longest, and drivers nobody comes for wait
/// until history ends; nobody waits longer than [`IDLE_MS_MAX`].
pub fn transitions_of(mut rides: Vec<DrivenRide>, resolution: CellResolution) -> Vec<Transition> {
    rides
        .retain(|ride| ride.assigned_at <= ride.boarded_at && ride.boarded_at <= ride.completed_at);
    rides.sort_by_key(|ride| (ride.assigned_at, ride.completed_at));
    let mut transitions = waits_of_known(&rides);
    transitions.extend(waits_of_unknown(&rides, resolution));
    transitions.extend(rides.iter().map(|ride| Transition {
        from: ride.pickup,
        began_at: ride.assigned_at,
        boarded_at: Some(ride.boarded_at),
        to: ride.dropoff,
        ended_at: ride.completed_at,
    }));
    transitions
}

fn wait(from: &DrivenRide, to: Position, until: Timestamp) -> Transition {
    let (began_at, from) = (from.completed_at, from.dropoff);
    Transition { from, began_at, boarded_at: None, to, ended_at: until }
}

fn waits_of_known(rides: &[DrivenRide]) -> Vec<Transition> {
    let mut newest: BTreeMap<&str, &DrivenRide> = BTreeMap::new();
    let mut waits = Vec::new();
    for ride in rides {
        let Some(driver) = ride.driver.as_deref() else { continue };
        if let Some(before) = newest.insert(driver, ride)
            && before.completed_at <= ride.assigned_at
            && ride.assigned_at.millis_since(before.completed_at) <= IDLE_MS_MAX
        {
            waits.push(wait(before, ride.pickup, ride.assigned_at));
        }
    }
    waits
}

fn waits_of_unknown(rides: &[DrivenRide], resolution: CellResolution) -> Vec<Transition> {
    let unknown = || rides.iter().filter(|ride| ride.driver.is_none());
    let mut ended: Vec<&DrivenRide> = unknown().collect();
    ended.sort_by_key(|ride| ride.completed_at);
    let mut ended = ended.into_iter().peekable();
    let mut free: BTreeMap<Cell, VecDeque<&DrivenRide>> = BTreeMap::new();
    let mut waits = Vec::new();
    for ride in unknown() {
        while let Some(before) = ended.next_if(|one| one.completed_at <= ride.assigned_at) {
            free.entry(Cell::at(before.dropoff, resolution)).or_default().push_back(before);
        }
        let waiting = free.get_mut(&Cell::at(ride.pickup, resolution));
        let Some(waiting) = waiting else { continue };
        while let Some(before) = waiting.pop_front() {
            let gone_at = before.completed_at.plus_millis(IDLE_MS_MAX);
            if ride.assigned_at <= gone_at {
                waits.push(wait(before, ride.pickup, ride.assigned_at));
                break;
            }
            waits.push(wait(before, before.dropoff, gone_at));
        }
    }
    let over = unknown().map(|ride| ride.assigned_at).max().unwrap_or_default();
    for before in free.into_values().flatten() {
        let until = over.min(before.completed_at.plus_millis(IDLE_MS_MAX));
        waits.push(wait(before, before.dropoff, until));
    }
    waits
}

/// A table with what it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// The values.
    pub table: ValueTable,
    /// Rides among the transitions.
    pub rides: u64,
    /// Waits among the transitions.
    pub waits: u64,
    /// Places and times that were seen; what others are worth follows from waiting there.
    pub states: usize,
}

/// A sample: what was earned on the way, and how much the value where it ended counts.
struct Step {
    earned_s: f64,
    /// The place and time where it ended; nothing when the day was over.
    to: Option<(Cell, usize)>,
    discount: f64,
}

/// Values all places and times of `transitions`. `spec` must be [checked](ValueSpec::checked).
pub fn train(spec: ValueSpec, transitions: impl IntoIterator<Item = Transition>) -> Trained {
    let mut steps: BTreeMap<(usize, Cell), Vec<Step>> = BTreeMap::new();
    let mut values_s: BTreeMap<Cell, Vec<f32>> = BTreeMap::new();
    let (mut rides, mut waits) = (0, 0);
    for transition in transitions {
        let [from, to] =
            [transition.from, transition.to].map(|place| Cell::at(place, spec.resolution));
        for cell in [from, to] {
            values_s.entry(cell).or_insert_with(|| vec![0.0; spec.buckets()]);
        }
        *(if transition.boarded_at.is_some() { &mut rides } else { &mut waits }) += 1;
        for (bucket, cell, step) in steps_of(&spec, &transition, from, to) {
            steps.entry((bucket, cell)).or_default().push(step);
        }
    }
    let states = steps.len();
    let later = spec.discount(f64::from(spec.bucket_s));
    for bucket in (0..spec.buckets()).rev() {
        let of_bucket: Vec<(Cell, f64)> = values_s
            .iter()
            .map(|(cell, values)| {
                let waiting = later * values.get(bucket + 1).copied().map_or(0.0, f64::from);
                let seen = steps.get(&(bucket, *cell));
                (*cell, seen.map_or(waiting, |samples| mean(samples, &values_s)))
            })
            .collect();
        for (cell, value_s) in of_bucket {
            if let Some(values) = values_s.get_mut(&cell) {
                values[bucket] = value_s as f32;
            }
        }
    }
    Trained { table: ValueTable::new(spec, values_s), rides, waits, states }
}

fn mean(samples: &[Step], values_s: &BTreeMap<Cell, Vec<f32>>) -> f64 {
    let value = |(cell, bucket): &(Cell, usize)| {
        values_s.get(cell).map_or(0.0, |values| f64::from(values[*bucket]))
    };
    let worth = |step: &Step| step.earned_s + step.discount * step.to.as_ref().map_or(0.0, value);
    samples.iter().map(worth).sum::<f64>() / samples.len() as f64
}

/// A ride is one step; a wait is one for each time of day, in place until the last.
fn steps_of(
    spec: &ValueSpec,
    transition: &Transition,
    from: Cell,
    to: Cell,
) -> Vec<(usize, Cell, Step)> {
    let seconds = |at: Timestamp| at.millis_since(transition.began_at) as f64 / 1_000.0;
    let began_s = spec.second_of_day(transition.began_at);
    let Some(begin) = spec.bucket_of(began_s) else { return Vec::new() };
    let lasts_s = seconds(transition.ended_at);
    let end = spec.bucket_of(began_s + lasts_s);
    if let Some(boarded_at) = transition.boarded_at {
        let after_s = seconds(boarded_at);
        let earned_s = spec.discounted_s(after_s, lasts_s - after_s);
        let end = end.map(|end| end.max(begin + 1)).filter(|end| *end < spec.buckets());
        let step =
            Step { earned_s, to: end.map(|end| (to, end)), discount: spec.discount(lasts_s) };
        return vec![(begin, from, step)];
    }
    let last = end.unwrap_or(spec.buckets());
    let discount = spec.discount(f64::from(spec.bucket_s));
    let step = |bucket: usize| {
        let next = bucket + 1;
        let cell = if next == last { to } else { from };
        let to = (next < spec.buckets()).then_some((cell, next));
        (bucket, from, Step { earned_s: 0.0, to, discount })
    };
    (begin..last).map(step).collect()
}
