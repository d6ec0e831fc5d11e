//! What ranks send each other: words, and arrays with their shapes.

use ndarray::{ArrayD, IxDyn};

use crate::error::Result;
use crate::kernel::{self, Element, Tree, Wide};
use crate::ranks::{Communicator, lost};

/// Adds a number.
pub(super) fn put_word(message: &mut Vec<u8>, word: usize) {
    message.extend((word as u64).to_ne_bytes());
}

/// Adds an array, which is in row-major order: its rank, its shape and its elements.
pub(super) fn put_array<T: Element>(message: &mut Vec<u8>, array: &ArrayD<T>) {
    for &size in [array.ndim()].iter().chain(array.shape()) {
        put_word(message, size);
    }
    message.extend(kernel::bytes(array.as_slice().expect("it is in row-major order")));
}

/// Adds the elements of an array as they lie, which whoever takes them knows.
pub(super) fn put_elements<T: Element>(message: &mut Vec<u8>, array: &ArrayD<T>) {
    message.extend(kernel::bytes(array.as_slice_memory_order().expect("it has no gaps")));
}

/// Adds trees.
pub(super) fn put_trees<S: Wide>(message: &mut Vec<u8>, trees: &[Tree<S>]) {
    put_word(message, trees.len());
    for Tree { first, size, sums } in trees {
        put_word(message, *first);
        put_word(message, *size);
        put_elements(message, sums);
    }
}

/// The next number.
pub(super) fn take_word(message: &mut &[u8]) -> Result<usize> {
    let (word, rest) = message.split_first_chunk().ok_or_else(|| lost("a message is cut short"))?;
    *message = rest;
    Ok(u64::from_ne_bytes(*word) as usize)
}

/// The next array.
pub(super) fn take_array<T: Element>(message: &mut &[u8]) -> Result<ArrayD<T>> {
    let rank = take_word(message)?;
    let shape: Vec<usize> = (0..rank).map(|_| take_word(message)).collect::<Result<_>>()?;
    let bytes = shape.iter().try_fold(size_of::<T>(), |bytes, &size| bytes.checked_mul(size));
    // Memory is asked for only where the elements are there.
    let Some(bytes) = bytes.filter(|&bytes| bytes <= message.len()) else { return Err(lost("an array is cut short")) };
    let mut elements = vec![T::ZERO; bytes / size_of::<T>()];
    take_elements(message, &mut elements)?;
    ArrayD::from_shape_vec(IxDyn(&shape), elements).map_err(|_| lost("an array has another shape"))
}

/// The next elements, as many as there is room for.
pub(super) fn take_elements<T: Element>(message: &mut &[u8], room: &mut [T]) -> Result<()> {
    let (own, rest) = message.split_at_checked(size_of_val(room)).ok_or_else(|| lost("elements are cut short"))?;
    kernel::bytes_mut(room).copy_from_slice(own);
    *message = rest;
    Ok(())
}

/// The next trees, whose sums lie as the room for those of each.
pub(super) fn take_trees<S: Wide>(
    message: &mut &[u8],
    room: impl Fn() -> ArrayD<S>,
    mut each: impl FnMut(Tree<S>),
) -> Result<()> {
    for _ in 0..take_word(message)? {
        let (first, size) = (take_word(message)?, take_word(message)?);
        let mut sums = room();
        take_elements(message, sums.as_slice_memory_order_mut().expect("it has no gaps"))?;
        each(Tree { first, size, sums });
    }
    Ok(())
}

/// Makes elements of a whole message.
pub(crate) fn fill<T: Element>(elements: &mut [T], mut message: &[u8]) -> Result<()> {
    take_elements(&mut message, elements)?;
    if message.is_empty() { Ok(()) } else { Err(lost("more came than was to come")) }
}

/// Gives an array, which lies without gaps, to all other ranks: the first one does.
pub(super) fn to_all<T: Element>(ranks: &dyn Communicator, array: ArrayD<T>) -> Result<ArrayD<T>> {
    let mut message = Vec::new();
    put_elements(&mut message, &array);
    ranks.broadcast(0, &mut message)?;
    Ok(array)
}

/// Takes what the first rank gives, into an array that lies like it: the others do.
pub(super) fn from_first<T: Element>(ranks: &dyn Communicator, mut room: ArrayD<T>) -> Result<ArrayD<T>> {
    let mut message = Vec::new();
    ranks.broadcast(0, &mut message)?;
    fill(room.as_slice_memory_order_mut().expect("it has no gaps"), &message)?;
    Ok(room)
}
