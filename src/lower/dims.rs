//! Dimension numbers: which axes of a call's two sides belong together.

use smallvec::SmallVec;

use crate::error::{Error, ErrorKind, Result};

/// Positions of axes in an array.
///
/// ```
/// use qeinsum::{Axes, DimensionNumbers};
/// let axes: Axes = DimensionNumbers::new([], [(1, 0)])?.lhs_free(3);
/// assert_eq!(axes.as_slice(), [0, 2]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub type Axes = SmallVec<[usize; 8]>;

/// An axis of the lhs and the axis of the rhs that it belongs to.
///
/// ```
/// use qeinsum::{AxisPair, DimensionNumbers};
/// let pair: AxisPair = (1, 0); // axis 1 of the lhs is summed against axis 0 of the rhs
/// assert_eq!(DimensionNumbers::new([], [pair])?.contracting(), [pair]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub type AxisPair = (usize, usize);

/// Dimension numbers of one `dot_general` call.
///
/// Each pair is `(lhs axis, rhs axis)`, so the two sides cannot differ in length. An axis occurs at most once on each
/// side; axes in no pair are free. The result has the batch axes in their order here, then the free axes of the lhs,
/// then those of the rhs, each in rising order. The order of the contracting pairs is the order in which floats are
/// added: flattened, last fastest.
///
/// ```
/// use qeinsum::DimensionNumbers;
/// let dims = DimensionNumbers::new([(0, 0)], [(2, 1)])?;
/// assert_eq!(dims.lhs_free(3).as_slice(), [1]);
/// assert_eq!((dims.batch(), dims.contracting()), (&[(0, 0)][..], &[(2, 1)][..]));
/// assert_eq!((dims.lhs_contracting().as_slice(), dims.rhs_contracting().as_slice()), (&[2][..], &[1][..]));
/// assert_eq!((dims.lhs_batch().as_slice(), dims.rhs_batch().as_slice()), (&[0][..], &[0][..]));
/// assert_eq!(dims.rhs_free(3).as_slice(), [2]);
/// assert_eq!(dims.output_shape(&[8, 5, 3], &[8, 3, 7])?.as_slice(), [8, 5, 7]);
/// assert!(dims.output_shape(&[8, 5, 3], &[8, 4, 7]).is_err()); // 3 terms against 4
/// assert!(DimensionNumbers::new([(0, 0)], [(0, 1)]).is_err()); // lhs axis 0 in two pairs
/// assert_eq!(dims.to_string(), "batch [0]x[0] contract [2]x[1]");
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct DimensionNumbers {
    batch: SmallVec<[AxisPair; 4]>,
    contracting: SmallVec<[AxisPair; 4]>,
}

impl DimensionNumbers {
    /// Batch pairs and contracting pairs; an error where an axis of a side is named twice.
    pub fn new(
        batch: impl IntoIterator<Item = AxisPair>,
        contracting: impl IntoIterator<Item = AxisPair>,
    ) -> Result<Self> {
        let dims = Self { batch: batch.into_iter().collect(), contracting: contracting.into_iter().collect() };
        for (side, mut axes) in [
            ("lhs", dims.pairs().map(|pair| pair.0).collect::<Axes>()),
            ("rhs", dims.pairs().map(|pair| pair.1).collect::<Axes>()),
        ] {
            axes.sort_unstable();
            if let Some(twice) = axes.iter().zip(&axes[1.min(axes.len())..]).find(|(axis, next)| axis == next) {
                let message = format!("dimension numbers name {side} axis {} twice", twice.0);
                return Err(Error::new(ErrorKind::Shape, message));
            }
        }
        Ok(dims)
    }

    /// The same without the check: `lower` takes each axis from distinct labels.
    pub(super) fn from_distinct(batch: Vec<AxisPair>, contracting: Vec<AxisPair>) -> Self {
        Self { batch: batch.into(), contracting: contracting.into() }
    }

    /// Batch pairs, in output order.
    pub fn batch(&self) -> &[AxisPair] {
        &self.batch
    }

    /// Contracting pairs, in the order in which their terms are added, last fastest.
    pub fn contracting(&self) -> &[AxisPair] {
        &self.contracting
    }

    /// The batch axes of the lhs.
    pub fn lhs_batch(&self) -> Axes {
        self.batch.iter().map(|pair| pair.0).collect()
    }

    /// The batch axes of the rhs.
    pub fn rhs_batch(&self) -> Axes {
        self.batch.iter().map(|pair| pair.1).collect()
    }

    /// The contracting axes of the lhs.
    pub fn lhs_contracting(&self) -> Axes {
        self.contracting.iter().map(|pair| pair.0).collect()
    }

    /// The contracting axes of the rhs.
    pub fn rhs_contracting(&self) -> Axes {
        self.contracting.iter().map(|pair| pair.1).collect()
    }

    /// The free axes of an lhs of this rank, rising.
    pub fn lhs_free(&self, rank: usize) -> Axes {
        free_axes(rank, self.pairs().map(|pair| pair.0))
    }

    /// The free axes of an rhs of this rank, rising.
    pub fn rhs_free(&self, rank: usize) -> Axes {
        free_axes(rank, self.pairs().map(|pair| pair.1))
    }

    /// Axes of the result of sides of these ranks.
    pub(crate) fn output_rank(&self, lhs: usize, rhs: usize) -> usize {
        lhs + rhs - self.batch.len() - 2 * self.contracting.len()
    }

    /// The shape of the result; an error where paired axes differ in size or do not exist.
    pub fn output_shape(&self, lhs: &[usize], rhs: &[usize]) -> Result<crate::Shape> {
        for &(l, r) in self.pairs() {
            let (Some(left), Some(right)) = (lhs.get(l), rhs.get(r)) else {
                let message =
                    format!("dimension numbers {self} do not fit sides with {} and {} axes", lhs.len(), rhs.len());
                return Err(Error::new(ErrorKind::Shape, message));
            };
            if left != right {
                let message = format!("lhs axis {l} has size {left}, but rhs axis {r} has size {right}");
                return Err(Error::new(ErrorKind::Shape, message));
            }
        }
        let batch = self.batch.iter().map(|pair| lhs[pair.0]);
        let lhs_free = self.lhs_free(lhs.len());
        let rhs_free = self.rhs_free(rhs.len());
        Ok(batch.chain(lhs_free.iter().map(|&axis| lhs[axis])).chain(rhs_free.iter().map(|&axis| rhs[axis])).collect())
    }

    fn pairs(&self) -> impl Iterator<Item = &AxisPair> + Clone {
        self.batch.iter().chain(&self.contracting)
    }
}

/// The axes of so many that are in no pair, rising.
fn free_axes(rank: usize, paired: impl Iterator<Item = usize> + Clone) -> Axes {
    if rank <= FEW {
        return (0..rank).filter(|&axis| paired.clone().all(|each| each != axis)).collect();
    }
    let mut is_free = vec![true; rank];
    for axis in paired {
        // A pair may be of an axis that the side does not have.
        if let Some(is_free) = is_free.get_mut(axis) {
            *is_free = false;
        }
    }
    (0..rank).filter(|&axis| is_free[axis]).collect()
}

/// So many axes are looked for faster in the pairs than in a list of all.
const FEW: usize = 32;

/// `batch [0]x[0] contract [2]x[1]`, lhs before rhs; an empty list is left out.
impl std::fmt::Display for DimensionNumbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut space = "";
        for (word, pairs) in [("batch", &self.batch), ("contract", &self.contracting)] {
            if pairs.is_empty() {
                continue;
            }
            let list = |axis: fn(&AxisPair) -> usize| {
                pairs.iter().map(|pair| axis(pair).to_string()).collect::<Vec<_>>().join(",")
            };
            write!(f, "{space}{word} [{}]x[{}]", list(|pair| pair.0), list(|pair| pair.1))?;
            space = " ";
        }
        Ok(())
    }
}
