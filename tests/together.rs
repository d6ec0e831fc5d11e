//! Searches on several ranks: the plan that one finds alone.

use std::time::Duration;

use qeinsum::path::{Optimizer, SearchOptions};
use qeinsum::ranks::{self, Communicator};
use qeinsum::{Dtype, Equation, Plan, Sizes};

use crate::paths::regular;

fn search_on(
    ranks: &dyn Communicator,
    (equation, sizes): &(Equation, Sizes),
    options: &SearchOptions,
) -> qeinsum::Result<Plan> {
    Plan::search_on(ranks, equation, sizes, options, None, Dtype::F32, None)
}

#[test]
fn ranks_find_what_one_finds_alone() {
    let auto = SearchOptions::new();
    // Annealed, greedily by chance, and in slices.
    let searches: [(usize, SearchOptions, &[usize]); 4] = [
        (60, auto.clone(), &[1, 2, 3, 5]),
        (40, auto.clone().optimizer(Optimizer::Anneal), &[3]),
        (40, auto.clone().optimizer(Optimizer::RandomGreedy), &[2, 5]),
        (100, auto.clone().memory_limit(8000), &[2, 3]),
    ];
    for (operands, options, sizes) in searches {
        let problem = regular(operands, 4);
        let alone = Plan::for_equation(&problem.0, &problem.1, &options, None, Dtype::F32).unwrap();
        assert_eq!(alone.slices().is_empty(), operands != 100);
        for &size in sizes {
            for plan in ranks::in_threads(size, |ranks| search_on(ranks, &problem, &options)) {
                assert!(plan.unwrap() == alone, "{operands} operands on {size} ranks");
            }
        }
    }
}

#[test]
fn within_a_time_the_first_rank_searches_for_all() {
    let problem = regular(60, 4);
    let options = SearchOptions::new().time_budget(Duration::from_millis(30));
    let plans = ranks::in_threads(3, |ranks| search_on(ranks, &problem, &options).unwrap());
    assert!(plans.iter().all(|plan| *plan == plans[0]));
    // The operands alone are larger: an error of one is one of all.
    let errors =
        ranks::in_threads(3, |ranks| search_on(ranks, &problem, &options.clone().memory_limit(10)).unwrap_err());
    assert!(errors.iter().all(|error| error.to_string() == errors[0].to_string()), "{errors:?}");
}

#[test]
fn ranks_with_several_plans_are_told_so() {
    let problem = regular(12, 4);
    let errors = ranks::in_threads(3, |ranks| {
        let path = (ranks.rank() < 2).then(|| ["(0,1)"; 11].join(" ").parse().unwrap());
        Plan::search_on(ranks, &problem.0, &problem.1, &SearchOptions::new(), path, Dtype::F32, None).unwrap_err()
    });
    for error in errors {
        assert_eq!(error.to_string(), "the ranks do not have the same plan");
    }
}
