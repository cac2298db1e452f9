//! Riders at taxi stands who show a one-time password to the next driver in the line.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

/// A rider's password at a stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StandCode {
    pub(crate) ride_id: String,
    pub(crate) otp: String,
}

/// The riders at each stand, first come first served. Bounded by the trips of the replay.
#[derive(Debug, Default)]
pub(crate) struct StandLine(Mutex<HashMap<String, VecDeque<StandCode>>>);

impl StandLine {
    /// A rider joins the line of a stand; a new password keeps the place.
    pub(crate) fn join(&self, zone: &str, code: StandCode) {
        self.at(zone, |line| match line.iter_mut().find(|one| one.ride_id == code.ride_id) {
            Some(one) => one.otp = code.otp,
            None => line.push_back(code),
        });
    }

    /// A rider has gone.
    pub(crate) fn leave(&self, zone: &str, ride_id: &str) {
        self.at(zone, |line| line.retain(|one| one.ride_id != ride_id));
    }

    /// The first rider tells a driver the password and leaves the line.
    pub(crate) fn next(&self, zone: &str) -> Option<StandCode> {
        self.at(zone, VecDeque::pop_front)
    }

    /// The driver could not take the rider, who is the first again.
    pub(crate) fn give_back(&self, zone: &str, code: StandCode) {
        self.at(zone, |line| line.push_front(code));
    }

    fn at<T>(&self, zone: &str, act: impl FnOnce(&mut VecDeque<StandCode>) -> T) -> T {
        let mut lines = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        act(lines.entry(zone.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn riders_are_served_in_their_order_and_may_leave() {
        let code = |ride: &str, otp: &str| StandCode { ride_id: ride.into(), otp: otp.into() };
        let line = StandLine::default();
        for ride in ["a", "b", "c"] {
            line.join("z", code(ride, "1"));
        }
        line.join("a-zone-of-its-own", code("d", "1"));
        line.join("z", code("a", "2"));
        line.leave("z", "b");
        let first = line.next("z").unwrap();
        assert_eq!(first, code("a", "2"), "a new password keeps the place");
        line.give_back("z", first.clone());
        assert_eq!(line.next("z"), Some(first));
        assert_eq!((line.next("z"), line.next("z")), (Some(code("c", "1")), None));
    }
}
