#![allow(unsafe_code, reason = "a call to the operating system takes a pointer")]
//! What the operating system is told of the memory of large arrays.

use std::mem::MaybeUninit;

/// Bytes of a large page.
#[cfg(target_os = "linux")]
const PAGE: usize = 2 << 20;

/// Asks for large pages where an array is to be written for the first time: thousands of small ones, each of which the
/// system fills with zeros when it is first touched, take longer than the product that is written to them; and rows that are packed
/// from an array each lie on a page of their own, which takes longer than to read them.
#[cfg(target_os = "linux")]
pub(crate) fn advise<O>(room: &[MaybeUninit<O>]) {
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
pub(crate) fn advise<O>(_: &[MaybeUninit<O>]) {}

/// Tells the allocator of this process to keep freed memory for later arrays instead of giving it back to the system.
///
/// What was given back is filled with zeros, page by page, when it is taken again, which takes longer than products of a few
/// hundred rows and columns: with GNU's C library, whose default is to give back all but the last two megabytes or so, a
/// backward pass in a loop takes twice as long as it has to. This is for programs that run in loops, and their decision: the
/// process keeps the memory of its largest moment. With other C libraries it does nothing.
///
/// ```
/// qeinsum::keep_freed_memory();
/// ```
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        const TRIM_THRESHOLD: c_int = -1;
        const MMAP_THRESHOLD: c_int = -3;
        /// The largest that the library takes.
        const MOST_MAPPED: c_int = 32 << 20;
        // SAFETY: both parameters are ones that may be set at any time, from any thread; what is refused changes nothing.
        unsafe {
            mallopt(TRIM_THRESHOLD, c_int::MAX);
            mallopt(MMAP_THRESHOLD, MOST_MAPPED);
        }
    }
}
