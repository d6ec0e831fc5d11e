//! What can be timed.

use std::io::Write;

use ndarray::ArrayD;

use crate::Fault;

pub trait Contestant {
    /// Computes the result once.
    fn run(&mut self) -> Result<(), Fault>;

    /// Computes the result once more, and keeps it.
    fn output(&mut self) -> Result<Output, Fault>;
}

/// A result, its elements in row-major order.
pub enum Output {
    Array(ArrayD<f32>),
    /// What has the shape of the workload's result, whatever a contestant calls its axes.
    Floats(Vec<f32>),
    Integers(Vec<i32>),
}

impl Output {
    /// The shape, where it is known, and the name of the type that NumPy has for it.
    pub fn write(&self, mut file: impl Write) -> Result<(Vec<usize>, &'static str), Fault> {
        let (shape, bytes, dtype): (_, Vec<u8>, _) = match self {
            Self::Array(array) => (array.shape().to_vec(), array.iter().flat_map(|x| x.to_le_bytes()).collect(), "<f4"),
            Self::Floats(values) => (Vec::new(), values.iter().flat_map(|x| x.to_le_bytes()).collect(), "<f4"),
            Self::Integers(values) => (Vec::new(), values.iter().flat_map(|x| x.to_le_bytes()).collect(), "<i4"),
        };
        file.write_all(&bytes)?;
        Ok((shape, dtype))
    }
}
