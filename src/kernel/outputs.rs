#![allow(unsafe_code, reason = "threads write outputs of one array, each its own")]
//! The outputs of a product, which its parts write side by side.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use ndarray::{Array1, ArrayD, s};

use super::order::Order;

/// Outputs that are not there yet.
///
/// Several threads may hold this at once: what each of them writes is its own by the promise that every write makes.
pub(crate) struct Outputs<'a, O> {
    first: *mut MaybeUninit<O>,
    len: usize,
    array: PhantomData<&'a mut [MaybeUninit<O>]>,
}

// SAFETY: outputs are reached through the functions below only, whose callers promise that no two of them meet.
unsafe impl<O: Send> Send for Outputs<'_, O> {}
// SAFETY: as above.
unsafe impl<O: Send> Sync for Outputs<'_, O> {}

impl<'a, O: Copy> Outputs<'a, O> {
    pub(super) fn new(outputs: &'a mut [MaybeUninit<O>]) -> Self {
        Self { first: outputs.as_mut_ptr(), len: outputs.len(), array: PhantomData }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Those of a range.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody else reaches any of them.
    #[allow(clippy::mut_from_ref, reason = "the caller promises what the compiler cannot see")]
    #[inline(always)]
    pub(super) unsafe fn range(&self, range: Range<usize>) -> &mut [MaybeUninit<O>] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: within the array that this was made of, and the caller's alone.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(range.start), range.end - range.start) }
    }

    /// Where those of a range are.
    pub(super) fn pointer(&self, range: Range<usize>) -> *mut O {
        assert!(range.start <= range.end && range.end <= self.len);
        self.first.wrapping_add(range.start).cast()
    }

    /// Writes one of them.
    ///
    /// # Safety
    ///
    /// Nobody else reaches it meanwhile.
    #[inline(always)]
    pub(super) unsafe fn write(&self, at: usize, output: O) {
        assert!(at < self.len);
        // SAFETY: within the array that this was made of, and the caller's alone.
        unsafe { self.first.add(at).write(MaybeUninit::new(output)) }
    }
}

impl<O: Copy> Outputs<'_, O> {
    /// Reads one of them.
    ///
    /// # Safety
    ///
    /// It was written, and nobody writes it meanwhile.
    #[inline(always)]
    pub(super) unsafe fn read(&self, at: usize) -> O {
        assert!(at < self.len);
        // SAFETY: within the array that this was made of, and written, as the caller says.
        unsafe { self.first.add(at).cast::<O>().read() }
    }
}

/// Outputs that are there, to go on from.
///
/// # Safety
///
/// What is written to them are outputs.
pub(super) unsafe fn made<O: Copy>(outputs: &mut [O]) -> &mut [MaybeUninit<O>] {
    // SAFETY: of the same layout, and as the caller says.
    unsafe { &mut *(std::ptr::from_mut(outputs) as *mut [MaybeUninit<O>]) }
}

/// Bytes of a line of a cache, at which arrays that are not small begin: a vector of outputs is then one line.
const LINE: usize = 64;

/// Bytes of an array so small that it is all the same where it begins.
const SMALL: usize = 4096;

/// A new array of this shape, in this order in memory, of the outputs that `fill` writes.
///
/// # Safety
///
/// `fill` writes all of them.
pub(super) unsafe fn array<O: Copy>(shape: &[usize], order: &Order, fill: impl FnOnce(&Outputs<'_, O>)) -> ArrayD<O> {
    let len: usize = shape.iter().product();
    let bytes = len * size_of::<O>();
    let spare = if bytes <= SMALL { 0 } else { LINE / size_of::<O>() };
    let mut elements: Vec<O> = Vec::with_capacity(len + spare);
    let room = elements.spare_capacity_mut();
    let skipped = if spare == 0 { 0 } else { room.as_ptr().align_offset(LINE).min(spare) };
    super::pages::advise(&room[..len + spare]);
    let outputs = &mut room[skipped..skipped + len];
    fill(&Outputs::new(outputs));
    let Some(&mut any) = outputs.first_mut() else { return order.array(shape, Array1::from_vec(Vec::new())) };
    for beside in 0..spare {
        let at = if beside < skipped { beside } else { beside + len };
        room[at] = any;
    }
    // SAFETY: there is room for them; the caller vouches for the outputs, and what lies beside them are copies of one.
    unsafe { elements.set_len(len + spare) };
    let mut elements = Array1::from_vec(elements);
    if spare > 0 {
        elements = elements.slice_move(s![skipped..skipped + len]);
    }
    order.array(shape, elements)
}
