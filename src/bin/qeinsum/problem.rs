//! What a command is about: an equation with sizes, an equation without, or a network.

use std::ffi::OsString;

use clap::Args;
use qeinsum::{Equation, Network, QEinsum, Sizes};

use crate::console;
use crate::equation::EquationArg;
use crate::failure::Failure;
use crate::sizes::{Given, SizeArgs};
use crate::text_file;

/// The arguments that name it.
#[derive(Args)]
pub(crate) struct ProblemArgs {
    #[command(flatten)]
    equation: EquationArg,

    #[command(flatten)]
    sizes: SizeArgs,

    /// A tensor network in place of EQ: JSON with `inputs`, `output` and `sizes`
    #[arg(long, value_name = "FILE")]
    network: Option<OsString>,
}

/// The problem itself.
pub(crate) enum Problem {
    /// With sizes.
    Bound(Bound),
    /// Without.
    Symbolic(QEinsum),
}

/// An equation and what its labels measure.
pub(crate) struct Bound {
    /// What a network's file calls it.
    pub(crate) name: Option<String>,
    /// The equation.
    pub(crate) equation: Equation,
    /// Its sizes.
    pub(crate) sizes: Sizes,
}

impl ProblemArgs {
    /// Parses and binds; notes go to standard error.
    pub(crate) fn read(&self) -> Result<Problem, Failure> {
        if let Some(file) = &self.network {
            if self.equation.is_given() || self.sizes.is_given() {
                let message = "`--network` has an equation and sizes of its own: give no other";
                return Err(Failure::Request(message.to_owned()));
            }
            let text = text_file::read(file, text_file::PLAN_LIMIT)?;
            let read = Network::from_json(&text);
            let Network { name, equation, sizes } =
                read.map_err(|error| Failure::from(error).within(&text_file::shown(file)))?;
            return Ok(Problem::Bound(Bound { name, equation, sizes }));
        }
        let qe = self.equation.read()?;
        let (equation, sizes) = match self.sizes.read()? {
            Given::Shapes(shapes) => {
                let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
                let bound = qe.bind(&shapes)?;
                let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
                console::notes(&qe.notes(&ranks)?);
                bound
            }
            Given::Labels(sizes) => {
                if qe.ast().operands().iter().any(|term| term.ellipsis().is_some()) {
                    console::note("with `--sizes` an ellipsis covers no axis; `--shapes` gives it some");
                }
                qe.bind_by_sizes(&sizes)?
            }
            Given::Nothing => return Ok(Problem::Symbolic(qe)),
        };
        Ok(Problem::Bound(Bound { name: None, equation, sizes }))
    }
}
