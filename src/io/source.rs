//! From the way an input is written on a command line to its array.
//!
//! Comes in: `a.npy`, `b.npz:name`, `c.safetensors:name`, or `-` for an `.npy` stream on standard input. Goes out:
//! first the dtype and shape, for which only headers are read, then the elements. Absent: any choice of format by
//! looking at content; the extension decides.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::array::{AnyArray, Header};
use super::elements::{self, Layout, Supply};
use super::error::{FileError, shown};
use super::npy::Head;
use super::{npz, safetensors};
use crate::error::Error;

/// A file format, by extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Npy,
    Npz,
    Safetensors,
}

impl Format {
    pub(super) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "npy" => Some(Self::Npy),
            "npz" => Some(Self::Npz),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }
}

/// Where an input array is.
///
/// ```
/// use qeinsum::io::Source;
/// let source = Source::parse("weights.npz:layer/kernel")?;
/// let expected = Source::Npz { path: "weights.npz".into(), name: Some("layer/kernel".into()) };
/// assert_eq!(source, expected);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Source {
    /// An `.npy` stream on standard input.
    Stdin,
    /// An `.npy` file.
    Npy(PathBuf),
    /// An entry of an `.npz` archive, its name with or without `.npy`; without a name the only one.
    Npz {
        /// The archive.
        path: PathBuf,
        /// The entry.
        name: Option<String>,
    },
    /// A tensor of a `.safetensors` file; without a name the only one.
    Safetensors {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: Option<String>,
    },
}

impl Source {
    /// Reads `path` or `path:name`.
    ///
    /// Where both could be meant, the longest path that exists is. An error says which extensions are known.
    pub fn parse(spec: impl AsRef<OsStr>) -> Result<Self, Error> {
        let spec = spec.as_ref();
        if spec == "-" {
            return Ok(Self::Stdin);
        }
        let whole = Path::new(spec);
        let format = Format::of(whole);
        if format.is_none() || !whole.is_file() {
            // A name is text; what is not can only be a path.
            if let Some(source) = spec.to_str().and_then(container) {
                return Ok(source);
            }
        }
        let path = whole.to_owned();
        match format {
            Some(Format::Npy) => Ok(Self::Npy(path)),
            Some(Format::Npz) => Ok(Self::Npz { path, name: None }),
            Some(Format::Safetensors) => Ok(Self::Safetensors { path, name: None }),
            None => {
                let known = "`.npy`, `.npz:name`, `.safetensors:name`, and `-` for .npy on standard input";
                Err(FileError::Extension { known }.of(whole))
            }
        }
    }

    /// Reads the header; for standard input that takes it off the stream.
    pub fn open(&self) -> Result<Opened, Error> {
        let (name, opened) = match self {
            Self::Stdin => ("standard input".to_owned(), stream(Box::new(io::stdin()))),
            Self::Npy(path) => (shown(path), npy(path)),
            Self::Npz { path, name } => (shown(path), archive(path, name.as_deref())),
            Self::Safetensors { path, name } => (shown(path), tensor(path, name.as_deref())),
        };
        match opened {
            Ok(body) => Ok(Opened { name, body }),
            Err(error) => Err(error.named(&name)),
        }
    }
}

/// `path:name`: the longest path that exists, else the shortest; none where no `:` follows a container's extension.
fn container(spec: &str) -> Option<Source> {
    let splits = || spec.match_indices(':').map(|(at, _)| spec.split_at(at)).filter(|(path, _)| is_container(path));
    let (path, name) = splits().rev().find(|(path, _)| Path::new(path).is_file()).or_else(|| splits().next())?;
    let name = Some(name.trim_start_matches(':').to_owned());
    let path = PathBuf::from(path);
    Some(match Format::of(&path)? {
        Format::Npz => Source::Npz { path, name },
        Format::Safetensors => Source::Safetensors { path, name },
        Format::Npy => return None,
    })
}

fn is_container(path: &str) -> bool {
    matches!(Format::of(Path::new(path)), Some(Format::Npz | Format::Safetensors))
}

/// An input whose header was read and whose elements were not.
pub struct Opened {
    name: String,
    body: Body,
}

enum Body {
    /// The reader stands at the first element.
    Elements {
        reader: Box<dyn Read + Send>,
        layout: Layout,
        supply: Supply,
    },
    Entry(Box<npz::Entry>),
}

impl Opened {
    /// The dtype and shape, from which follows how much memory [`read`](Self::read) takes.
    pub fn header(&self) -> &Header {
        match &self.body {
            Body::Elements { layout, .. } => &layout.header,
            Body::Entry(entry) => &entry.head.layout.header,
        }
    }

    /// Reads the elements. An array that lies column by column in its file does so in memory too.
    pub fn read(self) -> Result<AnyArray, Error> {
        let array = match self.body {
            Body::Elements { mut reader, layout, supply } => elements::read(&mut reader, &layout, supply),
            Body::Entry(entry) => entry.read(),
        };
        array.map_err(|error| error.named(&self.name))
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("name", &self.name).field("header", self.header()).finish_non_exhaustive()
    }
}

/// Opens the input that `spec` describes; see [`Source::parse`].
pub fn open(spec: impl AsRef<OsStr>) -> Result<Opened, Error> {
    Source::parse(spec)?.open()
}

/// The dtype and shape of an input, reading only headers.
pub fn inspect(spec: impl AsRef<OsStr>) -> Result<Header, Error> {
    Ok(open(spec)?.header().clone())
}

/// The array that `spec` describes.
pub fn load(spec: impl AsRef<OsStr>) -> Result<AnyArray, Error> {
    open(spec)?.read()
}

/// Opens a file that has a length.
fn regular(path: &Path) -> Result<(File, u64), FileError> {
    // Asked before opening too: to open a pipe would wait for its writer.
    if !fs::metadata(path).map_err(FileError::opening)?.is_file() {
        return Err(FileError::NotRegular);
    }
    let file = File::open(path).map_err(FileError::opening)?;
    let metadata = file.metadata().map_err(FileError::opening)?;
    if metadata.is_file() { Ok((file, metadata.len())) } else { Err(FileError::NotRegular) }
}

fn npy(path: &Path) -> Result<Body, FileError> {
    let (file, length) = regular(path)?;
    let mut reader = BufReader::new(file);
    let head = Head::read(&mut reader)?;
    head.check_length(length)?;
    Ok(Body::Elements { reader: Box::new(reader), layout: head.layout, supply: Supply::Checked })
}

fn stream(mut reader: Box<dyn Read + Send>) -> Result<Body, FileError> {
    let head = Head::read(&mut reader)?;
    Ok(Body::Elements { reader, layout: head.layout, supply: Supply::Stream })
}

fn archive(path: &Path, name: Option<&str>) -> Result<Body, FileError> {
    let (file, _) = regular(path)?;
    Ok(Body::Entry(Box::new(npz::Entry::open(file, name)?)))
}

fn tensor(path: &Path, name: Option<&str>) -> Result<Body, FileError> {
    let (file, length) = regular(path)?;
    let mut reader = BufReader::new(file);
    let layout = safetensors::find(&mut reader, length, name)?;
    Ok(Body::Elements { reader: Box::new(reader), layout, supply: Supply::Checked })
}
