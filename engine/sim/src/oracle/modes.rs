//! Judges quotes, and assignments that nobody was asked about.

use muster_engine::driver::{DriverCommand, DriverMachine};
use muster_engine::effect::Effect;
use muster_engine::grid::{Contact, DriverStatus};
use muster_engine::id::{OfferId, ServiceTierId};
use muster_engine::invariant::Invariant;
use muster_engine::offer::{OfferKind, QuoteEnd, QuoteTerms};
use muster_engine::ride::{LiveOffer, RideCommand, RideCommit, RideEventKind, RideRecord};
use muster_engine::units::Money;

use crate::city;
use crate::link::Actor;
use crate::oracle::durable::{Judgement, require};
use crate::world::World;
use crate::world::turns::Turn;

/// The quotes of a ride.
pub(super) fn quotes_of(record: &RideRecord) -> impl Iterator<Item = (OfferId, Money)> {
    let quoted = record.offers.iter().filter_map(|(id, live)| Some((id, live.quote.as_ref()?)));
    quoted.map(|(id, quote)| (id.clone(), quote.fare.clone()))
}

/// What was true of a driver before an offer that he is not asked about.
#[derive(Debug)]
pub(crate) struct Unasked {
    offer: OfferId,
    consents: bool,
    able: bool,
}

impl World {
    /// What a transition makes of quotes and of drivers who are not asked.
    pub(super) fn modes_are_kept(
        &self,
        before: Option<&RideRecord>,
        commit: &RideCommit,
    ) -> Judgement {
        let record = &commit.record;
        let unasked = record.offers.values().filter(|live| live.kind == OfferKind::Instant).count();
        let alone = unasked == 0 || (unasked == 1 && record.offers.len() == 1);
        require(alone, Invariant::M2, || format!("{unasked} drivers are tried beside others"))?;
        let (most, quotes) = (self.options.policy.quotes_max as usize, quotes_of(record).count());
        let capped = quotes < most || (quotes == most && quotes == record.offers.len());
        require(capped, Invariant::M2, || {
            format!("{quotes} quotes, {} live", record.offers.len())
        })?;
        m4_quotes_stand(before, commit)?;
        m4_quotes_end_once(before, commit)?;
        m3_assigned_as_quoted(before, commit)
    }

    /// At rest a driver is reserved by the quotes that rides hold of him and by no others.
    pub(super) fn m8_quotes(&mut self, driver: usize) {
        let Some(machine) = self.driver(driver) else { return };
        let id = city::driver_id(driver);
        let is_his = |live: &LiveOffer| {
            live.driver == id && live.quote.is_some() && live.expires_at > self.now
        };
        let rides = self.store.newest_rides().flat_map(|ride| ride.offers.iter());
        let kept: Vec<OfferId> =
            rides.filter(|(_, live)| is_his(live)).map(|(offer, _)| offer.clone()).collect();
        let free = machine.status() != DriverStatus::Reserved;
        if kept.len() > 1 || (free && !kept.is_empty()) {
            let detail = format!("rides keep the quotes {kept:?} of {id}, {:?}", machine.status());
            return self.broken(Invariant::M8, detail);
        }
        let waiting = machine.quoting().filter(|offer| {
            machine.live_offers().any(|live| live.id == **offer && live.expires_at > self.now)
        });
        if let Some(waiting) = waiting.cloned()
            && !kept.contains(&waiting)
        {
            self.broken(Invariant::M8, format!("{id} waits with {waiting}, no ride has it"));
        }
    }

    /// A quote that is told is durable, for this fare.
    pub(super) fn m13_quote(&mut self, offer: &OfferId, terms: &QuoteTerms) {
        if self.oracle.quoted.get(offer) != Some(&terms.fare) {
            self.broken(Invariant::M13, format!("quote {offer} is told, not durable"));
        }
    }

    /// What must hold if this turn accepts for a driver.
    pub(crate) fn unasked(&self, driver: usize, turn: &Turn<DriverCommand>) -> Option<Unasked> {
        let Turn::Command(DriverCommand::Offer { offer, .. }) = turn else { return None };
        let machine = self.driver(driver).filter(|_| offer.kind == OfferKind::Instant)?;
        let heard = self.drivers[driver].slot.read().map(|reading| reading.received_at);
        let stale_ms = self.options.policy.stale_after_ms;
        let in_touch = heard.is_some_and(|at| self.now.millis_since(at) < stale_ms);
        Some(Unasked {
            offer: offer.id.clone(),
            consents: opted_in(machine, &offer.service_tier),
            // One that runs out in this very turn is no hindrance.
            able: in_touch
                && machine.status() == DriverStatus::Available
                && machine.live_offers().all(|live| live.expires_at <= self.now)
                && self.may_be_connected(driver)
                && machine.contact() != Contact::Lost,
        })
    }

    fn may_be_connected(&self, driver: usize) -> bool {
        // That the last phone has left may be on its way to him.
        let told = !self.links.carries(Actor::Edge, Actor::Driver(driver));
        !told || !self.drivers[driver].attached.is_empty()
    }

    /// M3: nobody who was not asked is made to accept without consent, or while he could not.
    pub(crate) fn check_unasked(
        &mut self,
        driver: usize,
        unasked: Option<Unasked>,
        effects: &[Effect],
    ) {
        let Some(before) = unasked else { return };
        let accepted = effects.iter().any(|effect| {
            matches!(effect, Effect::ToRide(_, RideCommand::OfferAccepted { offer, .. })
                if *offer == before.offer)
        });
        if accepted && !(before.consents && before.able) {
            self.broken(Invariant::M3, format!("d{driver:02} was made to accept: {before:?}"));
        } else if accepted {
            self.count("accepts of drivers who were not asked");
        }
    }
}

fn opted_in(machine: &DriverMachine, tier: &ServiceTierId) -> bool {
    machine.record().profile.preferences.instant_tiers.contains(tier)
}

/// A quote comes from an offer that was live, by itself, and stays as it is.
fn m4_quotes_stand(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let mut new = 0;
    for (id, live) in &commit.record.offers {
        let was = before.and_then(|before| before.offers.get(id));
        if was.is_some_and(|was| was.quote.is_some()) {
            require(was == Some(live), Invariant::M4, || format!("quote {id} has changed"))?;
        } else if live.quote.is_some() {
            new += 1;
            let in_time = was.is_some_and(|was| commit.at < was.expires_at);
            let asked = matches!(live.kind, OfferKind::Quote { .. });
            require(in_time && asked, Invariant::M3, || format!("{id} is quoted, not live"))?;
        }
    }
    let expected = usize::from(commit.kind == RideEventKind::QuoteReceived);
    require(new == expected, Invariant::M4, || format!("{new} quotes came at once"))
}

/// A quote that is gone is remembered with its end, once.
fn m4_quotes_end_once(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let ended = &commit.record.ended_quotes;
    for (at, (id, _)) in ended.iter().enumerate() {
        let again = ended[..at].iter().any(|(other, _)| other == id);
        let lives = commit.record.offers.contains_key(id);
        require(!again && !lives, Invariant::M4, || format!("quote {id} ended twice"))?;
    }
    let quotes = before.into_iter().flat_map(quotes_of);
    for (id, _) in quotes.filter(|(id, _)| !commit.record.offers.contains_key(id)) {
        let end = ended.iter().find(|(ended, _)| *ended == id).map(|(_, end)| *end);
        let won = commit.kind == RideEventKind::DriverAssigned
            && commit.record.assignment.as_ref().is_some_and(|a| a.offer == id);
        let told = end.is_some_and(|end| (end == QuoteEnd::Selected) == won);
        require(told, Invariant::M4, || format!("quote {id} is gone, remembered as {end:?}"))?;
    }
    Ok(())
}

/// The ride is assigned for the fare that was quoted; one that is not quoted has none.
fn m3_assigned_as_quoted(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let Some(assignment) = &commit.record.assignment else { return Ok(()) };
    if commit.kind != RideEventKind::DriverAssigned {
        return Ok(());
    }
    let won = before.and_then(|before| before.offers.get(&assignment.offer));
    let fits = won.is_some_and(|won| match (&won.kind, &won.quote) {
        (OfferKind::Quote { .. }, Some(quote)) => assignment.fare.as_ref() == Some(&quote.fare),
        (OfferKind::Quote { bounds }, None) => assignment.fare.as_ref().is_some_and(|fare| {
            let within = |b: &muster_engine::offer::FareBounds| {
                (b.min.amount..=b.max.amount).contains(&fare.amount)
            };
            bounds.as_ref().is_none_or(within)
        }),
        (OfferKind::Ride | OfferKind::Instant | OfferKind::Standby, _) => assignment.fare.is_none(),
    });
    require(fits, Invariant::M3, || format!("assigned for {:?}", assignment.fare))
}
