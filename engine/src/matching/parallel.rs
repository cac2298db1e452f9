//! Who is asked beside the driver a request was matched with: the next cheapest of its candidates
//! whom no other request of the window was given. In turn, so that no request takes them all.

use std::collections::BTreeSet;

use crate::id::DriverId;
use crate::matching::problem::Row;

/// The drivers of each request, the matched one first, as many as its policy says. A request that was
/// matched with nobody gets nobody, and nobody is asked whom it is cheaper to leave the request
/// unserved than to match with it.
pub(super) fn drivers_of(rows: &[Row<'_>], matched: &[Option<&DriverId>]) -> Vec<Vec<DriverId>> {
    let mut given: BTreeSet<&DriverId> = matched.iter().copied().flatten().collect();
    let mut chosen: Vec<Vec<DriverId>> =
        matched.iter().map(|driver| driver.iter().copied().cloned().collect()).collect();
    let parallel = |row: &Row<'_>| row.query().ranking.policy.match_offers_parallel as usize;
    let most = rows.iter().map(parallel).max().unwrap_or(1);
    for place in 1..most {
        for (row, drivers) in rows.iter().zip(&mut chosen) {
            if drivers.len() != place || parallel(row) <= place {
                continue;
            }
            let free = row.terms.iter().filter(|(driver, _)| !given.contains(driver));
            let costs = free.map(|(driver, terms)| (terms.total_ms(), driver));
            let worth_it = costs.filter(|(cost_ms, _)| *cost_ms < row.unserved_ms());
            if let Some((_, driver)) = worth_it.min() {
                given.insert(driver);
                drivers.push(driver.clone());
            }
        }
    }
    chosen
}
