//! The command line of qeinsum: one subcommand per stage, and `run`.
//!
//! In come arguments and files; out go results on standard output or in a file, diagnostics on standard error, and an
//! exit code: 0 done, 2 what was asked is wrong, 1 the machine failed. Everything is done by the library.

#![forbid(unsafe_code)]

mod calibrate;
mod case;
mod checkpoint;
mod cmd;
mod compute;
mod console;
mod destination;
mod dtype;
mod equation;
mod failure;
mod hint;
mod inputs;
mod interrupt;
mod kept_file;
mod memory;
mod problem;
mod progress;
mod quantization;
mod ranges;
mod ranks;
mod report;
mod saved;
mod search;
mod served;
mod settings;
mod sizes;
mod slices;
mod text_file;
mod threads;
mod together;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use failure::Failure;
use qeinsum::printable_text;
use ranks::Ranks;

/// A symbolic einsum compiler and interpreter with quantization as a first-class citizen
#[derive(Parser)]
#[command(name = "qeinsum", version, max_term_width = 100, after_help = EXAMPLES)]
#[command(arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    console: console::ConsoleArgs,
}

const EXAMPLES: &str = "\
Examples:
  qeinsum plan bij,bjk->bik --shapes 16x64x32,16x32x8
  qeinsum run bij,bjk->bik a.npy b.npy --out c.npy
  qeinsum run bij,bjk->bik a.npy b.npy --out c.npy --bits 8 --report

Exit codes: 0 done; 2 what was asked is wrong; 1 the machine failed; 130 interrupted.";

#[derive(Subcommand)]
enum Command {
    Parse(cmd::parse::Parse),
    Graph(cmd::graph::Graph),
    Path(cmd::path::Path),
    Family(cmd::family::Family),
    Plan(Box<cmd::plan::Plan>),
    Many(Box<cmd::many::Many>),
    Run(Box<cmd::run::Run>),
    Vjp(Box<cmd::vjp::Vjp>),
    Freeze(Box<cmd::freeze::Freeze>),
    Bench(Box<cmd::bench::Bench>),
    Doctor(cmd::doctor::Doctor),
    Completions(cmd::completions::Completions),
    Man(cmd::man::Man),
    Playground(cmd::playground::Playground),
}

impl Command {
    fn run(&self, ranks: Ranks<'_>) -> Result<(), Failure> {
        match self {
            Self::Run(run) => return run.run(ranks),
            Self::Vjp(vjp) => return vjp.run(ranks),
            _ if !ranks::is_first(ranks) => return Ok(()),
            _ => {}
        }
        match self {
            Self::Parse(parse) => parse.run(),
            Self::Graph(graph) => graph.run(),
            Self::Path(path) => path.run(),
            Self::Family(family) => family.run(),
            Self::Plan(plan) => plan.run(),
            Self::Many(many) => many.run(),
            Self::Run(_) | Self::Vjp(_) => Ok(()),
            Self::Freeze(freeze) => freeze.run(),
            Self::Bench(bench) => bench.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Completions(completions) => completions.run(),
            Self::Man(man) => man.run(),
            Self::Playground(playground) => playground.run(),
        }
    }
}

fn main() -> ExitCode {
    interrupt::listen();
    // A file that may not grow further is then an error of writing, with a message, and not the end of the process.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    console::colour_early(std::env::args_os());
    let done = match Cli::try_parse() {
        Ok(cli) => {
            cli.console.apply();
            start(&cli.command)
        }
        Err(error) if error.use_stderr() => {
            ranks::after_the_first();
            let error = escaped().unwrap_or(error);
            let is_unknown = error.kind() == ErrorKind::UnknownArgument;
            Err(if is_unknown { unexpected(&error) } else { Failure::usage(&error) })
        }
        Err(_) if !ranks::is_started_first() => Ok(()),
        Err(help) => destination::print(&help.render().ansi().to_string()),
    };
    match done {
        Ok(()) if interrupt::happened() => ExitCode::from(interrupt::INTERRUPTED),
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Runs a command, with the other processes where there are several.
#[cfg(feature = "mpi")]
fn start(command: &Command) -> Result<(), Failure> {
    use qeinsum::ranks::Communicator as _;
    let Some(universe) = ranks::start()? else { return command.run(None) };
    let world = universe.world();
    if world.rank() > 0 {
        console::silence();
    }
    let done = command.run(Some(&world)).map_err(|failure| {
        failure.report();
        Failure::Elsewhere(failure.code())
    });
    // Whoever ends with an exit code ends all of them: not before it was said why.
    world.largest(&mut [0])?;
    done
}

/// Runs a command.
#[cfg(not(feature = "mpi"))]
fn start(command: &Command) -> Result<(), Failure> {
    ranks::check().inspect_err(|_| ranks::after_the_first())?;
    command.run(None)
}

/// The error of the same arguments with what a terminal would obey written out: clap shows them as they are, and where they
/// end a line, what follows would stand there as if it were ours.
fn escaped() -> Option<clap::Error> {
    let arguments = std::env::args_os().map(|argument| match argument.to_str() {
        Some(text) if text.chars().any(char::is_control) => printable_text(text, 200).into(),
        _ => argument,
    });
    Cli::try_parse_from(arguments).err().filter(clap::Error::use_stderr)
}

/// Names the flag that the command does not have. An equation may begin with a hyphen, so that such a flag is taken for one, and
/// the true equation is what clap then finds to be too much.
fn unexpected(error: &clap::Error) -> Failure {
    let program = Cli::command();
    let arguments = std::env::args_os().skip(1).take_while(|argument| argument != "--");
    let texts: Vec<String> = arguments.filter_map(|argument| argument.into_string().ok()).collect();
    let command = texts.iter().find_map(|text| program.find_subcommand(text)).unwrap_or(&program);
    let has = |command: &clap::Command, flag: &str| {
        let name = flag.trim_start_matches('-').split('=').next().unwrap_or_default();
        let short = |argument: &clap::Arg| argument.get_short().is_some_and(|short| name.chars().eq([short]));
        let own = |argument: &clap::Arg| argument.get_long() == Some(name) || short(argument);
        ["help", "version", "h", "V"].contains(&name) || command.get_arguments().any(own)
    };
    let is_unknown = |flag: &&String| equation::is_flag(flag) && !has(command, flag) && !has(&program, flag);
    let Some(flag) = texts.iter().find(is_unknown) else {
        return Failure::usage(error);
    };
    let others: Vec<String> = program
        .get_subcommands()
        .filter(|other| has(other, flag))
        .map(|other| format!("`{}`", other.get_name()))
        .collect();
    if !others.is_empty() {
        return hint::elsewhere(flag, command.get_name(), &others);
    }
    hint::unexpected_flag(flag, command.get_arguments().chain(program.get_arguments()).filter_map(clap::Arg::get_long))
}
