//! An ε-optimal auction, as a peer of the exact solver: requests bid for drivers, each bid raises a
//! price by what it is worth and ε. It is at most ε per request from the optimum, if it ends in time.

use std::collections::VecDeque;

use muster_engine::matching::SparseProblem;

/// Bids per request after which it is given up.
const BIDS_PER_REQUEST_MAX: usize = 2_000;

/// The drivers of the requests; nothing when there were too many bids.
pub(crate) fn auction(problem: &SparseProblem, epsilon_ms: i64) -> Option<Vec<Option<u32>>> {
    let mut price = vec![0_i64; problem.drivers()];
    let mut holder: Vec<Option<u32>> = vec![None; price.len()];
    let mut driver_of: Vec<Option<u32>> = vec![None; problem.requests()];
    let mut queue: VecDeque<usize> = (0..problem.requests()).collect();
    let mut bids = BIDS_PER_REQUEST_MAX * problem.requests();
    while let Some(request) = queue.pop_front() {
        bids = bids.checked_sub(1)?;
        let unserved_ms = problem.unserved_ms(request);
        let (mut best, mut first, mut second) = (None, 0, 0);
        for pair in problem.pairs_of(request) {
            let left = unserved_ms - pair.cost_ms - price[pair.driver as usize];
            if left > first {
                (best, second, first) = (Some(pair.driver), first, left);
            } else if left > second {
                second = left;
            }
        }
        let Some(driver) = best else { continue };
        price[driver as usize] += first - second + epsilon_ms;
        if let Some(before) = holder[driver as usize].replace(request as u32) {
            driver_of[before as usize] = None;
            queue.push_back(before as usize);
        }
        driver_of[request] = Some(driver);
    }
    Some(driver_of)
}
