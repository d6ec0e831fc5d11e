//! `qeinsum run`: arrays in files in, an array in a file out.

use std::ffi::{OsStr, OsString};

use clap::Args;

use crate::case::{Case, Reporting};
use crate::console;
use crate::destination::print;
use crate::equation::EquationArg;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::settings::SettingsArgs;

use super::{Format, batch};

const EXAMPLES: &str = "\
Examples:
  qeinsum run ij,jk->ik a.npy b.npy --out c.npy
  qeinsum run ij,jk->ik weights.npz:w x.safetensors:x --cast f32 --out y.npy
  qeinsum run 'i->' - --out - < x.npy > sum.npy
  qeinsum run ij,jk->ik a.npy b.npy --out c.npy --bits 8 --report
  qeinsum run ij,jk->ik a.npy b.npy --out c.npy --config int4.toml --seed 0
  qeinsum run bi,io->bo x.npy w.safetensors --out y.npy    (w.safetensors made by `qeinsum freeze`)
  qeinsum run --batch cases.jsonl

A line of a batch: {\"id\": 1, \"eq\": \"ij,jk->ik\", \"named\": false, \"inputs\": [\"a.npy\", \"b.npy\"], \"out\": \"c.npy\"}";

/// Run an equation on arrays in files: .npy, archive.npz:name, file.safetensors:name, a frozen operand, or `-` for .npy on
/// standard input
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Run {
    #[command(flatten)]
    equation: EquationArg,

    /// The operands, in the order of the equation
    #[arg(value_name = "IN")]
    inputs: Vec<OsString>,

    /// The result: .npy or .safetensors, or `-` for .npy on standard output
    #[arg(long, value_name = "OUT", required_unless_present = "batch")]
    out: Option<OsString>,

    /// Run the cases of a file, one JSON object a line, and print a JSON object for each
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "explain", "report", "named", "equation", "inputs"])]
    batch: Option<OsString>,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Print the plan that is run, with what it does to the values
    #[arg(long)]
    explain: bool,

    /// Print the error of quantization, for each call and for the result
    #[arg(long)]
    report: bool,

    /// The form of the report
    #[arg(long, value_enum, default_value_t, requires = "report")]
    format: Format,
}

impl Run {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        if let Some(cases) = &self.batch {
            return batch::run(cases, &self.settings);
        }
        // Clap has seen to it that there is one.
        let out = self.out.as_deref().unwrap_or(OsStr::new("-"));
        let equation = self.equation.read()?;
        let settings = self.settings.read()?;
        let reporting = if self.report { Reporting::Measured } else { Reporting::Silent };
        if (self.explain || self.report) && out == "-" {
            let message = "`--out -` would mix with `--explain` and `--report` on standard output";
            return Err(Failure::Request(message.to_owned()));
        }
        if self.explain && matches!(self.format, Format::Json) {
            return Err(Failure::Request("`--explain` is text: give no other `--format`".to_owned()));
        }
        let progress = Progress::start("running");
        let done = Case { equation, inputs: &self.inputs, out, reporting }.run(&settings);
        drop(progress);
        let done = done?;
        console::notes(&done.notes);
        if self.explain {
            print(&done.plan.explain(&done.config.clone().unwrap_or_default()))?;
        }
        match &done.report {
            Some(report) => print(&match self.format {
                Format::Text => report.to_string(),
                Format::Json => super::json(report)?,
            }),
            None => Ok(()),
        }
    }
}
