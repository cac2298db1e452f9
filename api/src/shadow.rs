//! `muster shadow`: asks a running server what its shadow policies would have decided.

use std::fmt::Write;
use std::process::ExitCode;

use serde::Deserialize;

use crate::cli::ShadowArgs;
use crate::explain::ask;
use crate::wire::{DistributionView, ShadowSideView, ShadowView};

/// What `GET /v1/markets` answers, as far as it is read.
#[derive(Debug, Deserialize)]
struct Markets {
    markets: Vec<Market>,
}

#[derive(Debug, Deserialize)]
struct Market {
    market: String,
}

/// Prints a table per market with a shadow.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's result")]
pub fn run(args: &ShadowArgs) -> ExitCode {
    let asked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime could not start: {error}"))
        .and_then(|runtime| runtime.block_on(tables(args)));
    match asked {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("muster shadow: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn tables(args: &ShadowArgs) -> Result<String, String> {
    let server = args.url.trim_end_matches('/');
    let url = |market: &str| format!("{server}/v1/markets/{market}/shadow");
    if let Some(market) = &args.market {
        return Ok(table(&ask::<ShadowView>(&url(market)).await?));
    }
    let markets = ask::<Markets>(&format!("{server}/v1/markets")).await?.markets;
    let mut tables = Vec::new();
    let mut without = Vec::new();
    for Market { market } in markets {
        match ask::<ShadowView>(&url(&market)).await {
            Ok(view) => tables.push(table(&view)),
            Err(error) => without.push(error),
        }
    }
    if tables.is_empty() { Err(without.join("\n")) } else { Ok(tables.join("\n")) }
}

/// Both policies over the same rides, a line per quantity.
fn table(view: &ShadowView) -> String {
    let mut out = String::new();
    let keys = view.policy.iter().map(|(key, value)| format!("{key} = {value}"));
    let keys = keys.collect::<Vec<_>>().join(", ");
    let keys = if keys.is_empty() { "the market's own policy".to_owned() } else { keys };
    line(
        &mut out,
        &format!("{}: {} rides since {}, shadow: {keys}", view.market, view.rides, view.since),
    );
    row(&mut out, "", "real", "shadow");
    let served = |side: &ShadowSideView| shown(side.served_percent, "%");
    row(&mut out, "served", &served(&view.real), &served(&view.shadow));
    times(&mut out, "decided after", view, |side| side.decided_ms, 1_000.0);
    times(&mut out, "assigned after", view, |side| side.assigned_ms, 1_000.0);
    times(&mut out, "pickup ETA", view, |side| side.pickup_eta_s, 1.0);
    line(
        &mut out,
        &format!(
            "  same driver: {} of {} rides served by both",
            shown(view.same_driver_percent, "%"),
            view.served_by_both
        ),
    );
    let unseen = [
        (view.rides_skipped, "rides not followed"),
        (view.rides_lost, "rides whose end was not heard of"),
        (view.news_dropped, "news dropped"),
    ];
    for (count, what) in unseen.into_iter().filter(|(count, _)| *count > 0) {
        line(&mut out, &format!("  {count} {what}"));
    }
    out
}

fn times(
    out: &mut String,
    what: &str,
    view: &ShadowView,
    of: impl Fn(&ShadowSideView) -> DistributionView,
    per_second: f64,
) {
    let (real, shadow) = (of(&view.real), of(&view.shadow));
    let quantile = |value: Option<u64>| value.map(|value| value as f64);
    for (name, value) in [
        ("mean", (real.mean, shadow.mean)),
        ("p50", (quantile(real.p50), quantile(shadow.p50))),
        ("p90", (quantile(real.p90), quantile(shadow.p90))),
    ] {
        let seconds = |value: Option<f64>| shown(value.map(|value| value / per_second), " s");
        row(out, &format!("{what} {name}"), &seconds(value.0), &seconds(value.1));
    }
}

fn shown(value: Option<f64>, unit: &str) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}{unit}"))
}

fn row(out: &mut String, what: &str, real: &str, shadow: &str) {
    line(out, format!("  {what:<22}{real:>10}{shadow:>10}").trim_end());
}

fn line(out: &mut String, text: &str) {
    // A string takes whatever is written to it.
    let _infallible = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_both_policies_side_by_side_and_a_dash_for_what_nobody_knows() {
        let side = |served, eta| ShadowSideView {
            served,
            served_percent: Some(served as f64 * 10.0),
            pickup_eta_s: DistributionView { mean: Some(eta), p50: Some(90), p90: Some(300) },
            decided_ms: DistributionView { mean: Some(1_500.0), p50: Some(20), p90: Some(4_000) },
            assigned_ms: DistributionView { mean: None, p50: None, p90: None },
        };
        let view = ShadowView {
            market: "nyc".to_owned(),
            mode: "batched".to_owned(),
            policy: [("mode".to_owned(), "batched".into())].into(),
            version: 3,
            since: "2026-01-01T00:00:00.000Z".to_owned(),
            rides: 10,
            served_by_both: 7,
            same_driver_percent: Some(42.9),
            rides_followed: 2,
            rides_skipped: 0,
            rides_lost: 1,
            news_dropped: 0,
            real: side(8, 180.4),
            shadow: side(9, 150.0),
        };
        let text = table(&view);
        let lines: Vec<&str> = text.lines().collect();
        let first = "nyc: 10 rides since 2026-01-01T00:00:00.000Z, shadow: mode = \"batched\"";
        assert_eq!(lines[0], first);
        assert!(lines.contains(&"  served                     80.0%     90.0%"), "{text}");
        assert!(lines.contains(&"  decided after p90          4.0 s     4.0 s"), "{text}");
        assert!(lines.contains(&"  assigned after mean            -         -"), "{text}");
        assert!(lines.contains(&"  pickup ETA mean          180.4 s   150.0 s"), "{text}");
        assert!(lines.contains(&"  same driver: 42.9% of 7 rides served by both"), "{text}");
        assert_eq!(lines.last(), Some(&"  1 rides whose end was not heard of"));
    }
}
