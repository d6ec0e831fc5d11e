//! Tensors of small types with their bytes: whole `.safetensors` files with metadata, and single arrays of a container.
//!
//! Comes in: the bytes of a file; goes out: its tensors and its metadata; and back. Or a file and a name come in, and one
//! array goes out. The rules of `.safetensors` are those of the `safetensors` crate.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ::safetensors::Dtype as FileDtype;
use ::safetensors::tensor::{SafeTensors, TensorInfo};

use super::error::{FileError, shown};
use super::npz;
use super::safetensors::{self, header_text, metadata_of};
use super::source::{Format, regular};
use crate::error::{Error, ErrorKind};

/// The type of a tensor's elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TensorDtype {
    I8,
    U8,
    F32,
    F16,
    Bf16,
}

impl TensorDtype {
    const ALL: [(Self, FileDtype, usize); 5] = [
        (Self::I8, FileDtype::I8, 1),
        (Self::U8, FileDtype::U8, 1),
        (Self::F32, FileDtype::F32, 4),
        (Self::F16, FileDtype::F16, 2),
        (Self::Bf16, FileDtype::BF16, 2),
    ];

    fn of(dtype: FileDtype) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.1 == dtype).map(|entry| entry.0)
    }

    /// Bytes of an element.
    pub(crate) fn bytes(self) -> usize {
        self.written().1
    }

    fn written(self) -> (FileDtype, usize) {
        Self::ALL.into_iter().find(|entry| entry.0 == self).map_or((FileDtype::U8, 1), |entry| (entry.1, entry.2))
    }
}

/// The type and shape of a tensor whose elements can be counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TensorHeader {
    pub(crate) dtype: TensorDtype,
    pub(crate) shape: Vec<usize>,
}

impl TensorHeader {
    /// How many elements there are.
    pub(crate) fn elements(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }

    /// How many bytes they have.
    pub(crate) fn bytes(&self) -> u64 {
        self.elements() * self.dtype.bytes() as u64
    }
}

impl TensorHeader {
    /// A tensor like this whose elements are not there.
    pub(crate) fn without_bytes(self) -> Tensor {
        Tensor { dtype: self.dtype, shape: self.shape, bytes: Vec::new() }
    }
}

/// A tensor: little-endian elements in row-major order.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Tensor {
    pub(crate) dtype: TensorDtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// A file's tensors and metadata.
pub(crate) struct TensorFile {
    pub(crate) tensors: BTreeMap<String, Tensor>,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// Reads the bytes of a file. Tensors of types that are not known here are left out.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::parsed(bytes).map_err(|error| content(&error))
    }

    fn parsed(bytes: &[u8]) -> Result<Self, FileError> {
        // Names that stand twice are refused here, which the crate does not do.
        let metadata = metadata_of(&mut std::io::Cursor::new(bytes), bytes.len() as u64)?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| FileError::Tensors(error.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let Some(dtype) = TensorDtype::of(view.dtype()) else { continue };
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(view.data().len()).map_err(|_| FileError::Memory(view.data().len() as u64))?;
            bytes.extend_from_slice(view.data());
            tensors.insert(name.to_owned(), Tensor { dtype, shape: view.shape().to_vec(), bytes });
        }
        Ok(Self { tensors, metadata })
    }

    /// The bytes of a file; the same tensors give the same bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut sorted: Vec<(&String, &Tensor)> = self.tensors.iter().collect();
        // Wide elements first keeps every tensor aligned to its element.
        sorted.sort_by_key(|(name, tensor)| (std::cmp::Reverse(tensor.dtype.written().1), *name));
        let mut end = 0;
        let infos = sorted.iter().map(|(name, tensor)| {
            let start = end;
            end += tensor.bytes.len();
            let dtype = tensor.dtype.written().0;
            (name.as_str(), TensorInfo { dtype, shape: tensor.shape.clone(), data_offsets: (start, end) })
        });
        let mut bytes =
            header_text(&self.metadata, infos.collect()).map_err(|error| content(&FileError::writing(error)))?;
        for (_, tensor) in sorted {
            bytes.extend_from_slice(&tensor.bytes);
        }
        Ok(bytes)
    }
}

/// The public error about bytes that are in no file of their own.
fn content(error: &FileError) -> Error {
    Error::new(ErrorKind::File, error.to_string())
}

/// The bytes of a regular file.
pub(crate) fn read_whole(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || -> Result<Vec<u8>, FileError> {
        let (file, length) = regular(path)?;
        let mut bytes = Vec::new();
        let room = usize::try_from(length).ok().and_then(|length| bytes.try_reserve_exact(length).ok());
        room.ok_or(FileError::Memory(length))?;
        // A file that grows meanwhile is read no further than it was long.
        file.take(length).read_to_end(&mut bytes).map_err(FileError::reading)?;
        Ok(bytes)
    };
    read().map_err(|error| error.of(path))
}

/// The names of the arrays in an `.npz` archive or a `.safetensors` file.
pub(crate) fn names(path: &Path) -> Result<Vec<String>, Error> {
    let read = || -> Result<Vec<String>, FileError> {
        let (file, length) = regular(path)?;
        match container(path)? {
            Container::Npz => npz::names(file),
            Container::Safetensors => safetensors::names(&mut BufReader::new(file), length),
        }
    };
    read().map_err(|error| error.of(path))
}

/// The type and shape of one array of an `.npz` archive or a `.safetensors` file, integers of one byte included.
pub(crate) fn inspect_tensor(path: &Path, name: &str) -> Result<TensorHeader, Error> {
    let read = || -> Result<TensorHeader, FileError> {
        let (file, length) = regular(path)?;
        match container(path)? {
            Container::Npz => npz::inspect_tensor(file, name),
            Container::Safetensors => Ok(seek(&mut BufReader::new(file), length, name)?.0),
        }
    };
    read().map_err(|error| error.of(path))
}

/// That array.
pub(crate) fn load_tensor(path: &Path, name: &str) -> Result<Tensor, Error> {
    let read = || -> Result<Tensor, FileError> {
        let (file, length) = regular(path)?;
        match container(path)? {
            Container::Npz => npz::read_tensor(file, name),
            Container::Safetensors => {
                let mut reader = BufReader::new(file);
                let (TensorHeader { dtype, shape }, (start, end)) = seek(&mut reader, length, name)?;
                // The file was as long as its header says.
                let mut bytes = Vec::new();
                bytes.try_reserve_exact(end - start).map_err(|_| FileError::Memory((end - start) as u64))?;
                reader.take((end - start) as u64).read_to_end(&mut bytes).map_err(FileError::reading)?;
                Ok(Tensor { dtype, shape, bytes })
            }
        }
    };
    read().map_err(|error| error.of(path))
}

/// A `.safetensors` file that stays open, so that all that is read of it is of one file.
#[derive(Debug)]
pub(crate) struct OpenTensors {
    name: String,
    length: u64,
    file: Mutex<BufReader<File>>,
}

impl OpenTensors {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let (file, length) = regular(path).map_err(|error| error.of(path))?;
        Ok(Self { name: shown(path), length, file: Mutex::new(BufReader::new(file)) })
    }

    /// The metadata of its header.
    pub(crate) fn metadata(&self) -> Result<BTreeMap<String, String>, Error> {
        self.read(|file| metadata_of(file, self.length))
    }

    /// The type and shape of a tensor.
    pub(crate) fn header(&self, name: &str) -> Result<TensorHeader, Error> {
        self.read(|file| Ok(seek(file, self.length, name)?.0))
    }

    /// A tensor that has this header.
    pub(crate) fn load(&self, name: &str, header: &TensorHeader) -> Result<Tensor, Error> {
        let bytes = self.ranges(name, header, &std::iter::once(0..header.bytes() as usize))?;
        Ok(Tensor { dtype: header.dtype, shape: header.shape.clone(), bytes })
    }

    /// Ranges of the bytes of a tensor that has this header, one behind the other.
    pub(crate) fn ranges(
        &self,
        name: &str,
        header: &TensorHeader,
        ranges: &(impl Iterator<Item = Range<usize>> + Clone),
    ) -> Result<Vec<u8>, Error> {
        self.read(|file| {
            let (found, _) = seek(file, self.length, name)?;
            if found != *header {
                return Err(FileError::reading(io::Error::other("the file changed while it was read")));
            }
            let count = ranges.clone().map(|range| range.len()).sum();
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(count).map_err(|_| FileError::Memory(count as u64))?;
            let mut at = 0;
            for range in ranges.clone() {
                // Back, where two ranges have a byte in common.
                file.seek_relative(range.start as i64 - at as i64).map_err(FileError::reading)?;
                let filled = bytes.len();
                bytes.resize(filled + range.len(), 0);
                file.read_exact(&mut bytes[filled..]).map_err(FileError::reading)?;
                at = range.end;
            }
            Ok(bytes)
        })
    }

    /// Reads from the beginning.
    fn read<R>(&self, read: impl FnOnce(&mut BufReader<File>) -> Result<R, FileError>) -> Result<R, Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let found = file.rewind().map_err(FileError::reading).and_then(|()| read(&mut file));
        found.map_err(|error| error.named(&self.name))
    }
}

/// Goes to the first byte of a tensor; its header, and where it begins and ends.
fn seek(reader: &mut BufReader<File>, length: u64, name: &str) -> Result<(TensorHeader, (usize, usize)), FileError> {
    let found = safetensors::seek(reader, length, Some(name))?;
    let dtype = TensorDtype::of(found.info.dtype);
    let dtype = dtype.ok_or_else(|| FileError::StoredDtype(found.info.dtype.to_string()))?;
    Ok((TensorHeader { dtype, shape: found.info.shape }, found.info.data_offsets))
}

/// A file of several arrays, by its extension.
enum Container {
    Npz,
    Safetensors,
}

fn container(path: &Path) -> Result<Container, FileError> {
    match Format::of(path) {
        Some(Format::Npz) => Ok(Container::Npz),
        Some(Format::Safetensors) => Ok(Container::Safetensors),
        Some(Format::Npy) | None => Err(FileError::Extension { known: "`.npz` and `.safetensors`" }),
    }
}

/// The metadata of a `.safetensors` file, of which only the header is read.
pub(crate) fn metadata(path: &Path) -> Result<BTreeMap<String, String>, Error> {
    let read = || -> Result<BTreeMap<String, String>, FileError> {
        let (file, length): (File, u64) = regular(path)?;
        metadata_of(&mut BufReader::new(file), length)
    };
    read().map_err(|error| error.of(path))
}
