//! A golden set: its arrays, what became of each, and the differences found.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// One golden array, widened to a type that holds its values exactly.
#[derive(Clone, Debug)]
pub(crate) enum Golden {
    /// f32, or bf16 and f16 widened.
    Float(ArrayD<f32>),
    /// Any integer type.
    Int(ArrayD<i64>),
}

/// What became of an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    Unused,
    Input,
    Compared,
}

pub(crate) struct Set {
    pub name: String,
    bytes: Vec<u8>,
    arrays: BTreeMap<String, (Golden, Dtype, Use)>,
    documents: BTreeMap<&'static str, Value>,
    pub differences: Vec<String>,
    /// Sums that agree only by a rule under which a decision lets them differ.
    pub(crate) by_rule: usize,
    /// Arrays that depend on such sums, which are then not compared.
    pub(crate) behind_rule: usize,
}

impl Set {
    /// Reads a folder with `manifest.json` and `arrays.safetensors`; other documents may be missing.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let name = folder.display().to_string();
        let bytes = fs::read(folder.join("arrays.safetensors")).map_err(|error| format!("{name}: {error}"))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| format!("{name}: {error}"))?;
        let mut arrays = BTreeMap::new();
        for (key, view) in tensors.iter() {
            let golden = widen(view.dtype(), view.shape(), view.data()).ok_or(format!("{name}: cannot read {key}"))?;
            arrays.insert(key.to_owned(), (golden, view.dtype(), Use::Unused));
        }
        if arrays.is_empty() {
            return Err(format!("{name}: an empty set"));
        }
        let mut documents = BTreeMap::new();
        for document in ["manifest", "cases", "lowering", "rng"] {
            let path = folder.join(format!("{document}.json"));
            if path.exists() {
                let text = fs::read_to_string(&path).map_err(|error| format!("{name}: {document}: {error}"))?;
                // Python writes infinities and NaN, which are no JSON; they stand for measured errors that nothing reads.
                let text = ["-Infinity", "Infinity", "NaN"].iter().fold(text, |text, word| {
                    [":", ": ", ",", ", ", "["]
                        .iter()
                        .fold(text, |text, before| text.replace(&format!("{before}{word}"), &format!("{before}null")))
                });
                let value = serde_json::from_str(&text).map_err(|error| format!("{name}: {document}: {error}"))?;
                documents.insert(document, value);
            }
        }
        Ok(Self { name, bytes, arrays, documents, differences: Vec::new(), by_rule: 0, behind_rule: 0 })
    }

    /// The arrays as they are stored.
    pub(crate) fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("read before")
    }

    /// Notes that an array was compared elsewhere.
    pub(crate) fn mark_compared(&mut self, name: &str) {
        self.expected(name);
    }

    /// Notes that an array depends on sums that agree only by a rule, so that it cannot be compared bit for bit.
    pub(crate) fn mark_ruled(&mut self, name: &str) {
        self.expected(name);
        self.behind_rule += 1;
    }

    pub(crate) fn document(&self, name: &str) -> Option<Value> {
        self.documents.get(name).cloned()
    }

    /// The array of this name, to be used as an input.
    pub(crate) fn input(&mut self, name: &str) -> Golden {
        let entry = self.arrays.get_mut(name).unwrap_or_else(|| panic!("the set has no array {name}"));
        entry.2 = Use::Input;
        entry.0.clone()
    }

    /// The array of this name with its stored type, to be compared with what we computed.
    pub(crate) fn expected(&mut self, name: &str) -> (Golden, Dtype) {
        let entry = self.arrays.get_mut(name).unwrap_or_else(|| panic!("the set has no array {name}"));
        entry.2 = Use::Compared;
        (entry.0.clone(), entry.1)
    }

    pub(crate) fn differ(&mut self, what: String) {
        self.differences.push(what);
    }

    /// Compares floats bit for bit; NaN equals NaN.
    pub(crate) fn compare_floats(&mut self, name: &str, ours: &ArrayD<f32>) {
        match self.expected(name).0 {
            Golden::Float(golden) => {
                if golden.shape() != ours.shape() {
                    self.differ(format!("{name}: shape {:?}, ours {:?}", golden.shape(), ours.shape()));
                } else if let Some((place, golden, ours)) = first_difference(&golden, ours) {
                    self.differ(format!("{name}{place:?}: golden {golden:e}, ours {ours:e}"));
                }
            }
            Golden::Int(_) => self.differ(format!("{name}: integers, ours are floats")),
        }
    }

    /// Compares integers exactly.
    pub(crate) fn compare_ints(&mut self, name: &str, ours: &ArrayD<i64>) {
        match self.expected(name).0 {
            Golden::Int(golden) if golden == *ours => {}
            Golden::Int(golden) => self.differ(format!("{name}: golden {golden:?}, ours {ours:?}")),
            Golden::Float(_) => self.differ(format!("{name}: floats, ours are integers")),
        }
    }

    /// (read, compared, used as inputs, the names of those left alone).
    pub(crate) fn tally(&self) -> (usize, usize, usize, Vec<&str>) {
        let count = |wanted| self.arrays.values().filter(|(_, _, used)| *used == wanted).count();
        let left = self.arrays.iter().filter(|(_, entry)| entry.2 == Use::Unused).map(|(name, _)| name.as_str());
        (self.arrays.len(), count(Use::Compared), count(Use::Input), left.collect())
    }
}

/// The first element in which two arrays of one shape differ in bits, NaN being equal to NaN.
pub(crate) fn first_difference(golden: &ArrayD<f32>, ours: &ArrayD<f32>) -> Option<(Vec<usize>, f32, f32)> {
    golden
        .indexed_iter()
        .zip(ours.iter())
        .find(|((_, golden), ours)| golden.to_bits() != ours.to_bits() && !(golden.is_nan() && ours.is_nan()))
        .map(|((place, &golden), &ours)| (ndarray::Dimension::slice(&place).to_vec(), golden, ours))
}

fn widen(dtype: Dtype, shape: &[usize], data: &[u8]) -> Option<Golden> {
    fn each<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        data.chunks_exact(N).filter_map(|bytes| bytes.try_into().ok()).map(read).collect()
    }
    let floats = |values| ArrayD::from_shape_vec(IxDyn(shape), values).ok().map(Golden::Float);
    let ints = |values| ArrayD::from_shape_vec(IxDyn(shape), values).ok().map(Golden::Int);
    match dtype {
        Dtype::F32 => floats(each(data, f32::from_le_bytes)),
        Dtype::BF16 => floats(each(data, |bytes| bf16::from_le_bytes(bytes).to_f32())),
        Dtype::F16 => floats(each(data, |bytes| f16::from_le_bytes(bytes).to_f32())),
        Dtype::I8 => ints(each(data, |bytes| i64::from(i8::from_le_bytes(bytes)))),
        Dtype::U8 => ints(each(data, |bytes| i64::from(u8::from_le_bytes(bytes)))),
        Dtype::U16 => ints(each(data, |bytes| i64::from(u16::from_le_bytes(bytes)))),
        Dtype::I32 => ints(each(data, |bytes| i64::from(i32::from_le_bytes(bytes)))),
        Dtype::U32 => ints(each(data, |bytes| i64::from(u32::from_le_bytes(bytes)))),
        _ => None,
    }
}
