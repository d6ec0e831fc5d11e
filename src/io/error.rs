//! What can be wrong with a file, in words with numbers.

use std::fmt;
use std::io;
use std::path::Path;

use super::array::Header;
use super::elements::MAX_RANK;
use super::npy::HeaderError;
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind};
use crate::span::printable_text;

/// Columns of a file's name that a message shows, counted from its end, which tells files apart.
const NAME_WIDTH: usize = 56;
/// Names that a message lists before it only counts.
const LISTED: usize = 12;

/// A file that cannot be read or written as asked.
#[derive(Debug)]
pub(super) enum FileError {
    /// The operating system refused.
    Os {
        doing: &'static str,
        error: io::Error,
    },
    /// The machine has no room for this many bytes.
    Memory(u64),
    NotFound,
    /// A directory, a pipe, a device.
    NotRegular,
    /// The extension names no format; these would do.
    Extension {
        known: &'static str,
    },
    /// A dtype that the format of the output cannot hold.
    NoSuchElement {
        dtype: Dtype,
        instead: &'static str,
    },
    /// A compressed or checked stream whose content contradicts itself.
    Corrupt(String),
    /// The header of an `.npy` file or entry.
    Npy(HeaderError),
    Rank(usize),
    Overflow(Header),
    /// The bytes of the elements, counted from the header and found.
    Length {
        expected: u64,
        found: u64,
    },
    /// A stream goes on after its last element.
    Longer {
        expected: u64,
    },
    /// Not a zip archive, or one of a kind that is not read.
    Archive(String),
    /// A zip archive that has two entries of one name.
    TwiceInArchive,
    /// An entry was asked for that is not there, or none was named where one must be.
    Name {
        noun: &'static str,
        asked: Option<String>,
        available: Vec<String>,
    },
    /// A `.safetensors` header whose length is impossible.
    TensorHeaderLength {
        claimed: u64,
        found: u64,
        limit: u64,
    },
    /// A `.safetensors` header that breaks a rule of the format.
    Tensors(String),
    /// A name that cannot be given to a tensor, or not to two.
    TensorName(String),
    /// A dtype that no stored integers or scales have.
    StoredDtype(String),
    /// A tensor of a dtype that is not computed with.
    TensorDtype {
        tensor: String,
        dtype: String,
    },
}

impl FileError {
    /// An error met while reading: the machine's where the operating system gave it a number, else a decoder's
    /// about the content.
    pub(super) fn reading(error: io::Error) -> Self {
        if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::OutOfMemory {
            Self::Os { doing: "read", error }
        } else {
            Self::Corrupt(printable_text(&error.to_string(), 120))
        }
    }

    /// An error met while opening a file to read it.
    pub(super) fn opening(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound,
            _ => Self::Os { doing: "open", error },
        }
    }

    /// An error met while writing.
    pub(super) fn writing(error: io::Error) -> Self {
        Self::Os { doing: "write", error }
    }

    /// The public error, which names the file.
    pub(super) fn of(self, path: &Path) -> Error {
        self.named(&shown(path))
    }

    /// The public error about a stream or an entry called `name`.
    pub(super) fn named(self, name: &str) -> Error {
        let kind = match self {
            Self::Os { .. } => ErrorKind::Machine,
            Self::Memory(_) => ErrorKind::Memory,
            _ => ErrorKind::File,
        };
        Error::new(kind, self.to_string()).within(&format!("`{name}`"))
    }
}

/// The end of a file's name, printable.
pub(super) fn shown(path: &Path) -> String {
    let whole = printable_text(&path.to_string_lossy(), usize::MAX);
    let length = whole.chars().count();
    if length <= NAME_WIDTH {
        return whole;
    }
    let tail: String = whole.chars().skip(length - NAME_WIDTH + 1).collect();
    format!("…{tail}")
}

impl From<HeaderError> for FileError {
    fn from(error: HeaderError) -> Self {
        Self::Npy(error)
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os { doing, error } => write!(f, "cannot {doing}: {error}"),
            Self::Memory(bytes) => write!(f, "no memory for {bytes} bytes of elements"),
            Self::NotFound => f.write_str("no such file"),
            Self::NotRegular => f.write_str("not a regular file; `-` stands for an .npy file on a stream"),
            Self::Extension { known } => write!(f, "the name tells no format; there are {known}"),
            Self::NoSuchElement { dtype, instead } => {
                write!(f, "this format has no {dtype}; write to {instead} instead")
            }
            Self::StoredDtype(name) => {
                write!(
                    f,
                    "{name} elements: quantized values are int8, float32, float16 or bfloat16, and scales floats of these"
                )
            }
            Self::Corrupt(why) => write!(f, "the content is damaged: {why}"),
            Self::Npy(error) => write!(f, "{error}"),
            Self::Rank(rank) => write!(f, "an array of {rank} axes; the limit is {MAX_RANK}"),
            Self::Overflow(header) => write!(
                f,
                "shape `{}` of {} has more elements than a machine can address: overflow",
                printable_text(&format!("{:?}", header.shape), 60),
                header.dtype
            ),
            Self::Length { expected, found } => {
                write!(f, "the header announces {expected} bytes of elements, but there are {found}")
            }
            Self::Longer { expected } => {
                write!(f, "the header announces {expected} bytes of elements, but there are more")
            }
            Self::Archive(why) => write!(f, "not a readable .npz archive: {why}"),
            Self::TwiceInArchive => f.write_str("the archive has two entries of the same name"),
            Self::Name { noun, asked, available } => {
                match asked {
                    Some(name) => write!(f, "no {noun} is called `{}`", printable_text(name, 40))?,
                    None => write!(f, "name one {noun}, as in `file:name`")?,
                }
                f.write_str(if available.is_empty() { "; there is none" } else { "; there are " })?;
                for (i, name) in available.iter().take(LISTED).enumerate() {
                    write!(f, "{}`{}`", if i > 0 { ", " } else { "" }, printable_text(name, 40))?;
                }
                match available.len().saturating_sub(LISTED) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::TensorHeaderLength { claimed, found, limit } => write!(
                f,
                "the header claims {claimed} bytes, but the file has {found} after its first 8; the limit is {limit}"
            ),
            Self::Tensors(why) => write!(f, "not a valid .safetensors file: {}", printable_text(why, 200)),
            Self::TensorName(name) => {
                write!(f, "`{}` cannot name a tensor, or not two", printable_text(name, 40))
            }
            Self::TensorDtype { tensor, dtype } => {
                write!(
                    f,
                    "tensor `{}` is {dtype}: not supported; use F32, F64, F16, BF16 or C64",
                    printable_text(tensor, 40)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_failures_and_the_contents_are_told_apart() {
        let tests = [
            (FileError::reading(io::Error::from_raw_os_error(5)), ErrorKind::Machine),
            (FileError::reading(io::ErrorKind::InvalidData.into()), ErrorKind::File),
            (FileError::reading(io::Error::other("\u{1b}[31m")), ErrorKind::File),
            (FileError::opening(io::ErrorKind::NotFound.into()), ErrorKind::File),
            (FileError::opening(io::ErrorKind::PermissionDenied.into()), ErrorKind::Machine),
            (FileError::writing(io::ErrorKind::StorageFull.into()), ErrorKind::Machine),
            (FileError::Memory(1 << 60), ErrorKind::Memory),
            (FileError::Rank(65), ErrorKind::File),
        ];
        for (error, kind) in tests {
            let error = error.of(Path::new("a.npy"));
            assert_eq!(error.kind(), &kind, "{error}");
            assert!(error.message().starts_with("`a.npy`: "), "{error}");
            assert!(!error.message().contains('\u{1b}'), "{error}");
        }
    }

    #[test]
    fn names_are_shown_escaped_and_cut_from_the_left() {
        assert_eq!(shown(Path::new("a\u{202e}b.npy")), "a\\u{202e}b.npy");
        let long = format!("{}/last.npy", "directory".repeat(20));
        let shown = shown(Path::new(&long));
        assert_eq!(shown.chars().count(), NAME_WIDTH);
        assert!(shown.starts_with('…') && shown.ends_with("/last.npy"), "{shown}");
    }

    #[test]
    fn a_list_of_names_is_cut_and_escaped() {
        let available = (0..40).map(|i| format!("n{i}\n")).collect();
        let message = FileError::Name { noun: "array", asked: None, available }.to_string();
        assert!(message.starts_with("name one array, as in `file:name`; there are `n0\\n`, `n1\\n`"), "{message}");
        assert!(message.ends_with("`n11\\n` and 28 more"), "{message}");
    }
}
