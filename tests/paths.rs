//! The exact search is exact: all trees are listed here, and scored by a cost function of this file's own.

use std::collections::{BTreeMap, BTreeSet};

use qeinsum::graph::ContractionGraph;
use qeinsum::path::{Certificate, Ended, Found, Objective, Optimizer, SearchOptions, evaluate, search, search_until};
use qeinsum::{Equation, ErrorKind, QEinsum, Sizes, Syntax};

/// A problem as this file sees it: labels by name, extents by operand.
#[derive(Clone, Debug)]
struct Problem {
    operands: Vec<Vec<(String, usize)>>,
    output: Vec<String>,
}

/// The scores of a tree: multiplications, written elements, largest result. Floating, so that no tree overflows;
/// exact below 2^53, and close beyond.
#[derive(Clone, Copy, Debug)]
struct Score {
    mul: f64,
    write: f64,
    size: f64,
}

impl Score {
    fn of(self, objective: Objective) -> f64 {
        match objective {
            Objective::Mul => self.mul,
            Objective::Size => self.size,
            Objective::Write => self.write,
            Objective::Combo => self.mul + 64.0 * self.write,
            other => panic!("no brute force for {other}"),
        }
    }
}

impl Problem {
    /// `ij,jk->ik` with `i=2 j=3`; labels without a size measure 2.
    fn new(equation: &str, sizes: &str) -> Self {
        let (operands, output) = equation.split_once("->").unwrap();
        let sizes: BTreeMap<&str, usize> = sizes
            .split_whitespace()
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, size)| (name, size.parse().unwrap()))
            .collect();
        let axis = |c: char| (c.to_string(), sizes.get(c.to_string().as_str()).copied().unwrap_or(2));
        Self {
            operands: operands.split(',').map(|term| term.chars().map(axis).collect()).collect(),
            output: output.chars().map(String::from).collect(),
        }
    }

    /// The same problem where `label` measures 1 in `operand`.
    fn narrow(mut self, operand: usize, label: &str) -> Self {
        for axis in self.operands[operand].iter_mut().filter(|axis| axis.0 == label) {
            axis.1 = 1;
        }
        self
    }

    fn graph(&self) -> ContractionGraph {
        let names: Vec<Vec<&str>> =
            self.operands.iter().map(|axes| axes.iter().map(|axis| axis.0.as_str()).collect()).collect();
        let output: Vec<&str> = self.output.iter().map(String::as_str).collect();
        let equation = Equation::new(Syntax::Named, &names, &output).unwrap();
        let shapes: Vec<Vec<usize>> =
            self.operands.iter().map(|axes| axes.iter().map(|axis| axis.1).collect()).collect();
        ContractionGraph::new(&equation, &Sizes::new(&equation, &shapes).unwrap())
    }

    fn holders(&self, label: &str) -> usize {
        self.operands.iter().filter(|axes| axes.iter().any(|axis| axis.0 == label)).count()
    }

    /// The scores of every path: all pairs, then all pairs of what is left, and so on.
    fn all_scores(&self) -> Vec<(Score, bool)> {
        let alone = |label: &str| self.holders(label) == 1 && !self.output.iter().any(|name| name == label);
        let start: Vec<BTreeMap<&str, usize>> = self
            .operands
            .iter()
            .map(|axes| axes.iter().filter(|axis| !alone(&axis.0)).map(|(name, size)| (name.as_str(), *size)).collect())
            .collect();
        let mut found = Vec::new();
        self.extend(&start, Score { mul: 0.0, write: 0.0, size: 0.0 }, true, &mut found);
        found
    }

    fn extend<'a>(
        &'a self,
        list: &[BTreeMap<&'a str, usize>],
        score: Score,
        connected: bool,
        found: &mut Vec<(Score, bool)>,
    ) {
        if list.len() == 1 {
            found.push((score, connected));
        }
        for later in 0..list.len() {
            for earlier in 0..later {
                let (a, b) = (&list[earlier], &list[later]);
                let mut rest = list.to_vec();
                rest.remove(later);
                rest.remove(earlier);
                let union: BTreeSet<&str> = a.keys().chain(b.keys()).copied().collect();
                let (mut mul, mut elements, mut result) = (1.0, 1.0, BTreeMap::new());
                for label in union {
                    let extent = match (a.get(label).copied().unwrap_or(1), b.get(label).copied().unwrap_or(1)) {
                        (1, other) | (other, _) => other,
                    };
                    mul *= extent as f64;
                    let needed = rest.iter().any(|other| other.contains_key(label));
                    if needed || self.output.iter().any(|name| name == label) {
                        elements *= extent as f64;
                        result.insert(label, extent);
                    }
                }
                rest.push(result);
                let score =
                    Score { mul: score.mul + mul, write: score.write + elements, size: score.size.max(elements) };
                let joined = connected && a.keys().any(|label| b.contains_key(label));
                self.extend(&rest, score, joined, found);
            }
        }
    }
}

fn optimal(problem: &Problem, objective: Objective) -> Found {
    search(&problem.graph(), &SearchOptions::new().optimizer(Optimizer::Optimal).objective(objective)).unwrap()
}

fn least(scores: impl Iterator<Item = f64>) -> f64 {
    scores.fold(f64::INFINITY, f64::min)
}

/// Compares the search with all trees, for every objective, and checks that the path scores what it is said to.
fn check(problem: &Problem, name: &str) {
    let all = problem.all_scores();
    let graph = problem.graph();
    // For time see `times.rs`.
    for objective in Objective::ALL.into_iter().filter(|objective| *objective != Objective::Time) {
        let expected = least(all.iter().map(|(score, _)| score.of(objective)));
        let found = optimal(problem, objective);
        let score = objective.score(&found.cost).unwrap().to_f64();
        assert!(
            (score - expected).abs() <= expected * 1e-13,
            "{objective}: {score} for {expected} in {name}: {problem:?}"
        );
        assert_eq!(found.certificate, Certificate::Optimal, "{name}: {problem:?}");
        assert_eq!(evaluate(&graph, &found.path).unwrap(), found.cost, "{name}: {problem:?}");
        if objective == Objective::Size {
            let small = all.iter().filter(|(score, _)| score.size == expected);
            let fewest = least(small.map(|(score, _)| score.mul));
            assert!((found.cost.multiplications.to_f64() - fewest).abs() <= fewest * 1e-13, "{name}: {problem:?}");
        }
        for optimizer in [Optimizer::Auto, Optimizer::Greedy, Optimizer::None] {
            let other = search(&graph, &SearchOptions::new().optimizer(optimizer).objective(objective)).unwrap();
            let score = objective.score(&other.cost).unwrap().to_f64();
            assert!(score >= expected * (1.0 - 1e-13), "{optimizer} {objective} {name}: {problem:?}");
            match other.certificate {
                Certificate::Optimal => assert!(score <= expected * (1.0 + 1e-13), "{optimizer} {name}: {problem:?}"),
                Certificate::Unproved { lower_bound } => {
                    assert!(lower_bound.to_f64() <= expected * (1.0 + 1e-13), "{optimizer} {name}: {problem:?}");
                }
                other => panic!("{optimizer} says {other}; {name}: {problem:?}"),
            }
        }
    }
}

/// Random equations with the paths that the reference's planner printed for them.
#[test]
fn the_reference_path_is_that_of_the_original() {
    let vectors = include_str!("reference_paths.tsv");
    let mut compared = 0;
    for line in vectors.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [equation, shapes, expected] = fields[..] else { panic!("three fields: {line}") };
        let numbers = |shape: &str| shape.split('x').map(|size| size.parse().unwrap()).collect::<Vec<usize>>();
        let shapes: Vec<Vec<usize>> =
            shapes.split(',').map(|shape| if shape == "scalar" { Vec::new() } else { numbers(shape) }).collect();
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let options = SearchOptions::new().optimizer(Optimizer::Reference);
        let plan = QEinsum::new(equation).unwrap().with_search(options).plan(&shapes).unwrap();
        assert_eq!(plan.order(), expected, "{equation}");
        compared += 1;
    }
    assert!(compared > 100);
}

/// The search through all orders ends where its work does, with an error.
#[test]
fn the_reference_path_has_a_limit() {
    let qe = QEinsum::new("a,a,a,a,a,a,a,a,a,a,a,a,a->a").unwrap();
    let options = SearchOptions::new().optimizer(Optimizer::Reference).effort(0);
    let shapes: [&[usize]; 13] = [&[2]; 13];
    let error = qe.with_search(options).plan(&shapes).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Limit);
}

#[test]
fn every_kind_of_problem_is_solved() {
    let cases = [
        ("one operand", "ij->ji", ""),
        ("one trace", "ii->", "i=7"),
        ("only scalars", ",,,->", ""),
        ("a scalar and matrices", ",ab,bc->ac", "a=3 b=4 c=5"),
        ("two scalars and matrices", "ab,,bc,->ac", "a=3 b=4 c=5"),
        ("a trace among others", "ii,ij,j->", "i=5 j=7"),
        ("a dangling sum", "ax,ab,by->x", "a=10 b=5 x=3 y=1000"),
        ("a dangling sum of the first", "xa,ab,bc->c", "x=100 a=100 b=100 c=100"),
        ("a kept diagonal", "iij,jk,kl->il", "i=3 j=5 k=4 l=2"),
        ("a batch label on all", "bij,bjk,bkl,bl->bi", "b=6 i=3 j=5 k=4 l=7"),
        ("linked by a batch label only", "bi,bj,bk,bl->bijkl", "b=3 i=5 j=2 k=4 l=3"),
        ("disconnected parts", "ab,bc,de,ef,g->acdfg", "a=2 b=9 c=3 d=2 e=8 f=3 g=2"),
        ("disconnected scalars", "ab,ab,cd,cd,ef->ef", "a=3 c=4 e=2"),
        ("an operand given twice", "ij,ij,ij,jk->ik", "i=3 j=4 k=5"),
        ("all sizes one", "ab,bc,cd,da,ac->bd", "a=1 b=1 c=1 d=1"),
        ("a size of zero", "ab,bc,cd,de->ae", "a=3 b=4 c=0 d=5 e=2"),
        ("a size of zero kept", "ab,bc,cd,d,x->ax", "a=0 b=4 c=2 d=5 x=3"),
        ("a hyperedge over five", "ha,hb,hc,hd,h->abcd", "h=9 a=2 b=3 c=4 d=5"),
        ("a hyperedge summed", "ha,hab,hbc,hc,h->", "h=9 a=2 b=3 c=4"),
        ("vectors on a big array", "a,b,c,d,abcd->", "a=2 b=3 c=2 d=3"),
        ("a ring", "ab,bc,cd,de,ea->", "a=2 b=3 c=4 d=5 e=6"),
    ];
    for (name, equation, sizes) in cases {
        check(&Problem::new(equation, sizes), name);
    }
}

#[test]
fn labels_that_broadcast_count_with_the_largest_extent_of_the_step() {
    let chain = Problem::new("ab,bc,cd,bd->a", "a=3 b=5 c=7 d=2");
    for narrow in
        [vec![(0, "b")], vec![(1, "b"), (2, "c")], vec![(1, "b"), (3, "b")], vec![(0, "b"), (1, "b"), (3, "b")]]
    {
        check(
            &narrow.into_iter().fold(chain.clone(), |problem, (operand, label)| problem.narrow(operand, label)),
            "broadcast",
        );
    }
    check(&Problem::new("ab,bc,bc,a->ac", "a=3 b=0 c=7").narrow(0, "b").narrow(2, "c"), "broadcast");
}

#[test]
fn costs_beyond_machine_integers_stay_exact() {
    // Every two operands share a label of their own.
    for (operands, size, bits) in [(6, 2000, 100), (7, 500, 128)] {
        let axes = |operand: usize| {
            let others = (0..operands).filter(move |&other| other != operand);
            others.map(move |other| (format!("l{}x{}", operand.min(other), operand.max(other)), size)).collect()
        };
        let problem = Problem { operands: (0..operands).map(axes).collect(), output: Vec::new() };
        check(&problem, "a clique");
        assert!(optimal(&problem, Objective::Mul).cost.multiplications.bits() > bits);
    }
}

#[test]
fn a_scalar_is_multiplied_where_it_is_cheap() {
    let found = optimal(&Problem::new(",ab,bc->ac", "a=3 b=4 c=5"), Objective::Mul);
    assert_eq!(found.cost.multiplications.to_string(), "72");
}

#[test]
fn an_optimum_may_need_an_outer_product() {
    // Two vectors on a big matrix: their outer product first, and the matrix is read once.
    let problem = Problem::new("a,b,abx,x->x", "a=2 b=3 x=50");
    check(&problem, "an outer product");
    let scores = problem.all_scores();
    let connected = least(scores.iter().filter(|score| score.1).map(|score| score.0.mul));
    let best = optimal(&problem, Objective::Mul).cost.multiplications.to_f64();
    assert!(best < connected, "{best} {connected}");
}

/// A small deterministic generator, so that every run tests the same problems.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn random_problems_are_solved() {
    let mut random = Random(7);
    for _ in 0..400 {
        let labels = 1 + random.below(7);
        let kinds = if random.below(9) == 0 { 10 } else { 9 };
        let sizes: Vec<usize> = (0..labels).map(|_| [1, 2, 2, 3, 3, 5, 8, 8, 20, 0][random.below(kinds)]).collect();
        let count = 1 + random.below(6);
        let mut operands = Vec::new();
        for _ in 0..count {
            let rank = random.below(4);
            let axes: Vec<usize> = (0..rank).map(|_| random.below(labels)).collect();
            let narrow = random.below(6) == 0;
            let one = axes.first().copied();
            operands.push(
                axes.iter()
                    .map(|&label| (format!("l{label}"), if narrow && Some(label) == one { 1 } else { sizes[label] }))
                    .collect::<Vec<_>>(),
            );
        }
        let used: BTreeSet<String> = operands.iter().flatten().map(|axis| axis.0.clone()).collect();
        let output = used.into_iter().filter(|_| random.below(3) == 0).collect();
        check(&Problem { operands, output }, "random");
    }
}

#[test]
fn ties_go_to_the_tree_that_joins_earlier_operands_first() {
    let chain = Problem::new("ab,bc,cd,de->ae", "a=64 b=8 c=64 d=8 e=64");
    let cases = [
        (chain, "(1,2) (0,2) (0,1)"),
        (Problem::new("ab,bc->ac", ""), "(0,1)"),
        (Problem::new("ab->", ""), "(0)"),
        (Problem::new(",,,->", ""), "(0,1) (0,2) (0,1)"),
        (Problem::new("i,i,i,i->i", "i=0"), "(0,1) (0,2) (0,1)"),
        (Problem::new("ab,bc,cd,da->", ""), "(0,1) (0,2) (0,1)"),
    ];
    for (problem, expected) in cases {
        assert_eq!(optimal(&problem, Objective::Mul).path.to_string(), expected, "{problem:?}");
    }
}

/// A file of `tests/networks`: problems of kinds that are met in practice.
fn network(name: &str) -> Problem {
    let file = format!("{}/tests/networks/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let network: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let labels = |list: &serde_json::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_owned()).collect()
    };
    let axis = |label: String| {
        let size = network["sizes"][&label].as_u64().unwrap();
        (label, usize::try_from(size).unwrap())
    };
    Problem {
        operands: network["inputs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|list| labels(list).into_iter().map(axis).collect())
            .collect(),
        output: labels(&network["output"]),
    }
}

#[test]
fn networks_reach_their_known_optimum() {
    let cases = [
        ("s_aomo_4idx", "1292800000"),
        ("s_attn_scores_proj", "301989888"),
        ("s_cp_decomp_hyper", "18484736"),
        ("s_hyper_12", "6275"),
        ("s_outer_disconnected", "15137"),
        ("s_randreg_18_4", "759429"),
        ("s_traces_repeated", "11628"),
    ];
    for (name, expected) in cases {
        let found = search(&network(name).graph(), &SearchOptions::new()).unwrap();
        assert_eq!(found.cost.multiplications.to_string(), expected, "{name}");
        assert_eq!(found.certificate, Certificate::Optimal, "{name}");
    }
}

#[test]
fn any_twelve_operands_are_proved() {
    let label = |operand: usize| (format!("x{operand}"), 2);
    let pairs = |operand: usize| {
        let others = (0..12).filter(move |&other| other != operand);
        others.map(move |other| (format!("y{}x{}", operand.min(other), operand.max(other)), 32)).collect()
    };
    let kept: Vec<String> = (0..12).map(|operand| label(operand).0).collect();
    let problems = [
        ("disconnected", Problem { operands: (0..12).map(|operand| vec![label(operand)]).collect(), output: kept }),
        ("one label", Problem { operands: vec![vec![label(0)]; 12], output: Vec::new() }),
        ("nothing", Problem { operands: vec![vec![(label(0).0, 0)]; 12], output: Vec::new() }),
        ("a clique", Problem { operands: (0..12).map(pairs).collect(), output: Vec::new() }),
    ];
    for (name, problem) in problems {
        let found = search(&problem.graph(), &SearchOptions::new()).unwrap();
        assert_eq!(found.certificate, Certificate::Optimal, "{name}");
    }
}

#[test]
fn a_search_out_of_work_says_so() {
    let problem = network("s_randreg_18_4");
    let found = search(&problem.graph(), &SearchOptions::new().effort(0)).unwrap();
    let Certificate::Unproved { lower_bound } = &found.certificate else { panic!("{}", found.certificate) };
    assert!(*lower_bound <= "759429".parse().unwrap());
    assert!(found.cost.multiplications >= "759429".parse().unwrap());
}

#[test]
fn hundreds_of_operands_are_planned() {
    let names: Vec<String> = (0..=300).map(|label| format!("x{label}")).collect();
    let operands = (0..300)
        .map(|operand| [operand, operand + 1].map(|label| (names[label].clone(), 2 + label * 7 % 11)).to_vec())
        .collect();
    let problem = Problem { operands, output: vec![names[0].clone(), names[300].clone()] };
    let found = search(&problem.graph(), &SearchOptions::new()).unwrap();
    let written = search(&problem.graph(), &SearchOptions::new().optimizer(Optimizer::None)).unwrap();
    assert!(found.cost.multiplications <= written.cost.multiplications);
    assert_eq!(found, search(&problem.graph(), &SearchOptions::new()).unwrap());
}

/// A search that could not look at all pairs once gives up before it goes so deep.
#[test]
fn the_references_search_gives_up_at_once_where_one_path_is_too_long() {
    for operands in [2000, 20_000] {
        let terms: Vec<String> = (0..operands).map(|at| format!("x{at} x{}", at + 1)).collect();
        let qe = QEinsum::named(&format!("{} -> x0 x{operands}", terms.join(", "))).unwrap();
        let options = SearchOptions::new().optimizer(Optimizer::Reference);
        let shapes = vec![&[2, 2][..]; operands];
        let error = qe.with_search(options).plan(&shapes).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Limit, "{error}");
    }
}

/// A random network in which every operand has three labels.
pub(crate) fn regular(operands: usize, seed: u64) -> (Equation, Sizes) {
    let mut random = crate::properties::Random::new(seed);
    let mut ends: Vec<usize> = (0..operands).flat_map(|operand| [operand; 3]).collect();
    random.shuffle(&mut ends);
    let mut inputs = vec![Vec::new(); operands];
    for (edge, pair) in ends.chunks_exact(2).enumerate() {
        // An edge from an operand to itself is a trace.
        for &operand in pair {
            inputs[operand].push(format!("e{edge}"));
        }
    }
    let shapes: Vec<Vec<usize>> = inputs.iter().map(|labels| vec![2; labels.len()]).collect();
    let equation = Equation::new(Syntax::Named, &inputs, &[] as &[String]).unwrap();
    let sizes = Sizes::new(&equation, &shapes).unwrap();
    (equation, sizes)
}

#[test]
fn searches_do_not_depend_on_threads_and_follow_their_seed() {
    let (equation, sizes) = regular(80, 1);
    let graph = ContractionGraph::new(&equation, &sizes);
    let mut found = Vec::new();
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        found.push(pool.install(|| search(&graph, &SearchOptions::new()).unwrap()));
    }
    assert!(found.iter().all(|each| *each == found[0]));
    let greedy = search(&graph, &SearchOptions::new().optimizer(Optimizer::Greedy)).unwrap();
    let random = search(&graph, &SearchOptions::new().optimizer(Optimizer::RandomGreedy)).unwrap();
    let anneal = search(&graph, &SearchOptions::new().optimizer(Optimizer::Anneal)).unwrap();
    for better in [&found[0], &random, &anneal] {
        assert!(better.cost.multiplications <= greedy.cost.multiplications);
    }
    let seeds = (0..4).map(|seed| search(&graph, &SearchOptions::new().optimizer(Optimizer::RandomGreedy).seed(seed)));
    let paths: std::collections::HashSet<String> = seeds.map(|found| found.unwrap().path.to_string()).collect();
    assert!(paths.len() > 1);
}

#[test]
fn a_search_ends_in_time_or_when_it_is_told() {
    let (equation, sizes) = regular(400, 2);
    let graph = ContractionGraph::new(&equation, &sizes);
    let options = SearchOptions::new().time_budget(std::time::Duration::from_millis(300));
    let found = search(&graph, &options).unwrap();
    assert!(matches!(found.ended, Ended::Time(_)) && !found.ended.is_repeatable());
    let stop = std::sync::atomic::AtomicBool::new(true);
    let stopped = search_until(&graph, &SearchOptions::new().effort(1000), &stop).unwrap();
    assert_eq!((stopped.ended, stopped.path.operands()), (Ended::Stopped, 400));
    assert!(search(&graph, &SearchOptions::new().optimizer(Optimizer::Greedy)).unwrap().ended.is_repeatable());
}
