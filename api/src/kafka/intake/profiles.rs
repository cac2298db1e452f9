//! Messages of `driver-profiles`: what the platform says about a driver, or that he is no more.

use muster_actors::Dispatch;
use muster_engine::id::DriverId;

use super::fault::{Fault, Verdict};
use super::rides::{failed, text};
use crate::http::read_json;
use crate::wire::{DriverProfileBody, Problem};

/// Takes a message in: the effect is durable when it is done. Without a value it is a tombstone.
pub(super) async fn take(dispatch: &Dispatch, key: Option<&[u8]>, json: Option<&[u8]>) -> Verdict {
    profile(dispatch, key, json).await.unwrap_or_else(|verdict| verdict)
}

async fn profile(
    dispatch: &Dispatch,
    key: Option<&[u8]>,
    json: Option<&[u8]>,
) -> Result<Verdict, Verdict> {
    let key = key.ok_or_else(|| Fault::new("no_key", "the key names the driver"))?;
    let driver =
        DriverId::new(text(key)?).map_err(|error| Fault::new("invalid_key", error.to_string()))?;
    let done = match json {
        None => dispatch.remove_driver(&driver).await,
        Some(json) => {
            let body: DriverProfileBody = read_json(json)?;
            let profile = body.into_profile(dispatch.markets()).map_err(Problem::from)?;
            dispatch.put_driver(&driver, profile).await.map(drop)
        }
    };
    done.map(|()| Verdict::Done("taken")).map_err(failed)
}
