//! How far the messages of one partition are done: what may be committed.
//!
//! Messages come in the order of their offsets and end in any. An offset that is committed says that
//! all before it have had their effect, so it never passes one that has not.

use std::collections::BTreeSet;

/// The messages of one partition that were taken since it was assigned.
#[derive(Debug, Default)]
pub(super) struct Watermark {
    /// The offset behind the newest message that was taken.
    next: Option<i64>,
    /// Messages that were taken and have not ended.
    unfinished: BTreeSet<i64>,
}

impl Watermark {
    /// A message that ends later was taken.
    pub(super) fn begin(&mut self, offset: i64) {
        self.pass(offset);
        self.unfinished.insert(offset);
    }

    /// A message that has ended already was taken.
    pub(super) fn pass(&mut self, offset: i64) {
        self.next = self.next.max(Some(offset + 1));
    }

    /// A message has ended.
    pub(super) fn finish(&mut self, offset: i64) {
        self.unfinished.remove(&offset);
    }

    /// The offset that may be committed: that of the first message whose end is not known. Nothing
    /// before the first message.
    pub(super) fn committable(&self) -> Option<i64> {
        self.unfinished.first().copied().or(self.next)
    }

    /// How many messages have not ended.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;

    /// What happens to a partition: the next message comes and is done at once or later, or one of
    /// those under way ends.
    #[derive(Debug, Clone)]
    enum Step {
        Pass { gap: i64 },
        Begin { gap: i64 },
        Finish(Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3_i64).prop_map(|gap| Step::Pass { gap }),
            (0..3_i64).prop_map(|gap| Step::Begin { gap }),
            any::<Index>().prop_map(Step::Finish),
        ]
    }

    proptest! {
        #[test]
        fn a_commit_never_passes_a_message_that_has_not_ended(
            first in 0..1_000_i64,
            steps in vec(step(), 1..200),
        ) {
            let mut watermark = Watermark::default();
            let (mut offset, mut before) = (first, None);
            let mut open: Vec<i64> = Vec::new();
            let mut ended: Vec<i64> = Vec::new();
            for step in steps {
                match step {
                    Step::Pass { gap } => {
                        offset += gap;
                        watermark.pass(offset);
                        ended.push(offset);
                        offset += 1;
                    }
                    Step::Begin { gap } => {
                        offset += gap;
                        watermark.begin(offset);
                        open.push(offset);
                        offset += 1;
                    }
                    Step::Finish(index) if !open.is_empty() => {
                        let done = open.remove(index.index(open.len()));
                        watermark.finish(done);
                        ended.push(done);
                    }
                    Step::Finish(_) => {}
                }
                let committable = watermark.committable();
                prop_assert!(open.iter().all(|open| Some(*open) >= committable));
                prop_assert!(committable >= before, "a commit went back");
                prop_assert_eq!(watermark.unfinished(), open.len());
                before = committable;
            }
            for done in open.drain(..) {
                watermark.finish(done);
                ended.push(done);
            }
            // Nothing is left over either: once all have ended, all are committed.
            prop_assert_eq!(watermark.committable(), ended.iter().max().map(|newest| newest + 1));
        }
    }
}
