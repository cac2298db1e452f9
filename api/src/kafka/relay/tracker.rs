//! Which transitions are on their way, and up to which one all have arrived.

use std::collections::VecDeque;

use muster_engine::time::Timestamp;

use crate::telemetry::TraceSpan;

/// A transition of which messages are on their way.
struct Waiting {
    event: u64,
    at: Timestamp,
    messages: usize,
    /// Until all have arrived.
    span: Option<TraceSpan>,
}

/// What one producer has sent and the brokers have acknowledged.
pub(super) struct Tracker {
    /// In the order of their events.
    waiting: VecDeque<Waiting>,
    in_flight: usize,
    published: u64,
}

impl Tracker {
    /// Everything up to `published` has arrived.
    pub(super) const fn new(published: u64) -> Self {
        Self { waiting: VecDeque::new(), in_flight: 0, published }
    }

    /// `messages` of `event` are sent; events come in order.
    pub(super) fn begin(&mut self, event: u64, at: Timestamp, messages: usize) {
        self.waiting.push_back(Waiting { event, at, messages, span: None });
        self.in_flight += messages;
        self.settle();
    }

    /// The span of the publication of `event`.
    pub(super) fn trace(&mut self, event: u64, span: TraceSpan) {
        if let Some(waiting) = self.find(event) {
            waiting.span = Some(span);
        }
    }

    /// A message of `event` has arrived.
    pub(super) fn arrived(&mut self, event: u64) {
        if let Some(waiting) = self.find(event) {
            waiting.messages = waiting.messages.saturating_sub(1);
            waiting.span = waiting.span.take().filter(|_| waiting.messages > 0);
            self.in_flight = self.in_flight.saturating_sub(1);
            self.settle();
        }
    }

    /// A message of `event` was refused.
    pub(super) fn refused(&mut self, event: u64, why: &str) {
        if let Some(span) = self.find(event).and_then(|waiting| waiting.span.as_mut()) {
            span.fail(why);
        }
    }

    fn find(&mut self, event: u64) -> Option<&mut Waiting> {
        let place = self.waiting.binary_search_by_key(&event, |waiting| waiting.event).ok()?;
        self.waiting.get_mut(place)
    }

    fn settle(&mut self) {
        while self.waiting.front().is_some_and(|first| first.messages == 0) {
            if let Some(done) = self.waiting.pop_front() {
                self.published = done.event;
            }
        }
    }

    /// The event up to which everything has arrived.
    pub(super) const fn published(&self) -> u64 {
        self.published
    }

    /// Messages that have not arrived.
    pub(super) const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Transitions of which messages have not arrived.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// When the oldest of them happened.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.waiting.front().map(|first| first.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn the_cursor_stops_before_the_first_event_with_a_message_missing() {
        let mut tracker = Tracker::new(10);
        for (event, messages) in [(11, 2), (12, 0), (13, 1)] {
            tracker.begin(event, at(event), messages);
        }
        assert_eq!((tracker.published(), tracker.in_flight()), (10, 3));
        tracker.arrived(13);
        tracker.arrived(11);
        assert_eq!((tracker.published(), tracker.oldest()), (10, Some(at(11))));
        tracker.arrived(11);
        assert_eq!((tracker.published(), tracker.in_flight(), tracker.oldest()), (13, 0, None));
    }

    #[test]
    fn events_without_messages_and_missing_numbers_do_not_hold_it_up() {
        let mut tracker = Tracker::new(0);
        tracker.begin(3, at(3), 0);
        assert_eq!(tracker.published(), 3);
        tracker.begin(9, at(9), 1);
        tracker.arrived(4);
        tracker.arrived(9);
        tracker.arrived(9);
        assert_eq!((tracker.published(), tracker.in_flight()), (9, 0));
    }
}
