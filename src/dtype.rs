//! Element types of arrays.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The element type of an array.
///
/// ```
/// use qeinsum::{Dtype, Element};
/// assert_eq!(f32::DTYPE, Dtype::F32);
/// assert_eq!((Dtype::C32.bytes(), Dtype::C32.is_complex()), (8, true));
/// assert_eq!(Dtype::Bf16.to_string(), "bf16");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    Bf16,
    /// A complex number of two binary32 parts: `complex64` in `NumPy`.
    C32,
    /// A complex number of two binary64 parts: `complex128` in `NumPy`.
    C64,
}

impl Dtype {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 | Self::C32 => 8,
            Self::C64 => 16,
        }
    }

    /// Whether elements have two parts, of which one is imaginary.
    pub const fn is_complex(self) -> bool {
        match self {
            Self::F32 | Self::F64 | Self::F16 | Self::Bf16 => false,
            Self::C32 | Self::C64 => true,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::C32 => "c32",
            Self::C64 => "c64",
        })
    }
}
