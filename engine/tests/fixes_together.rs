//! Fixes that arrive together are judged as if each had come alone.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

use std::sync::{Arc, LazyLock};

use muster_engine::geo::{CellResolution, Position};
use muster_engine::grid::{DriverSlot, Fix, FixLimits, FixRejection};
use muster_engine::id::{DriverId, MarketId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::time::Timestamp;
use muster_engine::zone::Zones;
use proptest::prelude::*;

/// A market around a queue zone, both so small that fixes cross their borders.
static MARKET: LazyLock<Arc<Market>> = LazyLock::new(|| {
    let square =
        r#"{"type":"Polygon","coordinates":[[[0,0],[0.02,0],[0.02,0.02],[0,0.02],[0,0]]]}"#;
    let zones = r#"{"type":"FeatureCollection","features":[{"type":"Feature","properties":{
        "id":"q","name":"Q","queue":{"entry_fixes":2,"exit_fixes":2}},"geometry":{"type":"Polygon",
        "coordinates":[[[0.008,0.008],[0.012,0.008],[0.012,0.012],[0.008,0.012],[0.008,0.008]]]}}]}"#;
    let tier = ServiceTierId::new("standard").unwrap();
    let config = MarketConfig {
        id: MarketId::new("m").unwrap(),
        name: "M".to_owned(),
        boundary: Boundary::from_geojson(square).unwrap(),
        tiers: vec![tier.clone()],
        default_tier: tier,
        resolution: CellResolution::new(9).unwrap(),
    };
    let zones = Zones::from_geojson(zones).unwrap();
    Arc::new(Market::new(config).unwrap().with_zones(zones).unwrap())
});

/// Steps between fixes, now and then backwards in time, out of the market, too far to believe, or not
/// at all; one in a while is no fix to begin with.
fn steps() -> impl Strategy<Value = Vec<Option<(i32, i32, i64)>>> {
    let step = prop_oneof![
        1 => Just(None),
        4 => Just(Some((0, 0, 1_000))),
        12 => (-12_i32..12, -12_i32..12, 200_i64..4_000).prop_map(Some),
        2 => (-12_i32..12, -12_i32..12, -3_000_i64..1).prop_map(Some),
        2 => (-150_i32..150, -150_i32..150, 1_000_i64..2_000).prop_map(Some),
        1 => (0_i32..5, 0_i32..5, 15_000_i64..20_000).prop_map(Some),
    ];
    prop::collection::vec(step, 1..40)
}

fn fixes(steps: &[Option<(i32, i32, i64)>]) -> Vec<Result<Fix, FixRejection>> {
    let (mut lat, mut lng, mut at) = (90_i32, 90_i32, 1_000_000_i64);
    let fix = |step: &Option<(i32, i32, i64)>| {
        let (north, east, later) = step.ok_or(FixRejection::OutOfRange)?;
        (lat, lng, at) = (lat + north, lng + east, at + later);
        let degrees = |ten_thousandths| f64::from(ten_thousandths) / 10_000.0;
        Ok(Fix {
            position: Position::from_degrees(degrees(lat), degrees(lng)).unwrap(),
            at: Timestamp::from_millis(at.unsigned_abs()),
            accuracy_m: None,
            speed_mps: Some(3.0),
            bearing_deg: None,
        })
    };
    steps.iter().map(fix).collect()
}

proptest! {
    #[test]
    fn fixes_that_arrive_together_do_what_they_do_one_by_one(
        steps in steps(),
        frame in 1_usize..12,
        burst in 3_u32..12,
    ) {
        let limits = FixLimits { fixes_per_s_max: burst, ..FixLimits::default() };
        let [alone, together] =
            ["a", "b"].map(|id| DriverSlot::new(DriverId::new(id).unwrap()));
        let mut now = Timestamp::from_millis(1_000_000);
        for frame in fixes(&steps).chunks(frame) {
            now = now.plus_millis(2_000);
            let before = alone.cell();
            let mut zone_changed = false;
            let one = |fix: &Result<Fix, FixRejection>| {
                let applied = alone.apply(&(*fix)?, now, &limits, &MARKET)?;
                zone_changed |= applied.zone_changed;
                Ok(())
            };
            let expected: Vec<Result<(), FixRejection>> = frame.iter().map(one).collect();
            let mut results = vec![Ok(()); frame.len()];
            let refused = |index, why| results[index] = Err(why);
            let done =
                together.apply_all(frame.iter().copied(), now, &limits, &MARKET, refused);
            prop_assert_eq!(done.seen, frame.len());
            prop_assert_eq!(done.fixes, results.iter().filter(|result| result.is_ok()).count() as u64);
            prop_assert_eq!(results, expected);
            prop_assert_eq!(together.read(), alone.read());
            prop_assert_eq!(together.whereabouts(), alone.whereabouts());
            prop_assert_eq!(done.applied.zone_changed, zone_changed);
            let after = alone.cell();
            prop_assert_eq!(done.applied.cell_changed, before != after);
        }
    }
}
