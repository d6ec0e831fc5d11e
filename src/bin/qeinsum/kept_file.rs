//! Large inputs that stay in their files: a run in slices reads of them, in each pass, what that computes with.

use std::ops::Range;

use ndarray::ArrayD;
use qeinsum::io::{AnyArray, FileArray, Header};
use qeinsum::{Dtype, Element, Error, ErrorKind, Slab, Stored};

use crate::inputs::Nonfinite;

/// An input stays in its file where that keeps at least so many bytes out of memory.
pub(crate) const LEAST_SAVED: u64 = 1 << 20;

/// Files that stay open, of which a process has a limited number.
pub(crate) const MOST_KEPT: usize = 128;

/// What lies in the file in pieces shorter than this is read with all that is between.
const PAGE: u64 = 4096;

/// Whether a slab is read without what lies between its elements.
pub(crate) fn is_apart(file: &FileArray, slab: &[Range<usize>]) -> bool {
    file.run_bytes(slab) >= PAGE
}

/// The bytes of an array.
pub(crate) fn bytes(header: &Header) -> u64 {
    bytes_of(header, header.shape.iter().copied())
}

/// The bytes of an array beside those of the slabs that a run has at a time.
pub(crate) fn saved(header: &Header, slab: &Slab) -> u64 {
    let slab_bytes = bytes_of(header, slab.part.iter().map(ExactSizeIterator::len));
    bytes(header).saturating_sub(slab_bytes.saturating_mul(slab.held as u64))
}

/// The bytes of so many elements along each axis.
pub(crate) fn bytes_of(header: &Header, sizes: impl Iterator<Item = usize>) -> u64 {
    sizes.fold(header.dtype.bytes() as u64, |bytes, size| bytes.saturating_mul(size as u64))
}

/// An input of which parts are read as they are needed.
#[derive(Debug)]
pub(crate) struct KeptFile {
    name: String,
    file: FileArray,
    dtype: Dtype,
    nonfinite: Nonfinite,
}

impl KeptFile {
    pub(crate) fn new(name: String, file: FileArray, dtype: Dtype, nonfinite: Nonfinite) -> Self {
        Self { name, file, dtype, nonfinite }
    }
}

impl<T: Element> Stored<T> for KeptFile
where
    ArrayD<T>: TryFrom<AnyArray>,
{
    fn shape(&self) -> &[usize] {
        &self.file.header().shape
    }

    fn read(&self, part: &[Range<usize>]) -> Result<ArrayD<T>, Error> {
        let array = cast(self.file.read_part(part)?, &self.name, self.dtype, self.nonfinite, part)?;
        array.try_into().map_err(|_| Error::new(ErrorKind::Value, format!("`{}` is no {}", self.name, T::DTYPE)))
    }

    fn fingerprint(&self) -> Result<u64, Error> {
        self.file.fingerprint()
    }

    fn reads_only(&self, part: &[Range<usize>]) -> bool {
        is_apart(&self.file, part)
    }
}

/// What was read of an input, as the type that it is computed with; an error names the element that is refused.
pub(crate) fn cast(
    array: AnyArray,
    name: &str,
    dtype: Dtype,
    nonfinite: Nonfinite,
    part: &[Range<usize>],
) -> Result<AnyArray, Error> {
    let named = |error: &Error| Error::new(*error.kind(), format!("`{name}`: {}", error.message()));
    let array = array.cast(dtype).map_err(|error| named(&error))?;
    if nonfinite == Nonfinite::Refused
        && let Some(mut index) = array.first_nonfinite()
    {
        // That of the whole array.
        index.iter_mut().zip(part).for_each(|(index, range)| *index += range.start);
        let message = format!(
            "`{name}`: the element at {index:?} is NaN or infinite, which a quantized run computes with only under \
             `--allow-nonfinite`"
        );
        return Err(Error::new(ErrorKind::Value, message));
    }
    Ok(array)
}
