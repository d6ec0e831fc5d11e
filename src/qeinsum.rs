//! `QEinsum`: parse once, then plan and run for any shapes.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ndarray::{ArrayBase, ArrayD, DataMut, Dimension};

use crate::cache::{Known, Recent};
use crate::cancel::{self, Cancel};
use crate::compiled::{Compiled, write_into};
use crate::dtype::Dtype;
use crate::equation::{Equation, Syntax};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{CallRecord, check_slices};
use crate::frozen::{FlaxLayer, Frozen, import};
use crate::gradients::Pullback;
use crate::graph::ContractionGraph;
use crate::kernel::Element;
use crate::lower::{Plan, SymbolicPlan};
use crate::operands::{Operand, OperandView, Operands};
use crate::parse::{self, Ast, Note, SublistItem};
use crate::path::{Family, FamilyOptions, Objective, Path, SearchOptions, Team};
use crate::planning::Planning;
use crate::quant::QuantConfig;
use crate::rng::Key;
use crate::sizes::{Shape, Sizes};

/// An einsum, quantized or not: parsed once, planned for each set of shapes, run as often as wanted.
///
/// Cheap to clone and to share between threads; plans are kept, keyed by shapes, in a cache of bounded size that
/// clones share.
///
/// ```
/// use ndarray::Array;
/// use qeinsum::{DotGeneralConfig, QEinsum};
///
/// let a = Array::from_shape_fn((2, 3, 4), |(b, i, j)| (b + 2 * i) as f32 - j as f32);
/// let b = Array::from_shape_fn((2, 4, 5), |(b, j, k)| (3 * b + j) as f32 - k as f32);
///
/// let exact = QEinsum::new("bij,bjk->bik")?;
/// let quantized = exact.clone().with_config(DotGeneralConfig::v4().build()?);
/// let (x, y) = (exact.run((&a, &b))?, quantized.run((&a, &b))?);
/// assert_eq!(x.shape(), [2, 3, 5]);
/// assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 0.5));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct QEinsum {
    ast: Arc<Ast>,
    config: Option<Arc<QuantConfig>>,
    planning: Planning,
    /// Plans of the equation by this search.
    plans: Arc<Recent<Plan>>,
    /// The same bound to the configuration.
    compiled: Arc<Recent<Compiled>>,
    cancel: Option<Cancel>,
}

impl QEinsum {
    /// Parses an equation in compact syntax: `bij,bjk->bik`.
    ///
    /// ```
    /// let error = qeinsum::QEinsum::new("ij,jk->->ik").unwrap_err();
    /// assert!(error.to_string().ends_with("\n  ij,jk->->ik\n         ^^"), "{error}");
    /// ```
    pub fn new(equation: &str) -> Result<Self> {
        Ok(Self::from_known(Known::parse(equation, Syntax::Compact)?))
    }

    /// Parses an equation in named syntax: `batch time chan, chan out -> batch time out`.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// let plan = QEinsum::named("query dim, key dim -> query key")?.plan(&[&[3, 8], &[5, 8]])?;
    /// assert_eq!(plan.order(), "(0,1)");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn named(equation: &str) -> Result<Self> {
        Ok(Self::from_known(Known::parse(equation, Syntax::Named)?))
    }

    /// The equation of interleaved operands: a list of integers for each, and one for the output.
    ///
    /// Without an output it is implicit, as in an equation without an arrow.
    ///
    /// ```
    /// use qeinsum::{QEinsum, parse::SublistItem::{Ellipsis, Label}};
    /// let lists = [&[Ellipsis, Label(0), Label(1)][..], &[Label(1), Label(2)]];
    /// let qe = QEinsum::interleaved(&lists, Some(&[Ellipsis, Label(0), Label(2)]))?;
    /// assert_eq!(qe.plan(&[&[7, 3, 4], &[4, 5]])?.order(), "(0,1)");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn interleaved(operands: &[&[SublistItem]], output: Option<&[SublistItem]>) -> Result<Self> {
        Ok(Self::from_ast(parse::from_sublists(operands, output)?))
    }

    fn from_ast(ast: Ast) -> Self {
        Self::from_known(Known::new(ast))
    }

    fn from_known(Known { ast, plans, compiled }: Known) -> Self {
        Self { ast, config: None, planning: Planning::default(), plans, compiled, cancel: None }
    }

    /// Quantizes every call by this configuration; without one, runs are unquantized.
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let shapes: [&[usize]; 2] = [&[2, 3], &[3, 4]];
    /// let qe = QEinsum::new("ij,jk->ik")?.with_config(DotGeneralConfig::v4().build()?);
    /// assert!(qe.explain(&shapes)?.contains("lhs int8 absmax over j"));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_config(mut self, config: impl Into<QuantConfig>) -> Self {
        self.config = Some(Arc::new(config.into()));
        self.compiled = Arc::default();
        if self.planning.reads_config() {
            self.plans = Arc::default();
        }
        self
    }

    /// Searches paths with these options instead of the default.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// use qeinsum::path::{Objective, SearchOptions};
    /// let qe = QEinsum::new("ij,jk,k->i")?.with_search(SearchOptions::new().objective(Objective::Size));
    /// let plan = qe.plan(&[&[20, 30], &[30, 40], &[40]])?;
    /// assert_eq!((plan.objective(), plan.order()), (Objective::Size, "(1,2) (0,1)".to_owned()));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_search(mut self, options: SearchOptions) -> Self {
        self.planning.options = options;
        (self.plans, self.compiled) = Default::default();
        self
    }

    /// Takes this path and searches none.
    ///
    /// ```
    /// let qe = qeinsum::QEinsum::new("ij,jk,k->i")?.with_path("(0,1) (0,1)".parse()?);
    /// let plan = qe.plan(&[&[20, 30], &[30, 40], &[40]])?;
    /// assert_eq!(plan.order(), "(0,1) (0,1)");
    /// assert!(plan.to_string().ends_with("; path given, not searched\n"));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_path(mut self, path: Path) -> Self {
        (self.planning.path, self.planning.family) = (Some(path), None);
        (self.plans, self.compiled) = Default::default();
        self
    }

    /// Takes the path that this family chooses for the sizes, in place of one that was given; outside of its ranges, where
    /// a label broadcasts, and where `...` covers axes that the family does not have, a path is searched as without it.
    ///
    /// Such a path is not proved, and the plan says so. A memory limit that it does not keep is searched for, and the symbolic
    /// view has no sizes to choose for.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// use qeinsum::path::{Certificate, FamilyOptions};
    /// let qe = QEinsum::new("ab,bc,cd->ad")?;
    /// let ranges = ["a", "b", "c", "d"].map(|label| (label.to_owned(), 2..=1000)).into();
    /// let family = qe.family(&ranges, &FamilyOptions::new())?;
    /// let qe = qe.with_family(family);
    /// assert_eq!(qe.plan(&[&[500, 3], &[3, 800], &[800, 7]])?.certificate(), &Certificate::Family);
    /// assert_eq!(qe.plan(&[&[5000, 3], &[3, 800], &[800, 7]])?.certificate(), &Certificate::Optimal);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_family(mut self, family: Family) -> Self {
        (self.planning.path, self.planning.family) = (None, Some(Arc::new(family)));
        (self.plans, self.compiled) = Default::default();
        self
    }

    /// Runs in slices of the labels of these names, in place of those that a search finds: see [`Plan::with_slices`].
    ///
    /// The result has the same bits as without slices, and less is in memory at a time. Planning is an error where a label
    /// cannot be sliced; so are gradients, frozen operands and records of calls, which plans without slices have.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// // The outer product of the first two operands has 90,000 elements, of which 300 are there at a time.
    /// let shapes: [&[usize]; 3] = [&[300], &[300], &[300, 300]];
    /// let qe = QEinsum::new("i,j,ij->i")?.with_path("(0,1) (0,1)".parse()?);
    /// let sliced = qe.clone().with_slices(&["i"]);
    /// let (whole, less) = (qe.plan(&shapes)?.peak_bytes(), sliced.plan(&shapes)?.peak_bytes());
    /// assert_eq!((whole, less), (Some(723_600), Some(364_804)));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_slices(mut self, names: &[impl AsRef<str>]) -> Self {
        self.planning.slices = names.iter().map(|name| name.as_ref().to_owned()).collect();
        (self.plans, self.compiled) = Default::default();
        self
    }

    /// Counts the memory of plans in elements of this type; otherwise f32, and in runs that of the operands.
    ///
    /// ```
    /// use qeinsum::{Dtype, QEinsum};
    /// let qe = QEinsum::new("ij,jk->ik")?.with_dtype(Dtype::F64);
    /// let plan = qe.plan(&[&[2, 3], &[3, 4]])?;
    /// assert_eq!((plan.dtype(), plan.peak_bytes()), (Dtype::F64, Some(8 * (6 + 12 + 8))));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_dtype(mut self, dtype: Dtype) -> Self {
        self.planning.dtype = Some(dtype);
        self
    }

    /// Has this token stop what is done from now on: searches and runs, those of the gradients, handles and frozen operands made
    /// of this too.
    ///
    /// It is the last token that counts. Plans that are in the cache stay there, and clones made before have no token.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{Cancel, ErrorKind, QEinsum};
    /// let (a, b) = (array![[1.0, 2.0]], array![[3.0], [4.0]]);
    /// let qe = QEinsum::new("ij,jk->ik")?;
    /// let cancel = Cancel::new();
    /// let stoppable = qe.clone().with_cancel(&cancel);
    /// assert!(stoppable.run((&a, &b)).is_ok());
    /// cancel.cancel(); // from another thread, while something runs, or before
    /// assert_eq!(stoppable.run((&a, &b)).unwrap_err().kind(), &ErrorKind::Cancelled);
    /// assert!(qe.run((&a, &b)).is_ok());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }

    /// The configuration, if runs are quantized.
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let qe = QEinsum::new("ij,jk->ik")?;
    /// assert_eq!(qe.config(), None);
    /// let config = DotGeneralConfig::v4().build()?;
    /// assert_eq!(qe.with_config(config.clone()).config(), Some(&config.into()));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn config(&self) -> Option<&QuantConfig> {
        self.config.as_deref()
    }

    /// The equation as parsed.
    ///
    /// ```
    /// let qe = qeinsum::QEinsum::new("...i, i")?;
    /// assert_eq!(qe.ast().text(), "...i, i");
    /// assert!(qe.ast().output().is_none()); // implicit
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn ast(&self) -> &Ast {
        &self.ast
    }

    /// The equation for operands of these ranks: `...` becomes labels, the output explicit.
    ///
    /// ```
    /// let qe = qeinsum::QEinsum::new("...i,...i")?;
    /// assert_eq!(qe.equation(&[2, 2])?.to_string(), "bi,bi->b");
    /// assert!(qe.equation(&[2]).is_err());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn equation(&self, ranks: &[usize]) -> Result<Equation> {
        parse::resolve(&self.ast, ranks)
    }

    /// What a user may want to know of the equation for operands of these ranks, such as an ellipsis that is summed.
    ///
    /// ```
    /// let qe = qeinsum::QEinsum::new("...i->i")?;
    /// assert!(qe.notes(&[1])?.is_empty()); // the ellipsis covers nothing
    /// assert_eq!(qe.notes(&[3])?.len(), 1); // two axes are summed
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn notes(&self, ranks: &[usize]) -> Result<Vec<Note>> {
        self.ast.notes(ranks)
    }

    /// The plan without sizes: its path when all sizes are equal, its cost as a polynomial.
    ///
    /// ```
    /// let qe = qeinsum::QEinsum::new("bij,bjk->bik")?;
    /// assert_eq!(qe.symbolic()?.polynomial(), "b·i·j·k");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn symbolic(&self) -> Result<SymbolicPlan> {
        if !self.planning.slices.is_empty() {
            return Err(Error::new(ErrorKind::Slice, "slices need sizes, which the symbolic view does not have"));
        }
        if self.planning.options.objective == Objective::Time {
            return Err(Error::new(ErrorKind::Path, "times need sizes, which the symbolic view does not have"));
        }
        let equation = parse::resolve_symbolic(&self.ast)?;
        SymbolicPlan::new(&equation, |graph| self.planning.find(graph))
    }

    /// The few paths of which one is within a tolerance of the best, whatever sizes of these ranges the labels have.
    ///
    /// A range for every label by its name; a `...` covers no axis. Errors are those of [`Family::new`].
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// use qeinsum::path::FamilyOptions;
    /// let qe = QEinsum::new("bi,ij,jk->bk")?;
    /// let ranges = [("b", 1..=64), ("i", 256..=1024), ("j", 256..=1024), ("k", 256..=1024)];
    /// let ranges = ranges.map(|(label, range)| (label.to_owned(), range)).into();
    /// let family = qe.family(&ranges, &FamilyOptions::new())?;
    /// // So few rows are multiplied by one matrix, then by the other.
    /// assert_eq!(family.members().len(), 1);
    /// assert_eq!(family.members()[0].polynomial(), "b·i·j + b·j·k");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn family(&self, ranges: &BTreeMap<String, RangeInclusive<usize>>, options: &FamilyOptions) -> Result<Family> {
        let ranks: Vec<usize> = self.ast.operands().iter().map(|term| term.labels().count()).collect();
        let equation = parse::resolve(&self.ast, &ranks)?;
        Family::locating(&equation, ranges, options, |error| {
            error.at(self.ast.text(), |place| self.ast.locate(place, &ranks))
        })
    }

    /// The contraction graph for operands of these shapes.
    ///
    /// ```
    /// let graph = qeinsum::QEinsum::new("ij,jk,l->ikl")?.graph(&[&[2, 3], &[3, 4], &[5]])?;
    /// assert_eq!(graph.components(), [vec![0, 1], vec![2]]); // no label joins the last operand to the others
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn graph(&self, shapes: &[&[usize]]) -> Result<ContractionGraph> {
        let (equation, sizes) = self.bind(shapes)?;
        Ok(ContractionGraph::new(&equation, &sizes))
    }

    /// The plan for operands of these shapes.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ij,jk->ki")?.plan(&[&[2, 3], &[3, 4]])?;
    /// assert_eq!(plan.multiplications().to_string(), "24");
    /// assert_eq!(plan.swapped_calls(), 1); // the lhs is operand 1, so that nothing has to be transposed
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn plan(&self, shapes: &[&[usize]]) -> Result<Plan> {
        let plan = self.planned(shapes, self.planning.dtype.unwrap_or(Dtype::F32))?;
        if let Some(config) = &self.config {
            check_slices(&plan, config)?;
        }
        Ok(plan.as_ref().clone())
    }

    /// The plan for labels of these sizes, a size for every label by its name.
    ///
    /// ```
    /// let sizes = [("i", 2), ("j", 3), ("k", 4)].map(|(label, size)| (label.to_owned(), size)).into();
    /// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan_by_sizes(&sizes)?;
    /// assert_eq!(plan.multiplications().to_string(), "24");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn plan_by_sizes(&self, sizes: &BTreeMap<String, usize>) -> Result<Plan> {
        let (equation, sizes) = self.bind_by_sizes(sizes)?;
        let dtype = self.planning.dtype.unwrap_or(Dtype::F32);
        self.search(&equation, &sizes, dtype)
    }

    /// The equation for operands of these shapes, and what its labels measure there: where every later stage starts.
    ///
    /// An error points at the place in the equation that a shape does not fit.
    ///
    /// ```
    /// let (equation, sizes) = qeinsum::QEinsum::new("...i,i")?.bind(&[&[7, 3], &[3]])?;
    /// assert_eq!(equation.to_string(), "bi,i->b");
    /// assert_eq!(sizes.shape_of(equation.output()).as_slice(), [7]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn bind(&self, shapes: &[&[usize]]) -> Result<(Equation, Sizes)> {
        parse::bind(&self.ast, shapes)
    }

    /// The same for labels of these sizes, a size for every label by its name; a `...` covers no axis.
    ///
    /// ```
    /// let sizes = [("i", 2), ("j", 3)].map(|(label, size)| (label.to_owned(), size)).into();
    /// let (_, sizes) = qeinsum::QEinsum::new("ij->j")?.bind_by_sizes(&sizes)?;
    /// assert_eq!(sizes.shapes()[0].as_slice(), [2, 3]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn bind_by_sizes(&self, sizes: &BTreeMap<String, usize>) -> Result<(Equation, Sizes)> {
        let ranks: Vec<usize> = self.ast.operands().iter().map(|term| term.labels().count()).collect();
        let equation = parse::resolve(&self.ast, &ranks)?;
        let sizes = Sizes::by_name(&equation, sizes)
            .map_err(|error| error.at(self.ast.text(), |place| self.ast.locate(place, &ranks)))?;
        Ok((equation, sizes))
    }

    /// The plan with what the configuration does at each call; see [`Plan::explain`].
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let qe = QEinsum::new("ij,jk->ik")?.with_config(DotGeneralConfig::v4().build()?);
    /// let text = qe.explain(&[&[2, 300], &[300, 4]])?;
    /// assert!(text.contains("rhs int8 absmax over j, nearest-even, dequant output"), "{text}");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn explain(&self, shapes: &[&[usize]]) -> Result<String> {
        let plan = self.planned(shapes, self.planning.dtype.unwrap_or(Dtype::F32))?;
        let text = plan.explain(self.config.as_deref().unwrap_or(&QuantConfig::default()));
        Ok(text + &plan.explain_search(self.config.as_deref(), &self.planning.options)?)
    }

    /// A handle for operands of the shapes that a plan is bound to: one that was loaded, or searched for elsewhere.
    ///
    /// An error where the plan is one of another equation.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{Plan, QEinsum};
    /// let qe = QEinsum::new("ij,jk->ki")?;
    /// let saved = qe.plan(&[&[1, 2], &[2, 1]])?.to_json();
    /// let compiled = qe.compile_plan(Plan::from_json(&saved)?)?;
    /// assert_eq!(compiled.run((&array![[1.0, 2.0]], &array![[3.0], [4.0]]))?, array![[11.0]].into_dyn());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn compile_plan(&self, plan: Plan) -> Result<Compiled> {
        let shapes: Vec<&[usize]> = plan.sizes().shapes().iter().map(Shape::as_slice).collect();
        let (equation, _) = self.bind(&shapes)?;
        if *plan.equation() != equation {
            let message = format!("the plan is one of `{}`, but the equation is `{equation}`", plan.equation());
            return Err(Error::new(ErrorKind::Plan, message));
        }
        self.bound_to(Arc::new(plan))
    }

    /// A handle for operands of these shapes: planned once, run often.
    ///
    /// ```
    /// use ndarray::{ArrayD, IxDyn};
    /// let compiled = qeinsum::QEinsum::new("ij,jk->ik")?.compile(&[&[2, 3], &[3, 4]])?;
    /// let (a, b) = (ArrayD::<f32>::ones(IxDyn(&[2, 3])), ArrayD::ones(IxDyn(&[3, 4])));
    /// assert_eq!(compiled.run((&a, &b))?, ArrayD::from_elem(IxDyn(&[2, 4]), 3.0));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn compile(&self, shapes: &[&[usize]]) -> Result<Compiled> {
        self.bound_to(self.planned(shapes, self.planning.dtype.unwrap_or(Dtype::F32))?)
    }

    /// Runs the equation on operands of one element type.
    ///
    /// The result is in row-major order. An error where shapes do not fit or the configuration does not, or where it
    /// adds noise, which needs a key.
    ///
    /// ```
    /// use ndarray::array;
    /// let dot = qeinsum::QEinsum::new("i,i->")?;
    /// assert_eq!(dot.run((&array![1.0, 2.0], &array![3.0, 4.0]))?, ndarray::arr0(11.0).into_dyn());
    /// // Other shapes of the same value are planned apart; what does not fit is shown in the equation.
    /// let error = dot.run((&array![1.0], &array![3.0, 4.0, 5.0])).map(|sum| sum.sum());
    /// assert_eq!(error?, 12.0, "a size of 1 broadcasts");
    /// assert!(dot.run((&array![1.0, 2.0], &array![3.0, 4.0, 5.0])).is_err());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run<'a, T: Element>(&self, operands: impl Operands<'a, T>) -> Result<ArrayD<T>> {
        self.execute(operands.into_operands(), None)
    }

    /// The same with a key for the noise of stochastic rounding: the same key gives the same bits.
    ///
    /// Step s of the plan folds the key as a layer named `QDotGeneral_s` would.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::quant::{Noise, Numerics, IntNumerics};
    /// use qeinsum::{DotGeneralConfig, Key, QEinsum};
    /// let noisy = IntNumerics { noise: Some(Noise::JaxUniform), ..IntNumerics::new(8)? };
    /// let config = DotGeneralConfig::v4().build()?.with_forward_numerics(Numerics::Int(noisy));
    /// let (qe, x) = (QEinsum::new("i,i->")?.with_config(config), array![0.3_f32, 0.7]);
    /// assert!(qe.run((&x, &x)).is_err()); // noise asks for a key
    /// assert_eq!(qe.run_with_key((&x, &x), Key::new(7))?, qe.run_with_key((&x, &x), Key::new(7))?);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_with_key<'a, T: Element>(&self, operands: impl Operands<'a, T>, key: Key) -> Result<ArrayD<T>> {
        self.execute(operands.into_operands(), Some(key))
    }

    /// Runs the equation into an array that is there already; it has to have the output's shape.
    ///
    /// ```
    /// use ndarray::{array, Array1};
    /// let mut sums = Array1::zeros(2);
    /// qeinsum::QEinsum::new("ij->i")?.run_into((&array![[1.0, 2.0], [3.0, 4.0]],), &mut sums)?;
    /// assert_eq!(sums, array![3.0, 7.0]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_into<'a, T: Element, S: DataMut<Elem = T>, D: Dimension>(
        &self,
        operands: impl Operands<'a, T>,
        out: &mut ArrayBase<S, D>,
    ) -> Result<()> {
        write_into(out, &self.run(operands)?)
    }

    /// Runs the equation quantized and shows `observe` each call with everything that it computed on its way.
    ///
    /// An error where there is no configuration.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, QEinsum, Sums};
    /// let qe = QEinsum::new("i,i->")?.with_config(DotGeneralConfig::v4().build()?);
    /// let (x, y) = (array![1.0_f32, -0.5], array![0.0_f32, 2.0]);
    /// qe.run_recorded((&x, &y), None, |call, record| {
    ///     assert_eq!(call, 0);
    ///     assert_eq!(record.sums, Sums::I32(ndarray::arr0(-64 * 127).into_dyn())); // -0.5 of 1.0 is -63.75 steps
    /// })?;
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_recorded<'a, T: Element>(
        &self,
        operands: impl Operands<'a, T>,
        key: Option<Key>,
        observe: impl FnMut(usize, CallRecord),
    ) -> Result<ArrayD<T>> {
        let Some(config) = &self.config else {
            return Err(Error::new(ErrorKind::Config, "calls are recorded only in a quantized run"));
        };
        let operands = operands.into_operands();
        let plan = self.plan_of(&operands)?;
        cancel::stoppable(self.cancel.as_ref(), || plan.run_recorded(operands, config, key, observe))
    }

    /// Runs the equation and keeps what its gradients need.
    ///
    /// The gradients of a call are calls of their own, quantized as the configuration's `dlhs` and `drhs` say; without a
    /// configuration nothing is quantized, forward or backward. `key` is a [`Key`] or `None`; the noise of a call's
    /// gradients is drawn from keys that descend from the call's.
    ///
    /// Gradients of complex operands are those of JAX: the transpose of the linear map that the equation is in each operand,
    /// of which nothing is conjugated.
    ///
    /// An error, beside those of [`run`](Self::run), where an operand is frozen, a residual does not fit the forward call,
    /// noise is configured anywhere and there is no key, or shards do not divide what they cut.
    ///
    /// ```
    /// use ndarray::{array, Array2};
    /// use qeinsum::QEinsum;
    /// let (a, b) = (array![[1.0, 2.0]], array![[3.0], [4.0]]);
    /// let (out, grads) = QEinsum::new("ij,jk->ik")?.vjp((&a, &b), None)?;
    /// assert_eq!(out, array![[11.0]].into_dyn());
    /// let gradients = grads.pull(&Array2::from_elem((1, 1), 1.0))?;
    /// assert_eq!(gradients[0], array![[3.0, 4.0]].into_dyn());
    /// assert_eq!(gradients[1], array![[1.0], [2.0]].into_dyn());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn vjp<'a, T: Element>(
        &self,
        operands: impl Operands<'a, T>,
        key: impl Into<Option<Key>>,
    ) -> Result<(ArrayD<T>, Pullback<'a, T>)> {
        let operands = operands.into_operands();
        let plan = self.plan_of(&operands)?;
        Pullback::run(plan, operands, self.config.as_deref(), key.into(), self.cancel.clone())
    }

    /// Quantizes an operand once, as a run on operands of these shapes would, to stand in its place from then on.
    ///
    /// Only the operand's own shape matters later: the others may be of other sizes wherever the equation lets them be.
    /// `key` is for noise that the configuration adds to this operand, and may be `None` where it adds none.
    ///
    /// An error where there is no configuration, it does not quantize the operand, or the plan multiplies it with nothing.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let layer = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().build()?);
    /// let (x, w) = (array![[0.5_f32, -2.0]], array![[0.1_f32, 0.9], [0.7, -0.2]]);
    /// let frozen = layer.freeze(1, &w, &[&[1, 2], &[2, 2]], None)?;
    /// assert_eq!(layer.run((&x, &frozen))?, layer.run((&x, &w))?); // the same bits
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn freeze<'a, T: Element>(
        &self,
        operand: usize,
        array: impl Operand<'a, T>,
        shapes: &[&[usize]],
        key: impl Into<Option<Key>>,
    ) -> Result<Frozen> {
        self.bound_to(self.planned(shapes, T::DTYPE)?)?.freeze(operand, array, key)
    }

    /// Makes a frozen operand of what a Flax checkpoint keeps for a layer that was converted with this equation and this
    /// configuration.
    ///
    /// `shapes` are those of all operands, as for [`freeze`](Self::freeze), and `dtype` is the element type that they have.
    /// An error where the layer contradicts the equation, the shapes or the configuration, or does not keep the operand.
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, Dtype, FlaxLayer, QEinsum};
    /// # use std::collections::BTreeMap;
    /// # use ndarray::array;
    /// # use qeinsum::io::{self, AnyArray};
    /// # let path = std::env::temp_dir().join(format!("qeinsum-doc-import-{}.safetensors", std::process::id()));
    /// # // Of twelve bits, for integers of up to eight are int8, which are not written here.
    /// # let value = AnyArray::F32(array![[2047.0_f32, -64.0], [2.0, 2047.0]].into_dyn());
    /// # let scale = AnyArray::F32(array![[0.5_f32, 0.25]].into_dyn());
    /// # io::save_tensors(&path, &[("dense/qrhs/value", &value), ("dense/qrhs/scale", &scale)], &BTreeMap::new())?;
    /// let layer = FlaxLayer::load(&path, "dense")?;
    /// let qe = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().fwd_bits(Some(12)).build()?);
    /// let frozen = qe.import(1, &layer, &[&[1, 2], &[2, 2]], Dtype::F32)?;
    /// assert_eq!((frozen.operand(), frozen.shape()), (1, &[2, 2][..]));
    /// # std::fs::remove_file(&path).ok();
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn import(&self, operand: usize, layer: &FlaxLayer, shapes: &[&[usize]], dtype: Dtype) -> Result<Frozen> {
        let config = self
            .config
            .clone()
            .ok_or_else(|| Error::new(ErrorKind::Config, "freezing quantizes, which needs a configuration"))?;
        import(&self.ast, self.planned(shapes, dtype)?, config, operand, layer, dtype)
    }

    fn execute<T: Element>(&self, operands: Vec<OperandView<'_, T>>, key: Option<Key>) -> Result<ArrayD<T>> {
        let shapes = operands.iter().map(OperandView::shape);
        let compiled = self.compiled.get(T::DTYPE, shapes.clone(), || {
            let plan = self.planned(&shapes.collect::<Vec<_>>(), T::DTYPE)?;
            Compiled::new(Arc::clone(&self.ast), plan, self.config.clone())
        })?;
        cancel::stoppable(self.cancel.as_ref(), || compiled.execute(operands, key))
    }

    fn plan_of<T: Element>(&self, operands: &[OperandView<'_, T>]) -> Result<Arc<Plan>> {
        let shapes: Vec<&[usize]> = operands.iter().map(OperandView::shape).collect();
        self.planned(&shapes, T::DTYPE)
    }

    fn planned(&self, shapes: &[&[usize]], dtype: Dtype) -> Result<Arc<Plan>> {
        if let Some(cancel) = &self.cancel {
            cancel.check()?;
        }
        self.plans.get(dtype, shapes.iter().copied(), || {
            let (equation, sizes) = self.bind(shapes)?;
            self.search(&equation, &sizes, dtype)
        })
    }

    fn search(&self, equation: &Equation, sizes: &Sizes, dtype: Dtype) -> Result<Plan> {
        let config = self.config.as_deref();
        let Some(cancel) = &self.cancel else {
            return self.planning.plan(equation, sizes, dtype, config, &AtomicBool::new(false), &Team::default());
        };
        let plan = self.planning.plan(equation, sizes, dtype, config, cancel.flag(), &Team::default())?;
        // A search that is stopped has found something all the same, which must not pass for what a whole one finds.
        cancel.check().map(|()| plan)
    }

    /// A handle of a plan, which this one's token stops.
    fn bound_to(&self, plan: Arc<Plan>) -> Result<Compiled> {
        let compiled = Compiled::new(Arc::clone(&self.ast), plan, self.config.clone())?;
        Ok(match &self.cancel {
            Some(cancel) => compiled.with_cancel(cancel),
            None => compiled,
        })
    }
}
