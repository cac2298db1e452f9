//! The past as the HTTP edge asks for it.

use muster_engine::id::{DriverId, RideId};
use muster_engine::ride::{RideRecord, WaveDecision};
use muster_engine::time::Timestamp;

use super::{
    DriverDecisions, FirstCall, RideCursor, RideFilter, SavedAnswer, SqliteStore, StoredRideEvent,
};
use crate::http::history::{Read, RideHistory};

impl RideHistory for SqliteStore {
    fn list_rides<'a>(
        &'a self,
        filter: &'a RideFilter,
        limit: u32,
        cursor: Option<&'a RideCursor>,
    ) -> Read<'a, Vec<RideRecord>> {
        Box::pin(async move { Ok(self.list_rides(filter, limit, cursor).await?.rides) })
    }

    fn ride_events<'a>(
        &'a self,
        ride: &'a RideId,
        after_seq: u64,
        limit: u32,
    ) -> Read<'a, Vec<StoredRideEvent>> {
        Box::pin(self.ride_events(ride, after_seq, limit))
    }

    fn decisions_naming<'a>(
        &'a self,
        driver: &'a DriverId,
        since: Timestamp,
    ) -> Read<'a, DriverDecisions> {
        Box::pin(async move { self.decisions_naming(driver, since).await })
    }

    fn decisions<'a>(&'a self, ride: &'a RideId) -> Read<'a, Vec<WaveDecision>> {
        Box::pin(self.decisions(ride))
    }

    fn first_call<'a>(&'a self, key: &'a str) -> Read<'a, Option<FirstCall>> {
        Box::pin(self.first_call(key))
    }

    fn may_have_answered(&self, key: &str) -> bool {
        self.may_have_answered(key)
    }

    fn release_key<'a>(&'a self, key: &'a str) -> Read<'a, ()> {
        Box::pin(self.release_key(key))
    }

    fn save_answer<'a>(&'a self, key: &'a str, answer: SavedAnswer) -> Read<'a, ()> {
        Box::pin(self.save_answer(key, answer))
    }
}
