//! Frozen operands: quantized once, read from then on.
//!
//! In comes an operand of a plan and the configuration that it is quantized by; out goes a [`Frozen`] value, which
//! stands in the operand's place in any number of runs, and can be kept in a file. What does not fit where it is passed
//! is refused with the reason.

mod file;
mod fit;
mod freeze;
mod import;
mod packing;
mod part;
mod place;
mod serving;

use ndarray::ArrayD;

use crate::dtype::Dtype;
use crate::equation::Syntax;
use crate::exec::{FrozenSide, lhs_in_output_layout, rhs_in_output_layout};
use crate::lower::{DimensionNumbers, Entry, Op, Orientation, Plan, Side};
use crate::quant::{QuantConfig, TensorConfig, Values};

pub(crate) use fit::{Served, list, serve};
pub(crate) use freeze::freeze;
pub use import::FlaxLayer;
pub(crate) use import::import;
pub use part::FrozenFile;
pub use serving::Serving;

use place::Place;

/// An operand of an equation that was quantized once: integers, their scales, and what they are for.
///
/// It is made by [`QEinsum::freeze`](crate::QEinsum::freeze) and passed in the operand's place. A run then quantizes the
/// other operands only, and gives the bits that the operand itself would have given; where it could not, since its call
/// reads other axes of it or has other noise, it is refused. There is one exception, which is the reference's: beside operands narrower than f32, a scale from a constant bound was an f32 that rounds like its
/// neighbours while it was computed, and is one that widens them once it was stored.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DotGeneralConfig, Dtype, FrozenValues, Orientation, QEinsum, Syntax};
/// let dense = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().build()?);
/// let w = array![[0.5_f32, 1.0], [0.25, -1.0]];
/// let frozen = dense.freeze(1, &w, &[&[1, 2], &[2, 2]], None)?;
///
/// let batch = array![[1.0_f32, -2.0], [3.0, 0.5], [0.0, 1.0]]; // of another size than it was frozen beside
/// assert_eq!(dense.run((&batch, &frozen))?, dense.run((&batch, &w))?);
/// // What it keeps, and what it is for.
/// let FrozenValues::Int8(integers) = frozen.values() else { unreachable!("eight bits are int8") };
/// assert_eq!(integers, array![[127, 127], [64, -127]].into_dyn());
/// assert_eq!(frozen.inverse_scale().shape(), [1, 2]); // one for each column of the result
/// assert_eq!((frozen.equation(), frozen.operand(), frozen.shape()), ("bi,io->bo", 1, &[2, 2][..]));
/// assert_eq!((frozen.dtype(), frozen.orientation()), (Dtype::F32, Orientation::AsWritten));
/// assert!(frozen.tensor_config().is_int8() && frozen.is_finite());
/// assert_eq!((frozen.plan().order(), frozen.entry().call, frozen.syntax()), ("(0,1)".to_owned(), 0, Syntax::Compact));
/// assert_eq!(Some(frozen.config()), dense.config());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
#[doc(alias("Freezer", "CONVERT", "SERVE"))]
pub struct Frozen {
    place: Place,
    side: FrozenSide,
}

impl Frozen {
    /// The equation, as it was written.
    pub fn equation(&self) -> &str {
        &self.place.equation
    }

    /// The syntax of the equation.
    pub fn syntax(&self) -> Syntax {
        self.place.syntax
    }

    /// The plan that the operand was frozen in.
    pub fn plan(&self) -> &Plan {
        &self.place.plan
    }

    /// The position of the operand in the equation.
    pub fn operand(&self) -> usize {
        self.place.operand
    }

    /// The shape of the operand.
    pub fn shape(&self) -> &[usize] {
        self.place.shape()
    }

    /// The configuration of the whole equation; a run that takes the operand has to have one that quantizes it alike.
    pub fn config(&self) -> &QuantConfig {
        &self.place.config
    }

    /// The element type of the operand, and of those that it is multiplied with.
    pub fn dtype(&self) -> Dtype {
        self.place.dtype
    }

    /// Where the operand enters its call: which call it is, and which side of it, as executed.
    pub fn entry(&self) -> Entry {
        self.place.entry
    }

    /// The orientation of the call that the operand enters.
    pub fn orientation(&self) -> Orientation {
        self.place.call().1
    }

    /// How the operand was quantized.
    pub fn tensor_config(&self) -> TensorConfig {
        self.place.tensor_config()
    }

    /// What the products of the integers are multiplied by, in the layout of the call's result: the batch axes, the free
    /// axes of the lhs, those of the rhs, with extent 1 on the axes that the operand does not have.
    ///
    /// One over the scale of calibration; with a constant bound every extent is 1.
    #[doc(alias = "scale")]
    pub fn inverse_scale(&self) -> ArrayD<f32> {
        let (dims, _, other_rank) = self.place.call();
        match self.place.entry.side {
            Side::Lhs => lhs_in_output_layout(&self.side.inverse_scale, dims, other_rank),
            Side::Rhs => rhs_in_output_layout(&self.side.inverse_scale, dims, other_rank),
        }
    }

    /// The integers, as the call multiplies them; half integers and more than eight bits are floats.
    pub fn values(&self) -> FrozenValues<'_> {
        match &self.side.values {
            Values::Int8(values) => FrozenValues::Int8(values),
            Values::Float(values, _) => FrozenValues::Float(values),
        }
    }

    /// Whether all values and inverse scales are finite; where one is not, the operand had a NaN, an infinity or values
    /// so large that one over their scale is one.
    pub fn is_finite(&self) -> bool {
        let values = match &self.side.values {
            Values::Int8(_) => true,
            Values::Float(values, _) => values.iter().all(|value| value.is_finite()),
        };
        values && self.side.inverse_scale.iter().all(|inverse| inverse.is_finite())
    }
}

/// The integers of a [`Frozen`] operand, shaped as its call reads it.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DotGeneralConfig, FrozenValues, QEinsum};
/// let qe = QEinsum::new("bi,i->b")?.with_config(DotGeneralConfig::v4().fwd_bits(Some(12)).build()?);
/// let frozen = qe.freeze(1, &array![1.0_f32, -0.5], &[&[1, 2], &[2]], None)?;
/// match frozen.values() {
///     FrozenValues::Int8(_) => unreachable!("twelve bits are more than an int8 has"),
///     FrozenValues::Float(values) => assert_eq!(values[[0]], 2047.0),
/// }
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum FrozenValues<'a> {
    /// Integers of up to eight bits.
    Int8(&'a ArrayD<i8>),
    /// Integers or half integers as floats.
    Float(&'a ArrayD<f32>),
}

/// The dimension numbers and orientation of the call that an operand enters, and the rank of the other side.
fn call(plan: &Plan, entry: Entry) -> (&DimensionNumbers, Orientation, usize) {
    match plan.calls().nth(entry.call).map(crate::lower::Step::op) {
        Some(Op::DotGeneral { lhs, rhs, dims, orientation }) => {
            let other = plan.value(entry.side.of(*rhs, *lhs));
            (dims, *orientation, other.shape().len())
        }
        _ => unreachable!("an entry is that of a call of its plan"),
    }
}

/// How a configuration quantizes what enters there.
fn own_config(plan: &Plan, config: &QuantConfig, entry: Entry) -> TensorConfig {
    let oriented = plan.call_configs(config)[entry.call].oriented(call(plan, entry).1);
    entry.side.of(oriented.forward.lhs, oriented.forward.rhs)
}
