//! Certificates are checked by someone else: costs and least scores are computed here from their definition alone.
//!
//! The score of a tree is a sum, or a maximum, over its sets of operands, and what a set is left with does not depend on its
//! tree. So the least score of every set follows from those of its subsets, which looks at all trees.

use qeinsum::graph::ContractionGraph;
use qeinsum::path::{Certificate, Found, Objective, Optimizer, Path, SearchOptions, search};
use qeinsum::{Equation, Sizes, Syntax};

/// The objectives that are whole numbers by their definition; for time see `times.rs`.
const COUNTED: [Objective; 4] = [Objective::Mul, Objective::Size, Objective::Write, Objective::Combo];

use crate::properties::{Random, seeds};

/// Operands as labels and extents, and the labels of the output. A label has one extent, or 1 where it broadcasts.
#[derive(Clone, Debug)]
struct Problem {
    operands: Vec<Vec<(usize, usize)>>,
    output: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trees {
    All,
    /// Those in which the sides of every step share a label.
    Connected,
}

/// A set of operands, a bit each.
type Set = usize;

/// What a step costs: multiplications, and elements of its result.
type Step = (u128, u128);

const LABELS: usize = 40;

impl Problem {
    fn graph(&self) -> ContractionGraph {
        let name = |label: &usize| format!("x{label}");
        let names: Vec<Vec<String>> =
            self.operands.iter().map(|axes| axes.iter().map(|(label, _)| name(label)).collect()).collect();
        let output: Vec<String> = self.output.iter().map(name).collect();
        let shapes: Vec<Vec<usize>> =
            self.operands.iter().map(|axes| axes.iter().map(|&(_, extent)| extent).collect()).collect();
        let equation = Equation::new(Syntax::Named, &names, &output).unwrap();
        ContractionGraph::new(&equation, &Sizes::new(&equation, &shapes).unwrap())
    }

    fn full(&self) -> Set {
        (1 << self.operands.len()) - 1
    }

    fn holders(&self, label: usize) -> Set {
        let has = |axes: &Vec<(usize, usize)>| axes.iter().any(|axis| axis.0 == label);
        self.operands.iter().enumerate().filter(|(_, axes)| has(axes)).map(|(place, _)| 1 << place).sum()
    }

    /// By label, its holders and its extent in every operand.
    fn table(&self) -> Vec<(Set, Vec<u128>)> {
        let extent = |label: usize, axes: &Vec<(usize, usize)>| {
            axes.iter().find(|axis| axis.0 == label).map_or(1, |axis| axis.1 as u128)
        };
        let row = |label| (self.holders(label), self.operands.iter().map(|axes| extent(label, axes)).collect());
        (0..LABELS).map(row).collect()
    }
}

/// The labels that sets of a problem are left with.
struct Checker {
    full: Set,
    /// By set, the labels that its result has.
    left: Vec<u64>,
    /// By set, the labels that measure more or less than 1 somewhere in it.
    wide: Vec<u64>,
    /// By label, what it measures where it does not measure 1.
    extents: Vec<u128>,
    /// By operand, the operands that share a label with it.
    shared: Vec<Set>,
}

impl Checker {
    fn new(problem: &Problem) -> Self {
        let (full, table) = (problem.full(), problem.table());
        let operands = problem.operands.len();
        let mut checker = Self {
            full,
            left: vec![0; full + 1],
            wide: vec![0; full + 1],
            extents: table
                .iter()
                .map(|(_, row)| row.iter().copied().find(|&extent| extent != 1).unwrap_or(1))
                .collect(),
            shared: vec![0; operands],
        };
        for (label, (holders, row)) in table.iter().enumerate() {
            let is_output = problem.output.contains(&label);
            for set in 1..=full {
                let is_used_later = is_output || holders & !set != 0;
                checker.left[set] |= u64::from(holders & set != 0 && is_used_later) << label;
                let is_wide = (0..operands).any(|operand| set >> operand & 1 == 1 && row[operand] != 1);
                checker.wide[set] |= u64::from(is_wide) << label;
            }
            // A label that measures 1 everywhere joins nothing.
            if checker.extents[label] != 1 {
                let members = (0..operands).filter(|operand| holders >> operand & 1 == 1);
                members.for_each(|operand| checker.shared[operand] |= holders);
            }
        }
        checker
    }

    fn product(&self, labels: u64) -> u128 {
        let members = (0..LABELS).filter(|label| labels >> label & 1 == 1);
        members.map(|label| self.extents[label]).product()
    }

    fn elements(&self, set: Set) -> u128 {
        self.product(self.left[set] & self.wide[set])
    }

    fn step(&self, one: Set, other: Set) -> Step {
        let labels = (self.left[one] & self.wide[one]) | (self.left[other] & self.wide[other]);
        (self.product(labels), self.elements(one | other))
    }

    fn share(&self, one: Set, other: Set) -> bool {
        (0..self.shared.len()).any(|operand| one >> operand & 1 == 1 && self.shared[operand] & other != 0)
    }

    /// The steps of a path.
    fn steps(&self, path: &Path) -> Vec<Step> {
        let mut list: Vec<Set> = (0..self.shared.len()).map(|operand| 1 << operand).collect();
        let take = |&[a, b]: &[usize; 2]| {
            assert!(a < b);
            let (other, one) = (list.remove(b), list.remove(a));
            list.push(one | other);
            self.step(one, other)
        };
        path.steps().iter().map(take).collect()
    }

    /// The least score of each objective, and the fewest multiplications where no result is larger than need be; none
    /// where there is no such tree.
    fn least(&self, trees: Trees) -> Option<[u128; 5]> {
        let mut least: Vec<Option<[u128; 4]>> = vec![None; self.full + 1];
        self.fill(trees, &mut least, |step, [a, b]| {
            Some(std::array::from_fn(|at| combined(COUNTED[at], [a[at], b[at]], step)))
        });
        let [mul, size, write, combo] = least[self.full]?;
        let mut fewest: Vec<Option<[u128; 1]>> = vec![None; self.full + 1];
        self.fill(trees, &mut fewest, |step, [[a], [b]]| (step.1 <= size).then(|| [a + b + step.0]));
        Some([mul, size, write, combo, fewest[self.full]?[0]])
    }

    fn fill<const N: usize>(
        &self,
        trees: Trees,
        least: &mut [Option<[u128; N]>],
        score: impl Fn(Step, [&[u128; N]; 2]) -> Option<[u128; N]>,
    ) {
        for set in 1..=self.full {
            if set.is_power_of_two() {
                least[set] = Some([0; N]);
                continue;
            }
            let mut one = (set - 1) & set;
            while one > set ^ one {
                let other = set ^ one;
                if let (Some(a), Some(b)) = (&least[one], &least[other])
                    && (trees == Trees::All || self.share(one, other))
                    && let Some(found) = score(self.step(one, other), [a, b])
                {
                    let known = least[set].unwrap_or([u128::MAX; N]);
                    least[set] = Some(std::array::from_fn(|at| known[at].min(found[at])));
                }
                one = (one - 1) & set;
            }
        }
    }
}

/// The score of a tree of these two and a step.
fn combined(objective: Objective, parts: [u128; 2], (multiplications, elements): Step) -> u128 {
    match objective {
        Objective::Mul => parts[0] + parts[1] + multiplications,
        Objective::Size => parts[0].max(parts[1]).max(elements),
        Objective::Write => parts[0] + parts[1] + elements,
        Objective::Combo => parts[0] + parts[1] + multiplications + 64 * elements,
        other => panic!("{other} is not known here"),
    }
}

fn found(problem: &Problem, objective: Objective, optimizer: Optimizer, effort: u32) -> Found {
    let options = SearchOptions::new().objective(objective).optimizer(optimizer).effort(effort);
    search(&problem.graph(), &options).unwrap()
}

/// Checks what a search says of its path: costs, and its certificate by the least scores. What the path scores.
fn check(checker: &Checker, found: &Found, all: &[u128; 5], connected: Option<&[u128; 5]>, context: &str) -> u128 {
    let steps = checker.steps(&found.path);
    let said = |cost: &qeinsum::path::Cost| cost.to_u128().unwrap();
    let cost = &found.cost;
    assert_eq!(said(&cost.multiplications), steps.iter().map(|step| step.0).sum(), "{context}");
    assert_eq!(said(&cost.write), steps.iter().map(|step| step.1).sum(), "{context}");
    assert_eq!(said(&cost.largest), steps.iter().map(|step| step.1).max().unwrap_or(0), "{context}");
    let at = COUNTED.iter().position(|objective| *objective == found.objective).unwrap();
    let score = steps.iter().fold(0, |score, &step| combined(found.objective, [score, 0], step));
    assert!(score >= all[at], "{context}: {score} is below {}", all[at]);
    match &found.certificate {
        Certificate::Optimal => {
            assert_eq!(score, all[at], "{context}");
            if found.objective == Objective::Size && found.path.operands() > 1 {
                assert!(said(&cost.multiplications) >= all[4], "{context}");
            }
        }
        Certificate::OptimalConnected => {
            let connected = connected.unwrap_or_else(|| panic!("{context}: there is no such tree"));
            assert!(score <= connected[at], "{context}: {score}, but connected {}", connected[at]);
        }
        Certificate::Unproved { lower_bound } => assert!(said(lower_bound) <= all[at], "{context}: {lower_bound}"),
        Certificate::Given | Certificate::Family => panic!("{context}: nothing was given"),
    }
    score
}

/// Labels by their extents: hyperedges, diagonals, lone labels, scalars, extents of 0 and 1, some broadcast.
fn random_problem(random: &mut Random, operands: usize) -> Problem {
    const EXTENTS: [usize; 10] = [2, 2, 3, 3, 5, 8, 20, 1, 2, 0];
    let labels = 1 + random.below(9);
    let kinds = if random.below(9) == 0 { 10 } else { 9 };
    let extents: Vec<usize> = (0..labels).map(|_| EXTENTS[random.below(kinds)]).collect();
    let most = 2 + random.below(3);
    let rank = |random: &mut Random| if random.below(7) == 0 { 0 } else { random.below(most + 1) };
    let broadcasts = random.below(3) == 0;
    let operand = |random: &mut Random| {
        let axes: Vec<usize> = (0..rank(random)).map(|_| random.below(labels)).collect();
        let narrow = if broadcasts && random.below(3) == 0 { axes.first().copied() } else { None };
        axes.into_iter().map(|label| (label, if narrow == Some(label) { 1 } else { extents[label] })).collect()
    };
    let operands: Vec<Vec<(usize, usize)>> = (0..operands).map(|_| operand(random)).collect();
    let is_used = |label: &usize| operands.iter().flatten().any(|axis| axis.0 == *label);
    let share = 1 + random.below(4);
    let output = (0..labels).filter(is_used).filter(|_| random.below(share) == 1).collect();
    Problem { operands, output }
}

/// Matrices in a row or a ring, with or without a batch, in any order.
fn random_row(random: &mut Random, operands: usize) -> Problem {
    let is_ring = random.below(3) == 0;
    let most = [1, 3, 20][random.below(3)];
    let extents: Vec<usize> = (0..=operands).map(|_| 2 + random.below(most)).collect();
    let end = |place: usize| if is_ring && place == operands { 0 } else { place };
    let mut rows: Vec<Vec<(usize, usize)>> =
        (0..operands).map(|place| [end(place), end(place + 1)].map(|label| (label, extents[label])).to_vec()).collect();
    let kept = if is_ring { 0 } else { random.below(3) };
    let mut output = [0, operands][..kept].to_vec();
    if random.below(4) == 0 {
        for axes in &mut rows {
            axes.push((operands + 1, 3));
        }
        output.push(operands + 1);
    }
    random.shuffle(&mut rows);
    Problem { operands: rows, output }
}

#[test]
fn certificates_hold_against_all_trees() {
    let mut proved = 0;
    for seed in 0..seeds(1200) {
        let random = &mut Random::new(seed + 1);
        let operands = 1 + random.below(7);
        let problem = if operands > 2 && random.below(5) == 0 {
            random_row(random, operands)
        } else {
            random_problem(random, operands)
        };
        let checker = Checker::new(&problem);
        let all = checker.least(Trees::All).unwrap();
        let connected = checker.least(Trees::Connected);
        for (at, objective) in COUNTED.into_iter().enumerate() {
            let optimizer =
                [Optimizer::Optimal, Optimizer::Greedy, Optimizer::Anneal, Optimizer::None, Optimizer::RandomGreedy]
                    [random.below(5)];
            for (optimizer, effort) in [(Optimizer::Auto, 1), (Optimizer::Auto, 0), (optimizer, 1)] {
                let context = format!("seed {seed}, {objective} by {optimizer}, effort {effort}: {problem:?}");
                let found = found(&problem, objective, optimizer, effort);
                let score = check(&checker, &found, &all, connected.as_ref(), &context);
                if optimizer == Optimizer::Auto && effort == 1 {
                    assert_eq!((score, found.certificate.is_optimal()), (all[at], true), "{context}");
                    if objective == Objective::Size {
                        assert_eq!(found.cost.multiplications.to_u128(), Some(all[4]), "{context}");
                    }
                    proved += 1;
                }
            }
        }
    }
    assert!(proved > 0);
}

/// More operands than the search looks at in one go: here parts are searched apart.
#[test]
fn parts_that_end_as_scalars_lose_no_tree() {
    for seed in 0..seeds(8) {
        let random = &mut Random::new(seed + 1);
        let mut problem = Problem { operands: Vec::new(), output: Vec::new() };
        let mut label = 0;
        while problem.operands.len() < 13 {
            let size = (1 + random.below(5)).min(13 - problem.operands.len());
            let mut operands = vec![Vec::new(); size];
            for _ in 0..size {
                let extent = 2 + random.below(3);
                operands.iter_mut().filter(|_| random.below(2) == 0).for_each(|axes| axes.push((label, extent)));
                let is_used = operands.iter().flatten().any(|axis: &(usize, usize)| axis.0 == label);
                if is_used && random.below(8) == 0 {
                    problem.output.push(label);
                }
                label += 1;
            }
            problem.operands.extend(operands);
        }
        random.shuffle(&mut problem.operands);
        let checker = Checker::new(&problem);
        let all = checker.least(Trees::All).unwrap();
        for (at, objective) in COUNTED.into_iter().enumerate() {
            let context = format!("seed {seed}, {objective}: {problem:?}");
            let found = found(&problem, objective, Optimizer::Auto, 1);
            let score = check(&checker, &found, &all, None, &context);
            assert_eq!((score, found.certificate.is_optimal()), (all[at], true), "{context}");
        }
    }
}

/// Parts of two matrices whose results stay: too many trees to prove anything about all of them.
#[test]
fn without_outer_products_no_tree_of_parts_is_better() {
    for seed in 0..seeds(3) {
        let random = &mut Random::new(seed + 1);
        let mut problem = Problem { operands: Vec::new(), output: Vec::new() };
        for part in 0..10 {
            let [a, b, c] = [0, 1, 2].map(|at| (3 * part + at, 2 + random.below(3)));
            problem.operands.extend([vec![a, b], vec![b, c]]);
            problem.output.extend([a.0, c.0]);
        }
        let results = Problem {
            operands: problem.operands.chunks(2).map(|part| vec![part[0][0], part[1][1]]).collect(),
            output: problem.output.clone(),
        };
        let together = Checker::new(&results).least(Trees::All).unwrap()[0];
        let apart: usize = problem.operands.chunks(2).map(|part| part[0][0].1 * part[0][1].1 * part[1][1].1).sum();
        let found = found(&problem, Objective::Mul, Optimizer::Auto, 1);
        assert!(found.cost.multiplications.to_u128().unwrap() <= together + apart as u128, "seed {seed}");
        assert!(found.certificate != Certificate::Optimal, "seed {seed}: the test has lost its point");
        if found.certificate == Certificate::OptimalConnected {
            continue;
        }
        panic!("seed {seed}: {}", found.certificate);
    }
}

/// Chains and rings that are longer than any search over sets of operands.
#[test]
fn long_chains_and_rings_are_solved() {
    for (operands, is_ring) in [(300, false), (150, true)] {
        let extent = |label: usize| 2 + label * label % 97;
        let last = if is_ring { 0 } else { operands };
        let axes = |place: usize| {
            [place, if place + 1 == operands { last } else { place + 1 }].map(|label| (label, extent(label)))
        };
        let problem = Problem {
            operands: (0..operands).map(|place| axes(place).to_vec()).collect(),
            output: if is_ring { Vec::new() } else { vec![0, operands] },
        };
        // Triangulations of a polygon: every label is a corner, and a ring has one diagonal or side that is its last step.
        let corners: Vec<u128> = (0..2 * operands)
            .map(|at| extent(if is_ring { at % operands } else { at.min(operands) }) as u128)
            .collect();
        let count = if is_ring { operands } else { operands + 1 };
        let longest = if is_ring { operands } else { operands + 1 };
        let mut least = vec![vec![0; longest]; count];
        for length in 2..longest {
            for start in 0..count {
                let end = start + length;
                if is_ring || end < count {
                    let split = |at: usize| {
                        let parts = least[start][at - start] + least[at % count][end - at];
                        parts + corners[start] * corners[at] * corners[end]
                    };
                    least[start][length] = (start + 1..end).map(split).min().unwrap();
                }
            }
        }
        let expected = if is_ring {
            let pairs = (0..count).flat_map(|one| (one + 1..count).map(move |other| (one, other)));
            let score = |(one, other): (usize, usize)| {
                least[one][other - one] + least[other][one + count - other] + corners[one] * corners[other]
            };
            pairs.map(score).min().unwrap()
        } else {
            least[0][operands]
        };
        let found = found(&problem, Objective::Mul, Optimizer::Auto, 1);
        assert_eq!(found.cost.multiplications.to_u128(), Some(expected), "{operands}");
        assert_eq!(found.certificate, Certificate::Optimal);
    }
}
