//! Why a command did not do what was asked: the diagnostic and the exit code.

use std::io;
use std::process::ExitCode;

use qeinsum::{Error, ErrorKind, printable_text};

use crate::console;

/// Lines of a diagnostic: what a terminal shows at once.
const MOST_LINES: usize = 24;
/// Characters of a diagnostic in all.
const MOST_CHARACTERS: usize = 3600;
/// Columns of one of them.
const MOST_COLUMNS: usize = 400;

/// A command that failed. The texts are diagnostics without `error: `.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// What was asked is wrong.
    Request(String),
    /// The machine failed.
    Machine(String),
    /// Another rank has failed with this exit code, and says why.
    Elsewhere(u8),
    /// Nobody reads standard output any more, as in `qeinsum plan … | head`: nothing to tell anybody.
    Closed,
}

impl Failure {
    /// Arguments that are not those of a command.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let lines: Vec<String> = text.lines().map(|line| printable_text(line, MOST_COLUMNS)).collect();
        Self::Request(lines.join("\n").trim_start_matches("error: ").trim_end().to_owned())
    }

    /// What reading or writing `name` met.
    pub(crate) fn of_file(name: &str, doing: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Request(format!("`{name}`: no such file")),
            _ => Self::Machine(format!("`{name}`: cannot {doing}: {error}")),
        }
    }

    /// The same failure with the file that it was found in.
    pub(crate) fn within(self, name: &str) -> Self {
        match self {
            Self::Request(text) => Self::Request(format!("`{name}`: {text}")),
            Self::Machine(text) => Self::Machine(format!("`{name}`: {text}")),
            other => other,
        }
    }

    /// The same failure with the rank that met it.
    pub(crate) fn on_rank(&self, rank: usize) -> Self {
        match self.clone() {
            Self::Request(text) => Self::Request(format!("rank {rank}: {text}")),
            Self::Machine(text) => Self::Machine(format!("rank {rank}: {text}")),
            other => other,
        }
    }

    /// What it says, without where and how it is shown.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Request(text) | Self::Machine(text) => text.clone(),
            Self::Elsewhere(_) | Self::Closed => String::new(),
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Request(_) => 2,
            Self::Machine(_) => 1,
            Self::Elsewhere(code) => *code,
            Self::Closed => 0,
        }
    }

    /// The text for standard error, cut to what a screen shows, without its last line break; empty where there is nothing to say.
    pub(crate) fn diagnostic(&self) -> String {
        match self {
            Self::Request(text) | Self::Machine(text) => {
                let lines: Vec<&str> = text.lines().take(MOST_LINES).collect();
                let text = format!("error: {}", lines.join("\n"));
                match text.char_indices().nth(MOST_CHARACTERS) {
                    Some((end, _)) => format!("{}…", &text[..end]),
                    None => text,
                }
            }
            Self::Elsewhere(_) | Self::Closed => String::new(),
        }
    }

    /// Prints the diagnostic and gives the code to exit with.
    pub(crate) fn report(&self) -> ExitCode {
        let diagnostic = self.diagnostic();
        if let Some(text) = diagnostic.strip_prefix("error: ") {
            console::error(text);
        }
        ExitCode::from(self.code())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Machine | ErrorKind::Memory => Self::Machine(error.to_string()),
            _ => Self::Request(error.to_string()),
        }
    }
}
