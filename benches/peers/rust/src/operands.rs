//! The operands of a workload, which all contestants share.

use std::fs;
use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};

use crate::Fault;
use crate::protocol::File;

#[derive(Clone, Default)]
pub struct Operands {
    pub floats: Arc<[ArrayD<f32>]>,
    /// Two operands for products of integers, where the workload has some.
    pub integers: Option<Integers>,
}

/// The left side is between 0 and 127, so that it is the same in signed and in unsigned bytes.
#[derive(Clone)]
pub struct Integers {
    pub left: Arc<[u8]>,
    pub right: Arc<[i8]>,
}

impl Operands {
    pub fn load(floats: &[File], integers: &[File]) -> Result<Self, Fault> {
        let floats = floats.iter().map(|file| {
            let (elements, _) = fs::read(&file.path).map(|bytes| (floats_of(&bytes), bytes.len()))?;
            Ok::<_, Fault>(ArrayD::from_shape_vec(IxDyn(&file.shape), elements)?)
        });
        let integers = match integers {
            [left, right] => Some(Integers {
                left: fs::read(&left.path)?.into(),
                right: fs::read(&right.path)?.into_iter().map(u8::cast_signed).collect(),
            }),
            _ => None,
        };
        Ok(Self { floats: floats.collect::<Result<Vec<_>, _>>()?.into(), integers })
    }

    pub fn shapes(&self) -> Vec<&[usize]> {
        self.floats.iter().map(ArrayD::shape).collect()
    }
}

fn floats_of(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values.iter().map(|value| f32::from_le_bytes(*value)).collect()
}
