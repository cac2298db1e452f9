//! The proof that comes with a matching: prices that no cheaper matching could beat.
//!
//! A request's gain from a driver is what it costs unserved less what the pair costs. Prices are
//! feasible when none is negative and the two of every pair add up to its gain or more. The sum of
//! feasible prices bounds the gain of every matching, whoever found it and however: the difference
//! between the two, the duality gap, is at most what a better matching could save, and 0 proves
//! that there is none.

use crate::matching::sparse::SparseProblem;

/// Prices of requests and drivers, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    /// By request.
    pub request_prices_ms: Vec<i64>,
    /// By driver.
    pub driver_prices_ms: Vec<i64>,
}

/// Why prices or a matching prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// There is not one price per request and driver.
    #[error("prices are missing")]
    Incomplete,
    /// A price is negative.
    #[error("a price is negative")]
    Negative,
    /// The prices of a pair are together below its gain.
    #[error("the prices of request {request} and driver {driver} are below their gain")]
    BelowGain {
        /// The request.
        request: u32,
        /// The driver.
        driver: u32,
    },
    /// The matching uses a pair that is none, or a driver twice.
    #[error("the matching is not one of the problem")]
    NoMatching,
}

impl Certificate {
    /// By how many milliseconds in all a matching can be beaten at most; 0 when it is optimal.
    ///
    /// # Errors
    /// [`CertificateFault`] when the prices are not feasible, or the matching is none.
    pub fn gap_ms(
        &self,
        problem: &SparseProblem,
        driver_of: &[Option<u32>],
    ) -> Result<i64, CertificateFault> {
        let (requests, drivers) = (&self.request_prices_ms, &self.driver_prices_ms);
        if requests.len() != problem.requests() || drivers.len() != problem.drivers() {
            return Err(CertificateFault::Incomplete);
        }
        if requests.iter().chain(drivers).any(|price| *price < 0) {
            return Err(CertificateFault::Negative);
        }
        let mut unserved = 0;
        for (request, price) in requests.iter().enumerate() {
            let unserved_ms = problem.unserved_ms(request);
            unserved += unserved_ms;
            for pair in problem.pairs_of(request) {
                if price + drivers[pair.driver as usize] < unserved_ms - pair.cost_ms {
                    let (request, driver) = (request as u32, pair.driver);
                    return Err(CertificateFault::BelowGain { request, driver });
                }
            }
        }
        let cost = problem.cost_ms(driver_of).ok_or(CertificateFault::NoMatching)?;
        let bound: i64 = requests.iter().chain(drivers).sum();
        Ok(bound - (unserved - cost))
    }
}
