//! How long a dispatch window is, and what a request costs that is left for the next.

use super::dispatch::DispatchPolicy;

/// Requests per thousand drivers up to which windows are as short as they may be.
const AMPLE_PERMILLE: u64 = 500;

/// Requests per thousand drivers from which on windows are as long as they may be.
const SCARCE_PERMILLE: u64 = 1_000;

impl DispatchPolicy {
    /// The length of a dispatch window in milliseconds, after one in which there were `requests` for
    /// `drivers`: where drivers abound a longer wait gains nothing, where they are scarce it does.
    pub fn window_ms(&self, requests: usize, drivers: usize) -> u64 {
        let permille = (requests as u64 * 1_000).checked_div(drivers as u64);
        let crowding = permille.unwrap_or(if requests > 0 { SCARCE_PERMILLE } else { 0 });
        let above = crowding.clamp(AMPLE_PERMILLE, SCARCE_PERMILLE) - AMPLE_PERMILLE;
        let room = self.batch_window_ms - self.batch_window_ms_min.min(self.batch_window_ms);
        self.batch_window_ms_min + room * above / (SCARCE_PERMILLE - AMPLE_PERMILLE)
    }

    /// What it costs to leave a request unserved that has waited for `waited_ms`, in milliseconds to
    /// the pickup.
    pub fn unserved_ms(&self, waited_ms: u64) -> i64 {
        let aged = u128::from(waited_ms) * u128::from(self.match_age_permille) / 1_000;
        let cost = u128::from(self.match_unserved_s) * 1_000 + aged;
        i64::try_from(cost).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_short_where_drivers_abound_and_long_where_they_are_scarce() {
        let policy = DispatchPolicy {
            batch_window_ms: 10_000,
            batch_window_ms_min: 2_000,
            ..DispatchPolicy::default()
        };
        let lengths = [(0, 0), (1, 20), (50, 100), (75, 100), (100, 100), (300, 100), (1, 0)]
            .map(|(requests, drivers)| policy.window_ms(requests, drivers));
        assert_eq!(lengths, [2_000, 2_000, 2_000, 6_000, 10_000, 10_000, 10_000]);
        let fixed = DispatchPolicy { batch_window_ms_min: 10_000, ..policy };
        assert_eq!([(1, 20), (300, 100)].map(|(r, d)| fixed.window_ms(r, d)), [10_000; 2]);
    }

    #[test]
    fn a_window_is_not_shorter_than_its_minimum() {
        let crossed = DispatchPolicy {
            batch_window_ms: 1_000,
            batch_window_ms_min: 2_000,
            ..DispatchPolicy::default()
        };
        let error = crossed.clone().validated().unwrap_err();
        assert_eq!(error.key, "batch_window_ms");
        assert_eq!(crossed.reconciled().batch_window_ms, 2_000);
    }

    #[test]
    fn a_request_costs_the_more_the_longer_it_has_waited() {
        let policy = DispatchPolicy {
            match_unserved_s: 600,
            match_age_permille: 1_500,
            ..DispatchPolicy::default()
        };
        assert_eq!([0, 10_000].map(|waited| policy.unserved_ms(waited)), [600_000, 615_000]);
        let ageless = DispatchPolicy { match_age_permille: 0, ..policy };
        assert_eq!(ageless.unserved_ms(10_000), 600_000);
        assert_eq!(ageless.unserved_ms(u64::MAX), 600_000);
    }
}
