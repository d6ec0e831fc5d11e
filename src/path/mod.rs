//! The planner: which operands to contract first.
//!
//! In comes a [`ContractionGraph`](crate::graph::ContractionGraph); out goes a [`Path`] with its exact cost and a
//! [`Certificate`] that says how good it is known to be. Nothing here knows axes, strides or quantization.
//!
//! [`search()`] runs a greedy, arranges pieces of its tree exactly, and then searches all trees best-first, first
//! those without outer products. Chains and rings have a way of their own, and parts that end as scalars are searched
//! apart. It ends when its path is proved, or at a limit of work that depends on no clock.
//! Scores come from integers, or from IEEE operations alone, so they are the same on every machine.
//!
//! Where sizes are known as ranges only, a [`Family`] is the few paths of which one is good at each of them.
//!
//! ```
//! use qeinsum::path::{SearchOptions, evaluate, search};
//! let graph = qeinsum::QEinsum::new("ab,bc,cd->ad")?.graph(&[&[64, 8], &[8, 64], &[64, 64]])?;
//! let found = search(&graph, &SearchOptions::new())?;
//! assert_eq!((found.path.to_string(), found.certificate.is_optimal()), ("(1,2) (0,1)".to_owned(), true));
//! assert!(evaluate(&graph, &"(0,1) (0,1)".parse()?)?.multiplications > found.cost.multiplications);
//! # Ok::<(), qeinsum::Error>(())
//! ```

mod anneal;
mod apart;
mod best_first;
mod certificate;
mod chain;
mod cost;
mod eliminate;
mod ended;
mod evaluate;
mod every;
mod family;
mod greedy;
mod id_set;
mod intervals;
mod layout;
mod limits;
mod logs;
mod loop_costs;
mod next_best;
mod notation;
mod number;
mod objective;
mod operand_set;
mod optimal;
mod options;
mod partners;
mod pieces;
mod polynomial;
mod portfolio;
mod problem;
mod products;
mod random;
mod reconfigure;
mod reference;
mod rooms;
mod rotating;
mod scaled;
mod scored;
mod scorer;
mod search;
mod slice_search;
mod sliced;
mod small;
mod speeds;
mod team;
mod terms;
mod tree;
mod watch;
mod within;

use crate::error::{Error, ErrorKind, Result};

pub use certificate::Certificate;
pub use cost::Cost;
pub(crate) use cost::ln;
pub use ended::Ended;
pub use evaluate::{PathCost, StepCost, evaluate};
pub(crate) use every::every_path;
pub use family::{BuiltFrom, FAMILY_FORMAT, Family, FamilyOptions, FamilyReport, Fresh, Grid, Member, Worst};
pub(crate) use layout::{Role, gathered};
pub use next_best::{Among, NextBest, next_best};
pub use objective::Objective;
pub use options::{Optimizer, SearchOptions};
pub(crate) use polynomial::polynomial;
pub(crate) use search::search_together;
pub use search::{Found, given, search, search_until};
pub(crate) use sliced::sum_order;
pub use sliced::{CallKind, Obstacle, Slicing, Unsliceable, evaluate_sliced, sliceable};
pub use speeds::{Arithmetic, MEASURED_SIZES, Measured, SPEEDS_FORMAT, Speeds};
pub(crate) use team::Team;
pub(crate) use within::{Depth, search_within};

/// A contraction path: pairs of positions into the shrinking list of operands.
///
/// A step removes its two operands from the list and appends the result, as `opt_einsum` does. Positions of a step
/// are in rising order. One operand has no step.
///
/// ```
/// use qeinsum::path::Path;
/// let path: Path = "(1,2) (0,1)".parse()?;
/// assert_eq!(path.ssa(), vec![[1, 2], [0, 3]]);
/// assert_eq!((path.operands(), path.steps()), (3, &[[1, 2], [0, 1]][..]));
/// // Positions and ids in the forms that other programs take.
/// assert_eq!(path.to_lists(), [[1, 2], [0, 1]]);
/// assert_eq!(path.to_ssa_lists(), [[1, 2], [0, 3]]);
/// assert_eq!((path.to_python(), path.to_ssa_python()), ("[(1, 2), (0, 1)]".into(), "[(1, 2), (0, 3)]".into()));
/// assert_eq!(path.to_string(), "(1,2) (0,1)");
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    steps: Vec<[usize; 2]>,
}

impl Path {
    /// A path over `steps.len() + 1` operands; each step's positions are put in rising order.
    ///
    /// An error where a step names a position outside the list it acts on, or one position twice.
    ///
    /// ```
    /// use qeinsum::path::Path;
    /// assert_eq!(Path::new(vec![[2, 1], [0, 1]])?, "(1,2) (0,1)".parse()?);
    /// assert!(Path::new(vec![[1, 2], [0, 2]]).is_err()); // two are left
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn new(steps: Vec<[usize; 2]>) -> Result<Self> {
        let operands = steps.len() + 1;
        let mut sorted = steps;
        for (step, pair) in sorted.iter_mut().enumerate() {
            pair.sort_unstable();
            let left = operands - step;
            if pair[0] == pair[1] || pair[1] >= left {
                let message =
                    format!("step {step} of the path, ({},{}), does not fit {left} operands", pair[0], pair[1]);
                return Err(Error::new(ErrorKind::Path, message));
            }
        }
        Ok(Self { steps: sorted })
    }

    /// The path whose steps name operands by never-reused ids: inputs `0..n`, then results in order.
    ///
    /// An error where an id is used twice, is not yet made, or is left over.
    ///
    /// ```
    /// use qeinsum::path::Path;
    /// assert_eq!(Path::from_ssa(&[[1, 2], [0, 3]])?.to_string(), "(1,2) (0,1)");
    /// assert!(Path::from_ssa(&[[1, 2], [0, 1]]).is_err()); // 1 is not there any more
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn from_ssa(steps: &[[usize; 2]]) -> Result<Self> {
        let operands = steps.len() + 1;
        let mut list = LiveList::new(operands, operands);
        let mut positions = Vec::with_capacity(steps.len());
        for (step, &[a, b]) in steps.iter().enumerate() {
            let place = |id: usize| {
                (id < operands + step).then(|| list.position(id)).flatten().ok_or_else(|| {
                    let message = format!("step {step} of the path, ({a},{b}), uses {id}, which is not there");
                    Error::new(ErrorKind::Path, message)
                })
            };
            positions.push([place(a)?, place(b)?]);
            list.replace(a, b, operands + step);
        }
        Self::new(positions)
    }

    /// How many operands the path contracts.
    pub fn operands(&self) -> usize {
        self.steps.len() + 1
    }

    /// The path of steps that take any number of positions each, as `opt_einsum` and `NumPy` allow.
    ///
    /// A step of several operands joins the first two of them, their result with the third, and so on; a step of one
    /// moves it to the end of the list.
    ///
    /// An error where a step names no position, one outside the list it acts on, or one twice.
    ///
    /// ```
    /// use qeinsum::path::Path;
    /// let path = Path::from_lists(&[vec![0, 1, 3], vec![0], vec![1, 0]])?;
    /// assert_eq!(path.ssa(), [[0, 1], [3, 4], [2, 5]]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn from_lists(steps: &[Vec<usize>]) -> Result<Self> {
        let operands = steps.iter().fold(1, |operands, step| operands + step.len().saturating_sub(1));
        let mut list = LiveList::new(operands, steps.len());
        // What each place of the list holds, in ids of results.
        let mut values: Vec<usize> = (0..operands).collect();
        let mut left = operands;
        let mut ssa = Vec::with_capacity(operands - 1);
        for (step, positions) in steps.iter().enumerate() {
            let mut sorted = positions.clone();
            sorted.sort_unstable();
            let is_twice = sorted.windows(2).any(|pair| pair[0] == pair[1]);
            if is_twice || sorted.last().is_none_or(|&last| last >= left) {
                let shown: Vec<String> = positions.iter().take(8).map(usize::to_string).collect();
                let message = format!("step {step} of the path, ({}), does not fit {left} operands", shown.join(","));
                return Err(Error::new(ErrorKind::Path, message));
            }
            let places: Vec<usize> = positions.iter().map(|&position| list.at(position)).collect();
            let mut value = values[places[0]];
            for &place in &places[1..] {
                ssa.push([value, values[place]]);
                value = operands + ssa.len() - 1;
            }
            for &place in &places {
                list.set(place, false);
            }
            list.set(values.len(), true);
            values.push(value);
            left -= places.len() - 1;
        }
        Self::from_ssa(&ssa)
    }

    /// The pairs of positions, lower first.
    pub fn steps(&self) -> &[[usize; 2]] {
        &self.steps
    }

    /// The positions as `opt_einsum` lists them; the path of one operand is `[[0]]`.
    pub fn to_lists(&self) -> Vec<Vec<usize>> {
        lists(&self.steps)
    }

    /// The ids of [`ssa`](Self::ssa) in the same form.
    pub fn to_ssa_lists(&self) -> Vec<Vec<usize>> {
        lists(&self.ssa())
    }

    /// The same path with ids that are never reused: inputs `0..n`, then results `n, n + 1, …`.
    ///
    /// The operand at the lower position comes first.
    pub fn ssa(&self) -> Vec<[usize; 2]> {
        let mut list = LiveList::new(self.operands(), self.operands());
        let mut ssa = Vec::with_capacity(self.steps.len());
        for (step, &[a, b]) in self.steps.iter().enumerate() {
            let pair = [list.at(a), list.at(b)];
            list.replace(pair[0], pair[1], self.operands() + step);
            ssa.push(pair);
        }
        ssa
    }
}

fn lists(steps: &[[usize; 2]]) -> Vec<Vec<usize>> {
    if steps.is_empty() { vec![vec![0]] } else { steps.iter().map(|pair| pair.to_vec()).collect() }
}

/// The shrinking list of operands: ids by position, in O(log n) an operation.
///
/// A Fenwick tree over ids counts those still alive; paths of many thousand operands convert in no time.
struct LiveList {
    tree: Vec<usize>,
    alive: Vec<bool>,
}

impl LiveList {
    /// A list of operands that so many results are added to.
    fn new(operands: usize, results: usize) -> Self {
        let ids = operands + results;
        let mut list = Self { tree: vec![0; ids + 1], alive: vec![false; ids] };
        for id in 0..operands {
            list.set(id, true);
        }
        list
    }

    fn set(&mut self, id: usize, alive: bool) {
        self.alive[id] = alive;
        let mut node = id + 1;
        while node < self.tree.len() {
            if alive {
                self.tree[node] += 1;
            } else {
                self.tree[node] -= 1;
            }
            node += node & node.wrapping_neg();
        }
    }

    fn position(&self, id: usize) -> Option<usize> {
        if !self.alive[id] {
            return None;
        }
        let mut node = id;
        let mut before = 0;
        while node > 0 {
            before += self.tree[node];
            node &= node - 1;
        }
        Some(before)
    }

    fn at(&self, position: usize) -> usize {
        let mut node = 0;
        let mut left = position;
        let mut step = self.tree.len().next_power_of_two() / 2;
        while step > 0 {
            if node + step < self.tree.len() && self.tree[node + step] <= left {
                node += step;
                left -= self.tree[node];
            }
            step /= 2;
        }
        node
    }

    fn replace(&mut self, a: usize, b: usize, result: usize) {
        if self.alive[a] {
            self.set(a, false);
        }
        if self.alive[b] {
            self.set(b, false);
        }
        self.set(result, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_any_number_of_operands_become_pairs() {
        let path = |steps: &[&[usize]]| Path::from_lists(&steps.iter().map(|step| step.to_vec()).collect::<Vec<_>>());
        for (steps, expected) in [
            (&[&[0][..]][..], "(0)"),
            (&[], "(0)"),
            (&[&[1, 0]], "(0,1)"),
            (&[&[2, 0, 1]], "(0,2) (0,1)"),
            (&[&[0], &[1, 2], &[0, 1]], "(0,2) (0,1)"),
            (&[&[0, 1, 2, 3], &[0]], "(0,1) (0,2) (0,1)"),
        ] {
            assert_eq!(path(steps).unwrap().to_string(), expected, "{steps:?}");
        }
        for steps in [&[&[][..]][..], &[&[0, 0]], &[&[0, 2]], &[&[0, 1], &[0, 2]], &[&[usize::MAX]], &[&[0, 1], &[1]]] {
            assert!(path(steps).is_err(), "{steps:?}");
        }
    }

    #[test]
    fn positions_and_ids_are_two_views_of_one_path() {
        let path: Path = "(1,2) (0,2), (0,1)".parse().unwrap();
        assert_eq!(path.ssa(), [[1, 2], [0, 4], [3, 5]]);
        assert_eq!(Path::from_ssa(&path.ssa()).unwrap(), path);
        assert_eq!("(0,)".parse::<Path>().unwrap().to_string(), "(0)");
    }

    #[test]
    fn paths_that_do_not_fit_are_refused() {
        for ssa in [&[[0, 1], [0, 3]][..], &[[0, 4], [1, 2]]] {
            assert!(Path::from_ssa(ssa).is_err(), "{ssa:?}");
        }
    }
}
