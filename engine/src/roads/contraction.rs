//! Contraction: nodes are taken out of the network one by one, least important first, and where a
//! shortest way led through one, a shortcut takes its place.
//!
//! What is left are two graphs that only lead to nodes taken out later. A shortest way between two
//! nodes is one that climbs in the first and then descends in the second.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cost::{PathCost, UNREACHABLE};

/// Nodes that the search for a way around settles at most. Too few only leave shortcuts that are
/// not needed.
const SETTLED_MAX: usize = 200;

/// A directed way to a neighbour, or from one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) node: u32,
    pub(super) cost: PathCost,
}

/// A network without its order.
pub(super) struct Contraction {
    leaving: Vec<Vec<Way>>,
    entering: Vec<Vec<Way>>,
    /// Nodes below this one, so that the order spreads over the network.
    level: Vec<u32>,
    witness: Witness,
}

/// The nodes in the order they were taken out, and each one's ways to and from those left then.
pub(super) struct Contracted {
    pub(super) order: Vec<u32>,
    pub(super) leaving: Vec<Vec<Way>>,
    pub(super) entering: Vec<Vec<Way>>,
}

struct Shortcut {
    from: u32,
    to: u32,
    cost: PathCost,
}

impl Contraction {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            leaving: vec![Vec::new(); nodes],
            entering: vec![Vec::new(); nodes],
            level: vec![0; nodes],
            witness: Witness::new(nodes),
        }
    }

    /// Adds a way, or makes the one there is cheaper.
    pub(super) fn connect(&mut self, from: u32, to: u32, cost: PathCost) {
        if from != to {
            improve(&mut self.leaving[from as usize], to, cost);
            improve(&mut self.entering[to as usize], from, cost);
        }
    }

    /// Takes all nodes out; `progress` hears how many are.
    pub(super) fn run(mut self, mut progress: impl FnMut(usize)) -> Contracted {
        let nodes = self.leaving.len();
        let mut queue: BinaryHeap<Reverse<(u32, u32)>> =
            (0..nodes as u32).map(|node| Reverse((self.importance(node), node))).collect();
        let mut order = Vec::with_capacity(nodes);
        while let Some(Reverse((_, node))) = queue.pop() {
            // Its neighbours may have gone since it was judged.
            let importance = self.importance(node);
            if queue.peek().is_some_and(|Reverse(next)| (importance, node) > *next) {
                queue.push(Reverse((importance, node)));
                continue;
            }
            self.take_out(node);
            order.push(node);
            progress(order.len());
        }
        Contracted { order, leaving: self.leaving, entering: self.entering }
    }

    /// In thousandths: shortcuts that come for ways that go, and how much lies below.
    fn importance(&mut self, node: u32) -> u32 {
        let ways = self.leaving[node as usize].len() + self.entering[node as usize].len();
        let shortcuts = self.shortcuts(node).len();
        let ratio = (shortcuts * 1_000).checked_div(ways).unwrap_or(0);
        self.level[node as usize] * 1_000 + u32::try_from(ratio).unwrap_or(u32::MAX / 2)
    }

    fn shortcuts(&mut self, node: u32) -> Vec<Shortcut> {
        let mut shortcuts = Vec::new();
        let leaving = &self.leaving[node as usize];
        let Some(farthest) = leaving.iter().map(|way| way.cost).max() else { return shortcuts };
        for entering in &self.entering[node as usize] {
            let limit = entering.cost.plus(farthest);
            self.witness.search(&self.leaving, entering.node, node, limit);
            for way in leaving.iter().filter(|way| way.node != entering.node) {
                let cost = entering.cost.plus(way.cost);
                if self.witness.cost_to(way.node) > cost {
                    shortcuts.push(Shortcut { from: entering.node, to: way.node, cost });
                }
            }
        }
        shortcuts
    }

    fn take_out(&mut self, node: u32) {
        let shortcuts = self.shortcuts(node);
        let level = self.level[node as usize] + 1;
        for place in 0..self.leaving[node as usize].len() {
            let neighbour = self.leaving[node as usize][place].node as usize;
            self.entering[neighbour].retain(|way| way.node != node);
            self.level[neighbour] = self.level[neighbour].max(level);
        }
        for place in 0..self.entering[node as usize].len() {
            let neighbour = self.entering[node as usize][place].node as usize;
            self.leaving[neighbour].retain(|way| way.node != node);
            self.level[neighbour] = self.level[neighbour].max(level);
        }
        for Shortcut { from, to, cost } in shortcuts {
            self.connect(from, to, cost);
        }
    }
}

fn improve(ways: &mut Vec<Way>, node: u32, cost: PathCost) {
    match ways.iter_mut().find(|way| way.node == node) {
        Some(way) => way.cost = way.cost.min(cost),
        None => ways.push(Way { node, cost }),
    }
}

/// The search for ways that do not lead through a node.
struct Witness {
    cost: Vec<PathCost>,
    touched: Vec<u32>,
    heap: BinaryHeap<Reverse<(PathCost, u32)>>,
}

impl Witness {
    fn new(nodes: usize) -> Self {
        Self { cost: vec![UNREACHABLE; nodes], touched: Vec::new(), heap: BinaryHeap::new() }
    }

    fn cost_to(&self, node: u32) -> PathCost {
        self.cost[node as usize]
    }

    fn reach(&mut self, node: u32, cost: PathCost) {
        let known = &mut self.cost[node as usize];
        if cost < *known {
            if *known == UNREACHABLE {
                self.touched.push(node);
            }
            *known = cost;
            self.heap.push(Reverse((cost, node)));
        }
    }

    fn search(&mut self, leaving: &[Vec<Way>], from: u32, without: u32, limit: PathCost) {
        for node in self.touched.drain(..) {
            self.cost[node as usize] = UNREACHABLE;
        }
        self.heap.clear();
        self.reach(from, PathCost::ZERO);
        let mut settled = 0;
        while let Some(Reverse((cost, node))) = self.heap.pop() {
            if cost > limit || settled == SETTLED_MAX {
                return;
            }
            if cost > self.cost[node as usize] {
                continue;
            }
            settled += 1;
            for way in leaving[node as usize].iter().filter(|way| way.node != without) {
                self.reach(way.node, cost.plus(way.cost));
            }
        }
    }
}
