//! Riders a driver is kept from for a while, because he cancelled on them.

use std::collections::BTreeMap;

use crate::driver::seldom::{Blank, Seldom};
use crate::id::RiderId;
use crate::time::Timestamp;

/// Riders one driver is kept from at once; beyond it the block that ends soonest is dropped.
pub const RIDER_BLOCKS_MAX: usize = 32;

/// The riders, each until an instant; at most [`RIDER_BLOCKS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct RiderBlocks(Seldom<BTreeMap<RiderId, Timestamp>>);

impl Blank for BTreeMap<RiderId, Timestamp> {
    fn blank() -> &'static Self {
        static BLANK: BTreeMap<RiderId, Timestamp> = BTreeMap::new();
        &BLANK
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

impl RiderBlocks {
    /// No rider.
    pub(super) const NONE: Self = Self(Seldom::BLANK);

    /// Whether the driver is kept from the rider at `now`.
    pub fn hold(&self, rider: &RiderId, now: Timestamp) -> bool {
        self.0.get(rider).is_some_and(|until| *until > now)
    }

    /// Whether no rider is in the list, in force or not.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps the driver from the rider until `until`, and forgets what is over at `now`.
    pub fn add(&mut self, rider: &RiderId, until: Timestamp, now: Timestamp) {
        let known = self.0.made();
        known.retain(|_, end| *end > now);
        let end = known.entry(rider.clone()).or_insert(until);
        *end = until.max(*end);
        if known.len() > RIDER_BLOCKS_MAX {
            let soonest = known.iter().min_by_key(|(_, end)| **end).map(|(rider, _)| rider.clone());
            soonest.map(|rider| known.remove(&rider));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn rider(number: usize) -> RiderId {
        RiderId::new(&format!("r{number}")).unwrap()
    }

    #[test]
    fn a_block_ends_by_itself_and_is_forgotten_with_the_next_one() {
        let mut blocks = RiderBlocks::default();
        blocks.add(&rider(1), at(100), at(0));
        assert!(blocks.hold(&rider(1), at(99)) && !blocks.hold(&rider(1), at(100)));
        assert!(!blocks.hold(&rider(2), at(0)));
        blocks.add(&rider(1), at(50), at(0));
        assert!(blocks.hold(&rider(1), at(99)), "a later end is kept");
        blocks.add(&rider(2), at(200), at(100));
        assert_eq!(blocks.0.len(), 1);
    }

    #[test]
    fn one_more_than_the_limit_drops_the_one_that_ends_soonest() {
        let mut blocks = RiderBlocks::default();
        for number in 0..=RIDER_BLOCKS_MAX {
            let until = if number == 7 { 500 } else { 1_000 + number as u64 };
            blocks.add(&rider(number), at(until), at(0));
        }
        assert_eq!(blocks.0.len(), RIDER_BLOCKS_MAX);
        assert!(!blocks.hold(&rider(7), at(0)) && blocks.hold(&rider(8), at(0)));
    }
}
