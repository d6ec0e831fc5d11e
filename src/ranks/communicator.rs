//! What ranks can tell each other.

use crate::error::{Error, ErrorKind, Result};

/// The ranks that run something together, as one of them sees them.
///
/// Every method but [`send`](Self::send), [`receive`](Self::receive) and [`poll`](Self::poll) is called by all ranks, in the
/// same order, and returns when what it takes from the others is there. An error means that the ranks have lost each other.
///
/// ```
/// use qeinsum::ranks::{self, Communicator};
/// let sums = ranks::in_threads(3, |ranks| {
///     let mut numbers = [ranks.rank() as i32, 1];
///     ranks.add_i32(&mut numbers)?;
///     Ok::<_, qeinsum::Error>(numbers)
/// });
/// for sum in sums {
///     assert_eq!(sum?, [0 + 1 + 2, 3]);
/// }
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub trait Communicator {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn size(&self) -> usize;

    /// Makes `bytes` those of rank `root`.
    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) -> Result<()>;

    /// Makes each number the largest that any rank has in its place.
    fn largest(&self, numbers: &mut [u32]) -> Result<()>;

    /// Makes each number the sum of those in its place, which fits.
    fn add_i32(&self, numbers: &mut [i32]) -> Result<()>;

    /// The same of wider numbers.
    fn add_i64(&self, numbers: &mut [i64]) -> Result<()>;

    /// Sends bytes to another rank, which receives them; may wait until it does.
    fn send(&self, to: usize, bytes: &[u8]) -> Result<()>;

    /// The next bytes that a rank sends to this one.
    fn receive(&self, from: usize) -> Result<Vec<u8>>;

    /// What has come from another rank, and from which, where something has.
    fn poll(&self) -> Result<Option<(usize, Vec<u8>)>>;

    /// The bytes of each rank, in their order.
    fn gather(&self, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        let mut own = Some(bytes);
        let mut of = |root| {
            let mut bytes = if root == self.rank() { own.take().unwrap_or_default() } else { Vec::new() };
            self.broadcast(root, &mut bytes)?;
            Ok(bytes)
        };
        (0..self.size()).map(&mut of).collect()
    }
}

/// That the ranks have lost each other.
pub(crate) fn lost(what: &str) -> Error {
    Error::new(ErrorKind::Machine, format!("the ranks have lost each other: {what}"))
}
