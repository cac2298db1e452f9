//! What the server says, as far as a client has to understand it. Written from the contract, not
//! taken from the server's code.

use serde::{Deserialize, Serialize};

/// Where a ride stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RideStatus {
    /// Waits for its search.
    Scheduled,
    /// Looks for a driver.
    Searching,
    /// A driver is on the way.
    Assigned,
    /// The driver waits.
    Arrived,
    /// The rider is on board.
    InProgress,
    /// Done.
    Completed,
    /// Called off.
    Cancelled,
    /// No driver was found.
    Unfulfilled,
}

impl RideStatus {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Searching => "searching",
            Self::Assigned => "assigned",
            Self::Arrived => "arrived",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Unfulfilled => "unfulfilled",
        }
    }

    /// Whether a driver is bound to the ride.
    pub const fn has_driver(self) -> bool {
        matches!(self, Self::Assigned | Self::Arrived | Self::InProgress)
    }

    /// Whether the ride is over.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Unfulfilled)
    }
}

/// The driver of a ride.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DriverRef {
    /// Who.
    pub driver_id: String,
}

/// A ride.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RideView {
    /// The ride.
    pub ride_id: String,
    /// Who asked.
    pub rider_id: String,
    /// Where it stands.
    pub status: RideStatus,
    /// The search, counted from 1.
    pub attempt: u32,
    /// The wave of it.
    pub wave: u32,
    /// When the request was received.
    pub requested_at: String,
    /// When the driver won it.
    pub assigned_at: Option<String>,
    /// The driver.
    pub driver: Option<DriverRef>,
    /// The one-time password; drivers are not told.
    pub otp: Option<String>,
    /// Grows with each change.
    pub version: u64,
}

impl RideView {
    /// The driver's id.
    pub fn driver_id(&self) -> Option<&str> {
        self.driver.as_ref().map(|driver| driver.driver_id.as_str())
    }
}

/// An offer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OfferView {
    /// The offer.
    pub offer_id: String,
    /// The ride offered.
    pub ride_id: String,
    /// When it is dead, RFC 3339.
    pub expires_at: String,
    /// From when it is shown, RFC 3339.
    pub visible_at: String,
}

/// A driver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DriverView {
    /// Who.
    pub driver_id: String,
    /// What he does.
    pub status: String,
    /// Offers that wait for him.
    pub offers: Vec<OfferView>,
    /// The ride he serves.
    pub ride_id: Option<String>,
}

/// How an accept ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AcceptResult {
    /// The offer, in frames.
    pub offer_id: Option<String>,
    /// `won`, `lost`, `expired` or `quoted`.
    pub result: String,
    /// Why it was not won.
    pub reason: Option<String>,
    /// The ride, if won.
    pub ride: Option<RideView>,
}

/// A page of rides.
#[derive(Debug, Clone, Deserialize)]
pub struct RidePage {
    /// The rides, newest first.
    #[serde(alias = "items")]
    pub rides: Vec<RideView>,
    /// Where the next page begins.
    #[serde(alias = "cursor")]
    pub next_cursor: Option<String>,
}

/// A problem.
#[derive(Debug, Clone, Deserialize)]
pub struct Problem {
    /// The stable code.
    pub code: String,
}

/// A ride event of a server-sent event stream.
#[derive(Debug, Clone, Deserialize)]
pub struct RideEvent {
    /// The ride after it.
    pub ride: RideView,
}

/// A frame to a phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The first frame: the driver as he stands.
    Welcome(DriverView),
    /// An offer.
    Offer(u64, OfferView),
    /// An offer is off: its id.
    OfferWithdrawn(u64, String),
    /// The end of an accept.
    AcceptResult(AcceptResult),
    /// A ride is his.
    Assigned(u64, RideView),
    /// A ride is off: its id.
    RideCancelled(u64, String),
    /// A ride made a step.
    RideUpdated(RideView),
    /// A fix was refused: why.
    Rejected(String),
    /// Something was not done: the code.
    Error(String),
    /// The session ends: why.
    Bye(String),
    /// Anything newer than this client.
    Other,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(rename = "type", borrow)]
    kind: &'a str,
}

#[derive(Deserialize)]
struct Body {
    seq: Option<u64>,
    driver: Option<DriverView>,
    offer: Option<OfferView>,
    ride: Option<RideView>,
    offer_id: Option<String>,
    ride_id: Option<String>,
    code: Option<String>,
    reason: Option<String>,
}

impl Frame {
    /// Reads a frame.
    ///
    /// # Errors
    /// When it is not what the contract says.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let kind: Kind<'_> = serde_json::from_str(text)?;
        if kind.kind == "accept_result" {
            return Ok(Self::AcceptResult(serde_json::from_str(text)?));
        }
        let body: Body = serde_json::from_str(text)?;
        let seq = body.seq.unwrap_or_default();
        let frame = match kind.kind {
            "welcome" => body.driver.map(Self::Welcome),
            "offer" => body.offer.map(|offer| Self::Offer(seq, offer)),
            "offer_withdrawn" => body.offer_id.map(|id| Self::OfferWithdrawn(seq, id)),
            "assigned" => body.ride.map(|ride| Self::Assigned(seq, ride)),
            "ride_cancelled" => body.ride_id.map(|id| Self::RideCancelled(seq, id)),
            "ride_updated" => body.ride.map(Self::RideUpdated),
            "rejected" => body.code.map(Self::Rejected),
            "error" => body.code.map(Self::Error),
            "bye" => body.reason.map(Self::Bye),
            _ => Some(Self::Other),
        };
        frame.ok_or_else(|| anyhow::anyhow!("a frame lacks what its type needs: {text}"))
    }
}

/// Unix milliseconds of an RFC 3339 text, 0 when it is none.
pub fn instant_ms(text: &str) -> u64 {
    let instant: Option<jiff::Timestamp> = text.parse().ok();
    instant.and_then(|at| u64::try_from(at.as_millisecond()).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read() {
        let offer = r#"{"type":"offer","seq":4,"offer":{"offer_id":"o","ride_id":"r","fare":null,
            "expires_at":"2025-12-01T00:00:15.000Z","visible_at":"2025-12-01T00:00:00.000Z"}}"#;
        let Frame::Offer(seq, offer) = Frame::parse(offer).unwrap() else { panic!("no offer") };
        assert_eq!((seq, instant_ms(&offer.expires_at)), (4, 1_764_547_215_000));
        let lost = r#"{"type":"accept_result","offer_id":"o","result":"lost","reason":"taken","ride":null}"#;
        let Frame::AcceptResult(lost) = Frame::parse(lost).unwrap() else { panic!("no result") };
        assert_eq!(lost.reason.as_deref(), Some("taken"));
        let error = Frame::parse(r#"{"type":"error","code":"invalid_frame","detail":"x"}"#);
        assert_eq!(error.unwrap(), Frame::Error("invalid_frame".to_owned()));
        assert_eq!(Frame::parse(r#"{"type":"pong","at":1}"#).unwrap(), Frame::Other);
        assert!(Frame::parse(r#"{"type":"offer"}"#).is_err());
    }
}
