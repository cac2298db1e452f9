//! Whose turn it is to report: deals the workload's moves to the threads that make them.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::workload::{Drivers, Move};

/// Threads that move drivers at once, at most.
pub const WRITERS_MAX: usize = 4;

/// Of several writers each has drivers of his own, so that one driver's fixes come from one thread, in
/// order.
#[derive(Debug)]
pub struct Turns<'w> {
    drivers: &'w Drivers,
    /// The round of everybody's fixes with which the next figure begins.
    round: usize,
    /// How far each writer is.
    next: [AtomicUsize; WRITERS_MAX],
}

impl<'w> Turns<'w> {
    /// All that come after everybody's first position.
    pub const fn new(drivers: &'w Drivers) -> Self {
        Self { drivers, round: 1, next: [const { AtomicUsize::new(0) }; WRITERS_MAX] }
    }

    /// The next `count` moves of one of so many writers, at most [`WRITERS_MAX`].
    pub fn take(
        &self,
        writer: usize,
        writers: usize,
        count: usize,
    ) -> impl Iterator<Item = Move> + '_ {
        let first = self.next[writer].fetch_add(count, Ordering::Relaxed);
        let all = self.drivers.count();
        let own = all / writers;
        (first..first + count).map(move |turn| {
            let (round, place) = (self.round + turn / own, turn % own);
            self.drivers.nth(round * all + writer * own + place)
        })
    }

    /// Begins with a round that no driver has been through, after so many writers are done.
    pub fn align(&mut self, writers: usize) {
        let own = self.drivers.count() / writers.max(1);
        let farthest = self.next.iter_mut().map(|next| std::mem::take(next.get_mut())).max();
        self.round += farthest.unwrap_or(0) / own.max(1) + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::workload::Spread;

    #[test]
    fn a_driver_reports_from_one_thread_and_never_earlier_than_before() {
        let drivers = Drivers::new(100, Spread::Uniform, 1).unwrap();
        let mut turns = Turns::new(&drivers);
        let mut newest: BTreeMap<usize, u64> = BTreeMap::new();
        for writers in [1, 4, 2] {
            let mut of: BTreeMap<usize, usize> = BTreeMap::new();
            for turn in 0..40 {
                let writer = turn % writers;
                for step in turns.take(writer, writers, 7) {
                    assert_eq!(*of.entry(step.driver).or_insert(writer), writer);
                    let before = newest.insert(step.driver, step.at_ms);
                    assert!(before.is_none_or(|before| before < step.at_ms));
                }
            }
            turns.align(writers);
        }
    }
}
