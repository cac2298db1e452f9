//! What happens when: the errands of a run in the order of time, and of one instant in the order in
//! which they were put there.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use muster_engine::time::Timestamp;

use super::Errand;

/// An errand with its place in the order.
#[derive(Debug)]
struct Entry {
    at: Timestamp,
    number: u64,
    errand: Errand,
}

impl Entry {
    /// Time first, then number. One comparison: the agenda does little else.
    fn key(&self) -> u128 {
        u128::from(self.at.as_millis()) << 64 | u128::from(self.number)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

/// The errands of a run.
///
/// What is known from the start, like all requests of a day, waits in a list: in the heap it would make
/// each step of the run deeper.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    newest: u64,
    /// The next one last.
    known: Vec<Entry>,
    heap: BinaryHeap<Reverse<Entry>>,
}

impl Agenda {
    /// Adds errands that are known from the start.
    pub(super) fn add_known(&mut self, errands: impl Iterator<Item = (Timestamp, Errand)>) {
        for (at, errand) in errands {
            let entry = self.numbered(at, errand);
            self.known.push(entry);
        }
        self.known.sort_unstable_by(|one, other| other.cmp(one));
    }

    pub(super) fn add(&mut self, at: Timestamp, errand: Errand) {
        let entry = self.numbered(at, errand);
        self.heap.push(Reverse(entry));
    }

    fn numbered(&mut self, at: Timestamp, errand: Errand) -> Entry {
        self.newest += 1;
        Entry { at, number: self.newest, errand }
    }

    /// Takes what comes next.
    pub(super) fn take(&mut self) -> Option<(Timestamp, Errand)> {
        let known_first = match (self.known.last(), self.heap.peek()) {
            (Some(known), Some(Reverse(other))) => known < other,
            (known, _) => known.is_some(),
        };
        let next = if known_first { self.known.pop() } else { self.heap.pop().map(|next| next.0) };
        next.map(|entry| (entry.at, entry.errand))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_come_by_time_and_then_as_they_were_put_there() {
        let at = Timestamp::from_millis;
        let mut agenda = Agenda::default();
        agenda.add(at(20), Errand::GoOnline(0));
        agenda.add_known([(at(20), Errand::Request(0)), (at(5), Errand::Request(1))].into_iter());
        agenda.add(at(20), Errand::WakeMarket);
        agenda.add(at(10), Errand::WakeRide(7));
        let order: Vec<(u64, Errand)> = std::iter::from_fn(|| agenda.take())
            .map(|(at, errand)| (at.as_millis(), errand))
            .collect();
        let expected = [
            (5, Errand::Request(1)),
            (10, Errand::WakeRide(7)),
            (20, Errand::GoOnline(0)),
            (20, Errand::Request(0)),
            (20, Errand::WakeMarket),
        ];
        assert_eq!(order, expected);
    }
}
