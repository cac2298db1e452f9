//! The bodies of calls about drivers.

use muster_engine::grid::TierSet;
use muster_engine::id::ServiceTierId;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::wire::{Fix, Metres, OfferView, PositionView};

/// Fixes in one call at most.
pub const FIXES_MAX: usize = 100;

/// Whether a driver works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WorkStatus {
    Online,
    Offline,
}

/// Begins or ends a driver's work.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusBody {
    /// Whether he works from here on.
    pub(super) status: WorkStatus,
}

/// Fixes of one driver.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PositionsBody {
    /// In the order they were taken, at most 100.
    #[schema(max_items = 100)]
    pub(crate) points: Vec<Fix>,
}

/// What became of the fixes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PositionsResult {
    /// How many were applied.
    pub(super) accepted: usize,
    /// Those that were not.
    pub(super) rejected: Vec<RejectedFix>,
}

/// A fix that was not applied.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RejectedFix {
    /// Which one, counted from 0.
    pub(super) index: usize,
    /// `out_of_range`, `out_of_order`, `in_future`, `outside_market`, `implausible_jump` or
    /// `rate_limited`.
    #[schema(example = "out_of_order")]
    pub(super) code: &'static str,
}

/// Offers that wait for a driver's answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OfferList {
    /// The offers, in order of their ids.
    pub(super) offers: Vec<OfferView>,
}

/// Available drivers near a place.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NearbyList<'a> {
    /// The drivers, nearest first.
    pub(super) drivers: Vec<NearbyDriverView<'a>>,
}

/// An available driver near a place.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct NearbyDriverView<'a> {
    /// The driver.
    pub(super) driver_id: &'a str,
    /// Tiers he serves.
    #[schema(value_type = Vec<String>)]
    pub(super) service_tiers: TierNames<'a>,
    /// Where he is.
    pub(super) position: PositionView,
    /// Straight-line distance.
    pub(super) distance_m: Metres,
    /// Estimated time until he is there.
    pub(super) pickup_eta_s: u32,
}

/// Some of a market's tiers, told by name.
#[derive(Debug)]
pub(super) struct TierNames<'a> {
    /// All of them.
    pub(super) of: &'a [ServiceTierId],
    /// Which ones.
    pub(super) tiers: TierSet,
}

impl Serialize for TierNames<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tier = |index| self.of.get(usize::from(index)).map(ServiceTierId::as_str);
        serializer.collect_seq(self.tiers.indices().filter_map(tier))
    }
}
