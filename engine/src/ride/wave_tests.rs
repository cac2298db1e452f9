//! How large waves are, and who of a wave sees the offer when.

use super::case_tests::*;

use crate::driver::DriverCommand;
use crate::effect::{Effect, Outbox};
use crate::machine::Machine;
use crate::offer::{Exclusion, Offer};
use crate::policy::DispatchPolicy;
use crate::ride::RideCommand;

const CROWD: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

fn decline_all(case: &mut Case, ms: u64) {
    let live: Vec<String> = case.live().into_iter().map(str::to_owned).collect();
    for name in live {
        case.decline(&name, ms);
    }
}

fn wave_lengths(policy: DispatchPolicy, waves: u64) -> Vec<usize> {
    let mut case = Case::searching(policy, &CROWD);
    let mut lengths = vec![case.live().len()];
    for wave in 1..waves {
        decline_all(&mut case, wave * 100);
        lengths.push(case.live().len());
    }
    lengths
}

/// The offers of the newest turn, by driver.
fn offers(case: &Case) -> Vec<Offer> {
    let offer = |effect: &Effect| {
        let Effect::ToDriver(_, DriverCommand::Offer { offer, .. }) = effect else { return None };
        Some((**offer).clone())
    };
    case.effects.iter().filter_map(offer).collect()
}

fn delays(case: &Case) -> Vec<(String, u64)> {
    let delay = |o: Offer| (o.driver.as_str().to_owned(), o.visible_at.millis_since(o.offered_at));
    offers(case).into_iter().map(delay).collect()
}

#[test]
fn each_wave_has_its_own_size_and_the_last_size_repeats() {
    let sizes = DispatchPolicy { wave_sizes: vec![1, 2, 4], ..policy() };
    assert_eq!(wave_lengths(sizes, 4), [1, 2, 4, 4]);
    assert_eq!(wave_lengths(policy(), 3), [2, 2, 2]);
}

#[test]
fn a_wave_grows_while_half_of_the_offers_are_declined() {
    let grows = DispatchPolicy { reject_feedback_step: 3, ..policy() };
    assert_eq!(wave_lengths(grows.clone(), 3), [2, 5, 5]);
    let mut case = Case::searching(DispatchPolicy { wave_size: 3, ..grows }, &CROWD);
    case.decline("a", 100);
    case.wake(policy().offer_ttl_ms);
    assert_eq!(case.live().len(), 3, "one of three is less than half");
}

#[test]
fn offers_that_never_reached_a_driver_do_not_count_for_the_growth() {
    let grows = DispatchPolicy { reject_feedback_step: 3, ..policy() };
    let mut case = Case::searching(grows, &["a", "b"]);
    let offer = case.offer_to("a");
    case.tell(RideCommand::OfferRefused { offer, reason: Exclusion::Reserved }, 100);
    case.nearby = CROWD.iter().map(|name| driver(name)).collect();
    case.decline("b", 200);
    assert_eq!(case.live().len(), 5, "the only offer that arrived was declined");
}

#[test]
fn the_parts_of_a_wave_see_it_one_delay_after_the_other() {
    let split =
        DispatchPolicy { wave_size: 4, split_sizes: vec![1, 2], split_delay_ms: 3_000, ..policy() };
    let case = Case::searching(split, &CROWD);
    let expected = [("a", 0), ("b", 3_000), ("c", 3_000), ("d", 6_000)];
    assert_eq!(delays(&case), expected.map(|(name, ms)| (name.to_owned(), ms)));
    for offer in offers(&case) {
        let lives_ms = offer.expires_at.millis_since(offer.visible_at);
        assert_eq!(lives_ms, policy().offer_ttl_ms, "{}", offer.driver);
    }
}

#[test]
fn a_wave_without_parts_is_seen_at_once() {
    let case = Case::searching(DispatchPolicy { split_delay_ms: 3_000, ..policy() }, &CROWD);
    assert!(delays(&case).iter().all(|(_, ms)| *ms == 0));
}

#[test]
fn a_freed_place_is_offered_without_delay() {
    let split = DispatchPolicy { wave_size: 3, split_sizes: vec![1], ..policy() };
    let mut case = Case::searching(split, &["a", "b", "c", "d"]);
    let offer = case.offer_to("c");
    case.tell(RideCommand::OfferRefused { offer, reason: Exclusion::Reserved }, 100);
    assert_eq!(delays(&case), [("d".to_owned(), 0)]);
}

#[test]
fn a_delay_that_the_search_does_not_outlive_is_dropped() {
    let split = DispatchPolicy {
        split_sizes: vec![1],
        split_delay_ms: 20_000,
        search_limit_ms: 20_000,
        ..policy()
    };
    let case = Case::searching(split, &CROWD);
    assert!(delays(&case).iter().all(|(_, ms)| *ms == 0));
}

#[test]
fn a_rebuilt_driver_is_told_when_his_offer_comes_on_the_screen() {
    let split = DispatchPolicy { split_sizes: vec![1], split_delay_ms: 5_000, ..policy() };
    let mut case = Case::searching(split, &CROWD);
    let mut out = Outbox::default();
    case.machine.handle(RideCommand::DriverRebuilt { driver: driver("b") }, at(1_000), &mut out);
    case.settle(out, 1_000);
    assert_eq!(delays(&case), [("b".to_owned(), 5_000)]);
}
