//! Several equations over common operands, planned together.
//!
//! In come equations, and which common operand each of their terms is; out goes a [`ManyPlan`]: a path for each, chosen so
//! that what they have in common is computed once, and the plans that these are lowered to as one program. Nothing here
//! changes what a plan computes: each result has the bits that its equation alone has along the same path.

mod begun;
mod bound;
mod choose;
mod display;
mod greedy;
mod marks;
mod plan;
mod search;
mod serial;

use std::sync::Arc;

use ndarray::{ArrayD, ArrayViewD};

use crate::cache::{Known, Recent};
use crate::cancel::{self, Cancel};
use crate::dtype::Dtype;
use crate::equation::Syntax;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::Element;
use crate::operands::{Operands, arrays};
use crate::parse::Ast;
use crate::path::{Path, SearchOptions};
use crate::qeinsum::QEinsum;
use crate::quant::QuantConfig;
use crate::rng::Key;
use crate::sizes::count;

use bound::Bound;

pub use plan::{JointCertificate, ManyPlan};

/// Several equations over common operands: products that they share are computed once.
///
/// Made by [`QEinsum::many`]. Cheap to clone and to share between threads; plans are kept as those of a [`QEinsum`] are.
///
/// Each result has exactly the bits that its equation alone has when it is run along the path that the joint plan lists for
/// it, quantized or not. So a product is shared only where it is the same call: of the same operands in the same order, summed
/// in the same order, and quantized alike. Labels may be called otherwise in each equation.
///
/// ```
/// use ndarray::Array;
/// use qeinsum::QEinsum;
/// let a = Array::from_shape_fn((20, 3), |(i, j)| (i + j) as f32);
/// let b = Array::from_shape_fn((3, 40), |(i, j)| (2 * i) as f32 - j as f32);
/// let c = Array::from_shape_fn((40, 2), |(i, j)| (i * j) as f32);
/// let d = Array::from_shape_fn((40, 5), |(i, j)| i as f32 - j as f32);
///
/// let many = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ij,jk,kl->il", &[0, 1, 3])])?;
/// let outs = many.run((&a, &b, &c, &d))?;
/// assert_eq!(outs[1].shape(), [20, 5]);
/// assert_eq!(outs[0], QEinsum::new("ab,bc,cd->ad")?.run((&a, &b, &c))?);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Many {
    equations: Arc<[Member]>,
    /// The number of common operands.
    operands: usize,
    config: Option<Arc<QuantConfig>>,
    options: SearchOptions,
    paths: Option<Vec<Path>>,
    dtype: Option<Dtype>,
    plans: Arc<Recent<ManyPlan>>,
    cancel: Option<Cancel>,
}

/// An equation of several.
#[derive(Debug)]
struct Member {
    ast: Arc<Ast>,
    /// The common operand that each of its terms is.
    operands: Vec<usize>,
}

impl QEinsum {
    /// Several equations over common operands, each with the operand that each of its terms is, by its place in the common
    /// list; see [`Many`].
    ///
    /// An error where there is no equation, one does not parse, has another number of terms than of places, or where an
    /// operand of the common list is in no equation.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// let many = QEinsum::many(&[("ab,bc->ac", &[0, 1]), ("ab,bc->", &[0, 1])])?;
    /// assert_eq!(many.operands(), 2);
    /// assert!(QEinsum::many(&[("ab,bc->ac", &[0])]).is_err());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn many(equations: &[(&str, &[usize])]) -> Result<Many> {
        Many::parse(equations, Syntax::Compact)
    }

    /// The same for equations in named syntax, `batch time, time out -> batch out`.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// let many = QEinsum::many_named(&[("row mid, mid col -> row col", &[0, 1]), ("mid col -> col", &[1])])?;
    /// assert_eq!(many.plan(&[&[2, 3], &[3, 4]])?.plans().len(), 2);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn many_named(equations: &[(&str, &[usize])]) -> Result<Many> {
        Many::parse(equations, Syntax::Named)
    }
}

/// The equation that an error is about.
fn name(equation: usize) -> String {
    format!("equation {equation}")
}

impl Many {
    fn parse(equations: &[(&str, &[usize])], syntax: Syntax) -> Result<Self> {
        if equations.is_empty() {
            return Err(Error::new(ErrorKind::Shape, "there is no equation"));
        }
        let mut members = Vec::with_capacity(equations.len());
        for (number, (text, operands)) in equations.iter().enumerate() {
            let ast = Known::parse(text, syntax).map_err(|error| error.within(&name(number)))?.ast;
            if ast.operands().len() != operands.len() {
                let (terms, places) = (count(ast.operands().len(), "operand"), count(operands.len(), "place"));
                let message = format!("{} has {terms}, but {places} in the common list", name(number));
                return Err(Error::new(ErrorKind::Shape, message));
            }
            members.push(Member { ast, operands: operands.to_vec() });
        }
        let operands = common_operands(&members)?;
        Ok(Self {
            equations: members.into(),
            operands,
            config: None,
            options: SearchOptions::default(),
            paths: None,
            dtype: None,
            plans: Arc::default(),
            cancel: None,
        })
    }

    /// Quantizes every call by this configuration; without one, runs are unquantized.
    ///
    /// Settings of single operands are for those of the common list, in every equation that has them; those of a step are
    /// for the step of this number in every equation that has so many. Calls are shared only where all of it is the same for
    /// them.
    ///
    /// Noise is drawn as each equation alone would draw it, by the number of the step. Two calls with noise are therefore
    /// one only where they are the same step of their equations; otherwise their noise differs, and both are computed.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, QEinsum};
    /// let config = DotGeneralConfig::v4().build()?;
    /// let (a, x) = (array![[1.0_f32, 0.3], [0.7, -2.0]], array![0.5_f32, 1.0]);
    /// let many = QEinsum::many(&[("ij,j->i", &[0, 1]), ("ij,i->j", &[0, 1])])?.with_config(config.clone());
    /// // The bits of the equation alone.
    /// let alone = QEinsum::new("ij,i->j")?.with_config(config).run((&a, &x))?;
    /// assert_eq!(many.run((&a, &x))?[1], alone);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_config(mut self, config: impl Into<QuantConfig>) -> Self {
        self.config = Some(Arc::new(config.into()));
        self.plans = Arc::default();
        self
    }

    /// Searches paths with these options instead of the default.
    ///
    /// Paths are chosen together for the fewest multiplications. For another objective each equation's path is the one it
    /// has alone, and what these paths have in common is computed once. A memory limit is an error of planning: several
    /// equations are not sliced.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// use qeinsum::path::{Objective, SearchOptions};
    /// let many = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc->ca", &[0, 1])])?;
    /// let many = many.with_search(SearchOptions::new().objective(Objective::Size));
    /// let plan = many.plan(&[&[2, 9], &[9, 4], &[4, 5]])?;
    /// assert_eq!(plan.plans()[0].objective(), Objective::Size);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_search(mut self, options: SearchOptions) -> Self {
        self.options = options;
        self.plans = Arc::default();
        self
    }

    /// Takes these paths, one for each equation, and searches none.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// let many = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc->ac", &[0, 1])])?;
    /// let many = many.with_paths(vec!["(1,2) (0,1)".parse()?, "(0,1)".parse()?]);
    /// assert_eq!(many.plan(&[&[2, 3], &[3, 4], &[4, 5]])?.plans()[0].order(), "(1,2) (0,1)");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_paths(mut self, paths: Vec<Path>) -> Self {
        self.paths = Some(paths);
        self.plans = Arc::default();
        self
    }

    /// Counts the memory of plans in elements of this type; otherwise f32, and in runs that of the operands.
    ///
    /// ```
    /// use qeinsum::{Dtype, QEinsum};
    /// let many = QEinsum::many(&[("i,i->", &[0, 1])])?.with_dtype(Dtype::F64);
    /// let plan = many.plan(&[&[3], &[3]])?;
    /// assert_eq!((plan.dtype(), plan.peak_bytes()), (Dtype::F64, Some(8 * 7)));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn with_dtype(mut self, dtype: Dtype) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// Has this token stop runs from now on; see [`QEinsum::with_cancel`]. A search ends first.
    pub fn with_cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = Some(cancel.clone());
        self
    }

    /// The number of common operands.
    pub fn operands(&self) -> usize {
        self.operands
    }

    /// The joint plan for common operands of these shapes.
    ///
    /// An error names the equation that they do not fit.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// // Alone, the first equation multiplies its last two operands first.
    /// let many = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc->ca", &[0, 1])])?;
    /// let plan = many.plan(&[&[20, 30], &[30, 40], &[40, 19]])?;
    /// assert_eq!(plan.multiplications().to_string(), "39200");
    /// assert_eq!(plan.multiplications_alone().to_string(), "58200");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn plan(&self, shapes: &[&[usize]]) -> Result<ManyPlan> {
        Ok(self.planned(shapes, self.dtype.unwrap_or(Dtype::F32))?.as_ref().clone())
    }

    /// Runs the equations on common operands of one element type: a result for each, in their order, row-major.
    ///
    /// An error where shapes do not fit or the configuration does not, where it adds noise, which needs a key, and where an
    /// operand is frozen.
    ///
    /// ```
    /// use ndarray::{arr0, array};
    /// let many = qeinsum::QEinsum::many(&[("i,i->", &[0, 1]), ("i,i->", &[0, 0])])?;
    /// let sums = many.run((&array![1.0, 2.0], &array![3.0, 4.0]))?;
    /// assert_eq!(sums, [arr0(11.0).into_dyn(), arr0(5.0).into_dyn()]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run<'a, T: Element>(&self, operands: impl Operands<'a, T>) -> Result<Vec<ArrayD<T>>> {
        self.execute(operands, None)
    }

    /// The same with a key for the noise of stochastic rounding: every equation has it, as if it was run alone.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::quant::{IntNumerics, Noise, Numerics};
    /// use qeinsum::{DotGeneralConfig, Key, QEinsum};
    /// let noisy = IntNumerics { noise: Some(Noise::JaxUniform), ..IntNumerics::new(8)? };
    /// let config = DotGeneralConfig::v4().build()?.with_forward_numerics(Numerics::Int(noisy));
    /// let (x, y) = (array![0.3_f32, 0.7], array![0.2_f32, 1.0]);
    /// let many = QEinsum::many(&[("i,i->", &[0, 1]), ("i,j->ij", &[0, 1])])?.with_config(config.clone());
    /// let alone = QEinsum::new("i,j->ij")?.with_config(config).run_with_key((&x, &y), Key::new(1))?;
    /// assert_eq!(many.run_with_key((&x, &y), Key::new(1))?[1], alone);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_with_key<'a, T: Element>(&self, operands: impl Operands<'a, T>, key: Key) -> Result<Vec<ArrayD<T>>> {
        self.execute(operands, Some(key))
    }

    fn execute<'a, T: Element>(&self, operands: impl Operands<'a, T>, key: Option<Key>) -> Result<Vec<ArrayD<T>>> {
        let operands = arrays(operands, "a run of several equations")?;
        let shapes: Vec<&[usize]> = operands.iter().map(ArrayViewD::shape).collect();
        let plan = self.planned(&shapes, T::DTYPE)?;
        cancel::stoppable(self.cancel.as_ref(), || plan.execute(operands, key))
    }

    fn planned(&self, shapes: &[&[usize]], dtype: Dtype) -> Result<Arc<ManyPlan>> {
        self.plans.get(dtype, shapes.iter().copied(), || {
            let bound = self.bind(shapes)?;
            let found = match &self.paths {
                Some(paths) => search::given(&bound, paths, dtype)?,
                None => search::search(&bound, self.operands, &self.options, dtype)?,
            };
            Ok(ManyPlan::new(bound, shapes, found, dtype))
        })
    }

    fn bind(&self, shapes: &[&[usize]]) -> Result<Vec<Bound>> {
        if shapes.len() != self.operands {
            let given = if shapes.len() == 1 { "1 was".to_owned() } else { format!("{} were", shapes.len()) };
            let message = format!("the equations have {}, but {given} given", count(self.operands, "operand"));
            return Err(Error::new(ErrorKind::Shape, message));
        }
        let configs = match &self.config {
            None => None,
            Some(config) => Some(bound::configs(config, &self.equations, self.operands)?),
        };
        let bind = |(number, member): (usize, &Member)| {
            let config = configs.as_ref().map(|configs| configs[number].clone());
            Bound::new(member, shapes, config).map_err(|error| error.within(&name(number)))
        };
        self.equations.iter().enumerate().map(bind).collect()
    }
}

/// The number of common operands, every one of which has to be in some equation: one that is not was miscounted.
fn common_operands(members: &[Member]) -> Result<usize> {
    let terms: usize = members.iter().map(|member| member.operands.len()).sum();
    let mut is_used = vec![false; terms];
    for (number, member) in members.iter().enumerate() {
        for &operand in &member.operands {
            let Some(is_used) = is_used.get_mut(operand) else {
                let message = format!(
                    "{} has operand {operand} of the common list, but all equations together have {}",
                    name(number),
                    count(terms, "term")
                );
                return Err(Error::new(ErrorKind::Shape, message));
            };
            *is_used = true;
        }
    }
    let operands = is_used.iter().rposition(|&is_used| is_used).map_or(0, |last| last + 1);
    match is_used[..operands].iter().position(|&is_used| !is_used) {
        Some(unused) => {
            Err(Error::new(ErrorKind::Shape, format!("operand {unused} of the common list is in no equation")))
        }
        None => Ok(operands),
    }
}
