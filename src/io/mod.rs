//! Arrays in files: a file name comes in, an array comes out, and the other way round.
//!
//! Read: `.npy` (also on standard input), one entry of an `.npz` archive, one tensor of a `.safetensors` file.
//! Written: `.npy` (also on standard output) and `.safetensors`.
//!
//! A file is untrusted. Every size that it claims is checked against the bytes that are there before memory is
//! asked for, nothing in it is executed, and text out of it is shown escaped. What is read has the dtype that the
//! file has: conversion is [`AnyArray::cast`], and only on request. A file is written whole or not at all.
//!
//! ```
//! use qeinsum::io::{self, AnyArray};
//! use ndarray::arr2;
//!
//! let path = std::env::temp_dir().join(format!("qeinsum-io-doc-{}.npy", std::process::id()));
//! let array = AnyArray::from(arr2(&[[1.0_f32, 2.0], [3.0, 4.0]]).into_dyn());
//! io::save(&path, &array)?;
//! assert_eq!(io::inspect(&path)?.shape.as_slice(), [2, 2]);
//! assert_eq!(io::load(&path)?, array);
//! # std::fs::remove_file(&path).ok();
//! # Ok::<(), qeinsum::Error>(())
//! ```
//!
//! Absent: memory-mapped files, integer arrays, and anything that needs Python to be read.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on fails"))]

mod array;
mod elements;
mod error;
mod file_array;
mod npy;
mod npz;
mod part;
mod safetensors;
#[cfg(test)]
mod scratch;
mod source;
mod temporary;
mod tensors;
mod write;

pub use array::{AnyArray, Header};
pub use file_array::FileArray;
pub use source::{Opened, Source, inspect, load, open};
pub(crate) use tensors::{
    OpenTensors, Tensor, TensorDtype, TensorFile, TensorHeader, inspect_tensor, load_tensor, metadata, names,
    read_whole,
};
pub use write::{check_output, check_tensors_output, check_whole, save, save_tensors, write_whole};
