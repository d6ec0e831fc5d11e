//! What a search is asked: which optimizer, for what objective, how long.

use std::fmt;
use std::time::Duration;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::scored::Scoring;
use super::scorer::Scorer;
use super::terms::Terms;
use super::tree::unfit;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::ContractionGraph;
use crate::path::{Arithmetic, Cost, Objective, Path, Speeds};
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
    /// Annealed trees, and the exact search with a moderate limit of work; where that ends it, the best path found so
    /// far. It takes about 20 ms up to 60 operands (up to 200 ms for a proof of up to 20), and a millisecond an
    /// operand above, up to some seconds.
    #[default]
    Auto,
    /// The same with a limit of work for the exact search that is far above that of `Auto`.
    Optimal,
    /// The reference's own search, `opt_einsum`'s `optimal` as JAX calls it, whose default paths it repeats.
    ///
    /// It counts a step that sums a label twice, whatever the objective asked for, and takes the first of the paths that
    /// it thinks equal. It looks at all orders and ends with an error at its limit of work, which 9 operands never reach;
    /// [`SearchOptions::effort`] raises it.
    Reference,
    /// Pairs that shrink most first.
    Greedy,
    /// The best of many greedy trees whose choices are random.
    #[serde(rename = "random-greedy")]
    RandomGreedy,
    /// Tree annealing alone, without a proof: what `auto` does with networks that are too large for the exact search.
    Anneal,
    /// No search: operand 0 with operand 1, the result with operand 2, and so on.
    None,
}

impl Optimizer {
    /// Every optimizer, in the order of the help text.
    ///
    /// ```
    /// use qeinsum::path::Optimizer;
    /// let names = Optimizer::ALL.map(|optimizer| optimizer.to_string());
    /// assert_eq!(names.join(" "), "auto optimal greedy random-greedy anneal reference none");
    /// ```
    pub const ALL: [Self; 7] =
        [Self::Auto, Self::Optimal, Self::Greedy, Self::RandomGreedy, Self::Anneal, Self::Reference, Self::None];

    /// The name that it is written and read by.
    ///
    /// ```
    /// use qeinsum::path::Optimizer;
    /// assert_eq!(Optimizer::RandomGreedy.name(), "random-greedy");
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Optimal => "optimal",
            Self::Greedy => "greedy",
            Self::RandomGreedy => "random-greedy",
            Self::Anneal => "anneal",
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
                format!(
                    "`{shown}` is no optimizer: one of auto, optimal, greedy, random-greedy, anneal, reference, none"
                ),
            )
        })
    }
}

/// What to search for, and how.
///
/// ```
/// use qeinsum::path::{Objective, Optimizer, SearchOptions};
/// let options = SearchOptions::new().optimizer(Optimizer::Optimal).objective(Objective::Size).effort(4);
/// assert_ne!(options, SearchOptions::default());
/// // The path that the reference would take; the first trees that annealing makes are others with another seed.
/// let reference = SearchOptions::new().optimizer(Optimizer::Reference);
/// let other = SearchOptions::new().optimizer(Optimizer::Anneal).seed(7);
/// let qe = qeinsum::QEinsum::new("ab,bc,cd->ad")?;
/// let shapes: [&[usize]; 3] = [&[2, 3], &[3, 4], &[4, 5]];
/// for options in [reference, other] {
///     assert_eq!(qe.clone().with_search(options).plan(&shapes)?.order(), "(0,1) (0,1)");
/// }
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub struct SearchOptions {
    pub(crate) optimizer: Optimizer,
    pub(crate) objective: Objective,
    pub(crate) effort: u32,
    pub(crate) seed: u64,
    pub(crate) time_budget: Option<Duration>,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) arithmetic: Arithmetic,
    /// None for the shipped ones.
    pub(crate) speeds: Option<Arc<Speeds>>,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            optimizer: Optimizer::default(),
            objective: Objective::default(),
            effort: 1,
            seed: 0,
            time_budget: None,
            memory_limit: None,
            arithmetic: Arithmetic::default(),
            speeds: None,
        }
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

    /// The same options with another seed of the random numbers; 0 unless told.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The same options with a search that goes on until `budget` has passed, or its path is proved.
    ///
    /// It finds paths at least as good as without, and depends on the machine: the plan says so.
    ///
    /// ```
    /// use std::time::Duration;
    /// use qeinsum::path::SearchOptions;
    /// // A path that is proved ends the search at once.
    /// let options = SearchOptions::new().time_budget(Duration::from_secs(60));
    /// let plan = qeinsum::QEinsum::new("ij,jk,k->i")?.with_search(options).plan(&[&[2, 3], &[3, 4], &[4]])?;
    /// assert!(plan.certificate().is_optimal());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn time_budget(mut self, budget: Duration) -> Self {
        self.time_budget = Some(budget);
        self
    }

    /// The same options for plans that need at most so many bytes, operands and output included; in slices when needed.
    ///
    /// Planning fails with [`ErrorKind::Limit`] where no path and no slices are found that fit.
    ///
    /// ```
    /// use qeinsum::path::SearchOptions;
    /// use qeinsum::{ErrorKind, QEinsum};
    /// let shapes: [&[usize]; 3] = [&[100, 100]; 3];
    /// let ring = QEinsum::new("ij,jk,ki->")?;
    /// let within = |bytes| ring.clone().with_search(SearchOptions::new().memory_limit(bytes)).plan(&shapes);
    /// assert!(within(200_000)?.slices().is_empty());
    /// // The operands take 120,000, and the first product 40,000 as a whole.
    /// let sliced = within(130_000)?;
    /// assert!(!sliced.slices().is_empty() && sliced.peak_bytes() <= Some(130_000));
    /// assert_eq!(within(100_000).unwrap_err().kind(), &ErrorKind::Limit);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }

    /// The same options for calls that compute in this arithmetic, which [`Objective::Time`] depends on; f32 unless told.
    ///
    /// Planning for an element type and a configuration sets it by these.
    ///
    /// ```
    /// use qeinsum::path::{Arithmetic, Objective, SearchOptions};
    /// let graph = qeinsum::QEinsum::new("ij,jk->ik")?.graph(&[&[512, 512], &[512, 512]])?;
    /// let score = |arithmetic| {
    ///     SearchOptions::new().objective(Objective::Time).arithmetic(arithmetic).score(&graph, &"(0,1)".parse()?)
    /// };
    /// assert!(score(Arithmetic::Int8)? < score(Arithmetic::F32)?);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn arithmetic(mut self, arithmetic: Arithmetic) -> Self {
        self.arithmetic = arithmetic;
        self
    }

    /// The same options with speeds in place of [`Speeds::shipped`] for [`Objective::Time`], such as those measured on a
    /// machine, on which the plans then depend.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use qeinsum::path::{SearchOptions, Speeds};
    /// let speeds = Speeds::from_json(&Speeds::shipped().to_json())?; // of a file, say
    /// let options = SearchOptions::new().speeds(Arc::new(speeds));
    /// assert_eq!(options.used_speeds().name(), Speeds::shipped().name());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn speeds(mut self, speeds: Arc<Speeds>) -> Self {
        self.speeds = Some(speeds);
        self
    }

    /// The speeds that [`Objective::Time`] is predicted by.
    pub fn used_speeds(&self) -> &Speeds {
        self.speeds.as_deref().unwrap_or_else(|| Speeds::shipped())
    }

    /// What a path scores for the objective: what the search makes least.
    ///
    /// An error where it does not have the graph's number of operands.
    ///
    /// ```
    /// use qeinsum::graph::ContractionGraph;
    /// use qeinsum::path::{Objective, SearchOptions, search};
    /// use qeinsum::{Equation, Sizes, Syntax};
    /// let equation = Equation::new(Syntax::Compact, &[vec!["i", "j"], vec!["j", "k"]], &["i", "k"])?;
    /// let graph = ContractionGraph::new(&equation, &Sizes::new(&equation, &[[2, 3], [3, 4]])?);
    /// let options = SearchOptions::new().objective(Objective::Write);
    /// let path = search(&graph, &options)?.path;
    /// assert_eq!(options.score(&graph, &path)?.to_string(), "8");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn score(&self, graph: &ContractionGraph, path: &Path) -> Result<Cost> {
        if path.operands() != graph.operands() {
            return Err(unfit(path, graph.operands()));
        }
        let terms = Terms::new(graph);
        Ok(Scoring { terms: &terms, scorer: self.scorer() }.as_made(path.ssa()).score)
    }

    pub(super) fn scorer(&self) -> Scorer<'_> {
        Scorer { objective: self.objective, rates: self.used_speeds().rates(self.arithmetic) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_optimizer_is_read_back() {
        for optimizer in Optimizer::ALL {
            assert_eq!(optimizer.to_string().parse::<Optimizer>().unwrap(), optimizer);
            assert_eq!(serde_json::to_string(&optimizer).unwrap(), format!("\"{optimizer}\""));
        }
        assert!("best".parse::<Optimizer>().is_err());
    }
}
