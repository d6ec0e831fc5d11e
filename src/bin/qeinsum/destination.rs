//! Where a result goes: standard output, or a file that is written whole or not at all.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};

use clap::Args;

use crate::failure::Failure;

/// `--out` of the commands whose result is text.
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

    /// Writes a text that ends its last line.
    pub(crate) fn write(&self, text: &str) -> Result<(), Failure> {
        match self.out.as_deref() {
            Some(path) if path != OsStr::new("-") => {
                Ok(qeinsum::io::write_whole(path, |out| out.write_all(text.as_bytes()))?)
            }
            _ => print(text),
        }
    }
}

/// Writes to standard output; colours that the text has go to terminals only.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::Machine(format!("cannot write to standard output: {error}")),
    })
}
