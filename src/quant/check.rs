//! What a configuration must not ask for, each fault named by the field it is in.
//!
//! Rules that depend on the configuration alone are checked when one is built and again when a call runs; those of
//! gradients when a gradient is asked for; those of element types when operands are there.

use super::config::{
    Accumulator, Bits, Calibration, CallConfig, Dequantize, DotGeneralConfig, GradientConfig, Residual, ScaleRounding,
    Storage, TensorConfig,
};
use super::fault::{Fault, Problem};
use super::format::Format;
use crate::dtype::Dtype;
use crate::error::Result;

impl TensorConfig {
    pub(super) fn fault(&self, field: &str) -> Result<(), Fault> {
        if let Some(int) = self.int()
            && int.storage == Storage::Int8
            && int.bits > Bits::INT8
        {
            return Err(Problem::StorageTooNarrow { bits: int.bits.get() }.in_field(format!("{field}.storage")));
        }
        match self.calibration {
            Calibration::Constant(bound) if !(bound > 0.0 && bound.is_finite()) => {
                Err(Problem::Bound { bound }.in_field(format!("{field}.calibration")))
            }
            Calibration::Constant(_) | Calibration::AbsMax => Ok(()),
        }
    }
}

impl CallConfig {
    pub(super) fn fault(&self, field: &str) -> Result<(), Fault> {
        let sides = [("lhs", &self.lhs), ("rhs", &self.rhs)];
        for (side, tensor) in sides {
            tensor.fault(&format!("{field}.{side}"))?;
            if self.accumulator == Accumulator::I32 && !tensor.is_int8() {
                return Err(Problem::IntegerAccumulator { side }.in_field(format!("{field}.accumulator")));
            }
            if self.dequantize == Dequantize::Inputs && tensor.is_quantized() {
                if tensor.is_int8() {
                    return Err(Problem::FakeQuantOfInt8 { side }.in_field(format!("{field}.dequantize")));
                }
                if tensor.scale_rounding != ScaleRounding::PowerOfTwo {
                    return Err(Problem::FakeQuantScale { side }.in_field(format!("{field}.dequantize")));
                }
            }
        }
        Ok(())
    }

    /// Checks what depends on the type of the operands.
    ///
    /// Quantized sides are f32, f16 or bf16. Integers are added exactly, and may be converted to f32; floats are added in
    /// f32, and rounded to their own type where nothing else is set.
    pub(crate) fn check_dtype(&self, dtype: Dtype, field: &str) -> Result<()> {
        if Format::of(dtype).is_none() && (self.lhs.is_quantized() || self.rhs.is_quantized()) {
            return Err(Problem::Dtype { dtype }.in_field(field).into());
        }
        let own = match dtype {
            Dtype::F32 => Some(Accumulator::F32),
            Dtype::F16 => Some(Accumulator::F16),
            Dtype::Bf16 => Some(Accumulator::Bf16),
            Dtype::F64 | Dtype::C32 | Dtype::C64 => None,
        };
        let operands = if self.is_int8() { "int8 products" } else { "these operands" };
        let fits = match self.accumulator {
            Accumulator::Auto => true,
            Accumulator::I32 => self.is_int8(),
            Accumulator::F32 => own.is_some(),
            chosen @ (Accumulator::F16 | Accumulator::Bf16) => own == Some(chosen) && !self.is_int8(),
        };
        if fits {
            Ok(())
        } else {
            Err(Problem::FloatAccumulator { operands }.in_field(format!("{field}.accumulator")).into())
        }
    }
}

impl GradientConfig {
    fn residual_fault(&self, other: &TensorConfig, operand: &'static str, field: &str) -> Result<(), Fault> {
        let problem = match (self.residual, other.is_quantized()) {
            (Residual::Unspecified, true) => Problem::ResidualMissing { operand },
            (Residual::Original | Residual::Quantized, false) => Problem::ResidualOfUnquantized { operand },
            (Residual::Unspecified, false) | (Residual::Original | Residual::Quantized, true) => return Ok(()),
        };
        Err(problem.in_field(format!("{field}.residual")))
    }
}

impl DotGeneralConfig {
    /// Checks what depends on the configuration alone; the error names the field, such as `fwd.lhs.storage`.
    ///
    /// ```
    /// use qeinsum::quant::{Accumulator, DotGeneralConfig};
    /// let mut config = DotGeneralConfig::unquantized();
    /// config.forward.accumulator = Accumulator::I32;
    /// assert!(config.check().unwrap_err().message().starts_with("`fwd.accumulator` is i32"));
    /// ```
    pub fn check(&self) -> Result<()> {
        Ok(self.fault("")?)
    }

    /// Checks, beside that, what only computing gradients asks for: residuals that fit the forward call.
    ///
    /// ```
    /// use qeinsum::quant::{DotGeneralConfig, Residual};
    /// let mut config = DotGeneralConfig::v4().build()?;
    /// config.dlhs.residual = Residual::Unspecified; // but the rhs, which it takes, is quantized forward
    /// assert!(config.check().is_ok() && config.check_gradient().is_err());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn check_gradient(&self) -> Result<()> {
        self.check()?;
        self.dlhs.residual_fault(&self.forward.rhs, "rhs", "dlhs")?;
        self.drhs.residual_fault(&self.forward.lhs, "lhs", "drhs")?;
        Ok(())
    }

    /// Checks the three calls; `prefix` (empty, or ending in a dot) leads the names of fields.
    pub(super) fn fault(&self, prefix: &str) -> Result<(), Fault> {
        for (name, call) in [("fwd", &self.forward), ("dlhs", &self.dlhs.call), ("drhs", &self.drhs.call)] {
            call.fault(&format!("{prefix}{name}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::config::{IntNumerics, Numerics};

    fn v4() -> DotGeneralConfig {
        DotGeneralConfig::v4().drhs_bits(Some(8)).build().unwrap()
    }

    fn int(config: &mut TensorConfig) -> &mut IntNumerics {
        match &mut config.numerics {
            Numerics::Int(int) => int,
            Numerics::None => panic!("not quantized"),
        }
    }

    #[test]
    fn what_contradicts_itself_is_named() {
        type Change = fn(&mut DotGeneralConfig);
        let cases: &[(Change, &str)] = &[
            (
                |c| int(&mut c.forward.lhs).bits = Bits::new(9).unwrap(),
                "`fwd.lhs.storage` is int8, which does not hold 9 bits",
            ),
            (
                |c| c.dlhs.call.rhs.calibration = Calibration::Constant(0.0),
                "`dlhs.rhs.calibration` has the bound 0, which is not positive and finite",
            ),
            (
                |c| c.dlhs.call.rhs.calibration = Calibration::Constant(f32::NAN),
                "`dlhs.rhs.calibration` has the bound NaN, which is not positive and finite",
            ),
            (
                |c| c.dlhs.call.rhs.calibration = Calibration::Constant(f32::INFINITY),
                "`dlhs.rhs.calibration` has the bound inf, which is not positive and finite",
            ),
            (
                |c| {
                    int(&mut c.drhs.call.rhs).storage = Storage::Float;
                    c.drhs.call.accumulator = Accumulator::I32;
                },
                "`drhs.accumulator` is i32, but the rhs is not stored as int8; leave it out, or choose a float",
            ),
            (
                |c| c.forward.dequantize = Dequantize::Inputs,
                "`fwd.dequantize` is inputs, but the lhs is stored as int8; store it as float",
            ),
            (
                |c| {
                    c.forward.dequantize = Dequantize::Inputs;
                    c.forward.lhs = TensorConfig::UNQUANTIZED;
                    int(&mut c.forward.rhs).storage = Storage::Float;
                },
                "`fwd.dequantize` is inputs, but the scale of the rhs is not rounded to a power of two",
            ),
        ];
        for (change, expected) in cases {
            let mut config = v4();
            change(&mut config);
            assert_eq!(config.check().unwrap_err().message(), *expected);
            assert_eq!(config.check_gradient().unwrap_err().message(), *expected);
        }
        v4().check_gradient().unwrap();
    }

    #[test]
    fn residuals_have_to_fit_only_for_gradients() {
        let unquantized = DotGeneralConfig::v4().fwd_bits(None).build().unwrap();
        assert_eq!(
            unquantized.check_gradient().unwrap_err().message(),
            "`dlhs.residual` is set, but the forward rhs is not quantized"
        );
        let mut unset = v4();
        unset.drhs.residual = Residual::Unspecified;
        unset.check().unwrap();
        assert_eq!(
            unset.check_gradient().unwrap_err().message(),
            "`drhs.residual` is not set, but the forward lhs is quantized"
        );
    }

    #[test]
    fn accumulators_have_to_fit_the_operands() {
        let int8 = v4().forward;
        let mixed = CallConfig { rhs: TensorConfig::UNQUANTIZED, ..int8 };
        let plain = CallConfig::UNQUANTIZED;
        let all = [Dtype::F32, Dtype::F64, Dtype::F16, Dtype::Bf16, Dtype::C32, Dtype::C64];
        // For each call and accumulator, the types of operands that it takes.
        let cases: &[(CallConfig, Accumulator, &[Dtype])] = &[
            (int8, Accumulator::Auto, &[Dtype::F32, Dtype::F16, Dtype::Bf16]),
            (int8, Accumulator::I32, &[Dtype::F32, Dtype::F16, Dtype::Bf16]),
            (int8, Accumulator::F32, &[Dtype::F32, Dtype::F16, Dtype::Bf16]),
            (int8, Accumulator::Bf16, &[]),
            (int8, Accumulator::F16, &[]),
            (mixed, Accumulator::Auto, &[Dtype::F32, Dtype::F16, Dtype::Bf16]),
            (mixed, Accumulator::I32, &[]),
            (mixed, Accumulator::F32, &[Dtype::F32, Dtype::F16, Dtype::Bf16]),
            (mixed, Accumulator::Bf16, &[Dtype::Bf16]),
            (plain, Accumulator::Auto, &all),
            (plain, Accumulator::F16, &[Dtype::F16]),
            (plain, Accumulator::F32, &[Dtype::F32, Dtype::F16, Dtype::Bf16]),
        ];
        for (call, accumulator, taken) in cases {
            let call = CallConfig { accumulator: *accumulator, ..*call };
            for dtype in all {
                let ok = call.check_dtype(dtype, "fwd").is_ok();
                assert_eq!(ok, taken.contains(&dtype), "{call:?} {dtype}");
            }
        }
    }
}
