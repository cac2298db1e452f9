use proptest::prelude::*;
use proptest::test_runner::Config;

use super::certificate::CertificateFault;
use super::solve::{Solution, solve};
use super::sparse::{COST_MAX_MS, Pair, SparseProblem};

const STEPS: u64 = u64::MAX;

fn problem(drivers: u32, requests: &[(i64, Vec<(u32, i64)>)]) -> SparseProblem {
    let mut problem = SparseProblem::new(drivers);
    for (unserved_ms, pairs) in requests {
        let pairs =
            pairs.iter().map(|(driver, cost_ms)| Pair { driver: *driver, cost_ms: *cost_ms });
        problem.add_request(*unserved_ms, pairs);
    }
    problem
}

/// The least cost of all matchings, by trying them all.
fn least_cost(problem: &SparseProblem, request: usize, taken: &mut Vec<u32>) -> i64 {
    if request == problem.requests() {
        return 0;
    }
    let unserved = problem.unserved_ms(request) + least_cost(problem, request + 1, taken);
    problem.pairs_of(request).iter().fold(unserved, |least, pair| {
        if taken.contains(&pair.driver) {
            return least;
        }
        taken.push(pair.driver);
        let cost = pair.cost_ms + least_cost(problem, request + 1, taken);
        taken.pop();
        least.min(cost)
    })
}

fn cost_and_gap(problem: &SparseProblem, solution: &Solution) -> (i64, i64) {
    let gap = solution.certificate.gap_ms(problem, &solution.driver_of).unwrap();
    (problem.cost_ms(&solution.driver_of).unwrap(), gap)
}

/// Requests with their unserved cost and pairs, and how many drivers there are.
fn problems(
    requests_max: usize,
    drivers_max: u32,
    cost_max: i64,
) -> impl Strategy<Value = SparseProblem> {
    (1..=drivers_max).prop_flat_map(move |drivers| {
        let pair = (0..drivers, -cost_max / 4..cost_max);
        let pairs = proptest::collection::vec(pair, 0..=drivers as usize);
        let request = (0..cost_max * 2, pairs);
        proptest::collection::vec(request, 0..=requests_max)
            .prop_map(move |requests| problem(drivers, &requests))
    })
}

proptest! {
    #![proptest_config(Config { cases: 4_000, ..Config::default() })]

    #[test]
    fn a_small_problem_costs_what_the_cheapest_of_all_matchings_costs(problem in problems(6, 6, 12)) {
        let solution = solve(&problem, STEPS);
        let (cost, gap) = cost_and_gap(&problem, &solution);
        prop_assert!(solution.optimal);
        prop_assert_eq!((cost, gap), (least_cost(&problem, 0, &mut Vec::new()), 0));
    }

    #[test]
    fn the_certificate_of_an_answer_cut_short_bounds_what_it_lacks(
        problem in problems(6, 6, 12),
        steps in 0_u64..40,
    ) {
        let solution = solve(&problem, steps);
        let (cost, gap) = cost_and_gap(&problem, &solution);
        let least = least_cost(&problem, 0, &mut Vec::new());
        prop_assert!(least <= cost && cost <= least + gap, "{least} {cost} {gap}");
        prop_assert!(!solution.optimal || gap == 0);
    }
}

proptest! {
    #![proptest_config(Config { cases: 200, ..Config::default() })]

    #[test]
    fn a_larger_problem_has_no_gap(problem in problems(120, 100, 1_000_000)) {
        let solution = solve(&problem, STEPS);
        prop_assert_eq!(cost_and_gap(&problem, &solution).1, 0);
    }
}

#[test]
fn a_dense_problem_costs_what_an_independent_solver_says() {
    for (seed, requests, drivers) in [(1_u64, 60, 90), (2, 90, 60), (3, 80, 80), (4, 150, 200)] {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            i64::try_from(state >> 44).unwrap()
        };
        let costs: Vec<Vec<i64>> =
            (0..requests).map(|_| (0..drivers).map(|_| draw()).collect()).collect();
        let unserved_ms = 100_000_000;
        let sparse: Vec<(i64, Vec<(u32, i64)>)> = costs
            .iter()
            .map(|row| (unserved_ms, (0..).zip(row.iter().copied()).collect()))
            .collect();
        let sparse = problem(drivers, &sparse);
        let solution = solve(&sparse, STEPS);
        // The other solver wants at least as many columns as rows.
        let (rows, columns) = (requests.min(drivers), requests.max(drivers));
        let weight = |row: u32, column: u32| {
            let (request, driver) = if requests <= drivers { (row, column) } else { (column, row) };
            unserved_ms - costs[request as usize][driver as usize]
        };
        let weights = (0..rows).flat_map(|row| (0..columns).map(move |column| weight(row, column)));
        let weights = pathfinding::matrix::Matrix::from_vec(
            rows as usize,
            columns as usize,
            weights.collect(),
        );
        let (gain, _) = pathfinding::kuhn_munkres::kuhn_munkres(&weights.unwrap());
        let cost = unserved_ms * i64::from(requests) - gain;
        assert_eq!(cost_and_gap(&sparse, &solution), (cost, 0), "seed {seed}");
    }
}

#[test]
fn as_many_are_served_as_can_be_when_leaving_one_out_costs_more_than_any_detour() {
    // The greedy answer gives driver 0 to request 0 and leaves request 1 with nobody.
    let both = problem(2, &[(10_000, vec![(0, 1), (1, 3_000)]), (10_000, vec![(0, 2)])]);
    assert_eq!(solve(&both, STEPS).driver_of, [Some(1), Some(0)]);
    // A detour of 3,000 is not worth a request that costs 2,000 unserved.
    let one = problem(2, &[(10_000, vec![(0, 1), (1, 3_003)]), (2_000, vec![(0, 2)])]);
    assert_eq!(solve(&one, STEPS).driver_of, [Some(0), None]);
}

#[test]
fn a_pair_that_costs_more_than_to_serve_nobody_is_not_matched() {
    let costly = problem(1, &[(100, vec![(0, 101)])]);
    assert_eq!(solve(&costly, STEPS).driver_of, [None]);
    let dear = problem(1, &[(COST_MAX_MS * 4, vec![(0, -COST_MAX_MS * 4), (7, 0)])]);
    let solution = solve(&dear, STEPS);
    assert_eq!((dear.pair_count(), cost_and_gap(&dear, &solution)), (1, (-COST_MAX_MS, 0)));
}

#[test]
fn an_answer_cut_short_serves_whom_it_can_and_says_so() {
    let requests: Vec<(i64, Vec<(u32, i64)>)> = (0..50_i64)
        .map(|at| {
            (
                1_000_000,
                (0..50_u32)
                    .map(|to| (to, (at * 7_919 + i64::from(to) * 104_729) % 5_000))
                    .collect(),
            )
        })
        .collect();
    let all = problem(50, &requests);
    let cut = solve(&all, 200);
    assert!(!cut.optimal && cut.driver_of.iter().all(Option::is_some));
    let (cost, gap) = cost_and_gap(&all, &cut);
    let (least, none) = cost_and_gap(&all, &solve(&all, STEPS));
    assert!(none == 0 && gap > 0 && cost >= least && cost - gap <= least);
}

#[test]
fn prices_that_are_not_feasible_and_matchings_that_are_none_prove_nothing() {
    let two = problem(1, &[(100, vec![(0, 10)]), (100, vec![(0, 20)])]);
    let Solution { certificate, driver_of, .. } = solve(&two, STEPS);
    assert_eq!(certificate.gap_ms(&two, &driver_of), Ok(0));
    assert_eq!(certificate.gap_ms(&two, &[Some(0), Some(0)]), Err(CertificateFault::NoMatching));
    assert_eq!(certificate.gap_ms(&two, &[Some(0)]), Err(CertificateFault::NoMatching));
    let mut low = certificate.clone();
    low.driver_prices_ms[0] = 0;
    low.request_prices_ms = vec![0; 2];
    let below = CertificateFault::BelowGain { request: 0, driver: 0 };
    assert_eq!(low.gap_ms(&two, &driver_of), Err(below));
    low.request_prices_ms[0] = -1;
    assert_eq!(low.gap_ms(&two, &driver_of), Err(CertificateFault::Negative));
    low.request_prices_ms.clear();
    assert_eq!(low.gap_ms(&two, &driver_of), Err(CertificateFault::Incomplete));
}
