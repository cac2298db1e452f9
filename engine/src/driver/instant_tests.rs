//! A ride that a driver takes without being asked: his machine checks everything, then accepts.

use super::case_tests::*;

use crate::driver::{DriverCommand, DriverProfile, PhoneFrame, RidePreferences};
use crate::effect::{AcceptAnswer, Effect, SessionId};
use crate::grid::{DriverStatus, TierSet};
use crate::id::ServiceTierId;
use crate::offer::{Exclusion, Offer, OfferKind, WithdrawReason};
use crate::policy::DispatchPolicy;
use crate::ride::RideCommand;

fn opted_in() -> DriverProfile {
    let preferences =
        RidePreferences { instant_tiers: [tier()].into(), ..RidePreferences::default() };
    DriverProfile { preferences: preferences.into(), ..profile() }
}

fn instant(name: &str) -> Box<Offer> {
    Box::new(Offer { kind: OfferKind::Instant, ..offer(name) })
}

impl Case {
    fn put(&mut self, profile: DriverProfile, ms: u64) {
        self.tell(DriverCommand::PutProfile { profile: Box::new(profile), reply: None }, ms);
    }

    fn opted_in() -> Self {
        let mut case = Self::available();
        case.put(opted_in(), 0);
        case
    }

    fn instantly(&mut self, name: &str, redelivered: bool, ms: u64) {
        self.tell(DriverCommand::Offer { offer: instant(name), redelivered }, ms);
    }

    fn accepts(&self) -> usize {
        let accepted = |effect: &&Effect| {
            matches!(effect, Effect::ToRide(_, RideCommand::OfferAccepted { .. }))
        };
        self.effects.iter().filter(accepted).count()
    }
}

#[test]
fn the_machine_accepts_without_a_pop_up_and_the_phone_learns_of_the_ride() {
    let mut case = Case::opted_in();
    case.instantly("r1", false, 10);
    assert_eq!((case.accepts(), case.machine.status()), (1, DriverStatus::Reserved));
    assert!(case.frames().is_empty() && case.machine.view().offers.is_empty());
    case.wake(20);
    assert!(case.frames().is_empty(), "it does not come on the screen later");
    case.wins("r1", 30);
    assert!(matches!(case.frames()[..], [PhoneFrame::Assigned { .. }]));
}

#[test]
fn a_lost_instant_offer_leaves_no_trace_on_the_phone() {
    let mut case = Case::opted_in();
    case.instantly("r1", false, 10);
    case.answered("r1", AcceptAnswer::Lost(WithdrawReason::Cancelled), 20);
    assert!(case.frames().is_empty());
    let supply = case.supply().unwrap();
    assert_eq!((supply.status, supply.cooling_down), (DriverStatus::Available, false));
}

#[test]
fn every_condition_is_checked_again_when_the_offer_arrives() {
    let mut gone = Case::opted_in();
    gone.tell(DriverCommand::Disconnect { session: SessionId(1) }, 0);
    let mut pending = Case::opted_in();
    pending.offered("r9", 0);
    let mut opted_out = Case::opted_in();
    opted_out.put(profile(), 5);
    let mut elsewhere = Case::available();
    let other = ServiceTierId::new("premium").unwrap();
    let preferences = RidePreferences { instant_tiers: [other].into(), ..Default::default() };
    elsewhere.put(DriverProfile { preferences: preferences.into(), ..profile() }, 0);
    let mut silent =
        Case::with(DispatchPolicy { stale_after_ms: 1_000, ..DispatchPolicy::default() });
    silent.put(opted_in(), 0);
    let mut offline = Case::opted_in();
    offline.set_online(false, 0);
    let mut picky = Case::available();
    let preferences = RidePreferences {
        categories: Some(["rental".to_owned()].into()),
        ..RidePreferences::clone(&opted_in().preferences)
    };
    picky.put(DriverProfile { preferences: preferences.into(), ..profile() }, 0);
    let cases = [
        (gone, Exclusion::NoSession),
        (pending, Exclusion::OfferPending),
        (opted_out, Exclusion::InstantOptOut),
        (elsewhere, Exclusion::InstantOptOut),
        (silent, Exclusion::StalePosition),
        (offline, Exclusion::Offline),
        (picky, Exclusion::Category),
    ];
    for (mut case, reason) in cases {
        case.instantly("r1", false, 2_000);
        assert_eq!((case.refused_to_ride(), case.accepts()), (vec![reason], 0));
    }
}

#[test]
fn an_instant_offer_that_comes_again_after_a_restart_is_checked_anew() {
    let mut case = Case::opted_in();
    case.tell(DriverCommand::Disconnect { session: SessionId(1) }, 0);
    case.instantly("r1", true, 10);
    assert_eq!(case.refused_to_ride(), [Exclusion::NoSession]);
}

#[test]
fn the_supply_index_knows_who_opted_in_and_whether_his_phone_is_connected() {
    let case = Case::opted_in();
    let supply = case.supply().unwrap();
    assert_eq!((supply.instant_tiers, supply.in_session), (TierSet::EMPTY.with(0), true));
    let mut case = Case::opted_in();
    case.tell(DriverCommand::Disconnect { session: SessionId(1) }, 10);
    assert!(!case.supply().unwrap().in_session);
    let mut asked = Case::available();
    asked.tell(DriverCommand::Disconnect { session: SessionId(1) }, 10);
    assert!(asked.supply().is_none(), "who is asked anyway is not worth an entry");
}
