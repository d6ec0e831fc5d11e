//! Several processes that run one plan together: how they are called, and what they tell each other.
//!
//! Each of them is a *rank*, numbered from 0. All run the same program on the same operands, and each computes a part; a
//! [`Communicator`] carries what they have to agree on: the largest magnitudes that scales are made of, sums of integers, and
//! bytes. [`Threads`] are ranks within one process, for tests and examples; with feature `mpi`, `Mpi` are processes on as many
//! machines as `mpirun` starts them on.
//!
//! Nothing here knows what is computed.
//!
//! ```
//! use ndarray::array;
//! use qeinsum::{QEinsum, ranks};
//! let (a, b) = (array![[1.0_f32, 2.0], [3.0, 4.0]], array![[5.0_f32], [6.0]]);
//! let products = ranks::in_threads(2, |ranks| QEinsum::new("ij,jk->ik")?.run_on(ranks, (&a, &b)));
//! for product in products {
//!     assert_eq!(product?, array![[17.0], [39.0]].into_dyn());
//! }
//! # Ok::<(), qeinsum::Error>(())
//! ```

mod communicator;
#[cfg(feature = "mpi")]
mod mpi;
mod threads;

#[cfg(feature = "mpi")]
pub use self::mpi::{Mpi, Universe};
pub use communicator::Communicator;
pub(crate) use communicator::lost;
pub use threads::{Threads, alone, in_threads};
