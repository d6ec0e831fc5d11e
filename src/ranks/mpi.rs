//! Ranks that are processes of MPI.

use std::fmt;

use mpi::collective::SystemOperation;
use mpi::datatype::{Buffer, BufferMut};
use mpi::environment::Threading;
use mpi::point_to_point::Status;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{
    CommunicatorCollectives as _, Destination as _, Equivalence, MatchedReceiveVec as _, Root as _, Source as _,
};

use super::communicator::Communicator;
use crate::error::{Error, ErrorKind, Result};

/// Elements of one message: MPI counts them by 31 bits.
const MOST: usize = 1 << 28;

/// MPI, from its start to its end, which is when this is dropped: once in a process.
///
/// ```no_run
/// use qeinsum::ranks::{Communicator, Universe};
/// use qeinsum::QEinsum;
/// // A program that `mpirun -n 4` starts four times. Each process has the operands, and gets the result.
/// let universe = Universe::start()?;
/// let world = universe.world();
/// let (a, b) = (ndarray::Array2::<f32>::ones((64, 512)), ndarray::Array2::<f32>::ones((512, 8)));
/// let product = QEinsum::new("ij,jk->ik")?.run_on(&world, (&a, &b))?;
/// println!("rank {}: {}", world.rank(), product[[0, 0]]);
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub struct Universe(mpi::environment::Universe);

impl fmt::Debug for Universe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Universe")
    }
}

impl Universe {
    /// Starts MPI. An error where it was started already.
    pub fn start() -> Result<Self> {
        // Only the thread that has the communicator talks to the others; threads beside it compute.
        let started = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, _) =
            started.ok_or_else(|| Error::new(ErrorKind::Machine, "MPI was started already in this process"))?;
        Ok(Self(universe))
    }

    /// All processes that were started together.
    pub fn world(&self) -> Mpi<SimpleCommunicator> {
        Mpi::new(self.0.world())
    }
}

/// One of several processes of MPI.
///
/// ```no_run
/// use qeinsum::ranks::{Communicator, Mpi, Universe};
/// let universe = Universe::start()?;
/// let world: Mpi<_> = universe.world(); // or `Mpi::new` of some of the processes, as rsmpi names them
/// assert!(world.rank() < world.size());
/// # Ok::<(), qeinsum::Error>(())
/// ```
///
/// Errors of MPI itself end all of them, as MPI has it by default.
pub struct Mpi<C>(C);

impl<C: mpi::topology::Communicator> fmt::Debug for Mpi<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.size())
    }
}

impl<C: mpi::topology::Communicator> Mpi<C> {
    /// The ranks of a communicator of rsmpi.
    pub fn new(communicator: C) -> Self {
        Self(communicator)
    }

    /// Ends all ranks at once, with this exit code.
    pub fn abort(&self, code: u8) -> ! {
        self.0.abort(code.into())
    }

    fn reduce<T: Equivalence + Copy>(&self, numbers: &mut [T], how: fn() -> SystemOperation)
    where
        [T]: Buffer + BufferMut,
    {
        let own = numbers.to_vec();
        for (own, all) in own.chunks(MOST).zip(numbers.chunks_mut(MOST)) {
            self.0.all_reduce_into(own, all, how());
        }
    }

    fn process(&self, rank: usize) -> mpi::topology::Process<'_> {
        self.0.process_at_rank(rank as i32)
    }

    /// What a rank sends whose message has begun to come.
    fn rest(&self, first: &[u8], status: Status) -> (usize, Vec<u8>) {
        let from = status.source_rank() as usize;
        let Ok(length) = first.try_into().map(u64::from_ne_bytes) else { return (from, Vec::new()) };
        let mut bytes = vec![0; length as usize];
        for chunk in bytes.chunks_mut(MOST) {
            self.process(from).receive_into(chunk);
        }
        (from, bytes)
    }
}

impl<C: mpi::topology::Communicator> Communicator for Mpi<C> {
    fn rank(&self) -> usize {
        self.0.rank() as usize
    }

    fn size(&self) -> usize {
        self.0.size() as usize
    }

    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) -> Result<()> {
        let from = self.process(root);
        let mut length = bytes.len() as u64;
        from.broadcast_into(&mut length);
        if root != self.rank() {
            *bytes = vec![0; length as usize];
        }
        bytes.chunks_mut(MOST).for_each(|chunk| from.broadcast_into(chunk));
        Ok(())
    }

    fn largest(&self, numbers: &mut [u32]) -> Result<()> {
        self.reduce(numbers, SystemOperation::max);
        Ok(())
    }

    fn add_i32(&self, numbers: &mut [i32]) -> Result<()> {
        self.reduce(numbers, SystemOperation::sum);
        Ok(())
    }

    fn add_i64(&self, numbers: &mut [i64]) -> Result<()> {
        self.reduce(numbers, SystemOperation::sum);
        Ok(())
    }

    fn send(&self, to: usize, bytes: &[u8]) -> Result<()> {
        let to = self.process(to);
        to.send(&(bytes.len() as u64).to_ne_bytes()[..]);
        bytes.chunks(MOST).for_each(|chunk| to.send(chunk));
        Ok(())
    }

    fn receive(&self, from: usize) -> Result<Vec<u8>> {
        let (first, status) = self.process(from).receive_vec();
        Ok(self.rest(&first, status).1)
    }

    fn poll(&self) -> Result<Option<(usize, Vec<u8>)>> {
        let Some(message) = self.0.any_process().immediate_matched_probe() else { return Ok(None) };
        let (first, status) = message.matched_receive_vec();
        Ok(Some(self.rest(&first, status)))
    }
}
