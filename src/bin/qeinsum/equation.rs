//! The equation of a command: an argument of any bytes, read as text.

use std::ffi::{OsStr, OsString};

use clap::Args;
use qeinsum::{QEinsum, Syntax, printable_text};

use crate::failure::Failure;
use crate::hint;
use crate::text_file;

/// Columns shown before a byte that is not text.
const CONTEXT: usize = 40;
/// The most bytes of a file that holds an equation.
const LIMIT: u64 = 1 << 24;

/// An equation and its syntax.
#[derive(Args)]
pub(crate) struct EquationArg {
    /// The equation, such as `bij,bjk->bik`; `@FILE` reads it from a file, `@-` from standard input; one that begins with `-`
    /// is taken as it stands
    // A flag that no command has would be taken for an equation too: `read` refuses it.
    #[arg(value_name = "EQ", allow_hyphen_values = true)]
    equation: Option<OsString>,

    /// Named syntax: `batch time chan, chan out -> batch time out`
    #[arg(long)]
    named: bool,
}

impl EquationArg {
    /// Whether an equation was given.
    pub(crate) fn is_given(&self) -> bool {
        self.equation.is_some()
    }

    /// The syntax that was chosen.
    pub(crate) fn syntax(&self) -> Syntax {
        if self.named { Syntax::Named } else { Syntax::Compact }
    }

    /// The parsed equation.
    pub(crate) fn read(&self) -> Result<QEinsum, Failure> {
        let Some(equation) = &self.equation else {
            return Err(Failure::Request("no equation was given, such as `ij,jk->ik`".to_owned()));
        };
        parse(&written(equation, self.syntax())?, self.syntax())
    }
}

/// The equation of an argument: as it stands there, or in a file.
pub(crate) fn written(argument: &OsStr, syntax: Syntax) -> Result<String, Failure> {
    let text = text(argument)?;
    if is_flag(text) {
        return Err(hint::unexpected_flag(text, []));
    }
    match text.strip_prefix('@') {
        Some(file) => in_file(file, text, syntax),
        None => Ok(text.to_owned()),
    }
}

/// The equation that a file holds, or standard input for `-`; the text as it stands, with its fault, where there is no such
/// file.
fn in_file(file: &str, text: &str, syntax: Syntax) -> Result<String, Failure> {
    match text_file::read(OsStr::new(file), LIMIT) {
        // Of several lines, each goes on where the one before has ended.
        Ok(content) => Ok(content.trim_end_matches(['\n', '\r']).replace(['\n', '\r'], " ")),
        Err(missing) => match parse(text, syntax) {
            Err(Failure::Request(fault)) => Err(Failure::Request(format!("{fault}\n{}", missing.message()))),
            _ => Err(missing),
        },
    }
}

/// Parses an equation in the syntax asked for.
pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<QEinsum, Failure> {
    Ok(match syntax {
        Syntax::Compact => QEinsum::new(text)?,
        Syntax::Named => QEinsum::named(text)?,
    })
}

/// The argument as text; the diagnostic shows the first byte that is none.
pub(crate) fn text(argument: &OsStr) -> Result<&str, Failure> {
    let bytes = argument.as_encoded_bytes();
    str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = format!("\\x{:02x}", bytes[at]);
        let before = str::from_utf8(&bytes[..at]).unwrap_or_default();
        let skipped = before.chars().count().saturating_sub(CONTEXT);
        let lead = if skipped > 0 { "…" } else { "" };
        let shown: String =
            before.chars().skip(skipped).map(|c| printable_text(c.encode_utf8(&mut [0; 4]), CONTEXT)).collect();
        let indent = " ".repeat(lead.chars().count() + shown.chars().count());
        Failure::Request(format!(
            "the equation is not UTF-8: byte {byte} at position {at}\n  {lead}{shown}{byte}\n  {indent}^^^^"
        ))
    })
}

/// Whether this reads as a flag, `-x` or `--long[=value]`. No equation does: its only `-` is that of `->`.
pub(crate) fn is_flag(text: &str) -> bool {
    let long = |name: &str| {
        let name = name.split('=').next().unwrap_or_default();
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    match text.strip_prefix('-') {
        Some(rest) => match rest.strip_prefix('-') {
            Some(name) => long(name),
            None => rest.len() == 1 && rest.starts_with(|c: char| c.is_ascii_alphabetic()),
        },
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_told_from_equations() {
        for flag in ["-i", "--oops", "--oops=ij->ij", "--a-b"] {
            assert!(is_flag(flag), "{flag}");
        }
        for equation in ["->", "-", "--", "-ij->ij", "- >", "--->", "-\u{1b}[31m", "-%", "-1", "ij->ij", ""] {
            assert!(!is_flag(equation), "{equation}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_shown_where_they_are() {
        use std::os::unix::ffi::OsStrExt as _;
        let failure = text(OsStr::from_bytes(b"ij\xff->ij")).unwrap_err();
        let expected = "error: the equation is not UTF-8: byte \\xff at position 2\n  ij\\xff\n    ^^^^";
        assert_eq!(failure.diagnostic(), expected);
        let long = [vec![b'i'; 1000], vec![0xc3]].concat();
        let shown = text(OsStr::from_bytes(&long)).unwrap_err().diagnostic();
        assert!(shown.lines().all(|line| line.chars().count() < 80), "{shown}");
    }
}
