//! A recorded driver: when he worked, where he went while he had no ride.

use muster_city::geo::Point;
use muster_engine::driver::DriverProfile;

use crate::people::OfferPlan;

/// A phone that was silent for so long was not at work.
const SILENCE_MS: u64 = 300_000;

/// What changes about a driver at a time of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ShiftChange {
    /// He begins to work here.
    Online(Point),
    /// He stops.
    Offline,
    /// The platform says something else about him.
    Profile(Box<DriverProfile>),
}

/// A driver of the log.
#[derive(Debug)]
pub(crate) struct RecordedDriver {
    /// What was known of him first.
    pub(crate) profile: DriverProfile,
    /// By time.
    pub(crate) changes: Vec<(u64, ShiftChange)>,
    /// Where he was, by time.
    fixes: Vec<(u64, Point)>,
    /// When he had a ride, by time.
    pub(super) served: Vec<(u64, u64)>,
}

/// What the log says of a driver.
#[derive(Debug, Default)]
pub(super) struct DriverLines<'l> {
    profiles: Vec<(u64, bool, &'l DriverProfile)>,
    fixes: Vec<(u64, Point)>,
    free_from_ms: u64,
    pub(super) answers: Vec<OfferPlan>,
}

impl<'l> DriverLines<'l> {
    pub(super) fn profile(&mut self, ms: u64, online: bool, profile: &'l DriverProfile) {
        self.profiles.push((ms, online, profile));
    }

    pub(super) fn fix(&mut self, ms: u64, at: Point) {
        // Files repeat where everybody was when they began.
        if self.fixes.last().is_none_or(|last| last.0 < ms) {
            self.fixes.push((ms, at));
        }
    }

    /// He had a ride at this time that is older than the log: his day begins after it.
    pub(super) fn had_ride_before(&mut self, ms: u64) {
        self.free_from_ms = ms;
    }

    /// The driver with his answers; nothing for one of another market, or who never worked.
    pub(super) fn driver(
        self,
        mut served: Vec<(u64, u64)>,
        until_ms: u64,
    ) -> Option<(RecordedDriver, Vec<OfferPlan>)> {
        let (_, _, first) = *self.profiles.first()?;
        served.sort_unstable();
        let mut changes = self.shifts(until_ms);
        let mut newest = first;
        for (ms, _, profile) in &self.profiles {
            if *profile != newest {
                newest = profile;
                changes.push((*ms, ShiftChange::Profile(Box::new((*profile).clone()))));
            }
        }
        changes.sort_by_key(|(ms, _)| *ms);
        let works = changes.iter().any(|(_, change)| matches!(change, ShiftChange::Online(_)));
        let (profile, fixes) = (first.clone(), self.fixes);
        works.then_some((RecordedDriver { profile, changes, fixes, served }, self.answers))
    }

    /// From when to when he was online and heard.
    fn shifts(&self, until_ms: u64) -> Vec<(u64, ShiftChange)> {
        let mut shifts = Vec::new();
        let intents = self.profiles.iter().map(|(ms, online, _)| (*ms, Some(*online), None));
        let fixes = self.fixes.iter().map(|(ms, at)| (*ms, None, Some(*at)));
        let mut seen: Vec<(u64, Option<bool>, Option<Point>)> = intents.chain(fixes).collect();
        seen.sort_by_key(|(ms, ..)| *ms);
        let (mut online, mut works, mut heard): (bool, bool, Option<(u64, Point)>) =
            (false, false, None);
        for (ms, intent, at) in seen {
            let lost_ms =
                heard.map(|(heard_ms, _)| heard_ms + SILENCE_MS).filter(|lost| *lost < ms);
            if let Some(lost_ms) = lost_ms.filter(|_| works) {
                shifts.push((lost_ms, ShiftChange::Offline));
                works = false;
            }
            online = intent.unwrap_or(online);
            heard = at.map(|at| (ms, at)).or(heard.filter(|_| lost_ms.is_none()));
            let may_work = online && ms >= self.free_from_ms;
            match (may_work, works, heard) {
                (true, false, Some((_, at))) => shifts.push((ms, ShiftChange::Online(at))),
                (false, true, _) => shifts.push((ms, ShiftChange::Offline)),
                (true, _, _) | (false, _, _) => {}
            }
            works = may_work && heard.is_some();
        }
        let lost_ms = heard.map_or(until_ms, |(ms, _)| ms + SILENCE_MS);
        if works && lost_ms < until_ms {
            shifts.push((lost_ms, ShiftChange::Offline));
        }
        shifts
    }
}

impl RecordedDriver {
    /// Where he was without a ride; nothing while he had one, or was not heard.
    pub(crate) fn place_without_ride(&self, ms: u64) -> Option<Point> {
        let began = self.served.partition_point(|(from_ms, _)| *from_ms <= ms);
        if began > 0 && ms < self.served[began - 1].1 {
            return None;
        }
        let after = self.fixes.partition_point(|(at_ms, _)| *at_ms <= ms);
        let (before_ms, before) = *self.fixes.get(after.checked_sub(1)?)?;
        let next = self.fixes.get(after).filter(|(at_ms, _)| at_ms - before_ms <= SILENCE_MS);
        match next {
            Some((next_ms, next)) => {
                let share = (ms - before_ms) as f64 / (next_ms - before_ms) as f64;
                Some(before.toward(*next, share))
            }
            None => (ms - before_ms <= SILENCE_MS).then_some(before),
        }
    }

    /// When he worked, in spans that end with the log at the latest.
    pub(super) fn spans(&self, until_ms: u64) -> Vec<(u64, u64)> {
        let mut spans: Vec<(u64, u64)> = Vec::new();
        let mut since = None;
        for (ms, change) in &self.changes {
            match change {
                ShiftChange::Online(_) => since = since.or(Some(*ms)),
                ShiftChange::Offline => spans.extend(since.take().map(|from_ms| (from_ms, *ms))),
                ShiftChange::Profile(_) => {}
            }
        }
        spans.extend(since.map(|from_ms| (from_ms, until_ms)));
        spans
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Point> {
        self.fixes.iter().map(|(_, at)| *at)
    }
}
