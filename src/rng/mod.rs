//! Random numbers as JAX makes them: threefry keys, bits, and the noise of stochastic rounding.
//!
//! In come a [`Key`], a number of elements and a range of them; out go their bits or floats, each a function of the
//! key, its flat index and (in the original layout) the number of elements. There is no state and no entropy here. Loops
//! over blocks run on the instruction set that `kernel` finds.
//!
//! ```
//! use qeinsum::Key;
//! let key = Key::new(42).fold_path("QDotGeneral_0", 1); // the key of a layer
//! assert_eq!(key.uniform(2), key.uniform(2)); // the same key, the same numbers
//! assert_ne!(key.uniform(2), key.fold_in(1).uniform(2));
//! ```

mod bits;
mod calls;
mod key;
mod threefry;
mod uniform;
mod words;

pub use calls::{CallKeys, SideKeys};
pub use key::{Key, Layout};
pub use uniform::Noise;
pub(crate) use uniform::{ArrayNoise, Window};
