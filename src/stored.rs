//! Operands that are not in memory: what a run reads of them, when it needs it.

use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;

use ndarray::ArrayD;

use crate::error::{Error, ErrorKind, Result};
use crate::kernel::{self, Element};

/// An array that is kept elsewhere, such as in a file, and read part by part.
///
/// A plan in slices reads of it, in each pass of its outermost loop, what that pass computes with; of several ranks each reads
/// what its own calls do. Where all is read at once, it is that for the time of the run.
///
/// ```
/// use std::ops::Range;
/// use ndarray::{Array2, ArrayD, arr1};
/// use qeinsum::{Operand, OperandView, QEinsum, Result, Stored};
/// /// Rows that follow a rule, of which none is kept.
/// #[derive(Debug)]
/// struct Multiples;
/// impl Stored<f64> for Multiples {
///     fn shape(&self) -> &[usize] {
///         &[1000, 4]
///     }
///     fn read(&self, part: &[Range<usize>]) -> Result<ArrayD<f64>> {
///         let [rows, columns] = [part[0].clone(), part[1].clone()];
///         let element = |(i, j)| (rows.start + i) as f64 * (columns.start + j) as f64;
///         Ok(Array2::from_shape_fn((rows.len(), columns.len()), element).into_dyn())
///     }
/// }
/// let ones = arr1(&[1.0; 4]);
/// let plan = QEinsum::new("ij,j->i")?.plan(&[&[1000, 4], &[4]])?.with_slices(&["i"])?;
/// let sums = plan.run(vec![OperandView::Stored(&Multiples), (&ones).into_operand()])?; // a row at a time
/// assert_eq!(sums[[999]], 999.0 * 6.0);
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub trait Stored<T>: Sync + fmt::Debug {
    /// The shape of the whole array.
    fn shape(&self) -> &[usize];

    /// The elements at a range of indices along each axis.
    fn read(&self, part: &[Range<usize>]) -> Result<ArrayD<T>>;

    /// A number that arrays with the same elements have in common, and others hardly ever: what a
    /// [checkpoint](crate::spread::Checkpoint) knows its operands by. As it is, all of the array is read for it, some MiB at a time.
    fn fingerprint(&self) -> Result<u64>
    where
        T: Element,
    {
        let mut hasher = DefaultHasher::new();
        each_block(self.shape(), BLOCK / size_of::<T>(), |part| {
            let array = kernel::row_major(self.read(part)?.view()).into_owned();
            hasher.write(kernel::bytes(array.as_slice().unwrap_or_default()));
            Ok(())
        })?;
        Ok(hasher.finish())
    }

    /// Whether [`read`](Self::read) leaves what is beside such a part unread. Where it does not, a run reads the whole array
    /// once instead of the same again for each part.
    fn reads_only(&self, _part: &[Range<usize>]) -> bool {
        true
    }
}

/// Bytes that are read together for a fingerprint.
const BLOCK: usize = 1 << 24;

/// Goes through an array in row-major order, by parts of at most so many elements.
fn each_block(shape: &[usize], most: usize, mut each: impl FnMut(&[Range<usize>]) -> Result<()>) -> Result<()> {
    // The axes behind this one are whole in a block, those before it are at one index, and of it there is a range.
    let mut inner = 1_usize;
    let along = shape.iter().rposition(|&size| {
        let larger = inner.saturating_mul(size);
        let is_over = larger > most;
        if !is_over {
            inner = larger;
        }
        is_over
    });
    let Some(along) = along else { return each(&whole(shape)) };
    let rows = (most / inner.max(1)).max(1);
    let outer: usize = shape[..along].iter().product();
    for at in 0..outer {
        let mut part = whole(shape);
        let mut rest = at;
        for (range, &size) in part[..along].iter_mut().zip(shape).rev() {
            *range = rest % size..rest % size + 1;
            rest /= size;
        }
        for start in (0..shape[along]).step_by(rows) {
            part[along] = start..(start + rows).min(shape[along]);
            each(&part)?;
        }
    }
    Ok(())
}

/// The elements that are asked for, which are as many as that.
pub(crate) fn read_part<T>(stored: &dyn Stored<T>, part: &[Range<usize>]) -> Result<ArrayD<T>> {
    let array = stored.read(part)?;
    if array.shape().iter().copied().eq(part.iter().map(ExactSizeIterator::len)) {
        return Ok(array);
    }
    let message = format!("of a stored operand {part:?} was read, and an array of shape {:?} came", array.shape());
    Err(Error::new(ErrorKind::Shape, message))
}

/// All of it.
pub(crate) fn read_whole<T>(stored: &dyn Stored<T>) -> Result<ArrayD<T>> {
    read_part(stored, &whole(stored.shape()))
}

/// Every index of an array of this shape.
pub(crate) fn whole(shape: &[usize]) -> Vec<Range<usize>> {
    shape.iter().map(|&size| 0..size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every element once, in row-major order, and never more than so many together.
    #[test]
    fn blocks_are_the_array() {
        for shape in [&[][..], &[7], &[3, 5], &[2, 3, 4], &[1, 6, 1], &[4, 0, 3], &[2, 1, 9]] {
            for most in [1, 2, 3, 5, 8, 100] {
                let mut at = 0;
                each_block(shape, most, |part| {
                    let count: usize = part.iter().map(ExactSizeIterator::len).product();
                    assert!(count <= most.max(1));
                    let start = part.iter().zip(shape).fold(0, |start, (range, size)| start * size + range.start);
                    assert!(count == 0 || start == at, "{shape:?} {part:?}");
                    at += count;
                    Ok(())
                })
                .unwrap();
                assert_eq!(at, shape.iter().product::<usize>(), "{shape:?} by {most}");
            }
        }
    }
}
