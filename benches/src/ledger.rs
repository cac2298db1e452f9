//! Everything the wire has told, and everything that was said to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::judge::{Causes, Told, follows, plausible, same};
use crate::report::Tally;
use crate::wire::{OfferView, RideStatus, RideView, instant_ms};
use crate::witness::{Command, Witness};

/// What is known of one ride.
#[derive(Debug, Clone, Default)]
struct RideBook {
    told: Option<Told>,
    causes: Causes,
}

/// An offer as a driver was told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferBook {
    /// The offer.
    pub offer: String,
    /// Its driver.
    pub driver: String,
    /// Its ride.
    pub ride: String,
    /// When it is dead, in Unix milliseconds.
    pub expires_ms: u64,
}

#[derive(Debug, Default)]
struct Books {
    rides: BTreeMap<String, RideBook>,
    /// The ride each rider was told of: every rider asks once.
    riders: BTreeMap<String, String>,
    /// Offers that are not over.
    offers: BTreeMap<String, OfferBook>,
    /// Commands that wait for an answer.
    open: BTreeSet<Command>,
    lies: Vec<String>,
}

/// The record of a run; everything that listens writes into it.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<Books>,
    /// Error frames, refused fixes, lost connections.
    pub odd: Tally,
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a ride that was asked for while nothing else goes on: it must be as last told, or
    /// follow from that.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, view: &RideView) -> Result<(), String> {
        let mut books = self.books();
        let outcome = books.note(view, true);
        outcome.map_err(|lie| format!("ride {}: {lie}", view.ride_id))
    }

    /// Contradictions found while listening, since the last call.
    pub fn take_lies(&self) -> Vec<String> {
        std::mem::take(&mut self.books().lies)
    }

    /// The commands that were never answered, since the last call.
    pub fn take_in_doubt(&self) -> BTreeSet<Command> {
        std::mem::take(&mut self.books().open)
    }

    /// Every ride ever told of.
    pub fn rides(&self) -> Vec<String> {
        let books = self.books();
        books
            .rides
            .iter()
            .filter(|(_, book)| book.told.is_some())
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// How many rides were last told in each status.
    pub fn by_status(&self) -> BTreeMap<RideStatus, usize> {
        let books = self.books();
        let mut counts = BTreeMap::new();
        for told in books.rides.values().filter_map(|book| book.told.as_ref()) {
            *counts.entry(told.status).or_default() += 1;
        }
        counts
    }

    /// Rides that were not over when last told, from the one after `from` on, at most `limit`.
    pub fn under_way(&self, from: &str, limit: usize) -> Vec<String> {
        let books = self.books();
        let open = |book: &RideBook| book.told.as_ref().is_some_and(|told| !told.status.is_over());
        let after = books
            .rides
            .range::<str, _>((std::ops::Bound::Excluded(from), std::ops::Bound::Unbounded));
        after.filter(|(_, book)| open(book)).take(limit).map(|(id, _)| id.clone()).collect()
    }

    /// How a ride was last told.
    pub fn told(&self, ride: &str) -> Option<Told> {
        self.books().rides.get(ride)?.told.clone()
    }

    /// Offers that were told live, do not expire before `after_ms`, belong to rides that search, and
    /// to drivers who are bound to nothing: one per driver and ride, at most `limit`.
    pub fn answerable(
        &self,
        in_doubt: &BTreeSet<Command>,
        after_ms: u64,
        limit: usize,
    ) -> Vec<OfferBook> {
        let books = self.books();
        let mut busy: BTreeSet<&str> = BTreeSet::new();
        for command in in_doubt {
            if let Command::Accept { driver, .. } = command {
                busy.insert(driver);
            }
        }
        let told = || books.rides.values().filter_map(|book| book.told.as_ref());
        busy.extend(
            told()
                .filter(|told| told.status.has_driver())
                .filter_map(|told| told.driver.as_deref()),
        );
        let searching = |ride: &str| {
            let told = books.rides.get(ride).and_then(|book| book.told.as_ref());
            told.is_some_and(|told| told.status == RideStatus::Searching)
        };
        let mut rides = BTreeSet::new();
        let mut chosen = Vec::new();
        for offer in books.offers.values() {
            if chosen.len() < limit
                && offer.expires_ms > after_ms
                && searching(&offer.ride)
                && !busy.contains(offer.driver.as_str())
                && rides.insert(&offer.ride)
            {
                busy.insert(&offer.driver);
                chosen.push(offer.clone());
            }
        }
        chosen
    }

    /// Forgets offers that are dead by now.
    pub fn forget_offers(&self, before_ms: u64) {
        self.books().offers.retain(|_, offer| offer.expires_ms >= before_ms);
    }
}

impl Books {
    /// Takes down a state. When nothing else goes on (`at_rest`) an older one is a lie; otherwise
    /// it was overtaken on the way.
    fn note(&mut self, view: &RideView, at_rest: bool) -> Result<(), String> {
        let now = Told::from(view);
        let known = self.riders.entry(now.rider.clone()).or_insert_with(|| view.ride_id.clone());
        if *known != view.ride_id {
            return Err(format!("rider {} asked once and has ride {known}, too", now.rider));
        }
        let book = self.rides.entry(view.ride_id.clone()).or_default();
        let Some(told) = &book.told else {
            let verdict = plausible(&now, &book.causes);
            book.told = Some(now);
            return verdict;
        };
        if now.version < told.version && !at_rest {
            return Ok(());
        }
        let verdict = if now.version == told.version {
            same(told, &now)
        } else {
            follows(told, &now, &book.causes)
        };
        if now.version > told.version || (told.otp.is_none() && now.version == told.version) {
            book.told = Some(now);
        }
        verdict
    }
}

impl Witness for Ledger {
    fn ride(&self, ride: &RideView) {
        let mut books = self.books();
        if let Err(lie) = books.note(ride, false) {
            books.lies.push(format!("ride {}: {lie}", ride.ride_id));
        }
    }

    fn offer(&self, driver: &str, offer: &OfferView) {
        let book = OfferBook {
            offer: offer.offer_id.clone(),
            driver: driver.to_owned(),
            ride: offer.ride_id.clone(),
            expires_ms: instant_ms(&offer.expires_at),
        };
        self.books().offers.insert(book.offer.clone(), book);
    }

    fn offer_over(&self, offer: &str) {
        self.books().offers.remove(offer);
    }

    fn sent(&self, command: &Command) {
        let mut books = self.books();
        let mut causes = |ride: &String, note: &dyn Fn(&mut Causes)| {
            note(&mut books.rides.entry(ride.clone()).or_default().causes);
        };
        match command {
            Command::Request(_) | Command::Decline(_) => {}
            Command::Cancel(ride) => causes(ride, &|causes| causes.cancel = true),
            Command::Accept { driver, ride, .. } => {
                causes(ride, &|causes| causes.accepted_by.extend([driver.clone()]));
            }
            Command::Arrived(ride) => causes(ride, &|causes| causes.arrived = true),
            Command::Start(ride) => causes(ride, &|causes| causes.start = true),
            Command::Complete(ride) => causes(ride, &|causes| causes.complete = true),
            Command::GiveBack { ride, attempt } => {
                causes(ride, &|causes| causes.gave_back.extend([*attempt]));
            }
        }
        books.open.insert(command.clone());
    }

    fn answered(&self, command: &Command) {
        self.books().open.remove(command);
    }

    fn odd(&self, what: &str) {
        self.odd.add(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DriverRef;

    fn view(ride: &str, rider: &str, version: u64, driver: Option<&str>) -> RideView {
        let status = if driver.is_some() { RideStatus::Assigned } else { RideStatus::Searching };
        RideView {
            ride_id: ride.to_owned(),
            rider_id: rider.to_owned(),
            status,
            attempt: 1,
            wave: 1,
            requested_at: "t".to_owned(),
            assigned_at: None,
            driver: driver.map(|id| DriverRef { driver_id: id.to_owned() }),
            otp: None,
            version,
        }
    }

    fn accept(driver: &str, ride: &str) -> Command {
        let (driver, offer, ride) = (driver.to_owned(), "o".to_owned(), ride.to_owned());
        Command::Accept { driver, offer, ride }
    }

    #[test]
    fn an_older_state_is_late_on_the_wire_and_a_lie_at_rest() {
        let ledger = Ledger::default();
        ledger.sent(&accept("d", "a"));
        ledger.ride(&view("a", "r", 2, Some("d")));
        ledger.ride(&view("a", "r", 1, None));
        assert_eq!(ledger.take_lies(), Vec::<String>::new());
        assert!(ledger.check(&view("a", "r", 1, None)).is_err());
        assert!(ledger.check(&view("a", "r", 2, Some("d"))).is_ok());
    }

    #[test]
    fn two_rides_of_one_request_are_a_lie() {
        let ledger = Ledger::default();
        assert!(ledger.check(&view("a", "r", 1, None)).is_ok());
        assert!(ledger.check(&view("b", "r", 1, None)).is_err());
    }

    #[test]
    fn two_stories_of_one_version_are_a_lie() {
        let ledger = Ledger::default();
        ledger.sent(&accept("d", "a"));
        ledger.ride(&view("a", "r", 2, None));
        ledger.ride(&view("a", "r", 2, Some("d")));
        assert_eq!(ledger.take_lies().len(), 1);
    }

    #[test]
    fn only_free_drivers_answer_offers_of_rides_that_search() {
        let ledger = Ledger::default();
        ledger.ride(&view("a", "r1", 1, None));
        ledger.sent(&accept("busy", "b"));
        ledger.ride(&view("b", "r2", 2, Some("busy")));
        let offer = |id: &str, ride: &str| OfferView {
            offer_id: id.to_owned(),
            ride_id: ride.to_owned(),
            expires_at: "2025-12-01T00:00:15.000Z".to_owned(),
            visible_at: "2025-12-01T00:00:00.000Z".to_owned(),
        };
        ledger.offer("free", &offer("o1", "a"));
        ledger.offer("busy", &offer("o2", "a"));
        ledger.offer("free2", &offer("o3", "b"));
        let chosen = ledger.answerable(&BTreeSet::new(), 1_764_547_200_000, 10);
        assert_eq!(chosen.iter().map(|o| o.offer.as_str()).collect::<Vec<_>>(), ["o1"]);
        assert!(ledger.answerable(&BTreeSet::new(), 1_764_547_215_000, 10).is_empty());
    }
}
