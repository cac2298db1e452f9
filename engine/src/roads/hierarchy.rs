//! The contracted network: nodes numbered by importance, and two graphs that only lead upwards.

use super::contraction::{Contracted, Way};
use super::cost::PathCost;

/// A way to a more important node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Climb {
    pub(super) to: u32,
    pub(super) time_ms: u32,
    pub(super) length_dm: u32,
}

impl Climb {
    pub(super) fn cost(&self) -> PathCost {
        PathCost::new(self.time_ms, self.length_dm)
    }
}

/// Ways to more important nodes, those of node `n` at `climbs[first[n]..first[n + 1]]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upward {
    pub(super) first: Vec<u32>,
    pub(super) climbs: Vec<Climb>,
}

impl Upward {
    /// Ways that may be climbed from a node.
    pub(super) fn of(&self, node: u32) -> &[Climb] {
        let first = self.first[node as usize] as usize;
        &self.climbs[first..self.first[node as usize + 1] as usize]
    }

    /// How many nodes there are.
    pub(super) const fn nodes(&self) -> usize {
        self.first.len() - 1
    }

    fn new(order: &[u32], ways: &[Vec<Way>], rank_of: &[u32]) -> Self {
        let mut first = vec![0];
        let mut climbs = Vec::new();
        for node in order {
            let climb = |way: &Way| Climb {
                to: rank_of[way.node as usize],
                time_ms: way.cost.time_ms(),
                length_dm: way.cost.length_dm(),
            };
            climbs.extend(ways[*node as usize].iter().map(climb));
            first.push(climbs.len() as u32);
        }
        Self { first, climbs }
    }
}

/// The search graphs of a network whose nodes are numbered by importance.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Ways that are driven upwards.
    pub(super) ascending: Upward,
    /// Ways that are driven down to a node, from its side.
    pub(super) descending: Upward,
}

impl Hierarchy {
    /// The graphs, and the new number of each node.
    pub(super) fn of(contracted: &Contracted) -> (Self, Vec<u32>) {
        let mut rank_of = vec![0; contracted.order.len()];
        for (rank, node) in contracted.order.iter().enumerate() {
            rank_of[*node as usize] = rank as u32;
        }
        let upward = |ways: &[Vec<Way>]| Upward::new(&contracted.order, ways, &rank_of);
        let ascending = upward(&contracted.leaving);
        let descending = upward(&contracted.entering);
        (Self { ascending, descending }, rank_of)
    }
}
