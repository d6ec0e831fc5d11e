//! `qeinsum completions`: what a shell needs to complete the arguments of this program.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::destination::Destination;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  qeinsum completions bash --out ~/.local/share/bash-completion/completions/qeinsum
  qeinsum completions zsh --out ~/.zfunc/_qeinsum
  qeinsum completions fish --out ~/.config/fish/completions/qeinsum.fish";

/// Print completions for a shell
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,

    #[command(flatten)]
    destination: Destination,
}

impl Completions {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Cli::command(), "qeinsum", &mut text);
        self.destination.write(&String::from_utf8_lossy(&text))
    }
}
