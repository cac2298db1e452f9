//! A sparse assignment problem: few drivers per request, and what it costs to serve nobody.

/// The highest cost, in milliseconds: 20 days. Costs beyond it are cut to it, so that sums of prices
/// never leave their type.
pub const COST_MAX_MS: i64 = 1_728_000_000;

/// Which driver a request may have, and at what cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// The driver, by his index.
    pub driver: u32,
    /// What it costs that he serves the request, in milliseconds; may be negative.
    pub cost_ms: i64,
}

/// Requests, drivers, and the pairs of them that may be matched.
///
/// A request costs its `unserved_ms` when it gets nobody, so a solution serves one more request only
/// where that makes all together at most so much costlier. Where every way to rearrange a city is
/// shorter than that, the solution of least cost is also one that serves as many as can be served.
#[derive(Debug, Clone, Default)]
pub struct SparseProblem {
    drivers: u32,
    unserved_ms: Vec<i64>,
    /// Where the pairs of each request end.
    ends: Vec<u32>,
    pairs: Vec<Pair>,
}

impl SparseProblem {
    /// No request yet, and drivers `0..drivers`.
    pub fn new(drivers: u32) -> Self {
        Self { drivers, ..Self::default() }
    }

    /// Adds the next request. Pairs with drivers that do not exist are passed over.
    pub fn add_request(&mut self, unserved_ms: i64, pairs: impl IntoIterator<Item = Pair>) {
        let drivers = self.drivers;
        let within = |ms: i64| ms.clamp(-COST_MAX_MS, COST_MAX_MS);
        let known = pairs.into_iter().filter(|pair| pair.driver < drivers);
        self.pairs.extend(known.map(|pair| Pair { cost_ms: within(pair.cost_ms), ..pair }));
        self.unserved_ms.push(within(unserved_ms));
        self.ends.push(self.pairs.len() as u32);
    }

    /// How many requests there are.
    pub const fn requests(&self) -> usize {
        self.unserved_ms.len()
    }

    /// How many drivers there are.
    pub const fn drivers(&self) -> usize {
        self.drivers as usize
    }

    /// How many pairs there are.
    pub const fn pair_count(&self) -> usize {
        self.pairs.len()
    }

    /// The pairs of a request.
    pub fn pairs_of(&self, request: usize) -> &[Pair] {
        let begin = request.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.pairs[begin as usize..self.ends[request] as usize]
    }

    /// What it costs to serve a request not at all.
    pub fn unserved_ms(&self, request: usize) -> i64 {
        self.unserved_ms[request]
    }

    /// What a matching costs in all, in milliseconds; nothing if it is none: a pair that may not be
    /// matched, or a driver who serves two.
    pub fn cost_ms(&self, driver_of: &[Option<u32>]) -> Option<i64> {
        let mut taken = vec![false; self.drivers()];
        let mut total = 0;
        for (request, driver) in driver_of.iter().enumerate() {
            total += match *driver {
                None => self.unserved_ms[request],
                Some(driver) => {
                    let pairs = self.pairs_of(request).iter();
                    let cost = pairs
                        .filter(|pair| pair.driver == driver)
                        .map(|pair| pair.cost_ms)
                        .min()?;
                    if std::mem::replace(taken.get_mut(driver as usize)?, true) {
                        return None;
                    }
                    cost
                }
            };
        }
        (driver_of.len() == self.requests()).then_some(total)
    }
}
