//! How fast a street is, by its class and its limit.

/// Metres per second of a kilometre per hour.
const KMH: f64 = 1.0 / 3.6;
/// Metres per second of a mile per hour.
const MPH: f64 = 0.447_04;

/// The share of a limit that is driven on an empty street, crossings included.
const OF_LIMIT: f64 = 0.8;

/// Limits that can be meant; others are mistyped.
const LIMIT_MPS: std::ops::RangeInclusive<f64> = 1.0..=60.0;

/// What an empty street of a class is driven at without a known limit, in km/h; nothing for a class
/// that cars do not drive on.
pub(super) fn class_speed_mps(class: &str) -> Option<f64> {
    let kmh = match class {
        "motorway" => 90.0,
        "trunk" => 75.0,
        "motorway_link" | "trunk_link" => 45.0,
        "primary" => 50.0,
        "secondary" => 45.0,
        "tertiary" => 40.0,
        "primary_link" | "secondary_link" | "tertiary_link" => 30.0,
        "unclassified" | "residential" | "road" => 25.0,
        "service" => 15.0,
        "living_street" | "track" => 10.0,
        _ => return None,
    };
    Some(kmh * KMH)
}

/// The first class of a field that may list several: `['trunk', 'motorway']`.
pub(super) fn first_class(field: &str) -> &str {
    field.trim_start_matches("['").split(['\'', ';']).next().unwrap_or_default()
}

/// A speed limit such as `50` (km/h), `25 mph` or the first of `['25 mph', '30 mph']`; nothing when
/// it names no number.
pub(super) fn limit_mps(field: &str) -> Option<f64> {
    let first = first_class(field).trim();
    let end = first.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(first.len());
    let (number, unit) = first.split_at(end);
    let unit = match unit.trim() {
        "" | "km/h" | "kmh" => KMH,
        "mph" => MPH,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|number| number * unit).filter(|mps| LIMIT_MPS.contains(mps))
}

/// What an empty street is driven at.
pub(super) fn speed_mps(class: &str, limit: Option<&str>) -> Option<f64> {
    let by_class = class_speed_mps(first_class(class))?;
    Some(limit.and_then(limit_mps).map_or(by_class, |limit| limit * OF_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_in_both_units_and_nonsense_is_none() {
        let kmh = |field| limit_mps(field).map(|mps| (mps * 3.6).round());
        assert_eq!(kmh("50"), Some(50.0));
        assert_eq!(kmh("25 mph"), Some(40.0));
        assert_eq!(kmh("['25 mph', '30 mph']"), Some(40.0));
        for nonsense in ["", "walk", "US:urban", "none", "5 knots", "0", "9999", "-5", "1.2.3"] {
            assert_eq!(kmh(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_limit_beats_the_class_and_footways_are_not_driven() {
        let kmh = |class, limit| speed_mps(class, limit).map(|mps| (mps * 3.6).round());
        assert_eq!(kmh("residential", None), Some(25.0));
        assert_eq!(kmh("residential", Some("walk")), Some(25.0));
        assert_eq!(kmh("residential", Some("50")), Some(40.0));
        assert_eq!(kmh("['trunk', 'motorway']", None), Some(75.0));
        assert_eq!(kmh("footway", Some("50")), None);
    }
}
