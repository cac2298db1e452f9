//! Judges a transition against the history it is added to, before the store keeps it.

use std::sync::Arc;

use muster_engine::invariant::Invariant;
use muster_engine::ride::{RideCommit, RideEventKind, RideRecord, RideStatus};

use crate::city;
use crate::oracle::attempts;
use crate::oracle::modes::quotes_of;
use crate::store::Durable;
use crate::world::World;

/// What broke, if anything did.
pub(super) type Judgement = Result<(), (Invariant, String)>;

impl World {
    pub(crate) fn check_durable(&mut self, item: &Durable) {
        let commit = match item {
            Durable::Ride(commit) => commit,
            Durable::Zone(commit) => return self.check_queue_commit(commit),
            Durable::Driver(_) => return,
        };
        let ride = &commit.record.request.ride;
        let history = self.store.rides.get(ride).map_or(&[][..], |history| &history.commits);
        let before = history.last().map(|commit| &*commit.record);
        let judgement = m1_one_assignment(before, commit)
            .and_then(|()| m10_terminal_absorbs(before, commit))
            .and_then(|()| m13_history_has_no_holes(before, commit))
            .and_then(|()| m3_won_while_live(before, commit))
            .and_then(|()| m1_forward_waits(before, commit))
            .and_then(|()| m4_counts_add_up(before, commit))
            .and_then(|()| m9_one_effect(history, commit))
            .and_then(|()| self.m2_one_ride_per_driver(commit))
            .and_then(|()| self.m4_ends_once(before, commit))
            .and_then(|()| self.m12_one_market(commit))
            .and_then(|()| attempts::keep_their_limits(&self.options.policy, before, commit))
            .and_then(|()| self.m2_one_match(commit))
            .and_then(|()| self.modes_are_kept(before, commit))
            .and_then(|()| self.standby_is_kept(before, commit))
            .and_then(|()| self.m8_times_agree(before, commit));
        match judgement {
            Ok(()) => self.remember(before.map(|_| ()), commit),
            Err((invariant, what)) => {
                let detail =
                    format!("{ride} v{} {}: {what}", commit.record.version, commit.kind.name());
                self.broken(invariant, detail);
            }
        }
    }

    fn remember(&mut self, known: Option<()>, commit: &RideCommit) {
        let before = known.and_then(|()| self.store.ride(&commit.record.request.ride).cloned());
        let offers = &commit.record.offers;
        self.oracle.offered.extend(offers.keys().cloned());
        self.oracle.quoted.extend(quotes_of(&commit.record));
        self.oracle.stood_by.extend(commit.record.standby().map(|(id, _)| id.clone()));
        if let Some(before) = before {
            let gone = before.offers.keys().filter(|offer| !offers.contains_key(*offer));
            self.oracle.ended.extend(gone.cloned());
        }
    }

    fn m2_one_ride_per_driver(&self, commit: &RideCommit) -> Judgement {
        let record = &commit.record;
        let Some(own) = driver_of(record) else { return Ok(()) };
        let waits = record.forward().is_some();
        let other = self.store.newest_rides().find(|other| {
            other.request.ride != record.request.ride
                && driver_of(other) == Some(own)
                && other.forward().is_some() == waits
        });
        require(other.is_none(), Invariant::M2, || {
            let other = other.map(|other| other.request.ride.to_string());
            format!("{own} serves {} too", other.unwrap_or_default())
        })
    }

    fn m4_ends_once(&self, before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
        for offer in commit.record.offers.keys() {
            let was_live = before.is_some_and(|before| before.offers.contains_key(offer));
            let reborn = !was_live && self.oracle.offered.contains(offer);
            require(!reborn, Invariant::M4, || format!("offer {offer} lives again"))?;
        }
        for offer in before.into_iter().flat_map(|before| before.offers.keys()) {
            let ends = !commit.record.offers.contains_key(offer);
            let again = ends && self.oracle.ended.contains(offer);
            require(!again, Invariant::M4, || format!("offer {offer} ends again"))?;
        }
        Ok(())
    }

    fn m12_one_market(&self, commit: &RideCommit) -> Judgement {
        let market = self.market_of_ride(&commit.record.request.ride);
        let drivers = commit.record.offers.values().map(|live| &live.driver);
        for driver in drivers.chain(driver_of(&commit.record)) {
            let site = self.drivers.get(city::ordinal(driver.as_str()));
            let same = site.map(|site| site.market) == market;
            require(same, Invariant::M12, || format!("{driver} is in another market"))?;
        }
        Ok(())
    }
}

pub(super) fn require(
    holds: bool,
    invariant: Invariant,
    what: impl FnOnce() -> String,
) -> Judgement {
    if holds { Ok(()) } else { Err((invariant, what())) }
}

fn driver_of(record: &RideRecord) -> Option<&muster_engine::id::DriverId> {
    record.assignment.as_ref().filter(|_| record.status.has_driver()).map(|a| &a.driver.id)
}

/// A ride passes from driver to driver only by way of nobody.
fn m1_one_assignment(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let (before, after) = (before.and_then(driver_of), driver_of(&commit.record));
    require(before.is_none() || after.is_none() || before == after, Invariant::M1, || {
        format!("assigned to {after:?} while {before:?} has it")
    })?;
    let again = commit.kind == RideEventKind::DriverAssigned && before.is_some();
    require(!again, Invariant::M1, || format!("assigned while {before:?} has it"))
}

/// A ride that waits for its driver is not served before it is promoted, waits only from the accept
/// of a forward offer on, and counts for no limit when it returns.
fn m1_forward_waits(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let record = &commit.record;
    let link = record.assignment.as_ref().and_then(|a| a.forward.as_ref());
    let served = matches!(record.status, RideStatus::Arrived | RideStatus::InProgress);
    require(link.is_none() || !served, Invariant::M1, || "served while it waits".to_owned())?;
    let waited = before.and_then(RideRecord::forward).is_some();
    let begins = record.forward().is_some() && !waited;
    let assigned = commit.kind == RideEventKind::DriverAssigned;
    require(!begins || assigned, Invariant::M1, || "waits again".to_owned())?;
    let promoted = waited && record.status.has_driver() && link.is_none();
    let said = promoted == (commit.kind == RideEventKind::ForwardPromoted);
    require(said, Invariant::M1, || "promoted otherwise than by its driver".to_owned())?;
    let returned = commit.kind == RideEventKind::ForwardReturned;
    let blamed = before.is_some_and(|before| {
        before.reallocations != record.reallocations || before.gave_back != record.gave_back
    });
    require(!returned || (waited && !blamed), Invariant::M11, || "blamed for it".to_owned())
}

/// The offer that wins was live in the durable record, for this driver, and not expired.
fn m3_won_while_live(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    if commit.kind == RideEventKind::OtpEntered {
        let waits = before.is_some_and(|before| {
            before.otp_ride
                && before.status == RideStatus::Searching
                && before.otp == commit.record.otp
                && commit.at < before.search_deadline
        });
        return require(waits, Invariant::M3, || "no ride waited for its password".to_owned());
    }
    if commit.kind != RideEventKind::DriverAssigned {
        return Ok(());
    }
    let Some(assignment) = &commit.record.assignment else {
        return Err((Invariant::M3, "assigned to nobody".to_owned()));
    };
    let live = before.and_then(|before| before.offers.get(&assignment.offer));
    let valid =
        live.is_some_and(|live| live.driver == assignment.driver.id && commit.at < live.expires_at);
    require(valid, Invariant::M3, || format!("offer {} was not live", assignment.offer))
}

/// Every offer that was made is live or has one end, and what ended in this transition was live.
fn m4_counts_add_up(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let (record, counts) = (&commit.record, commit.record.offer_counts);
    let ended = counts.accepted + counts.declined + counts.expired + counts.withdrawn;
    let adds_up = counts.sent as usize == ended as usize + record.offers.len();
    require(adds_up, Invariant::M4, || format!("{counts:?}, live {}", record.offers.len()))?;
    let sent_before = before.map_or(0, |before| before.offer_counts.sent);
    require(counts.sent >= sent_before, Invariant::M4, || "offers were unmade".to_owned())
}

/// A command has its effect once, however often it comes: transitions that may not repeat do not.
fn m9_one_effect(history: &[Arc<RideCommit>], commit: &RideCommit) -> Judgement {
    let same = |other: &&Arc<RideCommit>| {
        other.kind == commit.kind
            && match commit.kind {
                RideEventKind::RideRequested
                | RideEventKind::RideCompleted
                | RideEventKind::RideCancelled => true,
                RideEventKind::DriverAssigned
                | RideEventKind::OtpEntered
                | RideEventKind::DriverArrived
                | RideEventKind::RideStarted
                | RideEventKind::ForwardPromoted => offer_of(other) == offer_of(commit),
                RideEventKind::RideReallocated => other.record.gave_back == commit.record.gave_back,
                RideEventKind::SearchStarted
                | RideEventKind::DriverNudged
                | RideEventKind::TryUnfulfilled
                | RideEventKind::WaveSent
                | RideEventKind::NoCandidates
                | RideEventKind::OffersEnded
                | RideEventKind::DropoffChanged
                | RideEventKind::ForwardUpdated
                | RideEventKind::ForwardReturned
                | RideEventKind::OtpDrawn
                | RideEventKind::InstantOffered
                | RideEventKind::InstantEnded
                | RideEventKind::QuoteReceived
                | RideEventKind::QuoteEnded
                | RideEventKind::BetterDriverSearchStarted
                | RideEventKind::StandbyHeld
                | RideEventKind::StandbyEnded
                | RideEventKind::RideUnfulfilled => false,
            }
    };
    let first = history.iter().find(same);
    require(first.is_none(), Invariant::M9, || {
        format!("happened before, at v{}", first.map_or(0, |first| first.record.version))
    })
}

fn offer_of(commit: &RideCommit) -> Option<&muster_engine::id::OfferId> {
    commit.record.assignment.as_ref().map(|assignment| &assignment.offer)
}

/// An explicit retry of an unfulfilled ride begins a new attempt; nothing else leaves the end.
fn m10_terminal_absorbs(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let Some(before) = before.filter(|before| before.status.is_terminal()) else { return Ok(()) };
    let retried = before.status == RideStatus::Unfulfilled
        && commit.kind == RideEventKind::SearchStarted
        && commit.record.attempt == before.attempt + 1;
    require(retried, Invariant::M10, || format!("the ride was {}", before.status.name()))
}

/// What was durable once, and so may have been told, is never replaced.
fn m13_history_has_no_holes(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let (before, after) = (before.map_or(0, |before| before.version), commit.record.version);
    require(after == before + 1, Invariant::M13, || format!("v{after} follows v{before}"))?;
    let begins = (commit.kind == RideEventKind::RideRequested) == (after == 1);
    require(begins, Invariant::M13, || "history begins with the request".to_owned())
}
