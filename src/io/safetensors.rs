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
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::array::{AnyArray, Header};
use super::elements::{self, ByteOrder, Layout, MemoryOrder, fill};
use super::error::FileError;
use crate::dtype::Dtype;
use crate::unique;

/// Bytes of the length field.
const PREFIX: u64 = 8;
/// The longest header that is read: some hundred thousand tensors.
const HEADER_LIMIT: u64 = 16 << 20;
/// The key of a header that is not a tensor.
const METADATA: &str = "__metadata__";

/// Finds the tensor called `name`, or the only one, in a file of `length` bytes and goes to its first element.
pub(super) fn find<R: Read + Seek>(reader: &mut R, length: u64, name: Option<&str>) -> Result<Layout, FileError> {
    let Found { name, info } = seek(reader, length, name)?;
    let dtype = match info.dtype {
        FileDtype::F32 => Dtype::F32,
        FileDtype::F64 => Dtype::F64,
        FileDtype::F16 => Dtype::F16,
        FileDtype::BF16 => Dtype::Bf16,
        // Named by the bits of both parts.
        FileDtype::C64 => Dtype::C32,
        other => return Err(FileError::TensorDtype { tensor: name, dtype: other.to_string() }),
    };
    let header = Header { dtype, shape: info.shape.iter().copied().collect() };
    Layout::new(header, ByteOrder::Little, MemoryOrder::C)
}

/// A tensor of a file, whatever its type.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) info: TensorInfo,
}

/// Finds the tensor called `name`, or the only one, and goes to its first element. The file is as long as its header says.
pub(super) fn seek<R: Read + Seek>(reader: &mut R, length: u64, name: Option<&str>) -> Result<Found, FileError> {
    let HeaderRead { mut tensors, start, .. } = header(reader, length)?;
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let names: Vec<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
    let rules = Metadata::new(None, tensors).map_err(|error| FileError::Tensors(error.to_string()))?;
    let (expected, found) = (rules.data_len() as u64, length - start);
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
    // Cannot overflow: the offset lies inside the file.
    reader.seek(SeekFrom::Start(start + info.data_offsets.0 as u64)).map_err(FileError::reading)?;
    Ok(Found { name: name.to_owned(), info: info.clone() })
}

/// The names of a file's tensors.
pub(super) fn names<R: Read>(reader: &mut R, length: u64) -> Result<Vec<String>, FileError> {
    Ok(header(reader, length)?.tensors.into_iter().map(|(name, _)| name).collect())
}

/// The metadata of a file of `length` bytes; empty where it has none.
pub(super) fn metadata_of<R: Read>(reader: &mut R, length: u64) -> Result<BTreeMap<String, String>, FileError> {
    Ok(header(reader, length)?.metadata)
}

/// A header that was read, and where the elements begin.
struct HeaderRead {
    tensors: Vec<(String, TensorInfo)>,
    metadata: BTreeMap<String, String>,
    start: u64,
}

fn header<R: Read>(reader: &mut R, length: u64) -> Result<HeaderRead, FileError> {
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
    let Tensors { tensors, metadata } =
        serde_json::from_slice(&text).map_err(|error| FileError::Tensors(error.to_string()))?;
    Ok(HeaderRead { tensors, metadata, start: PREFIX + claimed })
}

/// The tensors of a header as they stand in it, each name once.
struct Tensors {
    tensors: Vec<(String, TensorInfo)>,
    metadata: BTreeMap<String, String>,
}

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
        let mut metadata = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("key `{name}` stands twice")));
            }
            if name == METADATA {
                let UniqueEntries(entries) = map.next_value()?;
                metadata = entries;
            } else {
                tensors.push((name, map.next_value()?));
            }
        }
        Ok(Tensors { tensors, metadata })
    }
}

/// Metadata, each key once.
#[derive(Deserialize)]
struct UniqueEntries(#[serde(deserialize_with = "unique::entries")] BTreeMap<String, String>);

/// Refuses two tensors of one name, one named as the metadata are, and elements that the format does not have.
pub(super) fn check(tensors: &[(&str, &AnyArray)]) -> Result<(), FileError> {
    if let Some((_, array)) = tensors.iter().find(|(_, array)| file_dtype(array.dtype()).is_none()) {
        return Err(FileError::NoSuchElement { dtype: array.dtype(), instead: "`.npy`" });
    }
    let mut seen = BTreeSet::from([METADATA]);
    match tensors.iter().find(|(name, _)| !seen.insert(name)) {
        Some((name, _)) => Err(FileError::TensorName((*name).to_owned())),
        None => Ok(()),
    }
}

/// Writes a whole file of tensors that were checked. An array of c64 is an `InvalidInput`.
pub(super) fn write(
    out: &mut dyn Write,
    tensors: &[(&str, &AnyArray)],
    metadata: &BTreeMap<String, String>,
) -> io::Result<()> {
    let mut sorted = tensors.to_vec();
    // Wide elements first keeps every tensor aligned to its element.
    sorted.sort_by_key(|(name, array)| (std::cmp::Reverse(array.dtype().bytes()), *name));
    let mut infos = Vec::with_capacity(sorted.len());
    let mut end = 0;
    for &(name, array) in &sorted {
        let start = end;
        end += byte_length(array);
        let Some(dtype) = file_dtype(array.dtype()) else { return Err(io::ErrorKind::InvalidInput.into()) };
        infos.push((name, TensorInfo { dtype, shape: array.shape().to_vec(), data_offsets: (start, end) }));
    }
    out.write_all(&header_text(metadata, infos)?)?;
    sorted.iter().try_for_each(|(_, array)| elements::write(out, array))
}

/// The header of a file: its length, and its text padded so that elements are aligned.
pub(super) fn header_text(metadata: &BTreeMap<String, String>, infos: Vec<(&str, TensorInfo)>) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(&HeaderText { metadata, infos })?;
    text.resize(text.len().next_multiple_of(PREFIX as usize), b' ');
    if text.len() as u64 > HEADER_LIMIT {
        let message = format!("a header of {} bytes is longer than the {HEADER_LIMIT} that are read", text.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok([&(text.len() as u64).to_le_bytes(), text.as_slice()].concat())
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

/// How the format names a dtype; none for c64, whose 128 bits it does not have.
pub(super) const fn file_dtype(dtype: Dtype) -> Option<FileDtype> {
    match dtype {
        Dtype::F32 => Some(FileDtype::F32),
        Dtype::F64 => Some(FileDtype::F64),
        Dtype::F16 => Some(FileDtype::F16),
        Dtype::Bf16 => Some(FileDtype::BF16),
        Dtype::C32 => Some(FileDtype::C64),
        Dtype::C64 => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use half::{bf16, f16};
    use ndarray::{ArrayD, arr0, arr1, arr2};
    use num_complex::Complex;

    use super::*;
    use crate::io::elements::Supply;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn read(bytes: &[u8], name: Option<&str>) -> Result<AnyArray, FileError> {
        let mut reader = Cursor::new(bytes);
        let layout = find(&mut reader, bytes.len() as u64, name)?;
        elements::read(&mut reader, &layout, Supply::Checked)
    }

    fn refusal(bytes: &[u8], name: Option<&str>) -> String {
        read(bytes, name).expect_err("must be refused").to_string()
    }

    #[test]
    fn every_rule_of_the_format_is_enforced() {
        let tests: &[(&str, usize, &str)] = &[
            ("", 0, "EOF"),
            ("{}", 0, "name one tensor"),
            ("{}", 4, "announces 0 bytes of elements, but there are 4"),
            ("[]", 0, "an object of tensors"),
            ("{} x", 0, "trailing characters"),
            ("\u{feff}{}", 0, "expected value"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 3, "announces 4 bytes"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 5, "announces 4 bytes"),
            (r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "invalid shape"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "invalid offset"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "invalid offset"),
            (r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#, 4, "invalid value"),
            (r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "invalid value"),
            (r#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#, 4, "invalid type"),
            (r#"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, 4, "unknown variant"),
            (r#"{"a":{"dtype":"F32","shape":[1]}}"#, 0, "missing field"),
            (r#"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, 4, "missing field"),
            (r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0, "overflow"),
            (r#"{"a":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,0]}}"#, 0, "overflow"),
            (r#"{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,0]}}"#, 0, "invalid"),
            (r#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4, "duplicate field"),
            (
                r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#,
                0,
                "key `a` stands twice",
            ),
            (r#"{"__metadata__":{},"__metadata__":{}}"#, 0, "stands twice"),
            (r#"{"__metadata__":{"a":1}}"#, 0, "invalid type"),
            // An overlap and a gap.
            (
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                4,
                "invalid offset",
            ),
            (
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
                12,
                "invalid offset",
            ),
            (r#"{"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#, 4, "tensor `a` is I8: not supported"),
            (r#"{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,4]}}"#, 4, "invalid shape"),
            (r#"{"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}}"#, 4, "tensor `a` is F8_E4M3"),
            (r#"{"\u001b[31m":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#, 4, r"`\u{1b}[31m` is I8"),
        ];
        for (header, bytes, expected) in tests {
            let message = refusal(&file(header, &vec![0; *bytes]), None);
            assert!(message.contains(expected), "{header}: {message}");
        }
        let nested = format!("{{\"a\":{}", "[".repeat(100_000));
        assert!(refusal(&file(&nested, &[]), None).contains("not a valid .safetensors file"));
        let axes = format!(r#"{{"a":{{"dtype":"F32","shape":[{}1],"data_offsets":[0,4]}}}}"#, "1,".repeat(64));
        assert!(refusal(&file(&axes, &[0; 4]), None).contains("65 axes"));
    }

    #[test]
    fn the_headers_length_is_checked_first() {
        for claimed in [3, HEADER_LIMIT, HEADER_LIMIT + 1, u64::MAX - 8, u64::MAX] {
            let bytes = [claimed.to_le_bytes().as_slice(), b"{}"].concat();
            let message = refusal(&bytes, None);
            assert!(message.contains(&format!("claims {claimed} bytes, but the file has 2")), "{message}");
        }
        for length in 0..8 {
            assert!(refusal(&[2, 0, 0, 0, 0, 0, 0][..length.min(7)], None).contains("the file has 0"));
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_the_same_each_time() {
        let tensors: [(&str, AnyArray); 6] = [
            ("z", arr2(&[[1.0_f64, -0.0]]).into_dyn().into()),
            ("half", arr1(&[f16::MAX, f16::MIN_POSITIVE]).into_dyn().into()),
            ("complex", arr1(&[Complex::new(1.0_f32, -2.0), Complex::new(-0.0, f32::MAX)]).into_dyn().into()),
            ("brain", arr1(&[bf16::MAX, bf16::EPSILON, bf16::ONE]).into_dyn().into()),
            ("\"quoted\"\n", arr0(4.0_f32).into_dyn().into()),
            ("empty", ArrayD::<f32>::zeros(vec![0, 3]).into()),
        ];
        let metadata = BTreeMap::from([("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
        let mut named: Vec<(&str, &AnyArray)> = tensors.iter().map(|(name, array)| (*name, array)).collect();
        let mut bytes = Vec::new();
        write(&mut bytes, &named, &metadata).unwrap();
        let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(start % 8, 0);
        assert!(
            String::from_utf8_lossy(&bytes[8..])
                .starts_with(r#"{"__metadata__":{"a":"2","b":"1"},"complex":{"dtype":"C64","#)
        );
        for (name, array) in &tensors {
            assert_eq!(&read(&bytes, Some(name)).unwrap(), array, "{name}");
        }
        assert!(refusal(&bytes, None).contains("name one tensor"));
        assert!(refusal(&bytes, Some("y")).starts_with("no tensor is called `y`; there are `complex`, `"));
        named.reverse();
        let mut again = Vec::new();
        write(&mut again, &named, &metadata).unwrap();
        assert_eq!(again, bytes);
    }

    #[test]
    fn names_must_differ() {
        let array = AnyArray::from(arr0(1.0_f32).into_dyn());
        for names in [["a", "a"], ["a", METADATA]] {
            let error = check(&names.map(|name| (name, &array))).unwrap_err().to_string();
            assert_eq!(error, format!("`{}` cannot name a tensor, or not two", names[1]));
        }
        check(&["a", "b"].map(|name| (name, &array))).unwrap();
    }
}
