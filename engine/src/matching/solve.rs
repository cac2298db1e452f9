//! The matching of least cost: sparse shortest augmenting paths, from the scarce side.
//!
//! Rows are the side with fewer members. Every row wants its most gainful column, columns have
//! prices, and a row's profit is the most that a column leaves it. Rows first bid for columns as in
//! an auction without a minimum increment, which settles most of them; each of the others then takes
//! the shortest way, by what the rearrangement costs, to a free column or to a row that would rather
//! have none (Dijkstra over reduced costs, which the prices keep from being negative). Prices are
//! carried from row to row and are the certificate in the end. The idea is that of Jonker and
//! Volgenant's LAPJVsp; solving from the other side finds the same and takes 20 to 50 times longer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::matching::certificate::Certificate;
use crate::matching::sparse::SparseProblem;

/// Nobody.
const NONE: u32 = u32::MAX;

/// Bids per row before the rest is left to shortest paths: two rows that want the same two columns
/// may outbid each other for long.
const BIDS_PER_ROW_MAX: u64 = 4;

/// The answer to a [`SparseProblem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// The driver of each request.
    pub driver_of: Vec<Option<u32>>,
    /// What it proves to be optimal, or near it.
    pub certificate: Certificate,
    /// Pairs looked at.
    pub steps: u64,
    /// Whether it was solved to the end. Otherwise the requests that were left took the best
    /// drivers nobody had, and the certificate tells how far from optimal that is at most.
    pub optimal: bool,
}

/// Solves `problem`, looking at no more than about `steps_max` pairs.
pub fn solve(problem: &SparseProblem, steps_max: u64) -> Solution {
    let by_request = Gains::by_request(problem);
    let by_driver = by_request.transposed(problem.drivers());
    let scarce = by_driver.wanting() < by_request.wanting();
    let (rows, columns) = if scarce { (by_driver, by_request) } else { (by_request, by_driver) };
    let column_count = columns.len();
    drop(columns);
    let mut search = Search::new(&rows, column_count);
    let optimal = search.run(steps_max);
    let Search { price, profit, row_of, column_of, steps, .. } = search;
    let (driver_of, request_prices_ms, driver_prices_ms) =
        if scarce { (row_of, price, profit) } else { (column_of, profit, price) };
    let driver_of = driver_of.into_iter().map(|of| (of != NONE).then_some(of)).collect();
    let certificate = Certificate { request_prices_ms, driver_prices_ms };
    Solution { driver_of, certificate, steps, optimal }
}

/// What rows gain from columns, where it is more than nothing.
struct Gains {
    ends: Vec<u32>,
    entries: Vec<Gain>,
}

#[derive(Clone, Copy)]
struct Gain {
    column: u32,
    /// Positive, at most twice [`COST_MAX_MS`](super::COST_MAX_MS).
    gain: u32,
}

impl Gains {
    fn by_request(problem: &SparseProblem) -> Self {
        let mut gains = Self {
            ends: Vec::with_capacity(problem.requests()),
            entries: Vec::with_capacity(problem.pair_count()),
        };
        for request in 0..problem.requests() {
            let unserved_ms = problem.unserved_ms(request);
            let of_pairs = problem.pairs_of(request).iter().filter_map(|pair| {
                let gain = u32::try_from(unserved_ms - pair.cost_ms).ok()?;
                (gain > 0).then_some(Gain { column: pair.driver, gain })
            });
            gains.entries.extend(of_pairs);
            gains.ends.push(gains.entries.len() as u32);
        }
        gains
    }

    fn transposed(&self, columns: usize) -> Self {
        let mut ends = vec![0_u32; columns];
        self.entries.iter().for_each(|entry| ends[entry.column as usize] += 1);
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum;
        }
        let mut entries = vec![Gain { column: 0, gain: 0 }; self.entries.len()];
        for row in (0..self.len()).rev() {
            for entry in self.of(row).iter().rev() {
                let place = &mut ends[entry.column as usize];
                *place -= 1;
                entries[*place as usize] = Gain { column: row as u32, gain: entry.gain };
            }
        }
        // Each end was moved back to its begin, which is the end before it.
        ends.rotate_left(usize::from(columns > 0));
        if let Some(last) = ends.last_mut() {
            *last = entries.len() as u32;
        }
        Self { ends, entries }
    }

    const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Rows with anything to gain.
    fn wanting(&self) -> usize {
        (0..self.len()).filter(|row| !self.of(*row).is_empty()).count()
    }

    fn of(&self, row: usize) -> &[Gain] {
        let begin = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.entries[begin as usize..self.ends[row] as usize]
    }
}

struct Search<'p> {
    rows: &'p Gains,
    /// By column; a column that is free costs nothing.
    price: Vec<i64>,
    /// By row: what the best column leaves it, or nothing.
    profit: Vec<i64>,
    row_of: Vec<u32>,
    column_of: Vec<u32>,
    steps: u64,
    /// By column: how far the path under way is to it, and from which row it comes.
    distance: Vec<i64>,
    from_row: Vec<u32>,
    heap: BinaryHeap<Reverse<(i64, u32)>>,
    /// Columns with a distance.
    touched: Vec<u32>,
    /// Columns the path under way has gone through.
    settled: Vec<u32>,
}

impl<'p> Search<'p> {
    fn new(rows: &'p Gains, columns: usize) -> Self {
        Self {
            rows,
            price: vec![0; columns],
            profit: vec![0; rows.len()],
            row_of: vec![NONE; columns],
            column_of: vec![NONE; rows.len()],
            steps: 0,
            distance: vec![i64::MAX; columns],
            from_row: vec![NONE; columns],
            heap: BinaryHeap::new(),
            touched: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// Whether all rows were settled within the steps.
    fn run(&mut self, steps_max: u64) -> bool {
        let mut left = self.bid(steps_max).into_iter();
        for row in left.by_ref() {
            if self.steps >= steps_max {
                self.take_free(row);
                left.for_each(|row| self.take_free(row));
                return false;
            }
            self.augment(row);
        }
        true
    }

    /// The best column of a row with what it leaves, and what the second best leaves.
    fn best(&mut self, row: usize) -> (Option<u32>, i64, i64) {
        let (mut best, mut first, mut second) = (None, 0, 0);
        let entries = self.rows.of(row);
        self.steps += entries.len() as u64;
        for entry in entries {
            let left = i64::from(entry.gain) - self.price[entry.column as usize];
            if left > first {
                (best, second, first) = (Some(entry.column), first, left);
            } else if left > second {
                second = left;
            }
        }
        (best, first, second)
    }

    /// Rows bid in turn; those that lost, or could not outbid, are returned with their profits set.
    fn bid(&mut self, steps_max: u64) -> Vec<u32> {
        let mut left = Vec::new();
        let mut queue: std::collections::VecDeque<u32> = (0..self.rows.len() as u32).collect();
        let mut bids = BIDS_PER_ROW_MAX * self.rows.len() as u64;
        while let Some(row) = queue.pop_front() {
            let (best, first, second) = self.best(row as usize);
            let Some(column) = best else {
                self.profit[row as usize] = 0;
                continue;
            };
            let holder = self.row_of[column as usize];
            let may_bid = bids > 0 && self.steps < steps_max;
            if !may_bid || (first == second && holder != NONE) {
                self.profit[row as usize] = first;
                left.push(row);
                continue;
            }
            bids -= 1;
            self.price[column as usize] += first - second;
            self.profit[row as usize] = second;
            self.row_of[column as usize] = row;
            self.column_of[row as usize] = column;
            if holder != NONE {
                self.column_of[holder as usize] = NONE;
                queue.push_front(holder);
            }
        }
        left
    }

    /// The best column nobody has: what is left to a row when the steps are used up.
    fn take_free(&mut self, row: u32) {
        let (_, first, _) = self.best(row as usize);
        self.profit[row as usize] = first;
        let free = |entry: &&Gain| self.row_of[entry.column as usize] == NONE;
        let free = self.rows.of(row as usize).iter().filter(free);
        if let Some(taken) = free.max_by_key(|entry| (entry.gain, Reverse(entry.column))) {
            self.row_of[taken.column as usize] = row;
            self.column_of[row as usize] = taken.column;
        }
    }

    /// Brings a row without a column into the matching, by the shortest way.
    fn augment(&mut self, row: u32) {
        // Its price may have moved since its profit was set.
        self.profit[row as usize] = self.best(row as usize).1;
        let mut shortest = self.profit[row as usize];
        let mut end = End::NoColumn(row);
        self.scan(row, 0, &mut shortest, &mut end);
        while let Some(Reverse((distance, column))) = self.heap.pop() {
            if distance >= shortest {
                break;
            }
            if distance > self.distance[column as usize] {
                continue;
            }
            self.settled.push(column);
            let holder = self.row_of[column as usize];
            let without = distance + self.profit[holder as usize];
            if without < shortest {
                (shortest, end) = (without, End::NoColumn(holder));
            }
            self.scan(holder, distance, &mut shortest, &mut end);
        }
        self.reprice(row, shortest);
        self.rearrange(row, end);
        self.forget();
    }

    /// Follows the pairs of a row that the path has reached.
    fn scan(&mut self, row: u32, so_far: i64, shortest: &mut i64, end: &mut End) {
        let entries = self.rows.of(row as usize);
        self.steps += entries.len() as u64;
        let base = so_far + self.profit[row as usize];
        for entry in entries {
            let column = entry.column as usize;
            let distance = base + self.price[column] - i64::from(entry.gain);
            if distance >= *shortest || distance >= self.distance[column] {
                continue;
            }
            if self.distance[column] == i64::MAX {
                self.touched.push(entry.column);
            }
            self.distance[column] = distance;
            self.from_row[column] = row;
            if self.row_of[column] == NONE {
                (*shortest, *end) = (distance, End::Column(entry.column));
            } else {
                self.heap.push(Reverse((distance, entry.column)));
            }
        }
    }

    /// Moves prices and profits so that the path costs nothing and no pair is underpriced.
    fn reprice(&mut self, row: u32, shortest: i64) {
        self.profit[row as usize] -= shortest;
        for column in &self.settled {
            let nearer = shortest - self.distance[*column as usize];
            self.price[*column as usize] += nearer;
            self.profit[self.row_of[*column as usize] as usize] -= nearer;
        }
    }

    /// Everyone along the path takes the column that the path brought him to.
    fn rearrange(&mut self, start: u32, end: End) {
        let mut column = match end {
            End::Column(column) => column,
            End::NoColumn(row) => std::mem::replace(&mut self.column_of[row as usize], NONE),
        };
        while column != NONE {
            let row = self.from_row[column as usize];
            self.row_of[column as usize] = row;
            column = std::mem::replace(&mut self.column_of[row as usize], column);
            debug_assert!(column != NONE || row == start, "a path begins at its row");
        }
    }

    fn forget(&mut self) {
        for column in self.touched.drain(..) {
            self.distance[column as usize] = i64::MAX;
        }
        self.settled.clear();
        self.heap.clear();
    }
}

/// Where a path ends.
#[derive(Clone, Copy)]
enum End {
    /// At a column nobody has.
    Column(u32),
    /// At a row that is served nobody.
    NoColumn(u32),
}
