//! When the steps of a plan run: once, or in loops over sliced labels.
//!
//! In come steps and the labels to slice; out goes a program of steps and loops. A label that the output has is a loop
//! around everything, whose passes make its parts. A label that a call sums is a loop around that call and what it is made
//! of, whose passes add to its result. A step stands inside the loops around its reader down to the innermost one whose
//! label its value still has, so that what does not depend on a loop is made once before it; of the loops of one call each
//! is inside those whose labels come before its own in the order in which terms are added.
//!
//! A plan keeps its sliced labels and nothing of this: it follows from them, and a loaded plan cannot contradict it. "Once,
//! per slice, after" is too coarse to run by, since loops nest, but it is true, and [`Group`] still says it of each step.

use smallvec::SmallVec;

use crate::equation::Label;
use crate::sizes::{Shape, Sizes};

use super::dims::Axes;
use super::plan::{Group, Op, Plan, Slice, Step, Value, ValueId};

/// A part of the program that a plan is.
///
/// ```
/// use qeinsum::{QEinsum, Stage};
/// let qe = QEinsum::new("ij,jk,kl->il")?.with_path("(0,1) (0,1)".parse()?).with_slices(&["l"]);
/// let schedule = qe.plan(&[&[2, 3], &[3, 4], &[4, 5]])?.schedule();
/// assert_eq!(schedule[0], Stage::Step(0)); // the first product has no `l`
/// assert!(matches!(&schedule[1], Stage::Loop(over_l) if over_l.body() == [Stage::Step(1)]));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// A step, by its position in [`Plan::steps`].
    Step(usize),
    /// A loop.
    Loop(Loop),
}

/// A loop over the indices of a label.
///
/// In its passes every value that has the label has extent 1 there. The loop of a label that is summed ends with the call
/// that sums it, or with the next loop of that call; one of a label of the output ends with the output's last step, or with
/// the next loop of the output.
///
/// ```
/// use qeinsum::{Gathering, QEinsum, Stage};
/// let qe = QEinsum::new("ij,jk,kl->il")?.with_path("(0,1) (0,1)".parse()?).with_slices(&["l"]);
/// let schedule = qe.plan(&[&[2, 3], &[3, 4], &[4, 5]])?.schedule();
/// let Stage::Loop(over_l) = &schedule[1] else { unreachable!("the second step is in the loop") };
/// assert_eq!((over_l.slice().size, over_l.gathering()), (5, Gathering::Along(1)));
/// assert_eq!((over_l.result().to_string(), over_l.reads().len()), ("%4".to_owned(), 2)); // `%3` and `%2`
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Loop {
    pub(crate) slice: Slice,
    pub(crate) gathering: Gathering,
    pub(crate) result: ValueId,
    pub(crate) reads: Vec<Read>,
    pub(crate) body: Vec<Stage>,
}

/// What becomes of the passes of a loop.
///
/// ```
/// use qeinsum::{Gathering, QEinsum, Stage};
/// let qe = QEinsum::new("ij,jk,kl->il")?.with_path("(0,1) (0,1)".parse()?).with_slices(&["l"]);
/// let schedule = qe.plan(&[&[2, 3], &[3, 4], &[4, 5]])?.schedule();
/// let Stage::Loop(over_l) = &schedule[1] else { unreachable!("the second step is in the loop") };
/// assert_eq!(over_l.gathering(), Gathering::Along(1)); // a column of the output from each pass
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Gathering {
    /// They are added.
    Sum,
    /// Each is the part of the output at its index on this axis.
    Along(usize),
}

/// A value from outside a loop that its body reads.
///
/// ```
/// use qeinsum::{QEinsum, Read, Stage};
/// let qe = QEinsum::new("ij,jk,kl->il")?.with_path("(0,1) (0,1)".parse()?).with_slices(&["l"]);
/// let schedule = qe.plan(&[&[2, 3], &[3, 4], &[4, 5]])?.schedule();
/// let Stage::Loop(over_l) = &schedule[1] else { unreachable!("the second step is in the loop") };
/// let Read { value, axes } = over_l.reads().iter().find(|read| !read.axes.is_empty()).expect("operand 2 has `l`");
/// assert_eq!((value.to_string(), axes.as_slice()), ("%2".to_owned(), &[1][..]));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Read {
    /// The value.
    pub value: ValueId,
    /// Its axes that are read at the index of the pass: several before their diagonal is taken, none where it broadcasts.
    pub axes: Axes,
}

impl Loop {
    /// The label and its size.
    pub fn slice(&self) -> Slice {
        self.slice
    }

    /// What becomes of its passes.
    pub fn gathering(&self) -> Gathering {
        self.gathering
    }

    /// The value that its passes make together.
    pub fn result(&self) -> ValueId {
        self.result
    }

    /// What its body reads from outside.
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// What runs in each pass, in order.
    pub fn body(&self) -> &[Stage] {
        &self.body
    }

    /// Whether the passes of a loop within this one make what those of this one make. A loop that joins parts may have one
    /// within it that adds up each part: both have the same result.
    pub(crate) fn goes_on_in(&self, inner: &Self) -> bool {
        self.result == inner.result && (self.gathering == Gathering::Sum) == (inner.gathering == Gathering::Sum)
    }

    /// The loop within it that goes on with what it makes.
    pub(crate) fn next(&self) -> Option<&Self> {
        match self.body.last() {
            Some(Stage::Loop(inner)) if self.goes_on_in(inner) => Some(inner),
            _ => None,
        }
    }

    /// How often the innermost of the loops that go on in it runs.
    pub(crate) fn passes(&self) -> usize {
        std::iter::successors(Some(self), |around| around.next()).map(|each| each.slice.size).product()
    }

    /// Whether no loop within it goes on with what it makes; one that does is the last of its body.
    pub(crate) fn is_innermost(&self) -> bool {
        self.next().is_none()
    }
}

/// The loops of steps.
pub(super) struct Loops {
    /// By step, those that it runs in, outermost first.
    around: Vec<Vec<Label>>,
    /// By step, how many of them, the last ones, are of what it sums.
    own: Vec<usize>,
}

impl Loops {
    /// The loops of `steps`, which make `values` of these labels and of these shapes where nothing is sliced.
    pub(super) fn new(
        (sizes, output): (&Sizes, ValueId),
        steps: &[Step],
        values: &[Value],
        whole: &[Shape],
        slices: &[Label],
    ) -> Self {
        let mut readers = vec![None; values.len()];
        for (number, step) in steps.iter().enumerate() {
            step.op.inputs().for_each(|input| readers[input.index()] = Some(number));
        }
        let is_open = |id: ValueId, label: Label| {
            let mut axes = values[id.index()].labels.iter().zip(&whole[id.index()]);
            axes.any(|(&each, &size)| each == label && size == sizes.extent(label))
        };
        let sliced = |labels: &[Label]| -> Vec<Label> {
            labels.iter().copied().filter(|label| slices.contains(label)).collect()
        };
        let output = sliced(&values[output.index()].labels);
        let mut loops = Self { around: vec![Vec::new(); steps.len()], own: vec![0; steps.len()] };
        for (number, step) in steps.iter().enumerate().rev() {
            let outer = readers[step.result.index()].map_or(&output, |reader: usize| &loops.around[reader]);
            let innermost = outer.iter().rposition(|&label| is_open(step.result, label));
            let mut around = outer[..innermost.map_or(0, |innermost| innermost + 1)].to_vec();
            if let Op::DotGeneral { lhs, dims, .. } = &step.op {
                let labels = &values[lhs.index()].labels;
                let summed: Vec<Label> = dims.contracting().iter().map(|pair| labels[pair.0]).collect();
                let mut own = sliced(&summed);
                loops.own[number] = own.len();
                around.append(&mut own);
            }
            loops.around[number] = around;
        }
        loops
    }

    /// The loops that a step runs in, outermost first.
    pub(super) fn around(&self, step: usize) -> &[Label] {
        &self.around[step]
    }

    /// The labels that calls sum, in the order of the calls, and of one call in the order of its loops.
    pub(super) fn summed(&self) -> impl Iterator<Item = Label> + '_ {
        self.around.iter().zip(&self.own).flat_map(|(around, own)| around[around.len() - own..].iter().copied())
    }

    /// The shape that the result of a step has where it is made: 1 along the labels of its loops.
    pub(super) fn shape(&self, step: usize, labels: &[Label], whole: &[usize]) -> Shape {
        let size = |(label, &size): (&Label, &usize)| if self.around[step].contains(label) { 1 } else { size };
        labels.iter().zip(whole).map(size).collect()
    }

    /// When each step runs.
    pub(super) fn groups(&self, steps: &[Step]) -> Vec<Group> {
        let operands = steps.first().map_or(0, |step| step.result.index());
        let mut groups: Vec<Group> = Vec::with_capacity(steps.len());
        for (number, step) in steps.iter().enumerate() {
            // Outside all loops only what a loop made together can be read, or what was made of that.
            let gathered =
                |input: ValueId| input.index().checked_sub(operands).is_some_and(|step| groups[step] != Group::Once);
            groups.push(match self.around[number].as_slice() {
                [] if step.op.inputs().any(gathered) => Group::After,
                [] => Group::Once,
                _ => Group::PerSlice,
            });
        }
        groups
    }
}

/// The shapes of all values where nothing is sliced.
pub(super) fn whole_shapes(operands: &[Shape], steps: &[Step]) -> Vec<Shape> {
    let mut shapes = operands.to_vec();
    for step in steps {
        let of = |input: ValueId| &shapes[input.index()];
        let without = |input: ValueId, axes: &[usize]| -> Shape {
            of(input).iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &size)| size).collect()
        };
        let shape = match &step.op {
            Op::Squeeze { input, axes } | Op::ReduceSum { input, axes } => without(*input, axes),
            Op::Diagonal { input, axes } => without(*input, axes.split_last().map_or(&[], |(_, dropped)| dropped)),
            Op::Transpose { input, permutation } => permutation.iter().map(|&axis| of(*input)[axis]).collect(),
            Op::DotGeneral { lhs, rhs, dims, .. } => {
                dims.output_shape(of(*lhs), of(*rhs)).expect("a call's sides fit each other")
            }
        };
        shapes.push(shape);
    }
    shapes
}

impl Plan {
    /// The program that the plan is: its steps in order, and those of slices in loops.
    ///
    /// ```
    /// use qeinsum::{Gathering, QEinsum, Stage};
    /// let qe = QEinsum::new("ij,jk,kl->il")?.with_path("(0,1) (0,1)".parse()?).with_slices(&["k"]);
    /// let plan = qe.plan(&[&[2, 3], &[3, 4], &[4, 5]])?;
    /// let [Stage::Loop(over_k)] = &plan.schedule()[..] else { panic!("all steps are in the loop") };
    /// assert_eq!((over_k.slice().size, over_k.gathering()), (4, Gathering::Sum));
    /// assert_eq!(over_k.body(), [Stage::Step(0), Stage::Step(1)]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn schedule(&self) -> Vec<Stage> {
        if self.slices.is_empty() {
            return (0..self.steps.len()).map(Stage::Step).collect();
        }
        let whole = whole_shapes(self.sizes.shapes(), &self.steps);
        let slices: Vec<Label> = self.slices.iter().map(|slice| slice.label).collect();
        let loops = Loops::new((&self.sizes, self.output), &self.steps, &self.values, &whole, &slices);
        let mut root = Node::default();
        for (number, around) in loops.around.iter().enumerate() {
            let outputs = around.len() - loops.own[number];
            let mut node = &mut root;
            for &label in around {
                node = node.enter(label);
            }
            node.steps.push(number);
            // A call is the last step of its loops.
            let mut node = &mut root;
            for (depth, &label) in around.iter().enumerate() {
                node = node.enter(label);
                if depth >= outputs {
                    node.sums = Some(number);
                }
            }
        }
        let schedule = root.stages(self);
        debug_assert!(covers(&schedule, self.steps.len()), "{schedule:?}");
        schedule
    }
}

/// The steps of a loop, and the loops within it.
#[derive(Default)]
struct Node {
    steps: Vec<usize>,
    loops: Vec<(Label, Node)>,
    /// The call that sums its label; none where the output has it.
    sums: Option<usize>,
}

impl Node {
    fn enter(&mut self, label: Label) -> &mut Self {
        let at = self.loops.iter().position(|(each, _)| *each == label).unwrap_or_else(|| {
            self.loops.push((label, Self::default()));
            self.loops.len() - 1
        });
        &mut self.loops[at].1
    }

    /// The last step in it, after which nothing in it can come.
    fn last(&self) -> usize {
        let inner = self.loops.iter().map(|(_, node)| node.last());
        self.steps.iter().copied().chain(inner).max().unwrap_or(0)
    }

    fn all_steps(&self, into: &mut Vec<usize>) {
        into.extend(&self.steps);
        self.loops.iter().for_each(|(_, node)| node.all_steps(into));
    }

    /// A loop comes where its last step would: all that it reads was made before that, and what reads it comes later.
    fn stages(self, plan: &Plan) -> Vec<Stage> {
        let mut stages: Vec<(usize, Stage)> = self.steps.iter().map(|&step| (step, Stage::Step(step))).collect();
        for (label, node) in self.loops {
            stages.push((node.last(), Stage::Loop(node.into_loop(label, plan))));
        }
        stages.sort_by_key(|(last, _)| *last);
        stages.into_iter().map(|(_, stage)| stage).collect()
    }

    fn into_loop(self, label: Label, plan: &Plan) -> Loop {
        let mut steps = Vec::new();
        self.all_steps(&mut steps);
        steps.sort_unstable();
        let operands = plan.equation.operands().len();
        let made =
            |id: ValueId| id.index().checked_sub(operands).is_some_and(|step| steps.binary_search(&step).is_ok());
        let inputs: SmallVec<[ValueId; 16]> = steps.iter().flat_map(|&step| plan.steps[step].op.inputs()).collect();
        let read = |value: ValueId| {
            let has = plan.values[value.index()].labels.iter().zip(&plan.values[value.index()].shape);
            let axes = has.enumerate().filter(|(_, (each, size))| **each == label && **size != 1).map(|(axis, _)| axis);
            Read { value, axes: axes.collect() }
        };
        let mut reads: Vec<Read> = inputs.into_iter().filter(|&id| !made(id)).map(read).collect();
        reads.sort_by_key(|read| read.value);
        let (gathering, result) = if let Some(call) = self.sums {
            (Gathering::Sum, plan.steps[call].result)
        } else {
            let axis = plan.equation.output().iter().position(|each| *each == label);
            (Gathering::Along(axis.expect("what no call sums the output has")), plan.output)
        };
        let slice = Slice { label, size: plan.sizes.extent(label) };
        Loop { slice, gathering, result, reads, body: self.stages(plan) }
    }
}

/// Whether every step is there once.
fn covers(stages: &[Stage], steps: usize) -> bool {
    fn collect(stages: &[Stage], into: &mut Vec<usize>) {
        for stage in stages {
            match stage {
                Stage::Step(step) => into.push(*step),
                Stage::Loop(inner) => collect(&inner.body, into),
            }
        }
    }
    let mut all = Vec::new();
    collect(stages, &mut all);
    all.sort_unstable();
    all.into_iter().eq(0..steps)
}
