//! The input arrays of a run: first their headers, from which everything is decided, then their elements.

use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::Path;

use qeinsum::io::{AnyArray, FileArray, Header, Opened, Source};
use qeinsum::spread::Spread;
use qeinsum::{Dtype, Frozen, FrozenFile, FrozenValues, Plan, QuantConfig};

use crate::failure::Failure;
use crate::kept_file::{KeptFile, LEAST_SAVED, MOST_KEPT, bytes, bytes_of, cast, is_apart, saved};
use crate::memory;
use crate::progress::moved;
use crate::ranks::{self, Ranks};
use crate::text_file::shown;

/// Inputs whose headers were read.
#[derive(Debug)]
pub(crate) struct Inputs(Vec<Input>);

#[derive(Debug)]
struct Input {
    name: String,
    header: Header,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// A file, which is opened again to read it, so that no number of them is open at once.
    File(Source),
    /// Standard input, which cannot be opened again.
    Stream(Opened),
    /// A large file, of which a run reads slabs.
    Kept(FileArray),
    /// A frozen operand, which is small and was read.
    Frozen(Box<Frozen>),
    /// One that stays in its file, of which a rank reads its part.
    FrozenFile(Box<FrozenFile>),
}

/// An operand that was read.
#[derive(Debug)]
pub(crate) enum Loaded {
    Array(AnyArray),
    Frozen(Box<Frozen>),
    /// A part of it is read by the run.
    FrozenFile(Box<FrozenFile>),
    /// It is read while the run needs it.
    Kept(KeptFile),
}

impl Loaded {
    /// What operands with the same elements have in common; none where they are not read yet.
    pub(crate) fn fingerprint(&self) -> Option<u64> {
        Some(match self {
            Self::Kept(_) | Self::FrozenFile(_) => return None,
            Self::Array(array) => array.fingerprint(),
            Self::Frozen(frozen) => fingerprint(frozen),
        })
    }
}

/// What is read of an input: along each axis, a range of indices.
pub(crate) type Part = Vec<Range<usize>>;

/// What becomes of a NaN or an infinity in an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nonfinite {
    /// It is computed with.
    Allowed,
    /// It is refused.
    Refused,
}

impl Inputs {
    /// Reads the headers, and frozen operands, which are small, if reading them takes no more than `limit` bytes; of several ranks
    /// each reads its part of them later.
    pub(crate) fn open(arguments: &[OsString], limit: u64, ranks: Ranks<'_>) -> Result<Self, Failure> {
        if arguments.iter().filter(|argument| *argument == "-").nth(1).is_some() {
            return Err(Failure::Request("`-` is standard input, which can be one operand only".to_owned()));
        }
        let mut inputs: Vec<Input> = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let source = Source::parse(argument)?;
            let name = shown(argument);
            if let Source::Safetensors { path, name: None } = &source
                // What cannot be asked is refused, with its reason, when it is opened as an array.
                && Frozen::is_file(path).unwrap_or(false)
            {
                let (content, header) = frozen(path, limit, ranks.filter(|_| inputs.len() < MOST_KEPT))?;
                inputs.push(Input { name, header, content });
                continue;
            }
            let opened = source.open()?;
            let header = opened.header().clone();
            let content = if source == Source::Stdin { Content::Stream(opened) } else { Content::File(source) };
            inputs.push(Input { name, header, content });
        }
        Ok(Self(inputs))
    }

    /// The shape of each.
    pub(crate) fn shapes(&self) -> Vec<&[usize]> {
        self.0.iter().map(|input| input.header.shape.as_slice()).collect()
    }

    /// Whether a frozen operand is among them.
    pub(crate) fn any_frozen(&self) -> bool {
        self.frozen().next().is_some()
    }

    /// The name and the configuration of each frozen operand.
    fn frozen(&self) -> impl Iterator<Item = (&str, &QuantConfig)> {
        self.0.iter().filter_map(|input| match &input.content {
            Content::Frozen(frozen) => Some((input.name.as_str(), frozen.config())),
            Content::FrozenFile(file) => Some((input.name.as_str(), file.config())),
            Content::File(_) | Content::Stream(_) | Content::Kept(_) => None,
        })
    }

    /// What frozen operands take on each rank beside its part of them.
    pub(crate) fn frozen_bytes(&self) -> u64 {
        let bytes = self.0.iter().map(|input| match &input.content {
            Content::FrozenFile(file) => file.least_bytes(),
            _ => 0,
        });
        bytes.fold(0, u64::saturating_add)
    }

    /// The configuration of a run: the one that was given, else that of the frozen operands, which then has to be one.
    pub(crate) fn config(&self, given: Option<&QuantConfig>) -> Result<Option<QuantConfig>, Failure> {
        if given.is_some() {
            return Ok(given.cloned());
        }
        let mut frozen = self.frozen();
        let Some((first, chosen)) = frozen.next() else { return Ok(None) };
        match frozen.find(|(_, other)| *other != chosen) {
            None => Ok(Some(chosen.clone())),
            Some((other, _)) => Err(Failure::Request(format!(
                "`{first}` and `{other}` were frozen with different configurations; `--config` says which one the run has"
            ))),
        }
    }

    /// The element type that all are read as: the one that they have, or the one that they are converted to.
    pub(crate) fn dtype(&self, cast: Option<Dtype>) -> Result<Dtype, Failure> {
        if let Some(dtype) = cast {
            let is_complex = |input: &&Input| input.header.dtype.is_complex();
            if let Some(input) = self.0.iter().find(is_complex).filter(|_| !dtype.is_complex()) {
                return Err(Failure::Request(format!(
                    "`{}` is {}: `--cast {dtype}` would lose its imaginary parts",
                    input.name, input.header.dtype
                )));
            }
            if let Some(input) = self.0.iter().find(|input| input.is_frozen() && input.header.dtype != dtype) {
                return Err(Failure::Request(format!(
                    "`{}` was frozen for {} operands: `--cast {dtype}` cannot convert it",
                    input.name, input.header.dtype
                )));
            }
            return Ok(dtype);
        }
        // Without an input the equation is refused for it.
        let Some(first) = self.0.first() else { return Ok(Dtype::F32) };
        // A frozen operand is of its type for good: the others would be converted to it.
        let first = self.0.iter().find(|input| input.is_frozen()).unwrap_or(first);
        match self.0.iter().find(|input| input.header.dtype != first.header.dtype) {
            None => Ok(first.header.dtype),
            Some(other) => {
                let (a, b) = (first.header.dtype, other.header.dtype);
                let remedy = match (first.is_frozen(), b.is_complex()) {
                    // No complex input can become what the first one is.
                    (true, true) => String::new(),
                    (_, true) if !a.is_complex() => format!("; `--cast {b}` would convert them"),
                    _ => format!("; `--cast {a}` would convert them"),
                };
                Err(Failure::Request(format!(
                    "the inputs are not of one type: `{}` is {a} and `{}` is {b}{remedy}",
                    first.name, other.name
                )))
            }
        }
    }

    /// The bytes of the largest input that is converted to `dtype`, which are in memory beside its new ones.
    pub(crate) fn converted_bytes(&self, dtype: Dtype) -> u64 {
        self.converted(dtype, |at| self.0[at].header.shape.to_vec())
    }

    /// The same of what the rank reads that reads most.
    pub(crate) fn shared_converted_bytes(&self, dtype: Dtype, plan: &Plan, spread: &Spread) -> u64 {
        // What comes behind the operands is read whole.
        let operands = plan.equation().operands().len();
        let of = |at: usize, rank: usize| -> Vec<usize> {
            let kept = matches!(self.0[at].content, Content::Kept(_)).then(|| plan.slab(at)).flatten();
            let part = match kept {
                Some(slab) => slab.part,
                None if at < operands => spread.part(plan, at, rank),
                None => return self.0[at].header.shape.to_vec(),
            };
            part.iter().map(ExactSizeIterator::len).collect()
        };
        (0..spread.ranks()).map(|rank| self.converted(dtype, |at| of(at, rank))).max().unwrap_or(0)
    }

    fn converted(&self, dtype: Dtype, read: impl Fn(usize) -> Vec<usize>) -> u64 {
        let converted = self.0.iter().enumerate().filter(|(_, input)| input.header.dtype != dtype);
        let bytes = converted.map(|(at, input)| {
            let unit = input.header.dtype.bytes() as u64;
            read(at).into_iter().fold(unit, |bytes, size| bytes.saturating_mul(size as u64))
        });
        bytes.max().unwrap_or(0)
    }

    /// Leaves large files to be read slab by slab, where a plan in slices does that.
    pub(crate) fn keep_files(&mut self, plan: &Plan) -> Result<(), Failure> {
        let mut left = MOST_KEPT;
        for (at, input) in self.0.iter_mut().enumerate() {
            let Content::File(source) = &input.content else { continue };
            // Of thousands of small ones nothing is asked of the plan.
            if left == 0 || bytes(&input.header) < LEAST_SAVED {
                continue;
            }
            let Some(slab) = plan.slab(at).filter(|slab| saved(&input.header, slab) >= LEAST_SAVED) else { continue };
            let opened = source.open()?;
            check_unchanged(&input.name, &input.header, opened.header())?;
            if let Some(file) = opened.into_file()?.filter(|file| is_apart(file, &slab.part)) {
                input.content = Content::Kept(file);
                left -= 1;
            }
        }
        Ok(())
    }

    /// How many bytes of elements of `dtype` a run of the plan leaves in files.
    pub(crate) fn left_in_files(&self, plan: &Plan, dtype: Dtype) -> u64 {
        let kept = self.0.iter().enumerate().filter(|(_, input)| matches!(input.content, Content::Kept(_)));
        let left = kept.filter_map(|(at, input)| {
            let header = Header { dtype, shape: input.header.shape.clone() };
            Some(saved(&header, &plan.slab(at)?))
        });
        left.fold(0, u64::saturating_add)
    }

    /// Reads the elements: of each input those at a range of indices along each axis, or all.
    pub(crate) fn load(
        self,
        dtype: Dtype,
        nonfinite: Nonfinite,
        parts: Option<&[Part]>,
    ) -> Result<Vec<Loaded>, Failure> {
        let part = |at: usize| parts.and_then(|parts| parts.get(at)).map(Vec::as_slice);
        let bytes = self.0.iter().enumerate().map(|(at, input)| input.bytes_of_array(part(at)));
        let bytes = bytes.fold(0, u64::saturating_add);
        moved("reading", bytes, || {
            self.0.into_iter().enumerate().map(|(at, input)| input.load(dtype, nonfinite, part(at))).collect()
        })
    }

    /// That all ranks have the same files, as far as a sample of them tells.
    pub(crate) fn check_samples(&self, ranks: Ranks<'_>) -> Result<(), Failure> {
        for input in &self.0 {
            let sample = match &input.content {
                Content::File(source) => source.sample().map_err(Failure::from),
                Content::FrozenFile(file) => {
                    let source = Source::Safetensors { path: file.path().to_owned(), name: None };
                    source.sample().map_err(Failure::from)
                }
                Content::Frozen(frozen) => Ok(Some(fingerprint(frozen))),
                Content::Stream(_) | Content::Kept(_) => continue,
            };
            let sample = ranks::agree(ranks, sample)?;
            ranks::agree_on(ranks, &format!("what `{}` holds", input.name), &format!("{sample:?}"))?;
        }
        Ok(())
    }

    /// Reads the elements of one, which is an array, and of no other.
    pub(crate) fn load_one(self, position: usize, dtype: Dtype, nonfinite: Nonfinite) -> Result<AnyArray, Failure> {
        let one = self.0.into_iter().nth(position);
        let none = || Failure::Request(format!("there is no operand {position}"));
        match one.ok_or_else(none)?.load(dtype, nonfinite, None)? {
            Loaded::Array(array) => Ok(array),
            Loaded::Frozen(_) | Loaded::FrozenFile(_) => {
                Err(Failure::Request(format!("operand {position} is frozen already")))
            }
            Loaded::Kept(_) => unreachable!("files are kept for runs in slices"),
        }
    }
}

/// A frozen operand, if reading it takes no more than `limit` bytes; of several ranks each reads its part of it later.
fn frozen(path: &Path, limit: u64, ranks: Ranks<'_>) -> Result<(Content, Header), Failure> {
    let header = |dtype, shape: &[usize]| Header { dtype, shape: shape.iter().copied().collect() };
    if ranks.is_some() {
        let file = FrozenFile::open(path)?;
        let header = header(file.dtype(), file.shape());
        return Ok((Content::FrozenFile(Box::new(file)), header));
    }
    // The file, its tensors, and what is made of them: floats of an integer at the most.
    let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
    memory::check_file(length.saturating_mul(6), &shown(path.as_os_str()), limit)?;
    let frozen = Frozen::load(path)?;
    let header = header(frozen.dtype(), frozen.shape());
    Ok((Content::Frozen(Box::new(frozen)), header))
}

/// What frozen operands with the same integers and scales have in common.
fn fingerprint(frozen: &Frozen) -> u64 {
    let scales = AnyArray::from(frozen.inverse_scale().to_owned()).fingerprint();
    let values = match frozen.values() {
        FrozenValues::Int8(values) => AnyArray::from(values.mapv(f32::from)),
        FrozenValues::Float(values) => AnyArray::from(values.clone()),
    };
    values.fingerprint() ^ scales.rotate_left(1)
}

impl Input {
    fn is_frozen(&self) -> bool {
        matches!(self.content, Content::Frozen(_) | Content::FrozenFile(_))
    }

    /// What is read of it as the elements of an array.
    fn bytes_of_array(&self, part: Option<&[Range<usize>]>) -> u64 {
        match self.content {
            Content::File(_) | Content::Stream(_) => match part {
                Some(part) => bytes_of(&self.header, part.iter().map(ExactSizeIterator::len)),
                None => bytes(&self.header),
            },
            Content::Kept(_) | Content::Frozen(_) | Content::FrozenFile(_) => 0,
        }
    }

    fn load(self, dtype: Dtype, nonfinite: Nonfinite, part: Option<&[Range<usize>]>) -> Result<Loaded, Failure> {
        let opened = match self.content {
            Content::Stream(stream) => stream,
            Content::Kept(file) => return Ok(Loaded::Kept(KeptFile::new(self.name, file, dtype, nonfinite))),
            Content::File(source) => source.open()?,
            Content::FrozenFile(file) => {
                if nonfinite == Nonfinite::Refused && !file.has_finite_scales()? {
                    return Err(nonfinite_frozen(&self.name));
                }
                if file.is_of_integers() {
                    return Ok(Loaded::FrozenFile(file));
                }
                let frozen = Box::new(file.load()?);
                return if nonfinite == Nonfinite::Refused && !frozen.is_finite() {
                    Err(nonfinite_frozen(&self.name))
                } else {
                    Ok(Loaded::Frozen(frozen))
                };
            }
            Content::Frozen(frozen) if nonfinite == Nonfinite::Refused && !frozen.is_finite() => {
                return Err(nonfinite_frozen(&self.name));
            }
            Content::Frozen(frozen) => return Ok(Loaded::Frozen(frozen)),
        };
        check_unchanged(&self.name, &self.header, opened.header())?;
        let array = match part {
            Some(part) => opened.read_part(part),
            None => opened.read(),
        };
        Ok(Loaded::Array(cast(array?, &self.name, dtype, nonfinite, part.unwrap_or_default())?))
    }
}

fn nonfinite_frozen(name: &str) -> Failure {
    Failure::Request(format!(
        "`{name}`: the frozen operand has a NaN or an infinity, which a quantized run computes with only under `--allow-nonfinite`"
    ))
}

/// That a file that was opened again has the header that it had.
fn check_unchanged(name: &str, was: &Header, is: &Header) -> Result<(), Failure> {
    if is == was { Ok(()) } else { Err(Failure::Machine(format!("`{name}`: the file changed while it was read"))) }
}
