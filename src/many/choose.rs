//! Chooses a path for each equation so that all calls together, each counted once, multiply least.
//!
//! In come, by equation, the calls of each path that it may take; out goes the path that each takes, and whether no choice
//! is better. Paths that another of the same equation makes needless are left out first; then each equation's path is
//! improved while the others' stay; then all choices are searched, within a limit of work, with what is known as the bound.

use crate::path::Cost;

/// The steps of the search through all choices.
const MOST_WORK: usize = 1 << 18;

/// The most equations with a choice that are searched through: the search goes as deep.
const MOST_EQUATIONS: usize = 256;

/// A path for each equation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Choice {
    /// By equation: the number of its path.
    pub(super) picks: Vec<usize>,
    /// Whether no other choice multiplies less.
    pub(super) is_best: bool,
}

/// The best choice found, at least as good as `start`, which it is where none is better.
///
/// `pools` have the calls of the paths of each equation, each call once, and `costs` the cost of each call.
pub(super) fn choose(pools: &[Vec<Vec<usize>>], costs: &[Cost], start: &[usize]) -> Choice {
    let options = options(pools, costs);
    let mut search = Search::new(&options, costs, start);
    search.descend();
    let open: Vec<usize> = (0..options.len()).filter(|&equation| options[equation].len() > 1).collect();
    for (equation, options) in options.iter().enumerate() {
        if let [only] = options.as_slice() {
            search.take(equation, only);
        }
    }
    let is_best = open.len() <= MOST_EQUATIONS && {
        let mut work = MOST_WORK;
        // The least that equations without a path yet add to what is there.
        let mut least = vec![Cost::ZERO];
        for &equation in open.iter().rev() {
            let own = options[equation].iter().map(|option| &option.own).min();
            least.push(&least[least.len() - 1] + own.unwrap_or(&Cost::ZERO));
        }
        least.reverse();
        search.all(&open, &least, &mut work);
        work > 0
    };
    let cost = |picks: &[usize]| together(pools.iter().zip(picks).map(|(pool, &pick)| pool[pick].as_slice()), costs);
    let picks = if cost(&search.best) < cost(start) { search.best } else { start.to_vec() };
    Choice { picks, is_best }
}

/// The cost of calls, each counted once.
pub(super) fn together<'c>(calls: impl Iterator<Item = &'c [usize]>, costs: &[Cost]) -> Cost {
    let mut is_there = vec![false; costs.len()];
    let mut sum = Cost::ZERO;
    for &call in calls.flatten() {
        if !std::mem::replace(&mut is_there[call], true) {
            sum += &costs[call];
        }
    }
    sum
}

/// A path that an equation may take.
#[derive(Clone, Debug)]
struct Choosable {
    number: usize,
    /// Those of its calls that other equations may have too.
    common: Vec<usize>,
    /// What its other calls cost.
    own: Cost,
}

/// By equation: the paths that may be part of a best choice.
fn options(pools: &[Vec<Vec<usize>>], costs: &[Cost]) -> Vec<Vec<Choosable>> {
    // By call: the one equation that has it, or that several have it.
    let mut holders: Vec<Option<usize>> = vec![None; costs.len()];
    let mut is_common = vec![false; costs.len()];
    for (equation, pool) in pools.iter().enumerate() {
        for &call in pool.iter().flatten() {
            is_common[call] |= holders[call].is_some_and(|holder| holder != equation);
            holders[call] = Some(equation);
        }
    }
    let choosable = |(number, calls): (usize, &Vec<usize>)| {
        let (common, own): (Vec<usize>, Vec<usize>) = calls.iter().partition(|&&call| is_common[call]);
        Choosable { number, common, own: own.iter().map(|&call| &costs[call]).sum() }
    };
    pools.iter().map(|pool| needed(pool.iter().enumerate().map(choosable).collect(), costs)).collect()
}

/// The paths that no other makes needless: one that costs no more even where nobody else has the calls that only it has.
fn needed(options: Vec<Choosable>, costs: &[Cost]) -> Vec<Choosable> {
    let is_needless = |at: usize| {
        let option = &options[at];
        options.iter().enumerate().any(|(other_at, other)| {
            let more = other.common.iter().filter(|call| !option.common.contains(call));
            let cost = &other.own + &more.map(|&call| &costs[call]).sum();
            other_at != at && (cost < option.own || cost == option.own && other_at < at)
        })
    };
    let keep: Vec<bool> = (0..options.len()).map(|at| !is_needless(at)).collect();
    options.into_iter().zip(keep).filter_map(|(option, keep)| keep.then_some(option)).collect()
}

struct Search<'o> {
    options: &'o [Vec<Choosable>],
    costs: &'o [Cost],
    /// By call: how many of the paths taken have it.
    taken: Vec<usize>,
    /// What all calls of the paths taken cost.
    cost: Cost,
    picks: Vec<usize>,
    best: Vec<usize>,
    best_cost: Cost,
}

impl<'o> Search<'o> {
    /// A search that begins with a choice; a path in it that is needless gives way to one that costs no more.
    fn new(options: &'o [Vec<Choosable>], costs: &'o [Cost], start: &[usize]) -> Self {
        let mut search = Self {
            options,
            costs,
            taken: vec![0; costs.len()],
            cost: Cost::ZERO,
            picks: start.to_vec(),
            best: start.to_vec(),
            best_cost: Cost::ZERO,
        };
        for (equation, options) in options.iter().enumerate() {
            let is_there = |option: &&Choosable| option.number == start[equation];
            if let Some(option) = options.iter().find(is_there).or_else(|| search.cheapest(equation)) {
                search.take(equation, option);
            }
        }
        search
    }

    /// The path of an equation that adds least to those taken, the first of such.
    fn cheapest(&self, equation: usize) -> Option<&'o Choosable> {
        self.options[equation].iter().min_by_key(|option| self.added(option))
    }

    /// What a path adds to those taken.
    fn added(&self, option: &Choosable) -> Cost {
        let new = option.common.iter().filter(|&&call| self.taken[call] == 0);
        &option.own + &new.map(|&call| &self.costs[call]).sum()
    }

    fn take(&mut self, equation: usize, option: &Choosable) -> Cost {
        let added = self.added(option);
        let before = std::mem::replace(&mut self.cost, Cost::ZERO);
        self.cost = &before + &added;
        option.common.iter().for_each(|&call| self.taken[call] += 1);
        self.picks[equation] = option.number;
        before
    }

    fn give_back(&mut self, option: &Choosable, before: Cost) {
        option.common.iter().for_each(|&call| self.taken[call] -= 1);
        self.cost = before;
    }

    /// Improves the path of one equation after the other until none is left to improve, and takes none of them then.
    fn descend(&mut self) {
        let options = self.options;
        let mut is_improved = true;
        while is_improved {
            is_improved = false;
            for (equation, options) in options.iter().enumerate().filter(|(_, options)| options.len() > 1) {
                let Some(at) = options.iter().position(|option| option.number == self.picks[equation]) else {
                    continue;
                };
                options[at].common.iter().for_each(|&call| self.taken[call] -= 1);
                let here = self.added(&options[at]);
                let best = self.cheapest(equation).filter(|best| self.added(best) < here).unwrap_or(&options[at]);
                is_improved |= best.number != self.picks[equation];
                best.common.iter().for_each(|&call| self.taken[call] += 1);
                self.picks[equation] = best.number;
            }
        }
        self.taken.fill(0);
        self.cost = Cost::ZERO;
        self.best.clone_from(&self.picks);
        let mut cost = Cost::ZERO;
        for (equation, options) in options.iter().enumerate() {
            if let Some(option) = options.iter().find(|option| option.number == self.best[equation]) {
                self.take(equation, option);
                cost = self.cost.clone();
            }
        }
        self.best_cost = cost;
        self.taken.fill(0);
        self.cost = Cost::ZERO;
    }

    /// All choices for the equations that are left, but for those that cannot be better than the best.
    fn all(&mut self, open: &[usize], least: &[Cost], work: &mut usize) {
        let Some((&equation, rest)) = open.split_first() else {
            if self.cost < self.best_cost {
                self.best_cost = self.cost.clone();
                self.best.clone_from(&self.picks);
            }
            return;
        };
        for option in &self.options[equation] {
            if *work == 0 {
                return;
            }
            *work -= 1;
            let before = self.take(equation, option);
            if &self.cost + &least[1] < self.best_cost {
                self.all(rest, &least[1..], work);
            }
            self.give_back(option, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least over all choices, without any thought.
    fn least(pools: &[Vec<Vec<usize>>], costs: &[Cost]) -> Cost {
        let choices: usize = pools.iter().map(Vec::len).product();
        let of = |mut choice: usize| {
            let picked: Vec<&[usize]> = pools
                .iter()
                .map(|pool| {
                    let calls = &pool[choice % pool.len()];
                    choice /= pool.len();
                    calls.as_slice()
                })
                .collect();
            together(picked.into_iter(), costs)
        };
        (0..choices).map(of).min().unwrap()
    }

    #[test]
    fn the_choice_is_the_best_of_all() {
        let mut state = 1_u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        let mut shared = 0;
        for _ in 0..300 {
            let costs: Vec<Cost> = (0..12).map(|_| Cost::from(below(20))).collect();
            let pools: Vec<Vec<Vec<usize>>> = (0..=below(4))
                .map(|_| {
                    let calls = 1 + below(4);
                    let path = |below: &mut dyn FnMut(usize) -> usize| {
                        let mut calls: Vec<usize> = (0..calls).map(|_| below(12)).collect();
                        calls.sort_unstable();
                        calls.dedup();
                        calls
                    };
                    (0..=below(6)).map(|_| path(&mut below)).collect()
                })
                .collect();
            let start = vec![0; pools.len()];
            let choice = choose(&pools, &costs, &start);
            let cost =
                |picks: &[usize]| together(pools.iter().zip(picks).map(|(pool, &pick)| pool[pick].as_slice()), &costs);
            assert!(choice.is_best);
            assert_eq!(cost(&choice.picks), least(&pools, &costs), "{pools:?} {costs:?}");
            shared += usize::from(cost(&choice.picks) < cost(&start));
        }
        assert!(shared > 100, "{shared}");
    }

    #[test]
    fn what_is_as_good_stays() {
        let costs = [5, 5, 5].map(|cost: usize| Cost::from(cost));
        let pools = vec![vec![vec![0], vec![1]], vec![vec![2]]];
        assert_eq!(choose(&pools, &costs, &[0, 0]).picks, [0, 0]);
        assert!(choose(&pools, &costs, &[0, 0]).is_best);
    }
}
