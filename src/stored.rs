//! Operands that are not in memory: what a run reads of them, when it needs it.

use std::fmt;
use std::ops::Range;

use ndarray::ArrayD;

use crate::error::{Error, ErrorKind, Result};

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

    /// Whether [`read`](Self::read) leaves what is beside such a part unread. Where it does not, a run reads the whole array
    /// once instead of the same again for each part.
    fn reads_only(&self, _part: &[Range<usize>]) -> bool {
        true
    }
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
