//! A validated WGS 84 position and its unit vector.

use std::fmt;

use crate::units::Meters;

/// Mean earth radius in metres (IUGG R1), the one h3o uses for its distances too.
pub const EARTH_RADIUS_M: f64 = 6_371_007.180_918_475;

/// Half a chord, in earth radii, up to which four terms of the arc sine's series are the arc sine: the
/// fifth is less than half a unit in the last place of the first.
const SHORT_HALF_CHORD: f64 = 0.01;

/// A position in 1e-7 degrees: 1.1 cm at the equator, the resolution of the binary wire format.
///
/// Latitude is within ±90°, longitude within ±180°.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    lat_e7: i32,
    lng_e7: i32,
}

/// Why two numbers are not a position.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum PositionError {
    /// A coordinate is NaN or infinite.
    #[error("a coordinate must be a finite number")]
    NotFinite,
    /// The latitude is outside ±90°.
    #[error("lat must be within -90..=90, got {0}")]
    Latitude(f64),
    /// The longitude is outside ±180°.
    #[error("lng must be within -180..=180, got {0}")]
    Longitude(f64),
}

impl Position {
    /// A position from degrees, rounded to 1e-7°.
    ///
    /// # Errors
    /// [`PositionError`] when a coordinate is not finite or out of range.
    pub fn from_degrees(lat: f64, lng: f64) -> Result<Self, PositionError> {
        if !lat.is_finite() || !lng.is_finite() {
            return Err(PositionError::NotFinite);
        }
        if !(-90.0..=90.0).contains(&lat) {
            return Err(PositionError::Latitude(lat));
        }
        if !(-180.0..=180.0).contains(&lng) {
            return Err(PositionError::Longitude(lng));
        }
        Ok(Self { lat_e7: (lat * 1e7).round() as i32, lng_e7: (lng * 1e7).round() as i32 })
    }

    /// A position from 1e-7 degrees.
    ///
    /// # Errors
    /// [`PositionError`] when a coordinate is out of range.
    pub fn from_e7(lat_e7: i32, lng_e7: i32) -> Result<Self, PositionError> {
        if !(-900_000_000..=900_000_000).contains(&lat_e7) {
            return Err(PositionError::Latitude(f64::from(lat_e7) / 1e7));
        }
        if !(-1_800_000_000..=1_800_000_000).contains(&lng_e7) {
            return Err(PositionError::Longitude(f64::from(lng_e7) / 1e7));
        }
        Ok(Self { lat_e7, lng_e7 })
    }

    /// Latitude in degrees.
    pub fn lat(self) -> f64 {
        f64::from(self.lat_e7) / 1e7
    }

    /// Longitude in degrees.
    pub fn lng(self) -> f64 {
        f64::from(self.lng_e7) / 1e7
    }

    /// Latitude in 1e-7 degrees.
    pub const fn lat_e7(self) -> i32 {
        self.lat_e7
    }

    /// Longitude in 1e-7 degrees.
    pub const fn lng_e7(self) -> i32 {
        self.lng_e7
    }

    /// The point of the unit sphere at this position.
    pub fn unit(self) -> UnitVector {
        let (sin_lat, cos_lat) = self.lat().to_radians().sin_cos();
        let (sin_lng, cos_lng) = self.lng().to_radians().sin_cos();
        UnitVector([cos_lat * cos_lng, cos_lat * sin_lng, sin_lat])
    }

    /// A bound that the great-circle distance to `other` does not exceed, for a tenth of its cost: the
    /// way along the meridian and then along the equator's degrees, which are the longest.
    pub fn distance_max(self, other: Self) -> Meters {
        let metres_of_e7 = EARTH_RADIUS_M * std::f64::consts::PI / 1.8e9;
        let apart = |one: i32, other: i32| i64::from(one).abs_diff(i64::from(other));
        let e7 = apart(self.lat_e7, other.lat_e7) + apart(self.lng_e7, other.lng_e7);
        Meters::new(e7 as f64 * metres_of_e7)
    }

    /// Great-circle distance to `other`.
    pub fn distance(self, other: Self) -> Meters {
        self.unit().distance(other.unit())
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.7},{:.7}", self.lat(), self.lng())
    }
}

/// A point of the unit sphere. Squared chords order points as great-circle distances do, for a
/// tenth of the cost of a haversine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnitVector(pub(crate) [f64; 3]);

impl UnitVector {
    /// The three coordinates.
    pub const fn coordinates(self) -> [f64; 3] {
        self.0
    }

    /// The squared chord to `other`, 0..=4.
    #[inline]
    pub fn chord_squared(self, other: Self) -> f64 {
        let [x, y, z] = [0, 1, 2].map(|i| self.0[i] - other.0[i]);
        x * x + y * y + z * z
    }

    /// The scalar product with `other`: of two points of the sphere, the cosine of the angle between them.
    #[inline]
    pub fn dot(self, other: Self) -> f64 {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        a * x + b * y + c * z
    }

    /// Great-circle distance to `other`.
    pub fn distance(self, other: Self) -> Meters {
        Self::chord_squared_to_distance(self.chord_squared(other))
    }

    /// The great-circle distance that a squared chord spans.
    #[inline]
    pub fn chord_squared_to_distance(chord_squared: f64) -> Meters {
        let half = (chord_squared.sqrt() / 2.0).min(1.0);
        let angle = if half <= SHORT_HALF_CHORD {
            let square = half * half;
            half * (1.0 + square * (1.0 / 6.0 + square * (3.0 / 40.0 + square * (15.0 / 336.0))))
        } else {
            half.asin()
        };
        Meters::new(2.0 * EARTH_RADIUS_M * angle)
    }

    /// The squared chord that a great-circle distance spans.
    pub fn distance_to_chord_squared(distance: Meters) -> f64 {
        let half = (distance.get() / (2.0 * EARTH_RADIUS_M)).min(std::f64::consts::FRAC_PI_2).sin();
        4.0 * half * half
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_out_of_range_are_refused() {
        assert_eq!(Position::from_degrees(f64::NAN, 0.0), Err(PositionError::NotFinite));
        assert_eq!(Position::from_degrees(90.1, 0.0), Err(PositionError::Latitude(90.1)));
        assert_eq!(Position::from_degrees(0.0, -180.5), Err(PositionError::Longitude(-180.5)));
        assert!(Position::from_e7(900_000_001, 0).is_err());
    }

    #[test]
    fn distance_agrees_with_the_haversine() {
        let a = Position::from_degrees(40.7484, -73.9857).unwrap();
        let b = Position::from_degrees(40.6413, -73.7781).unwrap();
        let (la, lb) = (a.lat().to_radians(), b.lat().to_radians());
        let (dlat, dlng) = (lb - la, (b.lng() - a.lng()).to_radians());
        let h = (dlat / 2.0).sin().powi(2) + la.cos() * lb.cos() * (dlng / 2.0).sin().powi(2);
        let haversine = 2.0 * EARTH_RADIUS_M * h.sqrt().asin();
        assert!((a.distance(b).get() - haversine).abs() < 1e-3);
    }

    #[test]
    fn no_distance_is_longer_than_its_bound() {
        let mut seed = 1_u64;
        let mut draw = |most: i64| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 33) as i64 % (2 * most + 1) - most) as i32
        };
        for _ in 0..20_000 {
            let (lat, lng) = (draw(900_000_000), draw(1_800_000_000));
            let near = |at: i32, most: i32, by: i32| at.saturating_add(by).clamp(-most, most);
            let other =
                (near(lat, 900_000_000, draw(50_000)), near(lng, 1_800_000_000, draw(50_000)));
            let far = (draw(900_000_000), draw(1_800_000_000));
            let here = Position::from_e7(lat, lng).unwrap();
            for (lat, lng) in [other, far] {
                let there = Position::from_e7(lat, lng).unwrap();
                let (is, most) = (here.distance(there).get(), here.distance_max(there).get());
                assert!(is <= most + 0.01, "{here:?} to {there:?}: {is} m, bound {most} m");
            }
        }
    }

    #[test]
    fn a_short_chord_spans_what_the_arc_sine_says() {
        for step in 0..=2_000 {
            let half = SHORT_HALF_CHORD * f64::from(step) / 1_000.0;
            let is = UnitVector::chord_squared_to_distance(4.0 * half * half).get();
            let exact = 2.0 * EARTH_RADIUS_M * half.asin();
            assert!((is - exact).abs() <= 4.0 * f64::EPSILON * exact, "{half}: {is}, not {exact}");
        }
    }

    #[test]
    fn a_chord_and_its_distance_are_inverse() {
        for meters in [0.5, 10.0, 3_000.0, 500_000.0] {
            let chord = UnitVector::distance_to_chord_squared(Meters::new(meters));
            let back = UnitVector::chord_squared_to_distance(chord).get();
            assert!((back - meters).abs() / meters < 1e-6, "{meters} -> {back}");
        }
    }
}
