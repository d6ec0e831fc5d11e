//! The one public error: what kind it is, what it says, and where in the equation.
//!
//! An error exists only for something a user passed: text, arrays, a configuration, a file. Each room has its own
//! private enum of what can go wrong there and turns it into an [`Error`] at its border.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::span::{Span, underline};

/// Shorthand for results of this crate.
///
/// ```
/// fn transposed(shape: [usize; 2]) -> qeinsum::Result<String> {
///     Ok(qeinsum::QEinsum::new("ij->ji")?.plan(&[&shape])?.order())
/// }
/// assert_eq!(transposed([2, 3])?, "(0)");
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was wrong, with the place in the equation where there is one.
///
/// `Display` gives the message and, below it, the equation with carets:
///
/// ```
/// let error = qeinsum::QEinsum::new("ij,jk->iz").unwrap_err();
/// assert_eq!(error.kind(), &qeinsum::ErrorKind::Syntax);
/// assert_eq!(error.message(), "output label `z` is in no operand");
/// assert_eq!(error.spans(), [qeinsum::Span::new(8, 9)]); // bytes of the equation
/// assert_eq!(error.to_string(), "output label `z` is in no operand\n  ij,jk->iz\n          ^");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    message: String,
    snippet: Option<Snippet>,
}

#[derive(Clone, PartialEq, Eq)]
struct Snippet {
    text: Arc<str>,
    spans: SmallVec<[Span; 2]>,
}

/// The part of the request that an [`Error`] is about.
///
/// ```
/// use qeinsum::{ErrorKind, QEinsum};
/// let error = QEinsum::new("ij,jk->ik")?.plan(&[&[2, 3], &[4, 5]]).unwrap_err();
/// match error.kind() {
///     ErrorKind::Shape => assert!(error.message().starts_with("label `j` has two sizes")),
///     // There may be more kinds in time.
///     _ => unreachable!("{error}"),
/// }
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The equation does not follow the grammar, or names a label that cannot stand there.
    Syntax,
    /// Operands do not fit the equation: their number, rank or sizes.
    Shape,
    /// A contraction path does not fit the equation.
    Path,
    /// A label cannot be sliced, or something else is asked of a plan in slices than to run it.
    Slice,
    /// A loaded plan is not one that this crate would have made.
    Plan,
    /// A quantization configuration contradicts itself or does not fit the operands.
    Config,
    /// A frozen operand that does not fit where it was passed, or that something else is asked of than its integers.
    Freeze,
    /// Values that cannot be computed with as asked, such as a NaN under quantization.
    Value,
    /// Something that the language of an export cannot say.
    Export,
    /// A file whose content is not what its format demands.
    File,
    /// More memory or work than was allowed.
    Limit,
    /// The machine failed: a disk, a permission.
    Machine,
    /// The system gives no more memory.
    Memory,
    /// A run was stopped by its [`Cancel`](crate::Cancel).
    Cancelled,
}

impl Error {
    /// An error of one's own, for what implements this crate's traits: the message in lower case, without a full stop.
    ///
    /// ```
    /// use qeinsum::{Error, ErrorKind};
    /// let error = Error::new(ErrorKind::Machine, "the tape is at its end");
    /// assert_eq!(error.to_string(), "the tape is at its end");
    /// ```
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), snippet: None }))
    }

    /// The same error, pointing at `spans` of `text`.
    pub(crate) fn at(mut self, text: &str, spans: &[Span]) -> Self {
        self.0.snippet = Some(Snippet { text: text.into(), spans: spans.iter().copied().collect() });
        self
    }

    /// The same error with `context: ` before its message, such as the file it was found in.
    pub(crate) fn within(mut self, context: &str) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// What the error is about.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The message alone, without the equation: lower case, no full stop.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The places in the equation that the message speaks of, in bytes; empty when it speaks of none.
    pub fn spans(&self) -> &[Span] {
        self.0.snippet.as_ref().map_or(&[], |snippet| &snippet.spans)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.snippet {
            Some(snippet) => write!(f, "\n{}", underline(&snippet.text, &snippet.spans)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}
