//! How one side of a call is quantized: its integers, and where their scale comes from.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::quant::fault::{Fault, Problem};
use crate::rng::Noise;

/// A number of bits of an integer format, 1 to 22.
///
/// Up to 22 bits every integer, and every half integer between two of them, is a binary32.
///
/// ```
/// use qeinsum::quant::Bits;
/// assert_eq!(Bits::new(8)?.get(), 8);
/// assert_eq!((Bits::INT8.get(), Bits::MAX.get()), (8, 22));
/// assert!(Bits::new(0).is_err() && Bits::new(23).is_err());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Bits(u8);

impl Bits {
    /// The most bits that a format can have.
    pub const MAX: Self = Self(22);
    /// The most bits that an integer stored in an `i8` can have.
    pub const INT8: Self = Self(8);

    /// `bits`, or an error outside 1 to 22.
    pub fn new(bits: u8) -> Result<Self> {
        Ok(Self::checked(bits, 1, "bits")?)
    }

    /// `bits` from `least` on; `field` is what the error is about.
    pub(in crate::quant) fn checked(bits: u8, least: u8, field: &str) -> Result<Self, Fault> {
        if (least.max(1)..=Self::MAX.0).contains(&bits) {
            Ok(Self(bits))
        } else {
            Err(Problem::Bits { bits: u64::from(bits), least }.in_field(field))
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// How one side of a call is quantized.
///
/// ```
/// use qeinsum::quant::{Calibration, TensorConfig};
/// let weights = TensorConfig { calibration: Calibration::Constant(1.0), ..TensorConfig::from_bits(Some(4))? };
/// assert!(weights.is_quantized());
/// assert!(weights.is_int8() && weights.noise().is_none());
/// assert_eq!(weights.int().map(|int| int.bits.get()), Some(4));
/// assert!(!TensorConfig::UNQUANTIZED.is_quantized());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[doc(alias("Tensor", "tensor_make"))]
pub struct TensorConfig {
    /// The integers that values become, or none.
    pub numerics: Numerics,
    /// Where the scale comes from; without numerics it has no effect.
    pub calibration: Calibration,
    /// Whether the scale is rounded to a power of two; without numerics it has no effect.
    #[doc(alias = "po2_scale")]
    pub scale_rounding: ScaleRounding,
}

/// The number format that a side's values are converted to.
///
/// ```
/// use qeinsum::quant::{IntNumerics, Numerics, TensorConfig};
/// let eight = TensorConfig { numerics: Numerics::Int(IntNumerics::new(8)?), ..TensorConfig::UNQUANTIZED };
/// assert_eq!(eight, TensorConfig::from_bits(Some(8))?);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[doc(alias("NoNumerics", "IntNumerics"))]
pub enum Numerics {
    /// Values pass through as they are; no scale is computed.
    #[default]
    None,
    /// Values become integers (or half integers) times a scale.
    Int(IntNumerics),
}

/// A symmetric integer format, and how values are brought into it.
///
/// With `edge` = 2^(bits-1), less a half where zero is preserved, the calibrated bound is scaled onto
/// [`bound_target`](Self::bound_target) and values are clipped to ±[`clip_limit`](Self::clip_limit):
///
/// ```
/// use qeinsum::quant::IntNumerics;
/// let int8 = IntNumerics::new(8)?;
/// assert_eq!((int8.bound_target(), int8.clip_limit()), (127.5, 127.0));
/// assert_eq!(int8.edge(), 127.5);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct IntNumerics {
    /// Bits of the format.
    pub bits: Bits,
    /// Whether zero is one of the values.
    #[doc(alias = "preserve_zero")]
    pub zero: Zero,
    /// What the bound is scaled onto.
    #[doc(alias = "preserve_max_val")]
    pub max: MaxValue,
    /// Whether scaled values are clipped.
    pub clip: Clip,
    /// Whether scaled values are rounded.
    #[doc(alias = "round")]
    pub rounding: Rounding,
    /// Noise added before clipping and rounding; with it a call needs a key.
    #[doc(alias = "noise_fn")]
    pub noise: Option<Noise>,
    /// What the integers are stored and multiplied as.
    #[doc(alias = "dtype")]
    pub storage: Storage,
    /// What happens to gradients of clipped values.
    #[doc(alias = "clip_gradient")]
    pub gradient: ClipGradient,
}

/// Whether an integer format has a zero.
///
/// ```
/// use qeinsum::quant::{IntNumerics, Zero};
/// let two = IntNumerics::new(2)?; // -1, 0, 1
/// let halves = IntNumerics { zero: Zero::Halfway, ..two }; // -1.5, -0.5, 0.5, 1.5
/// assert_eq!((two.clip_limit(), halves.clip_limit()), (1.0, 1.5));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias = "preserve_zero")]
pub enum Zero {
    /// Values are integers; zero stays zero.
    #[default]
    Preserved,
    /// Values are odd multiples of a half, such as -1.5, -0.5, 0.5, 1.5: one value more, and no zero.
    Halfway,
}

/// What the calibrated bound is scaled onto.
///
/// ```
/// use qeinsum::quant::{IntNumerics, MaxValue};
/// let int = IntNumerics { max: MaxValue::Preserved, ..IntNumerics::new(8)? };
/// assert_eq!(int.bound_target(), 127.0);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias = "preserve_max_val")]
pub enum MaxValue {
    /// The edge of the range, half a step beyond the largest value: 127.5 for 8 bits.
    #[default]
    Edge,
    /// The largest value itself, which is then exact: 127 for 8 bits.
    Preserved,
}

/// Whether scaled values are clipped to the format's range.
///
/// ```
/// use ndarray::array;
/// use qeinsum::quant::{Clip, IntNumerics, Numerics, Storage};
/// use qeinsum::{DotGeneralConfig, Factor, QEinsum};
/// // A bound that the operand is beyond.
/// let int = IntNumerics { clip: Clip::Unclipped, storage: Storage::Float, ..IntNumerics::new(8)? };
/// let config = DotGeneralConfig::v4().build()?.with_forward_numerics(Numerics::Int(int)).with_static_bound(1.0);
/// let plan = QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
/// plan.run_recorded((&array![2.0_f32, 0.3], &array![1.0_f32, 1.0]), &config.into(), None, |_, record| {
///     assert_eq!(record.lhs.factor, Factor::Float(array![255.0, 38.0].into_dyn()));
/// })?;
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// Clipped before rounding.
    #[default]
    ToRange,
    /// Left as they are; storage as `i8` still saturates.
    Unclipped,
}

/// How scaled values become integers.
///
/// ```
/// use ndarray::array;
/// use qeinsum::quant::{IntNumerics, Numerics, Rounding, Storage};
/// use qeinsum::{DotGeneralConfig, Factor, QEinsum};
/// // Scaled and clipped, not rounded.
/// let int = IntNumerics { rounding: Rounding::Unrounded, storage: Storage::Float, ..IntNumerics::new(8)? };
/// let config = DotGeneralConfig::v4().build()?.with_forward_numerics(Numerics::Int(int));
/// let plan = QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
/// plan.run_recorded((&array![1.0_f32, 0.3], &array![1.0_f32, 1.0]), &config.into(), None, |_, record| {
///     assert_eq!(record.lhs.factor, Factor::Float(array![127.5, 38.25].into_dyn()));
/// })?;
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias = "round")]
pub enum Rounding {
    /// To the nearest value of the format, ties to even; with [`Zero::Halfway`] to the floor plus a half.
    #[default]
    Nearest,
    /// Not at all; storage as `i8` still truncates.
    Unrounded,
}

/// What quantized values are stored and multiplied as.
///
/// ```
/// use ndarray::array;
/// use qeinsum::quant::{IntNumerics, Numerics, Storage};
/// use qeinsum::{DotGeneralConfig, Factor, QEinsum};
/// let int = IntNumerics { storage: Storage::Float, ..IntNumerics::new(8)? };
/// let config = DotGeneralConfig::v4().build()?.with_forward_numerics(Numerics::Int(int));
/// let plan = QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
/// plan.run_recorded((&array![1.0_f32, 0.3], &array![1.0_f32, 1.0]), &config.into(), None, |_, record| {
///     assert_eq!(record.lhs.factor, Factor::Float(array![127.0, 38.0].into_dyn()));
/// })?;
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias = "dtype_x")]
pub enum Storage {
    /// As `i8`: saturated, and truncated towards zero where they were not rounded.
    #[default]
    Int8,
    /// As floats of the operand's type that happen to be integers.
    Float,
}

/// What happens to the gradient of a value outside the clipping range.
///
/// ```
/// use ndarray::{arr0, array};
/// use qeinsum::quant::{ClipGradient, IntNumerics, Numerics};
/// use qeinsum::{DotGeneralConfig, Key, QEinsum};
/// let int = IntNumerics { gradient: ClipGradient::Masked, ..IntNumerics::new(8)? };
/// let config = DotGeneralConfig::v4().dlhs_bits(None).build()?;
/// let config = config.with_forward_numerics(Numerics::Int(int)).with_static_bound(1.0);
/// let (x, y) = (array![0.5_f32, 3.0], array![1.0_f32, 1.0]); // 3.0 is clipped to 1.0
/// let (_, grads) = QEinsum::new("i,i->")?.with_config(config).vjp((&x, &y), Key::new(0))?;
/// assert_eq!(grads.pull(&arr0(1.0_f32))?[0], array![1.0, 0.0].into_dyn());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias = "clip_gradient")]
pub enum ClipGradient {
    /// It passes, as if nothing had been clipped.
    #[default]
    #[doc(alias = "straight-through")]
    PassThrough,
    /// It becomes zero.
    Masked,
}

/// Where a scale comes from.
///
/// ```
/// use ndarray::array;
/// use qeinsum::quant::{Calibration};
/// use qeinsum::{DotGeneralConfig, Factor, QEinsum};
/// let mut config = DotGeneralConfig::v4().build()?;
/// config.forward.lhs.calibration = Calibration::Constant(2.0);
/// let plan = QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
/// plan.run_recorded((&array![1.0_f32, 0.3], &array![1.0_f32, 1.0]), &config.into(), None, |_, record| {
///     assert_eq!(record.lhs.factor, Factor::Int8(array![64, 19].into_dyn()));
/// })?;
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[doc(alias = "calibration")]
pub enum Calibration {
    /// The largest magnitude over the contracting axes; per element where there are none.
    #[default]
    #[doc(alias = "AbsMaxCalibration")]
    AbsMax,
    /// This bound, positive and finite, for every element.
    #[doc(alias("ConstantCalibration", "bound"))]
    Constant(f32),
}

/// Whether a scale is rounded.
///
/// ```
/// use ndarray::array;
/// use qeinsum::{DotGeneralConfig, QEinsum, quant::ScaleRounding};
/// let mut config = DotGeneralConfig::v4().build()?;
/// config.forward.lhs.scale_rounding = ScaleRounding::PowerOfTwo;
/// let plan = QEinsum::new("i,i->")?.plan(&[&[2], &[2]])?;
/// plan.run_recorded((&array![1.0_f32, 0.3], &array![1.0_f32, 1.0]), &config.into(), None, |_, record| {
///     assert_eq!(record.lhs.scale, Some(array![64.0].into_dyn())); // 127.5 otherwise
/// })?;
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[doc(alias = "po2_scale")]
pub enum ScaleRounding {
    /// The scale is used as computed.
    #[default]
    Exact,
    /// The scale becomes two to the floor of its logarithm, as the reference computes that logarithm.
    PowerOfTwo,
}

impl TensorConfig {
    /// A side that passes through as it is.
    pub const UNQUANTIZED: Self =
        Self { numerics: Numerics::None, calibration: Calibration::AbsMax, scale_rounding: ScaleRounding::Exact };

    /// The integer format, where there is one.
    pub const fn int(&self) -> Option<&IntNumerics> {
        match &self.numerics {
            Numerics::None => None,
            Numerics::Int(int) => Some(int),
        }
    }

    /// Whether values become integers.
    pub const fn is_quantized(&self) -> bool {
        self.int().is_some()
    }

    /// Whether values are stored as `i8`.
    pub fn is_int8(&self) -> bool {
        self.int().is_some_and(|int| int.storage == Storage::Int8)
    }

    /// The noise that is added, which asks for a key.
    pub fn noise(&self) -> Option<Noise> {
        self.int().and_then(|int| int.noise)
    }
}

impl IntNumerics {
    /// The usual format of so many bits, or an error outside 1 to 22.
    ///
    /// Clipped, rounded to nearest, without noise; stored as `i8` for 2 to 8 bits, else as floats. One bit has no
    /// zero: its values are -0.5 and 0.5.
    ///
    /// ```
    /// use qeinsum::quant::{IntNumerics, Storage, Zero};
    /// assert_eq!(IntNumerics::new(8)?.storage, Storage::Int8);
    /// assert_eq!(IntNumerics::new(9)?.storage, Storage::Float);
    /// assert_eq!(IntNumerics::new(1)?.zero, Zero::Halfway);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn new(bits: u8) -> Result<Self> {
        Ok(Self::with_bits(Bits::checked(bits, 1, "bits")?))
    }

    /// The same for bits that are known to be in range.
    pub(in crate::quant) fn with_bits(bits: Bits) -> Self {
        let storage = if (2..=Bits::INT8.0).contains(&bits.0) { Storage::Int8 } else { Storage::Float };
        Self {
            bits,
            zero: if bits.0 == 1 { Zero::Halfway } else { Zero::Preserved },
            max: MaxValue::Edge,
            clip: Clip::ToRange,
            rounding: Rounding::Nearest,
            noise: None,
            storage,
            gradient: ClipGradient::PassThrough,
        }
    }

    /// The end of the range, 2^(bits-1), less a half where zero is preserved; exact.
    pub fn edge(&self) -> f32 {
        let twice = (1u32 << self.bits.0) - u32::from(self.zero == Zero::Preserved);
        twice as f32 / 2.0
    }

    /// What the bound is scaled onto: the edge, or the largest value, half a step below it; exact.
    pub fn bound_target(&self) -> f32 {
        match self.max {
            MaxValue::Edge => self.edge(),
            MaxValue::Preserved => self.edge() - 0.5,
        }
    }

    /// The magnitude that values are clipped to, and beyond which a gradient is masked; exact.
    ///
    /// Without rounding it is the edge, else half a step below it.
    pub fn clip_limit(&self) -> f32 {
        match self.rounding {
            Rounding::Nearest => self.edge() - 0.5,
            Rounding::Unrounded => self.edge(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_the_formats() {
        let cases = [
            (8, [(127.5, 127.0), (127.0, 127.0), (128.0, 127.5), (127.5, 127.5)]),
            (4, [(7.5, 7.0), (7.0, 7.0), (8.0, 7.5), (7.5, 7.5)]),
            (3, [(3.5, 3.0), (3.0, 3.0), (4.0, 3.5), (3.5, 3.5)]),
            (2, [(1.5, 1.0), (1.0, 1.0), (2.0, 1.5), (1.5, 1.5)]),
            (1, [(0.5, 0.0), (0.0, 0.0), (1.0, 0.5), (0.5, 0.5)]),
            (
                22,
                [
                    (2_097_151.5, 2_097_151.0),
                    (2_097_151.0, 2_097_151.0),
                    (2_097_152.0, 2_097_151.5),
                    (2_097_151.5, 2_097_151.5),
                ],
            ),
        ];
        let rows = [
            (Zero::Preserved, MaxValue::Edge),
            (Zero::Preserved, MaxValue::Preserved),
            (Zero::Halfway, MaxValue::Edge),
            (Zero::Halfway, MaxValue::Preserved),
        ];
        for (bits, expected) in cases {
            for ((zero, max), constants) in rows.into_iter().zip(expected) {
                let int = IntNumerics { zero, max, ..IntNumerics::new(bits).unwrap() };
                assert_eq!((int.bound_target(), int.clip_limit()), constants, "{bits} {zero:?} {max:?}");
                let unrounded = IntNumerics { rounding: Rounding::Unrounded, ..int };
                assert_eq!(unrounded.clip_limit(), int.edge(), "{bits} {zero:?} {max:?}");
            }
        }
    }
}
