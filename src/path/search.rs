//! The search for a path: which optimizer runs, for how long, and what is known of its result.
//!
//! In come the graph and [`SearchOptions`]; out goes [`Found`]: a path, its exact cost and its certificate. The
//! limit of a search is counted in work, never in seconds, so that it finds the same path on every machine.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::greedy::greedy;
use super::optimal::{Answer, Proof, Question, Trees, optimal};
use super::reconfigure::{LARGE_PIECE, SMALL_PIECE, reconfigure};
use super::reference::reference;
use super::terms::Terms;
use super::tree::{canonical, unfit};
use crate::equation::Label;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::ContractionGraph;
use crate::path::{Certificate, Cost, Objective, Path, PathCost, evaluate};
use crate::span::printable_text;

/// How a path is looked for.
///
/// ```
/// use qeinsum::path::Optimizer;
/// let optimizer: Optimizer = "greedy".parse()?;
/// assert_eq!(optimizer, Optimizer::Greedy);
/// assert_eq!(optimizer.to_string(), "greedy");
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Optimizer {
    /// The exact search with a moderate limit of work; where that ends it, the best path found so far.
    #[default]
    Auto,
    /// The exact search with a limit of work far above that of `Auto`.
    Optimal,
    /// The reference's own search, `opt_einsum`'s `optimal` as JAX calls it, whose default paths it repeats.
    ///
    /// It counts a step that sums a label twice, whatever the objective asked for, and takes the first of the paths that
    /// it thinks equal. It looks at all orders and ends with an error at its limit of work, which 9 operands never reach;
    /// [`SearchOptions::effort`] raises it.
    Reference,
    /// Pairs that shrink most first.
    Greedy,
    /// No search: operand 0 with operand 1, the result with operand 2, and so on.
    None,
}

impl Optimizer {
    /// Every optimizer, in the order of the help text.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Optimal, Self::Greedy, Self::Reference, Self::None];

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Optimal => "optimal",
            Self::Greedy => "greedy",
            Self::Reference => "reference",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Optimizer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|optimizer| optimizer.name() == text).ok_or_else(|| {
            let shown = printable_text(text, 40);
            Error::new(
                ErrorKind::Path,
                format!("`{shown}` is no optimizer: one of auto, optimal, greedy, reference, none"),
            )
        })
    }
}

/// Work that `auto` may do per unit of effort: a tenth of a second or two. Any 12 operands are proved within it.
const AUTO_WORK: u64 = 1 << 24;
/// Work that `optimal` may do per unit of effort, which takes up to about a minute and 2 GB.
const OPTIMAL_WORK: u64 = 1 << 32;

/// Pairs that `reference` may look at per unit of effort: some forty seconds of a slow machine.
const REFERENCE_WORK: u64 = 1 << 29;

/// Up to this many operands all trees are looked at without looking at the connected ones first.
const SMALL: usize = 12;

/// How a greedy score weighs the operands against the result; the best of these is taken.
const GREEDY_WEIGHTS: [f64; 3] = [1.0, 0.0, 4.0];

/// What to search for, and how.
///
/// ```
/// use qeinsum::path::{Objective, Optimizer, SearchOptions};
/// let options = SearchOptions::new().optimizer(Optimizer::Optimal).objective(Objective::Size).effort(4);
/// assert_ne!(options, SearchOptions::default());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[must_use]
pub struct SearchOptions {
    optimizer: Optimizer,
    objective: Objective,
    effort: u32,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { optimizer: Optimizer::default(), objective: Objective::default(), effort: 1 }
    }
}

impl SearchOptions {
    /// `auto`, for multiplications, with effort 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same options with this optimizer.
    pub fn optimizer(mut self, optimizer: Optimizer) -> Self {
        self.optimizer = optimizer;
        self
    }

    /// The same options with this objective.
    pub fn objective(mut self, objective: Objective) -> Self {
        self.objective = objective;
        self
    }

    /// The same options with `effort` times the usual work allowed.
    pub fn effort(mut self, effort: u32) -> Self {
        self.effort = effort;
        self
    }
}

/// A path, what it costs, and how good it is known to be.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Found {
    /// The path.
    pub path: Path,
    /// What it was searched for; of a given path, multiplications.
    pub objective: Objective,
    /// Its exact cost, in these slices.
    pub cost: PathCost,
    /// What is proved about it.
    pub certificate: Certificate,
    /// The labels that it runs over one index at a time; their order says nothing.
    pub slices: Vec<Label>,
}

/// The best path that the optimizer finds. The same options find the same path on every machine.
///
/// Where the exact search went to its end, the path is that of a definite tree among all that score alike: the one
/// that joins earlier operands first. It is decided from the last step downwards: of two ways to split a set of
/// operands, look at the part that has the first of them, and at the first operand that is in this part one way but
/// not the other; the way that has it there wins. A tree has one path: of the steps whose operands are there, the
/// one with the lowest operand comes next, results counting in the order in which they are made, after all inputs.
///
/// ```
/// use qeinsum::graph::ContractionGraph;
/// use qeinsum::path::{Certificate, SearchOptions, search};
/// use qeinsum::{Equation, Sizes, Syntax};
/// let names = [vec!["a", "b"], vec!["b", "c"], vec!["c", "d"], vec!["d", "e"]];
/// let equation = Equation::new(Syntax::Compact, &names, &["a", "e"])?;
/// let sizes = Sizes::new(&equation, &[[64, 8], [8, 64], [64, 8], [8, 64]])?;
/// let found = search(&ContractionGraph::new(&equation, &sizes), &SearchOptions::new())?;
/// assert_eq!(found.path.to_string(), "(1,2) (0,2) (0,1)");
/// assert_eq!(found.cost.multiplications.to_string(), "40960");
/// assert_eq!(found.certificate, Certificate::Optimal);
/// # Ok::<(), qeinsum::Error>(())
/// ```
///
/// An error where [`Optimizer::Reference`] reaches its limit of work; the others never fail.
pub fn search(graph: &ContractionGraph, options: &SearchOptions) -> Result<Found> {
    let terms = Terms::new(graph);
    let effort = u64::from(options.effort);
    let search = Search { terms: &terms, objective: options.objective };
    Ok(match options.optimizer {
        Optimizer::Auto => search.exact(AUTO_WORK.saturating_mul(effort)),
        Optimizer::Optimal => search.exact(OPTIMAL_WORK.saturating_mul(effort)),
        Optimizer::Greedy => search.unproved(search.greedy()),
        Optimizer::Reference => {
            let steps = reference(graph, REFERENCE_WORK.saturating_mul(effort)).ok_or_else(|| {
                let message = format!(
                    "the reference's search through all orders of {} operands ended at its limit of work; \
                     `auto` and `optimal` do not",
                    graph.operands()
                );
                Error::new(ErrorKind::Limit, message)
            })?;
            search.unproved(search.as_made(steps))
        }
        Optimizer::None => search.unproved(search.tree(&written(terms.operands.len()))),
    })
}

/// A path that was not searched for; an error where it does not have the graph's number of operands.
pub fn given(graph: &ContractionGraph, path: Path) -> Result<Found> {
    if path.operands() != graph.operands() {
        return Err(unfit(&path, graph.operands()));
    }
    let cost = evaluate(graph, &path)?;
    Ok(Found { path, objective: Objective::Mul, cost, certificate: Certificate::Given, slices: Vec::new() })
}

/// The joins of the operands in written order.
fn written(operands: usize) -> Vec<[usize; 2]> {
    (1..operands).map(|next| if next == 1 { [0, 1] } else { [next, operands + next - 2] }).collect()
}

/// A tree in canonical order, with its cost and score.
#[derive(Clone, Debug)]
struct Tree {
    steps: Vec<[usize; 2]>,
    cost: PathCost,
    score: Cost,
}

impl Tree {
    fn found(self, objective: Objective, certificate: Certificate) -> Found {
        let path = Path::from_ssa(&self.steps).unwrap_or_else(|error| unreachable!("a tree is a path: {error:?}"));
        Found { path, objective, cost: self.cost, certificate, slices: Vec::new() }
    }
}

#[derive(Clone, Copy)]
struct Search<'a> {
    terms: &'a Terms,
    objective: Objective,
}

impl Search<'_> {
    fn tree(&self, joins: &[[usize; 2]]) -> Tree {
        self.as_made(canonical(joins))
    }

    /// A tree whose steps stay in the order in which they are given.
    fn as_made(&self, steps: Vec<[usize; 2]>) -> Tree {
        let cost = self.terms.cost(&steps);
        let score = self.objective.score(&cost);
        Tree { steps, cost, score }
    }

    /// The best greedy tree; among equals, the first.
    fn greedy(&self) -> Tree {
        let first = self.tree(&greedy(self.terms, GREEDY_WEIGHTS[0]));
        GREEDY_WEIGHTS[1..].iter().fold(first, |best, &alpha| {
            let other = self.tree(&greedy(self.terms, alpha));
            if other.score < best.score { other } else { best }
        })
    }

    /// The greedy tree, where it is large with its pieces arranged better: the
    /// bound that the exact search starts with.
    fn seed(&self, work: &mut u64) -> Tree {
        let greedy = self.greedy();
        if greedy.steps.len() < SMALL_PIECE {
            return greedy;
        }
        self.arranged(greedy, SMALL_PIECE, work)
    }

    /// The tree with its pieces of up to `size` operands arranged better.
    fn arranged(&self, tree: Tree, size: usize, work: &mut u64) -> Tree {
        let other = self.tree(&reconfigure(self.terms, self.objective, &tree.steps, size, work));
        if other.score < tree.score { other } else { tree }
    }

    fn unproved(&self, tree: Tree) -> Found {
        let lower_bound = self.terms.least(self.objective);
        // Of two operands there is one tree only.
        let certificate = if tree.steps.len() < 2 || tree.score <= lower_bound {
            Certificate::Optimal
        } else {
            Certificate::Unproved { lower_bound }
        };
        tree.found(self.objective, certificate)
    }

    /// The exact search: trees without outer products first, which bound the search over all trees.
    fn exact(&self, mut work: u64) -> Found {
        let mut best = self.seed(&mut work);
        if best.steps.len() < 2 {
            return self.unproved(best);
        }
        let mut connected_proved = false;
        if best.steps.len() >= SMALL {
            // A quarter of the work is kept for what comes after.
            let mut kept = work / 4;
            work -= kept;
            if let Some((joins, proved)) = self.connected(&best, &mut work) {
                let tree = self.tree(&joins);
                if tree.score <= best.score {
                    best = tree;
                }
                connected_proved = proved;
            }
            if !connected_proved {
                // All trees are many more: there is no hope to prove anything about them.
                return self.unproved(self.arranged(best, LARGE_PIECE, &mut kept));
            }
            work += kept;
        }
        let Some(answer) = self.ask(Trees::All, &best, None, &mut work) else { return self.unproved(best) };
        if let Some(joins) = &answer.joins {
            best = self.tree(joins);
        }
        match answer.proof {
            Proof::Complete => {
                let best = if self.objective == Objective::Size { self.fewest(best, &mut work) } else { best };
                best.found(self.objective, Certificate::Optimal)
            }
            Proof::Cut(least) => {
                let lower_bound = least.max(self.terms.least(self.objective));
                let certificate = if best.score <= lower_bound {
                    Certificate::Optimal
                } else if connected_proved {
                    Certificate::OptimalConnected
                } else {
                    Certificate::Unproved { lower_bound }
                };
                best.found(self.objective, certificate)
            }
        }
    }

    fn ask(&self, trees: Trees, best: &Tree, largest: Option<&Cost>, work: &mut u64) -> Option<Answer> {
        let question = Question { terms: self.terms, objective: self.objective, trees, upper: &best.score, largest };
        optimal(question, work)
    }

    /// Of the trees with results as small as `best` has, the one of the fewest multiplications.
    fn fewest(&self, best: Tree, work: &mut u64) -> Tree {
        let multiplying = Self { objective: Objective::Mul, ..*self };
        let known = Tree { score: best.cost.multiplications.clone(), ..best.clone() };
        let answer = multiplying.ask(Trees::All, &known, Some(&best.score), work);
        match answer.and_then(|answer| answer.joins) {
            Some(joins) => self.tree(&joins),
            None => best,
        }
    }

    /// The best tree that contracts each connected part by itself without outer products, as joins, and whether
    /// it is proved to be. `None` where a part has too many operands.
    fn connected(&self, known: &Tree, work: &mut u64) -> Option<(Vec<[usize; 2]>, bool)> {
        let parts = self.terms.parts();
        let operands = self.terms.operands.len();
        let mut joins: Vec<[usize; 2]> = Vec::with_capacity(operands - 1);
        let mut proved = true;
        // `ids` turns the numbers of a sub-problem into those of this one.
        let mut solve = |terms: &Terms, trees, mut ids: Vec<usize>| -> Option<usize> {
            let search = Search { terms, objective: self.objective };
            let known = if ids.len() == operands { known.clone() } else { search.seed(work) };
            let mut steps = known.steps.clone();
            if steps.len() > 1 {
                let answer = search.ask(trees, &known, None, work)?;
                steps = answer.joins.unwrap_or(steps);
                proved &= answer.proof == Proof::Complete;
            }
            for [a, b] in steps {
                joins.push([ids[a], ids[b]]);
                ids.push(operands + joins.len() - 1);
            }
            ids.last().copied()
        };
        let mut roots = Vec::with_capacity(parts.len());
        for part in &parts {
            roots.push(solve(&self.terms.part(part), Trees::Connected, part.clone())?);
        }
        solve(&self.terms.results(&parts), Trees::All, roots)?;
        Some((joins, proved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

    #[test]
    fn every_optimizer_is_read_back() {
        for optimizer in Optimizer::ALL {
            assert_eq!(optimizer.to_string().parse::<Optimizer>().unwrap(), optimizer);
            assert_eq!(serde_json::to_string(&optimizer).unwrap(), format!("\"{optimizer}\""));
        }
        assert!("best".parse::<Optimizer>().is_err());
    }

    #[test]
    fn written_order_is_left_to_right() {
        let found = search(&graph("a,a,a,a->", ""), &SearchOptions::new().optimizer(Optimizer::None)).unwrap();
        assert_eq!(found.path.to_string(), "(0,1) (0,2) (0,1)");
        assert_eq!(found.path.ssa(), [[0, 1], [2, 4], [3, 5]]);
    }

    #[test]
    fn a_given_path_is_taken_as_it_is() {
        let graph = graph("a,ab,b->", "");
        let found = given(&graph, "(0,2) (0,1)".parse().unwrap()).unwrap();
        assert_eq!((found.certificate, found.cost.multiplications.to_u128()), (Certificate::Given, Some(8)));
        let error = given(&graph, "(0,1)".parse().unwrap()).unwrap_err();
        assert_eq!(error.message(), "the path contracts 2 operands, but the equation has 3");
    }
}
