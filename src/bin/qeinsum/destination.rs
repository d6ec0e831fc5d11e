//! Where a result goes: standard output, or a file that is written whole or not at all.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _, Write as _};

use clap::Args;

use crate::failure::Failure;

/// `--out` of the commands whose result is text, or another file of one piece.
#[derive(Args)]
pub(crate) struct Destination {
    /// Write to this file instead of standard output; it is written whole or not at all
    #[arg(long, value_name = "FILE")]
    out: Option<OsString>,
}

impl Destination {
    /// Whether a place was named.
    pub(crate) fn is_given(&self) -> bool {
        self.out.is_some()
    }

    /// Whether the result would appear on a terminal although nobody said so.
    pub(crate) fn is_terminal(&self) -> bool {
        self.out.is_none() && io::stdout().is_terminal()
    }

    /// Writes a text that ends its last line.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        self.write_bytes(text.as_bytes())
    }

    /// Writes bytes as they are.
    pub(crate) fn write_bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        match self.out.as_deref() {
            Some(path) if path != OsStr::new("-") => Ok(qeinsum::io::write_whole(path, |out| out.write_all(bytes))?),
            _ => print_bytes(bytes),
        }
    }
}

/// Writes a text to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Machine(format!("cannot write to standard output: {error}")),
    })
}
