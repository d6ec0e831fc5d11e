//! What is kept of a run in slices, so that another one goes on with it.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind as IoErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::io::write_whole;
use crate::kernel::{self, Element};
use crate::lower::Plan;
use crate::operands::OperandView;
use crate::quant::QuantConfig;
use crate::rng::Key;
use crate::span::printable_text;

/// What a file begins with.
const MAGIC: &[u8] = b"qeinsum checkpoint 1\n";

/// A file that a run in slices keeps what it has in, now and then, so that it can go on where it was ended.
///
/// The file is written whole or not at all, and a run that is killed leaves the last one. It goes on with the same plan,
/// operands, configuration and key alone, on any number of ranks, by the same build of this crate; nothing else is promised of
/// its format. Of several ranks the first has the file.
///
/// ```
/// use ndarray::Array2;
/// use qeinsum::{QEinsum, ranks, spread::Checkpoint};
/// let file = std::env::temp_dir().join(format!("qeinsum-checkpoint-{}", std::process::id()));
/// let x = Array2::from_elem((8, 8), 0.5_f32);
/// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[8, 8], &[8, 8]])?.with_slices(&["k"])?;
/// let ranks = ranks::alone();
/// let begun = Checkpoint::new(&file).every(std::time::Duration::ZERO);
/// let product = plan.run_kept(&ranks, (&x, &x), None, None, begun)?;
/// // All is done, so that nothing is left to be computed.
/// assert_eq!(plan.run_kept(&ranks, (&x, &x), None, None, Checkpoint::new(&file).resume()?)?, product);
/// # std::fs::remove_file(file).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoint {
    file: PathBuf,
    pub(super) every: Duration,
    /// What another run has kept there: whose it is, and what it had.
    saved: Option<(u64, Vec<u8>)>,
}

impl Checkpoint {
    /// A run from the beginning, which keeps what it has in this file every ten seconds.
    pub fn new(file: impl AsRef<Path>) -> Self {
        Self { file: file.as_ref().to_owned(), every: Duration::from_secs(10), saved: None }
    }

    /// The same with so much time between.
    #[must_use]
    pub fn every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// Goes on with what is in the file; from the beginning, where there is no file.
    ///
    /// An error where the file is something else, or damaged.
    pub fn resume(self) -> Result<Self> {
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == IoErrorKind::NotFound => return Ok(self),
            Err(error) => return Err(self.error(ErrorKind::Machine, &format!("cannot be read: {error}"))),
        };
        let refused = || self.error(ErrorKind::File, "this is no checkpoint, or a damaged one");
        let (whose, rest) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk()).ok_or_else(refused)?;
        let (kept, sum) = rest.split_last_chunk().ok_or_else(refused)?;
        if u64::from_le_bytes(*sum) != hash(kept) {
            return Err(refused());
        }
        let saved = Some((u64::from_le_bytes(*whose), kept.to_vec()));
        Ok(Self { saved, ..self })
    }

    /// What another run of the same has kept.
    pub(super) fn take(&mut self, whose: u64) -> Result<Option<Vec<u8>>> {
        match self.saved.take() {
            Some((of, kept)) if of == whose => Ok(Some(kept)),
            Some(_) => Err(self.error(ErrorKind::File, "this is the checkpoint of another run")),
            None => Ok(None),
        }
    }

    /// Writes the file anew.
    pub(super) fn save(&self, whose: u64, kept: &[u8]) -> Result<()> {
        write_whole(&self.file, |out| {
            out.write_all(MAGIC)?;
            out.write_all(&whose.to_le_bytes())?;
            out.write_all(kept)?;
            out.write_all(&hash(kept).to_le_bytes())
        })
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        Error::new(kind, format!("`{}`: {what}", printable_text(&self.file.to_string_lossy(), 200)))
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// What runs of the same plan on the same operands have in common.
pub(super) fn whose<T: Element>(
    plan: &Plan,
    config: Option<&QuantConfig>,
    key: Option<Key>,
    operands: &[OperandView<'_, T>],
) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    plan.to_json().hash(&mut hasher);
    config.map(QuantConfig::to_json).transpose()?.hash(&mut hasher);
    key.map(|key| (key.words(), key.layout())).hash(&mut hasher);
    T::DTYPE.hash(&mut hasher);
    for operand in operands {
        operand.shape().hash(&mut hasher);
        match operand {
            OperandView::Array(array) => match array.as_slice() {
                Some(elements) => hasher.write(kernel::bytes(elements)),
                None => array.iter().for_each(|element| hasher.write(kernel::bytes(std::slice::from_ref(element)))),
            },
            OperandView::Stored(stored) => stored.fingerprint()?.hash(&mut hasher),
            OperandView::Frozen(_) | OperandView::FrozenFile(_) => {}
        }
    }
    Ok(hasher.finish())
}
