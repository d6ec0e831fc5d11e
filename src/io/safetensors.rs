//! The `.safetensors` format: a length, a JSON header, the elements of all tensors without gaps.
//!
//! Comes in: an open file and a tensor's name. Goes out: the tensor's layout, and where it begins. The rules of the
//! format (offsets that are contiguous and agree with shapes) are those of the `safetensors` crate; the length of
//! the header, the length of the file and unique names are checked here. The header of a written file is made here
//! too, since its keys must come in an order that does not depend on a hash.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};

use safetensors::Dtype as FileDtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::array::{AnyArray, Header};
use super::elements::{self, ByteOrder, Layout, MemoryOrder, fill};
use super::error::FileError;
use crate::dtype::Dtype;

/// Bytes of the length field.
const PREFIX: u64 = 8;
/// The longest header that is read: some hundred thousand tensors.
const HEADER_LIMIT: u64 = 16 << 20;
/// The key of a header that is not a tensor.
const METADATA: &str = "__metadata__";

/// Finds the tensor called `name`, or the only one, in a file of `length` bytes and goes to its first element.
pub(super) fn find<R: Read + Seek>(reader: &mut R, length: u64, name: Option<&str>) -> Result<Layout, FileError> {
    let mut claimed = [0; PREFIX as usize];
    let after = length.saturating_sub(PREFIX);
    let found = fill(reader, &mut claimed)?;
    let claimed = u64::from_le_bytes(claimed);
    if found < PREFIX as usize || claimed > after || claimed > HEADER_LIMIT {
        return Err(FileError::TensorHeaderLength { claimed, found: after, limit: HEADER_LIMIT });
    }
    let mut text = vec![0; claimed as usize];
    let found = fill(reader, &mut text)? as u64;
    if found < claimed {
        return Err(FileError::TensorHeaderLength { claimed, found, limit: HEADER_LIMIT });
    }
    let Tensors(mut tensors) = serde_json::from_slice(&text).map_err(|error| FileError::Tensors(error.to_string()))?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let names: Vec<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
    let rules = Metadata::new(None, tensors).map_err(|error| FileError::Tensors(error.to_string()))?;
    let (expected, found) = (rules.data_len() as u64, after - claimed);
    if expected != found {
        return Err(FileError::Length { expected, found });
    }
    let chosen = match (name, names.as_slice()) {
        (Some(name), _) => rules.info(name).map(|info| (name, info)),
        (None, [only]) => rules.info(only).map(|info| (only.as_str(), info)),
        (None, _) => None,
    };
    let Some((name, info)) = chosen else {
        let asked = name.map(str::to_owned);
        return Err(FileError::Name { noun: "tensor", asked, available: names });
    };
    let dtype = match info.dtype {
        FileDtype::F32 => Dtype::F32,
        FileDtype::F64 => Dtype::F64,
        FileDtype::F16 => Dtype::F16,
        FileDtype::BF16 => Dtype::Bf16,
        other => return Err(FileError::TensorDtype { tensor: name.to_owned(), dtype: other.to_string() }),
    };
    let header = Header { dtype, shape: info.shape.iter().copied().collect() };
    let layout = Layout::new(header, ByteOrder::Little, MemoryOrder::C)?;
    // Cannot overflow: the offset lies inside the file.
    let start = PREFIX + claimed + info.data_offsets.0 as u64;
    reader.seek(SeekFrom::Start(start)).map_err(FileError::reading)?;
    Ok(layout)
}

/// The tensors of a header as they stand in it, each name once.
struct Tensors(Vec<(String, TensorInfo)>);

impl<'de> Deserialize<'de> for Tensors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TensorsVisitor)
    }
}

struct TensorsVisitor;

impl<'de> Visitor<'de> for TensorsVisitor {
    type Value = Tensors;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tensors, A::Error> {
        let mut seen = BTreeSet::new();
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("key `{name}` stands twice")));
            }
            if name == METADATA {
                map.next_value::<BTreeMap<String, String>>()?;
            } else {
                tensors.push((name, map.next_value()?));
            }
        }
        Ok(Tensors(tensors))
    }
}

/// Writes a whole file. Two tensors of one name, or one named as the metadata are, are an `InvalidInput`.
pub(super) fn write(
    out: &mut dyn Write,
    tensors: &[(&str, &AnyArray)],
    metadata: &BTreeMap<String, String>,
) -> io::Result<()> {
    let mut sorted = tensors.to_vec();
    // Wide elements first keeps every tensor aligned to its element.
    sorted.sort_by_key(|(name, array)| (std::cmp::Reverse(array.dtype().bytes()), *name));
    let mut seen = BTreeSet::from([METADATA]);
    let mut infos = Vec::with_capacity(sorted.len());
    let mut end = 0;
    for &(name, array) in &sorted {
        let start = end;
        end += byte_length(array);
        let dtype = file_dtype(array.dtype());
        infos.push((name, TensorInfo { dtype, shape: array.shape().to_vec(), data_offsets: (start, end) }));
        if !seen.insert(name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
    }
    let mut text = serde_json::to_vec(&HeaderText { metadata, infos })?;
    text.resize(text.len().next_multiple_of(PREFIX as usize), b' ');
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(&text)?;
    sorted.iter().try_for_each(|(_, array)| elements::write(out, array))
}

/// A header in the order in which it is written.
struct HeaderText<'a> {
    metadata: &'a BTreeMap<String, String>,
    infos: Vec<(&'a str, TensorInfo)>,
}

impl Serialize for HeaderText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry(METADATA, self.metadata)?;
        }
        for (name, info) in &self.infos {
            map.serialize_entry(name, info)?;
        }
        map.end()
    }
}

fn byte_length(array: &AnyArray) -> usize {
    // Of an array in memory: it cannot overflow.
    array.shape().iter().product::<usize>() * array.dtype().bytes()
}

const fn file_dtype(dtype: Dtype) -> FileDtype {
    match dtype {
        Dtype::F32 => FileDtype::F32,
        Dtype::F64 => FileDtype::F64,
        Dtype::F16 => FileDtype::F16,
        Dtype::Bf16 => FileDtype::BF16,
    }
}
