//! What a phone may say.

use serde::Deserialize;

use crate::wire::{Fix, Money};

/// Fixes in one JSON frame at most.
pub const FIXES_PER_FRAME_MAX: usize = 100;

/// The longest one-time password that is looked at.
const OTP_BYTES_MAX: usize = 16;

/// A text frame from a phone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientFrame {
    /// Fixes, oldest first.
    Positions {
        /// At most [`FIXES_PER_FRAME_MAX`].
        points: Vec<Fix>,
    },
    /// Begin or end work.
    Status {
        /// `online` or `offline`.
        status: OnlineStatus,
    },
    /// Yes.
    Accept {
        /// The offer.
        offer_id: String,
        /// What the driver asks, where accepts are quotes; absent = the requested fare.
        fare: Option<Money>,
    },
    /// No.
    Decline {
        /// The offer.
        offer_id: String,
        /// Why.
        reason: Option<String>,
    },
    /// At the pickup.
    Arrived {
        /// The ride.
        ride_id: String,
    },
    /// The rider is on board.
    Start {
        /// The ride.
        ride_id: String,
        /// What the rider said.
        otp: Option<String>,
    },
    /// At the drop-off.
    Complete {
        /// The ride.
        ride_id: String,
    },
    /// The driver gives the ride back.
    Cancel {
        /// The ride.
        ride_id: String,
        /// Why.
        reason: Option<String>,
    },
    /// A rider's one-time password, at a zone.
    EnterOtp {
        /// What the rider showed.
        otp: String,
    },
    /// An answer to a call to a gate.
    QueueRespond {
        /// The zone.
        zone: String,
        /// The call.
        call_id: String,
        /// Whether he comes.
        accept: bool,
    },
    /// All frames up to `seq` have arrived.
    Ack {
        /// The newest frame.
        seq: u64,
    },
    /// Are you there?
    Ping {
        /// The phone's clock, sent back.
        at: u64,
    },
}

/// Whether a driver wants to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnlineStatus {
    /// Yes.
    Online,
    /// No.
    Offline,
}

/// [`ClientFrame::Positions`] alone. Nearly all frames are that, and a frame whose type is not known yet has
/// to be kept whole until it is, which costs more than to read it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PositionsFrame {
    #[serde(rename = "type")]
    _kind: PositionsKind,
    points: Vec<Fix>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PositionsKind {
    Positions,
}

impl ClientFrame {
    /// Reads a text frame.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        // Whatever is no frame of positions is judged as a whole.
        let frame = match serde_json::from_str(text) {
            Ok(PositionsFrame { points, .. }) => Self::Positions { points },
            Err(_) => serde_json::from_str(text).map_err(|error| error.to_string())?,
        };
        match &frame {
            Self::Positions { points } if points.len() > FIXES_PER_FRAME_MAX => Err(format!(
                "points has at most {FIXES_PER_FRAME_MAX} fixes, this one has {}",
                points.len()
            )),
            Self::EnterOtp { otp } if otp.len() > OTP_BYTES_MAX => {
                Err(format!("otp has at most {OTP_BYTES_MAX} bytes"))
            }
            Self::Positions { .. }
            | Self::Status { .. }
            | Self::Accept { .. }
            | Self::Decline { .. }
            | Self::Arrived { .. }
            | Self::Start { .. }
            | Self::Complete { .. }
            | Self::Cancel { .. }
            | Self::EnterOtp { .. }
            | Self::QueueRespond { .. }
            | Self::Ack { .. }
            | Self::Ping { .. } => Ok(frame),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that are frames of positions, and texts that nearly are.
    fn nearly_positions() -> impl Strategy<Value = String> {
        let number = prop_oneof![
            (-200.0..200.0_f64).prop_map(|number| number.to_string()),
            any::<u64>().prop_map(|number| number.to_string()),
            Just("null".to_owned()),
            Just("1e400".to_owned()),
            Just("\"7\"".to_owned()),
        ];
        let key = prop_oneof![
            8 => Just("lat"),
            8 => Just("lng"),
            8 => Just("at"),
            4 => Just("accuracy_m"),
            4 => Just("speed_mps"),
            4 => Just("bearing_deg"),
            1 => Just("altitude"),
        ];
        let field = (key, number).prop_map(|(key, number)| format!("\"{key}\":{number}"));
        let whole = (-90.0..90.0_f64, -180.0..180.0_f64, any::<u64>(), field.clone()).prop_map(
            |(lat, lng, at, more)| format!("{{\"lat\":{lat},\"lng\":{lng},\"at\":{at},{more}}}"),
        );
        let fix = prop_oneof![
            3 => whole,
            1 => prop::collection::vec(field, 0..7)
                .prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ];
        let points = prop::collection::vec(fix, 0..4)
            .prop_map(|fixes| format!("\"points\":[{}]", fixes.join(", ")));
        let kind = prop_oneof![
            8 => Just(r#""type":"positions""#),
            1 => Just(r#""type":"ack""#),
            1 => Just(r#""type":null"#),
        ];
        let other =
            prop_oneof![Just(r#""seq":1"#), Just(r#""points":[]"#), Just(r#""type":"positions""#)];
        let members =
            (kind, points, prop::option::weighted(0.2, other), any::<bool>(), any::<bool>());
        members.prop_map(|(kind, points, other, swapped, whole)| {
            let mut members = vec![kind.to_owned(), points];
            members.extend(other.map(str::to_owned));
            if swapped {
                members.reverse();
            }
            let end = if whole { "}" } else { "" };
            format!(" {{ {}{end}", members.join(" , "))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn a_frame_of_positions_is_read_as_any_frame_is(text in nearly_positions()) {
            let as_any = serde_json::from_str::<ClientFrame>(&text).map_err(|error| error.to_string());
            prop_assert_eq!(ClientFrame::parse(&text), as_any);
        }
    }

    #[test]
    fn the_frames_of_the_contract_are_read() {
        let frames = [
            r#"{"type":"positions","points":[{"lat":40.7,"lng":-73.9,"at":1764547200000,"accuracy_m":8,"speed_mps":6.2,"bearing_deg":181}]}"#,
            r#"{"type":"status","status":"online"}"#,
            r#"{"type":"accept","offer_id":"o-1"}"#,
            r#"{"type":"accept","offer_id":"o-1","fare":{"amount":1,"currency":"USD"}}"#,
            r#"{"type":"decline","offer_id":"o-1","reason":"too_far"}"#,
            r#"{"type":"arrived","ride_id":"x"}"#,
            r#"{"type":"start","ride_id":"x","otp":"1234"}"#,
            r#"{"type":"complete","ride_id":"x"}"#,
            r#"{"type":"cancel","ride_id":"x","reason":"flat_tyre"}"#,
            r#"{"type":"enter_otp","otp":"012345"}"#,
            r#"{"type":"queue_respond","zone":"sfo","call_id":"call-1","accept":true}"#,
            r#"{"type":"ack","seq":41}"#,
            r#"{"type":"ping","at":1764547200000}"#,
        ];
        for frame in frames {
            assert!(ClientFrame::parse(frame).is_ok(), "{frame}");
        }
    }

    #[test]
    fn unknown_types_and_fields_are_refused_by_name() {
        let error = ClientFrame::parse(r#"{"type":"honk"}"#).unwrap_err();
        assert!(error.contains("honk"), "{error}");
        let error = ClientFrame::parse(r#"{"type":"ack","seq":1,"sqe":2}"#).unwrap_err();
        assert!(error.contains("sqe"), "{error}");
        assert!(ClientFrame::parse("{").is_err());
    }
}
