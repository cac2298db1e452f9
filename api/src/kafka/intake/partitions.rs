//! The partitions of one topic that this process reads, and the messages of them that are under way.
//!
//! The consumer's thread takes messages and commits; tasks end them, on other threads. A partition
//! that is revoked takes its messages with it: what has not begun is not done here any more, because
//! the partition's next reader will do it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::watermark::Watermark;

/// One partition, from its assignment to its revocation.
#[derive(Debug, Default)]
struct Partition {
    /// Set once it belongs to somebody else.
    revoked: Arc<AtomicBool>,
    watermark: Watermark,
    /// The offset whose commit was asked for last.
    asked: Option<i64>,
}

/// The partitions of one topic.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    assigned: Mutex<BTreeMap<i32, Partition>>,
    /// Told when a message ends.
    ended: Condvar,
    in_flight: AtomicUsize,
    stopping: AtomicBool,
}

/// A message under way. Dropped without being finished, its offset is never committed here.
#[derive(Debug)]
pub(super) struct Ticket {
    partitions: Arc<Partitions>,
    partition: i32,
    offset: i64,
    revoked: Arc<AtomicBool>,
}

impl Ticket {
    /// The message has had its effect.
    pub(super) fn finish(self) {
        if !self.revoked.load(Ordering::Acquire)
            && let Some(partition) = self.partitions.lock().get_mut(&self.partition)
        {
            partition.watermark.finish(self.offset);
        }
    }

    /// Whether the message is not to be begun any more: its partition is given away, or the intake
    /// stops. Whoever reads the partition next finds it again.
    pub(super) fn is_abandoned(&self) -> bool {
        self.revoked.load(Ordering::Acquire) || self.partitions.stopping.load(Ordering::Acquire)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Under the lock, or who waits could look before and sleep after.
        let _assigned = self.partitions.lock();
        self.partitions.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.partitions.ended.notify_all();
    }
}

impl Partitions {
    /// These partitions are this process's from here on.
    pub(super) fn assign(&self, partitions: &[i32]) {
        let mut assigned = self.lock();
        for partition in partitions {
            // Of a consumer that failed, which revoked nothing.
            if let Some(before) = assigned.insert(*partition, Partition::default()) {
                before.revoked.store(true, Ordering::Release);
            }
        }
    }

    /// These partitions are somebody else's from here on.
    pub(super) fn revoke(&self, partitions: &[i32]) {
        let mut assigned = self.lock();
        for partition in partitions {
            if let Some(gone) = assigned.remove(partition) {
                gone.revoked.store(true, Ordering::Release);
            }
        }
    }

    /// A message was taken that has ended already.
    pub(super) fn pass(&self, partition: i32, offset: i64) {
        self.lock().entry(partition).or_default().watermark.pass(offset);
    }

    /// A message was taken.
    pub(super) fn begin(self: &Arc<Self>, partition: i32, offset: i64) -> Ticket {
        let mut assigned = self.lock();
        let known = assigned.entry(partition).or_default();
        known.watermark.begin(offset);
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        let revoked = Arc::clone(&known.revoked);
        Ticket { partitions: Arc::clone(self), partition, offset, revoked }
    }

    /// Messages under way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// No message is begun any more.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Waits until all messages of these partitions have ended, at most so long, and not at all when
    /// none is begun any more. Tells whether they have.
    pub(super) fn settle(&self, partitions: &[i32], within: Duration) -> bool {
        let until = Instant::now() + within;
        let wanted: BTreeSet<i32> = partitions.iter().copied().collect();
        let mut assigned = self.lock();
        loop {
            let open = assigned
                .iter()
                .any(|(id, known)| wanted.contains(id) && known.watermark.unfinished() > 0);
            let left = until.saturating_duration_since(Instant::now());
            if !open || left.is_zero() || self.stopping.load(Ordering::Acquire) {
                return !open;
            }
            let waited = self.ended.wait_timeout(assigned, left);
            assigned = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until no message is under way, at most so long.
    pub(super) fn idle(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut assigned = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.in_flight() == 0 || left.is_zero() {
                return self.in_flight() == 0;
            }
            let waited = self.ended.wait_timeout(assigned, left);
            assigned = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The offsets that may be committed and have not been asked for, of these partitions or of all.
    /// They count as asked for.
    pub(super) fn take_commits(&self, only: Option<&[i32]>) -> Vec<(i32, i64)> {
        let mut commits = Vec::new();
        for (id, known) in self.lock().iter_mut() {
            let wanted = only.is_none_or(|only| only.contains(id));
            let committable = known.watermark.committable();
            if let Some(offset) = committable.filter(|_| wanted && committable != known.asked) {
                known.asked = committable;
                commits.push((*id, offset));
            }
        }
        commits
    }

    /// A commit failed: everything is asked for again.
    pub(super) fn commit_again(&self) {
        self.lock().values_mut().for_each(|known| known.asked = None);
    }

    /// Messages that are in the topic and not done, by the end of each partition and what is behind it
    /// as far as the brokers know.
    pub(super) fn lag(&self, ends: impl Iterator<Item = (i32, i64, i64)>) -> i64 {
        let assigned = self.lock();
        let lag = |(id, end, by_commit): (i32, i64, i64)| {
            let done = assigned.get(&id)?.watermark.committable();
            Some(done.map_or(by_commit, |done| end - done).max(0))
        };
        ends.filter_map(lag).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<i32, Partition>> {
        // No change is left half done by a panic.
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn messages_that_ended_out_of_order_are_committed_in_order() {
        let partitions = Arc::new(Partitions::default());
        partitions.assign(&[0, 1]);
        let tickets: Vec<Ticket> = (10..13).map(|offset| partitions.begin(0, offset)).collect();
        partitions.pass(1, 4);
        assert_eq!(partitions.in_flight(), 3);
        let mut tickets = tickets.into_iter();
        let first = tickets.next().unwrap();
        tickets.for_each(Ticket::finish);
        assert_eq!(partitions.take_commits(None), [(0, 10), (1, 5)]);
        assert_eq!(partitions.take_commits(None), []);
        first.finish();
        assert_eq!((partitions.take_commits(None), partitions.in_flight()), (vec![(0, 13)], 0));
        partitions.commit_again();
        assert_eq!(partitions.take_commits(Some(&[0])), [(0, 13)]);
        partitions.assign(&[2]);
        let ends = [(0, 20, 9), (1, 5, 9), (2, 8, 3), (7, 9, 9)];
        assert_eq!(partitions.lag(ends.into_iter()), 7 + 3, "of partitions that are read here");
    }

    #[test]
    fn a_ticket_that_is_dropped_keeps_its_offset_from_being_committed() {
        let partitions = Arc::new(Partitions::default());
        partitions.assign(&[0]);
        drop(partitions.begin(0, 1));
        partitions.begin(0, 2).finish();
        assert_eq!((partitions.take_commits(None), partitions.in_flight()), (vec![(0, 1)], 0));
    }

    #[test]
    fn messages_of_a_partition_that_was_given_away_and_came_back_are_not_mixed_up() {
        let partitions = Arc::new(Partitions::default());
        partitions.assign(&[0]);
        let old = partitions.begin(0, 5);
        partitions.revoke(&[0]);
        assert!(old.is_abandoned());
        partitions.assign(&[0]);
        let new = partitions.begin(0, 5);
        old.finish();
        assert_eq!(partitions.take_commits(None), [(0, 5)]);
        assert!(!new.is_abandoned());
        new.finish();
        assert_eq!(partitions.take_commits(None), [(0, 6)]);
    }

    #[test]
    fn a_revocation_waits_for_what_is_under_way_but_not_for_ever() {
        let partitions = Arc::new(Partitions::default());
        partitions.assign(&[0, 1]);
        let (own, other) = (partitions.begin(0, 1), partitions.begin(1, 1));
        assert!(!partitions.settle(&[0], Duration::from_millis(1)));
        let ending = thread::spawn(move || own.finish());
        assert!(
            partitions.settle(&[0], Duration::from_secs(60)),
            "another partition is waited for"
        );
        ending.join().unwrap();
        partitions.stop();
        assert!(other.is_abandoned());
        drop(other);
        assert!(partitions.idle(Duration::from_secs(60)));
    }
}
