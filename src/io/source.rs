//! From the way an input is written on a command line to its array.
//!
//! Comes in: `a.npy`, `b.npz:name`, `c.safetensors:name`, or `-` for an `.npy` stream on standard input. Goes out:
//! first the dtype and shape, for which only headers are read, then the elements. Absent: any choice of format by
//! looking at content; the extension decides.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::array::{AnyArray, Header};
use super::elements::{self, Layout, Supply};
use super::error::{FileError, shown};
use super::file_array::FileArray;
use super::npy::Head;
use super::{npz, part, safetensors};
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
    ///
    /// ```
    /// use qeinsum::io::{self, AnyArray, Source};
    /// # let path = std::env::temp_dir().join(format!("qeinsum-source-open-doc-{}.npy", std::process::id()));
    /// io::save(&path, &AnyArray::F32(ndarray::arr2(&[[1.0, 2.0]]).into_dyn()))?;
    /// assert_eq!(Source::parse(&path)?.open()?.header().shape.as_slice(), [1, 2]);
    /// # std::fs::remove_file(&path).ok();
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
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

/// Bytes at one place of a sample.
const SAMPLED: u64 = 4096;
/// Places of a sample.
const PLACES: u64 = 64;

impl Source {
    /// A number that files with the same bytes have in common, in processes of one build: of their lengths, and of what they
    /// hold at 64 places, which is all of a file up to 256 KiB; none for standard input.
    ///
    /// ```
    /// use qeinsum::io::{self, AnyArray, Source};
    /// # let path = std::env::temp_dir().join(format!("qeinsum-sample-doc-{}.npy", std::process::id()));
    /// let sample = |x: f32| {
    ///     io::save(&path, &AnyArray::F32(ndarray::arr1(&[x, 2.0]).into_dyn()))?;
    ///     Source::Npy(path.clone()).sample()
    /// };
    /// assert_eq!(sample(1.0)?, sample(1.0)?);
    /// assert_ne!(sample(1.0)?, sample(-1.0)?);
    /// # std::fs::remove_file(&path).ok();
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn sample(&self) -> Result<Option<u64>, Error> {
        match self {
            Self::Stdin => Ok(None),
            Self::Npy(path) | Self::Npz { path, .. } | Self::Safetensors { path, .. } => {
                sample(path).map(Some).map_err(|error| error.named(&shown(path)))
            }
        }
    }
}

fn sample(path: &Path) -> Result<u64, FileError> {
    let (mut file, length) = regular(path)?;
    let mut hasher = DefaultHasher::new();
    length.hash(&mut hasher);
    let mut bytes = vec![0; SAMPLED as usize];
    for place in 0..PLACES {
        let start = if length <= PLACES * SAMPLED {
            place * SAMPLED
        } else {
            // The last place ends with the file.
            (u128::from(length - SAMPLED) * u128::from(place) / u128::from(PLACES - 1)) as u64
        };
        if start >= length {
            break;
        }
        file.seek(SeekFrom::Start(start)).map_err(FileError::reading)?;
        let filled = elements::fill(&mut file, &mut bytes)?;
        hasher.write(&bytes[..filled]);
    }
    Ok(hasher.finish())
}

/// `path:name`: the longest path that exists, else the shortest; none where no `:` follows a container's extension.
fn container(spec: &str) -> Option<Source> {
    let splits = || spec.match_indices(':').map(|(at, _)| spec.split_at(at)).filter(|(path, _)| is_container(path));
    let (path, name) = splits().rev().find(|(path, _)| Path::new(path).is_file()).or_else(|| splits().next())?;
    let name = name.strip_prefix(':').map(str::to_owned);
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
///
/// ```
/// use qeinsum::io::{self, AnyArray};
/// # let path = std::env::temp_dir().join(format!("qeinsum-opened-doc-{}.npy", std::process::id()));
/// io::save(&path, &AnyArray::F32(ndarray::arr2(&[[1.0, 2.0]]).into_dyn()))?;
/// let opened = io::open(&path)?;
/// assert_eq!(opened.header().shape.as_slice(), [1, 2]); // before its elements take any memory
/// assert_eq!(opened.read()?.shape(), [1, 2]);
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub struct Opened {
    name: String,
    body: Body,
}

enum Body {
    /// The reader stands at the first element.
    Elements {
        reader: Reader,
        layout: Layout,
        supply: Supply,
    },
    Entry(Box<npz::Entry>),
}

/// What elements are read from.
enum Reader {
    /// A file, in which one can go on from elsewhere.
    File(BufReader<File>),
    /// What comes once.
    Stream(Box<dyn Read + Send>),
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
            Body::Elements { reader: Reader::File(mut file), layout, supply } => {
                elements::read(&mut file, &layout, supply)
            }
            Body::Elements { reader: Reader::Stream(mut stream), layout, supply } => {
                elements::read(&mut stream, &layout, supply)
            }
            Body::Entry(entry) => entry.read(),
        };
        array.map_err(|error| error.named(&self.name))
    }

    /// Reads the elements at a range of indices along each axis. Of a file that is not compressed nothing else is read.
    ///
    /// ```
    /// use qeinsum::io::{self, AnyArray};
    /// # let path = std::env::temp_dir().join(format!("qeinsum-part-doc-{}.npy", std::process::id()));
    /// io::save(&path, &AnyArray::F32(ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn()))?;
    /// let column = io::open(&path)?.read_part(&[0..2, 1..2])?;
    /// assert_eq!(column, AnyArray::F32(ndarray::arr2(&[[2.0], [4.0]]).into_dyn()));
    /// # std::fs::remove_file(&path).ok();
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    ///
    /// An error where there are other ranges than axes, or one goes beyond its axis.
    pub fn read_part(self, part: &[Range<usize>]) -> Result<AnyArray, Error> {
        part::check_part(&self.name, self.header(), part)?;
        match self.body {
            Body::Elements { reader: Reader::File(mut file), layout, .. } => {
                part::read_part(&mut file, &layout, part).map_err(|error| error.named(&self.name))
            }
            _ => Ok(part::part_of(&self.read()?, part)),
        }
    }

    /// The array as one of whose elements parts are read, one after the other; none where they are entries of an archive, or come once.
    pub fn into_file(self) -> Result<Option<FileArray>, Error> {
        match self.body {
            Body::Elements { reader: Reader::File(file), layout, .. } => {
                FileArray::new(self.name, layout, file).map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("name", &self.name).field("header", self.header()).finish_non_exhaustive()
    }
}

/// Opens the input that `spec` describes; see [`Source::parse`].
///
/// ```
/// use qeinsum::io::{self, AnyArray};
/// # let path = std::env::temp_dir().join(format!("qeinsum-open-doc-{}.npy", std::process::id()));
/// io::save(&path, &AnyArray::F32(ndarray::arr2(&[[1.0, 2.0]]).into_dyn()))?;
/// assert_eq!(io::open(&path)?.read()?.shape(), [1, 2]);
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn open(spec: impl AsRef<OsStr>) -> Result<Opened, Error> {
    Source::parse(spec)?.open()
}

/// The dtype and shape of an input, reading only headers.
///
/// ```
/// use qeinsum::io::{self, AnyArray};
/// # let path = std::env::temp_dir().join(format!("qeinsum-inspect-doc-{}.npy", std::process::id()));
/// io::save(&path, &AnyArray::F32(ndarray::arr2(&[[1.0, 2.0]]).into_dyn()))?;
/// assert_eq!(io::inspect(&path)?.dtype, qeinsum::Dtype::F32);
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn inspect(spec: impl AsRef<OsStr>) -> Result<Header, Error> {
    Ok(open(spec)?.header().clone())
}

/// The array that `spec` describes.
///
/// ```
/// use qeinsum::io::{self, AnyArray};
/// # let path = std::env::temp_dir().join(format!("qeinsum-load-doc-{}.npy", std::process::id()));
/// io::save(&path, &AnyArray::F32(ndarray::arr2(&[[1.0, 2.0]]).into_dyn()))?;
/// assert_eq!(io::load(&path)?, AnyArray::F32(ndarray::arr2(&[[1.0, 2.0]]).into_dyn()));
/// assert!(io::load("no such file.npy").is_err());
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn load(spec: impl AsRef<OsStr>) -> Result<AnyArray, Error> {
    open(spec)?.read()
}

/// Opens a file that has a length.
pub(super) fn regular(path: &Path) -> Result<(File, u64), FileError> {
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
    Ok(Body::Elements { reader: Reader::File(reader), layout: head.layout, supply: Supply::Checked })
}

fn stream(mut reader: Box<dyn Read + Send>) -> Result<Body, FileError> {
    let head = Head::read(&mut reader)?;
    Ok(Body::Elements { reader: Reader::Stream(reader), layout: head.layout, supply: Supply::Stream })
}

fn archive(path: &Path, name: Option<&str>) -> Result<Body, FileError> {
    let (file, _) = regular(path)?;
    Ok(Body::Entry(Box::new(npz::Entry::open(file, name)?)))
}

fn tensor(path: &Path, name: Option<&str>) -> Result<Body, FileError> {
    let (file, length) = regular(path)?;
    let mut reader = BufReader::new(file);
    let layout = safetensors::find(&mut reader, length, name)?;
    Ok(Body::Elements { reader: Reader::File(reader), layout, supply: Supply::Checked })
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;
    use crate::dtype::Dtype;
    use crate::error::ErrorKind;
    use crate::io::scratch::Scratch;
    use crate::io::{save, write_whole};

    fn npz(path: &str, name: Option<&str>) -> Source {
        Source::Npz { path: path.into(), name: name.map(str::to_owned) }
    }

    #[test]
    fn an_input_is_told_by_its_extension() {
        let tests = [
            ("-", Source::Stdin),
            ("a.npy", Source::Npy("a.npy".into())),
            ("dir.x/A.NPY", Source::Npy("dir.x/A.NPY".into())),
            ("a.npz", npz("a.npz", None)),
            ("a.npz:x", npz("a.npz", Some("x"))),
            ("a.npz:", npz("a.npz", Some(""))),
            ("a.npz::x", npz("a.npz", Some(":x"))),
            ("a.npz:x.npy", npz("a.npz", Some("x.npy"))),
            ("a.npz:x:y.npz:z", npz("a.npz", Some("x:y.npz:z"))),
            ("a:b.npz:x", npz("a:b.npz", Some("x"))),
            ("w.safetensors:l.0", Source::Safetensors { path: "w.safetensors".into(), name: Some("l.0".into()) }),
            ("w.safetensors", Source::Safetensors { path: "w.safetensors".into(), name: None }),
        ];
        for (spec, expected) in tests {
            assert_eq!(Source::parse(spec).unwrap(), expected, "{spec}");
        }
        for spec in ["", "a", ".npy", "a.txt", "a.txt:x", "a.npy:x", ":", ":::", "a.npz.gz", "dir.npy/"] {
            let refused = Source::parse(spec).map(|source| source.open());
            let error = refused.map_or_else(|error| error, |opened| opened.unwrap_err());
            assert_eq!(error.kind(), &ErrorKind::File, "{spec}");
        }
        let message = Source::parse("a.bin").unwrap_err().to_string();
        assert!(message.contains(".npy") && message.contains(".npz") && message.contains(".safetensors"), "{message}");
    }

    #[test]
    fn the_longest_path_that_exists_is_the_file() {
        let scratch = Scratch::new("prefix");
        let whole = scratch.path("a.npz:b.npz:c.npy");
        let spec = whole.to_str().unwrap();
        let (short, long) = (scratch.path("a.npz"), scratch.path("a.npz:b.npz"));
        assert_eq!(Source::parse(spec).unwrap(), npz(short.to_str().unwrap(), Some("b.npz:c.npy")));
        for (file, expected) in [
            (&short, npz(short.to_str().unwrap(), Some("b.npz:c.npy"))),
            (&long, npz(long.to_str().unwrap(), Some("c.npy"))),
            (&whole, Source::Npy(whole.clone())),
        ] {
            fs::write(file, b"").unwrap();
            assert_eq!(Source::parse(spec).unwrap(), expected);
        }
    }

    #[test]
    fn a_header_is_known_before_the_elements_are_read() {
        let scratch = Scratch::new("inspect");
        let array = AnyArray::from(arr1(&[1.0_f32, 2.0]).into_dyn());
        for name in ["a.npy", "a.safetensors"] {
            let path = scratch.path(name);
            save(&path, &array).unwrap();
            assert_eq!(inspect(&path).unwrap(), Header { dtype: Dtype::F32, shape: [2].into_iter().collect() });
            assert_eq!(load(&path).unwrap(), array);
            let mut bytes = fs::read(&path).unwrap();
            bytes.pop();
            fs::write(&path, bytes).unwrap();
            let error = inspect(&path).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::File);
            assert!(error.message().contains("announces 8 bytes of elements, but there are 7"), "{error}");
        }
    }

    #[test]
    fn a_stream_must_end_where_its_header_says() {
        let scratch = Scratch::new("stream");
        let array = AnyArray::from(arr1(&[1.0_f32, 2.0]).into_dyn());
        let path = scratch.path("a.npy");
        save(&path, &array).unwrap();
        let whole = fs::read(&path).unwrap();
        let read = |bytes: Vec<u8>| {
            let body = stream(Box::new(io::Cursor::new(bytes))).map_err(|error| error.named("s"))?;
            Opened { name: "s".to_owned(), body }.read()
        };
        assert_eq!(read(whole.clone()).unwrap(), array);
        assert!(read(whole[..whole.len() - 1].to_vec()).unwrap_err().message().contains("but there are 7"));
        assert!(read([whole, vec![0]].concat()).unwrap_err().message().contains("but there are more"));
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let scratch = Scratch::new("regular");
        let directory = scratch.path("a.npy");
        fs::create_dir(&directory).unwrap();
        assert!(
            load(&directory)
                .unwrap_err()
                .message()
                .ends_with("not a regular file; `-` stands for an .npy file on a stream")
        );
        let missing = load(directory.join("b.npy")).unwrap_err();
        assert_eq!((missing.kind(), missing.message().ends_with("no such file")), (&ErrorKind::File, true));
        write_whole(scratch.path("c.npy"), |out| out.write_all(b"x")).unwrap();
        // A file where a directory should be.
        assert!(load(scratch.path("c.npy").join("d.npy")).unwrap_err().message().ends_with("no such file"));
    }
}
