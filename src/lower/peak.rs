//! The memory that a plan takes at one time.
//!
//! A walk along the schedule, which does with the sizes of arrays what a run does with arrays. All passes of a loop take
//! the same.

use crate::dtype::Dtype;
use crate::kernel::PartialBytes;

use super::plan::{Layout, Op, Plan, ValueId};
use super::schedule::{Gathering, Loop, Stage};

impl Plan {
    /// The most bytes that operands, intermediates and output take at one time, each freed after its last use.
    ///
    /// What is read in a loop, but made before it, stays until the loop has ended. A sum over slices is there from the first
    /// of them on, with the pending sums of its blocks of 1,024 terms. Passes run one after the other, and threads divide
    /// what is within them, so that this does not depend on their number.
    ///
    /// `None` when that is more than can be counted in 64 bits.
    ///
    /// ```
    /// use qeinsum::Dtype;
    /// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan(&[&[2, 3], &[3, 4]])?;
    /// assert_eq!(plan.peak_bytes(), Some(4 * (6 + 12 + 8)));
    /// assert_eq!(plan.peak_bytes_in(Dtype::F64), Some(8 * (6 + 12 + 8)));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn peak_bytes(&self) -> Option<u64> {
        self.peak_bytes_in(self.dtype)
    }

    /// The same in elements of another type.
    pub fn peak_bytes_in(&self, dtype: Dtype) -> Option<u64> {
        Some(self.memory(dtype)?.peak)
    }

    /// The most bytes that are there at one time while each step runs; their maximum is [`peak_bytes`](Self::peak_bytes).
    ///
    /// What is only begun and ended around a step, such as a sum over slices, counts with that step. A plan without steps has
    /// none, though its operand takes memory.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ij,jk,kl->il")?.plan(&[&[2, 3], &[3, 4], &[4, 5]])?;
    /// // 152 bytes of operands, 32 of the first product, and 40 of the result.
    /// assert_eq!(plan.bytes_per_step(), Some(vec![184, 224]));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn bytes_per_step(&self) -> Option<Vec<u64>> {
        Some(self.memory(self.dtype)?.per_step)
    }

    fn memory(&self, dtype: Dtype) -> Option<Memory<'_>> {
        let mut live = 0_u64;
        for operand in &self.values[..self.equation.operands().len()] {
            live = live.checked_add(operand.bytes_in(dtype)?)?;
        }
        let owners = (0..self.values.len()).map(|value| Owner { value, depth: 0 }).collect();
        let per_step = vec![0; self.steps.len()];
        let mut memory = Memory { plan: self, dtype, live, peak: live, per_step, runs: None, owners, depth: 0 };
        memory.stages(&self.schedule())?;
        let is_gathered = self.slices.first().is_some_and(|slice| self.equation.output().contains(&slice.label));
        let output = &self.values[self.output.index()];
        if !is_gathered && !matches!(output.layout, Layout::Dense(_)) {
            // The result is an array of its own in row-major order, so a view or an operand is copied at the end.
            memory.allocate(output.bytes_in(dtype)?)?;
        }
        Some(memory)
    }
}

/// The bytes of an array of this shape.
pub(crate) fn bytes_of(shape: &[usize], dtype: Dtype) -> Option<u64> {
    shape.iter().try_fold(dtype.bytes() as u64, |bytes, &size| bytes.checked_mul(size as u64))
}

/// Where the memory of a value lies.
#[derive(Clone, Copy)]
struct Owner {
    /// The value that it was made for: itself, or the source of a view.
    value: usize,
    /// The number of loops that it was made in.
    depth: usize,
}

struct Memory<'p> {
    plan: &'p Plan,
    dtype: Dtype,
    live: u64,
    peak: u64,
    /// The most bytes while each step runs.
    per_step: Vec<u64>,
    /// The step that what is allocated counts with; none before the first, and where a loop begins.
    runs: Option<usize>,
    owners: Vec<Owner>,
    /// The number of loops around what runs.
    depth: usize,
}

impl Memory<'_> {
    fn allocate(&mut self, bytes: u64) -> Option<()> {
        self.live = self.live.checked_add(bytes)?;
        self.note();
        Some(())
    }

    /// Keeps what is there now as the most that was there, if it is.
    fn note(&mut self) {
        self.peak = self.peak.max(self.live);
        if let Some(most) = self.runs.and_then(|step| self.per_step.get_mut(step)) {
            *most = self.live.max(*most);
        }
    }

    /// What is there from now on counts with a step.
    fn begin(&mut self, step: usize) {
        self.runs = Some(step);
        self.note();
    }

    fn free(&mut self, bytes: u64) -> Option<()> {
        self.live = self.live.checked_sub(bytes)?;
        Some(())
    }

    /// Frees what a value lies in, if it was made in the loop that runs.
    fn release(&mut self, id: ValueId) -> Option<()> {
        let Owner { value, depth } = self.owners[id.index()];
        if value < self.plan.equation.operands().len() || depth != self.depth {
            return Some(());
        }
        self.free(self.plan.values[value].bytes_in(self.dtype)?)
    }

    fn stages(&mut self, stages: &[Stage]) -> Option<()> {
        stages.iter().try_for_each(|stage| match stage {
            Stage::Step(step) => self.step(*step),
            Stage::Loop(inner) => self.gather(inner),
        })
    }

    fn step(&mut self, number: usize) -> Option<()> {
        self.begin(number);
        let step = &self.plan.steps[number];
        let result = step.result.index();
        let value = &self.plan.values[result];
        self.owners[result].depth = self.depth;
        // A diagonal is a view only where the strides of its operand allow it, so it counts as memory of its own.
        if value.layout == Layout::View && !matches!(step.op, Op::Diagonal { .. }) {
            if let Some(input) = step.op.inputs().next() {
                self.owners[result] = self.owners[input.index()];
            }
            return Some(());
        }
        self.allocate(value.bytes_in(self.dtype)?)?;
        step.op.inputs().try_for_each(|input| self.release(input))
    }

    /// A loop that no other loop of the same result is around.
    fn gather(&mut self, outermost: &Loop) -> Option<()> {
        let result = outermost.result.index();
        let value = &self.plan.values[result];
        self.runs = None;
        match outermost.gathering {
            Gathering::Along(_) => {
                let whole = self.plan.sizes.shape_of(&value.labels);
                self.allocate(bytes_of(&whole, self.dtype)?)?;
                self.passes(outermost)?;
            }
            Gathering::Sum => {
                let terms = [self.plan.terms(outermost.result), self.plan.slice_terms(outermost.result)];
                let PartialBytes { chains, trees, outputs } = PartialBytes::new(self.dtype, value.elements()?, terms)?;
                self.allocate(chains.checked_add(trees)?)?;
                self.passes(outermost)?;
                self.free(trees)?;
                if outputs > 0 {
                    self.allocate(outputs)?;
                    self.free(chains)?;
                }
                self.owners[result] = Owner { value: result, depth: self.depth };
            }
        }
        outermost.reads.iter().try_for_each(|read| self.release(read.value))
    }

    /// A pass of a loop, and of those within it.
    fn passes(&mut self, around: &Loop) -> Option<()> {
        self.depth += 1;
        for stage in &around.body {
            match stage {
                Stage::Loop(inner) if around.goes_on_in(inner) => self.passes(inner)?,
                Stage::Loop(inner) => self.gather(inner)?,
                // The call whose products are added makes no array.
                Stage::Step(step)
                    if around.gathering == Gathering::Sum && self.plan.steps[*step].result == around.result =>
                {
                    self.begin(*step);
                    self.plan.steps[*step].op.inputs().try_for_each(|input| self.release(input))?;
                }
                Stage::Step(step) => self.step(*step)?,
            }
        }
        if around.is_innermost() && around.gathering != Gathering::Sum {
            self.release(around.result)?;
        }
        if !around.is_innermost() {
            // What the loops within read was made here.
            if let Some(Stage::Loop(inner)) = around.body.last() {
                inner.reads.iter().try_for_each(|read| self.release(read.value))?;
            }
        }
        self.depth -= 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use crate::QEinsum;

    fn check(equation: &str, shapes: &[&[usize]], slices: &[&str]) {
        let plan = QEinsum::new(equation).unwrap().with_slices(slices).plan(shapes).unwrap();
        let per_step = plan.bytes_per_step().unwrap();
        assert_eq!(per_step.len(), plan.steps().len());
        assert_eq!(per_step.iter().copied().max(), plan.peak_bytes(), "{equation} {slices:?}");
    }

    #[test]
    fn the_steps_reach_the_peak() {
        for slices in [&[][..], &["c"], &["a", "c"]] {
            check("ab,bc,cd->ad", &[&[20, 30], &[30, 40], &[40, 20]], slices);
        }
        check("iij->j", &[&[5, 5, 3]], &[]);
    }
}
