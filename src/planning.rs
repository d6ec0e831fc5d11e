//! Planning: what is asked of the search, and the plans kept from before.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

mod limit;

use limit::{Limit, Narrowing};

use crate::dtype::Dtype;
use crate::equation::{Equation, Label};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::ContractionGraph;
use crate::lower::{Plan, lower};
use crate::path::{
    Certificate, Cost, Ended, Family, Found, Objective, Path, SearchOptions, Slicing, Team, evaluate, given, search,
    search_together,
};
use crate::predict::arithmetic;
use crate::quant::QuantConfig;
use crate::ranks::{Communicator, lost};
use crate::sizes::Sizes;
use crate::span::printable_text;

/// How a path comes about, and what memory is counted in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planning {
    pub(crate) options: SearchOptions,
    /// Taken instead of searching one.
    pub(crate) path: Option<Path>,
    /// Asked before a search: where it has a path for the sizes, that is taken.
    pub(crate) family: Option<Arc<Family>>,
    /// The names of the labels to slice, beside what the search finds.
    pub(crate) slices: Vec<String>,
    /// Where none is asked for, f32, and in runs that of the operands.
    pub(crate) dtype: Option<Dtype>,
}

impl Planning {
    /// Whether a plan depends on the configuration: what takes the least time does, and what can be sliced.
    pub(crate) fn reads_config(&self) -> bool {
        self.options.objective == Objective::Time || self.options.memory_limit.is_some()
    }

    /// The path given, or the best that the search finds.
    pub(crate) fn find(&self, graph: &ContractionGraph) -> Result<Found> {
        match &self.path {
            Some(path) => given(graph, path.clone()),
            None => search(graph, &self.options),
        }
    }

    /// Plans for calls that `config` quantizes, which decides what can be sliced.
    pub(crate) fn plan(
        &self,
        equation: &Equation,
        sizes: &Sizes,
        dtype: Dtype,
        config: Option<&QuantConfig>,
        stop: &AtomicBool,
        team: &Team<'_>,
    ) -> Result<Plan> {
        let limit = self.options.memory_limit;
        let limit = limit.map(|limit| Limit::new(limit, equation, sizes, dtype)).transpose()?;
        let graph = ContractionGraph::new(equation, sizes);
        let options = self.options.clone().arithmetic(arithmetic(equation, dtype, config));
        // Asked only where it matters: some places to run in have no clock.
        let deadline = options.time_budget.and_then(|budget| Instant::now().checked_add(budget));
        // Where slices may have to be searched for as well, that is half of what takes time.
        let first = match options.time_budget {
            Some(budget) if options.memory_limit.is_some() => options.clone().time_budget(budget / 2),
            _ => options.clone(),
        };
        let found = match &self.path {
            Some(path) => given(&graph, path.clone())?,
            None => match self.family.as_ref().and_then(|family| family.member(equation, sizes)) {
                Some(path) => Found { certificate: Certificate::Family, ..given(&graph, path.clone())? },
                None => search_together(&graph, &first, stop, team)?,
            },
        };
        let found = in_all(found, &options);
        let by_hand = !self.slices.is_empty();
        let found = if by_hand { sliced(&graph, found, &self.slices)? } else { found };
        let plan = lower(equation, sizes, found, dtype);
        let Some(limit) = limit else { return Ok(plan) };
        if limit.fits(&plan) {
            return Ok(plan);
        }
        if by_hand {
            return Err(limit.exceeded(&plan, "the path and the slices that were given need"));
        }
        let narrowing =
            Narrowing { graph: &graph, plan: &plan, limit, options: &options, deadline, config, stop, team };
        narrowing.run()
    }
}

/// A path whose time is that of all searches together.
fn in_all(found: Found, options: &SearchOptions) -> Found {
    match (found.ended, options.time_budget) {
        (Ended::Time(_), Some(budget)) => Found { ended: Ended::Time(budget), ..found },
        _ => found,
    }
}

/// The labels of these names.
fn labels(graph: &ContractionGraph, names: &[impl AsRef<str>]) -> Result<Vec<Label>> {
    let label = |name: &str| {
        graph.equation().label(name).ok_or_else(|| {
            let message = format!("label `{}` cannot be sliced: it is in no operand", printable_text(name, 40));
            Error::new(ErrorKind::Slice, message)
        })
    };
    names.iter().map(|name| label(name.as_ref())).collect()
}

/// The path in slices of labels of these names, in place of those that it has.
fn sliced(graph: &ContractionGraph, found: Found, names: &[impl AsRef<str>]) -> Result<Found> {
    let slices = labels(graph, names)?;
    let slicing = Slicing::new(graph, &found.path, &[])?.summing_first(&found.leading);
    slicing.check(&slices).map_err(|unsliceable| unsliceable.error(graph.equation()))?;
    let cost = slicing.cost(&slices);
    let unsliced = evaluate(graph, &found.path)?;
    let certificate = match found.certificate {
        own @ (Certificate::Given | Certificate::Family) => own,
        // As by a path in slices that is proved without them.
        Certificate::Unproved { lower_bound }
            if found.objective == Objective::Mul && lower_bound == cost.multiplications =>
        {
            Certificate::Optimal
        }
        // No path multiplies less, sliced or not.
        proof if found.objective == Objective::Mul && cost.multiplications == unsliced.multiplications => proof,
        Certificate::Optimal if found.objective == Objective::Mul => {
            Certificate::Unproved { lower_bound: unsliced.multiplications }
        }
        Certificate::Unproved { lower_bound } if found.objective == Objective::Mul => {
            Certificate::Unproved { lower_bound }
        }
        // What slices make smaller, or what they cost along another path, was not searched for.
        _ => Certificate::Unproved { lower_bound: Cost::ZERO },
    };
    Ok(Found { cost, certificate, slices, ..found })
}

impl Plan {
    /// Plans an equation that was bound to sizes, by [`QEinsum::bind`](crate::QEinsum::bind) or from names such as those of a tensor network.
    ///
    /// With a `path` none is searched; an error where it has another number of operands. Memory is counted in
    /// elements of `dtype`.
    ///
    /// ```
    /// use qeinsum::path::SearchOptions;
    /// use qeinsum::{Dtype, Equation, Plan, Sizes, Syntax};
    /// let equation = Equation::new(Syntax::Named, &[vec!["left", "bond 1"], vec!["bond 1", "right"]], &["left", "right"])?;
    /// let sizes = Sizes::new(&equation, &[[2, 3], [3, 4]])?;
    /// let plan = Plan::for_equation(&equation, &sizes, &SearchOptions::new(), None, Dtype::F32)?;
    /// assert_eq!(plan.multiplications().to_string(), "24");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn for_equation(
        equation: &Equation,
        sizes: &Sizes,
        options: &SearchOptions,
        path: Option<Path>,
        dtype: Dtype,
    ) -> Result<Self> {
        if Sizes::bind(equation, sizes.shapes()).as_ref() != Ok(sizes) {
            return Err(Error::new(ErrorKind::Shape, "the sizes are those of another equation"));
        }
        Self::search(equation, sizes, options, path, dtype, None, &AtomicBool::new(false))
    }

    /// The same for calls that `config` quantizes, with a search that ends with the best plan so far when `stop` is set.
    ///
    /// The configuration decides what can be sliced where [`SearchOptions::memory_limit`] asks for slices.
    ///
    /// ```
    /// use std::sync::atomic::AtomicBool;
    /// use qeinsum::path::SearchOptions;
    /// use qeinsum::{Dtype, Plan, QEinsum, QuantConfig};
    /// let (equation, sizes) = QEinsum::new("ab,bc,cd->ad")?.bind(&[&[64, 8], &[8, 64], &[64, 64]])?;
    /// let (options, config) = (SearchOptions::new(), QuantConfig::from_bits(8)?);
    /// let stop = AtomicBool::new(false); // another thread, or a signal, sets it
    /// let plan = Plan::search(&equation, &sizes, &options, None, Dtype::F32, Some(&config), &stop)?;
    /// assert_eq!(plan.order(), "(1,2) (0,1)");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn search(
        equation: &Equation,
        sizes: &Sizes,
        options: &SearchOptions,
        path: Option<Path>,
        dtype: Dtype,
        config: Option<&QuantConfig>,
        stop: &AtomicBool,
    ) -> Result<Self> {
        let planning = Planning { options: options.clone(), path, ..Planning::default() };
        planning.plan(equation, sizes, dtype, config, stop, &Team::default())
    }

    /// The plan that [`search`](Self::search) finds alone, found by several ranks, each of which calls this with the same and has the plan.
    ///
    /// What can be searched apart is searched by one rank each. With a [time budget](SearchOptions::time_budget) the first rank
    /// searches for all.
    ///
    /// ```
    /// use qeinsum::path::SearchOptions;
    /// use qeinsum::{Dtype, Plan, QEinsum, ranks};
    /// let (equation, sizes) = QEinsum::new("ab,bc,cd->ad")?.bind(&[&[64, 8], &[8, 64], &[64, 64]])?;
    /// let options = SearchOptions::new();
    /// let alone = Plan::for_equation(&equation, &sizes, &options, None, Dtype::F32)?;
    /// let search = |ranks: &dyn ranks::Communicator| {
    ///     Plan::search_on(ranks, &equation, &sizes, &options, None, Dtype::F32, None)
    /// };
    /// for plan in ranks::in_threads(3, |ranks| search(ranks)) {
    ///     assert_eq!(plan?, alone);
    /// }
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    ///
    /// An error where the ranks have found several plans, as those of different versions would.
    pub fn search_on(
        ranks: &dyn Communicator,
        equation: &Equation,
        sizes: &Sizes,
        options: &SearchOptions,
        path: Option<Path>,
        dtype: Dtype,
        config: Option<&QuantConfig>,
    ) -> Result<Self> {
        let planning = Planning { options: options.clone(), path, ..Planning::default() };
        let search = |team: &Team<'_>| planning.plan(equation, sizes, dtype, config, &AtomicBool::new(false), team);
        // A clock stands elsewhere on each rank: searches that end by one would not go the same way.
        if options.time_budget.is_none() {
            let plan = search(&Team::of(ranks))?;
            return plan.same_on(ranks).map(|()| plan);
        }
        let found = (ranks.rank() == 0).then(|| search(&Team::default()));
        let mut told = match &found {
            Some(Ok(plan)) => [vec![1], plan.to_json().into_bytes()].concat(),
            Some(Err(error)) => [vec![0], error.to_string().into_bytes()].concat(),
            None => Vec::new(),
        };
        ranks.broadcast(0, &mut told)?;
        found.unwrap_or_else(|| match told.split_first() {
            Some((1, plan)) => Self::from_json(&String::from_utf8_lossy(plan)),
            Some((_, error)) => Err(Error::new(ErrorKind::Limit, String::from_utf8_lossy(error))),
            None => Err(lost("there came no plan")),
        })
    }

    /// An error where another rank has another plan.
    pub(crate) fn same_on(&self, ranks: &dyn Communicator) -> Result<()> {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        let own = hasher.finish();
        let halves = [own as u32, (own >> 32) as u32];
        // The largest of all is also the smallest where there is one only.
        let told = [halves[0], halves[1], !halves[0], !halves[1]];
        let mut largest = told;
        ranks.largest(&mut largest)?;
        if largest == told {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Plan, "the ranks do not have the same plan"))
    }

    /// The same path in slices of the labels of these names, in place of those that it has; none for no slices.
    ///
    /// A sliced label is a loop over its indices, in whose passes everything that has the label is as small as one index of
    /// it. The result has the same bits. An error names the label that cannot be sliced, and says why.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan(&[&[200, 300], &[300, 400]])?;
    /// assert_eq!(plan.with_slices(&["j"])?.to_string(), "\
    /// einsum ij,jk->ik
    /// sizes i=200 j=300 k=400
    /// path (0,1)
    /// slices j
    /// %0: [i,j]
    /// %1: [j,k]
    /// for j in 300
    ///   %2: [i,k] += dot_general %0, %1 contract [1]x[0]
    /// return %2
    /// ; 1 call, 0 swapped, 24000000 mul
    /// ");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_slices(&self, names: &[impl AsRef<str>]) -> Result<Self> {
        let graph = ContractionGraph::new(&self.equation, &self.sizes);
        let found = sliced(&graph, self.found.clone(), names)?;
        Ok(lower(&self.equation, &self.sizes, found, self.dtype))
    }

    /// The same path with calls that sum the labels of these names before others, unsliced.
    ///
    /// Of the labels that a call sums, those can be sliced that come first; a search under a memory limit moves labels there
    /// when it has to. Floats are added in another order then, so that the result has other bits than by the usual order, and
    /// the same as in slices.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("abd,bdc->ac")?.plan(&[&[2, 3, 4], &[3, 4, 5]])?;
    /// assert!(plan.with_slices(&["d"]).is_err());
    /// assert!(plan.with_leading(&["d"])?.with_slices(&["d"]).is_ok());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_leading(&self, names: &[impl AsRef<str>]) -> Result<Self> {
        let graph = ContractionGraph::new(&self.equation, &self.sizes);
        let mut leading = labels(&graph, names)?;
        leading.sort_unstable();
        leading.dedup();
        let found = Found { leading, ..sliced(&graph, self.found.clone(), &[""; 0])? };
        Ok(lower(&self.equation, &self.sizes, found, self.dtype))
    }

    /// Lowers a path that [`search_until`](crate::path::search_until) found for an equation bound to sizes.
    ///
    /// An error where the path, or what is stated of it, is that of another equation.
    ///
    /// ```
    /// use qeinsum::path::{SearchOptions, search};
    /// use qeinsum::{ContractionGraph, Dtype, Plan, QEinsum};
    /// let (equation, sizes) = QEinsum::new("ij,jk->ik")?.bind(&[&[2, 3], &[3, 4]])?;
    /// let found = search(&ContractionGraph::new(&equation, &sizes), &SearchOptions::new())?;
    /// assert_eq!(Plan::for_found(&equation, &sizes, found, Dtype::F32)?.order(), "(0,1)");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn for_found(equation: &Equation, sizes: &Sizes, found: Found, dtype: Dtype) -> Result<Self> {
        let graph = ContractionGraph::new(equation, sizes);
        let slicing = Slicing::new(&graph, &found.path, &[])?.summing_first(&found.leading);
        slicing.check(&found.slices).map_err(|unsliceable| unsliceable.error(equation))?;
        if slicing.cost(&found.slices) != found.cost {
            return Err(Error::new(ErrorKind::Path, "the path has another cost: it was found for another equation"));
        }
        Ok(lower(equation, sizes, found, dtype))
    }
}
