//! Configurations by name, as AQT builds them.

use super::config::{Bits, CallConfig, IntNumerics, Numerics, TensorConfig};
use crate::error::Result;

impl TensorConfig {
    /// A side of so many bits ([`IntNumerics::new`]), calibrated by its largest magnitude; `None` leaves it as it is.
    ///
    /// An error where the bits are outside 1 to 22.
    #[doc(alias = "tensor_make")]
    pub fn from_bits(bits: Option<u8>) -> Result<Self> {
        let numerics = match bits {
            None => Numerics::None,
            Some(bits) => Numerics::Int(IntNumerics::with_bits(Bits::checked(bits, "bits")?)),
        };
        Ok(Self { numerics, ..Self::UNQUANTIZED })
    }
}

impl CallConfig {
    /// A call with sides of so many bits, the accumulator chosen from them.
    #[doc(alias = "dot_general_raw_make")]
    pub fn from_bits(lhs: Option<u8>, rhs: Option<u8>) -> Result<Self> {
        Ok(Self { lhs: TensorConfig::from_bits(lhs)?, rhs: TensorConfig::from_bits(rhs)?, ..Self::UNQUANTIZED })
    }
}
