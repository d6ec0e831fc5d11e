//! Bytes to elements and back, for every format: the element types, the two byte orders, the two memory orders.

use std::io::{ErrorKind, Read, Write};

use half::{bf16, f16};
use ndarray::{ArrayD, IxDyn, ShapeBuilder as _};
use num_complex::Complex;

use super::array::{AnyArray, Header, each};
use super::error::FileError;
use crate::cancel::Pace;
use crate::dtype::Dtype;
use crate::kernel;
use crate::sizes::elements;

/// The most axes an array in a file may have; `NumPy`'s own limit.
pub(super) const MAX_RANK: usize = 64;

/// Bytes converted at a time. A multiple of every element size.
const CHUNK: usize = 1 << 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MemoryOrder {
    /// The last axis is contiguous.
    C,
    /// The first axis is contiguous.
    Fortran,
}

/// An array's elements as they lie in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    pub(super) header: Header,
    pub(super) byte_order: ByteOrder,
    pub(super) memory_order: MemoryOrder,
    /// Their length in bytes.
    pub(super) bytes: u64,
}

impl Layout {
    /// Refuses a shape whose elements cannot be addressed.
    pub(super) fn new(header: Header, byte_order: ByteOrder, memory_order: MemoryOrder) -> Result<Self, FileError> {
        if header.shape.len() > MAX_RANK {
            return Err(FileError::Rank(header.shape.len()));
        }
        // `elements` leaves room for 16 bytes an element, so the product cannot overflow.
        let Some(count) = elements(&header.shape) else { return Err(FileError::Overflow(header)) };
        let bytes = (count * header.dtype.bytes()) as u64;
        Ok(Self { header, byte_order, memory_order, bytes })
    }
}

/// Whether the elements' bytes are known to be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Supply {
    /// The length of the file was checked: all memory is asked for at once.
    Checked,
    /// A stream: memory grows with what arrives, and the stream must end with the last element.
    Stream,
}

/// Reads the elements of an array.
pub(super) fn read(reader: &mut dyn Read, layout: &Layout, supply: Supply) -> Result<AnyArray, FileError> {
    Ok(match layout.header.dtype {
        Dtype::F32 => AnyArray::F32(read_as(reader, layout, supply)?),
        Dtype::F64 => AnyArray::F64(read_as(reader, layout, supply)?),
        Dtype::F16 => AnyArray::F16(read_as(reader, layout, supply)?),
        Dtype::Bf16 => AnyArray::Bf16(read_as(reader, layout, supply)?),
        Dtype::C32 => AnyArray::C32(read_as(reader, layout, supply)?),
        Dtype::C64 => AnyArray::C64(read_as(reader, layout, supply)?),
    })
}

fn read_as<T: Element>(reader: &mut dyn Read, layout: &Layout, supply: Supply) -> Result<ArrayD<T>, FileError> {
    let mut values: Vec<T> = Vec::new();
    if supply == Supply::Checked {
        let count = layout.bytes as usize / T::BYTES;
        values.try_reserve_exact(count).map_err(|_| FileError::Memory(layout.bytes))?;
        kernel::advise(values.spare_capacity_mut());
    }
    append(reader, &mut values, layout.bytes, layout.byte_order)?;
    if supply == Supply::Stream {
        if fill(reader, &mut [0])? > 0 {
            return Err(FileError::Longer { expected: layout.bytes });
        }
        values.shrink_to_fit();
    }
    let shape = IxDyn(&layout.header.shape).set_f(layout.memory_order == MemoryOrder::Fortran);
    // The count was made from this very shape; should ndarray's limits be narrower than ours, it is an overflow.
    ArrayD::from_shape_vec(shape, values).map_err(|_| FileError::Overflow(layout.header.clone()))
}

/// Reads what lies in so many bytes.
pub(super) fn append<T: Element>(
    reader: &mut dyn Read,
    values: &mut Vec<T>,
    bytes: u64,
    order: ByteOrder,
) -> Result<(), FileError> {
    let mut chunk = vec![0_u8; CHUNK.min(bytes as usize)];
    let mut found = 0_u64;
    let mut pace = Pace::new();
    while found < bytes {
        let wanted = (bytes - found).min(CHUNK as u64) as usize;
        let part = &mut chunk[..wanted];
        let filled = fill(reader, part)?;
        found += filled as u64;
        pace.did(filled);
        if filled < wanted {
            return Err(FileError::Length { expected: bytes, found });
        }
        values.try_reserve(wanted / T::BYTES).map_err(|_| FileError::Memory(bytes))?;
        match order {
            ByteOrder::Little => values.extend(part.chunks_exact(T::BYTES).map(T::from_little)),
            ByteOrder::Big => values.extend(part.chunks_exact(T::BYTES).map(T::from_big)),
        }
    }
    Ok(())
}

/// Fills as much of `buffer` as the reader has; less only at its end.
pub(super) fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, FileError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(FileError::reading(error)),
        }
    }
    Ok(filled)
}

/// Writes the elements of an array: little-endian, row-major, whatever its layout in memory.
pub(super) fn write(out: &mut dyn Write, array: &AnyArray) -> std::io::Result<()> {
    each!(array, array => write_as(out, array))
}

fn write_as<T: Element>(out: &mut dyn Write, array: &ArrayD<T>) -> std::io::Result<()> {
    let mut chunk: Vec<u8> = Vec::with_capacity(CHUNK.min(array.len() * T::BYTES));
    let mut pace = Pace::new();
    for &value in array {
        value.append_little(&mut chunk);
        if chunk.len() >= CHUNK {
            out.write_all(&chunk)?;
            pace.did(chunk.len());
            chunk.clear();
        }
    }
    out.write_all(&chunk)
}

pub(super) trait Element: Copy {
    const BYTES: usize;
    /// Of exactly [`Self::BYTES`] bytes.
    fn from_little(bytes: &[u8]) -> Self;
    /// Of exactly [`Self::BYTES`] bytes.
    fn from_big(bytes: &[u8]) -> Self;
    fn append_little(self, out: &mut Vec<u8>);
}

macro_rules! element {
    ($($element:ty, $bytes:literal;)*) => {$(
        impl Element for $element {
            const BYTES: usize = $bytes;
            fn from_little(bytes: &[u8]) -> Self {
                let mut own = [0; $bytes];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }
            fn from_big(bytes: &[u8]) -> Self {
                let mut own = [0; $bytes];
                own.copy_from_slice(bytes);
                Self::from_be_bytes(own)
            }
            fn append_little(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
element! { f32, 4; f64, 8; f16, 2; bf16, 2; }

/// The real part first; the byte order is that of each part.
impl<T: Element> Element for Complex<T> {
    const BYTES: usize = 2 * T::BYTES;
    fn from_little(bytes: &[u8]) -> Self {
        let (re, im) = bytes.split_at(T::BYTES);
        Self::new(T::from_little(re), T::from_little(im))
    }
    fn from_big(bytes: &[u8]) -> Self {
        let (re, im) = bytes.split_at(T::BYTES);
        Self::new(T::from_big(re), T::from_big(im))
    }
    fn append_little(self, out: &mut Vec<u8>) {
        self.re.append_little(out);
        self.im.append_little(out);
    }
}
