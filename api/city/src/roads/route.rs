//! The fastest route between two nodes: A* over travel time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Edge, NodeIndex, RoadNetwork};

/// Consecutive street segments, the first one leaving the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Route {
    /// For each segment: the node it ends at, its length and its driving time.
    pub steps: Vec<Step>,
}

/// One segment of a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The node it ends at.
    pub to: NodeIndex,
    /// Its length in metres.
    pub length_m: f64,
    /// Driving time in milliseconds.
    pub time_ms: u32,
}

impl From<Edge> for Step {
    fn from(edge: Edge) -> Self {
        Self { to: edge.to, length_m: f64::from(edge.length_m), time_ms: edge.time_ms }
    }
}

impl Route {
    /// Driven distance in metres.
    #[cfg(test)]
    pub fn length_m(&self) -> f64 {
        self.steps.iter().map(|step| step.length_m).sum()
    }

    /// Driving time in milliseconds.
    #[cfg(test)]
    pub fn time_ms(&self) -> u64 {
        self.steps.iter().map(|step| u64::from(step.time_ms)).sum()
    }
}

const UNREACHED: u32 = u32::MAX;

impl RoadNetwork {
    /// The fastest route; empty when both ends are the same node.
    ///
    /// The network is strongly connected, so there always is one.
    #[must_use]
    pub fn route(&self, from: NodeIndex, to: NodeIndex) -> Route {
        let goal = self.point(to);
        // Never more than the true remaining time: straight line at the highest speed.
        let remaining_ms = |node: NodeIndex| {
            (self.point(node).distance_m(goal) / self.speed_max_mps * 1_000.0) as u32
        };
        let mut best_ms = vec![UNREACHED; self.points.len()];
        // The edge by which a node is reached best, as (tail node, edge).
        let mut reached_by: Vec<Option<(NodeIndex, Edge)>> = vec![None; self.points.len()];
        let mut open = BinaryHeap::new();
        best_ms[from as usize] = 0;
        open.push(Reverse((remaining_ms(from), from, 0)));
        while let Some(Reverse((_, node, time_ms))) = open.pop() {
            if node == to {
                break;
            }
            if time_ms > best_ms[node as usize] {
                continue;
            }
            for &edge in self.leaving(node) {
                let candidate_ms = time_ms + edge.time_ms;
                if candidate_ms < best_ms[edge.to as usize] {
                    best_ms[edge.to as usize] = candidate_ms;
                    reached_by[edge.to as usize] = Some((node, edge));
                    let estimate_ms = candidate_ms + remaining_ms(edge.to);
                    open.push(Reverse((estimate_ms, edge.to, candidate_ms)));
                }
            }
        }
        let mut steps = Vec::new();
        let mut node = to;
        while node != from
            && let Some((tail, edge)) = reached_by[node as usize]
        {
            steps.push(Step::from(edge));
            node = tail;
        }
        steps.reverse();
        Route { steps }
    }
}
