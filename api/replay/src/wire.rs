//! The shapes of the contract that a replay reads and writes, as liberal readers.
//!
//! Fields the replay does not need are skipped; missing ones become `None`; frames and statuses
//! of a later protocol are `Other`.

use std::fmt::Write as _;

use serde::{Deserialize, Deserializer, Serialize};

use crate::geo::Point;
use crate::quoting::QuoteView;

/// Where a ride stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RideStatus {
    Scheduled,
    Searching,
    Assigned,
    Arrived,
    InProgress,
    Completed,
    Cancelled,
    Unfulfilled,
    #[serde(other)]
    Other,
}

impl RideStatus {
    /// Whether the ride has ended.
    pub(crate) fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Unfulfilled)
    }
}

/// A ride as anyone is shown it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RideView {
    pub(crate) ride_id: String,
    pub(crate) status: RideStatus,
    pub(crate) pickup: Option<Point>,
    pub(crate) dropoff: Option<Point>,
    #[serde(default)]
    pub(crate) attempt: u32,
    pub(crate) driver: Option<AssignedDriver>,
    pub(crate) otp: Option<String>,
    /// What the rider can choose from.
    #[serde(default)]
    pub(crate) quotes: Vec<QuoteView>,
    pub(crate) cancelled_by: Option<String>,
    pub(crate) reason: Option<String>,
    #[serde(default)]
    pub(crate) version: u64,
}

/// The `driver` of a ride view.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AssignedDriver {
    pub(crate) driver_id: String,
}

/// A driver as told in `welcome`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DriverView {
    pub(crate) status: Option<String>,
}

/// An offer as pushed to the phone.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OfferView {
    pub(crate) offer_id: String,
    pub(crate) ride_id: String,
    pub(crate) pickup: Option<Point>,
    pub(crate) dropoff: Option<Point>,
    pub(crate) distance_m: Option<f64>,
    pub(crate) pickup_eta_s: Option<f64>,
    #[serde(default, deserialize_with = "unix_ms")]
    pub(crate) expires_at: Option<i64>,
    #[serde(default, deserialize_with = "unix_ms")]
    pub(crate) visible_at: Option<i64>,
    #[serde(default)]
    pub(crate) forward: bool,
    /// `quote` where an accept puts a fare before the rider.
    kind: Option<String>,
    pub(crate) fare: Option<Money>,
    pub(crate) fare_min: Option<Money>,
    pub(crate) fare_max: Option<Money>,
}

impl OfferView {
    /// Whether the driver names a fare and the rider chooses.
    pub(crate) fn is_quote(&self) -> bool {
        self.kind.as_deref() == Some("quote")
    }
}

/// An amount in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Money {
    pub(crate) amount: i64,
    pub(crate) currency: String,
}

/// A call to a gate of a zone, for a driver who waits in its queue.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct QueueCall {
    pub(crate) call_id: String,
    pub(crate) gate: String,
    /// Present once the driver said yes.
    #[serde(default, deserialize_with = "unix_ms")]
    pub(crate) arrive_by: Option<i64>,
}

/// How an accept ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AcceptOutcome {
    Won,
    Lost,
    Expired,
    Quoted,
    #[serde(other)]
    Other,
}

/// A frame from the server.
#[derive(Debug, Clone)]
pub(crate) enum ServerFrame {
    Welcome { server_time_ms: Option<i64>, heartbeat_s: Option<f64>, driver: Option<DriverView> },
    Offer(OfferView),
    OfferWithdrawn { offer_id: String },
    AcceptResult { offer_id: String, result: AcceptOutcome, ride: Option<RideView> },
    Assigned(RideView),
    RideCancelled { ride_id: String, by: Option<String>, reason: Option<String> },
    RideUpdated(RideView),
    QueueCall { zone: String, call: QueueCall },
    Rejected { code: String },
    Error { code: String, ride_id: Option<String>, offer_id: Option<String> },
    Bye { reason: String },
    Other,
}

/// A frame with the sequence number to acknowledge, if it carries one.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) seq: Option<u64>,
    pub(crate) frame: ServerFrame,
}

/// Every field of every frame: one pass over the text whatever the type is.
#[derive(Deserialize)]
struct Flat {
    #[serde(rename = "type")]
    kind: String,
    seq: Option<u64>,
    #[serde(default, deserialize_with = "unix_ms")]
    server_time: Option<i64>,
    heartbeat_s: Option<f64>,
    driver: Option<DriverView>,
    offer: Option<OfferView>,
    offer_id: Option<String>,
    ride: Option<RideView>,
    ride_id: Option<String>,
    zone: Option<String>,
    call: Option<QueueCall>,
    result: Option<AcceptOutcome>,
    reason: Option<String>,
    by: Option<String>,
    code: Option<String>,
}

impl Received {
    /// Reads one text frame; `None` when it is not JSON or lacks what its type promises.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let flat: Flat = serde_json::from_str(text).ok()?;
        let seq = flat.seq;
        let frame = match flat.kind.as_str() {
            "welcome" => ServerFrame::Welcome {
                server_time_ms: flat.server_time,
                heartbeat_s: flat.heartbeat_s,
                driver: flat.driver,
            },
            "offer" => ServerFrame::Offer(flat.offer?),
            "offer_withdrawn" => ServerFrame::OfferWithdrawn { offer_id: flat.offer_id? },
            "accept_result" => ServerFrame::AcceptResult {
                offer_id: flat.offer_id?,
                result: flat.result?,
                ride: flat.ride,
            },
            "assigned" => ServerFrame::Assigned(flat.ride?),
            "ride_cancelled" => ServerFrame::RideCancelled {
                ride_id: flat.ride_id?,
                by: flat.by,
                reason: flat.reason,
            },
            "ride_updated" => ServerFrame::RideUpdated(flat.ride?),
            "queue_call" => ServerFrame::QueueCall { zone: flat.zone?, call: flat.call? },
            "rejected" => ServerFrame::Rejected { code: flat.code.unwrap_or_default() },
            "error" => ServerFrame::Error {
                code: flat.code.unwrap_or_default(),
                ride_id: flat.ride_id,
                offer_id: flat.offer_id,
            },
            "bye" => ServerFrame::Bye { reason: flat.reason.unwrap_or_default() },
            _ => ServerFrame::Other,
        };
        Some(Self { seq, frame })
    }
}

/// A frame to the server, position fixes excepted.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ClientFrame {
    Status {
        status: &'static str,
    },
    Accept {
        offer_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        fare: Option<Money>,
    },
    Decline {
        offer_id: String,
        reason: &'static str,
    },
    Arrived {
        ride_id: String,
    },
    Start {
        ride_id: String,
        otp: String,
    },
    Complete {
        ride_id: String,
    },
    Cancel {
        ride_id: String,
        reason: &'static str,
    },
    EnterOtp {
        otp: String,
    },
    QueueRespond {
        zone: String,
        call_id: String,
        accept: bool,
    },
    Ack {
        seq: u64,
    },
    Ping {
        at: i64,
    },
}

/// One position fix; speed and bearing are unknown for recorded traces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fix {
    pub(crate) point: Point,
    pub(crate) at_ms: i64,
    pub(crate) speed_mps: Option<f64>,
    pub(crate) bearing_deg: Option<f64>,
}

/// Accuracy told with simulated fixes, in metres.
const ACCURACY_M: u32 = 8;
/// `kind` of a binary frame with positions.
const BINARY_POSITIONS: u8 = 1;
/// Most fixes of a binary frame.
pub(crate) const FIXES_PER_FRAME_MAX: usize = 100;

impl Fix {
    /// A `positions` frame as JSON text.
    pub(crate) fn json_frame(fixes: &[Self]) -> String {
        let mut text = String::with_capacity(48 + 112 * fixes.len());
        text.push_str(r#"{"type":"positions","points":["#);
        for (index, fix) in fixes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let Point { lat, lng } = fix.point;
            // Writing into a string cannot fail.
            let _ = write!(text, r#"{comma}{{"lat":{lat:.7},"lng":{lng:.7},"at":{}"#, fix.at_ms);
            if let Some(speed) = fix.speed_mps {
                let _ = write!(text, r#","accuracy_m":{ACCURACY_M},"speed_mps":{speed:.2}"#);
            }
            if let Some(bearing) = fix.bearing_deg {
                let _ = write!(text, r#","bearing_deg":{bearing:.1}"#);
            }
            text.push('}');
        }
        text.push_str("]}");
        text
    }

    /// A `positions` frame of `muster.bin.v1`.
    pub(crate) fn binary_frame(fixes: &[Self]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + 20 * fixes.len());
        bytes.extend([BINARY_POSITIONS, fixes.len() as u8]);
        for fix in fixes {
            bytes.extend(((fix.point.lat * 1e7).round() as i32).to_le_bytes());
            bytes.extend(((fix.point.lng * 1e7).round() as i32).to_le_bytes());
            bytes.extend((fix.at_ms as u64).to_le_bytes());
            let hundredths = |value: f64| (value * 100.0).round() as u16;
            bytes.extend(fix.speed_mps.map_or(u16::MAX, hundredths).to_le_bytes());
            // 360.00° is 0°.
            let bearing = fix.bearing_deg.map_or(u16::MAX, |deg| hundredths(deg) % 36_000);
            bytes.extend(bearing.to_le_bytes());
        }
        bytes
    }
}

/// Reads RFC 3339 text or a number of unix milliseconds; anything else is `None`.
fn unix_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Moment {
        Text(String),
        Number(i64),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Option::<Moment>::deserialize(deserializer)? {
        Some(Moment::Text(text)) => {
            text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
        }
        Some(Moment::Number(ms)) => Some(ms),
        Some(Moment::Other(_)) | None => None,
    })
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
