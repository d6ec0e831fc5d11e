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
use super::npy::Head;
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
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(refused)?;
        if archive.has_duplicate_names() {
            return Err(FileError::TwiceInArchive);
        }
        let index = match name {
            Some(name) => archive.index_for_name(name).or_else(|| archive.index_for_name(&format!("{name}.npy"))),
            None if archive.len() == 1 => Some(0),
            None => None,
        };
        let Some(index) = index else {
            let available = (0..archive.len()).map(|index| shown_name(&archive, index)).collect();
            return Err(FileError::Name { noun: "array", asked: name.map(str::to_owned), available });
        };
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
