//! The largest part of a network in which every node can be reached from every other one.

use super::build::Street;

/// The nodes of the largest strongly connected part, ascending; of two equal ones that of the
/// lowest node. Tarjan's algorithm with a stack of its own: streets may lead deeper than ours.
pub(super) fn largest_part(nodes: usize, streets: &[Street]) -> Vec<u32> {
    let leaving = Leaving::of(nodes, streets);
    let mut search = Search::new(nodes);
    for root in 0..nodes as u32 {
        if search.order[root as usize] == UNSEEN {
            search.visit(root, &leaving);
        }
    }
    search.largest.sort_unstable();
    search.largest
}

const UNSEEN: u32 = u32::MAX;

/// Where the streets of a node lead.
struct Leaving {
    first: Vec<u32>,
    to: Vec<u32>,
}

impl Leaving {
    fn of(nodes: usize, streets: &[Street]) -> Self {
        let mut first = vec![0_u32; nodes + 1];
        for street in streets {
            first[street.from as usize + 1] += 1;
        }
        for node in 0..nodes {
            first[node + 1] += first[node];
        }
        let mut next = first.clone();
        let mut to = vec![0; streets.len()];
        for street in streets {
            let place = &mut next[street.from as usize];
            to[*place as usize] = street.to;
            *place += 1;
        }
        Self { first, to }
    }
}

struct Search {
    /// When a node was first seen.
    order: Vec<u32>,
    /// The earliest node that it leads back to.
    low: Vec<u32>,
    open: Vec<bool>,
    /// Seen nodes whose part is not complete.
    part: Vec<u32>,
    seen: u32,
    largest: Vec<u32>,
}

impl Search {
    fn new(nodes: usize) -> Self {
        Self {
            order: vec![UNSEEN; nodes],
            low: vec![0; nodes],
            open: vec![false; nodes],
            part: Vec::new(),
            seen: 0,
            largest: Vec::new(),
        }
    }

    fn enter(&mut self, node: u32) {
        self.order[node as usize] = self.seen;
        self.low[node as usize] = self.seen;
        self.seen += 1;
        self.open[node as usize] = true;
        self.part.push(node);
    }

    fn visit(&mut self, root: u32, leaving: &Leaving) {
        self.enter(root);
        let mut path = vec![(root, leaving.first[root as usize])];
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            if *next < leaving.first[node as usize + 1] {
                let to = leaving.to[*next as usize];
                *next += 1;
                if self.order[to as usize] == UNSEEN {
                    self.enter(to);
                    path.push((to, leaving.first[to as usize]));
                } else if self.open[to as usize] {
                    self.reaches(node, self.order[to as usize]);
                }
                continue;
            }
            path.pop();
            if let Some((parent, _)) = path.last() {
                self.reaches(*parent, self.low[node as usize]);
            }
            self.close(node);
        }
    }

    fn reaches(&mut self, node: u32, order: u32) {
        let low = &mut self.low[node as usize];
        *low = (*low).min(order);
    }

    /// Takes the part of `node` off, if it is complete.
    fn close(&mut self, node: u32) {
        if self.low[node as usize] != self.order[node as usize] {
            return;
        }
        let begin = self.part.iter().rposition(|other| *other == node).unwrap_or(0);
        let part = self.part.split_off(begin);
        for member in &part {
            self.open[*member as usize] = false;
        }
        if part.len() > self.largest.len() {
            self.largest = part;
        }
    }
}
