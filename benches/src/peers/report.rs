//! The tables: figures with their spread, and how many times as fast Muster is.

use std::fmt::Write as _;

use super::measure::Figures;

/// What was measured of one contender.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its figures.
    pub figures: Figures,
}

/// All contenders.
#[derive(Debug, Clone)]
pub struct PeersReport {
    /// Drivers in the city.
    pub drivers: usize,
    /// Rounds.
    pub rounds: usize,
    /// Who was there; the first is what the others are compared with.
    pub rows: Vec<Row>,
    /// Who was not, and why.
    pub missing: Vec<(&'static str, String)>,
}

type Column = (&'static str, fn(&Figures) -> &[f64]);

/// Where more is better.
const RATES: [Column; 3] = [
    ("moves/s", |figures| &figures.moves_per_s),
    ("nearest 10/s", |figures| &figures.questions_per_s),
    ("nearest 10/s, one moving", |figures| &figures.busy_questions_per_s),
];

impl PeersReport {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "{} drivers, nearest 10 within 3 km; median of {} rounds (least to most).\n",
            self.drivers, self.rounds
        );
        text.push_str(
            "Moves: connections or threads × moves a call, the best of several ways.\n\n",
        );
        text.push_str("| |");
        for (name, _) in RATES {
            let _ = write!(text, " {name} | Muster is |");
        }
        text.push_str(" p99, one moving |\n|---|");
        text.push_str(&"---|".repeat(2 * RATES.len() + 1));
        text.push('\n');
        for row in &self.rows {
            self.line(&mut text, row);
        }
        for (name, fact) in &self.missing {
            let fact = fact.lines().next().unwrap_or_default();
            let _ = writeln!(text, "\n{name} is missing here: {fact}");
        }
        text
    }

    fn line(&self, text: &mut String, row: &Row) {
        let _ = write!(text, "| {} |", row.name);
        for (name, values) in RATES {
            let own = spread(values(&row.figures));
            let (least, median, most) = own;
            let way = if name == "moves/s" {
                format!(" by {}", row.figures.best_way)
            } else {
                String::new()
            };
            let _ = write!(text, " {median:.0} ({least:.0} to {most:.0}){way} |");
            let ratio = self.rows.first().map(|first| spread(values(&first.figures)).1 / median);
            let _ = match ratio {
                Some(ratio) if self.rows[0].name != row.name => write!(text, " {ratio:.1} × |"),
                _ => write!(text, " |"),
            };
        }
        let (least, median, most) = spread(&row.figures.busy_p99_us);
        let _ = writeln!(text, " {median:.1} µs ({least:.1} to {most:.1}) |");
    }
}

/// Least, median and most.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_says_how_many_times_as_fast_the_first_is() {
        let figures = |rate: f64| Figures {
            moves_per_s: vec![rate, 3.0 * rate, 2.0 * rate],
            best_way: "1 × 1".to_owned(),
            questions_per_s: vec![rate],
            busy_questions_per_s: vec![rate],
            busy_p99_us: vec![5.0],
        };
        let row = |name, rate| Row { name, figures: figures(rate) };
        let report = PeersReport {
            drivers: 10,
            rounds: 3,
            rows: vec![row("muster", 1_000.0), row("other", 100.0)],
            missing: vec![("gone", "not installed\nmore".to_owned())],
        };
        let text = report.markdown();
        assert!(text.contains("| other | 200 (100 to 300) by 1 × 1 | 10.0 × |"), "{text}");
        assert!(text.contains("gone is missing here: not installed\n"), "{text}");
    }
}
