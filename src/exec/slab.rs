//! What a plan in slices reads of a stored operand at a time.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::ArrayD;

use crate::error::Result;
use crate::kernel::Element;
use crate::lower::{Axes, Plan, Stage, ValueId};
use crate::stored::{Stored, read_part, whole};

impl Plan {
    /// What the first pass of an outermost loop reads of an operand that is [`Stored`], and others as much; none where a run reads
    /// all of it at once.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[100, 20], &[20, 30]])?;
    /// assert_eq!(plan.slab(0), None);
    /// let sliced = plan.with_slices(&["i"])?;
    /// let slab = sliced.slab(0).expect("operand 0 has `i`");
    /// assert_eq!((slab.part, slab.held), (vec![0..1, 0..20], 1)); // a row
    /// assert_eq!(sliced.slab(1), None); // every pass reads all of it
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn slab(&self, operand: usize) -> Option<Slab> {
        let shape = self.sizes().shapes().get(operand)?;
        let slabs = Slabs::new(self);
        let of = slabs.of(ValueId::new(operand))?;
        Some(Slab { part: slab(shape, &of.axes, 0), held: of.held() })
    }
}

/// What a pass of an outermost loop reads of an operand that is [`Stored`].
///
/// ```
/// use qeinsum::{QEinsum, Slab};
/// let plan = QEinsum::new("ij,jk->ik")?.with_slices(&["i"]).plan(&[&[100, 8], &[8, 100]])?;
/// let row = Slab { part: vec![0..1, 0..8], held: 1 };
/// assert_eq!(plan.slab(0), Some(row));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slab {
    /// The indices along each axis, in the first pass.
    pub part: Vec<Range<usize>>,
    /// How many such slabs a run has at a time: two where loops within it read the same one, which is then kept for the next.
    pub held: usize,
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
pub(super) struct Slabs(Vec<SlabOf>);

struct SlabOf {
    operand: ValueId,
    axes: Axes,
    /// Whether several passes have the same slab, which may be asked for one after the other.
    is_read_again: bool,
}

impl SlabOf {
    fn held(&self) -> usize {
        1 + usize::from(self.is_read_again)
    }
}

impl Slabs {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut slabs = Vec::new();
        for stage in plan.schedule() {
            // What is the same in all passes is read before them.
            let Stage::Loop(outermost) = stage else { continue };
            let reads = outermost.reads().iter().filter(|read| !read.axes.is_empty());
            let is_read_again = outermost.passes() > outermost.slice().size;
            slabs.extend(reads.map(|read| SlabOf { operand: read.value, axes: read.axes.clone(), is_read_again }));
        }
        Self(slabs)
    }

    fn of(&self, operand: ValueId) -> Option<&SlabOf> {
        self.0.iter().find(|slab| slab.operand == operand)
    }

    /// How slabs of an operand are read, where not all of it is at once.
    fn read<T>(&self, operand: ValueId, stored: &dyn Stored<T>) -> Option<&SlabOf> {
        self.of(operand).filter(|of| stored.reads_only(&slab(stored.shape(), &of.axes, 0)))
    }

    /// What reads slabs of an operand, where not all of it is read at once.
    pub(super) fn reader<'a, T>(&self, operand: ValueId, stored: &'a dyn Stored<T>) -> Option<SlabReader<'a, T>> {
        let of = self.read(operand, stored)?;
        Some(SlabReader { stored, last: of.is_read_again.then(Mutex::default) })
    }
}

/// Reads slabs of a stored operand.
#[derive(Debug)]
pub(crate) struct SlabReader<'a, T> {
    stored: &'a dyn Stored<T>,
    /// The slab that was read last, where it may be asked for again.
    last: Option<Mutex<Last<T>>>,
}

/// A slab and its index.
type Last<T> = Option<(usize, ArrayD<T>)>;

impl<T: Element> SlabReader<'_, T> {
    /// The slab at an index of these axes.
    pub(super) fn read(&self, axes: &[usize], index: usize) -> Result<ArrayD<T>> {
        let read = || read_part(self.stored, &slab(self.stored.shape(), axes, index));
        let Some(last) = &self.last else { return read() };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, array)) = last.as_ref().filter(|(at, _)| *at == index) {
            return Ok(array.clone());
        }
        // The one before is given back first.
        *last = None;
        let array = read()?;
        *last = Some((index, array.clone()));
        Ok(array)
    }
}

/// The bytes that a run in slices has of these stored operands at a time.
pub(crate) fn held_bytes<T: Element>(plan: &Plan, stored: &[(ValueId, &dyn Stored<T>)]) -> u64 {
    let slabs = Slabs::new(plan);
    let bytes = stored.iter().map(|(id, stored)| {
        let (part, held) = match slabs.read(*id, *stored) {
            Some(of) => (slab(stored.shape(), &of.axes, 0), of.held() as u64),
            None => (whole(stored.shape()), 1),
        };
        let unit = held.saturating_mul(T::DTYPE.bytes() as u64);
        part.iter().fold(unit, |bytes, range| bytes.saturating_mul(range.len() as u64))
    });
    bytes.fold(0, u64::saturating_add)
}
