//! What a ride does when the supply index lags behind the drivers, and what it writes meanwhile.

use super::case_tests::Case;
use crate::effect::Effect;
use crate::id::OfferId;
use crate::offer::Exclusion;
use crate::policy::DispatchPolicy;
use crate::ride::{RideCommand, RideEventKind};

fn crowd() -> Vec<String> {
    (0..40).map(|number| format!("driver-{number:02}")).collect()
}

fn searching(policy: DispatchPolicy) -> Case {
    let crowd = crowd();
    Case::searching(policy, &crowd.iter().map(String::as_str).collect::<Vec<_>>())
}

fn refuse_one(case: &mut Case, ms: u64) {
    let offer: OfferId = case.machine.record().offers.keys().next().unwrap().clone();
    let reason = Exclusion::OfferSlotsFull;
    case.tell(RideCommand::OfferRefused { offer, reason }, ms);
}

fn written(case: &Case) -> Vec<RideEventKind> {
    let kind = |effect: &Effect| {
        if let Effect::PersistRide(commit) = effect { Some(commit.kind) } else { None }
    };
    case.effects.iter().filter_map(kind).collect()
}

#[test]
fn a_ride_that_is_refused_again_and_again_stops_looking_for_a_while() {
    let policy =
        DispatchPolicy { wave_size: 3, search_retry_ms: 2_000, ..DispatchPolicy::default() };
    let mut case = searching(policy);
    let mut refused = 0;
    while !case.machine.record().offers.is_empty() {
        refuse_one(&mut case, 10);
        refused += 1;
        assert!(refused <= 6, "a storm: {refused} refusals and still looking");
    }
    assert_eq!(refused, 6, "three places, each filled once more");
    let looks = case.radii.len();
    case.wake(1_900);
    assert_eq!(case.radii.len(), looks, "it rests");
    case.wake(2_010);
    assert!(case.radii.len() > looks && !case.machine.record().offers.is_empty());
    refuse_one(&mut case, 2_020);
    assert_eq!(case.machine.record().offers.len(), 3, "a new wave fills its places again");
}

#[test]
fn the_end_of_offers_is_written_with_what_comes_of_it() {
    let mut case = searching(DispatchPolicy { wave_size: 2, ..DispatchPolicy::default() });
    refuse_one(&mut case, 10);
    assert_eq!(written(&case), [RideEventKind::WaveSent], "refused, and the place filled");
    case.wake(15_000);
    case.wake(15_010);
    assert_eq!(written(&case), [RideEventKind::WaveSent], "run out, and the next wave");
    assert_eq!(case.machine.record().offer_counts.expired, 2);
    case.nearby.clear();
    refuse_one(&mut case, 15_020);
    assert_eq!(written(&case), [RideEventKind::OffersEnded], "refused, and nobody else");
}
