//! The names of the keys. What is in braces is the hash tag: keys of one tag lie on one node.

use muster_engine::id::{DriverId, MarketId, RiderId, stable_hash};

/// Parts that the drivers of a market are spread over, so that no key grows beyond a part of a city
/// and the nodes of a cluster share the work.
pub const MIRROR_BUCKETS: u64 = 16;

/// Makes the names.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Names that begin with `prefix`.
    pub const fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// The part that a driver's position is in.
    pub fn bucket(driver: &DriverId) -> u64 {
        stable_hash(driver.as_str().as_bytes(), 0) % MIRROR_BUCKETS
    }

    /// The hash of newest positions: driver id → an entry.
    pub fn positions(&self, market: &MarketId, bucket: u64) -> String {
        format!("{}:{{{market}:{bucket:02}}}:positions", self.prefix)
    }

    /// The sorted set of drivers on duty by when they were last heard, in unix milliseconds.
    pub fn presence(&self, market: &MarketId, bucket: u64) -> String {
        format!("{}:{{{market}:{bucket:02}}}:presence", self.prefix)
    }

    /// The hash that says who owns a market: `address`, `epoch`, `process`.
    pub fn owner(&self, market: &MarketId) -> String {
        format!("{}:{{{market}}}:owner", self.prefix)
    }

    /// When the next ride request of a rider would be within his allowance.
    pub fn rider_rate(&self, rider: &RiderId) -> String {
        format!("{}:{{{rider}}}:ride-requests", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_together_has_one_hash_tag() {
        let keys = Keys::new("muster".to_owned());
        let market = MarketId::new("nyc").unwrap();
        assert_eq!(keys.positions(&market, 7), "muster:{nyc:07}:positions");
        assert_eq!(keys.presence(&market, 7), "muster:{nyc:07}:presence");
        assert_eq!(keys.owner(&market), "muster:{nyc}:owner");
        let rider = RiderId::new("r:17").unwrap();
        assert_eq!(keys.rider_rate(&rider), "muster:{r:17}:ride-requests");
        let buckets: std::collections::BTreeSet<u64> =
            (0..1_000).map(|n| Keys::bucket(&DriverId::new(&format!("d-{n}")).unwrap())).collect();
        assert_eq!(buckets.len() as u64, MIRROR_BUCKETS);
    }
}
