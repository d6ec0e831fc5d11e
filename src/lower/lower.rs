//! Equation + sizes + path → plan, by JAX's rules to the letter.
//!
//! Per step of the path: squeeze broadcast 1s, sum labels that only one side has, take diagonals (each on the later
//! operand first), then one call, oriented by [`orient`], then a transpose where the result's labels are not yet in
//! the order wanted. Label order of intermediates is that of first appearance in later ++ earlier; the last step makes
//! the output's order.

use crate::dtype::Dtype;
use crate::equation::{Equation, Label, Subscript};
use crate::path::{Found, sum_order};
use crate::sizes::{Shape, Sizes};

use super::dims::{Axes, DimensionNumbers};
use super::lookup::{Lookup, distinct};
use super::orient::orient;
use super::plan::{Group, Layout, Op, Plan, Slice, Step, Value, ValueId};
use super::schedule::Loops;

/// Lowers a path that fits the equation; what comes out passes [`verify`](super::verify).
pub(crate) fn lower(equation: &Equation, sizes: &Sizes, mut found: Found, dtype: Dtype) -> Plan {
    let mut lowering = Lowering::new(equation, sizes, dtype);
    lowering.leading.clone_from(&found.leading);
    let mut list: Vec<ValueId> = (0..equation.operands().len()).map(ValueId::new).collect();
    let steps = found.path.steps().to_vec();
    for (number, &[earlier, later]) in steps.iter().enumerate() {
        let p = list.remove(later);
        let q = list.remove(earlier);
        lowering.release(p);
        lowering.release(q);
        let result = if number + 1 == steps.len() { equation.output().clone() } else { lowering.surviving(p, q) };
        let made = lowering.pair(q, p, &result);
        lowering.hold(made);
        list.push(made);
    }
    let output = if steps.is_empty() { lowering.single(ValueId::new(0), equation.output()) } else { list[0] };
    let Lowering { mut values, mut steps, .. } = lowering;
    let slices = slice(equation, sizes, (&mut values, &mut steps), output, &found.slices);
    found.slices = slices.iter().map(|slice| slice.label).collect();
    let plan = Plan { equation: equation.clone(), sizes: sizes.clone(), found, dtype, values, steps, output, slices };
    // Sizes that stand in for unknown ones may be those of no array that there can be, which is no fault of the plan.
    #[cfg(debug_assertions)]
    if Sizes::bind(equation, sizes.shapes()).is_ok()
        && let Err(error) = super::verify::verify(&plan)
    {
        panic!("lowering made a plan that does not verify, which is a bug: {error}\n{plan}");
    }
    plan
}

/// Gives values the shapes that they have in loops over some labels, and returns these outermost first: those of the output
/// in its order, then those that calls sum.
fn slice(
    equation: &Equation,
    sizes: &Sizes,
    (values, steps): (&mut [Value], &mut [Step]),
    output: ValueId,
    labels: &[Label],
) -> Vec<Slice> {
    if labels.is_empty() {
        return Vec::new();
    }
    let whole: Vec<Shape> = values.iter().map(|value| value.shape.clone()).collect();
    let loops = Loops::new((sizes, output), steps, values, &whole, labels);
    let groups = loops.groups(steps);
    for ((number, step), group) in steps.iter_mut().enumerate().zip(groups) {
        let value = &mut values[step.result.index()];
        value.shape = loops.shape(number, &value.labels, &value.shape);
        step.group = group;
    }
    let slices = equation.output().iter().filter(|label| labels.contains(label)).copied().chain(loops.summed());
    slices.map(|label| Slice { label, size: sizes.extent(label) }).collect()
}

struct Lowering {
    /// What calls sum before other labels.
    leading: Vec<Label>,
    values: Vec<Value>,
    steps: Vec<Step>,
    /// Per label: how many live values have it, the output counted as one more.
    holders: Vec<usize>,
    dtype: Dtype,
}

impl Lowering {
    fn new(equation: &Equation, sizes: &Sizes, dtype: Dtype) -> Self {
        let operand = |(labels, shape): (&Subscript, &Shape)| Value {
            labels: labels.clone(),
            shape: shape.clone(),
            dtype,
            layout: Layout::Operand,
        };
        let values: Vec<Value> = equation.operands().iter().zip(sizes.shapes()).map(operand).collect();
        let mut lowering =
            Self { values, steps: Vec::new(), leading: Vec::new(), holders: vec![0; equation.labels().len()], dtype };
        for index in 0..lowering.values.len() {
            lowering.hold(ValueId::new(index));
        }
        for label in equation.output().iter() {
            lowering.holders[label.index()] += 1;
        }
        lowering
    }

    fn labels(&self, value: ValueId) -> &[Label] {
        &self.values[value.index()].labels
    }

    fn hold(&mut self, value: ValueId) {
        for label in distinct(&self.values[value.index()].labels).iter() {
            self.holders[label.index()] += 1;
        }
    }

    fn release(&mut self, value: ValueId) {
        for label in distinct(&self.values[value.index()].labels).iter() {
            self.holders[label.index()] -= 1;
        }
    }

    /// The labels of later ++ earlier that somebody else still needs, by first appearance.
    fn surviving(&self, later: ValueId, earlier: ValueId) -> Subscript {
        let both: Vec<Label> = self.labels(later).iter().chain(self.labels(earlier)).copied().collect();
        distinct(&both).iter().copied().filter(|label| self.holders[label.index()] > 0).collect()
    }

    fn push(&mut self, op: Op, labels: Subscript, shape: Shape, layout: Layout) -> ValueId {
        let result = ValueId::new(self.values.len());
        self.values.push(Value { labels, shape, dtype: self.dtype, layout });
        self.steps.push(Step { op, result, group: Group::Once });
        result
    }

    /// Pushes a unary operation whose result lacks the axes `dropped`.
    fn drop_axes(&mut self, input: ValueId, dropped: &[usize], op: Op, layout: Layout) -> ValueId {
        let value = &self.values[input.index()];
        // Both rise.
        let mut left = dropped.iter().peekable();
        let kept: Axes = (0..value.labels.len()).filter(|axis| left.next_if_eq(&axis).is_none()).collect();
        let labels = kept.iter().map(|&axis| value.labels[axis]).collect();
        let shape = kept.iter().map(|&axis| value.shape[axis]).collect();
        self.push(op, labels, shape, layout)
    }

    fn reduce_sum(&mut self, input: ValueId, axes: Axes) -> ValueId {
        if axes.is_empty() {
            return input;
        }
        let layout = Layout::row_major(self.labels(input).len() - axes.len());
        self.drop_axes(input, &axes.clone(), Op::ReduceSum { input, axes }, layout)
    }

    /// Axes of extent 1 whose label measures more in `other`.
    fn squeeze(&mut self, input: ValueId, other: ValueId) -> ValueId {
        let (value, facing) = (&self.values[input.index()], &self.values[other.index()]);
        let places = Lookup::new(&facing.labels);
        let meets_more = |axis: usize| places.first(value.labels[axis]).is_some_and(|met| facing.shape[met] != 1);
        let axes: Axes = (0..value.labels.len()).filter(|&axis| value.shape[axis] == 1 && meets_more(axis)).collect();
        if axes.is_empty() {
            return input;
        }
        self.drop_axes(input, &axes.clone(), Op::Squeeze { input, axes }, Layout::View)
    }

    /// Sums axes whose label occurs once here, not in `other`, and is needed by nobody else.
    fn sum_lone(&mut self, input: ValueId, other: &Lookup<'_>, result: &Lookup<'_>) -> ValueId {
        let labels = self.labels(input);
        let own = Lookup::new(labels);
        let is_lone = |&label: &Label| own.count(label) == 1 && !other.contains(label) && !result.contains(label);
        let axes: Axes = (0..labels.len()).filter(|&axis| is_lone(&labels[axis])).collect();
        self.reduce_sum(input, axes)
    }

    /// Diagonals of repeated labels, in order of first occurrence; one that nobody needs is summed at once.
    fn diagonals(&mut self, mut input: ValueId, other: &Lookup<'_>, result: &Lookup<'_>) -> ValueId {
        let repeated: Vec<Label> = {
            let labels = self.labels(input);
            let own = Lookup::new(labels);
            distinct(labels).iter().copied().filter(|&label| own.count(label) > 1).collect()
        };
        for label in repeated {
            let axes: Axes = (0..self.labels(input).len()).filter(|&axis| self.labels(input)[axis] == label).collect();
            let Some((&last, dropped)) = axes.split_last() else { continue };
            let kept = last - dropped.len();
            input = self.drop_axes(input, dropped, Op::Diagonal { input, axes: axes.clone() }, Layout::View);
            if !other.contains(label) && !result.contains(label) {
                input = self.reduce_sum(input, Axes::from_slice(&[kept]));
            }
        }
        input
    }

    fn transpose(&mut self, input: ValueId, result: &[Label]) -> ValueId {
        let value = &self.values[input.index()];
        let places = Lookup::new(&value.labels);
        let permutation: Axes = result.iter().filter_map(|&label| places.first(label)).collect();
        if permutation.iter().copied().eq(0..result.len()) {
            return input;
        }
        let shape = permutation.iter().map(|&axis| value.shape[axis]).collect();
        self.push(Op::Transpose { input, permutation }, result.iter().copied().collect(), shape, Layout::View)
    }

    fn single(&mut self, input: ValueId, result: &[Label]) -> ValueId {
        let (nothing, needed) = (Lookup::Few(&[]), Lookup::new(result));
        let input = self.sum_lone(input, &nothing, &needed);
        let input = self.diagonals(input, &nothing, &needed);
        self.transpose(input, result)
    }

    fn pair(&mut self, earlier: ValueId, later: ValueId, result: &[Label]) -> ValueId {
        let p = self.squeeze(later, earlier);
        let q = self.squeeze(earlier, p);
        let needed = Lookup::new(result);
        let (p_labels, q_labels) = (self.values[p.index()].labels.clone(), self.values[q.index()].labels.clone());
        let p = self.sum_lone(p, &Lookup::new(&q_labels), &needed);
        let q = self.sum_lone(q, &Lookup::new(&p_labels), &needed);
        let q_labels = self.values[q.index()].labels.clone();
        let p = self.diagonals(p, &Lookup::new(&q_labels), &needed);
        let p_labels = self.values[p.index()].labels.clone();
        let q = self.diagonals(q, &Lookup::new(&p_labels), &needed);
        let product = self.call(q, p, result);
        self.transpose(product, result)
    }

    fn call(&mut self, earlier: ValueId, later: ValueId, result: &[Label]) -> ValueId {
        let (q, p) = (self.values[earlier.index()].labels.clone(), self.values[later.index()].labels.clone());
        let (in_q, in_p, needed) = (Lookup::new(&q), Lookup::new(&p), Lookup::new(result));
        let batch: Vec<Label> =
            result.iter().copied().filter(|&label| in_q.contains(label) && in_p.contains(label)).collect();
        // JAX sorts these; an unsorted list would change the accumulation order and the golden values.
        let mut contracting: Vec<Label> =
            q.iter().copied().filter(|&label| in_p.contains(label) && !needed.contains(label)).collect();
        contracting.sort_unstable_by_key(|label| sum_order(&self.leading, *label));
        let orientation = orient(&batch, &q, &p, result);
        let ((lhs, left), (rhs, right)) = orientation.sides((earlier, &q), (later, &p));
        let (in_left, in_right) = orientation.sides(&in_q, &in_p);
        let pairs = |labels: &[Label]| -> Vec<(usize, usize)> {
            labels.iter().filter_map(|&label| Some((in_left.first(label)?, in_right.first(label)?))).collect()
        };
        let dims = DimensionNumbers::from_distinct(pairs(&batch), pairs(&contracting));
        let free = |labels: &Subscript, axes: Axes| -> Vec<Label> { axes.iter().map(|&axis| labels[axis]).collect() };
        let labels: Subscript = batch
            .iter()
            .copied()
            .chain(free(left, dims.lhs_free(left.len())))
            .chain(free(right, dims.rhs_free(right.len())))
            .collect();
        let size = |value: ValueId, axis: Option<usize>| axis.map(|axis| self.values[value.index()].shape[axis]);
        let extent = |&label: &Label| {
            size(lhs, in_left.first(label))
                .or_else(|| size(rhs, in_right.first(label)))
                .expect("a label of a result is on one of the sides")
        };
        let shape: Shape = labels.iter().map(extent).collect();
        let layout = Layout::row_major(labels.len());
        self.push(Op::DotGeneral { lhs, rhs, dims, orientation }, labels, shape, layout)
    }
}
