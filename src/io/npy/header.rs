//! The text of an `.npy` header: a Python dictionary of three keys, read without Python.
//!
//! Comes in: the bytes between the length field and the elements. Goes out: the three values, not yet judged. The
//! language is the part of Python's that `NumPy` writes, and the spacing, key order and quotes that others write:
//! a flat scan with no recursion, so that no nesting can exhaust the stack. Absent: escapes in strings, digits
//! with underscores, other bases, comments, lists.

use std::fmt;

use smallvec::SmallVec;

use crate::sizes::Shape;
use crate::span::printable_text;

/// What is wrong with the head of an `.npy` file. Places are bytes of the header's text, counted from 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::io) enum HeaderError {
    /// The first bytes are others.
    Magic(Vec<u8>),
    Version(u8, u8),
    /// The file ends inside the header.
    Truncated {
        needed: u64,
        found: u64,
    },
    TooLong {
        claimed: u64,
        limit: u64,
    },
    Expected {
        what: &'static str,
        at: usize,
        found: Option<u8>,
    },
    NotAscii {
        at: usize,
    },
    Duplicate(Key),
    Missing(Key),
    UnknownKey(String),
    NegativeSize {
        at: usize,
    },
    SizeTooLarge {
        digits: String,
    },
    Pickled,
    Structured,
    /// A dtype by its name, which has no semantics here yet.
    NotYet {
        name: String,
        descr: String,
    },
    UnknownDescr(String),
}

/// A key of the dictionary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::io) enum Key {
    Descr,
    FortranOrder,
    Shape,
}

impl Key {
    const ALL: [Self; 3] = [Self::Descr, Self::FortranOrder, Self::Shape];

    const fn name(self) -> &'static str {
        match self {
            Self::Descr => "descr",
            Self::FortranOrder => "fortran_order",
            Self::Shape => "shape",
        }
    }
}

/// The three values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fields {
    pub(super) descr: String,
    pub(super) fortran_order: bool,
    pub(super) shape: Shape,
}

/// Reads the whole text of a header.
pub(super) fn parse(text: &[u8]) -> Result<Fields, HeaderError> {
    if let Some(at) = text.iter().position(|byte| !byte.is_ascii()) {
        return Err(HeaderError::NotAscii { at });
    }
    let mut scan = Scan { text, at: 0 };
    let (mut descr, mut fortran_order, mut shape) = (None, None, None);
    scan.require(b'{', "`{`")?;
    while !scan.eat(b'}') {
        let name = scan.string("a key in quotes")?;
        let Some(key) = Key::ALL.into_iter().find(|key| key.name() == name) else {
            return Err(HeaderError::UnknownKey(name));
        };
        scan.require(b':', "`:`")?;
        let again = match key {
            Key::Descr => descr.replace(scan.descr()?).is_some(),
            Key::FortranOrder => fortran_order.replace(scan.truth()?).is_some(),
            Key::Shape => shape.replace(scan.shape()?).is_some(),
        };
        if again {
            return Err(HeaderError::Duplicate(key));
        }
        if !scan.eat(b',') {
            scan.require(b'}', "`,` or `}`")?;
            break;
        }
    }
    scan.space();
    if scan.at < text.len() {
        return Err(scan.expected("nothing after the dictionary"));
    }
    Ok(Fields {
        descr: descr.ok_or(HeaderError::Missing(Key::Descr))?,
        fortran_order: fortran_order.ok_or(HeaderError::Missing(Key::FortranOrder))?,
        shape: shape.ok_or(HeaderError::Missing(Key::Shape))?,
    })
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn expected(&self, what: &'static str) -> HeaderError {
        HeaderError::Expected { what, at: self.at, found: self.rest().first().copied() }
    }

    fn space(&mut self) {
        self.at += self.rest().iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    /// Takes `byte` and the space before it, if it comes next.
    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let there = self.rest().first() == Some(&byte);
        self.at += usize::from(there);
        there
    }

    fn require(&mut self, byte: u8, what: &'static str) -> Result<(), HeaderError> {
        if self.eat(byte) { Ok(()) } else { Err(self.expected(what)) }
    }

    fn string(&mut self, what: &'static str) -> Result<String, HeaderError> {
        self.space();
        let Some((&quote @ (b'\'' | b'"'), body)) = self.rest().split_first() else { return Err(self.expected(what)) };
        self.at += 1;
        let length = body.iter().take_while(|&&byte| byte != quote && byte != b'\\' && byte != b'\n').count();
        self.at += length;
        if body.get(length) != Some(&quote) {
            return Err(self.expected("the closing quote"));
        }
        self.at += 1;
        Ok(body.iter().take(length).copied().map(char::from).collect())
    }

    fn descr(&mut self) -> Result<String, HeaderError> {
        self.space();
        match self.rest().first() {
            // A list of fields or a pair of dtype and shape: neither is an array of numbers.
            Some(b'[' | b'(') => Err(HeaderError::Structured),
            _ => self.string("a dtype in quotes"),
        }
    }

    fn truth(&mut self) -> Result<bool, HeaderError> {
        self.space();
        for (word, value) in [("True", true), ("False", false)] {
            if self.rest().starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.expected("`True` or `False`"))
    }

    fn shape(&mut self) -> Result<Shape, HeaderError> {
        let mut shape: Shape = SmallVec::new();
        self.require(b'(', "a tuple of sizes")?;
        if self.eat(b')') {
            return Ok(shape);
        }
        loop {
            shape.push(self.size()?);
            // `(3)` is a number in parentheses, not a tuple.
            if shape.len() > 1 && self.eat(b')') {
                return Ok(shape);
            }
            self.require(b',', "`,` after a size")?;
            if self.eat(b')') {
                return Ok(shape);
            }
        }
    }

    fn size(&mut self) -> Result<usize, HeaderError> {
        self.space();
        if self.rest().first() == Some(&b'-') {
            return Err(HeaderError::NegativeSize { at: self.at });
        }
        let rest = self.rest();
        let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits: String = rest.iter().take(length).copied().map(char::from).collect();
        // A leading 0 is octal in old Python and an error in new.
        if digits.is_empty() || (length > 1 && digits.starts_with('0')) {
            return Err(self.expected("a size in decimal digits"));
        }
        self.at += length;
        // Python 2 wrote its long integers with a suffix.
        self.at += usize::from(self.rest().first() == Some(&b'L'));
        digits.parse().map_err(|_| HeaderError::SizeTooLarge { digits })
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic(bytes) if bytes.is_empty() => f.write_str("not an .npy file: it is empty"),
            Self::Magic(bytes) => {
                write!(f, r"not an .npy file: it begins with `{}`, not with `\x93NUMPY`", bytes.escape_ascii())
            }
            Self::Version(major, minor) => {
                write!(f, "`{major}.{minor}` is no known version of .npy; 1.0, 2.0 and 3.0 are")
            }
            Self::Truncated { needed, found } => {
                write!(f, "the file ends inside the .npy header: byte {found} of {needed}")
            }
            Self::TooLong { claimed, limit } => {
                write!(f, "the .npy header claims {claimed} bytes; the limit is {limit}")
            }
            Self::Expected { what, at, found: None } => {
                write!(f, "the .npy header ends at byte {at}, where {what} is expected")
            }
            Self::Expected { what, at, found: Some(byte) } => {
                write!(f, "the .npy header has `{}` at byte {at}, where {what} is expected", byte.escape_ascii())
            }
            Self::NotAscii { at } => write!(f, "the .npy header is not ASCII at byte {at}"),
            Self::Duplicate(key) => write!(f, "the .npy header has `{}` twice", key.name()),
            Self::Missing(key) => write!(f, "the .npy header has no `{}`", key.name()),
            Self::UnknownKey(name) => write!(f, "the .npy header has a key `{}`", printable_text(name, 40)),
            Self::NegativeSize { at } => write!(f, "the .npy header has a negative size at byte {at}"),
            Self::SizeTooLarge { digits } => {
                write!(f, "size `{}` is beyond what a machine can address: overflow", printable_text(digits, 40))
            }
            Self::Pickled => f.write_str("an array of Python objects (`O`): pickled objects are never loaded"),
            Self::Structured => f.write_str("structured arrays (a `descr` with fields) are not supported"),
            Self::NotYet { name, descr } => write!(
                f,
                "{name} arrays are not supported yet: `{}`; use float32, float64, float16, complex64 or complex128",
                printable_text(descr, 40)
            ),
            Self::UnknownDescr(descr) => write!(f, "`{}` is no dtype that is known here", printable_text(descr, 40)),
        }
    }
}
