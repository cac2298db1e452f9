//! What was measured, as a suite.

use muster_figures::{Better, Missing, Suite, grouped};

use super::measure::{Figures, Way};

/// Everybody who was measured with so many drivers.
#[derive(Debug, Clone)]
pub struct City {
    /// Drivers.
    pub drivers: usize,
    /// Name, best way to make moves, and figures of each contender.
    pub rows: Vec<(&'static str, Way, Figures)>,
    /// Who was not there, and why.
    pub missing: Vec<(&'static str, String)>,
}

type Quantity = (&'static str, &'static str, Better, fn(&Figures) -> &[f64]);

/// Path before and after the number of drivers, unit, and values.
const QUANTITIES: [(&str, Quantity); 4] = [
    ("moves of", ("", "/s", Better::Higher, |figures| &figures.moves_per_s)),
    ("nearest 10 of", ("", "/s", Better::Higher, |figures| &figures.questions_per_s)),
    (
        "nearest 10 of",
        (", one writer", "/s", Better::Higher, |figures| &figures.busy_questions_per_s),
    ),
    ("nearest 10 of", (", one writer", "p99 µs", Better::Lower, |figures| &figures.busy_p99_us)),
];

const NOTES: [&str; 2] = [
    "The nearest 10 free drivers within 3 km, by one thread or connection; before anything is timed, each \
     contender answers like a brute-force search. Contenders alternate, round by round. Drivers, moves, \
     questions and the contenders of this process are those of the suite `index`.",
    "Every third driver is on a trip and must not be found. Redis and Tile38 have the free drivers in a key of \
     their own and search that one only, exactly and without over-asking; PostGIS has a partial index of \
     them. The moves of the others are made as well.",
];

/// The suite of all cities.
pub fn suite(cities: &[City]) -> Suite {
    let title = "The supply index beside others";
    let mut suite = Suite::new("peers", title, "scripts/peers");
    for City { drivers, rows, missing } in cities {
        let drivers = grouped(*drivers as u64);
        for (before, (after, unit, better, values)) in QUANTITIES {
            let path = format!("{before} {drivers}, clustered{after}");
            for (name, _, figures) in rows {
                suite.add(&path, name, unit, better, values(figures));
            }
        }
        let ways: Vec<String> = rows
            .iter()
            .map(|(name, way, _)| format!("{name} {} × {}", way.writers, way.batch))
            .collect();
        suite.notes.push(format!(
            "Moves of {drivers}, threads or connections × moves a call, the best of several ways: {}.",
            ways.join(", ")
        ));
        for (name, fact) in missing {
            let missing = Missing { contender: (*name).to_owned(), why: fact.clone() };
            if !suite.missing.contains(&missing) {
                suite.missing.push(missing);
            }
        }
    }
    suite.notes.extend(NOTES.map(str::to_owned));
    suite
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_figure_of_each_path_and_the_missing_are_named_once() {
        let figures = |rate: f64| Figures {
            moves_per_s: vec![rate, 3.0 * rate, 2.0 * rate],
            questions_per_s: vec![rate],
            busy_questions_per_s: vec![rate],
            busy_p99_us: vec![5.0],
        };
        let row = |name, rate| (name, Way { writers: 2, batch: 16 }, figures(rate));
        let city = |drivers| City {
            drivers,
            rows: vec![row("muster", 1_000.0), row("other", 100.0)],
            missing: vec![("gone", "not installed".to_owned())],
        };
        let suite = suite(&[city(20_000), city(1_000_000)]);
        assert_eq!(suite.figures.len(), 16);
        let moves = |who| suite.figure("moves of 20,000, clustered", who, "/s").unwrap();
        assert_eq!(moves("muster").times_better(moves("other")).median, 10.0);
        assert!(
            suite
                .figure("nearest 10 of 1,000,000, clustered, one writer", "other", "p99 µs")
                .is_some()
        );
        assert_eq!(suite.missing.len(), 1);
        assert!(suite.notes[0].ends_with("muster 2 × 16, other 2 × 16."), "{:?}", suite.notes);
    }
}
