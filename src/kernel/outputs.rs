#![allow(unsafe_code, reason = "threads write outputs of one array, each its own")]
//! The outputs of a product, which its parts write side by side.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Outputs that are not there yet.
///
/// Several threads may hold this at once: what each of them writes is its own by the promise that every write makes.
pub(super) struct Outputs<'a, O> {
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

/// As many outputs as `fill` is given, in order.
///
/// # Safety
///
/// `fill` writes all of them.
pub(super) unsafe fn filled<O: Copy>(len: usize, fill: impl FnOnce(&Outputs<'_, O>)) -> Vec<O> {
    let mut outputs = Vec::with_capacity(len);
    fill(&Outputs::new(&mut outputs.spare_capacity_mut()[..len]));
    // SAFETY: there is room for them, and the caller vouches for what is in it.
    unsafe { outputs.set_len(len) };
    outputs
}
