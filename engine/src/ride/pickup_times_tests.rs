//! What a ride keeps and tells of the time its driver needs.

use super::case_tests::*;

use crate::driver::DriverCommand;
use crate::effect::Effect;
use crate::policy::DispatchPolicy;
use crate::ride::RideCommand;
use crate::travel::{EtaSource, Travel};
use crate::units::Meters;

fn by_streets(time_ms: u32) -> Travel {
    Travel { time_ms, distance: Meters::new(900.0), source: EtaSource::Roads }
}

#[test]
fn offer_assignment_and_decision_say_how_long_by_what() {
    let mut case = Case::new(DispatchPolicy::default(), &["d1", "d2"]);
    case.travels.insert(driver("d1"), by_streets(241_500));
    case.tell(RideCommand::Request { reply: None }, 0);
    let told = |case: &Case, name: &str| {
        let live = case.machine.record().offers.values().find(|live| live.driver == driver(name));
        live.map(|live| (live.pickup_eta.get(), live.eta_source)).unwrap()
    };
    assert_eq!(told(&case, "d1"), (242, EtaSource::Roads));
    // 100 m by the straight line.
    assert_eq!(told(&case, "d2"), (31, EtaSource::GreatCircle));
    let offered = case.effects.iter().find_map(|effect| {
        let Effect::ToDriver(to, DriverCommand::Offer { offer, .. }) = effect else { return None };
        (*to == driver("d1")).then_some((offer.pickup_eta.get(), offer.eta_source))
    });
    assert_eq!(offered, Some((242, EtaSource::Roads)));
    case.accept("d1", 1_000);
    let assignment = case.machine.record().assignment.as_ref().unwrap();
    assert_eq!((assignment.pickup_eta.get(), assignment.eta_source), (242, EtaSource::Roads));
}
