//! What is said beside results, on standard error: how much of it, and in which colours.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use qeinsum::parse::Note;

/// How much is said, and in which colours; every command has these flags.
#[derive(Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct ConsoleArgs {
    /// Say nothing beside results and errors: no notes, no bars
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    /// Say what is searched, read, computed and written, and how long each takes
    #[arg(short, long, global = true)]
    verbose: bool,

    /// When to colour: `auto` colours what goes to a terminal, and heeds `NO_COLOR`
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: Colors,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Colors {
    #[default]
    Auto,
    Always,
    Never,
}

/// How much is said beside results and errors.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verbosity {
    /// Nothing.
    Quiet,
    /// What may surprise, and bars on long work.
    Usual,
    /// What is done, too.
    Verbose,
}

static VERBOSITY: OnceLock<Verbosity> = OnceLock::new();

/// Set on all ranks but the first.
static SILENT: AtomicBool = AtomicBool::new(false);

impl ConsoleArgs {
    /// Has everything said from now on be said like this.
    pub(crate) fn apply(&self) {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Usual,
        };
        // A process does this once.
        let _ = VERBOSITY.set(verbosity);
        self.color.choice().write_global();
    }
}

impl Colors {
    fn choice(self) -> ColorChoice {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
    }
}

/// Takes the colours that arguments ask for which were not read yet: help, and what is wrong with them, is said in these.
pub(crate) fn colour_early(arguments: impl Iterator<Item = OsString>) {
    let mut before_is_flag = false;
    for argument in arguments.take_while(|argument| argument != "--") {
        let named = argument.to_str().and_then(|text| text.strip_prefix("--color="));
        let when = if before_is_flag { argument.to_str() } else { named };
        if let Some(when) = when.and_then(|when| Colors::from_str(when, false).ok()) {
            when.choice().write_global();
        }
        before_is_flag = argument == "--color";
    }
}

/// Has nothing said but errors, whatever was asked for.
#[cfg(feature = "mpi")]
pub(crate) fn silence() {
    SILENT.store(true, Ordering::Relaxed);
}

fn verbosity() -> Verbosity {
    if SILENT.load(Ordering::Relaxed) {
        return Verbosity::Quiet;
    }
    VERBOSITY.get().copied().unwrap_or(Verbosity::Usual)
}

/// Whether bars may be shown.
pub(crate) fn shows_progress() -> bool {
    verbosity() >= Verbosity::Usual
}

/// Prints what is allowed but may surprise.
pub(crate) fn note(text: &str) {
    if verbosity() >= Verbosity::Usual {
        say("note", AnsiColor::Cyan.on_default().bold(), text);
    }
}

/// The same for what the parser has to say.
pub(crate) fn notes(notes: &[Note]) {
    for each in notes {
        note(&each.to_string());
    }
}

/// Prints what was done, for those who asked to be told.
pub(crate) fn detail(text: impl FnOnce() -> String) {
    if verbosity() >= Verbosity::Verbose {
        say("info", AnsiColor::Blue.on_default(), &text());
    }
}

/// Prints why nothing came of it.
pub(crate) fn error(text: &str) {
    say("error", AnsiColor::Red.on_default().bold(), text);
}

/// Prints to standard error whatever the verbosity; that this fails cannot be told to anybody.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// `kind: text`, with the kind and all carets below it in one colour, where there are colours.
fn say(kind: &str, style: Style, text: &str) {
    let mut lines = text.lines();
    let mut said = format!("{style}{kind}:{style:#} {}", lines.next().unwrap_or_default());
    for line in lines {
        let marks = line.chars().all(|c| matches!(c, ' ' | '^' | '~' | '-')) && line.contains('^');
        said.push('\n');
        // A style of nothing writes nothing.
        let style = if marks { style } else { Style::new() };
        let _ = write!(said, "{style}{line}{style:#}");
    }
    complain(&said);
}
