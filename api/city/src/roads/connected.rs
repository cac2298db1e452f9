//! Strongly connected components (Kosaraju's two passes, without recursion).

use super::{NodeIndex, Segment};

/// The nodes of the largest strongly connected component, ascending.
pub(super) fn largest_component(nodes: usize, segments: &[Segment]) -> Vec<NodeIndex> {
    let mut forward = vec![Vec::new(); nodes];
    let mut backward = vec![Vec::new(); nodes];
    for segment in segments {
        forward[segment.from as usize].push(segment.to);
        backward[segment.to as usize].push(segment.from);
    }
    let mut component = vec![usize::MAX; nodes];
    let mut sizes = Vec::new();
    for start in finish_order(&forward).into_iter().rev() {
        if component[start as usize] != usize::MAX {
            continue;
        }
        let label = sizes.len();
        let mut size = 0;
        let mut stack = vec![start];
        component[start as usize] = label;
        while let Some(node) = stack.pop() {
            size += 1;
            for &next in &backward[node as usize] {
                if component[next as usize] == usize::MAX {
                    component[next as usize] = label;
                    stack.push(next);
                }
            }
        }
        sizes.push(size);
    }
    let largest = (0..sizes.len()).max_by_key(|&label| sizes[label]);
    (0..nodes as NodeIndex).filter(|&node| Some(component[node as usize]) == largest).collect()
}

/// Nodes in the order in which a depth-first search leaves them.
fn finish_order(forward: &[Vec<NodeIndex>]) -> Vec<NodeIndex> {
    let mut seen = vec![false; forward.len()];
    let mut order = Vec::with_capacity(forward.len());
    for start in 0..forward.len() as NodeIndex {
        if seen[start as usize] {
            continue;
        }
        seen[start as usize] = true;
        let mut stack = vec![(start, 0)];
        while let Some((node, child)) = stack.pop() {
            match forward[node as usize].get(child) {
                Some(&next) => {
                    stack.push((node, child + 1));
                    if !seen[next as usize] {
                        seen[next as usize] = true;
                        stack.push((next, 0));
                    }
                }
                None => order.push(node),
            }
        }
    }
    order
}
