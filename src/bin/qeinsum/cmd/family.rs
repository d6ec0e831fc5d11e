//! `qeinsum family`: the few paths that are enough for all sizes of some ranges.

use clap::Args;
use qeinsum::path::FamilyOptions;
use qeinsum::printable_text;

use super::Format;
use crate::destination::Destination;
use crate::equation::EquationArg;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::ranges;

const EXAMPLES: &str = "\
Examples:
  qeinsum family ab,bc,cd,de->ae --sizes a=2..1000,b=2..1000,c=2..1000,d=2..1000,e=2..1000
  qeinsum family bi,ij,jk->bk --sizes b=1..64,i=16..4096,j=16..4096,k=512 --tolerance 5%
  qeinsum family ab,bc,cd->ad --sizes a=1..9,b=1..9,c=1..9,d=1..9 --format json --out family.json";

/// Print the few paths of which one is near the best at all sizes of some ranges, and how near
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Family {
    #[command(flatten)]
    equation: EquationArg,

    /// The range of each label's size, both ends included, such as `b=1..64,i=16..4096,k=8`
    #[arg(long, value_name = "RANGES")]
    sizes: String,

    /// How much more than the best of all paths the chosen one may multiply, in percent
    #[arg(long, value_name = "PERCENT", default_value = "10%", value_parser = share)]
    tolerance: f64,

    /// Have at most so many paths, the best of them where more are needed to be near the best everywhere
    #[arg(long, value_name = "N")]
    members: Option<usize>,

    /// Build from a grid of at most so many sizes
    #[arg(long, value_name = "N", default_value_t = 4096)]
    grid: usize,

    /// Check the family on so many random sizes
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    samples: usize,

    /// The seed of the random sizes
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    /// The form of the result
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    #[command(flatten)]
    destination: Destination,
}

impl Family {
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let qe = self.equation.read()?;
        let ranges = ranges::read(&self.sizes)?;
        let options = FamilyOptions::new().tolerance(self.tolerance).seed(self.seed);
        let options = self.members.map_or(options, |members| options.most_members(members));
        let progress = Progress::start("making a family");
        let family = qe.family(&ranges, &options.grid(self.grid).samples(self.samples))?;
        drop(progress);
        self.destination.write(&match self.format {
            Format::Text => family.to_string(),
            Format::Json => super::json(&family)?,
        })
    }
}

/// A share such as `10%` or `2.5%`; the sign may be left out.
fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    let is_plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match number.parse::<f64>() {
        Ok(percent) if is_plain => Ok(percent / 100.0),
        _ => Err(format!("`{}` is no percentage, such as 10%", printable_text(text, 40))),
    }
}
