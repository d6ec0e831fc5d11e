//! What is asked and answered: one JSON object a line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Forget what was set up, and read the operands of the next workload.
    Load { floats: Vec<File>, integers: Vec<File> },
    /// What qeinsum says about the equation on the operands that are loaded.
    Describe { equation: String },
    /// Make a contestant ready to run.
    Setup { contestant: String, equation: String, matrices: Option<Matrices> },
    /// Run once, and write the result.
    Result { handle: usize, file: PathBuf },
    /// Run so often, and say how long it took.
    Time { handle: usize, repeats: u32 },
    /// Measure what the processor can do at most.
    Peaks,
}

/// Elements of an array in row-major order, little-endian, and nothing else.
#[derive(Deserialize)]
pub struct File {
    pub path: PathBuf,
    pub shape: Vec<usize>,
}

/// The equation as products of matrices that lie in memory one after another, where it can be read so.
#[derive(Clone, Copy, Deserialize)]
pub struct Matrices {
    pub batch: usize,
    pub m: usize,
    pub k: usize,
    pub n: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Ready,
    Description { multiplications: f64 },
    Handle(usize),
    Written { shape: Vec<usize>, dtype: &'static str },
    Seconds(f64),
    Peaks { int8: f64, f32: f64 },
    Error(String),
}
