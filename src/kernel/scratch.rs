//! Memory that a thread keeps for the next product, so that a run allocates nothing but its output.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

use ndarray::{ArrayD, IxDyn};

/// Bytes that a thread keeps at most, of each type.
const KEPT: usize = 16 << 20;

/// Vectors that a thread keeps at most, of each type: some come from other threads, and are asked for by none here.
const VECTORS: usize = 32;

/// A type that scratch memory is kept of.
pub trait Pooled: Sized + 'static {
    /// What the thread keeps.
    fn pool() -> &'static LocalKey<RefCell<Vec<Vec<Self>>>>;
}

macro_rules! pooled {
    ($($type:ty),*) => {$(
        impl Pooled for $type {
            fn pool() -> &'static LocalKey<RefCell<Vec<Vec<Self>>>> {
                thread_local! {
                    static POOL: RefCell<Vec<Vec<$type>>> = const { RefCell::new(Vec::new()) };
                }
                &POOL
            }
        }
    )*};
}

pooled!(i8, i32, u32, isize, f32, f64);

/// A vector out of what the thread keeps, which goes back there; it begins with whatever was in it last.
#[derive(Debug)]
pub(super) struct Scratch<T: Pooled>(Vec<T>);

impl<T: Pooled> Scratch<T> {
    pub(super) fn new() -> Self {
        // A thread that ends keeps nothing any more.
        let kept = T::pool().try_with(|pool| pool.borrow_mut().pop());
        Self(kept.ok().flatten().unwrap_or_default())
    }
}

impl<T: Pooled + Copy + Default> Scratch<T> {
    /// So many elements, with anything in them.
    pub(super) fn any(&mut self, len: usize) -> &mut [T] {
        // Never cut, so that nothing is filled twice.
        if self.0.len() < len {
            self.0.resize(len, T::default());
        }
        &mut self.0[..len]
    }
}

impl Scratch<f32> {
    /// As many floats as there are in an array, with anything in them; what is made of them goes back by
    /// [`LentArray::new`].
    fn into_vec(mut self, len: usize) -> Vec<f32> {
        self.any(len);
        let mut floats = std::mem::take(&mut self.0);
        floats.truncate(len);
        floats
    }
}

/// So many floats of what the thread keeps, with anything in them.
pub(crate) fn lent_floats(len: usize) -> Vec<f32> {
    Scratch::new().into_vec(len)
}

/// An array that is needed for a while only, of [`lent_floats`]: its memory goes back to what the thread keeps.
#[derive(Debug)]
pub(crate) struct LentArray(ArrayD<f32>);

impl LentArray {
    pub(crate) fn new(array: ArrayD<f32>) -> Self {
        Self(array)
    }
}

impl Deref for LentArray {
    type Target = ArrayD<f32>;

    fn deref(&self) -> &ArrayD<f32> {
        &self.0
    }
}

impl Drop for LentArray {
    fn drop(&mut self) {
        let array = std::mem::replace(&mut self.0, ArrayD::zeros(IxDyn(&[0])));
        drop(Scratch(array.into_raw_vec_and_offset().0));
    }
}

impl<T: Pooled> Drop for Scratch<T> {
    fn drop(&mut self) {
        let vector = std::mem::take(&mut self.0);
        let bytes = |vector: &Vec<T>| vector.capacity() * size_of::<T>();
        let _ = T::pool().try_with(|pool| {
            let mut pool = pool.borrow_mut();
            // What was lent has left nothing here; it comes back itself.
            let is_worth_it = vector.capacity() > 0 && pool.len() < VECTORS;
            if is_worth_it && pool.iter().map(bytes).sum::<usize>() + bytes(&vector) <= KEPT {
                pool.push(vector);
            }
        });
    }
}

impl<T: Pooled> Deref for Scratch<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T: Pooled> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_again_and_again_is_kept_once() {
        std::thread::spawn(|| {
            for len in 1..1000 {
                drop(LentArray::new(ArrayD::from_shape_vec(IxDyn(&[len]), lent_floats(len)).unwrap()));
            }
            assert_eq!(f32::pool().with_borrow(Vec::len), 1);
            for _ in 0..1000 {
                drop(Scratch(vec![0.0_f32]));
            }
            assert_eq!(f32::pool().with_borrow(Vec::len), VECTORS);
        })
        .join()
        .unwrap();
    }

    #[test]
    #[cfg_attr(miri, ignore = "minutes of it, and nothing that small cases have not")]
    fn memory_comes_back_but_not_too_much_of_it() {
        std::thread::spawn(|| {
            let mut first = Scratch::<f64>::new();
            first.resize(1000, 1.0);
            let address = first.as_ptr();
            drop(first);
            let again = Scratch::<f64>::new();
            assert_eq!((again.as_ptr(), again.len()), (address, 1000));
            let other = Scratch::<f64>::new();
            assert_ne!(other.as_ptr(), address);
            drop((again, other));
            let mut large = Scratch::<f64>::new();
            large.resize(KEPT / size_of::<f64>() + 1, 0.0);
            drop(large);
            assert!(f64::pool().with_borrow(|pool| pool.iter().all(|vector| vector.capacity() < 2000)));
        })
        .join()
        .unwrap();
    }
}
