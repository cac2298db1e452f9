//! The bodies of calls about rides.

use muster_engine::geo::Position;
use muster_engine::id::ServiceTierId;
use muster_engine::market::Market;
use muster_engine::ride::CancelledBy;
use muster_engine::units;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::{
    Faults, LatLng, Money, Problem, RequestFault, RideView, TEXT_CHARS_MAX, TIERS_MAX, check_tiers,
};

/// Who calls a ride off over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CancelBy {
    Rider,
    Operator,
}

/// Calls a ride off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelBody {
    /// Who calls it off.
    pub(crate) by: CancelBy,
    /// Why, in at most 256 characters.
    #[schema(max_length = 256, example = "changed my mind")]
    pub(crate) reason: Option<String>,
}

/// Searches again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryBody {
    /// The new tip; when absent the old one stays.
    tip: Option<Money>,
    /// The new tiers; when absent the old ones stay.
    service_tiers: Option<Vec<String>>,
}

/// Changes where a ride goes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DropoffBody {
    /// Where the rider goes now; may lie outside the market.
    dropoff: LatLng,
}

/// Accepts an offer.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcceptBody {
    /// What the driver asks, for an offer of kind `quote`; when absent the requested fare.
    fare: Option<Money>,
}

/// Starts a ride.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartBody {
    /// The password the rider told.
    #[schema(example = "1234")]
    pub(super) otp: Option<String>,
}

/// Says why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    /// Why, in at most 256 characters.
    #[schema(max_length = 256, example = "too_far")]
    pub(super) reason: Option<String>,
}

/// A page of rides.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RidePage {
    /// The rides, newest request first.
    pub(super) rides: Vec<RideView>,
    /// Asks for the next page; absent on the last one.
    pub(super) next_cursor: Option<String>,
}

impl CancelBy {
    pub(crate) const fn engine(self) -> CancelledBy {
        match self {
            Self::Rider => CancelledBy::Rider,
            Self::Operator => CancelledBy::Operator,
        }
    }
}

impl DropoffBody {
    /// The new drop-off, once it is known to be a place.
    pub(super) fn checked(self) -> Result<Position, RequestFault> {
        let mut faults = Faults::default();
        let dropoff = self.dropoff.checked("/dropoff", &mut faults);
        faults.finish()?;
        // Without a place there was a fault.
        dropoff.ok_or_else(|| RequestFault::Fields(Vec::new()))
    }
}

impl AcceptBody {
    /// The fare, which must be a sum of money.
    pub(super) fn checked(self) -> Result<Option<units::Money>, RequestFault> {
        let mut faults = Faults::default();
        let fare = self.fare.and_then(|fare| fare.checked("/fare", &mut faults));
        faults.finish()?;
        Ok(fare)
    }
}

/// What a retry changes.
pub(super) type RetryTerms = (Option<units::Money>, Option<Vec<ServiceTierId>>);

impl RetryBody {
    /// The new tip and tiers, which must be on sale in `market`.
    pub(super) fn checked(self, market: Option<&Market>) -> Result<RetryTerms, RequestFault> {
        let mut faults = Faults::default();
        let tip = self.tip.and_then(|tip| tip.checked("/tip", &mut faults));
        let tiers = self.service_tiers.map(|names| {
            if names.is_empty() {
                faults.add("/service_tiers", "at least one tier is needed");
            }
            let names = names.iter();
            faults.keep_all("/service_tiers", TIERS_MAX, names, |name| ServiceTierId::new(name))
        });
        faults.finish()?;
        if let (Some(market), Some(tiers)) = (market, &tiers) {
            check_tiers(market, tiers)?;
        }
        Ok((tip, tiers))
    }
}

/// A reason that is not too long.
pub(crate) fn checked_reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    let mut faults = Faults::default();
    if let Some(reason) = &reason
        && reason.chars().count() > TEXT_CHARS_MAX
    {
        faults.add("/reason", format!("at most {TEXT_CHARS_MAX} characters are taken"));
    }
    faults.finish()?;
    Ok(reason)
}
