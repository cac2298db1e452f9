//! Quotes: drivers' answers that wait for the rider's choice.

use muster_engine::id::OfferId;
use muster_engine::offer::QuoteTerms;
use muster_engine::ride::{LiveOffer, RideRecord};
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::geo::{Metres, metres};
use crate::wire::money::Money;
use crate::wire::ride::json_object;
use crate::wire::time::rfc3339;

/// A driver who takes the ride for this fare, if the rider chooses him in time.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QuoteView {
    /// The quote: the id of the offer it answers.
    pub quote_id: String,
    /// Who quotes.
    pub driver_id: String,
    /// The tier he would serve.
    pub service_tier: String,
    /// His vehicle, as the platform described it when he quoted.
    #[schema(value_type = Object)]
    pub vehicle: serde_json::Value,
    /// What he asks.
    pub fare: Money,
    /// Straight-line distance to the pickup, when he was asked.
    pub distance_m: Metres,
    /// Estimated time to the pickup, when he was asked.
    pub pickup_eta_s: u32,
    /// When he quoted.
    #[schema(format = DateTime)]
    pub quoted_at: String,
    /// When the quote is dead.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// The quotes of a ride.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QuoteList {
    /// The ride.
    pub ride_id: String,
    /// The quotes that can be chosen, oldest first.
    pub quotes: Vec<QuoteView>,
}

/// What a driver is told of his own quote.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OwnQuoteView {
    /// What he asks.
    pub fare: Money,
    /// When the quote is dead.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl QuoteView {
    /// The quotes of a ride, oldest first.
    pub(super) fn all(ride: &RideRecord) -> Vec<Self> {
        let quotes = ride.offers.iter().filter_map(|(id, live)| Self::of(id, live));
        let mut quotes: Vec<Self> = quotes.collect();
        quotes.sort_by(|a, b| (&a.quoted_at, &a.quote_id).cmp(&(&b.quoted_at, &b.quote_id)));
        quotes
    }

    fn of(id: &OfferId, live: &LiveOffer) -> Option<Self> {
        let quote = live.quote.as_ref()?;
        Some(Self {
            quote_id: id.to_string(),
            driver_id: live.driver.to_string(),
            service_tier: live.service_tier.to_string(),
            vehicle: json_object(&quote.vehicle),
            fare: Money::from(&quote.fare),
            distance_m: metres(live.distance),
            pickup_eta_s: live.pickup_eta.get(),
            quoted_at: rfc3339(quote.quoted_at),
            expires_at: rfc3339(live.expires_at),
        })
    }
}

impl From<&RideRecord> for QuoteList {
    fn from(ride: &RideRecord) -> Self {
        Self { ride_id: ride.request.ride.to_string(), quotes: QuoteView::all(ride) }
    }
}

impl From<&QuoteTerms> for OwnQuoteView {
    fn from(terms: &QuoteTerms) -> Self {
        Self { fare: Money::from(&terms.fare), expires_at: rfc3339(terms.expires_at) }
    }
}
