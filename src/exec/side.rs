//! One side of a call: what comes in, and what is multiplied.

use std::ops::Range;

use ndarray::{ArrayD, ArrayViewD, Axis, CowArray, IxDyn, Slice};

use crate::error::Result;
use crate::kernel::PackedSide;
use crate::quant::{Dequantize, Format, Part, Quantized, ScaleKind, Scales, TensorConfig, Values, quantize};
use crate::rng::{ArrayNoise, Key};

use super::rescale::rescale;

/// What comes in for a side.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// Floats, to be quantized as configured.
    Array(CowArray<'a, f32, IxDyn>),
    /// A side that was quantized before, and packed, if it was.
    Frozen(&'a FrozenSide, Option<&'a PackedSide>),
}

impl Input<'_> {
    /// Axes of the side.
    pub(super) fn rank(&self) -> usize {
        match self {
            Self::Array(x) => x.ndim(),
            Self::Frozen(side, _) => side.shape().len(),
        }
    }
}

/// A side that was quantized once and is read from then on.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct FrozenSide {
    pub(crate) values: Values,
    /// Shaped like the values, with extent 1 on the axes that share a scale.
    pub(crate) inverse_scale: ArrayD<f32>,
    pub(crate) kind: ScaleKind,
}

/// A side that was quantized once and is kept elsewhere.
pub(crate) trait StoredSide: Sync + std::fmt::Debug {
    /// What of it lies in a range along an axis, or all of it.
    fn side(&self, part: Option<(usize, Range<usize>)>) -> Result<FrozenSide>;

    /// The bytes that this takes, of so many indices along an axis, or of all.
    fn bytes(&self, part: Option<(usize, usize)>) -> u64;
}

/// One side of a call as it was quantized.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DimensionNumbers, DotGeneralConfig, Factor, QDotGeneral};
/// let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 0)])?, DotGeneralConfig::v4().build()?);
/// let record = dot.record(&array![[1.0_f32, -0.5]], &array![[0.0_f32], [2.0]], None)?;
/// let side = record.lhs;
/// assert_eq!((side.scale, side.noise), (Some(array![[127.5]].into_dyn()), None)); // one scale for the row
/// assert_eq!(side.factor, Factor::Int8(array![[127, -64]].into_dyn()));
/// assert_eq!(side.inverse_scale, Some(array![[1.0 / 127.5]].into_dyn()));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct SideRecord {
    /// What the values were multiplied by; none for a side that passes through or is frozen. Extent 1 on axes that
    /// share a scale.
    pub scale: Option<ArrayD<f32>>,
    /// One over the scale.
    pub inverse_scale: Option<ArrayD<f32>>,
    /// The noise added before rounding, if any.
    pub noise: Option<ArrayD<f32>>,
    /// What was multiplied.
    pub factor: Factor,
}

/// What a side of a call is multiplied as.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DimensionNumbers, DotGeneralConfig, Factor, QDotGeneral};
/// let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 0)])?, DotGeneralConfig::v4().build()?);
/// let record = dot.record(&array![[1.0_f32, -0.5]], &array![[0.0_f32], [2.0]], None)?;
/// assert_eq!(record.rhs.factor, Factor::Int8(array![[0], [127]].into_dyn()));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub enum Factor {
    /// Eight-bit integers.
    Int8(ArrayD<i8>),
    /// Floats: unquantized, quantized but stored as floats, or dequantized before the dot.
    Float(ArrayD<f32>),
}

/// What a side is multiplied as, and what its products are rescaled by.
pub(super) struct Side<'a> {
    pub(super) factor: SideFactor<'a>,
    pub(super) scale: SideScale<'a>,
    noise: Option<ArrayNoise>,
}

pub(super) enum SideFactor<'a> {
    Int8(CowArray<'a, i8, IxDyn>),
    Float(CowArray<'a, f32, IxDyn>, Format),
}

/// Where a side's products get their scale back from.
#[expect(clippy::large_enum_variant, reason = "two live at a time")]
pub(super) enum SideScale<'a> {
    /// The side passed through.
    None,
    Fresh(Scales),
    Frozen(&'a FrozenSide),
}

impl<'a> Side<'a> {
    /// Makes of an input what is multiplied; values that are floats have `format`.
    pub(super) fn new(
        input: Input<'a>,
        format: Format,
        contracting: &[usize],
        config: &TensorConfig,
        dequantize: Dequantize,
        key: Option<Key>,
        part: Part<'_>,
    ) -> Result<Self> {
        let x = match input {
            Input::Array(x) => x,
            Input::Frozen(frozen, _) => return Ok(Self::thawed(frozen, dequantize)),
        };
        let Some(&int) = config.int() else {
            return Ok(Self { factor: SideFactor::Float(x, format), scale: SideScale::None, noise: None });
        };
        let Quantized { values, scales, noise } = quantize(&x.view(), format, contracting, config, int, key, part)?;
        let factor = match (values, dequantize) {
            (Values::Int8(values), _) => SideFactor::Int8(values.into()),
            (Values::Float(values, format), Dequantize::Output) => SideFactor::Float(values.into(), format),
            (Values::Float(values, format), Dequantize::Inputs) => {
                dequantized(values, &scales.inverse, scales.kind, format)
            }
        };
        Ok(Self { factor, scale: SideScale::Fresh(scales), noise })
    }

    fn thawed(frozen: &'a FrozenSide, dequantize: Dequantize) -> Self {
        let factor = match (&frozen.values, dequantize) {
            (Values::Int8(values), _) => SideFactor::Int8(values.into()),
            (Values::Float(values, format), Dequantize::Output) => SideFactor::Float(values.into(), *format),
            (Values::Float(values, format), Dequantize::Inputs) => {
                dequantized(values.clone(), &frozen.inverse_scale, frozen.kind, *format)
            }
        };
        Self { factor, scale: SideScale::Frozen(frozen), noise: None }
    }

    pub(super) fn rank(&self) -> usize {
        match &self.factor {
            SideFactor::Int8(values) => values.ndim(),
            SideFactor::Float(values, _) => values.ndim(),
        }
    }

    /// The inverse scale in the side's own layout and how it takes part in products; none where it passed through.
    pub(super) fn inverse_scale(&self) -> Option<(&ArrayD<f32>, ScaleKind)> {
        match &self.scale {
            SideScale::None => None,
            SideScale::Fresh(scales) => Some((&scales.inverse, scales.kind)),
            SideScale::Frozen(frozen) => Some((&frozen.inverse_scale, frozen.kind)),
        }
    }

    /// The scales that were computed for this call.
    pub(super) fn into_scales(self) -> Option<Scales> {
        match self.scale {
            SideScale::Fresh(scales) => Some(scales),
            SideScale::None | SideScale::Frozen(_) => None,
        }
    }

    pub(super) fn into_record(self) -> SideRecord {
        let (scale, inverse_scale) = match self.scale {
            SideScale::None => (None, None),
            SideScale::Fresh(scales) => (Some(scales.scale), Some(scales.inverse)),
            SideScale::Frozen(frozen) => (None, Some(frozen.inverse_scale.clone())),
        };
        let factor = match self.factor {
            SideFactor::Int8(values) => Factor::Int8(values.into_owned()),
            SideFactor::Float(values, _) => Factor::Float(values.into_owned()),
        };
        let shape = match &factor {
            Factor::Int8(values) => values.raw_dim(),
            Factor::Float(values) => values.raw_dim(),
        };
        let drawn = |noise: ArrayNoise| ArrayD::from_shape_vec(shape, noise.values()).expect("each value has its own");
        SideRecord { scale, inverse_scale, noise: self.noise.map(drawn), factor }
    }
}

impl SideFactor<'_> {
    pub(super) fn as_floats(&self) -> CowArray<'_, f32, IxDyn> {
        match self {
            Self::Int8(values) => values.mapv(f32::from).into(),
            Self::Float(values, _) => values.view().into(),
        }
    }
}

impl FrozenSide {
    /// The shape of the side.
    pub(crate) fn shape(&self) -> &[usize] {
        match &self.values {
            Values::Int8(values) => values.shape(),
            Values::Float(values, _) => values.shape(),
        }
    }

    /// The inverse scale of a range along an axis of this size.
    pub(crate) fn narrow_scale(
        inverse: &ArrayD<f32>,
        (axis, size): (usize, usize),
        range: Range<usize>,
    ) -> ArrayD<f32> {
        let is_shared = inverse.shape()[axis] == 1 && size != 1;
        if is_shared { inverse.clone() } else { inverse.slice_axis(Axis(axis), Slice::from(range)).to_owned() }
    }

    /// What of it lies in a range along an axis.
    pub(crate) fn narrow(&self, axis: usize, range: Range<usize>) -> Self {
        let along = Slice::from(range.clone());
        let values = match &self.values {
            Values::Int8(values) => Values::Int8(values.slice_axis(Axis(axis), along).to_owned()),
            Values::Float(values, format) => Values::Float(values.slice_axis(Axis(axis), along).to_owned(), *format),
        };
        let inverse_scale = Self::narrow_scale(&self.inverse_scale, (axis, self.shape()[axis]), range);
        Self { values, inverse_scale, kind: self.kind }
    }

    /// The same side as it is once it was stored: a binary32 scale beside narrower operands widens what it meets.
    pub(crate) fn stored(self, format: Format) -> Self {
        Self { kind: self.kind.stored(format), ..self }
    }

    /// Quantizes a side as a call would; `contracting` are its contracting axes there.
    pub(crate) fn new(
        x: &ArrayViewD<'_, f32>,
        format: Format,
        contracting: &[usize],
        config: &TensorConfig,
        key: Option<Key>,
    ) -> Result<Option<Self>> {
        let Some(&int) = config.int() else { return Ok(None) };
        let Quantized { values, scales, .. } = quantize(x, format, contracting, config, int, key, Part::default())?;
        Ok(Some(Self { values, inverse_scale: scales.inverse, kind: scales.kind }))
    }
}

/// Quantized floats as the floats that they stand for.
fn dequantized<'a>(mut values: ArrayD<f32>, inverse: &ArrayD<f32>, kind: ScaleKind, format: Format) -> SideFactor<'a> {
    let format = rescale(&mut values, inverse, kind, format);
    SideFactor::Float(values.into(), format)
}
