//! The input arrays of a run: first their headers, from which everything is decided, then their elements.

use std::ffi::OsString;

use qeinsum::Dtype;
use qeinsum::io::{AnyArray, Header, Opened, Source};

use crate::failure::Failure;
use crate::text_file::shown;

/// Inputs whose headers were read.
#[derive(Debug)]
pub(crate) struct Inputs(Vec<Input>);

#[derive(Debug)]
struct Input {
    name: String,
    source: Source,
    header: Header,
    /// Standard input, which cannot be opened again; files are, so that no number of them is open at once.
    stream: Option<Opened>,
}

/// What becomes of a NaN or an infinity in an input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Nonfinite {
    /// It is computed with.
    Allowed,
    /// It is refused.
    Refused,
}

impl Inputs {
    /// Reads the headers.
    pub(crate) fn open(arguments: &[OsString]) -> Result<Self, Failure> {
        if arguments.iter().filter(|argument| *argument == "-").nth(1).is_some() {
            return Err(Failure::Request("`-` is standard input, which can be one operand only".to_owned()));
        }
        let mut inputs: Vec<Input> = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let source = Source::parse(argument)?;
            let opened = source.open()?;
            let header = opened.header().clone();
            let stream = (source == Source::Stdin).then_some(opened);
            inputs.push(Input { name: shown(argument), source, header, stream });
        }
        Ok(Self(inputs))
    }

    /// The shape of each.
    pub(crate) fn shapes(&self) -> Vec<&[usize]> {
        self.0.iter().map(|input| input.header.shape.as_slice()).collect()
    }

    /// The element type that all are read as: the one that they have, or the one that they are converted to.
    pub(crate) fn dtype(&self, cast: Option<Dtype>) -> Result<Dtype, Failure> {
        if let Some(dtype) = cast {
            return Ok(dtype);
        }
        // Without an input the equation is refused for it.
        let Some(first) = self.0.first() else { return Ok(Dtype::F32) };
        match self.0.iter().find(|input| input.header.dtype != first.header.dtype) {
            None => Ok(first.header.dtype),
            Some(other) => Err(Failure::Request(format!(
                "the inputs are not of one type: `{}` is {} and `{}` is {}; `--cast {}` would convert them",
                first.name, first.header.dtype, other.name, other.header.dtype, first.header.dtype
            ))),
        }
    }

    /// The bytes of the largest input that is converted to `dtype`, which are in memory beside its new ones.
    pub(crate) fn converted_bytes(&self, dtype: Dtype) -> u64 {
        let converted = self.0.iter().filter(|input| input.header.dtype != dtype);
        let bytes = converted.map(|input| {
            let unit = input.header.dtype.bytes() as u64;
            input.header.shape.iter().fold(unit, |bytes, &size| bytes.saturating_mul(size as u64))
        });
        bytes.max().unwrap_or(0)
    }

    /// Reads the elements.
    pub(crate) fn load(self, dtype: Dtype, nonfinite: Nonfinite) -> Result<Vec<AnyArray>, Failure> {
        self.0.into_iter().map(|input| input.load(dtype, nonfinite)).collect()
    }
}

impl Input {
    fn load(self, dtype: Dtype, nonfinite: Nonfinite) -> Result<AnyArray, Failure> {
        let opened = match self.stream {
            Some(stream) => stream,
            None => self.source.open()?,
        };
        if *opened.header() != self.header {
            return Err(Failure::Machine(format!("`{}`: the file changed while it was read", self.name)));
        }
        let array = opened.read()?.cast(dtype);
        if nonfinite == Nonfinite::Refused
            && let Some(index) = array.first_nonfinite()
        {
            return Err(Failure::Request(format!(
                "`{}`: the element at {index:?} is NaN or infinite, which a quantized run computes with only under \
                 `--allow-nonfinite`",
                self.name
            )));
        }
        Ok(array)
    }
}
