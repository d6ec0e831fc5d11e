//! One array of an `.npz` archive: a zip file whose entries are `.npy` files, stored or deflated.
//!
//! Comes in: an open file and a name. Goes out: the entry's checked head, then its elements. No more is inflated
//! than that head implies, whatever the archive claims. Absent: writing archives, encryption, other compressions.

use std::fs::File;
use std::io::{BufReader, Read as _};

use zip::ZipArchive;
use zip::result::ZipError;

use super::array::AnyArray;
use super::elements::{self, Supply};
use super::error::FileError;
use super::npy::{Head, TensorStream};
use super::tensors::{Tensor, TensorHeader};
use crate::span::printable_text;

/// An entry whose head was read.
pub(super) struct Entry {
    archive: ZipArchive<BufReader<File>>,
    index: usize,
    pub(super) head: Head,
}

impl Entry {
    /// The entry called `name`, or the only one.
    pub(super) fn open(file: File, name: Option<&str>) -> Result<Self, FileError> {
        let mut archive = open(file)?;
        let index = find(&archive, name)?;
        let mut entry = archive.by_index(index).map_err(refused)?;
        let declared = entry.size();
        let head = Head::read(&mut entry)?;
        head.check_length(declared)?;
        drop(entry);
        Ok(Self { archive, index, head })
    }

    /// The elements.
    pub(super) fn read(mut self) -> Result<AnyArray, FileError> {
        let entry = self.archive.by_index(self.index).map_err(refused)?;
        // One byte more than there should be, so that a longer entry shows; the end also checks the CRC.
        let whole = self.head.offset + self.head.layout.bytes;
        let mut bounded = entry.take(whole + 1);
        let skipped = std::io::copy(&mut bounded.by_ref().take(self.head.offset), &mut std::io::sink());
        skipped.map_err(FileError::reading)?;
        elements::read(&mut bounded, &self.head.layout, Supply::Stream)
    }
}

/// The names of the arrays in an archive.
pub(super) fn names(file: File) -> Result<Vec<String>, FileError> {
    Ok(shown_names(&open(file)?))
}

/// The type and shape of the array called `name`, whose elements may also be integers of one byte.
pub(super) fn inspect_tensor(file: File, name: &str) -> Result<TensorHeader, FileError> {
    let mut archive = open(file)?;
    let index = find(&archive, Some(name))?;
    Ok(TensorStream::open(&mut archive.by_index(index).map_err(refused)?)?.header)
}

/// That array.
pub(super) fn read_tensor(file: File, name: &str) -> Result<Tensor, FileError> {
    let mut archive = open(file)?;
    let index = find(&archive, Some(name))?;
    let mut entry = archive.by_index(index).map_err(refused)?;
    TensorStream::open(&mut entry)?.read(&mut entry)
}

fn open(file: File) -> Result<ZipArchive<BufReader<File>>, FileError> {
    let archive = ZipArchive::new(BufReader::new(file)).map_err(refused)?;
    if archive.has_duplicate_names() { Err(FileError::TwiceInArchive) } else { Ok(archive) }
}

/// The place of the entry called `name`, or of the only one.
fn find(archive: &ZipArchive<BufReader<File>>, name: Option<&str>) -> Result<usize, FileError> {
    let index = match name {
        Some(name) => archive.index_for_name(name).or_else(|| archive.index_for_name(&format!("{name}.npy"))),
        None if archive.len() == 1 => Some(0),
        None => None,
    };
    index.ok_or_else(|| FileError::Name {
        noun: "array",
        asked: name.map(str::to_owned),
        available: shown_names(archive),
    })
}

fn shown_names(archive: &ZipArchive<BufReader<File>>) -> Vec<String> {
    (0..archive.len()).map(|index| shown_name(archive, index)).collect()
}

fn shown_name(archive: &ZipArchive<BufReader<File>>, index: usize) -> String {
    let name = archive.name_for_index(index).and_then(Result::ok).unwrap_or_default();
    name.strip_suffix(".npy").unwrap_or(&name).to_owned()
}

fn refused(error: ZipError) -> FileError {
    match error {
        ZipError::Io(error) => match FileError::reading(error) {
            FileError::Corrupt(why) => FileError::Archive(why),
            other => other,
        },
        other => FileError::Archive(printable_text(&other.to_string(), 120)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use ndarray::{ArrayD, arr1};
    use zip::CompressionMethod::{self, Deflated, Stored};
    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;
    use crate::io::npy;
    use crate::io::scratch::Scratch;

    /// The bytes of an `.npy` file.
    fn entry(array: &AnyArray) -> Vec<u8> {
        let mut bytes = Vec::new();
        npy::write(&mut bytes, array).unwrap();
        bytes
    }

    fn archive(method: CompressionMethod, entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn read(scratch: &Scratch, bytes: &[u8], name: Option<&str>) -> Result<AnyArray, FileError> {
        let path = scratch.path("a.npz");
        fs::write(&path, bytes).unwrap();
        Entry::open(File::open(&path).unwrap(), name)?.read()
    }

    /// Sets the uncompressed size that both records of the only entry declare.
    fn declare(bytes: &mut [u8], size: u32) {
        for (signature, field) in [(b"PK\x01\x02", 24), (b"PK\x03\x04", 22)] {
            let at = bytes.windows(4).rposition(|window| window == signature).unwrap() + field;
            bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
        }
    }

    #[test]
    fn entries_are_found_with_and_without_their_extension() {
        let scratch = Scratch::new("npz-names");
        let (a, b) = (arr1(&[1.0_f32, 2.0]).into_dyn().into(), ArrayD::<f64>::ones(vec![300, 100]).into());
        for method in [Stored, Deflated] {
            let bytes = archive(method, &[("a.npy", &entry(&a)), ("layer/b.npy", &entry(&b)), ("bare", &entry(&a))]);
            for (name, expected) in [("a", &a), ("a.npy", &a), ("layer/b", &b), ("bare", &a)] {
                assert_eq!(&read(&scratch, &bytes, Some(name)).unwrap(), expected, "{name}");
            }
            let message = read(&scratch, &bytes, Some("z\u{7}")).unwrap_err().to_string();
            assert_eq!(message, "no array is called `z\\u{7}`; there are `a`, `layer/b`, `bare`");
            assert!(read(&scratch, &bytes, None).is_err());
            assert_eq!(read(&scratch, &archive(method, &[("a.npy", &entry(&a))]), None).unwrap(), a);
        }
    }

    #[test]
    fn an_entry_is_exactly_as_long_as_its_header_says() {
        let scratch = Scratch::new("npz-length");
        let small = AnyArray::from(arr1(&[0.0_f32; 4]).into_dyn());
        let whole = entry(&small);
        for method in [Stored, Deflated] {
            let longer = [whole.as_slice(), &vec![0; 1_000_000]].concat();
            let message = read(&scratch, &archive(method, &[("a", &longer)]), None).unwrap_err().to_string();
            assert_eq!(message, "the header announces 16 bytes of elements, but there are 1000016");
            let shorter = archive(method, &[("a", &whole[..whole.len() - 1])]);
            assert!(read(&scratch, &shorter, None).unwrap_err().to_string().contains("but there are 15"));
        }
        // A bomb: the directory declares what the header implies, the stream holds a thousand times as much.
        let mut bomb = archive(Deflated, &[("a", &[whole.as_slice(), &vec![0; 1_000_000]].concat())]);
        declare(&mut bomb, whole.len() as u32);
        assert!(read(&scratch, &bomb, None).is_err());
        // The opposite: header and directory agree on more than there is.
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,)}";
        let claim = [b"\x93NUMPY\x01\x00\x40\x00".as_slice(), text.as_bytes(), &[0; 100]].concat();
        let mut hollow = archive(Deflated, &[("a", &claim)]);
        declare(&mut hollow, 10 + text.len() as u32 + 4_000_000_000);
        assert!(read(&scratch, &hollow, None).unwrap_err().to_string().contains("announces 4000000000 bytes"));
    }

    #[test]
    fn damage_is_refused() {
        let scratch = Scratch::new("npz-damage");
        let array = AnyArray::from(ArrayD::from_shape_fn(vec![500], |index| (index[0] * index[0]) as f32));
        for method in [Stored, Deflated] {
            let whole = archive(method, &[("a.npy", &entry(&array))]);
            assert_eq!(read(&scratch, &whole, None).unwrap(), array);
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 0x55;
            assert!(read(&scratch, &flipped, None).is_err(), "{method}");
            for length in (0..whole.len()).step_by(97) {
                assert!(read(&scratch, &whole[..length], None).is_err(), "{method}, {length}");
            }
        }
        assert!(read(&scratch, b"PK\x05\x06", None).unwrap_err().to_string().starts_with("not a readable .npz"));
    }

    #[test]
    fn no_claim_of_the_archive_is_believed() {
        let scratch = Scratch::new("npz-claims");
        let whole = entry(&arr1(&[1.0_f32; 4]).into_dyn().into());
        let bytes = archive(Stored, &[("a.npy", &whole)]);
        let directory = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        for at in (0..30).chain(directory..bytes.len()) {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                // Dates, flags and names may be others; the elements may not.
                if let Ok(array) = read(&scratch, &changed, None) {
                    assert_eq!(entry(&array), whole, "byte {at} set to {value}");
                }
            }
        }
    }

    #[test]
    fn two_entries_of_one_name_are_refused() {
        let scratch = Scratch::new("npz-twice");
        let whole = entry(&arr1(&[1.0_f32]).into_dyn().into());
        let mut bytes = archive(Stored, &[("a.npy", &whole), ("b.npy", &whole)]);
        for at in 0..bytes.len() - 5 {
            if &bytes[at..at + 5] == b"b.npy" {
                bytes[at] = b'a';
            }
        }
        assert!(matches!(read(&scratch, &bytes, Some("a")), Err(FileError::TwiceInArchive)));
    }
}
