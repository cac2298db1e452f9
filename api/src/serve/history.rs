//! The past as the HTTP edge asks for it, read from the store.

use std::sync::Arc;

use muster_actors::{Dispatch, Store};
use muster_engine::id::RideId;
use muster_engine::ride::{RideRecord, WaveDecision};

use crate::http::history::{
    Read, RideCursor, RideEventRow, RideFilter, RideHistory, SavedAnswer,
};
use crate::store::{self, ANSWER_KEPT_MS, SqliteStore};

/// The store, with the clock that answers are kept by.
pub(super) struct StoredHistory {
    pub(super) store: Arc<SqliteStore>,
    pub(super) dispatch: Dispatch,
}

impl RideHistory for StoredHistory {
    fn list_rides<'a>(
        &'a self,
        filter: &'a RideFilter,
        limit: usize,
        cursor: Option<&'a RideCursor>,
    ) -> Read<'a, Vec<RideRecord>> {
        Box::pin(async move {
            let filter =
                store::RideFilter { market: filter.market.clone(), status: filter.status };
            let cursor = cursor
                .map(|cursor| store::RideCursor::new(cursor.requested_at, cursor.ride.clone()));
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            Ok(self.store.list_rides(&filter, limit, cursor.as_ref()).await?.rides)
        })
    }

    fn ride_events<'a>(
        &'a self,
        ride: &'a RideId,
        after_seq: u64,
        limit: usize,
    ) -> Read<'a, Vec<RideEventRow>> {
        Box::pin(async move {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            let events = self.store.ride_events(ride, after_seq, limit).await?;
            let row = |event: store::StoredRideEvent| RideEventRow {
                seq: event.seq,
                at: event.at,
                kind: event.kind,
                record: event.record,
            };
            Ok(events.into_iter().map(row).collect())
        })
    }

    fn decisions<'a>(&'a self, ride: &'a RideId) -> Read<'a, Vec<WaveDecision>> {
        Box::pin(self.store.decisions(ride))
    }

    fn idempotent_answer<'a>(&'a self, key: &'a str) -> Read<'a, Option<SavedAnswer>> {
        Box::pin(async move {
            let kept_since = self.dispatch.now().minus_millis(ANSWER_KEPT_MS);
            let found = self.store.idempotent_answer(key).await?;
            Ok(found.filter(|answer| answer.at > kept_since).map(|answer| SavedAnswer {
                fingerprint: answer.fingerprint,
                status: answer.status,
                content_type: answer.content_type,
                body: answer.body,
            }))
        })
    }

    fn save_answer<'a>(&'a self, key: &'a str, answer: &'a SavedAnswer) -> Read<'a, ()> {
        let answer = store::SavedAnswer {
            fingerprint: answer.fingerprint.clone(),
            status: answer.status,
            content_type: answer.content_type.clone(),
            body: answer.body.clone(),
            at: self.dispatch.now(),
        };
        Box::pin(self.store.save_answer(key, answer))
    }

    fn ride_by_request_key<'a>(&'a self, key: &'a str) -> Read<'a, Option<RideRecord>> {
        Box::pin(async move {
            match self.store.ride_by_request_key(key).await? {
                Some((ride, _)) => self.store.load_ride(&ride).await,
                None => Ok(None),
            }
        })
    }
}
