//! `qeinsum many`: several equations planned together, without running them.

use std::ffi::OsString;

use clap::Args;
use qeinsum::{Many as Equations, QEinsum, Syntax, printable_text};

use super::Format;
use crate::destination::Destination;
use crate::dtype::DtypeArg;
use crate::equation::written;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::quantization::QuantArgs;
use crate::search::{SearchArgs, SeedArg};
use crate::sizes;

const EXAMPLES: &str = "\
Examples:
  qeinsum many ab,bc,cd->ad ab,bc,ce->ae --operands '0,1,2;0,1,3' --shapes 20x30,30x40,40x5,40x6
  qeinsum many ab,cb->ac ab,ab->b --operands '0,0;0,1' --shapes 20x30,20x30 --bits 8 --format json";

/// Plan several equations over common operands together: products that they share are computed once
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Many {
    /// The equations, `@FILE` for one in a file; those that begin with `-` last, after `--`
    // Where any number of values may begin with a hyphen, flags after the first of them would be values too.
    #[arg(value_name = "EQ", required = true)]
    equations: Vec<OsString>,

    /// Named syntax: `batch time chan, chan out -> batch time out`
    #[arg(long)]
    named: bool,

    /// For each equation the operands that its terms are, by their place in `--shapes`, such as `0,1,2;0,1,3`
    #[arg(long, value_name = "PLACES", required = true)]
    operands: String,

    /// The shape of each common operand, such as `16x64x32,16x32x8`; `scalar` for one without axes
    #[arg(long, value_name = "SHAPES", required = true)]
    shapes: String,

    #[command(flatten)]
    search: SearchArgs,

    #[command(flatten)]
    seed: SeedArg,

    /// The element type that memory is counted in
    #[arg(long, value_enum, default_value_t)]
    dtype: DtypeArg,

    #[command(flatten)]
    quantization: QuantArgs,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    destination: Destination,
}

impl Many {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let many = self.read()?;
        let shapes = sizes::shapes(&self.shapes)?;
        let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        let progress = Progress::start("searching paths");
        let plan = many.plan(&shapes)?;
        drop(progress);
        let text = match self.format {
            Format::Text => plan.to_string(),
            Format::Json => super::json(&plan)?,
        };
        self.destination.write(&text)
    }

    fn read(&self) -> Result<Equations, Failure> {
        if self.search.path().is_some() {
            return Err(Failure::Request(
                "`--path` and `--ssa-path` are for an equation alone: paths of several are searched".to_owned(),
            ));
        }
        let places = places(&self.operands)?;
        let mut equations = Vec::with_capacity(self.equations.len());
        let syntax = if self.named { Syntax::Named } else { Syntax::Compact };
        for (number, equation) in self.equations.iter().enumerate() {
            equations.push((written(equation, syntax)?, places.get(number).map_or(&[][..], Vec::as_slice)));
        }
        if places.len() != equations.len() {
            let (lists, equations) = (places.len(), equations.len());
            let message = format!("the number of equations is {equations}, but `--operands` has places for {lists}");
            return Err(Failure::Request(message));
        }
        let equations: Vec<(&str, &[usize])> =
            equations.iter().map(|(text, places)| (text.as_str(), *places)).collect();
        let many = if self.named { QEinsum::many_named(&equations)? } else { QEinsum::many(&equations)? };
        let many = many.with_search(self.seed.apply(self.search.options())).with_dtype(self.dtype.into());
        Ok(match self.quantization.parsed()? {
            Some(config) => many.with_config(config),
            None => many,
        })
    }
}

/// Places in the common list: a list for each equation, with semicolons between.
fn places(text: &str) -> Result<Vec<Vec<usize>>, Failure> {
    let place = |part: &str| {
        part.trim().parse().map_err(|_| {
            let shown = printable_text(part, 40);
            Failure::Request(format!("`{shown}` in `--operands` is no place: write such as `0,1,2;0,1,3`"))
        })
    };
    text.split(';').map(|list| list.split(',').map(place).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lists_of_lists() {
        assert_eq!(places("0,1, 2;0").unwrap(), [vec![0, 1, 2], vec![0]]);
        for text in ["", ";", "0,;1", "a", "-1", "0x1", "99999999999999999999999"] {
            assert!(matches!(places(text), Err(Failure::Request(_))), "{text}");
        }
    }
}
