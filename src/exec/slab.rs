//! What a plan in slices reads of a stored operand at a time.

use std::ops::Range;

use crate::dtype::Dtype;
use crate::kernel::Element;
use crate::lower::{Axes, Plan, Stage, ValueId};
use crate::stored::{Stored, whole};

impl Plan {
    /// What the first pass of an outermost loop reads of an operand that is [`Stored`], and others as much; none where a run reads
    /// all of it at once.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[100, 20], &[20, 30]])?;
    /// assert_eq!(plan.slab(0), None);
    /// let sliced = plan.with_slices(&["i"])?;
    /// assert_eq!(sliced.slab(0), Some(vec![0..1, 0..20])); // a row
    /// assert_eq!(sliced.slab(1), None); // every pass reads all of it
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn slab(&self, operand: usize) -> Option<Vec<Range<usize>>> {
        let shape = self.sizes().shapes().get(operand)?;
        Some(slab(shape, Slabs::new(self).axes(ValueId::new(operand))?, 0))
    }
}

/// The part of an array at one index of some axes.
pub(super) fn slab(shape: &[usize], axes: &[usize], index: usize) -> Vec<Range<usize>> {
    let mut part = whole(shape);
    for &axis in axes {
        part[axis] = index..index + 1;
    }
    part
}

/// The operands of which the passes of an outermost loop read a slab each.
pub(super) struct Slabs(Vec<(ValueId, Axes)>);

impl Slabs {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut slabs = Vec::new();
        for stage in plan.schedule() {
            // What is the same in all passes is read before them.
            let Stage::Loop(outermost) = stage else { continue };
            let reads = outermost.reads().iter().filter(|read| !read.axes.is_empty());
            slabs.extend(reads.map(|read| (read.value, read.axes.clone())));
        }
        Self(slabs)
    }

    fn axes(&self, operand: ValueId) -> Option<&Axes> {
        self.0.iter().find(|(value, _)| *value == operand).map(|(_, axes)| axes)
    }

    /// Whether slabs of an operand are read, and not all of it at once.
    pub(super) fn are_read_of<T>(&self, operand: ValueId, stored: &dyn Stored<T>) -> bool {
        self.axes(operand).is_some_and(|axes| stored.reads_only(&slab(stored.shape(), axes, 0)))
    }
}

/// The bytes that a run in slices has of these stored operands at a time.
pub(crate) fn held_bytes<T: Element>(plan: &Plan, stored: &[(ValueId, &dyn Stored<T>)]) -> u64 {
    let slabs = Slabs::new(plan);
    let bytes = stored.iter().map(|(id, stored)| {
        let axes = slabs.axes(*id).filter(|_| slabs.are_read_of(*id, *stored));
        slab_bytes(stored.shape(), axes, T::DTYPE)
    });
    bytes.fold(0, u64::saturating_add)
}

fn slab_bytes(shape: &[usize], axes: Option<&Axes>, dtype: Dtype) -> u64 {
    let sizes = shape.iter().enumerate();
    let held = sizes.map(|(axis, &size)| if axes.is_some_and(|axes| axes.contains(&axis)) { 1 } else { size as u64 });
    held.fold(dtype.bytes() as u64, u64::saturating_mul)
}
