//! Gradients: forward runs that can be pulled back.

use std::sync::Arc;

use ndarray::ArrayD;

use crate::cancel::{self, Cancel};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{self, CallParts, GradientRecord, Kept, QuantizedCalls};
use crate::kernel::Element;
use crate::lower::{DimensionNumbers, Plan, Side};
use crate::operands::{Operand, Operands, arrays};
use crate::quant::{DotGeneralConfig, Format, QuantConfig};
use crate::rng::Key;
use crate::sizes::Shape;

/// What a forward run kept, ready to carry a gradient of its result back to its operands.
///
/// It borrows the operands. The gradients of a call are calls of their own, quantized by the configuration's `dlhs` and
/// `drhs`; the gradient with respect to every operand is computed unless [`wrt`](Self::wrt) says which ones are asked
/// for, and calls that lead to none of them do not run.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DotGeneralConfig, Key, QEinsum, quant::Noise};
/// let config = DotGeneralConfig::v4().drhs_bits(Some(8)).noise(Noise::JaxUniform).build()?;
/// let dense = QEinsum::new("bi,io->bo")?.with_config(config);
/// let (x, w) = (array![[1.0_f32, -2.0]], array![[0.5_f32, 1.0], [0.25, -1.0]]);
///
/// let (y, grads) = dense.vjp((&x, &w), Key::new(0))?;
/// let gradients = grads.pull(&y)?; // of half the sum of squares of y
/// assert_eq!((gradients[0].shape(), gradients[1].shape()), (x.shape(), w.shape()));
///
/// let only_w = grads.wrt(&[1])?.pull(&y)?;
/// assert_eq!(only_w, [gradients[1].clone()]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Debug)]
#[doc(alias("vjp", "gradient", "backward"))]
pub struct Pullback<'a, T> {
    plan: Arc<Plan>,
    tape: Vec<Kept<'a, T>>,
    calls: Option<QuantizedCalls>,
    asked: Vec<usize>,
    /// What stops the backward passes too.
    cancel: Option<Cancel>,
}

impl<'a, T: Element> Pullback<'a, T> {
    /// Runs a plan forward and keeps what its gradients need.
    pub(crate) fn run(
        plan: Arc<Plan>,
        operands: impl Operands<'a, T>,
        config: Option<&QuantConfig>,
        key: Option<Key>,
        cancel: Option<Cancel>,
    ) -> Result<(ArrayD<T>, Self)> {
        if !plan.slices().is_empty() {
            // What the calls keep for their gradients would take the memory that slices are to save.
            return Err(exec::unsliced("gradients are taken"));
        }
        let operands = arrays(operands, "a gradient")?;
        let calls = config.map(|config| QuantizedCalls::for_gradients::<T>(&plan, config, key)).transpose()?;
        let mut taped = exec::TapedCalls::new(calls.as_ref());
        let asked = (0..operands.len()).collect();
        exec::check_gradient_room(&plan, T::DTYPE, config)?;
        let output = cancel::stoppable(cancel.as_ref(), || exec::run(&plan, operands, &mut taped))?;
        let tape = taped.into_tape();
        Ok((output, Self { plan, tape, calls, asked, cancel }))
    }

    /// The same, with copies of the operands in place of what it borrows, to be kept longer than they are.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{Pullback, QEinsum};
    /// fn squares() -> Result<Pullback<'static, f64>, qeinsum::Error> {
    ///     let x = array![1.0, 2.0];
    ///     Ok(QEinsum::new("i,i->i")?.vjp((&x, &x), None)?.1.into_owned())
    /// }
    /// assert_eq!(squares()?.pull(&array![1.0, 1.0])?[0], array![1.0, 2.0].into_dyn());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn into_owned(self) -> Pullback<'static, T> {
        let tape = self.tape.into_iter().map(Kept::into_owned).collect();
        Pullback { plan: self.plan, tape, calls: self.calls, asked: self.asked, cancel: self.cancel }
    }

    /// Asks for the gradients with respect to these operands only, in this order.
    ///
    /// An error where an operand does not exist, or stands twice.
    ///
    /// ```
    /// use ndarray::{arr0, array};
    /// let (x, y) = (array![1.0, 2.0], array![3.0, 4.0]);
    /// let grads = qeinsum::QEinsum::new("i,i->")?.vjp((&x, &y), None)?.1.wrt(&[1])?;
    /// assert_eq!(grads.pull(&arr0(2.0))?, [array![2.0, 4.0].into_dyn()]);
    /// assert!(grads.wrt(&[2]).is_err()); // there is no operand 2
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn wrt(self, operands: &[usize]) -> Result<Self> {
        check_asked(&self.plan, operands)?;
        Ok(Self { asked: operands.to_vec(), ..self })
    }

    /// The gradients of `sum(cotangent · result)`, one per operand asked for, each in its operand's shape and type; of
    /// complex ones the derivatives, not conjugated.
    ///
    /// `cotangent` has the result's shape. The same pullback can be pulled any number of times, and gives the same bits
    /// each time: noise depends on the key alone.
    pub fn pull<'b>(&self, cotangent: impl Operand<'b, T>) -> Result<Vec<ArrayD<T>>> {
        self.pull_ordered(cotangent, None)
    }

    /// The same, showing `observe` each gradient call: the number of the forward call, the side of it whose gradient
    /// this is, and everything that was computed on the way.
    ///
    /// An unquantized backward pass shows nothing.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, Key, QEinsum, Sums};
    /// let dense = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().build()?);
    /// let (x, w) = (array![[1.0_f32, -2.0]], array![[0.5_f32], [0.25]]);
    /// let (y, grads) = dense.vjp((&x, &w), Key::new(0))?;
    /// let mut exact = Vec::new();
    /// grads.pull_recorded(&y, |call, side, record| {
    ///     exact.push((call, side.to_string(), matches!(record.call.sums, Sums::I32(_))));
    /// })?;
    /// exact.sort();
    /// // By v4 the gradient of the lhs is computed in integers, and that of the rhs in floats.
    /// assert_eq!(exact, [(0, "lhs".to_owned(), true), (0, "rhs".to_owned(), false)]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn pull_recorded<'b>(
        &self,
        cotangent: impl Operand<'b, T>,
        mut observe: impl FnMut(usize, Side, GradientRecord),
    ) -> Result<Vec<ArrayD<T>>> {
        self.pull_ordered(cotangent, Some(&mut observe))
    }

    /// The gradients of arrays that stand in several places: `sources` names, for each operand, its array.
    ///
    /// There is one result per array, from 0 to the largest number in `sources`, whatever [`wrt`](Self::wrt) asked for:
    /// the sum over the operands that it stands for, each addition rounded in the operands' type. The order of additions
    /// is that in which the reference's backward pass reaches the operands: from the last call, what the executed rhs
    /// was made of before what the lhs was.
    ///
    /// ```
    /// use ndarray::array;
    /// let (x, a) = (array![1.0, 2.0], array![[2.0, 1.0], [0.0, 3.0]]);
    /// let (_, grads) = qeinsum::QEinsum::new("i,ij,j->")?.vjp((&x, &a, &x), None)?; // a quadratic form in x
    /// let sums = grads.pull_summed(&ndarray::arr0(1.0), &[0, 1, 0])?;
    /// assert_eq!(sums[0], array![6.0, 13.0].into_dyn()); // (a + aᵀ) x
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn pull_summed<'b>(&self, cotangent: impl Operand<'b, T>, sources: &[usize]) -> Result<Vec<ArrayD<T>>> {
        self.check_sources(sources)?;
        let everything = vec![true; sources.len()];
        let mut gradients = self.pull_asked(&everything, cotangent, None)?;
        let mut sums: Vec<Option<ArrayD<T>>> = Vec::new();
        sums.resize(sources.iter().max().map_or(0, |&last| last + 1), None);
        for operand in exec::accumulation_order(&self.plan) {
            let Some(gradient) = gradients[operand].take() else { continue };
            let sum = &mut sums[sources[operand]];
            *sum = Some(match sum.take() {
                None => gradient,
                Some(sum) => self.add(sum, &gradient),
            });
        }
        Ok(sums.into_iter().flatten().map(row_major).collect())
    }

    fn pull_asked<'b>(
        &self,
        asked: &[bool],
        cotangent: impl Operand<'b, T>,
        observe: Option<&mut dyn FnMut(usize, Side, GradientRecord)>,
    ) -> Result<Vec<Option<ArrayD<T>>>> {
        let cotangent = cotangent.into_operand().into_array("a gradient")?;
        cancel::stoppable(self.cancel.as_ref(), || {
            exec::pull(&self.plan, &self.tape, self.calls.as_ref(), asked, &cotangent, observe)
        })
    }

    /// Gradients in the order asked for.
    fn pull_ordered<'b>(
        &self,
        cotangent: impl Operand<'b, T>,
        observe: Option<&mut dyn FnMut(usize, Side, GradientRecord)>,
    ) -> Result<Vec<ArrayD<T>>> {
        let mut asked = vec![false; self.plan.equation().operands().len()];
        self.asked.iter().for_each(|&operand| asked[operand] = true);
        let mut gradients = self.pull_asked(&asked, cotangent, observe)?;
        Ok(self.asked.iter().filter_map(|&operand| gradients[operand].take()).map(row_major).collect())
    }

    /// One addition of two gradients; a quantized pass flushes subnormals as it does everywhere.
    fn add(&self, mut sum: ArrayD<T>, gradient: &ArrayD<T>) -> ArrayD<T> {
        if let (Some(format), Some(_)) = (Format::of(T::DTYPE), &self.calls) {
            let mut floats = T::floats(sum.view()).into_owned();
            floats.zip_mut_with(&T::floats(gradient.view()), |sum, &term| *sum = format.add(*sum, term));
            return T::from_floats(floats);
        }
        sum.zip_mut_with(gradient, |sum, &term| *sum = sum.plus(term));
        sum
    }

    /// One number per operand, none left out, and one shape per number.
    fn check_sources(&self, sources: &[usize]) -> Result<()> {
        let refuse = |message| Err(Error::new(ErrorKind::Shape, message));
        let shapes = self.plan.sizes().shapes();
        if sources.len() != shapes.len() {
            return refuse(format!("{} operands cannot come from {} sources", shapes.len(), sources.len()));
        }
        if let Some(missing) = (0..sources.len()).find(|at| !sources.contains(at) && sources.iter().any(|s| s > at)) {
            return refuse(format!("sources are counted from 0 without gaps, but none is {missing}"));
        }
        for (operand, source) in sources.iter().enumerate() {
            let first = sources.iter().position(|each| each == source).unwrap_or(operand);
            if shapes[first] != shapes[operand] {
                return refuse(format!(
                    "operands {first} and {operand} cannot be one array: their shapes are {:?} and {:?}",
                    shapes[first], shapes[operand]
                ));
            }
        }
        Ok(())
    }
}

/// An error where gradients with respect to these operands cannot be asked for.
pub(crate) fn check_asked(plan: &Plan, operands: &[usize]) -> Result<()> {
    let count = plan.equation().operands().len();
    for (at, &operand) in operands.iter().enumerate() {
        let message = if operand >= count {
            format!("there is no operand {operand} to take a gradient of; there are {count}")
        } else if operands[..at].contains(&operand) {
            format!("the gradient of operand {operand} is asked for twice")
        } else {
            continue;
        };
        return Err(Error::new(ErrorKind::Shape, message));
    }
    Ok(())
}

pub(crate) fn row_major<T: Element>(array: ArrayD<T>) -> ArrayD<T> {
    if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned() }
}

/// What a bare call kept: the [`Pullback`] of a [`QDotGeneral`](crate::QDotGeneral).
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DimensionNumbers, DotGeneralConfig, Key, QDotGeneral};
/// let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 0)])?, DotGeneralConfig::v4().build()?);
/// let (a, b) = (array![[1.0_f32, -2.0]], array![[0.5_f32], [2.0]]);
/// let (out, grads) = dot.vjp(&a, &b, Key::new(0))?; // v4 rounds gradients stochastically
/// let [da, db] = grads.pull(&out)?;
/// assert_eq!((da.shape(), db.shape()), (a.shape(), b.shape()));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Debug)]
pub struct DotPullback<'a, T> {
    pub(crate) dims: DimensionNumbers,
    pub(crate) config: DotGeneralConfig,
    pub(crate) key: Option<Key>,
    pub(crate) kept: Kept<'a, T>,
    pub(crate) output_shape: Shape,
}

impl<T: Element> DotPullback<'_, T> {
    /// The gradients of `sum(cotangent · result)` with respect to the lhs and the rhs.
    pub fn pull<'b>(&self, cotangent: impl Operand<'b, T>) -> Result<[ArrayD<T>; 2]> {
        self.pull_recorded(cotangent, |_, _| ())
    }

    /// The same, showing `observe` both gradient calls with everything that they computed on their way.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DimensionNumbers, DotGeneralConfig, Key, QDotGeneral};
    /// let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 0)])?, DotGeneralConfig::v4().build()?);
    /// let (a, b) = (array![[1.0_f32, -2.0]], array![[0.5_f32], [2.0]]);
    /// let (out, grads) = dot.vjp(&a, &b, Key::new(0))?;
    /// grads.pull_recorded(&out, |side, record| {
    ///     // What stands for the other side, as it was before it was quantized.
    ///     let other = side.other().of(a.clone(), b.clone());
    ///     assert_eq!(record.other, other.into_dyn());
    /// })?;
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn pull_recorded<'b>(
        &self,
        cotangent: impl Operand<'b, T>,
        mut observe: impl FnMut(Side, GradientRecord),
    ) -> Result<[ArrayD<T>; 2]> {
        let cotangent = cotangent.into_operand().into_array("a gradient")?;
        exec::check_cotangent(&cotangent, &self.output_shape)?;
        let mut pull = |side| -> Result<ArrayD<T>> {
            let watch: &mut dyn FnMut(Side, GradientRecord) = &mut observe;
            let made = exec::gradient(
                side,
                &self.kept,
                &self.dims,
                &cotangent,
                &self.config,
                self.key,
                Some(watch),
                CallParts::default(),
            )?;
            Ok(row_major(made))
        };
        Ok([pull(Side::Lhs)?, pull(Side::Rhs)?])
    }
}
