//! The command line of qeinsum: one subcommand per stage, and `run`.
//!
//! In come arguments and files; out go results on standard output or in a file, diagnostics on standard error, and an
//! exit code: 0 done, 2 what was asked is wrong, 1 the machine failed. Everything is done by the library.

mod calibrate;
mod case;
mod cmd;
mod destination;
mod dtype;
mod equation;
mod failure;
mod inputs;
mod interrupt;
mod memory;
mod network;
mod problem;
mod progress;
mod quantization;
mod ranges;
mod saved;
mod search;
mod served;
mod settings;
mod sizes;
mod slices;
mod text_file;
mod threads;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use failure::Failure;

/// A symbolic einsum compiler and interpreter with quantization as a first-class citizen
#[derive(Parser)]
#[command(name = "qeinsum", version, max_term_width = 100, after_help = EXAMPLES)]
#[command(arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
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
    Playground(cmd::playground::Playground),
}

fn main() -> ExitCode {
    interrupt::listen();
    // A file that may not grow further is then an error of writing, with a message, and not the end of the process.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false)));
    let done = match Cli::try_parse() {
        Ok(cli) => match cli.command {
            Command::Parse(parse) => parse.run(),
            Command::Graph(graph) => graph.run(),
            Command::Path(path) => path.run(),
            Command::Family(family) => family.run(),
            Command::Plan(plan) => plan.run(),
            Command::Many(many) => many.run(),
            Command::Run(run) => run.run(),
            Command::Vjp(vjp) => vjp.run(),
            Command::Freeze(freeze) => freeze.run(),
            Command::Bench(bench) => bench.run(),
            Command::Playground(playground) => playground.run(),
        },
        Err(error) if error.kind() == ErrorKind::UnknownArgument => Err(unexpected(&error)),
        Err(error) if error.use_stderr() => Err(Failure::usage(&error)),
        Err(help) => destination::print(&help.render().to_string()),
    };
    match done {
        Ok(()) if interrupt::happened() => ExitCode::from(interrupt::INTERRUPTED),
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Names the flag that no command has. An equation may begin with a hyphen, so that such a flag is taken for one, and
/// the true equation is what clap then finds to be too much.
fn unexpected(error: &clap::Error) -> Failure {
    let command = Cli::command();
    let known = |flag: &str| {
        let name = flag.trim_start_matches('-').split('=').next().unwrap_or_default();
        let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
        arguments.filter_map(clap::Arg::get_long).chain(["help", "version", "h", "V"]).any(|long| long == name)
    };
    let arguments = std::env::args_os().skip(1).take_while(|argument| argument != "--");
    let mut flags = arguments.filter_map(|argument| argument.into_string().ok()).filter(|text| equation::is_flag(text));
    flags.find(|flag| !known(flag)).map_or_else(|| Failure::usage(error), |flag| equation::unexpected_flag(&flag))
}
