//! Group commit: everything that queued while the previous commit ran goes into the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix::prelude::*;

use crate::ports::{Durable, Meter, Span, Store, StoreError};

/// Items that one transaction takes at most; the rest goes into the next.
pub const COMMIT_ITEMS_MAX: usize = 4_096;

/// How long the store rests after a commit that many turns shared, so that the next is shared by
/// more: a commit costs the same for one turn as for twenty.
const COMMIT_REST: Duration = Duration::from_millis(2);

/// Turns that must have shared a commit for the store to rest after it. Fewer come when commits
/// follow one another easily, and then a rest would only be felt. Half as many are what a rest lets
/// come at 2,500 turns a second: the store would then go on resting because it rested.
const BUSY_TURNS: usize = 12;

/// One turn's durable effects.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Submit {
    pub(crate) items: Vec<Durable>,
    /// Set when an earlier turn of the same incarnation failed: what follows must fail with it, or
    /// history would have a hole.
    pub(crate) poisoned: Arc<AtomicBool>,
    pub(crate) done: Recipient<Committed>,
    /// From here until it is durable.
    pub(crate) span: Option<Box<dyn Span>>,
}

/// The end of a submitted turn. Turns of one actor end in the order of their submission.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Committed {
    pub(crate) items: Vec<Durable>,
    pub(crate) poisoned: Arc<AtomicBool>,
    pub(crate) result: Result<(), StoreError>,
}

/// How much the store has before it, for everyone who must decide whether to take more.
#[derive(Debug, Default)]
pub(crate) struct StoreBacklog(AtomicUsize);

impl StoreBacklog {
    pub(crate) fn turns(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn grow(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn shrink(&self, turns: usize) {
        self.0.fetch_sub(turns, Ordering::Relaxed);
    }
}

/// The only writer of the store.
pub(crate) struct StoreActor {
    store: Arc<dyn Store>,
    meter: Arc<dyn Meter>,
    backlog: Arc<StoreBacklog>,
    queue: std::collections::VecDeque<Submit>,
    committing: bool,
}

impl StoreActor {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        meter: Arc<dyn Meter>,
        backlog: Arc<StoreBacklog>,
    ) -> Self {
        Self { store, meter, backlog, queue: std::collections::VecDeque::new(), committing: false }
    }

    fn next_batch(&mut self) -> Vec<Submit> {
        let mut batch = Vec::new();
        let mut items = 0;
        while let Some(submit) = self.queue.front() {
            if items > 0 && items + submit.items.len() > COMMIT_ITEMS_MAX {
                break;
            }
            items += submit.items.len();
            batch.extend(self.queue.pop_front());
        }
        batch
    }

    fn commit_next(&mut self, ctx: &mut Context<Self>) {
        if self.committing || self.queue.is_empty() {
            return;
        }
        self.committing = true;
        let batch = self.next_batch();
        let (poisoned, live): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|submit| submit.poisoned.load(Ordering::Relaxed));
        self.backlog.shrink(poisoned.len());
        for submit in poisoned {
            let error = StoreError::Unavailable("an earlier transition failed".to_owned());
            finish(submit, Err(error));
        }
        let store = Arc::clone(&self.store);
        let meter = Arc::clone(&self.meter);
        let backlog = Arc::clone(&self.backlog);
        let work = async move {
            let turns = live.len();
            commit(store.as_ref(), meter.as_ref(), live).await;
            backlog.shrink(turns);
            if turns >= BUSY_TURNS {
                tokio::time::sleep(COMMIT_REST).await;
            }
        };
        ctx.spawn(work.into_actor(self).map(|(), actor, ctx| {
            actor.committing = false;
            actor.commit_next(ctx);
        }));
    }
}

async fn commit(store: &dyn Store, meter: &dyn Meter, submits: Vec<Submit>) {
    if submits.is_empty() {
        return;
    }
    let began = Instant::now();
    let mut items = Vec::new();
    let mut turns = Vec::new();
    for mut submit in submits {
        let own = std::mem::take(&mut submit.items);
        turns.push((own.len(), submit));
        items.extend(own);
    }
    let mut results = store.commit(&items).await.into_iter();
    meter.store_commit(items.len(), began.elapsed().as_secs_f64());
    let mut items = items.into_iter();
    for (count, mut submit) in turns {
        submit.items = items.by_ref().take(count).collect();
        let verdict = verdict_of_turn(&mut results, count);
        if let Err(error) = &verdict {
            meter.store_refused(error.name());
        }
        finish(submit, verdict);
    }
}

/// Takes the results of one turn's items: the first that failed, if any did. All of them are taken,
/// or the next turn would be told the verdict of this one.
fn verdict_of_turn(
    results: &mut impl Iterator<Item = Result<(), StoreError>>,
    items: usize,
) -> Result<(), StoreError> {
    let of_turn: Vec<Result<(), StoreError>> = results.take(items).collect();
    of_turn.into_iter().collect()
}

fn finish(submit: Submit, result: Result<(), StoreError>) {
    let Submit { items, poisoned, done, span } = submit;
    if let Err(error) = &result {
        poisoned.store(true, Ordering::Relaxed);
        if let Some(mut span) = span {
            span.fail(&error.to_string());
        }
    }
    done.do_send(Committed { items, poisoned, result });
}

impl Actor for StoreActor {
    type Context = Context<Self>;
}

impl Handler<Submit> for StoreActor {
    type Result = ();

    fn handle(&mut self, submit: Submit, ctx: &mut Context<Self>) {
        self.queue.push_back(submit);
        self.commit_next(ctx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_failed_leaves_the_verdicts_of_the_others_alone() {
        let refused = || Err(StoreError::Conflict("refused".to_owned()));
        let all = [Ok(()), refused(), refused(), Ok(()), refused(), Ok(())];
        let mut results = all.into_iter();
        let verdicts = [1, 2, 1, 2].map(|items| verdict_of_turn(&mut results, items).is_ok());
        assert_eq!(verdicts, [true, false, true, false]);
    }
}
