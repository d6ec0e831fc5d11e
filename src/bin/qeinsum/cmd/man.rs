//! `qeinsum man`: manual pages.

use std::ffi::OsString;
use std::path::Path;

use clap::{Args, CommandFactory as _};
use clap_mangen::Man as Page;
use qeinsum::printable_text;

use crate::destination;
use crate::failure::Failure;
use crate::hint;

const EXAMPLES: &str = "\
Examples:
  qeinsum man plan | man -l -
  qeinsum man --out-dir ~/.local/share/man/man1";

/// Print the manual page of this program or of one of its commands
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Man {
    /// The command whose page is wanted
    #[arg(value_name = "COMMAND", conflicts_with = "out_dir")]
    command: Option<String>,

    /// Write the pages of the program and of all its commands into this folder, which has to be there
    #[arg(long, value_name = "DIR")]
    out_dir: Option<OsString>,
}

impl Man {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut program = crate::Cli::command();
        // Gives every command its full name, `qeinsum-plan`, and the flags that all have.
        program.build();
        if let Some(folder) = &self.out_dir {
            let commands = program.get_subcommands().filter(|command| command.get_name() != "help");
            for command in commands.chain([&program]) {
                let page = page(command)?;
                let path = Path::new(folder).join(format!("{}.1", title(command)));
                qeinsum::io::write_whole(&path, |out| out.write_all(page.as_bytes()))?;
            }
            return Ok(());
        }
        let command = match &self.command {
            None => &program,
            Some(name) => program.get_subcommands().find(|command| command.get_name() == name).ok_or_else(|| {
                let meant = hint::meant(name, program.get_subcommands().map(clap::Command::get_name));
                Failure::Request(format!("there is no command `{}`{meant}", printable_text(name, 60)))
            })?,
        };
        destination::print(&page(command)?)
    }
}

/// `qeinsum` or `qeinsum-plan`.
fn title(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: &clap::Command) -> Result<String, Failure> {
    let mut text = Vec::new();
    Page::new(command.clone())
        .title(title(command))
        .render(&mut text)
        .map_err(|error| Failure::Machine(format!("the page cannot be made: {error}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
