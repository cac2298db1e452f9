//! How long a dispatch window is, and what a request costs that is left for the next.

use super::dispatch::DispatchPolicy;

impl DispatchPolicy {
    /// The length of a dispatch window in milliseconds, where the newest matches need `pickup_ms` to
    /// their pickups on average: where those are short a longer wait costs more than it finds, where
    /// they are long it finds more.
    pub fn window_ms(&self, pickup_ms: u64) -> u64 {
        let ample_ms = u64::from(self.batch_ample_pickup_s) * 1_000;
        let scarce_ms = u64::from(self.batch_scarce_pickup_s) * 1_000;
        let room = self.batch_window_ms - self.batch_window_ms_min.min(self.batch_window_ms);
        let longer = match pickup_ms {
            short if short <= ample_ms => 0,
            long if long >= scarce_ms => room,
            some => room * (some - ample_ms) / (scarce_ms - ample_ms),
        };
        self.batch_window_ms_min + longer
    }

    /// The longest time to the pickup in seconds in a window with `requests` for `drivers`; nothing
    /// where it does not depend on them.
    ///
    /// Where drivers are scarce, whoever is matched from afar spends his time on the way, and is the
    /// scarcer for it: the wild goose chase of Castillo, Knoepfle and Weyl. Shorter ways serve more.
    pub fn pickup_eta_cap_s(&self, requests: usize, drivers: usize) -> Option<u32> {
        if self.pickup_eta_s_min == 0 {
            return None;
        }
        let (ample, scarce) = (self.pickup_eta_ample_permille, self.pickup_eta_scarce_permille);
        let (ample, scarce) = (u64::from(ample), u64::from(scarce));
        let permille = (requests as u64 * 1_000).checked_div(drivers as u64).unwrap_or(u64::MAX);
        let room = u64::from(self.pickup_eta_s_max.saturating_sub(self.pickup_eta_s_min));
        let cut = match permille {
            few if few <= ample => 0,
            many if many >= scarce => room,
            some => room * (some - ample) / (scarce - ample),
        };
        Some(self.pickup_eta_s_max - u32::try_from(cut).unwrap_or(0))
    }

    /// What it costs to leave a request unserved that has waited for `waited_ms`, in milliseconds to
    /// the pickup, in a window with `requests` for `drivers`.
    ///
    /// Its age counts as far as there are drivers, squared. Where nearly all can be served it decides who
    /// of the few others has waited enough. Where most cannot, to serve the oldest first is to send every
    /// driver to wherever that is: all wait longer, and so do the oldest.
    pub fn unserved_ms(&self, waited_ms: u64, requests: usize, drivers: usize) -> i64 {
        let (requests, drivers) = (requests.max(1) as u128, drivers.min(requests.max(1)) as u128);
        let aged = u128::from(waited_ms) * u128::from(self.match_age_permille) / 1_000;
        let aged = aged.saturating_mul(drivers * drivers) / (requests * requests);
        let cost = u128::from(self.match_unserved_s) * 1_000 + aged;
        i64::try_from(cost).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_short_where_pickups_are_and_long_where_drivers_come_from_afar() {
        let policy = DispatchPolicy {
            batch_window_ms: 10_000,
            batch_window_ms_min: 2_000,
            batch_ample_pickup_s: 60,
            batch_scarce_pickup_s: 100,
            ..DispatchPolicy::default()
        };
        let lengths = |policy: &DispatchPolicy| {
            [0, 60_000, 80_000, 100_000, 900_000].map(|pickup_ms| policy.window_ms(pickup_ms))
        };
        assert_eq!(lengths(&policy), [2_000, 2_000, 6_000, 10_000, 10_000]);
        let at_once = DispatchPolicy { batch_scarce_pickup_s: 60, ..policy.clone() };
        assert_eq!(lengths(&at_once), [2_000, 2_000, 10_000, 10_000, 10_000]);
        let fixed = DispatchPolicy { batch_window_ms_min: 10_000, ..policy };
        assert_eq!(lengths(&fixed), [10_000; 5]);
    }

    #[test]
    fn pickups_that_make_windows_long_are_not_shorter_than_those_that_keep_them_short() {
        let crossed = DispatchPolicy {
            batch_ample_pickup_s: 100,
            batch_scarce_pickup_s: 90,
            ..DispatchPolicy::default()
        };
        let error = crossed.clone().validated().unwrap_err();
        assert_eq!(error.key, "batch_scarce_pickup_s");
        assert_eq!(crossed.reconciled().batch_scarce_pickup_s, 100);
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
    fn the_pickup_cap_tightens_from_pickup_eta_s_max_to_pickup_eta_s_min_as_drivers_get_scarce() {
        let policy = DispatchPolicy {
            pickup_eta_s_min: 200,
            pickup_eta_s_max: 600,
            pickup_eta_ample_permille: 500,
            pickup_eta_scarce_permille: 1_500,
            ..DispatchPolicy::default()
        };
        let caps = |policy: &DispatchPolicy| {
            [(1, 20), (50, 100), (100, 100), (150, 100), (900, 100), (3, 0)]
                .map(|(requests, drivers)| policy.pickup_eta_cap_s(requests, drivers))
        };
        let tightening = [600, 600, 400, 200, 200, 200].map(Some);
        assert_eq!(caps(&policy), tightening);
        let at_once = DispatchPolicy { pickup_eta_scarce_permille: 500, ..policy.clone() };
        assert_eq!(caps(&at_once), [600, 600, 200, 200, 200, 200].map(Some));
        let fixed = DispatchPolicy { pickup_eta_s_min: 0, ..policy };
        assert_eq!(caps(&fixed), [None; 6]);
    }

    #[test]
    fn a_pickup_cap_needs_room_between_its_ends() {
        let error = |policy: DispatchPolicy| policy.validated().unwrap_err().to_string();
        let unbounded = DispatchPolicy { pickup_eta_s_min: 60, ..DispatchPolicy::default() };
        let text = "pickup_eta_s_max is 0, allowed is pickup_eta_s_min..=86400";
        assert_eq!(error(unbounded.clone()), text);
        assert_eq!(unbounded.reconciled().pickup_eta_s_max, 60);
        let crossed =
            DispatchPolicy { pickup_eta_scarce_permille: 400, ..DispatchPolicy::default() };
        assert!(error(crossed.clone()).starts_with("pickup_eta_scarce_permille is 400"));
        assert_eq!(crossed.reconciled().pickup_eta_scarce_permille, 500);
    }

    #[test]
    fn a_request_costs_the_more_the_longer_it_has_waited() {
        let policy = DispatchPolicy {
            match_unserved_s: 600,
            match_age_permille: 1_500,
            ..DispatchPolicy::default()
        };
        let costs = |waited_ms| policy.unserved_ms(waited_ms, 4, 4);
        assert_eq!([0, 10_000].map(costs), [600_000, 615_000]);
        let ageless = DispatchPolicy { match_age_permille: 0, ..policy.clone() };
        assert_eq!(
            [10_000, u64::MAX].map(|waited| ageless.unserved_ms(waited, 4, 4)),
            [600_000; 2]
        );
        assert_eq!(policy.unserved_ms(u64::MAX, 10_000, 10_000), i64::MAX);
    }

    #[test]
    fn its_age_counts_the_less_the_fewer_drivers_there_are() {
        let policy = DispatchPolicy {
            match_unserved_s: 600,
            match_age_permille: 1_000,
            ..DispatchPolicy::default()
        };
        let extra_ms = [(1, 9), (4, 4), (4, 2), (4, 1), (4, 0), (0, 0)]
            .map(|(requests, drivers)| policy.unserved_ms(64_000, requests, drivers) - 600_000);
        assert_eq!(extra_ms, [64_000, 64_000, 16_000, 4_000, 0, 0]);
    }
}
