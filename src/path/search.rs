//! The search for a path: which optimizer runs, for how long, and what is known of its result.
//!
//! In come the graph and [`SearchOptions`]; out goes [`Found`]: a path, its exact cost and its certificate. The
//! limit of a search is counted in work, never in seconds, so that it finds the same path on every machine; unless
//! it is told to search for a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::apart::Apart;
use super::certificate::Certificates;
use super::chain::chain;
use super::limits::{Limits, OPTIMAL_WORK, RANDOM_TRIALS, REFERENCE_WORK, SMALL};
use super::optimal::{Answer, Proof, Question, Trees, optimal};
use super::portfolio::{arranged, best_greedy, best_random_greedy, portfolio, seed_tree};
use super::reconfigure::LARGE_PIECE;
use super::reference::reference;
use super::scored::{ScoredTree, Scoring};
use super::scorer::Scorer;
use super::team::Team;
use super::terms::Terms;
use super::tree::{Assembly, unfit};
use super::watch::Watch;
use crate::equation::Label;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::ContractionGraph;
use crate::path::{Certificate, Cost, Ended, Objective, Optimizer, Path, PathCost, SearchOptions, evaluate};

/// A path, what it costs, and how good it is known to be.
///
/// ```
/// use qeinsum::path::{Ended, Found, Objective, SearchOptions, search};
/// let graph = qeinsum::QEinsum::new("ab,bc,cd->ad")?.graph(&[&[2, 3], &[3, 4], &[4, 5]])?;
/// let Found { path, objective, cost, certificate, ended, slices, .. } = search(&graph, &SearchOptions::new())?;
/// assert_eq!((path.to_string(), objective), ("(0,1) (0,1)".to_owned(), Objective::Mul));
/// assert_eq!((cost.multiplications.to_string(), certificate.is_optimal(), ended), ("64".into(), true, Ended::Work));
/// assert!(slices.is_empty()); // none were needed
/// # Ok::<(), qeinsum::Error>(())
/// ```
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
    /// How the search ended.
    pub ended: Ended,
    /// The labels that it runs over one index at a time; their order says nothing.
    pub slices: Vec<Label>,
    /// The labels that calls sum before others, rising: a plan in slices of them then adds floats in the order in which
    /// the whole would add them. Empty, calls sum in the order of labels.
    pub leading: Vec<Label>,
}

/// The best path that the optimizer finds. The same options find the same path on every machine.
///
/// Where the exact search went to its end, the path is that of a definite tree among all that score alike: the one
/// that joins earlier operands first. It is decided from the last step downwards: of two ways to split a set of
/// operands, look at the part that has the first of them, and at the first operand that is in this part one way but
/// not the other; the way that has it there wins. Of more than 12 operands, parts that end as scalars are decided each by
/// itself, and their scalars multiplied in the order of their first operands. A tree has one path: of the steps whose operands are there, the
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
    search_until(graph, options, &AtomicBool::new(false))
}

/// The best path that [`search()`] has found when `stop` is set, which another thread or a signal may do.
///
/// ```
/// use std::sync::atomic::AtomicBool;
/// use qeinsum::graph::ContractionGraph;
/// use qeinsum::path::{SearchOptions, search_until};
/// use qeinsum::{Equation, Sizes, Syntax};
/// let equation = Equation::new(Syntax::Compact, &[vec!["i", "j"], vec!["j", "k"]], &["i", "k"])?;
/// let graph = ContractionGraph::new(&equation, &Sizes::new(&equation, &[[2, 3], [3, 4]])?);
/// let found = search_until(&graph, &SearchOptions::new(), &AtomicBool::new(true))?;
/// assert_eq!(found.path.to_string(), "(0,1)");
/// # Ok::<(), qeinsum::Error>(())
/// ```
///
/// Errors are those of [`search()`].
pub fn search_until(graph: &ContractionGraph, options: &SearchOptions, stop: &AtomicBool) -> Result<Found> {
    search_together(graph, options, stop, &Team::default())
}

/// The same path, found by several ranks.
pub(crate) fn search_together(
    graph: &ContractionGraph,
    options: &SearchOptions,
    stop: &AtomicBool,
    team: &Team<'_>,
) -> Result<Found> {
    let terms = Terms::new(graph);
    let effort = u64::from(options.effort);
    let deadline = options.time_budget.and_then(|budget| Instant::now().checked_add(budget));
    let search = Search {
        scoring: Scoring { terms: &terms, scorer: options.scorer() },
        seed: options.seed,
        team,
        watch: Watch { deadline, stop: Some(stop) },
    };
    let operands = terms.operands.len();
    let limits = Limits::of(operands).times(effort);
    let mut found = match options.optimizer {
        Optimizer::Auto => search.run(limits),
        Optimizer::Optimal => {
            let work = OPTIMAL_WORK.saturating_mul(effort);
            search.run(Limits { exact: work, chain: work, ..limits })
        }
        Optimizer::Anneal => search.run(Limits { exact: 0, chain: 0, ..limits }),
        Optimizer::Greedy => search.unproved(best_greedy(search.scoring)),
        Optimizer::RandomGreedy => {
            let trials = RANDOM_TRIALS.saturating_mul(effort);
            search.unproved(best_random_greedy(search.scoring, trials, search.seed, team, search.watch))
        }
        Optimizer::Reference => {
            let steps = reference(graph, REFERENCE_WORK.saturating_mul(effort)).ok_or_else(|| {
                let message = format!(
                    "the reference's search through all orders of {operands} operands ended at its limit of work; \
                     `auto` and `optimal` do not",
                );
                Error::new(ErrorKind::Limit, message)
            })?;
            search.unproved(search.scoring.as_made(steps))
        }
        Optimizer::None => search.unproved(search.scoring.tree(&written(operands))),
    };
    team.check()?;
    if stop.load(Ordering::Relaxed) {
        found.ended = Ended::Stopped;
    } else if let (Some(budget), false) = (options.time_budget, found.certificate.is_optimal()) {
        found.ended = Ended::Time(budget);
    }
    Ok(found)
}

/// A path that was not searched for; an error where it does not have the graph's number of operands.
///
/// ```
/// use qeinsum::path::{Certificate, given};
/// let graph = qeinsum::QEinsum::new("ab,bc,cd->ad")?.graph(&[&[2, 3], &[3, 4], &[4, 5]])?;
/// let found = given(&graph, "(1,2) (0,1)".parse()?)?;
/// assert_eq!((found.certificate, found.cost.multiplications.to_string()), (Certificate::Given, "90".to_owned()));
/// assert!(given(&graph, "(0,1)".parse()?).is_err()); // a path of two operands
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn given(graph: &ContractionGraph, path: Path) -> Result<Found> {
    if path.operands() != graph.operands() {
        return Err(unfit(&path, graph.operands()));
    }
    let cost = evaluate(graph, &path)?;
    Ok(Found {
        path,
        objective: Objective::Mul,
        cost,
        certificate: Certificate::Given,
        ended: Ended::Work,
        slices: Vec::new(),
        leading: Vec::new(),
    })
}

/// The joins of the operands in written order.
fn written(operands: usize) -> Vec<[usize; 2]> {
    (1..operands).map(|next| if next == 1 { [0, 1] } else { [next, operands + next - 2] }).collect()
}

#[derive(Clone, Copy)]
struct Search<'a> {
    scoring: Scoring<'a>,
    seed: u64,
    team: &'a Team<'a>,
    watch: Watch<'a>,
}

impl Search<'_> {
    fn unproved(&self, tree: ScoredTree) -> Found {
        let lower_bound = self.scoring.terms.least(self.scoring.scorer);
        // Of two operands there is one tree only.
        let certificate = if tree.steps.len() < 2 || tree.score <= lower_bound {
            Certificate::Optimal
        } else {
            Certificate::Unproved { lower_bound }
        };
        tree.found(self.scoring.scorer.objective, certificate)
    }

    /// Rounds of a search, until its path is proved or its time is over; one round where no time is given.
    fn run(&self, limits: Limits) -> Found {
        let mut found = self.round(None, limits, 0);
        if self.watch.deadline.is_none() {
            return found;
        }
        let mut limits = limits;
        for round in 1.. {
            if self.watch.is_over() || found.certificate.is_optimal() {
                break;
            }
            limits = limits.times(2);
            let known = self.scoring.as_made(found.path.ssa());
            found = self.round(Some(known), limits, round);
        }
        found
    }

    /// The best tree that a round finds, at least as good as the one known.
    fn round(&self, known: Option<ScoredTree>, mut limits: Limits, round: u64) -> Found {
        if let Some(best) = self.chain(&mut limits.chain) {
            return best.found(self.scoring.scorer.objective, Certificate::Optimal);
        }
        if let Some(found) = self.apart(known.as_ref(), &mut limits, round) {
            return found;
        }
        let mut best = match known {
            Some(known) => known,
            None => seed_tree(self.scoring),
        };
        if best.steps.len() < 2 {
            return self.unproved(best);
        }
        let mut connected_proved = false;
        if best.steps.len() >= SMALL {
            let (tree, proved) = self.by_parts(best, &mut limits, round);
            best = tree;
            connected_proved = proved;
            if !connected_proved {
                // All trees are many more: there is no hope to prove anything about them.
                return self.unproved(arranged(self.scoring, best, LARGE_PIECE, &mut limits.exact, self.watch));
            }
        }
        self.proved(best, connected_proved, &mut limits.exact)
    }

    /// The best of all trees of a chain or ring, if its work is enough.
    fn chain(&self, work: &mut u64) -> Option<ScoredTree> {
        let Scoring { terms, scorer } = self.scoring;
        chain(terms, scorer, work, self.watch).map(|joins| self.scoring.tree(&joins))
    }

    /// Searches each part that ends as a scalar by itself, where that loses no tree.
    fn apart(&self, known: Option<&ScoredTree>, limits: &mut Limits, round: u64) -> Option<Found> {
        let Scoring { terms, scorer } = self.scoring;
        let operands = terms.operands.len();
        // Of few operands, all trees are looked at, and the choice among equals is that of the whole.
        let apart = if operands > SMALL { Apart::of(self.scoring)? } else { return None };
        let mut assembly = Assembly::new(operands);
        let mut certificates = Certificates::new(&scorer.at_least(&Cost::ONE, &Cost::ONE), apart.scalars.len() - 1);
        let mut own = |terms: &Terms, ids: Vec<usize>, assembly: &mut Assembly| {
            let search = Search { scoring: Scoring { terms, scorer }, ..*self };
            let found = search.round(None, limits.share(ids.len(), operands + 1), round);
            certificates.add(&found, terms.least(scorer));
            assembly.add(&found.path.ssa(), ids)
        };
        let roots: Vec<usize> =
            apart.scalars.iter().filter_map(|part| own(&terms.part(part), part.clone(), &mut assembly)).collect();
        let scalar = assembly.add(&written(roots.len()), roots)?;
        if let Some(rest) = apart.rest_with_scalar(terms) {
            let ids = apart.rest.iter().copied().chain([scalar]).collect();
            own(&rest, ids, &mut assembly);
        }
        let tree = self.scoring.tree(&assembly.joins);
        let best = known.cloned().map_or(tree.clone(), |known| known.or_better(tree));
        let certificate = certificates.of(&best.score);
        Some(best.found(scorer.objective, certificate))
    }

    /// The search over all trees, which may prove the tree.
    fn proved(&self, mut best: ScoredTree, connected_proved: bool, work: &mut u64) -> Found {
        let Some(answer) = self.ask(Trees::All, &best, None, work) else { return self.unproved(best) };
        if let Some(joins) = &answer.joins {
            best = self.scoring.tree(joins);
        }
        let objective = self.scoring.scorer.objective;
        match answer.proof {
            Proof::Complete => {
                let best = if objective == Objective::Size { self.fewest(best, work) } else { best };
                best.found(objective, Certificate::Optimal)
            }
            Proof::Cut(least) => {
                let lower_bound = least.max(self.scoring.terms.least(self.scoring.scorer));
                let certificate = if best.score <= lower_bound {
                    Certificate::Optimal
                } else if connected_proved {
                    Certificate::OptimalConnected
                } else {
                    Certificate::Unproved { lower_bound }
                };
                best.found(objective, certificate)
            }
        }
    }

    fn ask(&self, trees: Trees, best: &ScoredTree, largest: Option<&Cost>, work: &mut u64) -> Option<Answer> {
        let Scoring { terms, scorer } = self.scoring;
        let question = Question { terms, scorer, trees, upper: &best.score, largest, watch: self.watch };
        optimal(question, work)
    }

    /// Of the trees with results as small as `best` has, the one of the fewest multiplications.
    fn fewest(&self, best: ScoredTree, work: &mut u64) -> ScoredTree {
        let scorer = Scorer { objective: Objective::Mul, ..self.scoring.scorer };
        let multiplying = Self { scoring: Scoring { scorer, ..self.scoring }, ..*self };
        let known = ScoredTree { score: best.cost.multiplications.clone(), ..best.clone() };
        let answer = multiplying.ask(Trees::All, &known, Some(&best.score), work);
        match answer.and_then(|answer| answer.joins) {
            Some(joins) => self.scoring.tree(&joins),
            None => best,
        }
    }

    /// The best tree that contracts each connected part by itself, or the one known where that is better; and whether
    /// none without outer products is better.
    fn by_parts(&self, known: ScoredTree, limits: &mut Limits, round: u64) -> (ScoredTree, bool) {
        let terms = self.scoring.terms;
        let operands = terms.operands.len();
        let parts = terms.parts();
        if let [_] = parts.as_slice() {
            return self.part(known, limits, round);
        }
        let mut assembly = Assembly::new(operands);
        let mut proved = true;
        let mut roots = Vec::with_capacity(parts.len());
        for part in &parts {
            let terms = terms.part(part);
            let search = Search { scoring: Scoring { terms: &terms, ..self.scoring }, ..*self };
            let mut own = limits.share(part.len(), operands);
            let (tree, is_proved) = match search.chain(&mut own.chain) {
                Some(tree) => (tree, true),
                None => search.part(seed_tree(search.scoring), &mut own, round),
            };
            proved &= is_proved;
            roots.extend(assembly.add(&tree.steps, part.clone()));
        }
        let results = terms.results(&parts);
        let search = Search { scoring: Scoring { terms: &results, ..self.scoring }, ..*self };
        let mut best = seed_tree(search.scoring);
        match search.ask(Trees::All, &best, None, &mut limits.exact) {
            Some(answer) => {
                proved &= answer.proof == Proof::Complete;
                if let Some(joins) = answer.joins {
                    best = search.scoring.tree(&joins);
                }
            }
            None => proved = false,
        }
        assembly.add(&best.steps, roots);
        let tree = self.scoring.tree(&assembly.joins);
        // What is known may have outer products, which the parts alone have not: then it stays, and they are proved.
        (if tree.score <= known.score { tree } else { known }, proved)
    }

    /// The best tree of operands that labels connect, and whether none without outer products is better.
    fn part(&self, known: ScoredTree, limits: &mut Limits, round: u64) -> (ScoredTree, bool) {
        if known.steps.len() < 2 {
            return (known, true);
        }
        let exact = limits.exact;
        // Most networks that can be proved at all are proved in no time, and leave nothing to anneal for.
        let (known, is_proved) = self.connected(known, limits, exact / 8);
        if is_proved {
            return (known, true);
        }
        let known = if known.steps.len() < SMALL {
            known
        } else {
            portfolio(self.scoring, known, limits.portfolio, [self.seed, round], self.team, self.watch)
        };
        // The rest is kept for what comes after.
        self.connected(known, limits, exact / 4 * 3)
    }

    /// The best tree without outer products within some of the exact search's work, and whether it is proved.
    fn connected(&self, known: ScoredTree, limits: &mut Limits, work: u64) -> (ScoredTree, bool) {
        if work == 0 {
            return (known, false);
        }
        let mut left = work;
        let answer = self.ask(Trees::Connected, &known, None, &mut left);
        limits.exact -= work - left;
        match answer {
            Some(Answer { joins, proof }) => {
                let tree = joins.map_or(known, |joins| self.scoring.tree(&joins));
                (tree, proof == Proof::Complete)
            }
            None => (known, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

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
