//! Saved plans, to compare an order with.

use std::ffi::OsStr;

use qeinsum::path::Path;
use qeinsum::{Plan, printable_text};
use serde::Deserialize;

use crate::failure::Failure;
use crate::text_file;

/// Lines of each plan that a difference shows.
const MOST_LINES: usize = 9;
/// Columns of one of them.
const MOST_COLUMNS: usize = 120;

/// What is read of a plan in JSON. Other fields may be those of any version.
#[derive(Deserialize)]
struct Document {
    path: Vec<Vec<usize>>,
}

/// Fails with what differs where the order of `text`, a plan, is not that of the plan saved in `file`.
pub(crate) fn check(file: &OsStr, path: &Path, text: &str) -> Result<(), Failure> {
    let name = text_file::shown(file);
    let content = text_file::read(file, text_file::PLAN_LIMIT)?;
    let (saved, saved_text) = parse(&content).map_err(|failure| failure.within(&name))?;
    if saved == *path {
        return Ok(());
    }
    let difference = match saved.steps().iter().zip(path.steps()).position(|(saved, now)| saved != now) {
        Some(step) => {
            let ([a, b], [c, d]) = (saved.steps()[step], path.steps()[step]);
            format!("step {step} was ({a},{b}) and is ({c},{d})")
        }
        None => format!("it has {} operands and now {}", saved.operands(), path.operands()),
    };
    let lines = differing_lines(&saved_text, text);
    Err(Failure::Request(format!("the order is not that of `{name}`: {difference}\n{}", lines.join("\n"))))
}

/// The path of a saved plan and its text.
fn parse(content: &str) -> Result<(Path, String), Failure> {
    if content.trim_start().starts_with('{') {
        let document: Document = serde_json::from_str(content).map_err(|error| {
            Failure::Request(format!("this is no plan: {}", printable_text(&error.to_string(), 200)))
        })?;
        // The path of one operand is [[0]].
        let pairs = document.path.iter().filter(|step| step.as_slice() != [0]);
        let pairs: Result<Vec<[usize; 2]>, _> = pairs.map(|step| step.as_slice().try_into()).collect();
        let pairs = pairs.map_err(|_| Failure::Request("the plan has a path that is not made of pairs".to_owned()))?;
        let path = Path::new(pairs)?;
        let text = Plan::from_json(content).map_or_else(|_| format!("path {path}\n"), |plan| plan.to_string());
        return Ok((path, text));
    }
    let Some(line) = content.lines().find_map(|line| line.strip_prefix("path ")) else {
        return Err(Failure::Request("this is no plan: it has no line that begins with `path`".to_owned()));
    };
    Ok((line.parse()?, content.to_owned()))
}

/// What stands between the lines that both texts begin with and those that both end with.
fn differing_lines(saved: &str, now: &str) -> Vec<String> {
    let (saved, now): (Vec<&str>, Vec<&str>) = (saved.lines().collect(), now.lines().collect());
    let shorter = saved.len().min(now.len());
    let same = saved.iter().zip(&now).take_while(|(a, b)| a == b).count();
    let after = saved.iter().rev().zip(now.iter().rev()).take(shorter - same).take_while(|(a, b)| a == b).count();
    let mut shown = Vec::new();
    for (sign, lines) in [('-', &saved[same..saved.len() - after]), ('+', &now[same..now.len() - after])] {
        for line in lines.iter().take(MOST_LINES) {
            shown.push(format!("{sign} {}", printable_text(line, MOST_COLUMNS)));
        }
        if lines.len() > MOST_LINES {
            shown.push(format!("{sign} … {} more lines", lines.len() - MOST_LINES));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown() {
        assert_eq!(differing_lines("a\nb\nc\n", "a\nx\ny\nc\n"), ["- b", "+ x", "+ y"]);
        assert_eq!(differing_lines("a\na\n", "a\n"), ["- a"]);
        assert!(differing_lines("a\n", "a\n").is_empty());
        assert_eq!(differing_lines(&"a\n".repeat(100), "").len(), MOST_LINES + 1);
    }

    #[test]
    fn plans_are_read_from_text_and_json() {
        let plan = qeinsum::QEinsum::new("ab,bc,cd->ad").unwrap().plan(&[&[2, 3], &[3, 4], &[4, 5]]).unwrap();
        for content in [plan.to_string(), plan.to_json(), r#"{"planner": 99, "path": [[0, 1], [0, 1]]}"#.to_owned()] {
            assert_eq!(parse(&content).unwrap().0.steps().len(), 2, "{content}");
        }
        for content in ["", "{", "{}", r#"{"path": [[0, 5]]}"#, r#"{"path": [[0, 1, 2]]}"#, "path (0,0)"] {
            assert!(parse(content).is_err(), "{content}");
        }
    }
}
