//! Whether what a server says now can follow from what it said before.
//!
//! Pure: what was told, what is said now, and the commands that clients have sent. A transition
//! that nobody asked for and that no deadline brings is a lie, and so is anything that goes back.

use std::collections::BTreeSet;

use crate::wire::{RideStatus, RideView};

/// A state of a ride as it went over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its version.
    pub version: u64,
    /// Its status.
    pub status: RideStatus,
    /// Its attempt.
    pub attempt: u32,
    /// Its wave.
    pub wave: u32,
    /// Its driver.
    pub driver: Option<String>,
    /// Its one-time password, where it was shown.
    pub otp: Option<String>,
    /// Its rider.
    pub rider: String,
    /// When it was requested.
    pub requested_at: String,
    /// When it was assigned.
    pub assigned_at: Option<String>,
}

impl From<&RideView> for Told {
    fn from(view: &RideView) -> Self {
        Self {
            version: view.version,
            status: view.status,
            attempt: view.attempt,
            wave: view.wave,
            driver: view.driver_id().map(str::to_owned),
            otp: view.otp.clone(),
            rider: view.rider_id.clone(),
            requested_at: view.requested_at.clone(),
            assigned_at: view.assigned_at.clone(),
        }
    }
}

/// The commands about a ride that were ever sent, answered or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Causes {
    /// Drivers who accepted an offer of it.
    pub accepted_by: BTreeSet<String>,
    /// Attempts that ended with the driver giving the ride back.
    pub gave_back: BTreeSet<u32>,
    /// A driver said he had arrived.
    pub arrived: bool,
    /// A driver said the ride had started.
    pub start: bool,
    /// A driver said the ride was done.
    pub complete: bool,
    /// The rider called it off.
    pub cancel: bool,
}

/// Checks one state by itself and against the commands sent.
///
/// # Errors
/// What is wrong with it.
pub fn plausible(now: &Told, causes: &Causes) -> Result<(), String> {
    let status = now.status;
    let (has, lacks) = (now.driver.is_some(), now.driver.is_none());
    match status {
        RideStatus::Scheduled | RideStatus::Searching | RideStatus::Unfulfilled if has => {
            return Err(format!("{} with a driver", status.name()));
        }
        RideStatus::Assigned
        | RideStatus::Arrived
        | RideStatus::InProgress
        | RideStatus::Completed
            if lacks =>
        {
            return Err(format!("{} without a driver", status.name()));
        }
        RideStatus::Scheduled
        | RideStatus::Searching
        | RideStatus::Unfulfilled
        | RideStatus::Assigned
        | RideStatus::Arrived
        | RideStatus::InProgress
        | RideStatus::Completed
        | RideStatus::Cancelled => {}
    }
    if let Some(driver) = &now.driver
        && !causes.accepted_by.contains(driver)
    {
        return Err(format!("{} to {driver}, who never accepted", status.name()));
    }
    let asked_for = match status {
        RideStatus::Scheduled
        | RideStatus::Searching
        | RideStatus::Assigned
        | RideStatus::Unfulfilled => true,
        RideStatus::Arrived => causes.arrived,
        RideStatus::InProgress => causes.arrived && causes.start,
        RideStatus::Completed => causes.arrived && causes.start && causes.complete,
        RideStatus::Cancelled => causes.cancel || causes.gave_back.contains(&now.attempt),
    };
    let unasked = || format!("{}, which nobody asked for", status.name());
    asked_for.then_some(()).ok_or_else(unasked)?;
    match (1..now.attempt).find(|attempt| !causes.gave_back.contains(attempt)) {
        Some(attempt) => Err(format!("attempt {attempt} ended though nobody gave the ride back")),
        None => Ok(()),
    }
}

/// Checks that `now`, asked for after `told` was told, can follow from it.
///
/// # Errors
/// What is wrong.
pub fn follows(told: &Told, now: &Told, causes: &Causes) -> Result<(), String> {
    if now.version < told.version {
        return Err(format!("version {} after {} was told", now.version, told.version));
    }
    if now.rider != told.rider || now.requested_at != told.requested_at {
        return Err("another request under the same id".to_owned());
    }
    if now.version == told.version {
        return same(told, now);
    }
    plausible(now, causes)?;
    if told.status.is_over() {
        return Err(format!("{} after it was {}", now.status.name(), told.status.name()));
    }
    if now.attempt < told.attempt {
        return Err(format!("attempt {} after {}", now.attempt, told.attempt));
    }
    if now.attempt > told.attempt { Ok(()) } else { same_attempt(told, now) }
}

/// Checks that two tellings of one version are one.
///
/// # Errors
/// Where they differ.
pub fn same(told: &Told, now: &Told) -> Result<(), String> {
    // Drivers are not shown the password.
    let otp = match (&told.otp, &now.otp) {
        (Some(_), Some(_)) => now.otp.clone(),
        (_, _) => told.otp.clone(),
    };
    let shown = Told { otp, ..now.clone() };
    if shown == *told {
        return Ok(());
    }
    let (a, b) = (describe(told), describe(now));
    Err(format!("version {} was told as {a} and is {b}", told.version))
}

/// One attempt goes forward only, with one driver.
fn same_attempt(told: &Told, now: &Told) -> Result<(), String> {
    let back = || format!("{} after {}", now.status.name(), told.status.name());
    if now.status == RideStatus::Unfulfilled && told.status.has_driver() {
        return Err(back());
    }
    // The order of the enum is the order of a ride's life; its ends are last.
    if now.status < told.status {
        return Err(back());
    }
    if now.wave < told.wave {
        return Err(format!("wave {} after {}", now.wave, told.wave));
    }
    let dropped = now.driver.is_none() && now.status == RideStatus::Cancelled;
    if told.driver.is_some() && told.driver != now.driver && !dropped {
        let (a, b) = (describe(told), describe(now));
        return Err(format!("{a} became {b} in the same attempt"));
    }
    if let (Some(a), Some(b)) = (&told.otp, &now.otp)
        && a != b
    {
        return Err("another one-time password in the same attempt".to_owned());
    }
    Ok(())
}

fn describe(told: &Told) -> String {
    let driver = told.driver.as_deref().unwrap_or("nobody");
    format!("{}/{driver}/attempt {}/wave {}", told.status.name(), told.attempt, told.wave)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: u64, status: RideStatus, driver: Option<&str>) -> Told {
        Told {
            version,
            status,
            attempt: 1,
            wave: 1,
            driver: driver.map(str::to_owned),
            otp: None,
            rider: "r".to_owned(),
            requested_at: "t0".to_owned(),
            assigned_at: None,
        }
    }

    fn everything() -> Causes {
        Causes {
            accepted_by: ["d1".to_owned(), "d2".to_owned()].into(),
            gave_back: [1].into(),
            arrived: true,
            start: true,
            complete: true,
            cancel: true,
        }
    }

    use RideStatus::{Arrived, Assigned, Cancelled, Completed, InProgress, Searching, Unfulfilled};

    #[test]
    fn what_may_follow_follows() {
        let searching = told(3, Searching, None);
        let assigned = told(4, Assigned, Some("d1"));
        let all = everything();
        assert_eq!(follows(&searching, &searching, &Causes::default()), Ok(()));
        assert_eq!(follows(&searching, &assigned, &all), Ok(()));
        assert_eq!(follows(&assigned, &told(5, Arrived, Some("d1")), &all), Ok(()));
        assert_eq!(follows(&assigned, &told(7, Completed, Some("d1")), &all), Ok(()));
        assert_eq!(follows(&assigned, &told(5, Cancelled, Some("d1")), &all), Ok(()));
        assert_eq!(follows(&searching, &told(4, Unfulfilled, None), &Causes::default()), Ok(()));
        let again = Told { attempt: 2, ..told(5, Searching, None) };
        assert_eq!(follows(&assigned, &again, &all), Ok(()));
        let other = Told { attempt: 2, ..told(6, Assigned, Some("d2")) };
        assert_eq!(follows(&assigned, &other, &all), Ok(()));
        let hidden = told(4, Assigned, Some("d1"));
        let shown = Told { otp: Some("1234".to_owned()), ..hidden.clone() };
        assert_eq!(follows(&hidden, &shown, &all), Ok(()));
        assert_eq!(follows(&shown, &hidden, &all), Ok(()));
    }

    #[test]
    fn every_planted_lie_is_caught() {
        let assigned = told(4, Assigned, Some("d1"));
        let all = everything();
        let lies = [
            ("forgotten", told(3, Searching, None)),
            ("retold without the driver", told(4, Searching, None)),
            ("retold with another driver", told(4, Assigned, Some("d2"))),
            ("back to searching", told(5, Searching, None)),
            ("another driver in the attempt", told(5, Assigned, Some("d2"))),
            ("another driver under way", told(5, InProgress, Some("d2"))),
            ("a driver who never accepted", told(5, Arrived, Some("d9"))),
            ("assigned to nobody", told(5, Assigned, None)),
            ("a driver but searching", Told { attempt: 2, ..told(5, Searching, Some("d2")) }),
            ("unfulfilled after assigned", told(5, Unfulfilled, None)),
            ("another rider", Told { rider: "x".to_owned(), ..told(5, Arrived, Some("d1")) }),
            ("an attempt too many", Told { attempt: 3, ..told(5, Searching, None) }),
            ("a wave back", Told { wave: 0, ..told(5, Arrived, Some("d1")) }),
        ];
        for (lie, now) in lies {
            assert!(follows(&assigned, &now, &all).is_err(), "{lie} went through");
        }
    }

    #[test]
    fn what_nobody_asked_for_does_not_happen() {
        let assigned = told(4, Assigned, Some("d1"));
        let accepted = Causes { accepted_by: ["d1".to_owned()].into(), ..Causes::default() };
        for (version, status) in [(5, Arrived), (6, InProgress), (7, Completed), (5, Cancelled)] {
            let now = told(version, status, Some("d1"));
            assert!(follows(&assigned, &now, &accepted).is_err(), "{}", status.name());
        }
        let given_back = Told { attempt: 2, ..told(5, Searching, None) };
        assert!(follows(&assigned, &given_back, &accepted).is_err());
        assert!(plausible(&assigned, &Causes::default()).is_err());
    }

    #[test]
    fn what_is_over_stays_over() {
        let all = everything();
        for status in [Completed, Cancelled, Unfulfilled] {
            let driver = (status == Completed).then_some("d1");
            let over = told(9, status, driver);
            assert_eq!(follows(&over, &over, &all), Ok(()));
            for later in [told(10, Searching, None), told(10, Cancelled, None)] {
                assert!(follows(&over, &later, &all).is_err(), "{}", status.name());
            }
        }
    }
}
