//! Places, and the fixes that phones report.

use muster_engine::geo::{Position, PositionError};
use muster_engine::grid::{self, FixRejection, Reading};
use muster_engine::time::Timestamp;
use muster_engine::units::Meters;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::fault::Faults;

/// A distance on the wire: metres with one decimal.
pub type Metres = f64;

/// A place in WGS 84 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LatLng {
    /// Latitude.
    #[schema(minimum = -90, maximum = 90, example = 40.7484)]
    pub lat: f64,
    /// Longitude.
    #[schema(minimum = -180, maximum = 180, example = -73.9857)]
    pub lng: f64,
}

/// What a phone reports: where it was, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// Latitude.
    #[schema(example = 40.7484)]
    pub lat: f64,
    /// Longitude.
    #[schema(example = -73.9857)]
    pub lng: f64,
    /// When, by the phone's clock: Unix milliseconds.
    #[schema(example = 1_764_547_200_000_u64)]
    pub at: u64,
    /// Radius in metres the phone claims to be right within.
    pub accuracy_m: Option<f64>,
    /// Speed over ground; a negative value means unknown, as phones send it.
    pub speed_mps: Option<f64>,
    /// Direction of travel, clockwise from north; a negative value means unknown.
    pub bearing_deg: Option<f64>,
}

/// The newest position of a driver.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PositionView {
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lng: f64,
    /// When the phone took the fix: Unix milliseconds.
    pub at: u64,
    /// Speed over ground, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_mps: Option<f32>,
    /// Direction of travel, clockwise from north, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearing_deg: Option<f32>,
}

impl LatLng {
    /// The position, or nothing after noting which coordinate is wrong.
    pub fn checked(self, pointer: &str, faults: &mut Faults) -> Option<Position> {
        let field = |error: &PositionError| match error {
            PositionError::NotFinite => pointer.to_owned(),
            PositionError::Latitude(_) => format!("{pointer}/lat"),
            PositionError::Longitude(_) => format!("{pointer}/lng"),
        };
        match Position::from_degrees(self.lat, self.lng) {
            Ok(position) => Some(position),
            Err(error) => {
                faults.add(field(&error), error);
                None
            }
        }
    }
}

impl From<Position> for LatLng {
    fn from(position: Position) -> Self {
        Self { lat: position.lat(), lng: position.lng() }
    }
}

impl TryFrom<&Fix> for grid::Fix {
    type Error = FixRejection;

    /// A fix whose coordinates are no place is out of range; other oddities are facts unknown.
    fn try_from(fix: &Fix) -> Result<Self, FixRejection> {
        let position =
            Position::from_degrees(fix.lat, fix.lng).map_err(|_| FixRejection::OutOfRange)?;
        Ok(Self {
            position,
            at: Timestamp::from_millis(fix.at),
            accuracy_m: known(fix.accuracy_m),
            speed_mps: known(fix.speed_mps),
            bearing_deg: known(fix.bearing_deg),
        })
    }
}

impl From<&Reading> for PositionView {
    fn from(reading: &Reading) -> Self {
        Self {
            lat: reading.position.lat(),
            lng: reading.position.lng(),
            at: reading.recorded_at.as_millis(),
            speed_mps: reading.speed_mps,
            bearing_deg: reading.bearing_deg,
        }
    }
}

/// A measurement that is a number and not negative.
fn known(value: Option<f64>) -> Option<f32> {
    value.map(|value| value as f32).filter(|value| value.is_finite() && *value >= 0.0)
}

/// A distance as it is shown.
pub(crate) fn metres(distance: Meters) -> Metres {
    (distance.get() * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(lat: f64, lng: f64) -> Fix {
        Fix { lat, lng, at: 1, accuracy_m: None, speed_mps: None, bearing_deg: None }
    }

    #[test]
    fn a_fix_that_is_no_place_is_out_of_range() {
        for (lat, lng) in
            [(f64::NAN, 0.0), (0.0, f64::INFINITY), (90.1, 0.0), (0.0, -180.1), (-1e300, 0.0)]
        {
            let refused = grid::Fix::try_from(&fix(lat, lng));
            assert_eq!(refused, Err(FixRejection::OutOfRange), "{lat},{lng}");
        }
    }

    #[test]
    fn a_measurement_that_phones_mark_as_unknown_is_unknown() {
        let odd = Fix {
            speed_mps: Some(-1.0),
            bearing_deg: Some(-1.0),
            accuracy_m: Some(f64::INFINITY),
            ..fix(40.0, -73.0)
        };
        let taken = grid::Fix::try_from(&odd).unwrap();
        assert_eq!((taken.speed_mps, taken.bearing_deg, taken.accuracy_m), (None, None, None));
    }

    #[test]
    fn the_coordinate_at_fault_is_named() {
        let mut faults = Faults::default();
        assert!(LatLng { lat: 95.0, lng: 0.0 }.checked("/pickup", &mut faults).is_none());
        assert!(LatLng { lat: 0.0, lng: 181.0 }.checked("/dropoff", &mut faults).is_none());
        let text = format!("{:?}", faults.finish());
        assert!(text.contains("/pickup/lat") && text.contains("/dropoff/lng"), "{text}");
    }
}
