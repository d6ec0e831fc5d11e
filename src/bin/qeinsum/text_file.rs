//! Files of text that an argument names: plans, networks, configurations, lists of cases.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};

use qeinsum::printable_text;

use crate::failure::Failure;

/// The most bytes of a plan or a network: of a hundred thousand operands and more.
pub(crate) const PLAN_LIMIT: u64 = 1 << 28;
/// The most bytes of a configuration, far more than one needs.
pub(crate) const CONFIG_LIMIT: u64 = 1 << 20;

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

/// The whole of a file of at most `limit` bytes as text.
pub(crate) fn read(path: &OsStr, limit: u64) -> Result<String, Failure> {
    let name = shown(path);
    let too_large = || Failure::Request(format!("`{name}`: the file is over the limit of {limit} bytes"));
    let file = open(path)?;
    // Refused before it is read where that is known; a stream tells only when it has come.
    if path != "-" && fs::metadata(path).is_ok_and(|file| file.len() > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| Failure::of_file(&name, "read", &error))?;
    if bytes.len() as u64 > limit {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let byte = error.as_bytes()[at];
        Failure::Request(format!("`{name}`: not UTF-8: byte \\x{byte:02x} at position {at}"))
    })
}
