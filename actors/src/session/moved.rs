//! Drivers of this thread whose actors are to hear that a decision may change by where they are.
//!
//! An actor on another thread sleeps until it is woken, and that costs more than what it then does. The
//! sockets that are ready at one time are read one after the other, so what comes of all of them is told
//! behind the last: at once when there is only one.

use std::cell::RefCell;
use std::sync::Arc;

use super::tell_moved;
use crate::registry::DriverHandle;
use crate::runtime::Runtime;

type Moved = (Arc<Runtime>, Arc<DriverHandle>);

thread_local! {
    static MOVED: RefCell<Vec<Moved>> = const { RefCell::new(Vec::new()) };
}

/// Tells them when dropped: whether its task has run or was dropped with its Arbiter.
struct Telling;

impl Drop for Telling {
    fn drop(&mut self) {
        // A thread that ends takes what it has not told with it, and its Arbiters.
        let moved = MOVED.try_with(|moved| std::mem::take(&mut *moved.borrow_mut()));
        for (runtime, handle) in moved.unwrap_or_default() {
            tell_moved(&runtime, &handle);
        }
    }
}

/// Has the driver's actor told.
pub(super) fn note(runtime: &Arc<Runtime>, handle: &Arc<DriverHandle>) {
    let first = MOVED.with_borrow_mut(|moved| {
        moved.push((Arc::clone(runtime), Arc::clone(handle)));
        moved.len() == 1
    });
    if first {
        let telling = Telling;
        actix::spawn(async move { drop(telling) });
    }
}
