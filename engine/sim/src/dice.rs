//! Randomness as a tree: every user has a generator of its own, named by its path from the seed, so
//! a new draw in one place does not reshuffle the others.

use muster_engine::id::stable_hash;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One generator of the tree.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    seed: u64,
    rng: ChaCha8Rng,
}

impl Dice {
    /// The root of a seed's tree.
    pub(crate) fn root(seed: u64) -> Self {
        Self { seed, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The child with this name; depends on the path alone, not on what was drawn before.
    #[must_use]
    pub(crate) fn child(&self, name: &str) -> Self {
        Self::root(stable_hash(name.as_bytes(), self.seed))
    }

    /// The `ordinal`-th child with this name.
    #[must_use]
    pub(crate) fn nth_child(&self, name: &str, ordinal: usize) -> Self {
        let named = stable_hash(name.as_bytes(), self.seed);
        Self::root(stable_hash(&ordinal.to_le_bytes(), named))
    }

    /// A whole number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.rng.random_range(low..=high.max(low))
    }

    /// A place in a list of `len` things; 0 when there is none.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        if len < 2 { 0 } else { self.rng.random_range(0..len) }
    }

    /// A number in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.rng.random()
    }

    /// True with this probability; draws nothing when it cannot be.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_the_same_whatever_its_parent_has_drawn() {
        let (mut one, two) = (Dice::root(7), Dice::root(7));
        one.between(0, 1_000);
        assert_eq!(one.child("gps").unit(), two.child("gps").unit());
        assert_ne!(two.child("gps").unit(), two.child("store").unit());
        assert_ne!(two.nth_child("gps", 1).unit(), two.nth_child("gps", 2).unit());
    }
}
