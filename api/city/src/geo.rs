//! Points on the ground and the few measures that a city needs of them.

use serde::{Deserialize, Serialize};

const EARTH_RADIUS_M: f64 = 6_371_007.2;

/// A WGS 84 position in degrees, spelled as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lng: f64,
}

impl Point {
    /// The position of these degrees.
    #[must_use]
    pub const fn new(lat: f64, lng: f64) -> Self {
        Self { lat, lng }
    }

    /// Great-circle distance in metres.
    #[must_use]
    pub fn distance_m(self, other: Self) -> f64 {
        let (lat_a, lat_b) = (self.lat.to_radians(), other.lat.to_radians());
        let half_lat = (lat_b - lat_a) / 2.0;
        let half_lng = (other.lng - self.lng).to_radians() / 2.0;
        let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lng.sin().powi(2);
        2.0 * EARTH_RADIUS_M * h.sqrt().min(1.0).asin()
    }

    /// Direction of travel toward `other`, 0 = north, clockwise; exact enough within a city.
    #[must_use]
    pub fn bearing_deg(self, other: Self) -> f64 {
        let east = (other.lng - self.lng) * self.lat.to_radians().cos();
        let north = other.lat - self.lat;
        east.atan2(north).to_degrees().rem_euclid(360.0)
    }

    /// The point at `fraction` (0..=1) of the straight line to `other`.
    #[must_use]
    pub fn toward(self, other: Self, fraction: f64) -> Self {
        Self {
            lat: self.lat + (other.lat - self.lat) * fraction,
            lng: self.lng + (other.lng - self.lng) * fraction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_bearings_agree_with_known_places() {
        let grand_central = Point::new(40.7527, -73.9772);
        let union_square = Point::new(40.7359, -73.9906);
        let distance = grand_central.distance_m(union_square);
        assert!((distance - 2_182.0).abs() < 20.0, "{distance}");
        let bearing = grand_central.bearing_deg(union_square);
        assert!((bearing - 211.0).abs() < 1.5, "{bearing}");
        assert_eq!(grand_central.distance_m(grand_central), 0.0);
        assert_eq!(grand_central.toward(union_square, 1.0), union_square);
    }
}
