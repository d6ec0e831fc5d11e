//! Walks a sliced plan's schedule over arrays.
//!
//! In a pass of a loop every value that has the loop's label has extent 1 there, so that steps are what they are in an
//! unsliced run; operands enter as views, and of stored ones what a pass of an outermost loop reads. Passes run one after the other and threads divide the products within them:
//! passes side by side would each need memory of their own, which is what slices are to save, and how much a plan takes
//! would depend on the machine.

use std::ops::Range;

use ndarray::{ArrayD, ArrayViewMutD, Axis, IxDyn, Slice};

use crate::cancel;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{Element, PartialSums};
use crate::lower::{DimensionNumbers, Gathering, Loop, Op, Plan, Read, Stage, ValueId};

use super::run::{Calls, Held, Values, Walk};
use super::slab::Slabs;
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
    let mut values = operands(plan, known)?;
    Sliced::new(plan).stages(&plan.schedule(), &mut values, calls)?;
    Ok(values.take_array(plan.output()).into_row_major())
}

/// What a plan in slices starts with.
pub(super) fn operands<'a, T: Element>(
    plan: &Plan,
    known: impl IntoIterator<Item = (ValueId, Held<'a, T>)>,
) -> Result<Values<'a, T>> {
    let mut values = Values::new(plan);
    let slabs = Slabs::new(plan);
    for (id, held) in known {
        let held = match held {
            Held::Frozen(..) | Held::Loaded(_) | Held::StoredSide(_) => {
                return Err(unsliced("frozen operands are taken"));
            }
            Held::Stored(stored) => match slabs.reader(id, stored) {
                Some(slabs) => Held::Slabs(slabs),
                None => held.read()?,
            },
            held => held.read()?,
        };
        values.put(id, held);
    }
    Ok(values)
}

/// That something is done with plans without slices only.
pub(crate) fn unsliced(what: &str) -> Error {
    Error::new(ErrorKind::Slice, format!("{what} by plans without slices only"))
}

pub(super) struct Sliced<'p> {
    pub(super) walk: Walk<'p>,
    pub(super) numbers: Vec<usize>,
}

/// What the passes of a loop make together, or the part of it that one of them makes.
pub(super) enum Gathered<'g, T: Element> {
    Sum(&'g mut PartialSums<T>),
    Part(ArrayViewMutD<'g, T>),
    /// What each pass makes, one behind the other.
    Parts(&'g mut Vec<ArrayD<T>>),
    /// The two sides of the call that sums, of each pass.
    Sides(&'g mut Vec<[ArrayD<T>; 2]>),
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
            (Self::Parts(parts), _) => Gathered::Parts(parts),
            (Self::Sides(sides), _) => Gathered::Sides(sides),
        }
    }
}

impl<'p> Sliced<'p> {
    pub(super) fn new(plan: &'p Plan) -> Self {
        Self { walk: Walk::new(plan), numbers: plan.calls_before() }
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
                self.passes(outermost, 0..outermost.passes(), values, &mut Gathered::Sum(&mut sums), calls)?;
                sums.finish()
            }
            Gathering::Along(_) => {
                let shape = plan.sizes().shape_of(plan.equation().output());
                let mut whole = ArrayD::from_elem(IxDyn(&shape), T::ZERO);
                let mut whole_of = Gathered::Part(whole.view_mut());
                self.passes(outermost, 0..outermost.passes(), values, &mut whole_of, calls)?;
                whole
            }
        };
        values.forget(outermost.reads());
        values.put(result, Held::Value(Value::Owned(made)));
        Ok(())
    }

    /// Some passes of a loop and of those that go on in it, counted one behind the other, over values from outside.
    pub(super) fn passes<T: Element>(
        &self,
        around: &Loop,
        asked: Range<usize>,
        outside: &Values<'_, T>,
        gathered: &mut Gathered<'_, T>,
        calls: &mut impl for<'c> Calls<'c, T>,
    ) -> Result<()> {
        let mut values = Values::new(self.walk.plan);
        // Of each index of this loop, the passes of those within it.
        let each = around.passes() / around.slice().size;
        for index in asked.start / each..asked.end.div_ceil(each) {
            let first = index * each;
            let within = asked.start.max(first) - first..asked.end.min(first + each) - first;
            cancel::between_steps()?;
            for read in around.reads() {
                values.put(read.value, Held::Value(outside.at(read, index)?));
            }
            let mut here = gathered.at(around.gathering(), index);
            for stage in around.body() {
                match stage {
                    Stage::Loop(inner) if around.goes_on_in(inner) => {
                        self.passes(inner, within.clone(), &values, &mut here, calls)?;
                        values.forget(inner.reads());
                    }
                    Stage::Loop(inner) => self.gather(inner, &mut values, calls)?,
                    Stage::Step(step) => match &mut here {
                        Gathered::Sum(sums) if self.makes(*step, around) => {
                            let [lhs, rhs] = self.sides(*step, &mut values);
                            sums.add(lhs.view(), rhs.view(), self.dims(*step));
                        }
                        Gathered::Sides(sides) if self.makes(*step, around) => {
                            sides.push(self.sides(*step, &mut values).map(Value::into_row_major));
                        }
                        _ => self.walk.step((*step, self.numbers[*step]), &mut values, calls)?,
                    },
                }
            }
            match &mut here {
                Gathered::Part(part) if around.is_innermost() => {
                    part.assign(&values.take_array(around.result()).view());
                }
                Gathered::Parts(parts) if around.is_innermost() => {
                    parts.push(values.take_array(around.result()).into_row_major());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a step makes what the passes of a loop make together.
    fn makes(&self, step: usize, around: &Loop) -> bool {
        self.walk.plan.steps()[step].result() == around.result()
    }

    /// The two sides of a call: a slice of its terms.
    fn sides<'v, T: Element>(&self, step: usize, values: &mut Values<'v, T>) -> [Value<'v, T>; 2] {
        let Op::DotGeneral { lhs, rhs, .. } = self.walk.plan.steps()[step].op() else {
            unreachable!("a loop ends with the call that sums its label")
        };
        [*lhs, *rhs].map(|side| values.take_array(side))
    }

    /// The dimension numbers of a call.
    fn dims(&self, step: usize) -> &DimensionNumbers {
        let Op::DotGeneral { dims, .. } = self.walk.plan.steps()[step].op() else {
            unreachable!("a loop ends with the call that sums its label")
        };
        dims
    }
}

impl<T: Element> Values<'_, T> {
    /// A value at an index of the axes that are read there.
    fn at(&self, read: &Read, index: usize) -> Result<Value<'_, T>> {
        if let Some(slabs) = self.slabs(read.value) {
            return slabs.read(&read.axes, index).map(Value::Owned);
        }
        let mut view = self.view(read.value);
        for &axis in &read.axes {
            view.slice_axis_inplace(Axis(axis), Slice::from(index..=index));
        }
        Ok(Value::Borrowed(view))
    }

    /// Frees what has been read for the last time.
    fn forget(&mut self, reads: &[Read]) {
        for read in reads {
            self.clear(read.value);
        }
    }
}
