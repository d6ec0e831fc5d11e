//! The lowered program: values, steps, and what the planner knew when it chose their order.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dtype::Dtype;
use crate::equation::{Equation, Label, Subscript};
use crate::path::{Certificate, Cost, Found, Objective, Path, PathCost};
use crate::sizes::{Shape, Sizes};

use super::dims::{Axes, DimensionNumbers};
use super::orient::Orientation;
use super::peak::bytes_of;

/// A value of a plan: `%0`, `%1`, … Operands come first, in the order written.
///
/// ```
/// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan(&[&[2, 3], &[3, 4]])?;
/// let output = plan.output();
/// assert_eq!((output.to_string(), output.index()), ("%2".to_owned(), 2));
/// assert_eq!(plan.value(output), &plan.values()[2]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueId(u32);

impl ValueId {
    pub(crate) const fn new(index: usize) -> Self {
        Self(index as u32)
    }

    /// Position of the value in [`Plan::values`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// What a value is: its labels, its shape, its element type and how it lies in memory.
///
/// ```
/// use qeinsum::{Dtype, Layout, QEinsum};
/// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[2, 3], &[3, 4]])?;
/// let product = plan.value(plan.output());
/// assert_eq!(plan.equation().subscript(product.labels()), "ik");
/// assert_eq!((product.shape(), product.dtype()), (&[2, 4][..], Dtype::F32));
/// assert!(matches!(product.layout(), Layout::Dense(_)));
/// assert_eq!((product.elements(), product.bytes_in(Dtype::F64)), (Some(8), Some(64)));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Value {
    pub(crate) labels: Subscript,
    pub(crate) shape: Shape,
    pub(crate) dtype: Dtype,
    pub(crate) layout: Layout,
}

impl Value {
    /// The label of each axis.
    pub fn labels(&self) -> &Subscript {
        &self.labels
    }

    /// The extent of each axis. An axis may be 1 where its label measures more elsewhere.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// How the value lies in memory.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The number of elements; none when that is more than can be counted in 64 bits.
    pub fn elements(&self) -> Option<u64> {
        self.shape.iter().try_fold(1_u64, |elements, &size| elements.checked_mul(size as u64))
    }

    /// The bytes of these elements in a type; none when that is more than can be counted in 64 bits.
    pub fn bytes_in(&self, dtype: Dtype) -> Option<u64> {
        bytes_of(&self.shape, dtype)
    }
}

/// How a value lies in memory.
///
/// ```
/// use qeinsum::{Layout, QEinsum};
/// let plan = QEinsum::new("ij->ji")?.plan(&[&[2, 3]])?;
/// let layouts: Vec<&Layout> = plan.values().iter().map(|value| value.layout()).collect();
/// assert_eq!(layouts, [&Layout::Operand, &Layout::View]); // nothing is moved
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// Its own memory without gaps: axes from the slowest to the fastest.
    Dense(Axes),
    /// The caller's array, with whatever strides it has.
    Operand,
    /// A view of the value that it was made from: no memory of its own.
    View,
}

impl Layout {
    pub(crate) fn row_major(rank: usize) -> Self {
        Self::Dense((0..rank).collect())
    }
}

/// One operation on arrays. Closed on purpose: whoever runs, prints or checks a plan handles each.
///
/// ```
/// use qeinsum::{Op, QEinsum};
/// let plan = QEinsum::new("iij,jk->ki")?.plan(&[&[2, 2, 3], &[3, 4]])?;
/// let words: Vec<&str> = plan
///     .steps()
///     .iter()
///     .map(|step| match step.op() {
///         Op::Squeeze { .. } => "squeeze",
///         Op::ReduceSum { .. } => "reduce_sum",
///         Op::Diagonal { .. } => "diagonal",
///         Op::DotGeneral { .. } => "dot_general",
///         Op::Transpose { .. } => "transpose",
///     })
///     .collect();
/// assert_eq!(words, ["diagonal", "dot_general"]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// Drops axes of extent 1 whose label measures more in the other operand.
    Squeeze {
        /// The value squeezed.
        input: ValueId,
        /// The axes dropped, rising.
        axes: Axes,
    },
    /// Sums over axes whose labels nobody else has.
    ReduceSum {
        /// The value summed.
        input: ValueId,
        /// The axes summed, rising.
        axes: Axes,
    },
    /// Takes the diagonal over axes of one label; the last of them stays.
    Diagonal {
        /// The value whose diagonal is taken.
        input: ValueId,
        /// The axes of the repeated label, rising.
        axes: Axes,
    },
    /// A call: multiplies two values and sums over the contracting axes.
    DotGeneral {
        /// The left side.
        lhs: ValueId,
        /// The right side.
        rhs: ValueId,
        /// Which axes belong together.
        dims: DimensionNumbers,
        /// Which of the step's operands the left side is.
        orientation: Orientation,
    },
    /// Puts axes in another order.
    Transpose {
        /// The value transposed.
        input: ValueId,
        /// Axis `i` of the result is axis `permutation[i]` of the input.
        permutation: Axes,
    },
}

impl Op {
    /// The values that the operation reads, lhs first.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("ij,jk->ki")?.plan(&[&[2, 3], &[3, 4]])?;
    /// let inputs: Vec<String> = plan.steps()[0].op().inputs().map(|input| input.to_string()).collect();
    /// assert_eq!(inputs, ["%1", "%0"]); // swapped: the lhs is operand 1
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn inputs(&self) -> impl Iterator<Item = ValueId> + use<> {
        let (first, second) = match *self {
            Self::Squeeze { input, .. }
            | Self::ReduceSum { input, .. }
            | Self::Diagonal { input, .. }
            | Self::Transpose { input, .. } => (input, None),
            Self::DotGeneral { lhs, rhs, .. } => (lhs, Some(rhs)),
        };
        std::iter::once(first).chain(second)
    }
}

/// When a step of a plan runs; [`Plan::schedule`] says in which loops.
///
/// ```
/// use qeinsum::{Group, QEinsum};
/// let qe = QEinsum::new("ij,jk,kl->il")?.with_path("(0,1) (0,1)".parse()?).with_slices(&["l"]);
/// let plan = qe.plan(&[&[2, 3], &[3, 4], &[4, 5]])?;
/// let groups: Vec<Group> = plan.steps().iter().map(|step| step.group()).collect();
/// assert_eq!(groups, [Group::Once, Group::PerSlice]); // the first product has no `l`
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Once, before any slice: it depends on no sliced label. All steps of a plan without slices.
    Once,
    /// In a loop over slices.
    PerSlice,
    /// Once, after the slices of something that goes into it have been put together.
    After,
}

/// One line of a plan.
///
/// ```
/// use qeinsum::{Group, Op, QEinsum};
/// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[2, 3], &[3, 4]])?;
/// let [step] = plan.steps() else { unreachable!("two operands are one call") };
/// assert!(matches!(step.op(), Op::DotGeneral { .. }));
/// assert_eq!((step.result(), step.group()), (plan.output(), Group::Once));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    pub(crate) op: Op,
    pub(crate) result: ValueId,
    pub(crate) group: Group,
}

impl Step {
    /// What the step does.
    pub fn op(&self) -> &Op {
        &self.op
    }

    /// The value that it makes.
    pub fn result(&self) -> ValueId {
        self.result
    }

    /// When it runs.
    pub fn group(&self) -> Group {
        self.group
    }
}

/// A label that a plan runs over one index at a time, to need less memory.
///
/// ```
/// use qeinsum::{QEinsum, Slice};
/// let plan = QEinsum::new("ij,jk->ik")?.with_slices(&["j"]).plan(&[&[2, 3], &[3, 4]])?;
/// let [Slice { label, size }] = plan.slices() else { unreachable!("one label is sliced") };
/// assert_eq!((plan.equation().name(*label), *size), ("j", 3));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Slice {
    /// The label.
    pub label: Label,
    /// Its extent: the number of slices it makes.
    pub size: usize,
}

/// A lowered program, bound to sizes.
///
/// `Display` prints it; the same equation, sizes and planner version print the same bytes on every machine.
///
/// ```
/// use qeinsum::QEinsum;
/// let plan = QEinsum::new("bij,bjk->bki")?.plan(&[&[8, 64, 32], &[8, 32, 16]])?;
/// assert_eq!(plan.to_string(), "\
/// einsum bij,bjk->bki
/// sizes b=8 i=64 j=32 k=16
/// path (0,1)
/// %0: [b,i,j]
/// %1: [b,j,k]
/// %2: [b,k,i] = dot_general %1, %0 batch [0]x[0] contract [1]x[2] swapped
/// return %2
/// ; 1 call, 1 swapped, 262144 mul
/// ");
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Plan {
    pub(crate) equation: Equation,
    pub(crate) sizes: Sizes,
    pub(crate) found: Found,
    pub(crate) dtype: Dtype,
    pub(crate) values: Vec<Value>,
    pub(crate) steps: Vec<Step>,
    pub(crate) output: ValueId,
    pub(crate) slices: Vec<Slice>,
}

impl Plan {
    /// The equation that the plan computes.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("...i,i")?.plan(&[&[2, 3], &[3]])?;
    /// assert_eq!(plan.equation().to_string(), "bi,i->b"); // no ellipsis, and an output
    /// assert_eq!(plan.sizes().shapes()[0].as_slice(), [2, 3]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn equation(&self) -> &Equation {
        &self.equation
    }

    /// The sizes that the plan is bound to.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The contraction path that was lowered.
    pub fn path(&self) -> &Path {
        &self.found.path
    }

    /// The path on one line: what to snapshot in a test that guards a contraction order.
    ///
    /// ```
    /// let qe = qeinsum::QEinsum::new("ab,bc,cd,de->ae")?;
    /// let plan = qe.plan(&[&[64, 8], &[8, 64], &[64, 8], &[8, 64]])?;
    /// assert_eq!(plan.order(), "(1,2) (0,2) (0,1)");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn order(&self) -> String {
        self.found.path.to_string()
    }

    /// What the path was chosen to make small.
    ///
    /// ```
    /// use qeinsum::path::{Certificate, Objective};
    /// let plan = qeinsum::QEinsum::new("ab,bc,cd->ad")?.plan(&[&[2, 3], &[3, 4], &[4, 5]])?;
    /// assert_eq!((plan.objective(), plan.certificate()), (Objective::Mul, &Certificate::Optimal));
    /// assert_eq!(plan.path().ssa(), [[0, 1], [2, 3]]);
    /// // Of the calls in order, and of all together.
    /// assert_eq!(plan.cost().per_step[0].multiplications.to_string(), "24");
    /// assert_eq!(plan.multiplications().to_string(), "64");
    /// assert_eq!((plan.calls().count(), plan.swapped_calls()), (2, 2));
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn objective(&self) -> Objective {
        self.found.objective
    }

    /// How good the path is known to be.
    pub fn certificate(&self) -> &Certificate {
        &self.found.certificate
    }

    /// The exact cost of the path and of each of its steps.
    pub fn cost(&self) -> &PathCost {
        &self.found.cost
    }

    /// Scalar multiplications of all calls together.
    pub fn multiplications(&self) -> &Cost {
        &self.found.cost.multiplications
    }

    /// The element type that memory is counted in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// All values: the operands, then one per step.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value named by `id`.
    ///
    /// # Panics
    ///
    /// Where `id` is of a larger plan: an id means something only in the plan that it came from.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// The steps, in the order in which they run.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The value that the plan returns.
    pub fn output(&self) -> ValueId {
        self.output
    }

    /// The labels that the plan runs over one index at a time; none for a plan that is not sliced.
    ///
    /// Those of the output come first, in its order, then those that calls sum, in the order of the calls.
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// The labels that calls sum before others; none, and calls sum in the order of labels.
    ///
    /// ```
    /// let plan = qeinsum::QEinsum::new("abd,bdc->ac")?.plan(&[&[2, 3, 4], &[3, 4, 5]])?;
    /// assert!(plan.leading().is_empty());
    /// let plan = plan.with_leading(&["d"])?;
    /// assert_eq!(plan.equation().subscript(plan.leading()), "d");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn leading(&self) -> &[Label] {
        &self.found.leading
    }

    /// The steps that are calls, in order: the s-th one quantizes with the configuration and key of step s.
    pub fn calls(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| matches!(step.op, Op::DotGeneral { .. }))
    }

    /// By step, how many calls come before it.
    pub(crate) fn calls_before(&self) -> Vec<usize> {
        let calls = self.steps.iter().scan(0, |calls, step| {
            let before = *calls;
            *calls += usize::from(matches!(step.op, Op::DotGeneral { .. }));
            Some(before)
        });
        calls.collect()
    }

    /// The place of the step that makes a value, which is no operand.
    pub(crate) fn step_of(&self, result: ValueId) -> usize {
        result.index() - self.equation.operands().len()
    }

    /// The step that makes a value, which is no operand.
    pub(crate) fn maker(&self, result: ValueId) -> &Step {
        &self.steps[self.step_of(result)]
    }

    /// The terms of each sum that the call makes whose result this is, in all slices together.
    pub(crate) fn terms(&self, result: ValueId) -> usize {
        self.terms_in(result, |slice| slice.size)
    }

    /// The same in one of the slices.
    pub(crate) fn slice_terms(&self, result: ValueId) -> usize {
        self.terms_in(result, |_| 1)
    }

    fn terms_in(&self, result: ValueId, sliced: impl Fn(&Slice) -> usize) -> usize {
        let Op::DotGeneral { lhs, dims, .. } = &self.maker(result).op else { return 1 };
        let side = &self.values[lhs.index()];
        let size = |axis: usize| {
            let slice = self.slices.iter().find(|slice| slice.label == side.labels[axis]);
            slice.map_or(side.shape[axis], &sliced)
        };
        dims.contracting().iter().map(|pair| size(pair.0)).fold(1, usize::saturating_mul)
    }

    /// How many calls have the later operand as their lhs.
    pub fn swapped_calls(&self) -> usize {
        self.calls().filter(|step| matches!(step.op, Op::DotGeneral { orientation: Orientation::Swapped, .. })).count()
    }
}
