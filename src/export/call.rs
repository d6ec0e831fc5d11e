//! One call, as the interpreter computes it: every rounding of a binary32 or narrower number in its place.
//!
//! The interpreter flushes subnormal numbers to zero where a number is multiplied, divided or added. Here that is written
//! out, since engines differ in it, and left out where a value is known to be none.

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::INT32_TERMS;
use crate::lower::{Axes, DimensionNumbers, Side};
use crate::quant::{
    Accumulator, Calibration, CallConfig, Clip, Dequantize, Format, IntNumerics, Rounding, ScaleKind, ScaleRounding,
    Storage, TensorConfig, Zero, constant_scale, scale_target,
};
use crate::sizes::Shape;

use super::powers::powers;
use super::program::{Binary, F32, Id, Narrow, Operation, Program, Type, Unary};

/// Writes operations in the formats of the interpreter.
#[derive(Default)]
pub(super) struct Arithmetic {
    pub(super) program: Program,
    /// Values known to have no subnormal element.
    normal: Vec<Id>,
    /// Values known to have only integers, infinities and NaN.
    whole: Vec<Id>,
}

/// A call of a plan and the values that it reads.
pub(super) struct Call<'a> {
    pub(super) lhs: Id,
    pub(super) rhs: Id,
    pub(super) dims: &'a DimensionNumbers,
    /// That of the result.
    pub(super) shape: &'a [usize],
    /// That of the operands; none for types that are not quantized.
    pub(super) format: Option<Format>,
}

/// A side as it is multiplied.
struct Factor {
    values: Id,
    /// The format of floats; none for eight-bit integers.
    format: Option<Format>,
    scale: Option<Scale>,
}

/// An inverse scale, shaped like the side that it belongs to.
#[derive(Clone, Copy)]
struct Scale {
    inverse: Id,
    kind: ScaleKind,
}

impl Call<'_> {
    /// Writes the call; the result is in the format of the operands.
    pub(super) fn write(&self, arithmetic: &mut Arithmetic, config: CallConfig) -> Result<Id> {
        let Some(format) = self.format else {
            let element = arithmetic.program.element(self.lhs);
            return Ok(arithmetic.program.dot(self.lhs, self.rhs, self.dims, element, self.shape.into()));
        };
        let lhs = arithmetic.side(self.lhs, format, &self.dims.lhs_contracting(), &config.lhs, config.dequantize)?;
        let rhs = arithmetic.side(self.rhs, format, &self.dims.rhs_contracting(), &config.rhs, config.dequantize)?;
        let mut output = self.sums(arithmetic, &lhs, &rhs, config.accumulator, format);
        // A scale that widens what it meets leaves the output in binary32; the last rounding is then to the operands' format.
        let mut working = format;
        if config.dequantize == Dequantize::Output {
            // The inverse scales one after the other, that of the lhs first: each product is rounded.
            for (side, factor) in [(Side::Lhs, &lhs), (Side::Rhs, &rhs)] {
                let Some(scale) = factor.scale else { continue };
                let inverse = self.in_output_layout(arithmetic, scale.inverse, side);
                let product = arithmetic.rescaled(output, Scale { inverse, ..scale }, working);
                // Two numbers that are known would be made one, which rounds once instead of twice.
                (output, working) = (arithmetic.barrier(product.0), product.1);
            }
        }
        if working != format {
            output = arithmetic.narrowed(output, format);
        }
        let has_scale = lhs.scale.is_some() || rhs.scale.is_some();
        Ok(if has_scale && config.dequantize == Dequantize::Output { arithmetic.flushed(output) } else { output })
    }

    /// The sums of products, in the operands' format.
    fn sums(
        &self,
        arithmetic: &mut Arithmetic,
        lhs: &Factor,
        rhs: &Factor,
        accumulator: Accumulator,
        format: Format,
    ) -> Id {
        let shape: Shape = self.shape.into();
        if lhs.format.is_none() && rhs.format.is_none() {
            let contracted = self.dims.contracting().iter().map(|pair| arithmetic.program.shape(self.lhs)[pair.0]);
            let terms = contracted.fold(1, usize::saturating_mul);
            let element = if terms <= INT32_TERMS { Type::I32 } else { Type::I64 };
            let sums = arithmetic.program.dot(lhs.values, rhs.values, self.dims, element, shape);
            let sums = arithmetic.program.convert(sums, F32);
            arithmetic.mark(sums);
            let sums = arithmetic.narrowed(sums, format);
            arithmetic.whole.push(sums);
            return sums;
        }
        let [left, right] = [lhs, rhs].map(|side| arithmetic.program.convert(side.values, F32));
        let sums = arithmetic.program.dot(left, right, self.dims, F32, shape);
        let wide = [lhs, rhs].iter().any(|side| side.format == Some(Format::F32));
        let sum_format = match accumulator {
            Accumulator::F32 => Format::F32,
            Accumulator::Auto if wide => Format::F32,
            Accumulator::Auto | Accumulator::I32 | Accumulator::Bf16 | Accumulator::F16 => format,
        };
        // Rounded to the format of sums, and then to that of the operands, which is no wider.
        let sums = if sum_format == format { sums } else { arithmetic.narrowed(sums, sum_format) };
        arithmetic.narrowed(sums, format)
    }

    /// An inverse scale in the layout of the output: its batch axes, its own free axes, and extent 1 for those of the other.
    fn in_output_layout(&self, arithmetic: &mut Arithmetic, inverse: Id, side: Side) -> Id {
        if arithmetic.program.rank(inverse) == 0 {
            return inverse;
        }
        let rank = arithmetic.program.rank(inverse);
        let (batch, free, contracting) = match side {
            Side::Lhs => (self.dims.lhs_batch(), self.dims.lhs_free(rank), self.dims.lhs_contracting()),
            Side::Rhs => (self.dims.rhs_batch(), self.dims.rhs_free(rank), self.dims.rhs_contracting()),
        };
        let own = arithmetic.program.shape(inverse).clone();
        let order: Axes = batch.iter().chain(&free).chain(&contracting).copied().collect();
        let moved = arithmetic.transpose(inverse, order);
        let others = self.shape.len() - batch.len() - free.len();
        let ones = std::iter::repeat_n(1, others);
        let (batch, free) = (batch.iter().map(|&axis| own[axis]), free.iter().map(|&axis| own[axis]));
        let shape = match side {
            Side::Lhs => batch.chain(free).chain(ones).collect(),
            Side::Rhs => batch.chain(ones).chain(free).collect(),
        };
        arithmetic.reshape(moved, shape)
    }
}

impl Arithmetic {
    /// Notes that a value has no subnormal element.
    fn mark(&mut self, id: Id) {
        self.normal.push(id);
    }

    fn is_normal(&self, id: Id) -> bool {
        match self.program.value(id).operation {
            Operation::Number(number) => !number.is_subnormal(),
            _ => self.normal.contains(&id),
        }
    }

    /// Lets what is made of a value without computing be as normal as that.
    fn like(&mut self, made: Id, input: Id) -> Id {
        if self.is_normal(input) {
            self.mark(made);
        }
        made
    }

    pub(super) fn transpose(&mut self, input: Id, permutation: Axes) -> Id {
        let made = self.program.transpose(input, permutation);
        self.like(made, input)
    }

    pub(super) fn reshape(&mut self, input: Id, shape: Shape) -> Id {
        let made = self.program.reshape(input, shape);
        self.like(made, input)
    }

    pub(super) fn every(&mut self, input: Id, step: usize) -> Id {
        let made = self.program.every(input, step);
        self.like(made, input)
    }

    fn barrier(&mut self, input: Id) -> Id {
        let made = self.program.barrier(input);
        self.like(made, input)
    }

    /// The value with zeros of their sign for subnormal numbers.
    fn flushed(&mut self, input: Id) -> Id {
        if self.is_normal(input) {
            return input;
        }
        let made = self.program.flushed(input);
        self.mark(made);
        made
    }

    /// The nearest values of a format.
    pub(super) fn narrowed(&mut self, input: Id, format: Format) -> Id {
        let narrow = match format {
            Format::F32 => return input,
            Format::F16 => Narrow::F16,
            Format::Bf16 => Narrow::Bf16,
        };
        let made = self.program.narrowed(narrow, input);
        if format == Format::F16 {
            // The smallest number of binary16 is far from being subnormal in binary32.
            self.mark(made);
            made
        } else {
            self.like(made, input)
        }
    }

    /// A product, quotient or sum in a format; what is made of subnormal results is left to who reads them.
    fn binary(&mut self, binary: Binary, left: Id, right: Id, format: Format) -> Id {
        let (left, right) = (self.flushed(left), self.flushed(right));
        let made = self.program.binary(binary, left, right);
        // An integer is zero, or at least one in magnitude, and makes nothing smaller.
        if binary == Binary::Multiply && self.whole.contains(&left) {
            self.mark(made);
        }
        match format {
            Format::F32 => made,
            // A subnormal number is flushed before it is rounded, which could make it normal.
            Format::Bf16 => {
                let made = self.flushed(made);
                self.narrowed(made, format)
            }
            // Operations on binary16 numbers give no number that is subnormal in binary32.
            Format::F16 => self.narrowed(made, format),
        }
    }

    /// The products of a value of a format with a scale, and their format.
    fn rescaled(&mut self, value: Id, scale: Scale, format: Format) -> (Id, Format) {
        let product = scale.kind.product(format);
        let factor = match (scale.kind, format) {
            (ScaleKind::Weak, Format::F16) => self.narrowed(scale.inverse, Format::F16),
            _ => scale.inverse,
        };
        (self.binary(Binary::Multiply, value, factor, product), product)
    }

    /// A side as it is multiplied.
    fn side(
        &mut self,
        x: Id,
        format: Format,
        contracting: &[usize],
        config: &TensorConfig,
        dequantize: Dequantize,
    ) -> Result<Factor> {
        let Some(&int) = config.int() else { return Ok(Factor { values: x, format: Some(format), scale: None }) };
        let kind = ScaleKind::of(config);
        let [scale, inverse] = self.scales(x, format, contracting, config, int)?;
        let working = kind.product(format);
        let scaled = self.rescaled(x, Scale { inverse: scale, kind }, format).0;
        let values = self.integers(scaled, working, int);
        let scale = Some(Scale { inverse, kind });
        Ok(match (int.storage, dequantize) {
            (Storage::Int8, _) => Factor { values, format: None, scale },
            (Storage::Float, Dequantize::Output) => Factor { values, format: Some(working), scale },
            (Storage::Float, Dequantize::Inputs) => {
                let (values, format) = self.rescaled(values, Scale { inverse, kind }, working);
                let values = self.flushed(values);
                Factor { values, format: Some(format), scale }
            }
        })
    }

    /// A scale and one over it.
    fn scales(
        &mut self,
        x: Id,
        format: Format,
        axes: &[usize],
        config: &TensorConfig,
        int: IntNumerics,
    ) -> Result<[Id; 2]> {
        if let Calibration::Constant(bound) = config.calibration {
            return Ok(constant_scale(bound, config, int).map(|number| self.program.number(number)));
        }
        if let Some(&axis) = axes.iter().find(|&&axis| self.program.shape(x)[axis] == 0) {
            let message = format!("quantizing over axis {axis} needs at least one element, but its size is 0");
            return Err(Error::new(ErrorKind::Value, message));
        }
        let magnitude = self.program.unary(Unary::Abs, x);
        let largest = self.program.largest_over(magnitude, axes);
        let (least, one) = (self.program.number(f32::MIN_POSITIVE), self.program.number(1.0));
        let is_zero = self.program.binary(Binary::Less, largest, least);
        let bound = self.program.select(is_zero, one, largest);
        self.mark(bound);
        let target = scale_target(format, int);
        let number = self.program.number(target);
        let mut scale = self.binary(Binary::Divide, number, bound, format);
        if target / f32::MAX >= f32::MIN_POSITIVE {
            self.mark(scale);
        }
        scale = self.flushed(scale);
        if config.scale_rounding == ScaleRounding::PowerOfTwo {
            scale = self.power_of_two(scale, format);
        }
        // Else the two divisions would be made one: the bound times one over the target.
        let scale = self.barrier(scale);
        let inverse = self.binary(Binary::Divide, one, scale, format);
        let inverse = self.flushed(inverse);
        // Else the product with this would be made a quotient by the scale.
        Ok([scale, self.barrier(inverse)])
    }

    /// The reference's power of two below each scale: the largest of those that the scale is not too small for.
    fn power_of_two(&mut self, scale: Id, format: Format) -> Id {
        let shape = self.program.shape(scale).clone();
        let mut longer = shape.clone();
        longer.push(1);
        let rank = longer.len();
        let each = self.reshape(scale, longer);
        let (from, power) = powers(format).into_iter().map(|power| (power.from, power.power)).unzip();
        let (from, power) = (self.program.row(from, rank), self.program.row(power, rank));
        let reached = self.program.binary(Binary::GreaterOrEqual, each, from);
        let zero = self.program.number(0.0);
        let reached = self.program.select(reached, power, zero);
        let largest = self.program.largest_over(reached, &[rank - 1]);
        let largest = self.program.reshape(largest, shape);
        let is_nan = self.program.unary(Unary::IsNan, scale);
        let made = self.program.select(is_nan, scale, largest);
        self.mark(made);
        made
    }

    /// Scaled values, clipped, rounded and stored.
    fn integers(&mut self, scaled: Id, format: Format, int: IntNumerics) -> Id {
        let mut value = scaled;
        let limit = (int.clip == Clip::ToRange).then(|| {
            let limit = int.clip_limit();
            if format == Format::F32 { limit } else { format.round(limit) }
        });
        if let Some(limit) = limit {
            value = self.program.clamp(value, -limit, limit);
        }
        match (int.rounding, int.zero) {
            (Rounding::Unrounded, _) => {}
            (Rounding::Nearest, Zero::Preserved) => {
                value = self.program.unary(Unary::RoundEven, value);
                self.mark(value);
            }
            (Rounding::Nearest, Zero::Halfway) => {
                let normal = self.flushed(value);
                let floor = self.program.unary(Unary::Floor, normal);
                self.mark(floor);
                let half = self.program.number(0.5);
                value = self.binary(Binary::Add, floor, half, format);
            }
        }
        let is_nan = self.program.unary(Unary::IsNan, scaled);
        match int.storage {
            Storage::Int8 => {
                if limit.is_none_or(|limit| limit > 127.0) {
                    value = self.program.clamp(value, -128.0, 127.0);
                }
                let zero = self.program.number(0.0);
                let value = self.program.select(is_nan, zero, value);
                self.program.convert(value, Type::I8)
            }
            Storage::Float => {
                let made = self.program.select(is_nan, scaled, value);
                let made = self.like(made, value);
                self.flushed(made)
            }
        }
    }
}

impl Type {
    /// The element type of a plan, if it is one.
    pub(super) fn dtype(self) -> Option<Dtype> {
        match self {
            Self::Float(dtype) => Some(dtype),
            Self::I8 | Self::I32 | Self::I64 | Self::Bool => None,
        }
    }
}
