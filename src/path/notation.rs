//! Paths as text: ours, and those of `opt_einsum`, `NumPy` and cotengra.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::path::Path;
use crate::span::printable_text;

/// `(0,1) (0,1)`; the path of one operand is `(0)`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps().is_empty() {
            return f.write_str("(0)");
        }
        for (step, [a, b]) in self.steps().iter().enumerate() {
            if step > 0 {
                f.write_str(" ")?;
            }
            write!(f, "({a},{b})")?;
        }
        Ok(())
    }
}

/// Our own form; a list of Python or JSON, such as `[(0, 1), (0, 1)]`, as `opt_einsum` has it; and `NumPy`'s, in which
/// `'einsum_path'` comes first. Steps of more than two operands join them one after the other.
///
/// ```
/// use qeinsum::path::Path;
/// let path: Path = "(1,2) (0,1)".parse()?;
/// for text in ["[(1, 2), (0, 1)]", "[[1,2],[0,1]]", "['einsum_path', (1, 2), (0, 1)]"] {
///     assert_eq!(text.parse::<Path>()?, path);
/// }
/// # Ok::<(), qeinsum::Error>(())
/// ```
impl std::str::FromStr for Path {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::from_lists(&lists(text)?)
    }
}

impl Path {
    /// Reads a path whose steps name operands and results by ids that are never used again, as cotengra's `ssa_path` does,
    /// in any form that positions may have.
    ///
    /// ```
    /// use qeinsum::path::Path;
    /// assert_eq!(Path::from_ssa_text("[(1, 2), (0, 3)]")?.to_string(), "(1,2) (0,1)");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn from_ssa_text(text: &str) -> Result<Self> {
        let steps = lists(text)?;
        // The path of one operand has a step without a result.
        let steps = if steps == [[0]] { Vec::new() } else { steps };
        let pairs = steps.into_iter().map(|step| {
            <[usize; 2]>::try_from(step)
                .map_err(|_| Error::new(ErrorKind::Path, "a path of ids is made of pairs, such as (1,2) (0,3)"))
        });
        Self::from_ssa(&pairs.collect::<Result<Vec<_>>>()?)
    }

    /// The positions as a list of Python, as `opt_einsum`, `NumPy` and cotengra take it: `[(1, 2), (0, 1)]`.
    pub fn to_python(&self) -> String {
        python(&self.to_lists())
    }

    /// The ids of [`ssa`](Self::ssa) as a list of Python, as cotengra takes it.
    pub fn to_ssa_python(&self) -> String {
        python(&self.to_ssa_lists())
    }
}

fn python(steps: &[Vec<usize>]) -> String {
    let steps = steps.iter().map(|step| match step[..] {
        // A tuple of one.
        [only] => format!("({only},)"),
        _ => format!("({})", step.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
    });
    format!("[{}]", steps.collect::<Vec<_>>().join(", "))
}

/// The numbers of each step.
fn lists(text: &str) -> Result<Vec<Vec<usize>>> {
    let bad = || {
        let shown = printable_text(text, 60);
        Error::new(ErrorKind::Path, format!("`{shown}` is no path: write pairs of positions, such as (0,1) (0,1)"))
    };
    let trimmed = text.trim();
    // A list or a tuple around the steps.
    let around = |open: char, close: char| trimmed.strip_prefix(open).map(|rest| rest.strip_suffix(close));
    let tuple = || around('(', ')').filter(|rest| rest.is_some_and(|rest| rest.trim_start().starts_with('(')));
    let inside = match around('[', ']').or_else(tuple) {
        Some(rest) => rest.ok_or_else(bad)?.trim(),
        None => trimmed,
    };
    let mut rest = ["'einsum_path'", "\"einsum_path\""]
        .into_iter()
        .find_map(|word| inside.strip_prefix(word))
        .map_or(inside, |rest| rest.trim_start().trim_start_matches(','));
    let mut steps = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\n', '\r', '\t']);
        if rest.is_empty() {
            return Ok(steps);
        }
        let step = rest.strip_prefix('(').and_then(|open| open.split_once(')'));
        let step = step.or_else(|| rest.strip_prefix('[').and_then(|open| open.split_once(']')));
        let (numbers, after) = step.ok_or_else(bad)?;
        rest = after;
        let numbers = numbers.split(',').map(str::trim).filter(|part| !part.is_empty());
        let numbers: std::result::Result<Vec<usize>, _> = numbers.map(str::parse).collect();
        steps.push(numbers.map_err(|_| bad())?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_read_and_written() {
        let path: Path = "(1,2) (0,2), (0,1)".parse().unwrap();
        for text in [path.to_string(), path.to_python(), format!("{:?}", path.to_lists())] {
            assert_eq!(text.parse::<Path>().unwrap(), path, "{text}");
        }
        assert_eq!(path.to_python(), "[(1, 2), (0, 2), (0, 1)]");
        assert_eq!(Path::from_ssa_text(&path.to_ssa_python()).unwrap(), path);
        let numpy: Path = "['einsum_path', (0, 1, 2)]".parse().unwrap();
        assert_eq!(numpy.to_string(), "(0,1) (0,1)");
        assert_eq!("((1, 2), (0, 2), (0, 1))".parse::<Path>().unwrap(), path);
        assert_eq!("((0, 1),)".parse::<Path>().unwrap().to_string(), "(0,1)");
        assert_eq!(Path::from_ssa_text("[(0,)]").unwrap().to_ssa_python(), "[(0,)]");
        for text in ["(0,)", "(0)", "[(0,)]", "[[0]]", "['einsum_path', (0,)]", ""] {
            assert_eq!(text.parse::<Path>().unwrap().to_python(), "[(0,)]", "{text}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let texts = [
            "(0,0)",
            "(0,2)",
            "0,1",
            "(0,1",
            "[(0,1)",
            "(a,b)",
            "(0,1) (0,2)",
            "(-1,0)",
            "()",
            "[(0,1)]]",
            "(0,1] (0,1)",
            "(99999999999999999999,0)",
            "'einsum_path'(",
            "[1, 2]",
        ];
        for text in texts {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
        assert!(Path::from_ssa_text("(0,1,2)").is_err() && Path::from_ssa_text("(0,1) (0,2)").is_err());
    }
}
