//! What it costs to read what phones say and to write what they are told.

#![expect(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use muster_api::wire::OfferView;
use muster_api::ws::{ClientFrame, decode_positions};
use muster_benches::city::{Place, Route, fix_frame};
use muster_benches::in_process::request;
use muster_engine::geo::Position;
use muster_engine::grid::Fix;
use muster_engine::id::{DriverId, OfferId};
use muster_engine::offer::{Offer, OfferKind, OfferTerms};
use muster_engine::ride::RideNeeds;
use muster_engine::time::Timestamp;
use muster_engine::travel::EtaSource;
use muster_engine::units::{EtaSeconds, Meters, Money};

// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BEGIN_MS: u64 = 1_764_547_200_000;
/// Fixes in a frame.
const FIXES: [u64; 3] = [1, 10, 64];
const HEADER_BYTES: usize = 2;

fn places(count: u64) -> impl Iterator<Item = (Place, u64)> {
    let route = Route::new(7);
    (0..count).map(move |step| {
        let at_ms = BEGIN_MS + step * 1_000;
        (route.at(at_ms), at_ms)
    })
}

fn binary(count: u64) -> Vec<u8> {
    let mut frame = vec![1, u8::try_from(count).unwrap()];
    for (place, at_ms) in places(count) {
        frame.extend(&fix_frame(place, at_ms)[HEADER_BYTES..]);
    }
    frame
}

fn json(count: u64) -> String {
    let fixes: Vec<String> = places(count)
        .map(|(Place { lat, lng }, at_ms)| {
            format!(r#"{{"lat":{lat:.6},"lng":{lng:.6},"at":{at_ms},"accuracy_m":8,"speed_mps":6.2,"bearing_deg":181}}"#)
        })
        .collect();
    format!(r#"{{"type":"positions","points":[{}]}}"#, fixes.join(","))
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame read");
    for count in FIXES {
        group.throughput(Throughput::Elements(count));
        let (bytes, text) = (binary(count), json(count));
        group.bench_function(format!("binary, {count} fixes"), |bencher| {
            bencher.iter(|| {
                let fixes = decode_positions(black_box(&bytes)).unwrap();
                fixes.for_each(|fix| _ = black_box(fix));
            });
        });
        group.bench_function(format!("JSON, {count} fixes"), |bencher| {
            bencher.iter(|| {
                let frame = ClientFrame::parse(black_box(&text)).unwrap();
                let ClientFrame::Positions { points } = frame else { panic!("not positions") };
                for point in &points {
                    let _ = black_box(Fix::try_from(point));
                }
            });
        });
    }
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    let at = |lat| Position::from_degrees(lat, -73.98).unwrap();
    let now = Timestamp::from_millis(BEGIN_MS);
    let ride = Arc::new(request("0193e0a0-7c1e-7000-8000-000000000001", at(40.75), now).unwrap());
    let fare = Money { amount: 1_250, currency: "USD".to_owned() };
    let offer = Offer {
        id: OfferId::new("0193e0a0-7c1e-7000-a000-000000000001").unwrap(),
        ride: ride.ride.clone(),
        driver: DriverId::new("driver-1").unwrap(),
        distance: Meters::new(431.5),
        pickup_eta: EtaSeconds::new(96),
        eta_source: EtaSource::GreatCircle,
        service_tier: ride.service_tiers[0].clone(),
        offered_at: now,
        visible_at: now,
        expires_at: Timestamp::from_millis(BEGIN_MS + 15_000),
        forward: None,
        kind: OfferKind::Ride,
        quoted: None,
        standby: false,
        terms: Arc::new(OfferTerms {
            pickup: at(40.75),
            dropoff: Some(at(40.73)),
            fare: Some(fare),
            tip: None,
            needs: Arc::new(RideNeeds::of(&ride, &Arc::default())),
        }),
    };
    criterion.benchmark_group("frame written").bench_function("an offer as JSON", |bencher| {
        bencher.iter(|| serde_json::to_string(&OfferView::from(black_box(&offer))).unwrap());
    });
}

criterion_group!(benches, reading, writing);
criterion_main!(benches);
