//! Files of frozen operands.
//!
//! A `.safetensors` file with two tensors: `value`, the integers as the call reads them, and `scale`, the inverse scale in
//! the layout of the call's result. Integers of up to four bits are packed two to a byte, the first in the lower half.
//! The metadata say what the operand is for; all of it follows from the plan and the configuration that are there too,
//! and is checked against them.

use std::collections::BTreeMap;
use std::path::Path;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::FrozenSide;
use crate::io::{self, Tensor, TensorDtype, TensorFile};
use crate::lower::Plan;
use crate::quant::{
    Calibration, Clip, Format, IntNumerics, QuantConfig, Rounding, ScaleKind, Storage, TensorConfig, Values, Zero,
};
use crate::span::printable_text;

use super::packing::{pack, unpack};
use super::part::in_file;
use super::place::{FORMAT, Place};
use super::{Frozen, call, own_config};

impl Frozen {
    /// Writes a file, whole or not at all. The same operand gives the same bytes.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{DotGeneralConfig, Frozen, QEinsum};
    /// let dense = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().fwd_bits(Some(4)).build()?);
    /// let frozen = dense.freeze(1, &array![[0.5_f32, 1.0], [0.25, -1.0]], &[&[1, 2], &[2, 2]], None)?;
    /// let path = std::env::temp_dir().join(format!("qeinsum-frozen-doc-{}.safetensors", std::process::id()));
    /// frozen.save(&path)?;
    /// assert_eq!(Frozen::load(&path)?, frozen);
    /// assert!(Frozen::is_file(&path)?);
    /// // The same without a file.
    /// assert_eq!(Frozen::from_bytes(&frozen.to_bytes()?)?, frozen);
    /// # std::fs::remove_file(&path).ok();
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let bytes = self.to_bytes()?;
        io::write_whole(path, |out| out.write_all(&bytes))
    }

    /// Reads a file that [`save`](Self::save) wrote; an error where it is cut, of another version, or contradicts itself. It
    /// has no checksum: a bit that flips inside a value stays unnoticed.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(&io::read_whole(path)?).map_err(|error| in_file(error, path))
    }

    /// Whether a file says that it holds a frozen operand; only its header is read.
    pub fn is_file(path: impl AsRef<Path>) -> Result<bool> {
        Ok(io::metadata(path.as_ref())?.get("format").is_some_and(|format| format == FORMAT))
    }

    /// The bytes of a file.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let own = self.tensor_config();
        let packed = own.int().is_some_and(|&int| is_packed(int));
        let (dtype, bytes, shape) = match &self.side.values {
            Values::Int8(values) if packed => {
                let bytes = pack(values.iter().copied());
                (TensorDtype::U8, bytes.clone(), vec![bytes.len()])
            }
            Values::Int8(values) => {
                (TensorDtype::I8, values.iter().map(|&value| value as u8).collect(), values.shape().to_vec())
            }
            Values::Float(values, format) => {
                (tensor_dtype(*format), float_bytes(values, *format), values.shape().to_vec())
            }
        };
        let value = Tensor { dtype, shape, bytes };
        let inverse = self.inverse_scale();
        let format = scale_format(self.side.kind, Format::of(self.place.dtype).unwrap_or(Format::F32));
        let bytes = float_bytes(&inverse, format);
        let scale = Tensor { dtype: tensor_dtype(format), shape: inverse.shape().to_vec(), bytes };
        let mut metadata = self.place.description();
        metadata.insert("config".to_owned(), self.place.config.to_json()?);
        let plan = serde_json::to_string(&*self.place.plan).map_err(|error| file_error(&error.to_string()))?;
        metadata.insert("plan".to_owned(), plan);
        let tensors = BTreeMap::from([("value".to_owned(), value), ("scale".to_owned(), scale)]);
        TensorFile { tensors, metadata }.to_bytes()
    }

    /// The operand in the bytes of a file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let TensorFile { mut tensors, metadata } = TensorFile::parse(bytes)?;
        let place = Place::of(&metadata)?;
        let mut take = |name: &str| {
            tensors.remove(name).ok_or_else(|| file_error(&format!("the file has no tensor `{name}` of a known type")))
        };
        let packed = is_packed(place.int()?);
        let stored = Stored { value: take("value")?, scale: take("scale")?, packed };
        let side = stored.side(&place.plan, &place.config, place.entry, place.dtype)?;
        place.check_description(&metadata)?;
        Ok(Self { place, side })
    }
}

/// The tensors of a frozen operand as a file or a checkpoint has them.
pub(super) struct Stored {
    pub(super) value: Tensor,
    pub(super) scale: Tensor,
    pub(super) packed: bool,
}

impl Stored {
    /// The side that they make in a plan; an error where they cannot have come from freezing there.
    pub(super) fn side(
        &self,
        plan: &Plan,
        config: &QuantConfig,
        entry: crate::lower::Entry,
        dtype: Dtype,
    ) -> Result<FrozenSide> {
        let own = own_config(plan, config, entry);
        let Some(int) = own.int() else { return Err(file_error("the configuration does not quantize the operand")) };
        let Some(operands) = Format::of(dtype) else { return Err(file_error("operands of f64 are not quantized")) };
        self.check_dtype(&own, *int, dtype)?;
        let values = self.values(*int, plan.value(entry.value).shape(), value_format(&own, operands))?;
        let (inverse_scale, kind) = self.inverse_scale(plan, config, entry, dtype)?;
        Ok(FrozenSide { values, inverse_scale, kind })
    }

    /// The inverse scale of all of the side, in its own layout, and how it takes part in products.
    pub(super) fn inverse_scale(
        &self,
        plan: &Plan,
        config: &QuantConfig,
        entry: crate::lower::Entry,
        dtype: Dtype,
    ) -> Result<(ArrayD<f32>, ScaleKind)> {
        let own = own_config(plan, config, entry);
        let Some(operands) = Format::of(dtype) else { return Err(file_error("operands of f64 are not quantized")) };
        let kind = ScaleKind::of(&own).stored(operands);
        let expected = scale_dtype(&own, dtype);
        if self.scale.dtype != expected {
            let found = self.scale.dtype;
            return Err(file_error(&format!("`scale` is {found:?}, but operands of {dtype} have one of {expected:?}")));
        }
        let scale = floats(&self.scale).ok_or_else(|| file_error("`scale` has other bytes than its shape"))?;
        if let Some(wrong) = scale.iter().find(|scale| scale.is_sign_negative() && !scale.is_nan()) {
            return Err(file_error(&format!("`scale` has {wrong}: a scale is never negative")));
        }
        let (dims, _, other) = call(plan, entry);
        let rank = plan.value(entry.value).shape().len();
        let inverse_scale =
            crate::exec::in_own_layout(&scale, entry.side, dims, entry.side.of([rank, other], [other, rank]));
        let inverse_scale = inverse_scale.ok_or_else(|| self.misshapen(plan, entry))?;
        let contracting = entry.side.of(dims.lhs_contracting(), dims.rhs_contracting());
        if own.calibration == Calibration::AbsMax
            && contracting.iter().any(|&axis| plan.value(entry.value).shape()[axis] == 0)
        {
            return Err(file_error("the operand has nothing to be calibrated by"));
        }
        let sizes = plan.value(entry.value).shape().iter().enumerate();
        let expected: Vec<usize> = match own.calibration {
            Calibration::AbsMax => {
                sizes.map(|(axis, &size)| if contracting.contains(&axis) { 1 } else { size }).collect()
            }
            Calibration::Constant(_) => vec![1; rank],
        };
        if inverse_scale.shape() != expected {
            return Err(self.misshapen(plan, entry));
        }
        Ok((inverse_scale, kind))
    }

    /// That the values, which are not there, have the type and shape of those of an operand.
    pub(super) fn check_value(&self, place: &Place) -> Result<()> {
        self.check_dtype(&place.tensor_config(), place.int()?, place.dtype)?;
        let shape = place.side_shape();
        let expected = if self.packed { vec![place.side_elements().div_ceil(2)] } else { shape.to_vec() };
        if self.value.shape == expected {
            return Ok(());
        }
        let found = &self.value.shape;
        Err(file_error(&format!("`value` has shape {found:?}, but the operand is stored with {expected:?}")))
    }

    fn check_dtype(&self, own: &TensorConfig, int: IntNumerics, dtype: Dtype) -> Result<()> {
        let expected = if self.packed { TensorDtype::U8 } else { value_dtype(own, int, dtype) };
        if self.value.dtype == expected {
            return Ok(());
        }
        let found = self.value.dtype;
        Err(file_error(&format!("`value` is {found:?}, but the configuration stores {expected:?}")))
    }

    fn misshapen(&self, plan: &Plan, entry: crate::lower::Entry) -> Error {
        let step = plan.calls().nth(entry.call);
        let result = step.map_or(&[][..], |step| plan.value(step.result()).shape());
        file_error(&format!(
            "`scale` of shape {:?} is not one for the {} of a call whose result is {result:?}",
            self.scale.shape, entry.side
        ))
    }

    /// The values, whose type was checked; those that are floats have `format`.
    fn values(&self, int: IntNumerics, shape: &[usize], format: Format) -> Result<Values> {
        let Tensor { shape: found, bytes, .. } = &self.value;
        let wrong = |what: String| Err(file_error(&format!("`value` {what}")));
        if self.packed && *found != [bytes.len()] {
            return wrong(format!("has shape {found:?}, but packed bytes have one axis"));
        }
        if !self.packed && found != shape {
            return wrong(format!("has shape {found:?}, but the operand enters its call with {shape:?}"));
        }
        if int.storage == Storage::Float {
            let Some(values) = floats(&self.value) else { return wrong("has other bytes than its shape".to_owned()) };
            return match values.iter().find(|&&value| !is_of(int, format, value)) {
                Some(value) => wrong(format!("has {value}, which {} bits do not make", int.bits.get())),
                None => Ok(Values::Float(values, format)),
            };
        }
        let count = shape.iter().product();
        let values =
            if self.packed { unpack(bytes, count) } else { Some(bytes.iter().map(|&byte| byte as i8).collect()) };
        let Some(array) = values.and_then(|values| ArrayD::from_shape_vec(IxDyn(shape), values).ok()) else {
            return wrong(format!("has {} bytes, which are not {count} integers", bytes.len()));
        };
        checked(array, int).map(Values::Int8)
    }
}

/// Integers that quantization can have made.
pub(super) fn checked(values: ArrayD<i8>, int: IntNumerics) -> Result<ArrayD<i8>> {
    let most = int.clip_limit() as i32;
    match values.iter().find(|&&value| int.clip == Clip::ToRange && i32::from(value).abs() > most) {
        Some(value) => {
            let bits = int.bits.get();
            Err(file_error(&format!("`value` has {value}, but {bits} bits reach from -{most} to {most}")))
        }
        None => Ok(values),
    }
}

/// Whether quantization can have made a value that is stored as a float; NaN it makes of NaN.
fn is_of(int: IntNumerics, format: Format, value: f32) -> bool {
    let in_range = int.clip == Clip::Unclipped || value.abs() <= format.round(int.clip_limit());
    let is_rounded = match (int.rounding, int.zero) {
        (Rounding::Unrounded, _) => true,
        (Rounding::Nearest, Zero::Preserved) => value == value.round(),
        (Rounding::Nearest, Zero::Halfway) => value == format.round(value.floor() + 0.5) || value == value.round(),
    };
    value.is_nan() || (in_range && is_rounded)
}

/// Whether integers of this format fit four bits, two to a byte; unrounded ones of four bits may reach eight.
pub(super) fn is_packed(int: IntNumerics) -> bool {
    int.storage == Storage::Int8 && int.clip == Clip::ToRange && int.clip_limit() <= 7.0
}

/// The type that a stored inverse scale has beside operands of `dtype`.
pub(super) fn scale_dtype(own: &TensorConfig, dtype: Dtype) -> TensorDtype {
    let operands = Format::of(dtype).unwrap_or(Format::F32);
    tensor_dtype(scale_format(ScaleKind::of(own).stored(operands), operands))
}

/// The type that stored values have beside operands of `dtype`, where they are one to an element.
pub(super) fn value_dtype(own: &TensorConfig, int: IntNumerics, dtype: Dtype) -> TensorDtype {
    match int.storage {
        Storage::Int8 => TensorDtype::I8,
        Storage::Float => tensor_dtype(value_format(own, Format::of(dtype).unwrap_or(Format::F32))),
    }
}

/// The format of values that are floats: a scale that widens what it meets has widened them.
fn value_format(own: &TensorConfig, operands: Format) -> Format {
    ScaleKind::of(own).product(operands)
}

/// The format of a stored inverse scale.
fn scale_format(kind: ScaleKind, operands: Format) -> Format {
    match kind {
        ScaleKind::Operand => operands,
        ScaleKind::Weak | ScaleKind::Strong => Format::F32,
    }
}

fn tensor_dtype(format: Format) -> TensorDtype {
    match format {
        Format::F32 => TensorDtype::F32,
        Format::F16 => TensorDtype::F16,
        Format::Bf16 => TensorDtype::Bf16,
    }
}

fn float_bytes(values: &ArrayD<f32>, format: Format) -> Vec<u8> {
    let values = values.iter().copied();
    match format {
        Format::F32 => values.flat_map(f32::to_le_bytes).collect(),
        Format::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
        Format::Bf16 => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
    }
}

/// The values of a float tensor; none of one that is not, or whose bytes are not those of its shape.
fn floats(tensor: &Tensor) -> Option<ArrayD<f32>> {
    let bytes = &tensor.bytes;
    let values: Vec<f32> = match tensor.dtype {
        TensorDtype::F32 => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        TensorDtype::F16 => bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
        TensorDtype::Bf16 => bytes.as_chunks().0.iter().map(|&bytes| bf16::from_le_bytes(bytes).to_f32()).collect(),
        TensorDtype::I8 | TensorDtype::U8 => return None,
    };
    ArrayD::from_shape_vec(IxDyn(&tensor.shape), values).ok()
}

pub(super) fn file_error(message: &str) -> Error {
    Error::new(ErrorKind::File, printable_text(message, 400))
}
