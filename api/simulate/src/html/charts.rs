//! Bars and lines.

use std::fmt::Write as _;

use super::escaped;
use crate::figures::Estimate;

/// One colour per column, told apart by most eyes; repeated beyond.
const COLOURS: [&str; 8] =
    ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bb5566", "#888888"];

const LABEL_PX: f64 = 190.0;
const BAR_PX: f64 = 190.0;
const VALUE_PX: f64 = 110.0;
const ROW_PX: f64 = 22.0;

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn figure(title: &str, width: f64, height: f64, inside: &str) -> String {
    let title = escaped(title);
    format!(
        "<figure><figcaption>{title}</figcaption><svg role=\"img\" aria-label=\"{title}\" \
         width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">{inside}</svg></figure>\n"
    )
}

/// A bar for each column, from zero.
pub(super) fn bars(title: &str, unit: &str, bars: &[(String, Estimate)]) -> String {
    let reach = |(_, e): &(String, Estimate)| e.mean + e.ci95.unwrap_or(0.0);
    let most = bars.iter().map(reach).fold(f64::MIN_POSITIVE, f64::max);
    let digits = if most < 10.0 { 2 } else { 1 };
    let mut inside = String::new();
    for (row, (name, Estimate { mean, ci95 })) in bars.iter().enumerate() {
        let (y, length) = (row as f64 * ROW_PX, mean.max(0.0) / most * BAR_PX);
        let (middle, value_x) = (y + ROW_PX / 2.0, LABEL_PX + BAR_PX + 8.0);
        let _ = write!(
            inside,
            "<text x=\"0\" y=\"{:.1}\">{}</text><rect x=\"{LABEL_PX}\" y=\"{:.1}\" width=\"{length:.1}\" \
             height=\"{:.1}\" fill=\"{}\"/>",
            middle + 4.0,
            escaped(name),
            y + 3.0,
            ROW_PX - 6.0,
            colour(row)
        );
        let spread = ci95.unwrap_or(0.0);
        if spread > 0.0 {
            let x = |value: f64| LABEL_PX + value.max(0.0) / most * BAR_PX;
            let (from, to) = (x(mean - spread), x(mean + spread));
            let _ =
                write!(inside, "<path class=\"whisker\" d=\"M{from:.1} {middle:.1}H{to:.1}\"/>");
        }
        let spread = ci95.map_or_else(String::new, |ci95| format!(" ± {ci95:.digits$}"));
        let _ = write!(
            inside,
            "<text class=\"soft\" x=\"{value_x}\" y=\"{:.1}\">{mean:.digits$}{spread} {unit}</text>",
            middle + 4.0
        );
    }
    figure(title, LABEL_PX + BAR_PX + VALUE_PX, bars.len() as f64 * ROW_PX, &inside)
}

/// What drivers do, a stacked bar for each column; the rest of 100 % they stand at pickups.
pub(super) fn utilisation(columns: &[(String, [f64; 3])]) -> String {
    let fills = [("with a rider", "#228833"), ("to a pickup", "#ccbb44"), ("idle", "#bbbbbb")];
    let mut inside = String::new();
    for (row, (name, parts)) in columns.iter().enumerate() {
        let (y, mut x) = (row as f64 * ROW_PX, LABEL_PX);
        let _ = write!(inside, "<text x=\"0\" y=\"{:.1}\">{}</text>", y + 15.0, escaped(name));
        for ((_, fill), pct) in fills.iter().zip(parts) {
            let length = pct / 100.0 * BAR_PX * 2.0;
            let _ = write!(
                inside,
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"{fill}\">\
                 <title>{pct:.1} %</title></rect>",
                y + 3.0,
                ROW_PX - 6.0
            );
            x += length;
        }
    }
    let y = columns.len() as f64 * ROW_PX;
    for (n, (name, fill)) in fills.iter().enumerate() {
        let x = LABEL_PX + n as f64 * 120.0;
        let _ = write!(
            inside,
            "<rect x=\"{x}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{fill}\"/>\
             <text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            y + 6.0,
            x + 15.0,
            y + 15.0
        );
    }
    figure("What drivers do, % of their time", LABEL_PX + BAR_PX * 2.0, y + ROW_PX, &inside)
}

/// Cumulative distributions from quantiles 0, 1, …, 100 %; the axis ends where all are at 99 %.
pub(super) fn distribution(title: &str, names: &[String], columns: &[Vec<f64>]) -> String {
    const SIDE: (f64, f64) = (480.0, 240.0);
    const MARGIN: f64 = 34.0;
    let last = |quantiles: &Vec<f64>| quantiles.iter().rev().nth(1).copied().unwrap_or(0.0);
    let most = columns.iter().map(last).fold(1.0, f64::max);
    let (width, height) = (SIDE.0 - MARGIN, SIDE.1 - MARGIN);
    let x = |value: f64| MARGIN + value.min(most) / most * width;
    let y = |pct: f64| height - pct / 100.0 * (height - 8.0);
    let mut inside = format!("<path class=\"axis\" d=\"M{MARGIN} 0V{height}H{}\"/>", SIDE.0);
    for pct in [0.0, 50.0, 90.0] {
        let (at, label) = (y(pct), at_most(pct));
        let _ = write!(
            inside,
            "<path class=\"axis\" d=\"M{MARGIN} {at:.1}H{}\"/><text class=\"soft\" x=\"0\" y=\"{:.1}\">{label}</text>",
            SIDE.0,
            at + 4.0
        );
    }
    let step = round_step(most / 4.0);
    for tick in (0_u32..).map(|tick| f64::from(tick) * step).take_while(|tick| *tick <= most) {
        let anchor = if tick > most - step / 4.0 { "end" } else { "middle" };
        let _ = write!(
            inside,
            "<text class=\"soft\" text-anchor=\"{anchor}\" x=\"{:.1}\" y=\"{:.1}\">{tick:.0}</text>",
            x(tick),
            height + 16.0
        );
    }
    for (index, quantiles) in columns.iter().enumerate() {
        let points = quantiles.iter().zip(0_u32..).filter(|(value, _)| **value <= most);
        let points =
            points.map(|(value, pct)| format!("{:.1},{:.1}", x(*value), y(f64::from(pct))));
        let _ = write!(
            inside,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" points=\"{}\"/>",
            colour(index),
            points.collect::<Vec<_>>().join(" ")
        );
    }
    for (index, name) in names.iter().enumerate() {
        let y = SIDE.1 + 16.0 + index as f64 * 16.0;
        let _ = write!(
            inside,
            "<rect x=\"{MARGIN}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{}\"/>\
             <text x=\"{}\" y=\"{y:.1}\">{}</text>",
            y - 9.0,
            colour(index),
            MARGIN + 16.0,
            escaped(name)
        );
    }
    figure(title, SIDE.0, SIDE.1 + 22.0 + names.len() as f64 * 16.0, &inside)
}

/// The least of 1, 2, 5, 10, 20, … that is at least `least`.
fn round_step(least: f64) -> f64 {
    let magnitude = 10_f64.powf(least.max(1.0).log10().floor());
    let rounds = [1.0, 2.0, 5.0].map(|digit| digit * magnitude);
    rounds.into_iter().find(|step| *step >= least).unwrap_or(10.0 * magnitude)
}

fn at_most(pct: f64) -> String {
    format!("{pct:.0} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_at_round_values() {
        let steps = [0.2, 1.0, 1.1, 2.5, 14.0, 181.5, 600.0].map(round_step);
        assert_eq!(steps, [1.0, 1.0, 2.0, 5.0, 20.0, 200.0, 1_000.0]);
    }
}
