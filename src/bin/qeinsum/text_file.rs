//! Files of text that an argument names: plans, networks, configurations, lists of cases.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};

use qeinsum::printable_text;

use crate::failure::Failure;

/// The most bytes that such a file may have: far more than any of them needs.
const LIMIT: u64 = 1 << 28;

/// A file's name as messages show it.
pub(crate) fn shown(path: &OsStr) -> String {
    if path == "-" { "standard input".to_owned() } else { printable_text(&path.to_string_lossy(), 80) }
}

/// Opens a regular file, or standard input for `-`.
pub(crate) fn open(path: &OsStr) -> Result<Box<dyn Read>, Failure> {
    if path == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let name = shown(path);
    let failed = |error: io::Error| Failure::of_file(&name, "open", &error);
    // Asked before opening: to open a pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Failure::Request(format!("`{name}`: not a regular file; `-` stands for standard input")));
    }
    Ok(Box::new(File::open(path).map_err(failed)?))
}

/// The whole of a file as text.
pub(crate) fn read(path: &OsStr) -> Result<String, Failure> {
    let name = shown(path);
    let mut bytes = Vec::new();
    let mut file = open(path)?.take(LIMIT + 1);
    file.read_to_end(&mut bytes).map_err(|error| Failure::of_file(&name, "read", &error))?;
    if bytes.len() as u64 > LIMIT {
        return Err(Failure::Request(format!("`{name}`: the file is over the limit of {LIMIT} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[at];
        Failure::Request(format!("`{name}`: not UTF-8: byte \\x{byte:02x} at position {at}"))
    })
}
