//! Planning: what is asked of the search, and the plans kept from before.

use crate::dtype::Dtype;
use crate::equation::Equation;
use crate::error::{Error, ErrorKind, Result};
use crate::graph::ContractionGraph;
use crate::lower::{Plan, lower};
use crate::path::{Found, Path, SearchOptions, evaluate, given, search};
use crate::sizes::Sizes;

/// How a path comes about, and what memory is counted in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planning {
    pub(crate) options: SearchOptions,
    /// Taken instead of searching one.
    pub(crate) path: Option<Path>,
    /// Where none is asked for, f32, and in runs that of the operands.
    pub(crate) dtype: Option<Dtype>,
}

impl Planning {
    /// The path given, or the best that the search finds.
    pub(crate) fn find(&self, graph: &ContractionGraph) -> Result<Found> {
        match &self.path {
            Some(path) => given(graph, path.clone()),
            None => search(graph, &self.options),
        }
    }

    pub(crate) fn plan(&self, equation: &Equation, sizes: &Sizes, dtype: Dtype) -> Result<Plan> {
        Ok(lower(equation, sizes, self.find(&ContractionGraph::new(equation, sizes))?, dtype))
    }
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
        Planning { options: options.clone(), path, dtype: None }.plan(equation, sizes, dtype)
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
        if evaluate(&graph, &found.path)? != found.cost {
            return Err(Error::new(ErrorKind::Path, "the path has another cost: it was found for another equation"));
        }
        Ok(lower(equation, sizes, found, dtype))
    }
}
