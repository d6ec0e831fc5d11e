//! `qeinsum run`: arrays in files in, an array in a file out.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Args;
use qeinsum::QEinsum;
use qeinsum::spread::Checkpoint;

use crate::case::{Case, Precision, Reporting};
use crate::checkpoint::CheckpointArgs;
use crate::console;
use crate::destination::print;
use crate::equation::EquationArg;
use crate::failure::Failure;
use crate::ranks::{self, Ranks};
use crate::settings::{Settings, SettingsArgs};
use crate::text_file::shown;

use super::{Format, batch};

const EXAMPLES: &str = "\
Examples:
  qeinsum run ij,jk->ik a.npy b.npy --out c.npy
  qeinsum run ij,jk->ik weights.npz:w x.safetensors:x --cast f32 --out y.npy
  qeinsum run 'i->' - --out - < x.npy > sum.npy
  qeinsum run ij,jk->ik a.npy b.npy --out c.npy --bits 8 --report
  qeinsum run ij,jk->ik a.npy b.npy --out c.npy --config int4.toml --seed 0
  qeinsum run ij,jk,kl->il a.npy b.npy c.npy --out d.npy --bits auto --min-sqnr 30 --config-out bits.toml
  qeinsum run bi,io->bo x.npy w.safetensors --out y.npy    (w.safetensors made by `qeinsum freeze`)
  qeinsum run ab,bc,cd->ad a.npy b.npy c.npy --memory-limit 1GiB --checkpoint d.part --resume --out d.npy
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
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "explain", "report", "analyze", "min_sqnr", "config_out", "picture", "checkpoint", "named", "equation", "inputs"])]
    batch: Option<OsString>,

    #[command(flatten)]
    settings: SettingsArgs,

    /// Print the plan that is run, with what it does to the values
    #[arg(long)]
    explain: bool,

    /// Print the error of quantization, for each call and for the result
    #[arg(long)]
    report: bool,

    /// Print the plan, where the time of a run goes, and what quantizing each call costs the result; the equation is run a
    /// few times for that
    #[arg(long, conflicts_with = "report")]
    analyze: bool,

    /// The least signal-to-quantization-noise ratio of the result: refuse a result below it, or choose bits that keep it with
    /// `--bits auto`
    #[arg(long, value_name = "DB", value_parser = decibels, allow_negative_numbers = true)]
    min_sqnr: Option<f64>,

    /// Write the configuration that `--bits auto` chose, as TOML that `--config` reads
    #[arg(long, value_name = "FILE")]
    config_out: Option<OsString>,

    /// Draw the plan that is run into this file, .svg or .html, with the errors of `--report` and `--analyze`
    #[arg(long, value_name = "FILE", value_parser = picture_file)]
    picture: Option<PathBuf>,

    #[command(flatten)]
    checkpoint: CheckpointArgs,

    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Run {
    pub(crate) fn run(&self, ranks: Ranks<'_>) -> Result<(), Failure> {
        if let Some(cases) = &self.batch {
            ranks::agree(ranks, ranks::refuse(ranks, "`--batch`"))?;
            return batch::run(cases, &self.settings);
        }
        let asked = ranks::agree(ranks, self.asked(ranks))?;
        self.done(asked, ranks)
    }

    /// What is asked for, read and checked.
    fn asked(&self, ranks: Ranks<'_>) -> Result<Asked<'_>, Failure> {
        // Clap has seen to it that there is one.
        let out = self.out.as_deref().unwrap_or(OsStr::new("-"));
        let equation = self.equation.read()?;
        let (settings, precision) = self.settings()?;
        let reporting = match (self.analyze, self.report) {
            (true, _) => Reporting::Analyzed,
            (false, true) => Reporting::Measured,
            (false, false) => Reporting::Silent,
        };
        if (self.explain || self.report || self.analyze) && out == "-" {
            let message = "`--out -` would mix with `--explain`, `--report` and `--analyze` on standard output";
            return Err(Failure::Request(message.to_owned()));
        }
        if !self.report && matches!(self.format, Format::Json) {
            return Err(Failure::Request("`--format` is that of the report: give `--report`, too".to_owned()));
        }
        if self.explain && matches!(self.format, Format::Json) {
            return Err(Failure::Request("`--explain` is text: give no other `--format`".to_owned()));
        }
        if reporting != Reporting::Silent || precision != Precision::Any {
            ranks::refuse(ranks, "a comparison with the unquantized result")?;
        }
        if ranks.is_some() && self.inputs.iter().any(|input| input == "-") {
            return Err(Failure::Request("standard input is that of rank 0 alone: give a file".to_owned()));
        }
        if ranks::is_first(ranks) {
            self.check_other_outputs(out)?;
        }
        let checkpoint = self.checkpoint.open(ranks, settings.limit)?;
        Ok(Asked { equation, settings, out, reporting, precision, checkpoint })
    }

    /// Runs it, and says what there is to say.
    fn done(&self, asked: Asked<'_>, ranks: Ranks<'_>) -> Result<(), Failure> {
        let Asked { equation, settings, out, reporting, precision, checkpoint } = asked;
        let done =
            Case { equation, inputs: &self.inputs, out, reporting, precision, checkpoint }.run(&settings, ranks)?;
        if !ranks::is_first(ranks) {
            return Ok(());
        }
        self.checkpoint.remove();
        console::notes(&done.notes);
        if done.config.is_none() {
            self.settings.note_unused();
        }
        if let Some(chosen) = &done.chosen {
            console::note(&format!("bits: {chosen}"));
            if let Some(file) = &self.config_out {
                // Settings of steps mean those of this path: who reads the file later can see which.
                let text = format!(
                    "# Chosen by `--bits auto` for at least {} dB.\n# einsum {}\n# path {}\n# {chosen}\n{}",
                    self.min_sqnr.unwrap_or_default(),
                    done.plan.equation(),
                    done.plan.order(),
                    chosen.config.to_toml()?
                );
                qeinsum::io::write_whole(file, |out| std::io::Write::write_all(out, text.as_bytes()))?;
            }
        }
        if let Some(file) = &self.picture {
            let picture = done.plan.picture();
            let picture = match &done.config {
                Some(config) => picture.quantized(config),
                None => picture,
            };
            let errors = done.report.as_ref().map_or(&[][..], |report| &report.calls);
            let picture = picture.with_errors(errors);
            let is_svg = file.extension().is_some_and(|extension| extension == "svg");
            let text = if is_svg { picture.to_svg() } else { picture.to_html() };
            qeinsum::io::write_whole(file, |out| std::io::Write::write_all(out, text.as_bytes()))?;
        }
        if self.explain || self.analyze {
            let config = done.config.clone().unwrap_or_default();
            print(&done.plan.explain(&config))?;
            print(&done.plan.explain_search(done.config.as_ref(), &settings.options())?)?;
        }
        if let Some(times) = &done.times {
            let threads = rayon::current_num_threads();
            let seconds = times.all.as_secs_f64();
            print(&format!("; measured {:.3} ms on {threads} threads\n", 1e3 * seconds))?;
            print(&done.plan.explain_shares(&times.per_step))?;
        }
        match &done.report {
            Some(report) => print(&match self.format {
                Format::Text => report.to_string(),
                Format::Json => super::json(report)?,
            }),
            None => Ok(()),
        }
    }

    /// Says before anything is computed what would keep the files beside the result from being written.
    fn check_other_outputs(&self, out: &OsStr) -> Result<(), Failure> {
        let others = [
            ("`--config-out`", self.config_out.as_deref()),
            ("`--picture`", self.picture.as_deref().map(OsStr::new)),
            ("`--checkpoint`", self.checkpoint.file().map(OsStr::new)),
        ];
        let mut named = vec![("`--out`", out)];
        for (flag, file) in others {
            let Some(file) = file else { continue };
            if let Some((other, _)) = named.iter().find(|(_, other)| *other == file) {
                let name = shown(file);
                return Err(Failure::Request(format!("{other} and {flag} name one file: `{name}`")));
            }
            qeinsum::io::check_whole(file)?;
            named.push((flag, file));
        }
        Ok(())
    }

    /// The settings, and what they ask of the result.
    fn settings(&self) -> Result<(Settings<'_>, Precision), Failure> {
        if !self.settings.chooses_bits() {
            if self.config_out.is_some() {
                let message = "`--config-out` writes what `--bits auto` chose: give that";
                return Err(Failure::Request(message.to_owned()));
            }
            return Ok((self.settings.read()?, self.min_sqnr.map_or(Precision::Any, Precision::AtLeast)));
        }
        let Some(least) = self.min_sqnr else {
            let message = "`--bits auto` keeps the error within a limit: give `--min-sqnr`, such as 30";
            return Err(Failure::Request(message.to_owned()));
        };
        Ok((self.settings.read_to_choose()?, Precision::Chosen(least)))
    }
}

/// What a run is asked for.
struct Asked<'a> {
    equation: QEinsum,
    settings: Settings<'a>,
    out: &'a OsStr,
    reporting: Reporting,
    precision: Precision,
    checkpoint: Option<Checkpoint>,
}

/// A file whose name says what kind of picture it is.
fn picture_file(text: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(text);
    let known = file.extension().is_some_and(|extension| extension == "svg" || extension == "html");
    if known { Ok(file) } else { Err("a picture is an .svg or an .html file".to_owned()) }
}

/// A finite number of decibels.
fn decibels(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "write a number of decibels, such as 30".to_owned())
}
