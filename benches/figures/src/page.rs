//! A suite as a page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::headline::Headline;
use crate::number::{number, spread};
use crate::suite::{Figure, Suite};

/// What all others are compared with.
const OWN: &str = "muster";

/// The page of a suite, with the plots of `plotted` headlines.
pub(crate) fn page(suite: &Suite, plotted: &[&Headline]) -> String {
    let Suite { title, revision, date, machine, command, .. } = suite;
    let mut text = format!(
        "# {title}\n\nMade by `figures` from `{name}.json`; not to be edited.\n\n\
         Revision {revision}, {date}: {processor}, {cores} cores, {memory} GiB, Linux {kernel}.\n\
         Measured by `{command}`.\n\n",
        name = suite.name,
        processor = machine.processor,
        cores = machine.cores,
        memory = machine.memory_gib,
        kernel = machine.kernel,
    );
    table(&mut text, suite);
    for missing in &suite.missing {
        let _ =
            writeln!(text, "\n{} was not measured: {}.", missing.contender, sentence(&missing.why));
    }
    if !suite.notes.is_empty() {
        text.push('\n');
    }
    for note in &suite.notes {
        let _ = writeln!(text, "- {note}");
    }
    for headline in plotted {
        let _ = write!(text, "\n![{}]({}.svg)\n", plain(&headline.title), headline.name);
    }
    text
}

fn sentence(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end_matches('.')
}

/// A title without the marks of Markdown.
pub(crate) fn plain(title: &str) -> String {
    title.replace('`', "")
}

/// A row a figure, those of one path together; who and how many times only where anybody is beside.
fn table(text: &mut String, suite: &Suite) {
    let contenders: BTreeSet<&str> = suite.figures.iter().map(|f| f.contender.as_str()).collect();
    let beside = contenders.len() > 1 || contenders.iter().any(|who| *who != OWN);
    text.push_str(if beside {
        "| What | Who | Median (least to most) | Muster is |\n|---|---|---|---|\n"
    } else {
        "| What | Median (least to most) |\n|---|---|\n"
    });
    let mut path = None;
    for figure in in_order(suite) {
        let what = if path == Some(&figure.path) { "" } else { figure.path.as_str() };
        path = Some(&figure.path);
        let (median, range) = (figure.median(), figure.range());
        let told = spread(median, range, &figure.unit);
        let _ = if beside {
            let times = times(suite, figure);
            writeln!(text, "| {what} | {} | {told} | {times} |", figure.contender)
        } else {
            writeln!(text, "| {what} | {told} |")
        };
    }
}

/// By path, and within it by unit, as they first occur.
fn in_order(suite: &Suite) -> Vec<&Figure> {
    let first = |is: &dyn Fn(&Figure) -> bool| suite.figures.iter().position(is);
    let mut figures: Vec<&Figure> = suite.figures.iter().collect();
    figures.sort_by_key(|figure| {
        let same_path = first(&|f| f.path == figure.path);
        (same_path, first(&|f| f.path == figure.path && f.unit == figure.unit))
    });
    figures
}

/// How many times better Muster is than a figure of somebody else.
fn times(suite: &Suite, other: &Figure) -> String {
    let own = suite.figure(&other.path, OWN, &other.unit);
    match own {
        Some(own) if other.contender != OWN => {
            let times = own.times_better(other);
            let (least, most) = times.range;
            if number(least) == number(most) {
                return format!("{} ×", number(times.median));
            }
            format!("{} × ({} to {})", number(times.median), number(least), number(most))
        }
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Missing;
    use crate::{Better, Machine};

    fn suite() -> Suite {
        let mut suite = Suite::new("moves", "Moves beside others", "scripts/moves");
        suite.machine = Machine {
            processor: "A processor".to_owned(),
            cores: 2,
            memory_gib: 24,
            kernel: "6.1".to_owned(),
        };
        (suite.date, suite.revision) = ("2026-11-28".to_owned(), "abc".to_owned());
        suite
    }

    #[test]
    fn contenders_of_a_path_stand_together_and_are_compared() {
        let mut suite = suite();
        suite.add("moves", "muster", "/s", Better::Higher, &[30.0, 10.0, 20.0]);
        suite.add("nearest", "muster", "p99 µs", Better::Lower, &[5.0]);
        suite.add("moves", "Redis GEO", "/s", Better::Higher, &[2.0, 1.0, 2.5]);
        suite.missing.push(Missing {
            contender: "Tile38".to_owned(),
            why: "tile38-server is not in PATH\nmore".to_owned(),
        });
        suite.notes.push("All on one machine.".to_owned());
        let headline = Headline::parse(
            "[[headline]]\nname = \"moves\"\ntitle = \"`moves` a second\"\nsuite = \"moves\"\n\
             path = \"moves\"\nunit = \"/s\"\nat_least = 5",
        )
        .unwrap()
        .remove(0);
        let wanted = "\
# Moves beside others

Made by `figures` from `moves.json`; not to be edited.

Revision abc, 2026-11-28: A processor, 2 cores, 24 GiB, Linux 6.1.
Measured by `scripts/moves`.

| What | Who | Median (least to most) | Muster is |
|---|---|---|---|
| moves | muster | 20/s (10 to 30) |  |
|  | Redis GEO | 2/s (1 to 2.5) | 10 × (8 to 15) |
| nearest | muster | p99 5 µs |  |

Tile38 was not measured: tile38-server is not in PATH.

- All on one machine.

![moves a second](moves.svg)
";
        assert_eq!(page(&suite, &[&headline]), wanted);
    }

    #[test]
    fn alone_muster_needs_no_column_for_who() {
        let mut suite = suite();
        suite.add("moves", "muster", "/s", Better::Higher, &[30.0]);
        let text = page(&suite, &[]);
        assert!(text.ends_with("| What | Median (least to most) |\n|---|---|\n| moves | 30/s |\n"));
    }
}
