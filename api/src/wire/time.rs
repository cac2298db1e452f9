//! Instants as RFC 3339 text.

use muster_engine::time::Timestamp;

/// Why a text is no instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeFault(String);

impl std::fmt::Display for TimeFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// `at` in UTC with milliseconds, as `2025-12-01T00:00:00.000Z`.
pub fn rfc3339(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{instant:.3}")
}

/// The instant that `text` names, with whatever offset it is written.
///
/// # Errors
/// [`TimeFault`] when it is no RFC 3339 instant, or before 1970.
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, TimeFault> {
    let example = "an instant like 2025-12-01T00:00:00.000Z is expected";
    let instant: jiff::Timestamp = text.parse().map_err(|_| TimeFault(example.to_owned()))?;
    let millis = u64::try_from(instant.as_millisecond());
    let millis = millis.map_err(|_| TimeFault("instants before 1970 are not taken".to_owned()))?;
    Ok(Timestamp::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_with_three_decimals_and_read_back() {
        let at = Timestamp::from_millis(1_764_547_200_000);
        assert_eq!(rfc3339(at), "2025-12-01T00:00:00.000Z");
        assert_eq!(parse_rfc3339("2025-12-01T00:00:00.000Z"), Ok(at));
        assert_eq!(parse_rfc3339("2025-12-01T05:30:00+05:30"), Ok(at));
        assert!(rfc3339(Timestamp::from_millis(u64::MAX)).starts_with("9999-12-30T"));
    }

    #[test]
    fn a_text_that_is_no_instant_is_refused() {
        for text in ["", "tomorrow", "2025-12-01", "1764547200000", "1969-12-31T23:59:59Z"] {
            assert!(parse_rfc3339(text).is_err(), "{text:?}");
        }
    }
}
