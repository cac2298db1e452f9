//! Judges the zone's queue (M15): order of arrival, one place each, no eviction by noise.

use std::sync::Arc;

use muster_engine::grid::{Fix, Grid};
use muster_engine::id::DriverId;
use muster_engine::invariant::Invariant;
use muster_engine::ride::{CandidateQuery, Candidates, PriorityGroup};
use muster_engine::zone::{
    LeaveReason, QueueEntry, QueueNews, QueueOrder, QueueRecord, ZoneCommit, ZoneEventKind,
};

use crate::city;
use crate::link::Actor;
use crate::world::World;

type Judgement = Result<(), (Invariant, String)>;

fn require(holds: bool, what: impl FnOnce() -> String) -> Judgement {
    if holds { Ok(()) } else { Err((Invariant::M15, what())) }
}

fn ids(entries: &[QueueEntry]) -> Vec<&DriverId> {
    entries.iter().map(|entry| &entry.driver).collect()
}

impl World {
    /// Judges a change of a queue against the state it changes, before the store keeps it.
    pub(super) fn check_queue_commit(&mut self, commit: &ZoneCommit) {
        let before = self.store.queue(&commit.record.zone).cloned();
        let empty = || {
            let record = &commit.record;
            Arc::new(QueueRecord::new(record.market.clone(), record.zone.clone()))
        };
        let before = before.unwrap_or_else(empty);
        let judgement = history_has_no_holes(&before, commit)
            .and_then(|()| one_place_each_in_order(commit))
            .and_then(|()| nobody_else_moves(&before, commit))
            .and_then(|()| comes_behind_who_came_before(&before, commit))
            .and_then(|()| self.noise_evicts_nobody(&before, commit));
        if let Err((invariant, what)) = judgement {
            let (zone, version) = (&commit.record.zone, commit.record.version);
            let kind = commit.kind.name();
            let detail = format!("{zone} v{version} {kind} of {}: {what}", commit.driver);
            self.broken(invariant, detail);
        }
    }

    fn noise_evicts_nobody(&self, before: &QueueRecord, commit: &ZoneCommit) -> Judgement {
        if commit.kind != ZoneEventKind::Left(LeaveReason::LeftZone) {
            return Ok(());
        }
        let driver = city::ordinal(commit.driver.as_str());
        let left_at = self.oracle.left_at.get(&driver).copied().unwrap_or_default();
        let came_at = before.entry(&commit.driver).map(|entry| entry.entered_at);
        require(came_at.is_some_and(|came_at| left_at >= came_at), || {
            format!("he came at {came_at:?}, his fixes agreed on the outside at {left_at:?} last")
        })
    }

    /// Counts fixes in a row outside the zone, and when they were enough to say that he left.
    pub(super) fn note_fix_for_zone(&mut self, driver: usize, fix: &Fix) {
        let zones = self.markets[self.drivers[driver].market].market.zones();
        if !zones.are_watched() {
            return;
        }
        let outside = zones.watched_at(fix.position).is_none();
        let run = self.oracle.outside.entry(driver).or_insert(0);
        *run = if outside { *run + 1 } else { 0 };
        let needed = self.options.zone.as_ref().map_or(0, |zone| zone.rules.exit_fixes);
        if *run >= needed {
            self.oracle.left_at.insert(driver, self.now);
        }
    }

    /// M13 for what a queue tells a driver.
    pub(super) fn m13_queue_news(&mut self, driver: &DriverId, news: &QueueNews) {
        let Some(zone) = self.options.zone.as_ref().map(|_| city::zone_id()) else { return };
        let history = self.store.queues.get(&zone);
        let entered = history
            .is_some_and(|all| all.iter().any(|commit| commit.record.entry(driver).is_some()));
        let told = match news {
            QueueNews::Placed { .. } => entered,
            QueueNews::Called { call } => history.is_some_and(|all| {
                all.iter().any(|commit| {
                    let entry = commit.record.entry(driver);
                    entry.and_then(|entry| entry.call.as_ref()) == Some(call)
                })
            }),
            QueueNews::Removed { .. }
            | QueueNews::CallOver { .. }
            | QueueNews::OtpFound { .. }
            | QueueNews::OtpUnknown { .. } => true,
        };
        if !told {
            self.broken(Invariant::M13, format!("{driver} is told {news:?}, not durable"));
        }
    }

    /// The queue as told must be the durable one of its version.
    pub(super) fn m13_queue(&mut self, told: &Arc<QueueRecord>) {
        let history = self.store.queues.get(&told.zone);
        let known = told.version == 0
            || history.is_some_and(|all| all.iter().any(|commit| commit.record == *told));
        if !known {
            let detail = format!("v{} of {} is told, not durable", told.version, told.zone);
            self.broken(Invariant::M13, detail);
        }
    }

    pub(super) fn m13_order(&mut self, order: &QueueOrder) {
        let record = order.record();
        let durable = self.store.queue(&record.zone);
        let known =
            record.version == 0 || durable.is_some_and(|durable| durable.version >= record.version);
        if !known {
            let detail = format!("the order v{} of {} is shown", record.version, record.zone);
            self.broken(Invariant::M13, detail);
        }
    }

    /// At rest drivers and queue agree who has a place, and searches see the durable order.
    pub(super) fn m8_queue(&mut self) {
        for (market, site) in &self.zones {
            let record = site.shell.machine.record();
            let shown = self.markets[*market].grid.queue(&record.zone);
            if shown.is_none_or(|order| **order.record() != *record) {
                let detail = format!("the order of {} is not the one shown", record.zone);
                return self.broken(Invariant::M8, detail);
            }
            for (driver, of) in self.drivers.iter().enumerate() {
                let Some(shell) = of.shell.as_ref().filter(|_| of.market == *market) else {
                    continue;
                };
                let believes = shell.machine.queued_at().is_some();
                let asks = shell.machine.asks_a_queue();
                let has = record.entry(&city::driver_id(driver)).is_some();
                if believes != has && !asks {
                    let detail = format!("d{driver:02} believes {believes}, the queue says {has}");
                    return self.broken(Invariant::M8, detail);
                }
            }
        }
    }
}

/// M13: every state of a queue follows the one before.
fn history_has_no_holes(before: &QueueRecord, commit: &ZoneCommit) -> Judgement {
    let follows = commit.record.version == before.version + 1;
    if follows {
        return Ok(());
    }
    Err((Invariant::M13, format!("v{} follows v{}", commit.record.version, before.version)))
}

fn one_place_each_in_order(commit: &ZoneCommit) -> Judgement {
    let entries = &commit.record.entries;
    let mut drivers = ids(entries);
    drivers.sort();
    let twice = drivers.windows(2).find(|pair| pair[0] == pair[1]);
    require(twice.is_none(), || format!("{twice:?} has two places"))?;
    let sorted = entries.is_sorted_by_key(|entry| entry.ranked_at);
    require(sorted, || format!("not in order: {:?}", ids(entries)))
}

/// A change concerns one driver: the others keep their order, and none of them comes or goes.
fn nobody_else_moves(before: &QueueRecord, commit: &ZoneCommit) -> Judgement {
    let others = |entries| -> Vec<&DriverId> {
        let all: Vec<&DriverId> = ids(entries);
        all.into_iter().filter(|driver| **driver != commit.driver).collect()
    };
    let (was, is) = (others(&before.entries), others(&commit.record.entries));
    require(was == is, || format!("the others were {was:?}, are {is:?}"))?;
    let place = |entries| ids(entries).iter().position(|driver| **driver == commit.driver);
    let (was, is) = (place(&before.entries), place(&commit.record.entries));
    let allowed = match commit.kind {
        ZoneEventKind::Joined => was.is_none() && is.is_some(),
        ZoneEventKind::Placed => is.is_some(),
        ZoneEventKind::Left(_) => was.is_some() && is.is_none(),
        ZoneEventKind::Unbarred => was.is_none() && is.is_none(),
        ZoneEventKind::SentBack => is == before.entries.len().checked_sub(1),
        ZoneEventKind::Confirmed
        | ZoneEventKind::Skipped
        | ZoneEventKind::GateChanged
        | ZoneEventKind::Called
        | ZoneEventKind::CallAccepted => was.is_some() && was == is,
    };
    require(allowed, || format!("his place was {was:?}, is {is:?}"))
}

/// First come, first served: whoever joins comes behind everyone who came before him.
fn comes_behind_who_came_before(before: &QueueRecord, commit: &ZoneCommit) -> Judgement {
    if commit.kind != ZoneEventKind::Joined {
        return Ok(());
    }
    let entries = &commit.record.entries;
    let place = entries.iter().position(|entry| entry.driver == commit.driver).unwrap_or(0);
    let own = entries[place].ranked_at;
    let earlier = before.entries.iter().filter(|entry| entry.ranked_at <= own).count();
    require(place == earlier, || format!("place {place}, but {earlier} came before"))
}

/// What is unfair about a search of the queue: drivers chosen out of order, or somebody passed over
/// without a reason. `grid` must be as the search found it, but for the slots it holds.
pub(crate) fn queue_fault(
    grid: &Grid,
    query: &CandidateQuery,
    candidates: &Candidates,
) -> Option<String> {
    let queue = query.queue.as_ref()?;
    let order = grid.queue(&queue.zone)?;
    let line: Vec<&DriverId> =
        order.serving(query.needs.service_tiers()).map(|entry| &entry.driver).collect();
    let chosen = candidates.found.iter().filter(|one| one.group == PriorityGroup::ZoneQueue);
    let chosen: Vec<&DriverId> = chosen.map(|one| &one.candidate.driver).collect();
    let places: Option<Vec<usize>> =
        chosen.iter().map(|one| line.iter().position(|other| other == one)).collect();
    let Some(places) = places else { return Some(format!("{chosen:?} are not all in {line:?}")) };
    if !places.is_sorted() {
        return Some(format!("{chosen:?} are out of the order {line:?}"));
    }
    let last = places.last().copied()?;
    let passed: usize = line[..last].iter().filter(|one| !chosen.contains(one)).count();
    let reasons: u32 = candidates.excluded_counts.values().sum();
    let told = queue.places.is_none() || reasons as usize >= passed;
    (!told).then(|| format!("{passed} of {line:?} were passed over, {reasons} with a reason"))
}

impl World {
    pub(super) fn market_of_zone(actor: Actor) -> Option<usize> {
        match actor {
            Actor::Zone(market) => Some(market),
            Actor::Driver(_)
            | Actor::Ride(_)
            | Actor::Market(_)
            | Actor::Edge
            | Actor::Gps(_)
            | Actor::Store
            | Actor::Session(..) => None,
        }
    }
}
