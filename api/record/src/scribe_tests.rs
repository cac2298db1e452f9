use muster_engine::geo::CellResolution;
use muster_engine::id::{RiderId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::offer::OfferKind;
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::ride::{RideMachine, RideRequest};
use muster_engine::travel::EtaSource;
use muster_engine::units::{EtaSeconds, Meters};

use super::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_764_547_200_000 + ms)
}

fn offer_id(number: u64) -> OfferId {
    OfferId::new(&format!("offer-{number}")).unwrap()
}

/// A ride that searches, before any wave.
fn record() -> RideRecord {
    let tier = ServiceTierId::new("standard").unwrap();
    let area = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#;
    let config = MarketConfig {
        id: MarketId::new("city").unwrap(),
        name: "City".to_owned(),
        boundary: Boundary::from_geojson(area).unwrap(),
        tiers: vec![tier.clone()],
        default_tier: tier.clone(),
        resolution: CellResolution::new(9).unwrap(),
    };
    let request = RideRequest {
        entropy: 77,
        ..RideRequest::plain(
            RideId::new("ride-1").unwrap(),
            RiderId::new("r-1").unwrap(),
            config.id.clone(),
            Position::from_degrees(0.5, 0.5).unwrap(),
            vec![tier],
            at(0),
        )
    };
    let market = Arc::new(Market::new(config).unwrap());
    let book = Arc::new(PolicyBook::of(DispatchPolicy::default()));
    RideMachine::new(request, market, book).record().clone()
}

/// The ride with offers live until these times, each seen after a second.
fn offering(expires_ms: &[u64]) -> RideRecord {
    let mut record = record();
    for (number, ms) in (1_u64..).zip(expires_ms) {
        let live = LiveOffer {
            eta_source: EtaSource::GreatCircle,
            driver: DriverId::new(&format!("d-{number}")).unwrap(),
            service_tier: record.service_tiers[0].clone(),
            distance: Meters::new(100.0),
            pickup_eta: EtaSeconds::new(60),
            offered_at: at(0),
            visible_at: at(1_000),
            expires_at: at(*ms),
            forward: None,
            kind: OfferKind::Ride,
            quote: None,
            standby: None,
            cost_ms: None,
        };
        record.offers.insert(offer_id(number), live);
    }
    record
}

/// The ends that are told when the ride goes from one state to the other at a time.
fn ends(before: RideRecord, after: RideRecord, ms: u64) -> Vec<(OfferEnd, u64)> {
    let mut scribe = Scribe::default();
    scribe.open_ride(Arc::new(before));
    let lines = scribe.ride(at(ms), RideEventKind::OffersEnded, &Arc::new(after));
    let end = |line: &Line| {
        let Line::OfferEnded(ended) = line else { panic!("{line:?}") };
        (ended.end, ended.after_ms)
    };
    lines.iter().map(end).collect()
}

#[test]
fn offers_end_as_the_ride_counted_them() {
    let before = offering(&[15_000, 30_000]);
    let without = |number: u64| {
        let mut after = before.clone();
        after.offers.remove(&offer_id(number));
        after
    };
    let mut declined = without(2);
    declined.offer_counts.declined += 1;
    assert_eq!(ends(before.clone(), declined, 4_000), [(OfferEnd::Declined, 3_000)]);
    let mut expired = without(1);
    expired.offer_counts.expired += 1;
    assert_eq!(ends(before.clone(), expired, 15_000), [(OfferEnd::Expired, 14_000)]);
    let mut withdrawn = without(1);
    withdrawn.offer_counts.withdrawn += 1;
    assert_eq!(ends(before.clone(), withdrawn, 2_000), [(OfferEnd::Withdrawn, 1_000)]);
    // Who of the two declined, nobody can say.
    let mut both = without(1);
    both.offers.clear();
    both.offer_counts.declined += 1;
    both.offer_counts.withdrawn += 1;
    let told = ends(before, both, 2_000);
    assert!(told.iter().all(|(end, _)| *end == OfferEnd::Withdrawn), "{told:?}");
}

#[test]
fn a_request_is_told_whole_but_for_its_secrets() {
    let mut scribe = Scribe::default();
    let record = Arc::new(record());
    let lines = scribe.ride(at(0), RideEventKind::RideRequested, &record);
    let [Line::Request(line)] = &lines[..] else { panic!("{lines:?}") };
    let expected = RideRequest { entropy: 0, ..(*record.request).clone() };
    assert_eq!(line.request, expected);
}
