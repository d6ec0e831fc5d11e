//! Frozen operands that stay in their files, of which a run reads what it multiplies.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{FrozenSide, StoredSide};
use crate::io::{OpenTensors, Tensor, TensorHeader};
use crate::quant::{QuantConfig, ScaleKind, Storage, Values};
use crate::span::printable_text;

use super::Frozen;
use super::file::{Stored, checked, file_error, is_packed};
use super::packing::unpack_from;
use super::place::Place;

/// A frozen operand in a file that [`Frozen::save`] wrote, whose integers are read in runs: of several ranks, each reads those
/// that it multiplies.
///
/// ```
/// use ndarray::Array2;
/// use qeinsum::{DotGeneralConfig, FrozenFile, OperandView, QEinsum, ranks};
/// let dense = QEinsum::new("bi,io->bo")?.with_config(DotGeneralConfig::v4().build()?);
/// let (x, w) = (Array2::from_elem((8, 512), 0.5_f32), Array2::from_elem((512, 512), -1.0_f32));
/// let frozen = dense.freeze(1, &w, &[x.shape(), w.shape()], None)?;
/// let path = std::env::temp_dir().join(format!("qeinsum-frozen-file-doc-{}.safetensors", std::process::id()));
/// frozen.save(&path)?;
/// let file = FrozenFile::open(&path)?;
/// assert_eq!((file.shape(), file.dtype(), file.config()), (w.shape(), frozen.dtype(), frozen.config()));
/// let alone = dense.run((&x, &frozen))?;
/// for together in ranks::in_threads(4, |ranks| dense.run_on(ranks, (&x, &file))) {
///     assert_eq!(together?, alone);
/// }
/// # std::fs::remove_file(&path).ok();
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrozenFile {
    path: PathBuf,
    file: Arc<OpenTensors>,
    pub(super) place: Place,
    /// Two integers to a byte.
    packed: bool,
    value: TensorHeader,
    scale: TensorHeader,
}

impl FrozenFile {
    /// Reads what the file says of the operand; it then stays open, so that all that is read of it later is of this file.
    ///
    /// An error where [`Frozen::load`] has one, but for what is found in the integers and scales, which are checked when they are
    /// read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = Arc::new(OpenTensors::open(path)?);
        let metadata = file.metadata()?;
        let place = Place::of(&metadata).map_err(|error| in_file(error, path))?;
        let packed = is_packed(place.int().map_err(|error| in_file(error, path))?);
        let (value, scale) = (file.header("value")?, file.header("scale")?);
        // A scale has at most an element for each of the side.
        if scale.elements() > place.side_elements().max(1) as u64 {
            let message = format!("`scale` has shape {:?}, more than the operand has", scale.shape);
            return Err(in_file(file_error(&message), path));
        }
        let found = Self { path: path.to_owned(), file, place, packed, value, scale };
        found
            .stored(found.scale.clone().without_bytes())
            .check_value(&found.place)
            .and_then(|()| found.place.check_description(&metadata))
            .map_err(|error| in_file(error, path))?;
        Ok(found)
    }

    /// All of it. Integers of up to eight bits are in memory once while they are read.
    pub fn load(&self) -> Result<Frozen> {
        Ok(Frozen { place: self.place.clone(), side: self.side(None)? })
    }

    /// The position of the operand in the equation.
    pub fn operand(&self) -> usize {
        self.place.operand
    }

    /// The shape of the operand.
    pub fn shape(&self) -> &[usize] {
        self.place.shape()
    }

    /// The element type of the operand, and of those that it is multiplied with.
    pub fn dtype(&self) -> Dtype {
        self.place.dtype
    }

    /// The configuration of the whole equation, as [`Frozen::config`].
    pub fn config(&self) -> &QuantConfig {
        &self.place.config
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its values are integers of up to eight bits, of which a part is read by itself; of others all are.
    pub fn is_of_integers(&self) -> bool {
        self.place.int().is_ok_and(|int| int.storage == Storage::Int8) && !self.place.side_shape().is_empty()
    }

    /// Whether all inverse scales are finite, which are read for that; see [`Frozen::is_finite`].
    pub fn has_finite_scales(&self) -> Result<bool> {
        Ok(self.inverse_scale()?.0.iter().all(|inverse| inverse.is_finite()))
    }

    /// The bytes that reading its scales takes, and all of its values where no part of them is read by itself.
    pub fn least_bytes(&self) -> u64 {
        let float =
            |header: &TensorHeader| header.elements().saturating_mul((size_of::<f32>() + header.dtype.bytes()) as u64);
        let values = if self.is_of_integers() { 0 } else { float(&self.value) };
        float(&self.scale).saturating_add(values)
    }

    /// The tensors of the file, of whose values there are none.
    fn stored(&self, scale: Tensor) -> Stored {
        Stored { value: self.value.clone().without_bytes(), scale, packed: self.packed }
    }

    /// The inverse scale of all of the side, and how it takes part in products.
    fn inverse_scale(&self) -> Result<(ArrayD<f32>, ScaleKind)> {
        let Place { plan, config, entry, dtype, .. } = &self.place;
        let stored = self.stored(self.file.load("scale", &self.scale)?);
        stored.inverse_scale(plan, config, *entry, *dtype).map_err(|error| in_file(error, &self.path))
    }

    /// The integers that lie in a range along an axis.
    fn integers(&self, axis: usize, range: Range<usize>) -> Result<ArrayD<i8>> {
        let whole = self.place.side_shape();
        let mut shape = whole.to_vec();
        shape[axis] = range.len();
        let count: usize = whole.iter().product();
        let inner: usize = whole[axis + 1..].iter().product();
        let outer: usize = whole[..axis].iter().product();
        let runs = (0..outer).map(|at| {
            let start = at * whole[axis] * inner;
            start + range.start * inner..start + range.end * inner
        });
        let per_byte = if self.packed { 2 } else { 1 };
        let bytes = |run: Range<usize>| run.start / per_byte..run.end.div_ceil(per_byte);
        let read = self.file.ranges("value", &self.value, &runs.clone().map(bytes))?;
        if self.packed && count % 2 == 1 && range.end == whole[axis] && read.last().is_some_and(|last| last >> 4 != 0) {
            return Err(in_file(file_error("`value` has more than its last integer"), &self.path));
        }
        let values = if self.packed {
            let mut rest = &read[..];
            let mut values = Vec::new();
            let count = shape.iter().product();
            values.try_reserve_exact(count).map_err(|_| {
                let message = format!("the system gives no {count} bytes for the integers");
                in_file(Error::new(ErrorKind::Memory, message), &self.path)
            })?;
            for run in runs {
                let (own, after) = rest.split_at(bytes(run.clone()).len());
                values.extend(unpack_from(own, run.start % 2).take(run.len()));
                rest = after;
            }
            values
        } else {
            read.into_iter().map(|byte| byte as i8).collect()
        };
        let values = ArrayD::from_shape_vec(IxDyn(&shape), values).expect("as many as the ranges have");
        self.place.int().and_then(|int| checked(values, int)).map_err(|error| in_file(error, &self.path))
    }
}

impl StoredSide for FrozenFile {
    fn side(&self, part: Option<(usize, Range<usize>)>) -> Result<FrozenSide> {
        let shape = self.place.side_shape();
        if !self.is_of_integers() {
            let Place { plan, config, entry, dtype, .. } = &self.place;
            let value = self.file.load("value", &self.value)?;
            let stored = Stored { value, scale: self.file.load("scale", &self.scale)?, packed: self.packed };
            let whole = stored.side(plan, config, *entry, *dtype).map_err(|error| in_file(error, &self.path))?;
            return Ok(match part {
                Some((axis, range)) => whole.narrow(axis, range),
                None => whole,
            });
        }
        let (inverse_scale, kind) = self.inverse_scale()?;
        let (axis, range) = part.unwrap_or((0, 0..shape[0]));
        let values = Values::Int8(self.integers(axis, range.clone())?);
        let inverse_scale = FrozenSide::narrow_scale(&inverse_scale, (axis, shape[axis]), range);
        Ok(FrozenSide { values, inverse_scale, kind })
    }

    fn bytes(&self, part: Option<(usize, usize)>) -> u64 {
        let elements = self.place.side_shape().iter().enumerate().map(|(axis, &size)| match part {
            Some((along, length)) if along == axis => length,
            _ => size,
        });
        let values =
            if self.is_of_integers() { elements.fold(1, |all: u64, size| all.saturating_mul(size as u64)) } else { 0 };
        self.least_bytes().saturating_add(values)
    }
}

/// The error of something that was found in a file.
pub(super) fn in_file(error: Error, path: &Path) -> Error {
    error.within(&format!("`{}`", printable_text(&path.to_string_lossy(), 80)))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::QEinsum;
    use crate::quant::DotGeneralConfig;

    /// A part is that of the whole along each axis, whether a byte has one integer or two, and wherever it begins.
    #[test]
    fn a_part_is_that_of_the_whole() {
        let path = std::env::temp_dir().join(format!("qeinsum-frozen-part-{}.safetensors", std::process::id()));
        let w = Array3::from_shape_fn((3, 5, 7), |(i, j, k)| ((i * 35 + j * 7 + k * 3) % 11) as f32 - 5.0);
        for bits in [4, 8, 12] {
            let config = DotGeneralConfig::v4().fwd_bits(Some(bits)).build().unwrap();
            let qe = QEinsum::new("bij,ijo->bo").unwrap().with_config(config);
            let frozen = qe.freeze(1, &w, &[&[2, 3, 5], &[3, 5, 7]], None).unwrap();
            frozen.save(&path).unwrap();
            let file = FrozenFile::open(&path).unwrap();
            assert_eq!(file.load().unwrap(), frozen);
            assert_eq!(file.is_of_integers(), bits <= 8);
            for (axis, size) in [3, 5, 7].into_iter().enumerate() {
                for start in 0..=size {
                    for end in start..=size {
                        let part = file.side(Some((axis, start..end))).unwrap();
                        assert_eq!(
                            part,
                            frozen.side.narrow(axis, start..end),
                            "{bits} bits, axis {axis}, {start}..{end}"
                        );
                    }
                }
            }
        }
        // Another file of the name is another one: what is open stays what it was.
        let whole = FrozenFile::open(&path).unwrap().load().unwrap();
        let opened = FrozenFile::open(&path).unwrap();
        let config = DotGeneralConfig::v4().fwd_bits(Some(4)).build().unwrap();
        let qe = QEinsum::new("bij,ijo->bo").unwrap().with_config(config);
        qe.freeze(1, &w, &[&[2, 3, 5], &[3, 5, 7]], None).unwrap().save(&path).unwrap();
        assert_eq!(opened.load().unwrap(), whole);
        // One that has something behind its last integer, and one that is cut meanwhile.
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() |= 0xf0;
        std::fs::write(&path, bytes).unwrap();
        let file = FrozenFile::open(&path).unwrap();
        assert!(file.load().is_err() && file.side(Some((2, 6..7))).is_err() && file.side(Some((2, 5..6))).is_ok());
        std::fs::write(&path, b"nothing").unwrap();
        assert!(file.side(Some((0, 0..1))).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
