//! `qeinsum parse`: what an equation says, and where.

use std::fmt::Write as _;

use clap::Args;
use qeinsum::Syntax;
use qeinsum::parse::{Ast, Item, Term};

use super::Format;
use crate::destination::Destination;
use crate::equation::EquationArg;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  qeinsum parse '...ij,jk->...ik'
  qeinsum parse --named 'batch time chan, chan out -> batch time out' --format json";

/// Print the terms of an equation with the places of their labels, in bytes
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Parse {
    #[command(flatten)]
    equation: EquationArg,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    destination: Destination,
}

impl Parse {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let qe = self.equation.read()?;
        let text = match self.format {
            Format::Text => text(qe.ast()),
            Format::Json => super::json(qe.ast())?,
        };
        self.destination.write(&text)
    }
}

/// A line for each term: `operand 0 at 0..5: ... at 0..3, i at 3..4, j at 4..5`.
fn text(ast: &Ast) -> String {
    let mut out = format!("equation {ast}\n");
    let syntax = match ast.syntax() {
        Syntax::Compact => "compact",
        Syntax::Named => "named",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "syntax {syntax}");
    for (operand, term) in ast.operands().iter().enumerate() {
        let _ = writeln!(out, "operand {operand} {}", places(ast, term));
    }
    let _ = match ast.output() {
        Some(output) => writeln!(out, "output {}", places(ast, output.term())),
        None => writeln!(out, "output not written"),
    };
    out
}

fn places(ast: &Ast, term: &Term) -> String {
    let span = term.span();
    let item = |item: &Item| format!("{} at {}..{}", ast.slice(item.span()), item.span().start, item.span().end);
    let items: Vec<String> = term.items().iter().map(item).collect();
    let colon = if items.is_empty() { "" } else { ": " };
    format!("at {}..{}{colon}{}", span.start, span.end, items.join(", "))
}
