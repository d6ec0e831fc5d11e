//! An array that stays in its file, of which parts are read, one after the other.

use std::fmt;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::array::{AnyArray, Header};
use super::elements::Layout;
use super::error::FileError;
use super::part::{check_part, read_part, run_bytes};
use crate::error::Error;

/// An array in an `.npy` or `.safetensors` file, whose elements are read part by part; the file stays open.
///
/// ```
/// use qeinsum::io::{self, AnyArray};
/// # let path = std::env::temp_dir().join(format!("qeinsum-file-array-doc-{}.npy", std::process::id()));
/// io::save(&path, &AnyArray::F32(ndarray::arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn()))?;
/// let file = io::open(&path)?.into_file()?.expect("an .npy file has its elements as they are");
/// for (row, first) in [(0, 1.0), (1, 3.0), (0, 1.0)] {
///     let read = file.read_part(&[row..row + 1, 0..1])?;
///     assert_eq!(read, AnyArray::F32(ndarray::arr2(&[[first]]).into_dyn()));
/// }
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub struct FileArray {
    name: String,
    layout: Layout,
    /// Where the elements begin.
    first: u64,
    file: Mutex<BufReader<File>>,
}

impl FileArray {
    /// The array whose first element is the next that the file gives.
    pub(super) fn new(name: String, layout: Layout, mut file: BufReader<File>) -> Result<Self, Error> {
        match file.stream_position() {
            Ok(first) => Ok(Self { name, layout, first, file: Mutex::new(file) }),
            Err(error) => Err(FileError::reading(error).named(&name)),
        }
    }

    /// The dtype and shape.
    pub fn header(&self) -> &Header {
        &self.layout.header
    }

    /// The elements at a range of indices along each axis, as [`Opened::read_part`](super::Opened::read_part) reads them.
    pub fn read_part(&self, part: &[Range<usize>]) -> Result<AnyArray, Error> {
        check_part(&self.name, self.header(), part)?;
        // Whoever failed while reading has left the file somewhere, and it is put elsewhere now.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read = file.seek(SeekFrom::Start(self.first)).map_err(FileError::reading);
        read.and_then(|_| read_part(&mut file, &self.layout, part)).map_err(|error| error.named(&self.name))
    }

    /// A number that files with the same elements in the same order have in common, and others hardly ever, in processes of one build;
    /// they are read one after the other, and not kept.
    ///
    /// ```
    /// use qeinsum::io::{self, AnyArray};
    /// # let path = std::env::temp_dir().join(format!("qeinsum-file-hash-doc-{}.npy", std::process::id()));
    /// let fingerprint = |x: f32| {
    ///     io::save(&path, &AnyArray::F32(ndarray::arr1(&[1.0, x]).into_dyn()))?;
    ///     io::open(&path)?.into_file()?.expect("an .npy file has its elements as they are").fingerprint()
    /// };
    /// assert_eq!(fingerprint(2.0)?, fingerprint(2.0)?);
    /// assert_ne!(fingerprint(2.0)?, fingerprint(-2.0)?);
    /// # std::fs::remove_file(&path).ok();
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn fingerprint(&self) -> Result<u64, Error> {
        let mut hasher = DefaultHasher::new();
        let header = self.header();
        header.shape.hash(&mut hasher);
        let mut left: usize = header.shape.iter().product::<usize>() * header.dtype.bytes();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut read = || -> Result<(), FileError> {
            file.seek(SeekFrom::Start(self.first)).map_err(FileError::reading)?;
            let mut bytes = vec![0; 1 << 20];
            while left > 0 {
                let here = &mut bytes[..left.min(1 << 20)];
                file.read_exact(here).map_err(FileError::reading)?;
                hasher.write(here);
                left -= here.len();
            }
            Ok(())
        };
        read().map_err(|error| error.named(&self.name))?;
        Ok(hasher.finish())
    }

    /// How many bytes of such a part lie in the file without a gap.
    ///
    /// ```
    /// use qeinsum::io::{self, AnyArray};
    /// # let path = std::env::temp_dir().join(format!("qeinsum-run-bytes-doc-{}.npy", std::process::id()));
    /// io::save(&path, &AnyArray::F32(ndarray::Array2::zeros((10, 20)).into_dyn()))?;
    /// let file = io::open(&path)?.into_file()?.expect("an .npy file has its elements as they are");
    /// assert_eq!(file.run_bytes(&[2..5, 0..20]), 3 * 20 * 4); // rows
    /// assert_eq!(file.run_bytes(&[0..10, 2..5]), 3 * 4); // columns
    /// # std::fs::remove_file(&path).ok();
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_bytes(&self, part: &[Range<usize>]) -> u64 {
        run_bytes(&self.layout, part)
    }
}

impl fmt::Debug for FileArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileArray").field("name", &self.name).field("header", self.header()).finish_non_exhaustive()
    }
}
