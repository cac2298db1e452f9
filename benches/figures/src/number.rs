//! Figures as people read them.

/// Digits that a figure is told with.
const DIGITS: i32 = 3;

/// A number to three digits, its thousands set apart: `2,910,000`, `33.6`, `0.0123`.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor() as i32;
    // Rounding may carry into another digit: 9.996 is 10.0, not 10.00.
    let unit = 10_f64.powi(magnitude - DIGITS + 1);
    let rounded = (value / unit).round() * unit;
    let magnitude = rounded.abs().log10().floor() as i32;
    let decimals = usize::try_from(DIGITS - 1 - magnitude).unwrap_or(0);
    let text = format!("{rounded:.decimals$}");
    // A whole number is told as one: 5 times, not 5.00 times.
    let told =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    thousands(told)
}

/// A count with its thousands set apart, as paths have it: `100,000`.
pub fn grouped(count: u64) -> String {
    thousands(&count.to_string())
}

fn thousands(text: &str) -> String {
    let (whole, rest) = text.split_once('.').map_or((text, None), |(w, rest)| (w, Some(rest)));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut told = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    if let Some(rest) = rest {
        told.push('.');
        told.push_str(rest);
    }
    told
}

/// A number with its unit: `p99 33.6 µs`, `2,910,000/s`, `1.85 ×`.
pub(crate) fn quantity(value: f64, unit: &str) -> String {
    let (before, after) = unit_parts(unit);
    format!("{before}{}{after}", number(value))
}

/// A bound as it was set, with its unit: `p99 ≤ 10 µs`.
pub(crate) fn bound(sign: &str, value: f64, unit: &str) -> String {
    let (before, after) = unit_parts(unit);
    format!("{before}{sign} {}{after}", thousands(&value.to_string()))
}

/// The median and, where rounds differ, the least and the most: `p99 33.6 µs (33.1 to 56.9)`.
pub(crate) fn spread(median: f64, (least, most): (f64, f64), unit: &str) -> String {
    let told = quantity(median, unit);
    if number(least) == number(most) {
        return told;
    }
    format!("{told} ({} to {})", number(least), number(most))
}

/// What comes before and after the number.
fn unit_parts(unit: &str) -> (String, String) {
    let is_percentile = |word: &str| {
        let digits = word.strip_prefix('p').unwrap_or_default();
        !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    let (before, rest) = match unit.split_once(' ') {
        Some((word, rest)) if is_percentile(word) => (format!("{word} "), rest),
        Some(_) | None => (String::new(), unit),
    };
    let gap = if rest.is_empty() || rest.starts_with('/') { "" } else { " " };
    (before, format!("{gap}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        let told = [
            (2_912_923.0, "2,910,000"),
            (33.64, "33.6"),
            (0.012_34, "0.0123"),
            (9.996, "10"),
            (999.6, "1,000"),
            (5.0, "5"),
            (0.0, "0"),
            (-1_234.0, "-1,230"),
            (f64::NAN, "?"),
        ];
        for (value, text) in told {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn units_stand_where_people_look_for_them() {
        assert_eq!(quantity(2.0e6, "/s"), "2,000,000/s");
        assert_eq!(quantity(33.6, "p99 µs"), "p99 33.6 µs");
        assert_eq!(quantity(1.2, "p99.9 ms"), "p99.9 1.2 ms");
        assert_eq!(quantity(820.0, "bytes a driver"), "820 bytes a driver");
        assert_eq!(quantity(120_000.0, "fixes/s"), "120,000 fixes/s");
        assert_eq!(spread(2.0, (1.0, 3.0), "ms"), "2 ms (1 to 3)");
        assert_eq!(spread(2.0, (2.0, 2.0), "ms"), "2 ms");
    }
}
