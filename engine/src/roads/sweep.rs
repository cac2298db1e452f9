//! Costs between many nodes and a few in one sweep over a hierarchy.
//!
//! From the few, the graph that leads down to them is climbed: each node above gets the cost of its
//! descent. Then all nodes above the many are gone through once, most important first: what a node
//! costs is its descent, or a climb and what that node costs. Each is looked at once, however many
//! of the many are below it.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cost::{PathCost, UNREACHABLE};
use super::hierarchy::Upward;

/// How many of the few are swept together: their costs fill a cache line.
const LANES: usize = 8;

/// A place where a position enters or leaves the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) node: u32,
    pub(super) cost: PathCost,
}

thread_local! {
    /// The memory of a sweep, kept from one to the next.
    static MEMORY: RefCell<Memory> = const { RefCell::new(Memory::new()) };
}

/// The costs of each of `few` with each of `many`: `many_up` is climbed from the many, `few_up` from
/// the few. Each takes the cheapest of its entries.
pub(super) fn sweep<M: AsRef<[Entry]>, F: AsRef<[Entry]>>(
    many_up: &Upward,
    few_up: &Upward,
    many: &[M],
    few: &[F],
) -> Vec<Vec<PathCost>> {
    MEMORY.with_borrow_mut(|memory| {
        memory.collect(many_up, many.iter().flat_map(|entries| entries.as_ref()));
        let up = (many_up, few_up);
        let sweep_lanes = |few: &[F]| match few.len() {
            1 => memory.lanes::<1, _, _>(up, many, few),
            _ => memory.lanes::<LANES, _, _>(up, many, few),
        };
        few.chunks(LANES).flat_map(sweep_lanes).collect()
    })
}

/// A value that holds while its mark is the newest one.
#[derive(Debug, Clone, Copy)]
struct Marked<T> {
    mark: u32,
    value: T,
}

/// One value per node, all forgotten at once.
#[derive(Debug)]
struct Marks<T> {
    newest: u32,
    nodes: Vec<Marked<T>>,
    none: T,
}

impl<T: Copy> Marks<T> {
    const fn new(none: T) -> Self {
        Self { newest: 0, nodes: Vec::new(), none }
    }

    fn forget(&mut self, nodes: usize) {
        let unmarked = Marked { mark: 0, value: self.none };
        if self.newest == u32::MAX {
            self.nodes.fill(unmarked);
            self.newest = 0;
        }
        self.newest += 1;
        if self.nodes.len() < nodes {
            self.nodes.resize(nodes, unmarked);
        }
    }

    fn get(&self, node: u32) -> Option<T> {
        let Marked { mark, value } = self.nodes[node as usize];
        (mark == self.newest).then_some(value)
    }

    fn set(&mut self, node: u32, value: T) {
        self.nodes[node as usize] = Marked { mark: self.newest, value };
    }
}

#[derive(Debug)]
struct Memory {
    /// Where in `order` a node is.
    place: Marks<u32>,
    /// What the descent from a node costs.
    descent: Marks<PathCost>,
    /// The nodes above the many, each behind those it climbs to.
    order: Vec<u32>,
    /// Of each node in `order` one cost per lane.
    costs: Vec<PathCost>,
    path: Vec<(u32, u32)>,
    heap: BinaryHeap<Reverse<u32>>,
}

impl Memory {
    const fn new() -> Self {
        Self {
            place: Marks::new(0),
            descent: Marks::new(UNREACHABLE),
            order: Vec::new(),
            costs: Vec::new(),
            path: Vec::new(),
            heap: BinaryHeap::new(),
        }
    }

    /// Puts all nodes above the entries in order.
    fn collect<'e>(&mut self, up: &Upward, entries: impl Iterator<Item = &'e Entry>) {
        self.place.forget(up.nodes());
        self.order.clear();
        for entry in entries {
            self.open(entry.node, up);
            while let Some((node, next)) = self.path.last_mut() {
                let node = *node;
                if *next == up.first[node as usize + 1] {
                    self.path.pop();
                    self.place.set(node, self.order.len() as u32);
                    self.order.push(node);
                    continue;
                }
                let to = up.climbs[*next as usize].to;
                *next += 1;
                self.open(to, up);
            }
        }
    }

    /// A node waits on the path for those above it, of which it is never one: climbs lead upwards.
    fn open(&mut self, node: u32, up: &Upward) {
        if self.place.get(node).is_none() {
            self.path.push((node, up.first[node as usize]));
        }
    }

    /// The costs for at most `L` of the few, of each with all of the many.
    fn lanes<const L: usize, M: AsRef<[Entry]>, F: AsRef<[Entry]>>(
        &mut self,
        (many_up, few_up): (&Upward, &Upward),
        many: &[M],
        few: &[F],
    ) -> Vec<Vec<PathCost>> {
        self.costs.clear();
        self.costs.resize(self.order.len() * L, UNREACHABLE);
        for (lane, entries) in few.iter().enumerate() {
            self.climb::<L>(few_up, entries.as_ref(), lane);
        }
        for (at, node) in self.order.iter().enumerate() {
            let (above, own) = self.costs.split_at_mut(at * L);
            for climb in many_up.of(*node) {
                let cost = climb.cost();
                // What is above a node of the order is in it, before the node.
                let to = self.place.nodes[climb.to as usize].value as usize * L;
                for (own, above) in own[..L].iter_mut().zip(&above[to..to + L]) {
                    *own = (*own).min(cost.plus(*above));
                }
            }
        }
        let cost_of = |entries: &M, lane: usize| {
            let costs = entries.as_ref().iter().map(|entry| {
                let place = self.place.nodes[entry.node as usize].value as usize;
                entry.cost.plus(self.costs[place * L + lane])
            });
            costs.min().unwrap_or(UNREACHABLE)
        };
        let lane = |lane| many.iter().map(|entries| cost_of(entries, lane)).collect();
        (0..few.len()).map(lane).collect()
    }

    /// Climbs from one of the few, least important node first, and notes the descents to it.
    fn climb<const L: usize>(&mut self, up: &Upward, entries: &[Entry], lane: usize) {
        self.descent.forget(up.nodes());
        for entry in entries {
            self.reach(entry.node, entry.cost);
        }
        while let Some(Reverse(node)) = self.heap.pop() {
            let cost = self.descent.get(node).unwrap_or(UNREACHABLE);
            if let Some(place) = self.place.get(node) {
                self.costs[place as usize * L + lane] = cost;
            }
            for climb in up.of(node) {
                self.reach(climb.to, cost.plus(climb.cost()));
            }
        }
    }

    fn reach(&mut self, node: u32, cost: PathCost) {
        let known = self.descent.get(node);
        if known.is_none() {
            self.heap.push(Reverse(node));
        }
        if known.is_none_or(|known| cost < known) {
            self.descent.set(node, cost);
        }
    }
}
