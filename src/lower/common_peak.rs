//! The memory that a program of several plans takes at one time.
//!
//! A walk along its steps, which does with the sizes of arrays what a run does with arrays: a value is there until its last
//! reader has read it, and outputs to the end.

use crate::dtype::Dtype;
use crate::sizes::Shape;

use super::merge::Program;
use super::peak::bytes_of;
use super::plan::{Layout, Op, Plan, ValueId};

impl Program {
    /// The most bytes that the common operands (of these shapes), intermediates and outputs take at one time; none when
    /// that is more than can be counted in 64 bits.
    pub(crate) fn peak_bytes(&self, plans: &[Plan], operands: &[Shape], dtype: Dtype) -> Option<u64> {
        let mut live = 0_u64;
        for shape in operands {
            live = live.checked_add(bytes_of(shape, dtype)?)?;
        }
        let owners = self.owners(plans);
        let mut readers = vec![0_usize; owners.len()];
        let inputs = self.steps.iter().flat_map(|step| step.op().inputs());
        inputs.chain(self.outputs.iter().copied()).for_each(|value| readers[owners[value.index()]] += 1);
        let mut sizes = vec![0; operands.len()];
        let mut peak = live;
        let read = |value: usize, readers: &mut [usize], sizes: &[u64]| {
            let owner = owners[value];
            readers[owner] -= 1;
            // Operands are the caller's, and have no size here.
            if readers[owner] == 0 { sizes[owner] } else { 0 }
        };
        for step in &self.steps {
            let result = step.result().index();
            let place = step.first();
            let plan = &plans[place.plan];
            let value = plan.value(plan.steps()[place.step].result());
            let size = if owners[result] == result { value.bytes_in(dtype)? } else { 0 };
            sizes.push(size);
            live = live.checked_add(size)?;
            peak = peak.max(live);
            for input in step.op().inputs() {
                live = live.checked_sub(read(input.index(), &mut readers, &sizes))?;
            }
        }
        for (plan, output) in plans.iter().zip(&self.outputs) {
            let value = plan.value(plan.output());
            let owner = owners[output.index()];
            // The array itself is handed over where nobody else needs it and it lies in the order wanted.
            if !(matches!(value.layout(), Layout::Dense(_)) && readers[owner] == 1) {
                live = live.checked_add(value.bytes_in(dtype)?)?;
                peak = peak.max(live);
                live = live.checked_sub(read(output.index(), &mut readers, &sizes))?;
            }
        }
        Some(peak)
    }

    /// By value: that in whose memory it lies.
    fn owners(&self, plans: &[Plan]) -> Vec<usize> {
        let mut owners: Vec<usize> = (0..self.operands + self.steps.len()).collect();
        for step in &self.steps {
            let place = step.first();
            let plan = &plans[place.plan];
            let value = plan.value(plan.steps()[place.step].result());
            // A diagonal is a view only where the strides of its operand allow it, so it counts as memory of its own.
            if *value.layout() == Layout::View && !matches!(step.op(), Op::Diagonal { .. }) {
                let input = step.op().inputs().next().map_or(0, ValueId::index);
                owners[step.result().index()] = owners[input];
            }
        }
        owners
    }
}
