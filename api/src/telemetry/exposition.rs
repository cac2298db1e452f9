//! The text of `GET /metrics`.

use super::metrics::Metrics;

/// Content type of the OpenMetrics text format, served when the client asks for it.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Content type of the classic Prometheus text format.
pub const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Room for the text of a busy city: a text that grows by doubling is copied and cleared again and
/// again on a thread that serves phones.
const TEXT_BYTES: usize = 512 * 1024;

/// All metrics, as OpenMetrics or in the classic format: there a counter's name carries `_total` in
/// its comments too, and neither units nor an end mark exist.
pub fn render(metrics: &Metrics, open_metrics: bool) -> String {
    let mut text = String::with_capacity(TEXT_BYTES);
    // Writing to a String does not fail.
    let _infallible = prometheus_client::encoding::text::encode(&mut text, metrics.registry());
    if open_metrics { text } else { classic(&text) }
}

fn classic(text: &str) -> String {
    let counters: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut out = String::with_capacity(text.len());
    for line in text.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let name = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        let name = name.and_then(|rest| rest.split(' ').next());
        match name.filter(|name| counters.contains(name)) {
            Some(name) => out.push_str(&line.replacen(name, &format!("{name}_total"), 1)),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classic_format_names_counters_as_their_samples_do() {
        let metrics = Metrics::new();
        let text = render(&metrics, false);
        assert!(text.contains("# TYPE muster_invariant_violations_total counter\n"), "{text}");
        assert!(text.contains("muster_invariant_violations_total{invariant=\"M1\"} 0\n"), "{text}");
        assert!(!text.contains("# EOF"));
    }

    #[test]
    fn open_metrics_ends_with_its_end_mark() {
        assert!(render(&Metrics::new(), true).ends_with("# EOF\n"));
    }
}
