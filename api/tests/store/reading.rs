//! Pages, histories and explanations.

use std::sync::Arc;

use muster_actors::Durable;
use muster_api::store::{RideCursor, RideFilter};
use muster_engine::id::MarketId;
use muster_engine::ride::{RideCommit, RideEventKind, RideStatus, WaveExclusion};
use proptest::prelude::*;

use crate::fixtures::{
    World, at, decision, driver_id, plain_record, request, ride_id, step, transition,
};

fn requested(ride: &str, market: &str, status: RideStatus, ms: u64) -> Durable {
    let mut record = plain_record(ride, 1, None);
    record.request = Arc::new(request(ride, market, at(ms)));
    record.status = status;
    transition(record, RideEventKind::RideRequested, ms)
}

/// All pages one after the other.
async fn list(world: &World, filter: &RideFilter, limit: u32) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.store.list_rides(filter, limit, cursor.as_ref()).await.unwrap();
        assert!(page.rides.len() <= limit as usize);
        assert!(page.next.is_none() || page.rides.len() == limit as usize);
        seen.extend(page.rides.iter().map(|ride| ride.request.ride.to_string()));
        let Some(next) = page.next else { return seen };
        cursor = Some(next.to_string().parse::<RideCursor>().unwrap());
    }
}

#[tokio::test]
async fn pages_have_no_gap_and_no_repeat_under_equal_timestamps() {
    let world = World::new().await;
    let batch: Vec<Durable> = (0..40_u64)
        .map(|i| {
            let market = if i % 3 == 0 { "sf" } else { "nyc" };
            let status = RideStatus::ALL[i as usize % RideStatus::ALL.len()];
            let status = if status.has_driver() { RideStatus::Searching } else { status };
            requested(&format!("r-{i:02}"), market, status, i / 15)
        })
        .collect();
    world.commit_all(&batch).await;
    let newest_first = |market: Option<&str>, status: Option<RideStatus>| {
        let mut rides: Vec<(u64, String)> = batch
            .iter()
            .filter_map(|item| match item {
                Durable::Ride(commit) => Some(&commit.record),
                Durable::Driver(_) | Durable::Zone(_) => None,
            })
            .filter(|r| market.is_none_or(|market| r.request.market.as_str() == market))
            .filter(|r| status.is_none_or(|status| r.status == status))
            .map(|r| (r.request.requested_at.as_millis(), r.request.ride.to_string()))
            .collect();
        rides.sort_by(|a, b| b.cmp(a));
        rides.into_iter().map(|(_, ride)| ride).collect::<Vec<_>>()
    };
    for market in [None, Some("nyc"), Some("sf"), Some("elsewhere")] {
        for status in [None, Some(RideStatus::Searching), Some(RideStatus::Completed)] {
            let of_market = market.map(|market| MarketId::new(market).unwrap());
            let filter = RideFilter { market: of_market, status };
            let expected = newest_first(market, status);
            for limit in [1, 2, 7, 40, 100] {
                assert_eq!(list(&world, &filter, limit).await, expected, "{filter:?} by {limit}");
            }
        }
    }
}

#[tokio::test]
async fn a_ride_that_is_requested_between_two_pages_disturbs_neither() {
    let world = World::new().await;
    let rides = (0..6).map(|i| requested(&format!("r-{i}"), "nyc", RideStatus::Searching, i));
    world.commit_all(&rides.collect::<Vec<_>>()).await;
    let all = RideFilter::default();
    let first = world.store.list_rides(&all, 3, None).await.unwrap();
    world.commit_all(&[requested("r-new", "nyc", RideStatus::Searching, 99)]).await;
    let second = world.store.list_rides(&all, 3, first.next.as_ref()).await.unwrap();
    let ids: Vec<_> = second.rides.iter().map(|ride| ride.request.ride.as_str()).collect();
    assert_eq!(ids, ["r-2", "r-1", "r-0"]);
    assert_eq!(second.next, None);
}

#[tokio::test]
async fn history_is_read_from_any_version_on() {
    let world = World::new().await;
    let batch: Vec<Durable> = (1..=10).map(|version| step("r-1", version, None)).collect();
    world.commit_all(&batch).await;
    let ride = ride_id("r-1");
    let seqs = async |after, limit| {
        let events = world.store.ride_events(&ride, after, limit).await.unwrap();
        events.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(0, 100).await, (1..=10).collect::<Vec<_>>());
    assert_eq!(seqs(4, 3).await, [5, 6, 7]);
    assert_eq!(seqs(10, 3).await, [0_u64; 0]);
    assert_eq!(seqs(u64::MAX, 3).await, [0_u64; 0]);
    let unknown = world.store.ride_events(&ride_id("r-2"), 0, 10).await.unwrap();
    assert!(unknown.is_empty());
}

#[tokio::test]
async fn decisions_come_in_the_order_they_were_taken_several_per_wave() {
    let world = World::new().await;
    let waves = [1, 1, 2, 2, 3];
    let batch: Vec<Durable> = waves
        .iter()
        .enumerate()
        .map(|(i, wave)| {
            let record = Arc::new(plain_record("r-1", i as u64 + 1, None));
            let (kind, decision) = (RideEventKind::WaveSent, Some(decision(*wave)));
            Durable::Ride(Box::new(RideCommit { record, kind, at: at(1), decision, origin: None }))
        })
        .collect();
    world.commit_all(&batch).await;
    let expected: Vec<_> = waves.iter().map(|wave| decision(*wave)).collect();
    assert_eq!(world.store.decisions(&ride_id("r-1")).await.unwrap(), expected);
    assert!(world.store.decisions(&ride_id("r-2")).await.unwrap().is_empty());
}

#[tokio::test]
async fn decisions_that_name_a_driver_come_newest_first() {
    let world = World::new().await;
    let batch: Vec<Durable> = (1..=4)
        .map(|wave| {
            let record = Arc::new(plain_record("r-1", u64::from(wave), None));
            let (kind, decision) = (RideEventKind::WaveSent, Some(decision(wave)));
            Durable::Ride(Box::new(RideCommit { record, kind, at: at(1), decision, origin: None }))
        })
        .collect();
    world.commit_all(&batch).await;
    let naming = async |driver: &str, since: u64| {
        let found = world.store.decisions_naming(&driver_id(driver), at(since)).await.unwrap();
        assert!(found.complete);
        found.decisions.iter().map(|(ride, one)| (ride.to_string(), one.wave)).collect::<Vec<_>>()
    };
    let all = [4, 3, 2, 1].map(|wave| ("r-1".to_owned(), wave));
    assert_eq!(naming("d-1", 0).await, all, "offered and ranked");
    assert_eq!(naming("d-2", 3).await, all[..2], "left out, since wave 3");
    // The text of the id stands in every decision, but as a tag of the offer, not as a driver.
    assert!(naming("o-1", 0).await.is_empty());
    assert!(naming("d-3", 0).await.is_empty());
}

#[test]
fn an_exclusion_reads_as_a_list_and_as_it_was_written_at_first() {
    let listed = r#"["d-2",12.5,"stale_position"]"#;
    let named = r#"{"driver":"d-2","distance":12.5,"reason":"stale_position"}"#;
    let exclusion: WaveExclusion = serde_json::from_str(named).unwrap();
    assert_eq!(serde_json::from_str::<WaveExclusion>(listed).unwrap(), exclusion);
    assert_eq!(serde_json::to_string(&exclusion).unwrap(), listed);
}

#[test]
fn a_text_that_no_page_ended_with_is_no_cursor() {
    for text in ["", ".", "1", "1.", ".r", "g.r", "-1.r", "1.r r", "10000000000000000.r"] {
        assert!(text.parse::<RideCursor>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_cursor(text in any::<String>()) {
        let _parsed = text.parse::<RideCursor>();
    }

    #[test]
    fn a_cursor_survives_its_text(ms in any::<u64>(), ride in "[A-Za-z0-9_.:-]{1,64}") {
        let text = format!("{ms:x}.{ride}");
        prop_assert_eq!(text.parse::<RideCursor>().unwrap().to_string(), text);
    }
}
