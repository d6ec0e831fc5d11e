//! The memory that a run takes on a rank of several, each of which has its parts of the operands.
//!
//! A walk along the steps, which does with the sizes of parts what a run does with parts, for the rank that has the longest
//! range of every label. Counted beside them are the messages: a value that is given to all is there whole, beside a part of
//! it and a message with another one.

use crate::dtype::Dtype;
use crate::equation::Label;
use crate::exec;
use crate::lower::{Layout, Op, Plan, ValueId};
use crate::quant::{DotGeneralConfig, Format, QuantConfig};

use super::gather::piece_bytes;
use super::ranges::{Spread, axes_of};

/// Terms that are summed by one rank: of complex numbers half as many, which is one tree more.
const BLOCK: usize = 1024;

impl Spread {
    /// The bytes that a run takes at most on any rank, its parts of the operands among them: the first rank, which has the whole
    /// result. `None` where 64 bits do not count them.
    ///
    /// What [`Plan::run_bytes`] is for one process. Of a plan in slices that is what one process takes, and on the first rank what
    /// others send it.
    ///
    /// ```
    /// use qeinsum::Dtype;
    /// use qeinsum::{QEinsum, spread::{Network, Spread}};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[4096, 512], &[512, 8]])?;
    /// let bytes = |ranks| {
    ///     Spread::choose(&plan, None, ranks, Network::default()).run_bytes(&plan, Dtype::F32, None)
    /// };
    /// assert_eq!(bytes(1), plan.run_bytes(Dtype::F32, None));
    /// // A quarter of the rows; of the result a quarter, all of it, and a message with the quarter of another rank, twice.
    /// assert_eq!(bytes(4), Some(4 * (1024 * 512 + 512 * 8 + 4096 * 8 + 3 * 1024 * 8)));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_bytes(&self, plan: &Plan, dtype: Dtype, config: Option<&QuantConfig>) -> Option<u64> {
        if plan.slices().is_empty() {
            return Room::new(self, plan, dtype, config).run();
        }
        plan.run_bytes(dtype, config)?.checked_add(exec::handed_bytes(plan, self.ranks, dtype)?)
    }

    /// The same of a run that keeps what gradients need, and of the gradients, which all ranks have.
    ///
    /// ```
    /// use qeinsum::Dtype;
    /// use qeinsum::{QEinsum, spread::{Network, Spread}};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[4096, 512], &[512, 512]])?;
    /// let bytes = |ranks| {
    ///     let spread = Spread::choose(&plan, None, ranks, Network::default()).for_gradients(&plan, Dtype::F32, None);
    ///     spread.gradient_bytes(&plan, Dtype::F32, None)
    /// };
    /// assert!(bytes(4) < bytes(2));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn gradient_bytes(&self, plan: &Plan, dtype: Dtype, config: Option<&QuantConfig>) -> Option<u64> {
        Room::new(self, plan, dtype, config).gradients()
    }

    /// The bytes of a rank's parts of the operands, or, in slices, of the operands.
    pub(super) fn operand_bytes(&self, plan: &Plan, dtype: Dtype) -> Option<u64> {
        Room::new(self, plan, dtype, None).operands()
    }

    /// The most indices that a rank has of a label.
    fn most(&self, label: Label) -> usize {
        let (unit, extent) = (self.units[label.index()], self.extents[label.index()]);
        (extent.div_ceil(unit).div_ceil(self.ranks) * unit).min(extent)
    }
}

struct Room<'r> {
    spread: &'r Spread,
    plan: &'r Plan,
    dtype: Dtype,
    config: Option<&'r QuantConfig>,
    /// By call, in terms of the sides that it executes.
    configs: Option<Vec<DotGeneralConfig>>,
}

impl<'r> Room<'r> {
    fn new(spread: &'r Spread, plan: &'r Plan, dtype: Dtype, config: Option<&'r QuantConfig>) -> Self {
        let configs = config.filter(|_| Format::of(dtype).is_some()).map(|config| {
            let calls = plan.calls().zip(plan.call_configs(config));
            let oriented = calls.filter_map(|(step, config)| match step.op() {
                Op::DotGeneral { orientation, .. } => Some(config.oriented(*orientation)),
                _ => None,
            });
            oriented.collect()
        });
        Self { spread, plan, dtype, config, configs }
    }

    /// The shape of a value of which a rank has a range of a label, or all.
    fn shape(&self, value: ValueId, label: Option<Label>) -> Vec<usize> {
        let mut shape = self.plan.value(value).shape().to_vec();
        if let Some(label) = label {
            for &axis in &axes_of(self.plan, value, label) {
                shape[axis] = self.spread.most(label);
            }
        }
        shape
    }

    fn elements(&self, value: ValueId, label: Option<Label>) -> Option<u64> {
        self.shape(value, label).into_iter().try_fold(1_u64, |elements, size| elements.checked_mul(size as u64))
    }

    fn bytes(&self, value: ValueId, label: Option<Label>) -> Option<u64> {
        self.elements(value, label)?.checked_mul(self.dtype.bytes() as u64)
    }

    /// What is read of a value.
    fn read(&self, value: ValueId) -> Option<u64> {
        self.bytes(value, self.spread.wants[value.index()].filter(|_| self.plan.slices().is_empty()))
    }

    fn operands(&self) -> Option<u64> {
        (0..self.plan.equation().operands().len())
            .try_fold(0_u64, |all, id| all.checked_add(self.read(ValueId::new(id))?))
    }

    fn run(&self) -> Option<u64> {
        let plan = self.plan;
        let mut live = self.operands()?;
        let mut most = live;
        // What is freed after the last use of each value; an operand is the caller's.
        let mut own = vec![0_u64; plan.values().len()];
        let mut number = 0;
        for step in plan.steps() {
            let result = step.result();
            let made = match step.op() {
                Op::DotGeneral { .. } => {
                    let label = self.spread.calls[number];
                    let made_by = label.filter(|&label| !axes_of(plan, result, label).is_empty());
                    let made = self.bytes(result, made_by)?;
                    let beside = self.call(number, step.op(), result, made_by)?;
                    let summed =
                        label.filter(|_| made_by.is_none()).map_or(Some(0), |_| self.sum(number, step.op(), result));
                    let settled = self.settle(result, made_by)?;
                    most = most.max(live.checked_add(made)?.checked_add(beside.checked_add(summed?)?.max(settled))?);
                    number += 1;
                    self.read(result)?
                }
                // These are views of what they are made from.
                Op::Squeeze { input, .. } | Op::Transpose { input, .. } => {
                    own[result.index()] = std::mem::take(&mut own[input.index()]);
                    continue;
                }
                Op::ReduceSum { .. } | Op::Diagonal { .. } => self.read(result)?,
            };
            own[result.index()] = made;
            live = live.checked_add(made)?;
            most = most.max(live);
            step.op().inputs().for_each(|input| live -= std::mem::take(&mut own[input.index()]));
        }
        // A view is copied into row-major order at the end.
        let output = plan.value(plan.output());
        let copied = if matches!(output.layout(), Layout::Dense(_)) { 0 } else { self.bytes(plan.output(), None)? };
        Some(most.max(live.checked_add(copied)?))
    }

    /// What a call takes beside its sides and its result.
    fn call(&self, number: usize, op: &Op, result: ValueId, made_by: Option<Label>) -> Option<u64> {
        let Op::DotGeneral { lhs, rhs, .. } = op else { return Some(0) };
        let side = |value: ValueId| self.elements(value, self.spread.wants[value.index()]);
        let (sides, result) = ([side(*lhs)?, side(*rhs)?], self.elements(result, made_by)?);
        match &self.configs {
            Some(configs) => exec::quantizing_bytes(self.dtype, &configs[number].forward, sides, result),
            None => exec::expanded_bytes(self.dtype, sides[1]),
        }
    }

    /// What adding the ranks' sums of a result takes: of integers wider ones; of floats the trees that are not whole yet, those of
    /// a message, and the message.
    fn sum(&self, number: usize, op: &Op, result: ValueId) -> Option<u64> {
        let Op::DotGeneral { lhs, dims, .. } = op else { return Some(0) };
        let elements = self.elements(result, None)?;
        if self.configs.as_ref().is_some_and(|configs| configs[number].forward.is_int8()) {
            return elements.checked_mul(size_of::<i64>() as u64);
        }
        let shape = self.plan.value(*lhs).shape();
        let terms = dims.contracting().iter().try_fold(1_usize, |terms, pair| terms.checked_mul(shape[pair.0]))?;
        let trees = u64::from((terms / BLOCK).checked_ilog2().map_or(1, |digits| digits + 2));
        let wide = self.dtype.bytes().max(size_of::<f32>()) as u64;
        elements.checked_mul(wide)?.checked_mul(4 * trees + 3)
    }

    /// What giving a result to who reads it takes, beside the part that is given.
    fn settle(&self, result: ValueId, made_by: Option<Label>) -> Option<u64> {
        let want = self.spread.wants[result.index()];
        if made_by == want {
            return Some(0);
        }
        let narrowed = if want.is_some() { self.read(result)? } else { 0 };
        let gathered = if made_by.is_some() {
            let message = piece_bytes(&self.shape(result, made_by), self.dtype.bytes());
            self.bytes(result, None)?.checked_add(message.checked_mul(2)?)?
        } else {
            0
        };
        gathered.checked_add(narrowed)
    }

    fn gradients(&self) -> Option<u64> {
        let plan = self.plan;
        let operands = plan.equation().operands().len();
        let mut bytes = 0_u64;
        for id in (0..plan.values().len()).map(ValueId::new) {
            // Every value is kept, and has a gradient; those of operands are made whole.
            bytes = bytes.checked_add(self.read(id)?.checked_mul(2)?)?;
            if id.index() < operands {
                bytes = bytes.checked_add(self.bytes(id, None)?)?;
            }
        }
        // What cannot be summed in parts is given to all, beside what a call of all of it takes.
        let mut largest = Some(0_u64);
        self.spread.each_summed(plan, self.dtype, self.config, |call, summed| {
            if !self.spread.sums_parts(call.label, summed) {
                let [lhs, rhs] = call.sides;
                let whole = [lhs, rhs, call.result].map(|id| self.bytes(id, None));
                let all = whole.into_iter().try_fold(0_u64, |all, each| all.checked_add(each?));
                largest = largest.zip(all).map(|(largest, all)| largest.max(all));
            }
        });
        bytes.checked_add(self.run()?.checked_mul(3)?)?.checked_add(largest?.checked_mul(3)?)
    }
}
