//! Walks a sliced plan's schedule over arrays.
//!
//! In a pass of a loop every value that has the loop's label has extent 1 there, so that steps are what they are in an
//! unsliced run; operands enter as views. Passes run one after the other and threads divide the products within them:
//! passes side by side would each need memory of their own, which is what slices are to save, and how much a plan takes
//! would depend on the machine.

use ndarray::{ArrayD, ArrayViewD, ArrayViewMutD, Axis, IxDyn, Slice};

use crate::cancel;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Element, PartialSums};
use crate::lower::{Gathering, Loop, Op, Plan, Read, Stage, ValueId};

use super::run::{Calls, Held, Values, Walk};
use super::value::Value;

/// Runs a plan on its operands, in slices where it has some; the result is in row-major order.
pub(crate) fn execute<'a, T: Element>(
    plan: &Plan,
    known: impl IntoIterator<Item = (ValueId, Held<'a, T>)>,
    calls: &mut impl for<'v> Calls<'v, T>,
) -> Result<ArrayD<T>> {
    if plan.slices().is_empty() {
        return super::run::run_known(plan, known, calls);
    }
    let mut values = Values::new(plan);
    for (id, value) in known {
        if matches!(value, Held::Frozen(..)) {
            return Err(unsliced("frozen operands are taken"));
        }
        values.put(id, value);
    }
    let sliced = Sliced { walk: Walk::new(plan), numbers: plan.calls_before() };
    sliced.stages(&plan.schedule(), &mut values, calls)?;
    Ok(values.take_array(plan.output()).into_row_major())
}

/// That something is done with plans without slices only.
pub(crate) fn unsliced(what: &str) -> Error {
    Error::new(ErrorKind::Slice, format!("{what} by plans without slices only"))
}

struct Sliced<'p> {
    walk: Walk<'p>,
    numbers: Vec<usize>,
}

/// What the passes of a loop make together, or the part of it that one of them makes.
enum Gathered<'g, T: Element> {
    Sum(&'g mut PartialSums<T>),
    Part(ArrayViewMutD<'g, T>),
}

impl<T: Element> Gathered<'_, T> {
    /// What a pass contributes to.
    fn at(&mut self, gathering: Gathering, index: usize) -> Gathered<'_, T> {
        match (self, gathering) {
            (Self::Part(part), Gathering::Along(axis)) => {
                Gathered::Part(part.slice_axis_mut(Axis(axis), Slice::from(index..=index)))
            }
            (Self::Part(part), Gathering::Sum) => Gathered::Part(part.view_mut()),
            (Self::Sum(sums), _) => Gathered::Sum(sums),
        }
    }
}

impl Sliced<'_> {
    fn stages<'v, T: Element>(
        &self,
        stages: &[Stage],
        values: &mut Values<'v, T>,
        calls: &mut impl for<'c> Calls<'c, T>,
    ) -> Result<()> {
        stages.iter().try_for_each(|stage| match stage {
            Stage::Step(step) => self.walk.step((*step, self.numbers[*step]), values, calls),
            Stage::Loop(inner) => self.gather(inner, values, calls),
        })
    }

    /// Runs a loop that no other loop of the same result is around.
    fn gather<'v, T: Element>(
        &self,
        outermost: &Loop,
        values: &mut Values<'v, T>,
        calls: &mut impl for<'c> Calls<'c, T>,
    ) -> Result<()> {
        let plan = self.walk.plan;
        let result = outermost.result();
        let made = match outermost.gathering() {
            Gathering::Sum => {
                let order = self.walk.readers.memory_order(plan.maker(result));
                let mut sums = PartialSums::new(plan.value(result).shape(), &order, plan.terms(result));
                self.passes(outermost, values, &mut Gathered::Sum(&mut sums), calls)?;
                sums.finish()
            }
            Gathering::Along(_) => {
                let shape = plan.sizes().shape_of(plan.equation().output());
                let mut whole = ArrayD::from_elem(IxDyn(&shape), T::ZERO);
                self.passes(outermost, values, &mut Gathered::Part(whole.view_mut()), calls)?;
                whole
            }
        };
        values.forget(outermost.reads());
        values.put(result, Held::Value(Value::Owned(made)));
        Ok(())
    }

    /// The passes of a loop over values from outside.
    fn passes<T: Element>(
        &self,
        around: &Loop,
        outside: &Values<'_, T>,
        gathered: &mut Gathered<'_, T>,
        calls: &mut impl for<'c> Calls<'c, T>,
    ) -> Result<()> {
        let mut values = Values::new(self.walk.plan);
        for index in 0..around.slice().size {
            cancel::between_steps()?;
            for read in around.reads() {
                values.put(read.value, Held::Value(Value::Borrowed(outside.at(read, index))));
            }
            let mut here = gathered.at(around.gathering(), index);
            for stage in around.body() {
                match stage {
                    Stage::Loop(inner) if around.goes_on_in(inner) => {
                        self.passes(inner, &values, &mut here, calls)?;
                        values.forget(inner.reads());
                    }
                    Stage::Loop(inner) => self.gather(inner, &mut values, calls)?,
                    Stage::Step(step) => match &mut here {
                        Gathered::Sum(sums) if self.walk.plan.steps()[*step].result() == around.result() => {
                            self.add(*step, &mut values, sums);
                        }
                        _ => self.walk.step((*step, self.numbers[*step]), &mut values, calls)?,
                    },
                }
            }
            if let Gathered::Part(part) = &mut here
                && around.is_innermost()
            {
                part.assign(&values.take_array(around.result()).view());
            }
        }
        Ok(())
    }

    /// Adds a slice of the terms of a call, which is one of floats.
    fn add<T: Element>(&self, step: usize, values: &mut Values<'_, T>, sums: &mut PartialSums<T>) {
        let Op::DotGeneral { lhs, rhs, dims, .. } = self.walk.plan.steps()[step].op() else {
            unreachable!("a loop ends with the call that sums its label")
        };
        let (lhs, rhs) = (values.take_array(*lhs), values.take_array(*rhs));
        sums.add(lhs.view(), rhs.view(), dims);
    }
}

impl<T: Element> Values<'_, T> {
    /// A value at an index of the axes that are read there.
    fn at(&self, read: &Read, index: usize) -> ArrayViewD<'_, T> {
        let mut view = self.view(read.value);
        for &axis in &read.axes {
            view.slice_axis_inplace(Axis(axis), Slice::from(index..=index));
        }
        view
    }

    /// Frees what has been read for the last time.
    fn forget(&mut self, reads: &[Read]) {
        for read in reads {
            self.clear(read.value);
        }
    }
}
