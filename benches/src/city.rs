//! Where drivers drive and riders wait: along Manhattan, most of them in its south.

use std::f64::consts::TAU;

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lng: f64,
}

/// Manhattan's long axis, from its southern tip to its northern one.
const SOUTH: Place = Place { lat: 40.7075, lng: -74.0130 };
const NORTH: Place = Place { lat: 40.8650, lng: -73.9250 };

/// Half of Manhattan's usual width, in degrees of longitude.
const HALF_WIDTH: f64 = 0.008;

/// A driver circles around his home: radius in degrees of latitude and longitude, both some 250 m.
const CIRCLE_LAT: f64 = 0.002_2;
const CIRCLE_LNG: f64 = 0.003_0;

/// Seconds of one round: 250 m of radius at 7 m/s.
const ROUND_S: f64 = 225.0;

/// Seeded random numbers: the same seed makes the same city.
pub fn dice(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A place in the city; 6 of 10 are between Wall Street and the park.
pub fn place(dice: &mut impl Rng) -> Place {
    let along = if dice.random_bool(0.6) {
        dice.random_range(0.05..0.40)
    } else {
        dice.random_range(0.0..1.0)
    };
    let across = dice.random_range(-HALF_WIDTH..HALF_WIDTH);
    let between = |a: f64, b: f64| a + (b - a) * along;
    Place { lat: between(SOUTH.lat, NORTH.lat), lng: between(SOUTH.lng, NORTH.lng) + across }
}

/// How one driver moves: no jumps, another grid cell now and then, never out of town.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    home: Place,
    phase: f64,
}

impl Route {
    /// A route from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut dice = dice(seed);
        Self { home: place(&mut dice), phase: dice.random_range(0.0..TAU) }
    }

    /// Where the driver is at a Unix millisecond.
    pub fn at(&self, ms: u64) -> Place {
        let round_ms = (ROUND_S * 1000.0) as u64;
        let turn = (ms % round_ms) as f64 / round_ms as f64 * TAU + self.phase;
        around(self.home, turn)
    }

    /// The middle of the circle.
    pub const fn home(&self) -> Place {
        self.home
    }
}

/// The place on the circle around `home` at an angle.
pub fn around(home: Place, turn: f64) -> Place {
    Place { lat: home.lat + CIRCLE_LAT * turn.sin(), lng: home.lng + CIRCLE_LNG * turn.cos() }
}

/// Metres between two fixes when a car that drives through a city reports every four seconds, and how many
/// of them make a round.
pub const ROUND_FIXES: u8 = 56;

/// The binary frame of one fix.
pub fn fix_frame(place: Place, at_ms: u64) -> [u8; 22] {
    let mut frame = [0_u8; 22];
    (frame[0], frame[1]) = (1, 1);
    frame[2..6].copy_from_slice(&((place.lat * 1e7).round() as i32).to_le_bytes());
    frame[6..10].copy_from_slice(&((place.lng * 1e7).round() as i32).to_le_bytes());
    frame[10..18].copy_from_slice(&at_ms.to_le_bytes());
    frame[18..20].copy_from_slice(&700_u16.to_le_bytes());
    frame[20..22].copy_from_slice(&u16::MAX.to_le_bytes());
    frame
}

/// The body of `POST …/positions` with one fix.
pub fn fix_body(place: Place, at_ms: u64) -> String {
    format!(
        r#"{{"points":[{{"lat":{:.6},"lng":{:.6},"at":{at_ms},"speed_mps":7.0}}]}}"#,
        place.lat, place.lng
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_move_like_cars() {
        for seed in 0..100 {
            let route = Route::new(seed);
            for second in 0..500 {
                let (a, b) = (route.at(second * 1000), route.at(second * 1000 + 1000));
                let metres = ((a.lat - b.lat) * 111_200.0).hypot((a.lng - b.lng) * 84_300.0);
                assert!(metres < 15.0, "{metres} m in a second");
                assert!((40.70..40.88).contains(&a.lat) && (-74.03..-73.90).contains(&a.lng));
            }
        }
    }

    #[test]
    fn a_frame_has_its_place() {
        let frame = fix_frame(Place { lat: 40.7484, lng: -73.9857 }, 1_764_547_200_000);
        assert_eq!(frame[2..6], 407_484_000_i32.to_le_bytes());
        assert_eq!(frame[6..10], (-739_857_000_i32).to_le_bytes());
        assert_eq!(frame[10..18], 1_764_547_200_000_u64.to_le_bytes());
    }
}
