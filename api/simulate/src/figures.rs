//! What is measured: every figure with its name, unit and digits, and what several runs say of it.

use std::collections::BTreeMap;

use serde::Serialize;

/// A figure of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    /// Its name in JSON.
    pub(crate) key: &'static str,
    /// Its name in tables.
    pub(crate) label: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) digits: usize,
}

const fn figure(
    key: &'static str,
    label: &'static str,
    unit: &'static str,
    digits: usize,
) -> Figure {
    Figure { key, label, unit, digits }
}

/// All figures in the order of the table.
pub(crate) const FIGURES: [Figure; 29] = [
    figure("served_pct", "riders served", "%", 1),
    figure("assign_s_mean", "request to assignment, mean", "s", 1),
    figure("assign_s_p50", "  p50", "s", 1),
    figure("assign_s_p90", "  p90", "s", 1),
    figure("assign_s_p99", "  p99", "s", 1),
    figure("pickup_eta_s_mean", "way to pickup, mean", "s", 1),
    figure("pickup_eta_s_p50", "  p50", "s", 1),
    figure("pickup_eta_s_p90", "  p90", "s", 1),
    figure("total_s_mean", "request to pickup, mean", "s", 1),
    figure("total_s_p90", "  p90", "s", 1),
    figure("wait_s_p90", "wait of all riders, p90", "s", 1),
    figure("waited_60_s_pct", "  longer than 60 s", "%", 1),
    figure("waited_120_s_pct", "  longer than 120 s", "%", 1),
    figure("waited_240_s_pct", "  longer than 240 s", "%", 1),
    figure("cell_wait_s_p90_max", "  p90 in the worst cell", "s", 1),
    figure("cell_served_pct_min", "served in the worst cell", "%", 1),
    figure("on_trip_pct", "drivers with a rider", "%", 1),
    figure("to_pickup_pct", "  on the way to one", "%", 1),
    figure("idle_pct", "  idle", "%", 1),
    figure("earnings_gini", "Gini of drivers' earnings", "", 3),
    figure("idle_gini", "  of their idle time", "", 3),
    figure("offers_per_ride", "offers per ride", "", 2),
    figure("refused_per_ride", "  of these refused", "", 2),
    figure("reallocated_pct", "rides reallocated", "%", 2),
    figure("requested", "riders", "", 0),
    figure("served", "  served", "", 0),
    figure("windows", "dispatch windows", "", 0),
    figure("windows_not_optimal", "  not solved to the end", "", 0),
    figure("violations", "invariant violations", "", 0),
];

/// The figures of one run.
pub(crate) type Figures = BTreeMap<&'static str, f64>;

/// What the runs of several seeds say of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Estimate {
    /// Mean over the seeds.
    pub mean: f64,
    /// Half of the 95 % confidence interval of that mean (Student's t); absent for one seed.
    pub ci95: Option<f64>,
}

impl Estimate {
    /// The estimate from one value per seed.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let count = values.len();
        let mean = values.iter().sum::<f64>() / count.max(1) as f64;
        if count < 2 {
            return Self { mean, ci95: None };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (count - 1) as f64).sqrt();
        Self { mean, ci95: Some(t_975(count - 1) * deviation / (count as f64).sqrt()) }
    }
}

/// The 97.5 % quantile of Student's t.
fn t_975(freedom: usize) -> f64 {
    const T: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    T.get(freedom.saturating_sub(1)).copied().unwrap_or(1.96)
}

/// Values in order, to ask for quantiles.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// 0 of nothing.
    pub(crate) fn mean(&self) -> f64 {
        self.0.iter().sum::<f64>() / self.0.len().max(1) as f64
    }

    /// Linear between the two nearest; 0 of nothing.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let place = share.clamp(0.0, 1.0) * self.0.len().saturating_sub(1) as f64;
        let (below, above) = (place.floor() as usize, place.ceil() as usize);
        let at = |index: usize| self.0.get(index).copied().unwrap_or(0.0);
        at(below) + (at(above) - at(below)) * (place - below as f64)
    }

    /// How much of it is above `least`, in per cent.
    pub(crate) fn above_pct(&self, least: f64) -> f64 {
        let below = self.0.partition_point(|value| *value <= least);
        share_pct(self.0.len() - below, self.0.len())
    }

    /// Gini coefficient: 0 all alike, 1 one has all. 0 of nothing.
    pub(crate) fn gini(&self) -> f64 {
        let (count, sum) = (self.0.len() as f64, self.0.iter().sum::<f64>());
        if sum <= 0.0 {
            return 0.0;
        }
        let weighted: f64 = self.0.iter().zip(1_u32..).map(|(v, rank)| f64::from(rank) * v).sum();
        2.0 * weighted / (count * sum) - (count + 1.0) / count
    }
}

pub(crate) fn share_pct(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64 * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_has_students_interval() {
        let estimate = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(estimate.mean, 3.0);
        assert!((estimate.ci95.unwrap() - 1.963).abs() < 0.001, "{estimate:?}");
        assert_eq!(Estimate::of(&[7.0]), Estimate { mean: 7.0, ci95: None });
    }

    #[test]
    fn quantiles_and_shares_are_those_of_the_values() {
        let sample = Sample::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!((sample.quantile(0.5), sample.quantile(0.9)), (2.5, 3.7));
        assert_eq!((sample.mean(), sample.above_pct(2.0)), (2.5, 50.0));
        assert_eq!((Sample::default().quantile(0.5), Sample::default().mean()), (0.0, 0.0));
    }

    #[test]
    fn the_gini_coefficient_of_equals_is_none_and_of_one_who_has_all_nearly_one() {
        assert!(Sample::of([5.0; 10]).gini().abs() < 1e-12);
        let one = Sample::of((0..100).map(|n| if n == 0 { 1.0 } else { 0.0 }));
        assert!((one.gini() - 0.99).abs() < 1e-12);
    }

    #[test]
    fn every_figure_has_its_own_name() {
        let keys: std::collections::BTreeSet<&str> = FIGURES.iter().map(|f| f.key).collect();
        assert_eq!(keys.len(), FIGURES.len());
    }
}
