//! Reads `grammar/ok` and `grammar/err`. The format is described at the top of `grammar/ok/compact.txt`.

use std::fs;
use std::path::Path;

use qeinsum::Syntax;

/// A file of equations.
pub(crate) struct File {
    pub(crate) stem: String,
    pub(crate) syntax: Syntax,
    pub(crate) lines: Vec<Line>,
}

/// One equation.
pub(crate) struct Line {
    pub(crate) written: String,
    pub(crate) text: String,
    pub(crate) shapes: Option<Vec<Vec<usize>>>,
}

/// The files of a folder, by name.
pub(crate) fn files(folder: &str) -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("grammar").join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files: Vec<File> = paths
        .iter()
        .map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let syntax = if stem.starts_with("named") { Syntax::Named } else { Syntax::Compact };
            let content = fs::read_to_string(path).unwrap();
            let lines = content.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(line).collect();
            File { stem, syntax, lines }
        })
        .collect();
    assert!(files.iter().all(|file| !file.lines.is_empty()));
    files
}

fn line(written: &str) -> Line {
    let (text, shapes) = match written.split_once('@') {
        Some((text, shapes)) => (text.strip_suffix(' ').unwrap_or(text), Some(self::shapes(shapes.trim()))),
        None => (written, None),
    };
    Line { written: written.to_owned(), text: unescape(text), shapes }
}

fn shapes(text: &str) -> Vec<Vec<usize>> {
    let shape = |shape: &str| match shape {
        "scalar" => Vec::new(),
        _ => shape.split('x').map(|size| size.parse().unwrap()).collect(),
    };
    if text.is_empty() { Vec::new() } else { text.split(',').map(shape).collect() }
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\u{") {
        let (digits, after) = after.split_once('}').expect("an escape ends in a brace");
        out.push_str(before);
        if !digits.is_empty() {
            out.push(char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap());
        }
        rest = after;
    }
    out + rest
}
