//! Offers, and how an accept ended.

use muster_engine::effect::AcceptAnswer;
use muster_engine::id::OfferId;
use muster_engine::offer::{FareBounds, Offer, OfferKind, WithdrawReason};
use muster_engine::ride::{LiveOffer, RideRecord};
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::geo::{LatLng, Metres, metres};
use crate::wire::live::LiveDriver;
use crate::wire::money::Money;
use crate::wire::quote::OwnQuoteView;
use crate::wire::ride::RideView;
use crate::wire::time::rfc3339;

/// One ride offered to one driver.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OfferView {
    /// The offer.
    pub offer_id: String,
    /// The ride that is offered.
    pub ride_id: String,
    /// Where the rider waits.
    pub pickup: LatLng,
    /// Where the rider goes, when known.
    pub dropoff: Option<LatLng>,
    /// The fare, when the platform gave one.
    pub fare: Option<Money>,
    /// The tip promised on top.
    pub tip: Option<Money>,
    /// The tier the driver would serve.
    pub service_tier: String,
    /// Straight-line distance to the pickup; by way of the present drop-off for a forward offer.
    pub distance_m: Metres,
    /// Estimated time to the pickup, the rest of the ride under way included.
    pub pickup_eta_s: u32,
    /// When the offer is dead.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// From when the phone shows it.
    #[schema(format = DateTime)]
    pub visible_at: String,
    /// Whether the ride would follow the one under way.
    pub forward: bool,
    /// What an accept does: `ride` wins the ride, `quote` puts a fare before the rider, `standby`
    /// stands by for a ride that has a driver, in case that one loses it.
    #[schema(example = "ride")]
    pub kind: &'static str,
    /// The lowest fare that a quote may ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fare_min: Option<Money>,
    /// The highest fare that a quote may ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fare_max: Option<Money>,
    /// What the driver asked, once he has quoted; he waits for the rider until `expires_at`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quoted_fare: Option<Money>,
    /// Whether the driver stands by, until `expires_at` at most; present for offers of that kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing_by: Option<bool>,
}

/// How an accept ended.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AcceptResultView {
    /// `won`, `lost`, `expired`, `quoted` or `standby`.
    #[schema(example = "won")]
    pub result: &'static str,
    /// Why it was not won: `taken`, `cancelled`, `expired`, `superseded`, `dropoff_changed` (of the
    /// ride a forward offer would have followed), `standby_released` (the ride's driver is near).
    pub reason: Option<&'static str>,
    /// The ride, when it is won; as its driver sees it, so without the one-time password.
    pub ride: Option<RideView>,
    /// The quote, when the rider is to choose; its id is the offer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<OwnQuoteView>,
    /// Until when the driver stands by at most, when he does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub standby_until: Option<String>,
}

impl From<&Offer> for OfferView {
    fn from(offer: &Offer) -> Self {
        let terms = &offer.terms;
        let (kind, bounds) = kind_of(&offer.kind);
        Self {
            offer_id: offer.id.to_string(),
            ride_id: offer.ride.to_string(),
            pickup: terms.pickup.into(),
            dropoff: terms.dropoff.map(LatLng::from),
            fare: terms.fare.as_ref().map(Money::from),
            tip: terms.tip.as_ref().map(Money::from),
            service_tier: offer.service_tier.to_string(),
            distance_m: metres(offer.distance),
            pickup_eta_s: offer.pickup_eta.get(),
            expires_at: rfc3339(offer.expires_at),
            visible_at: rfc3339(offer.visible_at),
            forward: offer.forward.is_some(),
            kind,
            fare_min: bounds.map(|bounds| Money::from(&bounds.min)),
            fare_max: bounds.map(|bounds| Money::from(&bounds.max)),
            quoted_fare: offer.quoted.as_ref().map(Money::from),
            standing_by: (offer.kind == OfferKind::Standby).then_some(offer.standby),
        }
    }
}

impl OfferView {
    /// A live offer as its ride remembers it: the same that its driver is shown.
    pub fn remembered(ride: &RideRecord, id: &OfferId, live: &LiveOffer) -> Self {
        let (kind, bounds) = kind_of(&live.kind);
        Self {
            offer_id: id.to_string(),
            ride_id: ride.request.ride.to_string(),
            pickup: ride.request.pickup.into(),
            dropoff: ride.dropoff().map(LatLng::from),
            fare: ride.request.fare.as_ref().map(Money::from),
            tip: ride.tip.as_ref().map(Money::from),
            service_tier: live.service_tier.to_string(),
            distance_m: metres(live.distance),
            pickup_eta_s: live.pickup_eta.get(),
            expires_at: rfc3339(live.expires_at),
            visible_at: rfc3339(live.visible_at.max(live.offered_at)),
            forward: live.forward.is_some(),
            kind,
            fare_min: bounds.map(|bounds| Money::from(&bounds.min)),
            fare_max: bounds.map(|bounds| Money::from(&bounds.max)),
            quoted_fare: live.quote.as_ref().map(|quote| Money::from(&quote.fare)),
            standing_by: (live.kind == OfferKind::Standby).then_some(live.standby.is_some()),
        }
    }
}

/// What an accept does, by name, and the fares it may ask.
const fn kind_of(kind: &OfferKind) -> (&'static str, Option<&FareBounds>) {
    match kind {
        OfferKind::Quote { bounds } => ("quote", bounds.as_ref()),
        OfferKind::Ride | OfferKind::Instant => ("ride", None),
        OfferKind::Standby => ("standby", None),
    }
}

impl AcceptResultView {
    /// The answer; `live` is the driver as he is now, if the ride was won.
    pub fn new(answer: &AcceptAnswer, live: Option<&LiveDriver>) -> Self {
        match answer {
            AcceptAnswer::Won(ride) => {
                let ride = Some(RideView::for_driver(ride, live));
                Self { ride, ..Self::plain("won") }
            }
            AcceptAnswer::Lost(reason) => {
                let result = match reason {
                    WithdrawReason::Expired => "expired",
                    WithdrawReason::Taken
                    | WithdrawReason::Cancelled
                    | WithdrawReason::Superseded
                    | WithdrawReason::DropoffChanged
                    | WithdrawReason::StandbyReleased => "lost",
                };
                Self { reason: Some(reason.name()), ..Self::plain(result) }
            }
            AcceptAnswer::Quoted(terms) => {
                let quote = Some(OwnQuoteView::from(terms));
                Self { quote, ..Self::plain("quoted") }
            }
            AcceptAnswer::Standby { expires_at } => {
                let standby_until = Some(rfc3339(*expires_at));
                Self { standby_until, ..Self::plain("standby") }
            }
        }
    }

    const fn plain(result: &'static str) -> Self {
        Self { result, reason: None, ride: None, quote: None, standby_until: None }
    }
}
