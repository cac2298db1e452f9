//! `GET /metrics`, read as the text it is.

use crate::http::{Pool, Request};

/// The samples of one scrape.
#[derive(Debug, Clone, Default)]
pub struct Scrape {
    text: String,
}

impl Scrape {
    /// Scrapes the server.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn of(pool: &Pool) -> anyhow::Result<Self> {
        let answer = pool.call(&Request::get("/metrics")).await?;
        Ok(Self { text: String::from_utf8_lossy(&answer.body).into_owned() })
    }

    /// The samples of `name`: labels as text, and value.
    fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.text.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.split_once("} ")?,
                None => ("", rest.strip_prefix(' ')?),
            };
            Some((labels, value.split(' ').next()?.parse().ok()?))
        })
    }

    /// The sum over all labels.
    pub fn sum(&self, name: &str) -> f64 {
        self.samples(name).map(|(_, value)| value).sum()
    }

    /// The sum over the labels that contain `label`, such as `status="searching"`.
    pub fn sum_where(&self, name: &str, label: &str) -> f64 {
        self.samples(name).filter(|(labels, _)| labels.contains(label)).map(|(_, v)| v).sum()
    }

    /// The samples that are not 0, as text.
    pub fn not_zero(&self, name: &str) -> Vec<String> {
        let shown = |(labels, value): (&str, f64)| format!("{labels} = {value}");
        self.samples(name).filter(|(_, value)| *value != 0.0).map(shown).collect()
    }

    /// The upper bound of the histogram bucket that holds the `quantile` of what was observed since
    /// `before`, in the histogram's unit.
    pub fn quantile_since(&self, before: &Self, name: &str, quantile: f64) -> Option<f64> {
        let bucket = format!("{name}_bucket");
        let buckets = |scrape: &Self| {
            let mut all: Vec<(f64, f64)> = Vec::new();
            for (labels, value) in scrape.samples(&bucket) {
                let le = labels.split("le=\"").nth(1)?.split('"').next()?;
                let le = if le == "+Inf" { f64::INFINITY } else { le.parse().ok()? };
                match all.iter_mut().find(|(bound, _)| *bound == le) {
                    Some((_, sum)) => *sum += value,
                    None => all.push((le, value)),
                }
            }
            Some(all)
        };
        let (now, then) = (buckets(self)?, buckets(before).unwrap_or_default());
        let mut grown: Vec<(f64, f64)> = now
            .into_iter()
            .map(|(le, count)| {
                let old = then.iter().find(|(bound, _)| *bound == le).map_or(0.0, |(_, c)| *c);
                (le, count - old)
            })
            .collect();
        grown.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = grown.last()?.1;
        let found = grown.iter().find(|(_, count)| *count >= quantile * total);
        found.filter(|_| total > 0.0).map(|(le, _)| *le)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(text: &str) -> Scrape {
        Scrape { text: text.to_owned() }
    }

    #[test]
    fn samples_are_summed_over_their_labels() {
        let text = "# TYPE a gauge\na{s=\"x\"} 2\na{s=\"y\"} 3\na_b 7\nplain 4\n";
        let scrape = scrape(text);
        assert_eq!((scrape.sum("a"), scrape.sum("plain"), scrape.sum("none")), (5.0, 4.0, 0.0));
        assert_eq!(scrape.sum_where("a", "s=\"y\""), 3.0);
        assert_eq!(scrape.not_zero("a"), ["s=\"x\" = 2", "s=\"y\" = 3"]);
    }

    #[test]
    fn a_quantile_is_of_what_came_since() {
        let before = scrape("h_bucket{le=\"1\"} 10\nh_bucket{le=\"+Inf\"} 10\n");
        let after =
            scrape("h_bucket{le=\"1\"} 11\nh_bucket{le=\"2\"} 20\nh_bucket{le=\"+Inf\"} 20\n");
        assert_eq!(after.quantile_since(&before, "h", 0.05), Some(1.0));
        assert_eq!(after.quantile_since(&before, "h", 0.5), Some(f64::INFINITY).map(|_| 2.0));
        assert_eq!(before.quantile_since(&before, "h", 0.5), None);
    }
}
