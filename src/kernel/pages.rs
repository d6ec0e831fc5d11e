#![allow(unsafe_code, reason = "a call to the operating system takes a pointer")]
//! What the operating system is told of the memory of large arrays.

use std::mem::MaybeUninit;

/// Bytes of a large page.
#[cfg(target_os = "linux")]
const PAGE: usize = 2 << 20;

/// Asks for large pages where an array is to be written for the first time: thousands of small ones, each of which the
/// system fills with zeros when it is first touched, take longer than the product that is written to them.
#[cfg(target_os = "linux")]
pub(super) fn advise<O>(room: &[MaybeUninit<O>]) {
    let start = room.as_ptr().addr().next_multiple_of(PAGE);
    let end = (room.as_ptr().addr() + size_of_val(room)) / PAGE * PAGE;
    if end <= start {
        return;
    }
    let first = room.as_ptr().with_addr(start).cast_mut().cast();
    // SAFETY: whole pages within memory that is the caller's. The advice changes no byte of it; where it cannot be
    // followed, nothing is lost.
    let _ = unsafe { rustix::mm::madvise(first, end - start, rustix::mm::Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
pub(super) fn advise<O>(_: &[MaybeUninit<O>]) {}
