//! A headline as a plot: a bar a contender, the rounds' spread on it, the target as a line.

use anyhow::anyhow;
use plotters::coord::ranged1d::{SegmentedCoord, ValueFormatter};
use plotters::coord::types::RangedCoordusize;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::headline::{Headline, Target};
use crate::number::{number, quantity};
use crate::page::plain;
use crate::suite::{Figure, Spread, Suite};

const WIDTH: u32 = 760;
/// Height of a bar with the gap around it, and of what is around all bars.
const BAR: u32 = 34;
const AROUND: u32 = 104;
const NAMES: u32 = 210;
/// Where the greatest is so many times the least, the axis is logarithmic.
const LINEAR_UP_TO: f64 = 20.0;

// Fixed colours on a background of their own are readable in light and dark surroundings.
const BACKGROUND: RGBColor = RGBColor(250, 250, 248);
const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(222, 222, 218);
const OWN: RGBColor = RGBColor(32, 102, 168);
const OTHER: RGBColor = RGBColor(164, 170, 178);
const TARGET: RGBColor = RGBColor(196, 62, 52);

struct Bar {
    name: String,
    own: bool,
    spread: Spread,
}

/// The plot of a headline, as SVG; nothing when its figure was not measured.
///
/// # Errors
/// When it cannot be drawn.
pub(crate) fn plot(headline: &Headline, suites: &[Suite]) -> anyhow::Result<Option<String>> {
    let bars = bars(headline, suites);
    if bars.is_empty() {
        return Ok(None);
    }
    let target = headline.target().map(|target| match target {
        Target::AtLeast(value) | Target::AtMost(value) => value,
    });
    let mut svg = String::new();
    draw(&mut svg, headline, &bars, target).map_err(|error| anyhow!("a plot: {error}"))?;
    svg.push('\n');
    Ok(Some(svg))
}

/// Everybody who has a figure of the headline's path and unit, and what was measured elsewhere.
fn bars(headline: &Headline, suites: &[Suite]) -> Vec<Bar> {
    let suite = suites.iter().find(|suite| suite.name == headline.suite);
    let same = |f: &&Figure| f.path == headline.path && f.unit == headline.unit;
    let figures = suite.into_iter().flat_map(|suite| suite.figures.iter().filter(same));
    let mut bars: Vec<Bar> = figures
        .map(|figure| Bar {
            name: figure.contender.clone(),
            own: figure.contender == headline.contender,
            spread: figure.spread(),
        })
        .collect();
    if !bars.iter().any(|bar| bar.own) {
        return Vec::new();
    }
    if let Some(beside) = &headline.beside
        && let Some(value) = beside.value
    {
        let spread = Spread { median: value, range: (value, value) };
        bars.push(Bar { name: beside.contender.clone(), own: false, spread });
    }
    bars
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw(svg: &mut String, headline: &Headline, bars: &[Bar], target: Option<f64>) -> Drawn {
    let height = AROUND + BAR * bars.len() as u32;
    let area = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    area.fill(&BACKGROUND)?;
    let title = ("sans-serif", 19).into_font().color(&INK);
    let area = area.titled(&plain(&headline.title), title)?;
    let shown =
        || bars.iter().flat_map(|bar| [bar.spread.range.0, bar.spread.range.1]).chain(target);
    let least = shown().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    let most = shown().fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&area);
    chart.margin(10).margin_right(16).x_label_area_size(40).y_label_area_size(NAMES);
    let rows = (0..bars.len()).into_segmented();
    if most > least * LINEAR_UP_TO {
        // Half a decade to the left of the least, so that its bar is seen, and room for the labels.
        let (from, to) = (least / 3.0, most * (most / least).powf(0.25));
        let chart = chart.build_cartesian_2d((from..to).log_scale(), rows)?;
        fill(chart, headline, bars, target, from)?;
    } else {
        let chart = chart.build_cartesian_2d(0.0..most * 1.3, rows)?;
        fill(chart, headline, bars, target, 0.0)?;
    }
    area.present()?;
    Ok(())
}

type Rows = SegmentedCoord<RangedCoordusize>;

fn fill<X>(
    mut chart: ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, Rows>>,
    headline: &Headline,
    bars: &[Bar],
    target: Option<f64>,
    from: f64,
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let small = ("sans-serif", 16).into_font().color(&INK);
    // The first contender stands at the top.
    let row = |place: usize| bars.len() - 1 - place;
    let name = |segment: &SegmentValue<usize>| match segment {
        SegmentValue::CenterOf(at) | SegmentValue::Exact(at) => bars
            .len()
            .checked_sub(1 + at)
            .map_or_else(String::new, |place| bars[place].name.clone()),
        SegmentValue::Last => String::new(),
    };
    let unit = headline.unit.trim_start_matches('/');
    let unit = if unit == headline.unit { unit.to_owned() } else { format!("per {unit}") };
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh().light_line_style(TRANSPARENT).bold_line_style(FAINT);
    mesh.axis_style(FAINT).label_style(small.clone()).x_desc(unit);
    mesh.x_labels(6).y_labels(bars.len()).x_label_formatter(&|value| number(*value));
    mesh.y_label_formatter(&name).draw()?;
    for (place, bar) in bars.iter().enumerate() {
        let (at, (least, most)) = (row(place), bar.spread.range);
        let ends =
            [(from, SegmentValue::Exact(at)), (bar.spread.median, SegmentValue::Exact(at + 1))];
        let mut shape = Rectangle::new(ends, if bar.own { OWN } else { OTHER }.filled());
        shape.set_margin(6, 6, 0, 0);
        chart.draw_series([shape])?;
        let middle = SegmentValue::CenterOf(at);
        let whisker = [(least, middle.clone()), (most, middle.clone())];
        chart.draw_series([PathElement::new(whisker, INK.stroke_width(2))])?;
        let style = small.clone().pos(Pos::new(HPos::Left, VPos::Center));
        let told = quantity(bar.spread.median, &headline.unit);
        let label = EmptyElement::at((most.max(bar.spread.median), middle))
            + Text::new(told, (7, 0), style);
        chart.draw_series([label])?;
    }
    if let Some(target) = target {
        let line = [(target, SegmentValue::Exact(0)), (target, SegmentValue::Exact(bars.len()))];
        chart.draw_series([PathElement::new(line, TARGET.stroke_width(2))])?;
        let style =
            ("sans-serif", 15).into_font().color(&TARGET).pos(Pos::new(HPos::Center, VPos::Bottom));
        let top = EmptyElement::at((target, SegmentValue::Exact(bars.len())));
        chart.draw_series([top + Text::new("target".to_owned(), (0, -1), style)])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Better;

    fn headline() -> Headline {
        Headline::parse(
            "[[headline]]\nname = \"moves\"\ntitle = \"Moves\"\nsuite = \"peers\"\npath = \"moves\"\n\
             unit = \"/s\"\nat_least = 15",
        )
        .unwrap()
        .remove(0)
    }

    #[test]
    fn a_plot_names_everybody_and_is_the_same_each_time() {
        let mut suite = Suite::new("peers", "Peers", "scripts/peers");
        suite.add("moves", "muster", "/s", Better::Higher, &[3_000.0, 2_000.0, 2_500.0]);
        suite.add("moves", "Redis GEO", "/s", Better::Higher, &[2.0, 1.0, 2.5]);
        suite.add("moves", "muster", "p99 µs", Better::Lower, &[1.0]);
        let draw = || plot(&headline(), std::slice::from_ref(&suite)).unwrap().unwrap();
        let svg = draw();
        assert!(svg.contains("Redis GEO") && svg.contains("2,500/s") && svg.contains("target"));
        assert!(!svg.contains("p99"), "another unit's figure is not in it");
        assert_eq!(svg, draw());
    }

    #[test]
    fn what_was_not_measured_has_no_plot() {
        assert!(plot(&headline(), &[]).unwrap().is_none());
    }
}
