//! One ordered map of deadlines per Arbiter, served by one task.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::rc::Rc;

use actix::prelude::*;
use actix::{WeakAddr, WeakRecipient};
use muster_engine::time::Timestamp;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::driver_actor::DriverActor;

/// Tells an actor that its deadline has come.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Wake;

/// Whom a deadline wakes. Weak: an address of its own for each would cost more memory than the deadline.
pub(crate) enum Sleeper {
    /// Nearly all of them: without a recipient for each on the heap.
    Driver(WeakAddr<DriverActor>),
    /// Any other actor.
    Other(WeakRecipient<Wake>),
}

impl Sleeper {
    /// One that has ended has nothing left to wake for.
    fn wake(&self) {
        match self {
            Self::Driver(own) => {
                own.upgrade().inspect(|addr| addr.do_send(Wake));
            }
            Self::Other(own) => {
                own.upgrade().inspect(|addr| addr.do_send(Wake));
            }
        }
    }
}

/// Names an armed deadline; unique on its Arbiter.
pub(crate) type TimerKey = (Timestamp, NonZeroU64);

#[derive(Default)]
struct Deadlines {
    due: BTreeMap<TimerKey, Sleeper>,
    armed: u64,
}

thread_local! {
    static TIMERS: RefCell<Option<Timers>> = const { RefCell::new(None) };
}

/// The deadlines of the actors on the present Arbiter.
#[derive(Clone)]
pub(crate) struct Timers {
    deadlines: Rc<RefCell<Deadlines>>,
    changed: Rc<Notify>,
}

impl Timers {
    /// The timers of the present Arbiter; the first call starts their task.
    pub(crate) fn of_arbiter(clock: Clock) -> Self {
        TIMERS.with_borrow_mut(|timers| {
            timers
                .get_or_insert_with(|| {
                    let timers = Self {
                        deadlines: Rc::new(RefCell::new(Deadlines::default())),
                        changed: Rc::new(Notify::new()),
                    };
                    actix::spawn(timers.clone().serve(clock));
                    timers
                })
                .clone()
        })
    }

    /// Wakes `actor` at `at`, once.
    pub(crate) fn arm(&self, at: Timestamp, actor: Sleeper) -> TimerKey {
        let mut deadlines = self.deadlines.borrow_mut();
        let key = (at, NonZeroU64::MIN.saturating_add(deadlines.armed));
        deadlines.armed += 1;
        let first = deadlines.due.first_key_value().is_none_or(|(first, _)| key < *first);
        deadlines.due.insert(key, actor);
        if first {
            self.changed.notify_one();
        }
        key
    }

    /// Forgets an armed deadline.
    pub(crate) fn disarm(&self, key: TimerKey) {
        self.deadlines.borrow_mut().due.remove(&key);
    }

    fn next(&self) -> Option<Timestamp> {
        self.deadlines.borrow().due.first_key_value().map(|((at, _), _)| *at)
    }

    fn fire(&self, now: Timestamp) {
        loop {
            let mut deadlines = self.deadlines.borrow_mut();
            match deadlines.due.first_entry() {
                Some(entry) if entry.key().0 <= now => {
                    let actor = entry.remove();
                    drop(deadlines);
                    actor.wake();
                }
                Some(_) | None => return,
            }
        }
    }

    async fn serve(self, clock: Clock) {
        loop {
            match self.next() {
                None => self.changed.notified().await,
                Some(at) => {
                    let sleep = tokio::time::sleep_until(clock.instant_of(at).into());
                    tokio::select! {
                        () = sleep => self.fire(clock.now()),
                        () = self.changed.notified() => {}
                    }
                }
            }
        }
    }
}
