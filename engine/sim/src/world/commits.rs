//! Group commit: what queued while the previous commit ran goes into the next one.

use std::sync::Arc;

use crate::city;
use crate::link::{Actor, Payload};
use crate::store::{Durable, Refused, Submission, Verdict};
use crate::world::{Batch, Errand, Fate, World};

impl World {
    pub(super) fn submit(&mut self, submission: Submission) {
        self.writer.queue.push_back(submission);
        self.commit_next();
    }

    fn commit_next(&mut self) {
        if self.writer.in_flight.is_some() || self.writer.queue.is_empty() {
            return;
        }
        let mut submissions = Vec::new();
        while let Some(submission) = self.writer.queue.pop_front() {
            if self.store.is_poisoned(submission.incarnation) {
                self.finish(submission, false);
            } else {
                submissions.push(submission);
            }
        }
        if submissions.is_empty() {
            return;
        }
        self.writer.batches += 1;
        let number = self.writer.batches;
        let mut delay = self.fate.between(1, 8);
        if self.fate.chance(self.faults.store_slow) {
            self.count("fault: commit slow");
            delay = self.fate.between(50, 3_000);
        }
        let fate = self.draw_fate();
        let epoch = self.store.epoch;
        self.writer.in_flight = Some(Batch { number, epoch, submissions, fate });
        self.agenda.add(self.now.plus_millis(delay), Errand::CommitEnds(number));
    }

    fn draw_fate(&mut self) -> Fate {
        if self.fate.chance(self.faults.store_failure) {
            Fate::Failed
        } else if self.fate.chance(self.faults.crash_before_commit) {
            Fate::CrashBefore
        } else if self.fate.chance(self.faults.crash_after_commit) {
            Fate::CrashAfter
        } else {
            Fate::Kept
        }
    }

    pub(super) fn on_commit_ends(&mut self, number: u64) {
        if self.writer.in_flight.as_ref().is_none_or(|batch| batch.number != number) {
            return;
        }
        let Some(batch) = self.writer.in_flight.take() else { return };
        self.count("commits");
        match batch.fate {
            Fate::Kept => self.apply(batch),
            Fate::Failed => {
                self.count("fault: commit failed");
                for submission in batch.submissions {
                    self.finish(submission, false);
                }
            }
            Fate::CrashBefore => {
                self.count("fault: crash before a commit");
                self.writer.in_flight = Some(batch);
                return self.crash();
            }
            Fate::CrashAfter => {
                self.count("fault: crash after a commit");
                self.apply(batch);
                return self.crash();
            }
        }
        self.commit_next();
    }

    fn apply(&mut self, batch: Batch) {
        let mut refused = Refused::default();
        for submission in batch.submissions {
            let kept = self.keep_all(&submission, batch.epoch, &mut refused);
            self.finish(submission, kept);
        }
    }

    /// A commit of a process that is dead: the epoch must fence it off.
    pub(super) fn on_zombie(&mut self, batch: &Batch) {
        self.count("fault: commit of a dead process");
        let mut refused = Refused::default();
        for submission in &batch.submissions {
            if self.keep_all(submission, batch.epoch, &mut refused) {
                self.count("zombie commits kept");
            }
        }
    }

    fn keep_all(&mut self, submission: &Submission, epoch: u64, refused: &mut Refused) -> bool {
        let mut all = true;
        for item in &submission.items {
            if self.store.admits(item, epoch, refused) {
                self.check_durable(item);
                self.store.keep(item);
            } else {
                self.count("conflicts refused by the store");
                all = false;
            }
        }
        all
    }

    fn finish(&mut self, submission: Submission, kept: bool) {
        let Submission { from, incarnation, items } = submission;
        if !kept {
            self.store.poison(incarnation);
        }
        let verdict = Verdict { incarnation, items, kept };
        self.send(Actor::Store, from, Payload::Committed(verdict));
    }

    /// The machine's shell learns how its turn ended.
    pub(super) fn on_committed(&mut self, actor: Actor, verdict: Verdict) {
        let Some((held, incarnation)) = self.held_of(actor) else { return };
        // Turns of an incarnation that failed were dropped with it.
        if incarnation != verdict.incarnation {
            return;
        }
        if !verdict.kept {
            return self.rebuild(actor);
        }
        let effects = held.pop_front().unwrap_or_default();
        for item in &verdict.items {
            match item {
                Durable::Ride(commit) => self.tell_rider(commit),
                Durable::Driver(record) => {
                    let driver = city::ordinal(record.driver.as_str());
                    self.drivers[driver].durable = Some(Arc::clone(record));
                }
                Durable::Zone(commit) => {
                    if let Actor::Zone(market) = actor
                        && let Some(site) = self.zones.get_mut(&market)
                    {
                        site.durable = Arc::clone(&commit.record);
                    }
                }
            }
        }
        self.perform(actor, effects);
    }
}
