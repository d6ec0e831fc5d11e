//! The `.npy` format, versions 1.0, 2.0 and 3.0 (`NumPy` Enhancement Proposal 1).
//!
//! Comes in: any stream. Goes out: a [`Layout`] that has been checked as far as a header can be, then the stream
//! stands at the first element. Writing is version 1.0, little-endian, row-major, as `NumPy` itself does for these
//! arrays.

mod header;

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::io::{self, Read, Write};

use header::Fields;
pub(super) use header::HeaderError;

use super::array::{AnyArray, Header};
use super::elements::{self, ByteOrder, Layout, MemoryOrder, fill};
use super::error::FileError;
use super::tensors::{Tensor, TensorDtype, TensorHeader};
use crate::dtype::Dtype;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// The longest header text that is read. `NumPy`'s own default is 10,000 bytes; 64 axes need fewer than 1,500.
const HEADER_LIMIT: u64 = 1 << 16;
/// `NumPy` starts the elements at a multiple of this.
const ALIGNMENT: usize = 64;
/// The digits that `NumPy` holds free for the first size.
const GROWTH_DIGITS: usize = 21;

/// The head of an `.npy` stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) layout: Layout,
    /// Where the elements begin.
    pub(super) offset: u64,
}

impl Head {
    /// Reads up to the first element.
    pub(super) fn read(reader: &mut dyn Read) -> Result<Self, FileError> {
        let (fields, offset) = fields(reader)?;
        let (dtype, byte_order) = element(&fields.descr)?;
        let memory_order = if fields.fortran_order { MemoryOrder::Fortran } else { MemoryOrder::C };
        let layout = Layout::new(Header { dtype, shape: fields.shape }, byte_order, memory_order)?;
        Ok(Self { layout, offset })
    }

    /// Refuses a file or entry of `length` bytes that is not exactly as long as this head implies.
    pub(super) fn check_length(&self, length: u64) -> Result<(), FileError> {
        let found = length.saturating_sub(self.offset);
        if found == self.layout.bytes { Ok(()) } else { Err(FileError::Length { expected: self.layout.bytes, found }) }
    }
}

/// Reads a header: its three values, and where the elements begin.
fn fields(reader: &mut dyn Read) -> Result<(Fields, u64), FileError> {
    let mut magic = [0; MAGIC.len()];
    let found = fill(reader, &mut magic)?;
    if &magic != MAGIC {
        return Err(HeaderError::Magic(magic[..found].to_vec()).into());
    }
    let mut version = [0; 2];
    let found = fill(reader, &mut version)?;
    if found < version.len() {
        return Err(HeaderError::Truncated { needed: 10, found: (MAGIC.len() + found) as u64 }.into());
    }
    let width = match version {
        [1, 0] => 2,
        [2 | 3, 0] => 4,
        [major, minor] => return Err(HeaderError::Version(major, minor).into()),
    };
    let mut length = [0; 4];
    let before = (MAGIC.len() + version.len()) as u64;
    let found = fill(reader, &mut length[..width])?;
    if found < width {
        return Err(HeaderError::Truncated { needed: before + width as u64, found: before + found as u64 }.into());
    }
    let claimed = u64::from(u32::from_le_bytes(length));
    if claimed > HEADER_LIMIT {
        return Err(HeaderError::TooLong { claimed, limit: HEADER_LIMIT }.into());
    }
    let before = before + width as u64;
    let mut text = vec![0; claimed as usize];
    let found = fill(reader, &mut text)? as u64;
    if found < claimed {
        return Err(HeaderError::Truncated { needed: before + claimed, found: before + found }.into());
    }
    Ok((header::parse(&text)?, before + claimed))
}

/// A stream whose elements may also be integers of one byte, or bf16, which `NumPy` writes as two raw bytes.
pub(super) struct TensorStream {
    pub(super) header: TensorHeader,
    byte_order: ByteOrder,
    memory_order: MemoryOrder,
}

impl TensorStream {
    /// Reads up to the first element.
    pub(super) fn open(reader: &mut dyn Read) -> Result<Self, FileError> {
        let (Fields { descr, fortran_order, shape }, _) = fields(reader)?;
        let small = [("i1", TensorDtype::I8), ("u1", TensorDtype::U8), ("V2", TensorDtype::Bf16)];
        let small = small.into_iter().find(|(code, _)| descr.trim_start_matches(['<', '=', '|']) == *code);
        let (dtype, byte_order) = match (small, element(&descr)) {
            (Some((_, dtype)), _) => (dtype, ByteOrder::Little),
            (None, Ok((Dtype::F32, order))) => (TensorDtype::F32, order),
            (None, Ok((Dtype::F16, order))) => (TensorDtype::F16, order),
            (None, Ok((dtype, _))) => return Err(FileError::StoredDtype(dtype.to_string())),
            (None, Err(HeaderError::NotYet { name, .. })) => return Err(FileError::StoredDtype(name)),
            (None, Err(error)) => return Err(error.into()),
        };
        // A dtype at least as wide stands for the element: what matters is that the elements can be counted.
        let layout = Layout::new(Header { dtype: Dtype::F32, shape }, byte_order, MemoryOrder::C)?;
        let header = TensorHeader { dtype, shape: layout.header.shape.to_vec() };
        let memory_order = if fortran_order { MemoryOrder::Fortran } else { MemoryOrder::C };
        Ok(Self { header, byte_order, memory_order })
    }

    /// Reads the elements, which are all that is left.
    pub(super) fn read(self, reader: &mut dyn Read) -> Result<Tensor, FileError> {
        let Self { header, byte_order, memory_order } = self;
        let expected = header.bytes();
        let mut bytes = Vec::new();
        // Memory grows with what is there, whatever the header claims.
        reader.take(expected + 1).read_to_end(&mut bytes).map_err(FileError::reading)?;
        match (bytes.len() as u64).cmp(&expected) {
            Ordering::Less => return Err(FileError::Length { expected, found: bytes.len() as u64 }),
            Ordering::Greater => return Err(FileError::Longer { expected }),
            Ordering::Equal => {}
        }
        let unit = header.dtype.bytes();
        if byte_order == ByteOrder::Big {
            bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
        }
        if memory_order == MemoryOrder::Fortran {
            bytes = by_rows(&bytes, unit, &header.shape)?;
        }
        Ok(Tensor { dtype: header.dtype, shape: header.shape, bytes })
    }
}

/// Elements that lie column by column, row by row.
fn by_rows(bytes: &[u8], unit: usize, shape: &[usize]) -> Result<Vec<u8>, FileError> {
    let mut rows = Vec::new();
    rows.try_reserve_exact(bytes.len()).map_err(|_| FileError::Memory(bytes.len() as u64))?;
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = unit;
    for &size in shape {
        strides.push(stride);
        stride *= size;
    }
    let (mut index, mut at) = (vec![0; shape.len()], 0);
    while rows.len() < bytes.len() {
        rows.extend_from_slice(&bytes[at..at + unit]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    Ok(rows)
}

/// The element type and byte order that a `descr` names.
fn element(descr: &str) -> Result<(Dtype, ByteOrder), HeaderError> {
    let (order, code) = match descr.as_bytes() {
        [b'>', ..] => (ByteOrder::Big, &descr[1..]),
        // `=` and `|` leave the order to the machine; little-endian everywhere gives one file one meaning.
        [b'<' | b'=' | b'|', ..] => (ByteOrder::Little, &descr[1..]),
        _ => (ByteOrder::Little, descr),
    };
    match code {
        "f4" => return Ok((Dtype::F32, order)),
        "f8" => return Ok((Dtype::F64, order)),
        "f2" => return Ok((Dtype::F16, order)),
        "c8" => return Ok((Dtype::C32, order)),
        "c16" => return Ok((Dtype::C64, order)),
        _ => {}
    }
    let kind = code.as_bytes().first().copied();
    let bytes = code.get(1..).unwrap_or_default();
    if kind == Some(b'O') {
        return Err(HeaderError::Pickled);
    }
    let bits = bytes.parse::<u32>().ok().and_then(|bytes| bytes.checked_mul(8));
    let name = match (kind, bits) {
        (Some(b'b' | b'?'), _) => "bool".to_owned(),
        (Some(b'i'), Some(bits)) => format!("int{bits}"),
        (Some(b'u'), Some(bits)) => format!("uint{bits}"),
        (Some(b'f'), Some(bits)) => format!("float{bits}"),
        (Some(b'c'), Some(bits)) => format!("complex{bits}"),
        (Some(b'S' | b'a'), _) => "byte string".to_owned(),
        (Some(b'U'), _) => "string".to_owned(),
        (Some(b'M'), _) => "datetime".to_owned(),
        (Some(b'm'), _) => "time span".to_owned(),
        // What NumPy writes for bfloat16, and for any other bytes without a meaning.
        (Some(b'V'), Some(16)) => "raw two-byte (bf16 is read from .safetensors)".to_owned(),
        (Some(b'V'), _) => "raw byte".to_owned(),
        _ => return Err(HeaderError::UnknownDescr(descr.to_owned())),
    };
    Err(HeaderError::NotYet { name, descr: descr.to_owned() })
}

/// How `descr` names a dtype; none for bf16, which `NumPy` has no code for.
pub(super) const fn descr(dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::F32 => Some("<f4"),
        Dtype::F64 => Some("<f8"),
        Dtype::F16 => Some("<f2"),
        Dtype::C32 => Some("<c8"),
        Dtype::C64 => Some("<c16"),
        Dtype::Bf16 => None,
    }
}

/// Writes a whole file. An array of bf16 is an `InvalidInput`.
pub(super) fn write(out: &mut dyn Write, array: &AnyArray) -> io::Result<()> {
    let Some(descr) = descr(array.dtype()) else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut shape = String::new();
    for (i, size) in array.shape().iter().enumerate() {
        let _ = write!(shape, "{}{size}", if i > 0 { ", " } else { "" });
    }
    if array.shape().len() == 1 {
        shape.push(',');
    }
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // NumPy leaves room for the first size to grow to its longest without moving the elements.
    let growth = array.shape().first().map_or(0, |size| GROWTH_DIGITS.saturating_sub(size.to_string().len()));
    text.extend(std::iter::repeat_n(' ', growth));
    let before = MAGIC.len() + 4;
    let total = (before + text.len() + 1).next_multiple_of(ALIGNMENT);
    text.extend(std::iter::repeat_n(' ', total - before - text.len() - 1));
    text.push('\n');
    let length = u16::try_from(text.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    out.write_all(MAGIC)?;
    out.write_all(&[1, 0])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(text.as_bytes())?;
    elements::write(out, array)
}

#[cfg(test)]
mod tests;
