//! Runs side by side, on as many threads as are given: a run knows of no other, so what comes of it
//! does not depend on where and when it is made.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Makes every run of `plans`, and returns what came of them in their order.
pub(crate) fn run_all<P: Sync, R: Send>(
    plans: &[P],
    threads: NonZeroUsize,
    run: impl Fn(&P) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(plans.len()));
    let work = || {
        while let Some((index, plan)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            plans.get(index).map(|plan| (index, plan))
        } {
            let result = run(plan);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    };
    // A run that panics ends the simulation: the scope panics when it is left.
    thread::scope(|scope| {
        for _ in 1..threads.get().min(plans.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// As many threads as the machine runs at once.
pub(crate) fn threads_available() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_made_once_and_told_in_its_place() {
        let plans: Vec<u64> = (0..100).collect();
        let of = |threads| run_all(&plans, NonZeroUsize::new(threads).unwrap(), |plan| plan * 3);
        let expected: Vec<u64> = (0..100).map(|plan| plan * 3).collect();
        assert_eq!([of(1), of(4), of(200)], [expected.clone(), expected.clone(), expected]);
        assert_eq!(run_all(&[] as &[u64], NonZeroUsize::MIN, |plan| *plan), [] as [u64; 0]);
    }
}
