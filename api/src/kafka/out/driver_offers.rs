//! `driver-offers`: offers that begin, change and end, for services that push them to phones.
//!
//! What a transition did to the offers of its ride follows from the live offers before and after it.
//! Offers that nobody is asked about (mode `instant`) are no business of a phone and left out.

use muster_engine::id::OfferId;
use muster_engine::offer::OfferKind;
use muster_engine::ride::{LiveOffer, RideEventKind, RideRecord};
use serde::Serialize;

use super::{OutMessage, OutTopic, correlation_id, event_id};
use crate::kafka::Transition;
use crate::wire::{OfferView, rfc3339};

/// The newest word about an offer.
#[derive(Serialize)]
struct DriverOfferMessage<'a> {
    event_id: &'a str,
    /// `offer`, `offer_updated` or `offer_withdrawn`.
    #[serde(rename = "type")]
    kind: &'static str,
    at: String,
    market: &'a str,
    driver_id: &'a str,
    ride_id: &'a str,
    offer_id: &'a str,
    attempt: u32,
    /// The offer, while it is live.
    offer: Option<OfferView>,
    /// Why it is over.
    reason: Option<&'static str>,
    correlation_id: Option<&'a str>,
}

/// What became of an offer.
enum News {
    Began,
    Changed,
    Ended(&'static str),
}

pub(super) fn messages(transition: &Transition) -> serde_json::Result<Vec<OutMessage>> {
    let news = ended(transition).into_iter().chain(live(transition));
    news.map(|(id, live, news)| message(transition, id, live, &news)).collect()
}

fn message(
    transition: &Transition,
    offer: &OfferId,
    live: &LiveOffer,
    news: &News,
) -> serde_json::Result<OutMessage> {
    let (kind, reason) = match news {
        News::Began => ("offer", None),
        News::Changed => ("offer_updated", None),
        News::Ended(reason) => ("offer_withdrawn", Some(*reason)),
    };
    let (after, request) = (&transition.after, &transition.after.request);
    let view = || OfferView::remembered(after, offer, live);
    let event_id = format!("{}:{offer}", event_id(transition));
    let message = DriverOfferMessage {
        event_id: &event_id,
        kind,
        at: rfc3339(transition.at),
        market: request.market.as_str(),
        driver_id: live.driver.as_str(),
        ride_id: request.ride.as_str(),
        offer_id: offer.as_str(),
        attempt: after.attempt,
        offer: reason.is_none().then(view),
        reason,
        correlation_id: correlation_id(transition),
    };
    OutMessage::new(OutTopic::DriverOffers, live.driver.as_str(), &event_id, &message)
}

fn is_shown(live: &LiveOffer) -> bool {
    live.kind != OfferKind::Instant
}

/// Offers that began or changed. Where the state before is not known, those began that are as old as the
/// transition.
fn live(transition: &Transition) -> impl Iterator<Item = (&OfferId, &LiveOffer, News)> {
    let before = transition.before.as_deref();
    let news = move |id, live: &LiveOffer| match before.map(|before| before.offers.get(id)) {
        None => (live.offered_at == transition.at).then_some(News::Began),
        Some(None) => Some(News::Began),
        Some(Some(known)) => is_changed(known, live).then_some(News::Changed),
    };
    let offers = transition.after.offers.iter().filter(|(_, live)| is_shown(live));
    offers.filter_map(move |(id, live)| news(id, live).map(|news| (id, live, news)))
}

fn is_changed(before: &LiveOffer, after: &LiveOffer) -> bool {
    before.expires_at != after.expires_at
        || before.visible_at != after.visible_at
        || before.quote != after.quote
        || before.standby != after.standby
}

fn ended(transition: &Transition) -> Vec<(&OfferId, &LiveOffer, News)> {
    let Some(before) = transition.before.as_deref() else { return Vec::new() };
    let after = &*transition.after;
    let gone = before.offers.iter().filter(|(id, _)| !after.offers.contains_key(*id));
    let plain = |(id, live): &(&OfferId, &LiveOffer)| plain_reason(transition, before, id, live);
    let (told, unclear): (Vec<_>, Vec<_>) = gone
        .filter(|(_, live)| is_shown(live))
        .map(|offer| (offer, plain(&offer)))
        .partition(|(_, reason)| reason.is_some());
    // An answer ends one offer; more than one without a reason of its own were taken back.
    let declined = after.offer_counts.declined.saturating_sub(before.offer_counts.declined);
    let by_drivers = unclear.len() == declined as usize;
    let rest = if by_drivers { "declined" } else { "superseded" };
    let all = told.into_iter().chain(unclear);
    all.map(|((id, live), reason)| (id, live, News::Ended(reason.unwrap_or(rest)))).collect()
}

/// The reason that an offer's own state and the kind of transition tell.
fn plain_reason(
    transition: &Transition,
    before: &RideRecord,
    id: &OfferId,
    live: &LiveOffer,
) -> Option<&'static str> {
    let won = |record: &RideRecord| record.assignment.as_ref().is_some_and(|won| won.offer == *id);
    if won(&transition.after) && !won(before) {
        return Some("accepted");
    }
    if live.expires_at <= transition.at {
        return Some("expired");
    }
    match transition.kind {
        RideEventKind::RideCancelled => Some("cancelled"),
        RideEventKind::DriverAssigned | RideEventKind::OtpEntered => Some("taken"),
        RideEventKind::StandbyEnded => Some("standby_released"),
        RideEventKind::RideRequested
        | RideEventKind::SearchStarted
        | RideEventKind::WaveSent
        | RideEventKind::NoCandidates
        | RideEventKind::OffersEnded
        | RideEventKind::InstantOffered
        | RideEventKind::InstantEnded
        | RideEventKind::QuoteReceived
        | RideEventKind::QuoteEnded
        | RideEventKind::DriverNudged
        | RideEventKind::DriverArrived
        | RideEventKind::RideStarted
        | RideEventKind::RideCompleted
        | RideEventKind::RideReallocated
        | RideEventKind::TryUnfulfilled
        | RideEventKind::RideUnfulfilled
        | RideEventKind::DropoffChanged
        | RideEventKind::ForwardPromoted
        | RideEventKind::ForwardUpdated
        | RideEventKind::ForwardReturned
        | RideEventKind::OtpDrawn
        | RideEventKind::BetterDriverSearchStarted
        | RideEventKind::StandbyHeld => None,
    }
}
