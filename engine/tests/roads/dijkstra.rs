//! Plain Dijkstra over the streets of a network: what the hierarchy must equal.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use muster_engine::roads::RoadNetwork;

/// Streets by the node they leave.
pub(crate) struct Dijkstra {
    leaving: Vec<Vec<(usize, u64)>>,
}

impl Dijkstra {
    pub(crate) fn of(network: &RoadNetwork) -> Self {
        let mut leaving = vec![Vec::new(); network.positions().len()];
        for street in network.streets() {
            let cost = (u64::from(street.time_ms) << 32) | u64::from(street.length_dm);
            leaving[street.from as usize].push((street.to as usize, cost));
        }
        Self { leaving }
    }

    /// Milliseconds and decimetres of the fastest way from a node to every other one.
    pub(crate) fn from(&self, node: usize) -> Vec<Option<(u32, u32)>> {
        let mut best = vec![u64::MAX; self.leaving.len()];
        best[node] = 0;
        let mut heap = BinaryHeap::from([Reverse((0_u64, node))]);
        while let Some(Reverse((cost, node))) = heap.pop() {
            if cost > best[node] {
                continue;
            }
            for (to, way) in &self.leaving[node] {
                let cost = cost + way;
                if cost < best[*to] {
                    best[*to] = cost;
                    heap.push(Reverse((cost, *to)));
                }
            }
        }
        let parts = |cost: u64| ((cost >> 32) as u32, cost as u32);
        best.into_iter().map(|cost| (cost != u64::MAX).then(|| parts(cost))).collect()
    }
}
