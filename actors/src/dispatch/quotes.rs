//! The rider's choice among quotes.

use std::sync::Arc;

use muster_engine::id::{OfferId, RideId};
use muster_engine::ride::{RideCommand, RideRecord};

use super::Dispatch;
use crate::error::CallError;

impl Dispatch {
    /// Chooses a quote of a ride. The answer comes once the ride is durably its driver's.
    ///
    /// # Errors
    /// [`CallError::Refused`] when there is no such quote, when it has ended, or when its driver
    /// cannot take the ride any more; and as for any call.
    pub async fn select_quote(
        &self,
        ride: &RideId,
        quote: OfferId,
    ) -> Result<Arc<RideRecord>, CallError> {
        let ask = |reply| {
            let quote = quote.clone();
            RideCommand::SelectQuote { quote, reply: Some(reply) }
        };
        self.ask_ride(ride, ask).await
    }
}
