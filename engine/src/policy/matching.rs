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
        assert_eq!([0, 10_000].map(|waited| policy.unserved_ms(waited)), [600_000, 615_000]);
        let ageless = DispatchPolicy { match_age_permille: 0, ..policy };
        assert_eq!(ageless.unserved_ms(10_000), 600_000);
        assert_eq!(ageless.unserved_ms(u64::MAX), 600_000);
    }
}
