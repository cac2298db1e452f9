//! The README's section of figures.

use std::fmt::Write as _;

use anyhow::{Context, ensure};

use crate::headline::{Beside, Headline, Outcome, Target};
use crate::number::{quantity, spread};
use crate::page::plain;
use crate::suite::Suite;

/// What stands around the section.
const BEGIN: &str = "<!-- figures: begin; made by `figures`, not to be edited -->";
const END: &str = "<!-- figures: end -->";

/// The README with its section made anew.
///
/// # Errors
/// When the two marks are not in it once each, in order.
pub(crate) fn with_section(readme: &str, section: &str) -> anyhow::Result<String> {
    let marks = [BEGIN, END].map(|mark| readme.matches(mark).count());
    ensure!(marks == [1, 1], "README.md is to have the lines {BEGIN} and {END} once each");
    let (before, rest) = readme.split_once(BEGIN).context("no begin")?;
    let (_, after) = rest.split_once(END).context("the marks are in the wrong order")?;
    Ok(format!("{before}{BEGIN}\n{section}{END}{after}"))
}

/// The section: a table of all headlines, what forbids those missed, and the featured plots.
pub(crate) fn section(headlines: &[Headline], suites: &[Suite]) -> String {
    let mut text = "| What | Measured | Target | Beside |\n|---|---|---|---|\n".to_owned();
    let (mut limits, mut plots) = (String::new(), String::new());
    for headline in headlines {
        let outcome = headline.outcome(suites);
        line(&mut text, headline, &outcome, suites);
        if let Some(limit) = headline.limit.as_ref().filter(|_| headline.is_missed(&outcome)) {
            let _ = writeln!(limits, "- {}: {limit}", plain(&headline.title));
        }
        if headline.featured && outcome.measured.is_some() {
            let Headline { name, title, .. } = headline;
            let _ = writeln!(plots, "\n![{}](benches/results/{name}.svg)", plain(title));
        }
    }
    text.push_str("\nMedian of the rounds (least to most). What is beside Muster was measured in turn with it.\n");
    if !limits.is_empty() {
        let _ = write!(text, "\n{limits}");
    }
    text + &plots
}

fn line(text: &mut String, headline: &Headline, outcome: &Outcome, suites: &[Suite]) {
    let Headline { title, suite, unit, .. } = headline;
    let has_page = suites.iter().any(|one| one.name == *suite);
    let what =
        if has_page { format!("[{title}](benches/results/{suite}.md)") } else { title.clone() };
    let told = outcome.measured.map(|m| spread(m.median, m.range, unit));
    let told = told.unwrap_or_else(|| "not measured".to_owned());
    let target = headline.target().map_or_else(String::new, |target| {
        let verdict = outcome.measured.map(|m| format!(": {}", target.verdict(m.median)));
        format!("{}{}", target.told(unit), verdict.unwrap_or_default())
    });
    let beside = headline.beside.as_ref();
    let beside = beside.map_or_else(String::new, |beside| compared(beside, outcome, unit));
    let _ = writeln!(text, "| {what} | {told} | {target} | {beside} |");
}

/// Who is beside a headline, how many times better Muster is, and what was wanted.
fn compared(beside: &Beside, outcome: &Outcome, unit: &str) -> String {
    let Beside { contender, at_least, source, .. } = beside;
    let target = Target::AtLeast(*at_least);
    let wanted = target.told("×");
    let (Some(other), Some(ratio)) = (outcome.other, outcome.ratio) else {
        return format!("{contender}: not measured, {wanted} wanted");
    };
    let source = source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default();
    format!(
        "{contender} {}{source}: {}, {wanted} {}",
        quantity(other.median, unit),
        spread(ratio.median, ratio.range, "×"),
        target.verdict(ratio.median)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Better;

    const HEADLINES: &str = r#"
        [[headline]]
        name = "moves"
        title = "Moves"
        suite = "peers"
        path = "moves"
        unit = "/s"
        at_least = 15
        beside = { contender = "Redis GEO", at_least = 20 }
        featured = true
        limit = "the memory is no faster"

        [[headline]]
        name = "gone"
        title = "`POST` until an offer"
        suite = "server"
        path = "offers"
        unit = "p99 ms"
        at_most = 20
        beside = { contender = "bare", at_least = 0.75 }
        featured = true
    "#;

    #[test]
    fn a_headline_without_a_figure_is_not_measured() {
        let headlines = Headline::parse(HEADLINES).unwrap();
        let mut peers = Suite::new("peers", "Peers", "scripts/peers");
        peers.add("moves", "muster", "/s", Better::Higher, &[30.0, 10.0, 20.0]);
        peers.add("moves", "Redis GEO", "/s", Better::Higher, &[2.0, 1.0, 2.5]);
        let wanted = "\
| What | Measured | Target | Beside |
|---|---|---|---|
| [Moves](benches/results/peers.md) | 20/s (10 to 30) | ≥ 15/s: met | Redis GEO 2/s: 10 × (8 to 15), ≥ 20 × **missed by 50 %** |
| `POST` until an offer | not measured | p99 ≤ 20 ms | bare: not measured, ≥ 0.75 × wanted |

Median of the rounds (least to most). What is beside Muster was measured in turn with it.

- Moves: the memory is no faster

![Moves](benches/results/moves.svg)
";
        assert_eq!(section(&headlines, &[peers]), wanted);
    }

    #[test]
    fn what_forbids_a_target_is_told_only_where_it_is_missed() {
        let headlines = Headline::parse(HEADLINES).unwrap();
        let told = |muster: f64, redis: f64| {
            let mut peers = Suite::new("peers", "Peers", "scripts/peers");
            peers.add("moves", "muster", "/s", Better::Higher, &[muster]);
            peers.add("moves", "Redis GEO", "/s", Better::Higher, &[redis]);
            section(&headlines, &[peers]).contains("the memory is no faster")
        };
        assert!(!told(20.0, 1.0), "both are met");
        assert!(told(20.0, 2.0), "the ratio is missed");
        assert!(told(14.0, 0.1), "the target of its own is missed");
    }

    #[test]
    fn only_what_is_between_the_marks_changes() {
        let readme = format!("# Muster\n\n{BEGIN}\nold\n{END}\n\nmore\n");
        let renewed = with_section(&readme, "new\n").unwrap();
        assert_eq!(renewed, format!("# Muster\n\n{BEGIN}\nnew\n{END}\n\nmore\n"));
        assert_eq!(with_section(&renewed, "new\n").unwrap(), renewed);
        assert!(with_section("# Muster\n", "new\n").is_err());
        assert!(with_section(&format!("{END}\n{BEGIN}\n"), "new\n").is_err());
    }
}
