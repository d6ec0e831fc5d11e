//! How much memory a run takes, and that the system gives it.
//!
//! Most of what a run allocates cannot be refused on the way without ending the process, so it is asked for as a whole
//! before anything is computed.

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::lower::{Op, Plan, Value, ValueId};
use crate::quant::{CallConfig, QuantConfig};

/// What a run takes less than is not asked for beforehand: systems give that much, or nothing at all.
const ASKED: u64 = 1 << 28;

impl Plan {
    /// The bytes that a run on elements of `dtype` takes at most: those of the [plan](Self::peak_bytes), operands among
    /// them, and what its largest call adds, such as integers, their sums and noise; without a configuration for float
    /// products. `None` when that is more than can be counted in 64 bits.
    ///
    /// Each thread takes some MiB more for packed panels, once for all runs.
    ///
    /// ```
    /// use qeinsum::{DotGeneralConfig, Dtype, QEinsum};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[10, 20], &[20, 30]])?;
    /// assert_eq!(plan.run_bytes(Dtype::F32, None), Some(4 * (200 + 600 + 300)));
    /// let int8 = DotGeneralConfig::v4().build()?.into();
    /// assert_eq!(plan.run_bytes(Dtype::F32, Some(&int8)), Some(4 * (200 + 600 + 300) + (200 + 600) + 8 * 300));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_bytes(&self, dtype: Dtype, config: Option<&QuantConfig>) -> Option<u64> {
        let peak = self.peak_bytes_in(dtype)?.checked_add(expanded(self, dtype)?)?;
        let Some(config) = config else { return Some(peak) };
        let mut largest = 0;
        for (step, config) in self.calls().zip(self.call_configs(config)) {
            if let Op::DotGeneral { lhs, rhs, orientation, .. } = step.op() {
                let call = config.oriented(*orientation).forward;
                let elements = |id: ValueId| self.value(id).elements();
                let sides = [elements(*lhs)?, elements(*rhs)?];
                largest = largest.max(quantizing_bytes(dtype, &call, sides, elements(step.result())?)?);
            }
        }
        peak.checked_add(largest)
    }

    /// The bytes that a run takes at most which keeps what gradients need, and the gradients then.
    ///
    /// Every value is kept, and has a gradient of its size; a gradient's call takes what the largest of the forward calls
    /// does, three times, for its sides may be the largest value of that call.
    ///
    /// ```
    /// use qeinsum::{Dtype, QEinsum};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[10, 20], &[20, 30]])?;
    /// assert_eq!(plan.gradient_bytes(Dtype::F32, None), Some(5 * 4 * (200 + 600 + 300)));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn gradient_bytes(&self, dtype: Dtype, config: Option<&QuantConfig>) -> Option<u64> {
        bytes_of(self.values(), dtype)?.checked_mul(2)?.checked_add(self.run_bytes(dtype, config)?.checked_mul(3)?)
    }

    /// The bytes of the operands, which are there before a run.
    fn operand_bytes(&self, dtype: Dtype) -> Option<u64> {
        bytes_of(&self.values()[..self.equation().operands().len()], dtype)
    }

    /// An upper bound of what the steps make, cheap enough to be looked at before each run.
    fn is_surely_small(&self, dtype: Dtype) -> bool {
        // Beside itself a value has at most a sum of 8 bytes, an integer or float of 5 and noise of 4 to each element.
        bytes_of(self.values(), dtype).is_some_and(|bytes| bytes.saturating_mul(20) < ASKED)
    }
}

/// An error where the system would not give what a run takes beside its operands, so many bytes of which are yet to be read.
pub(crate) fn check_room(plan: &Plan, dtype: Dtype, config: Option<&QuantConfig>, read: u64) -> Result<()> {
    check_needed(plan, dtype, || {
        let needed = plan.run_bytes(dtype, config).and_then(|bytes| bytes.checked_add(read));
        (needed, plan.operand_bytes(dtype))
    })
}

/// The same for a run that keeps what gradients need, and for the gradients.
pub(crate) fn check_gradient_room(plan: &Plan, dtype: Dtype, config: Option<&QuantConfig>) -> Result<()> {
    check_needed(plan, dtype, || (plan.gradient_bytes(dtype, config), plan.operand_bytes(dtype)))
}

/// The same for a run of a plan that takes so many bytes, so many of which are there already; they are counted only where that
/// may matter.
pub(crate) fn check_needed(
    plan: &Plan,
    dtype: Dtype,
    bytes: impl FnOnce() -> (Option<u64>, Option<u64>),
) -> Result<()> {
    if plan.is_surely_small(dtype) {
        return Ok(());
    }
    let (bytes, there) = bytes();
    check_bytes(bytes, there)
}

/// The same for what takes so many bytes, `there` of them being there already; none is more than 64 bits count.
pub(crate) fn check_bytes(bytes: Option<u64>, there: Option<u64>) -> Result<()> {
    let is_given = |bytes: usize| Vec::<u8>::new().try_reserve_exact(bytes).is_ok();
    let message = match bytes {
        None => "the run needs more bytes of memory than 64 bits count".to_owned(),
        Some(bytes) => {
            let more = bytes.saturating_sub(there.unwrap_or(0));
            if more < ASKED || usize::try_from(more).is_ok_and(is_given) {
                return Ok(());
            }
            format!(
                "the run needs {more} bytes of memory beside its operands, more than the system gives; a memory limit finds a \
                 plan in slices that needs less"
            )
        }
    };
    Err(Error::new(ErrorKind::Memory, message))
}

/// The bytes of all these values.
fn bytes_of(values: &[Value], dtype: Dtype) -> Option<u64> {
    values.iter().try_fold(0_u64, |all, value| all.checked_add(value.bytes_in(dtype)?))
}

/// The bytes that complex products take beside their arrays, in the largest call.
fn expanded(plan: &Plan, dtype: Dtype) -> Option<u64> {
    let mut largest = 0_u64;
    for step in plan.calls() {
        if let Op::DotGeneral { rhs, .. } = step.op() {
            largest = largest.max(expanded_bytes(dtype, plan.value(*rhs).elements()?)?);
        }
    }
    Some(largest)
}

/// The bytes that a product with so many elements of its rhs takes beside its arrays: of a complex one, four reals for each.
pub(crate) fn expanded_bytes(dtype: Dtype, rhs: u64) -> Option<u64> {
    if dtype.is_complex() { rhs.checked_mul(2 * dtype.bytes() as u64) } else { Some(0) }
}

/// The bytes that a quantized call adds to its sides and its result, which have so many elements.
pub(crate) fn quantizing_bytes(dtype: Dtype, call: &CallConfig, sides: [u64; 2], result: u64) -> Option<u64> {
    // The sums, and the floats that they become before they are narrowed.
    let mut added = result.checked_mul(8)?;
    for (elements, side) in sides.into_iter().zip([&call.lhs, &call.rhs]) {
        let widened = if dtype == Dtype::F32 { 0 } else { 4 };
        let factor = match side.int() {
            None => 0,
            Some(_) if call.is_int8() => 1,
            // Integers that are multiplied as floats are floats too.
            Some(_) if side.is_int8() => 5,
            Some(_) => 4,
        };
        let noise = if side.noise().is_some() { 4 } else { 0 };
        added = added.checked_add(elements.checked_mul(widened + factor + noise)?)?;
    }
    Some(added)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DotGeneralConfig, QEinsum};

    #[test]
    fn quantized_calls_take_more_by_what_they_keep() {
        let plan = QEinsum::new("ij,jk->ik").unwrap().plan(&[&[10, 20], &[20, 30]]).unwrap();
        let (sides, result) = (200 + 600, 300);
        let config = |bits| QuantConfig::from(DotGeneralConfig::v4().fwd_bits(Some(bits)).build().unwrap());
        let (int8, float) = (config(8), config(12));
        let cases = [
            (Dtype::F32, None, 4 * (sides + result)),
            (Dtype::C32, None, 8 * (sides + result) + 16 * 600),
            (Dtype::C64, None, 16 * (sides + result) + 32 * 600),
            (Dtype::F32, Some(&int8), 4 * (sides + result) + sides + 8 * result),
            (Dtype::F32, Some(&float), 4 * (sides + result) + 4 * sides + 8 * result),
            (Dtype::F16, Some(&int8), 2 * (sides + result) + 5 * sides + 8 * result),
        ];
        for (dtype, config, expected) in cases {
            assert_eq!(plan.run_bytes(dtype, config), Some(expected), "{dtype} {config:?}");
        }
    }

    #[test]
    fn what_no_system_gives_is_refused() {
        let plan = |size| QEinsum::new("i,j->ij").unwrap().plan(&[&[size], &[size]]).unwrap();
        assert_eq!(check_room(&plan(1000), Dtype::F32, None, 0), Ok(()));
        let error = check_room(&plan(1 << 24), Dtype::F32, None, 0).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Memory);
        assert_eq!(
            error.message(),
            "the run needs 1125899906842624 bytes of memory beside its operands, more than the system gives; a memory \
             limit finds a plan in slices that needs less"
        );
        assert_eq!(check_gradient_room(&plan(1000), Dtype::F64, None), Ok(()));
        assert!(check_gradient_room(&plan(1 << 24), Dtype::F64, None).is_err());
        assert!(check_bytes(None, Some(0)).is_err());
    }
}
