//! How many drivers and rides there are of each kind, counted as they change: a scrape of a large
//! city must not walk it.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use muster_engine::grid::{Contact, DriverStatus};
use muster_engine::ride::RideStatus;

const STATUSES: [DriverStatus; 6] = [
    DriverStatus::Offline,
    DriverStatus::Available,
    DriverStatus::Reserved,
    DriverStatus::EnRoute,
    DriverStatus::AtPickup,
    DriverStatus::OnTrip,
];

const CONTACTS: [Contact; 3] = [Contact::Live, Contact::Stale, Contact::Lost];

/// A place that is not counted anywhere.
const NOWHERE: u8 = u8::MAX;

/// The counts of one market.
#[derive(Debug)]
pub(crate) struct Census {
    drivers: [AtomicI64; STATUSES.len() * CONTACTS.len()],
    rides: [AtomicI64; RideStatus::ALL.len()],
}

impl Default for Census {
    fn default() -> Self {
        Self {
            drivers: std::array::from_fn(|_| AtomicI64::new(0)),
            rides: std::array::from_fn(|_| AtomicI64::new(0)),
        }
    }
}

impl Census {
    /// Drivers of each kind that there are.
    pub(crate) fn drivers(&self) -> impl Iterator<Item = (DriverStatus, Contact, i64)> {
        let kinds = STATUSES.iter().flat_map(|s| CONTACTS.iter().map(move |c| (*s, *c)));
        let counted = kinds.zip(&self.drivers);
        counted.map(|((s, c), count)| (s, c, count.load(Ordering::Relaxed))).filter(|k| k.2 != 0)
    }

    /// Rides that are not over, of each kind that there are.
    pub(crate) fn open_rides(&self) -> impl Iterator<Item = (RideStatus, i64)> {
        let counted = RideStatus::ALL.iter().zip(&self.rides);
        let counted = counted.map(|(status, count)| (*status, count.load(Ordering::Relaxed)));
        counted.filter(|(status, count)| !status.is_terminal() && *count != 0)
    }
}

/// Where one driver or ride is counted.
#[derive(Debug)]
pub(crate) struct Counted(AtomicU8);

impl Default for Counted {
    fn default() -> Self {
        Self(AtomicU8::new(NOWHERE))
    }
}

impl Counted {
    pub(crate) fn driver(&self, census: &Census, status: DriverStatus, contact: Contact) {
        let status = STATUSES.iter().position(|other| *other == status);
        let contact = CONTACTS.iter().position(|other| *other == contact);
        let place = status.zip(contact).map_or(0, |(s, c)| s * CONTACTS.len() + c);
        self.count(&census.drivers, place as u8);
    }

    pub(crate) fn ride(&self, census: &Census, status: RideStatus) {
        let place = RideStatus::ALL.iter().position(|other| *other == status);
        self.count(&census.rides, place.unwrap_or(0) as u8);
    }

    pub(crate) fn no_driver(&self, census: &Census) {
        self.count(&census.drivers, NOWHERE);
    }

    pub(crate) fn no_ride(&self, census: &Census) {
        self.count(&census.rides, NOWHERE);
    }

    fn count(&self, places: &[AtomicI64], place: u8) {
        let before = self.0.swap(place, Ordering::Relaxed);
        if before == place {
            return;
        }
        if let Some(left) = places.get(usize::from(before)) {
            left.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(entered) = places.get(usize::from(place)) {
            entered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_where_it_was_seen_last() {
        let census = Census::default();
        let (one, two) = (Counted::default(), Counted::default());
        one.driver(&census, DriverStatus::Available, Contact::Live);
        two.driver(&census, DriverStatus::Available, Contact::Live);
        two.driver(&census, DriverStatus::OnTrip, Contact::Stale);
        two.driver(&census, DriverStatus::OnTrip, Contact::Stale);
        let counts: Vec<_> = census.drivers().collect();
        let expected = [
            (DriverStatus::Available, Contact::Live, 1),
            (DriverStatus::OnTrip, Contact::Stale, 1),
        ];
        assert_eq!(counts, expected);
        one.no_driver(&census);
        one.no_driver(&census);
        assert_eq!(census.drivers().count(), 1);
        let ride = Counted::default();
        ride.ride(&census, RideStatus::Searching);
        assert_eq!(census.open_rides().collect::<Vec<_>>(), [(RideStatus::Searching, 1)]);
        ride.ride(&census, RideStatus::Completed);
        assert_eq!(census.open_rides().count(), 0, "a ride that is over is not open");
    }
}
