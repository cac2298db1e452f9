//! The life of rides in the envelope that Namma Yatri's driver side writes, for analytics that read it.
//!
//! Upstream a booking is what the rider has and a ride is what its driver has of it; here both are the
//! ride. What happened follows from who had the ride before and after a transition, so one transition
//! may be several events, or none.

use muster_engine::ride::{Assignment, RideRecord, RideStatus};
use serde::Serialize;

use super::{OutMessage, OutTopic, cause, correlation_id, event_id};
use crate::kafka::Transition;
use crate::version;
use crate::wire::rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    id: &'a str,
    trace_id: Option<&'a str>,
    session_id: Option<&'a str>,
    person_id: Option<&'a str>,
    merchant_id: &'a str,
    deployment_version: &'static str,
    /// Unix seconds.
    at: f64,
    event_type: &'static str,
    sub_type: Option<&'static str>,
    primary_id: &'a str,
    service: &'static str,
    triggered_by: &'static str,
    payload: Payload<'a>,
    merchant_operating_city_id: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "tag")]
enum Payload<'a> {
    Search {
        #[serde(rename = "sId")]
        search: &'a str,
        #[serde(rename = "cAt")]
        created_at: String,
    },
    Quote {
        #[serde(rename = "qId")]
        quote: &'a str,
        st: &'static str,
        #[serde(rename = "searchReqId")]
        search: &'a str,
        #[serde(rename = "searchTryId")]
        search_try: String,
        #[serde(rename = "cAt")]
        created_at: String,
    },
    Booking {
        #[serde(rename = "bId")]
        booking: &'a str,
        bs: &'static str,
        #[serde(rename = "cAt")]
        created_at: String,
        #[serde(rename = "uAt")]
        updated_at: String,
    },
    Ride {
        #[serde(rename = "rId")]
        ride: &'a str,
        rs: &'static str,
        #[serde(rename = "cAt")]
        created_at: String,
        #[serde(rename = "uAt")]
        updated_at: String,
    },
}

/// One event: its type, the driver it is about, what it is about, and the facts.
struct Event<'a> {
    kind: &'static str,
    person: Option<&'a str>,
    primary: &'a str,
    payload: Payload<'a>,
}

pub(super) fn messages(
    transition: &Transition,
    merchant: &str,
) -> serde_json::Result<Vec<OutMessage>> {
    let request = &transition.after.request;
    let traceparent = transition.origin.as_deref().map(|origin| origin.traceparent.as_str());
    let triggered_by = if cause(transition) == "system" { "System" } else { "User" };
    let base = event_id(transition);
    let message = |event: Event<'_>| {
        let id = format!("{base}:{}:{}", event.kind, event.primary);
        let envelope = Envelope {
            id: &id,
            trace_id: traceparent.and_then(|parent| parent.split('-').nth(1)),
            session_id: correlation_id(transition),
            person_id: event.person,
            merchant_id: merchant,
            deployment_version: version::VERSION,
            at: transition.at.as_millis() as f64 / 1_000.0,
            event_type: event.kind,
            sub_type: None,
            primary_id: event.primary,
            service: "DYNAMIC_OFFER_DRIVER_APP",
            triggered_by,
            payload: event.payload,
            merchant_operating_city_id: request.market.as_str(),
        };
        OutMessage::new(OutTopic::NammaYatriEvents, request.ride.as_str(), &id, &envelope)
    };
    events(transition).into_iter().map(message).collect()
}

fn events(transition: &Transition) -> Vec<Event<'_>> {
    let after = &*transition.after;
    let Some(before) = transition.before.as_deref() else {
        // Without the state before, only the first transition of a ride is known to be one.
        return if after.version == 1 { vec![search(after)] } else { Vec::new() };
    };
    let mut events = Vec::new();
    let (had, has) = (served(before), served(after));
    let at = || rfc3339(transition.at);
    if let Some(lost) = had.filter(|had| !keeps(had, after)) {
        events.push(ride(lost, after, "ride_cancelled", "CANCELLED", at()));
        events.push(booking(lost, after, "booking_cancelled", "CANCELLED", at()));
    }
    events.extend(quotes(before, after));
    if let Some(new) = has.filter(|new| had.is_none_or(|had| had.driver.id != new.driver.id)) {
        if before.offers.get(&new.offer).is_none_or(|offer| offer.quote.is_none()) {
            events.push(quote(new.offer.as_str(), new.driver.id.as_str(), after, at()));
        }
        events.push(booking(new, after, "booking_created", "TRIP_ASSIGNED", at()));
        events.push(ride(new, after, "ride_created", "NEW", at()));
    }
    if let Some(assignment) = &after.assignment
        && before.status != after.status
    {
        if after.status == RideStatus::InProgress {
            events.push(ride(assignment, after, "ride_started", "INPROGRESS", at()));
        } else if after.status == RideStatus::Completed {
            events.push(ride(assignment, after, "ride_ended", "COMPLETED", at()));
            events.push(booking(assignment, after, "booking_completed", "COMPLETED", at()));
        }
    }
    events
}

fn served(record: &RideRecord) -> Option<&Assignment> {
    record.assignment.as_ref().filter(|_| record.status.has_driver())
}

/// Whether the ride is still this driver's, or was until its good end.
fn keeps(had: &Assignment, after: &RideRecord) -> bool {
    let same = after.assignment.as_ref().is_some_and(|has| has.driver.id == had.driver.id);
    same && (after.status.has_driver() || after.status == RideStatus::Completed)
}

fn search(record: &RideRecord) -> Event<'_> {
    let (id, created_at) = (record.request.ride.as_str(), rfc3339(record.request.requested_at));
    let payload = Payload::Search { search: id, created_at };
    Event { kind: "search_request", person: None, primary: id, payload }
}

/// Quotes that drivers gave in this transition.
fn quotes<'a>(before: &'a RideRecord, after: &'a RideRecord) -> impl Iterator<Item = Event<'a>> {
    let was_quoted = |id| before.offers.get(id).is_some_and(|offer| offer.quote.is_some());
    after.offers.iter().filter_map(move |(id, offer)| {
        let given = offer.quote.as_ref().filter(|_| !was_quoted(id))?;
        Some(quote(id.as_str(), offer.driver.as_str(), after, rfc3339(given.quoted_at)))
    })
}

fn quote<'a>(
    id: &'a str,
    driver: &'a str,
    record: &'a RideRecord,
    created_at: String,
) -> Event<'a> {
    let search = record.request.ride.as_str();
    let search_try = format!("{search}:{}", record.attempt);
    let payload = Payload::Quote { quote: id, st: "Active", search, search_try, created_at };
    Event { kind: "quotes", person: Some(driver), primary: id, payload }
}

fn booking<'a>(
    of: &'a Assignment,
    record: &'a RideRecord,
    kind: &'static str,
    bs: &'static str,
    updated_at: String,
) -> Event<'a> {
    let (id, created_at) = (record.request.ride.as_str(), rfc3339(of.assigned_at));
    let payload = Payload::Booking { booking: id, bs, created_at, updated_at };
    Event { kind, person: Some(of.driver.id.as_str()), primary: id, payload }
}

fn ride<'a>(
    of: &'a Assignment,
    record: &'a RideRecord,
    kind: &'static str,
    rs: &'static str,
    updated_at: String,
) -> Event<'a> {
    let (id, created_at) = (record.request.ride.as_str(), rfc3339(of.assigned_at));
    let payload = Payload::Ride { ride: id, rs, created_at, updated_at };
    Event { kind, person: Some(of.driver.id.as_str()), primary: id, payload }
}
