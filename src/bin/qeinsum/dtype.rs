//! Element types as flags name them.

use clap::ValueEnum;
use qeinsum::Dtype;

/// An element type.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum DtypeArg {
    #[default]
    F32,
    F64,
    F16,
    Bf16,
    C32,
    C64,
}

impl From<DtypeArg> for Dtype {
    fn from(dtype: DtypeArg) -> Self {
        match dtype {
            DtypeArg::F32 => Self::F32,
            DtypeArg::F64 => Self::F64,
            DtypeArg::F16 => Self::F16,
            DtypeArg::Bf16 => Self::Bf16,
            DtypeArg::C32 => Self::C32,
            DtypeArg::C64 => Self::C64,
        }
    }
}
