//! A driver whom the platform removes, as sentences.

use std::sync::Arc;

use super::case_tests::*;

use crate::driver::{Departure, DriverCommand, DriverRecord};
use crate::effect::{Effect, ReplyTo};
use crate::grid::DriverStatus;
use crate::offer::Exclusion;
use crate::ride::{RideRecord, RideStatus};

fn remove(case: &mut Case, ms: u64) {
    case.tell(DriverCommand::Remove { reply: Some(ReplyTo(9)) }, ms);
}

fn written(case: &Case) -> Vec<DriverRecord> {
    let records = case.effects.iter().filter_map(|effect| {
        let Effect::PersistDriver(record) = effect else { return None };
        Some(DriverRecord::clone(record))
    });
    records.collect()
}

fn departures(case: &Case) -> Vec<Departure> {
    written(case).iter().map(|record| record.profile.departure).collect()
}

fn retires(case: &Case) -> bool {
    case.effects.contains(&Effect::Retire)
}

#[test]
fn a_free_driver_is_gone_at_once_and_his_offers_with_him() {
    let mut case = Case::available();
    case.offered("r1", 0);
    remove(&mut case, 100);
    assert_eq!(departures(&case), [Departure::Done]);
    assert_eq!(case.refused_to_ride(), [Exclusion::Offline]);
    assert!(case.effects.contains(&Effect::RemoveSupply));
    let place = |wanted: &dyn Fn(&Effect) -> bool| case.effects.iter().position(wanted).unwrap();
    let gone = place(&|effect| matches!(effect, Effect::Retire));
    let told = place(&|effect| matches!(effect, Effect::Answer(ReplyTo(9), _)));
    assert!(gone < told, "who is told must find him gone");
}

#[test]
fn a_driver_on_a_ride_goes_when_it_has_ended() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.wins("r1", 0);
    remove(&mut case, 100);
    assert_eq!(departures(&case), [Departure::Pending]);
    assert_eq!(case.answers().len(), 1);
    assert!(!retires(&case));
    assert_eq!(case.machine.status(), DriverStatus::EnRoute);
    case.set_online(true, 150);
    assert!(!case.machine.record().online, "he came back to work");
    remove(&mut case, 160);
    assert!(written(&case).is_empty(), "a repeat is written again");

    let mut ended = RideRecord::clone(&ride("r1", RideStatus::Assigned, 0));
    ended.status = RideStatus::Completed;
    case.tell(DriverCommand::RideUpdated { ride: Arc::new(ended) }, 200);
    assert_eq!(departures(&case).last(), Some(&Departure::Done));
    assert!(retires(&case));
}

#[test]
fn one_who_waits_to_learn_whether_he_won_goes_when_he_lost() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.accept("r1", 1, 10);
    remove(&mut case, 20);
    assert_eq!(departures(&case), [Departure::Pending]);
    let lost = crate::effect::AcceptAnswer::Lost(crate::offer::WithdrawReason::Taken);
    case.answered("r1", lost, 30);
    assert_eq!(departures(&case).last(), Some(&Departure::Done));
    assert!(retires(&case));
}

#[test]
fn a_machine_that_was_rebuilt_waits_until_it_is_told_again() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.wins("r1", 0);
    remove(&mut case, 100);
    let mut again = case.rebuilt(200);
    again.tell(DriverCommand::PositionChanged, 210);
    again.wake(220);
    assert!(!retires(&again), "he went before his ride was heard");
    again.tell(DriverCommand::RideUpdated { ride: ride("r1", RideStatus::Assigned, 0) }, 230);
    again.tell(DriverCommand::Remove { reply: None }, 240);
    assert!(!retires(&again), "he went while he serves a ride");
    let mut ended = RideRecord::clone(&ride("r1", RideStatus::Assigned, 0));
    ended.status = RideStatus::Completed;
    again.tell(DriverCommand::RideUpdated { ride: Arc::new(ended) }, 250);
    assert!(retires(&again));
}

#[test]
fn a_new_profile_takes_a_removal_back_until_he_is_gone() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.wins("r1", 0);
    remove(&mut case, 100);
    let put =
        || DriverCommand::PutProfile { profile: Box::new(profile()), reply: Some(ReplyTo(2)) };
    case.tell(put(), 110);
    assert_eq!(departures(&case), [Departure::None]);

    let mut gone = Case::available();
    remove(&mut gone, 100);
    gone.tell(put(), 101);
    assert!(gone.answers().is_empty(), "a profile that will be lost is answered");
    assert!(written(&gone).is_empty(), "he is written behind the word that he is gone");
}
