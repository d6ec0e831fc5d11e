//! Equations bound to the shapes of their operands, and to the configuration that each has alone.

use crate::equation::Equation;
use crate::error::Result;
use crate::graph::ContractionGraph;
use crate::parse;
use crate::quant::QuantConfig;
use crate::sizes::Sizes;

use super::Member;

/// An equation bound to shapes.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) equation: Equation,
    pub(super) sizes: Sizes,
    pub(super) graph: ContractionGraph,
    /// The common operand that each of its operands is.
    pub(super) operands: Vec<usize>,
    pub(super) config: Option<QuantConfig>,
}

impl Bound {
    pub(super) fn new(member: &Member, shapes: &[&[usize]], config: Option<QuantConfig>) -> Result<Self> {
        let operands = member.operands.clone();
        let shapes: Vec<&[usize]> = operands.iter().map(|&operand| shapes[operand]).collect();
        let (equation, sizes) = parse::bind(&member.ast, &shapes)?;
        let graph = ContractionGraph::new(&equation, &sizes);
        Ok(Self { equation, sizes, graph, operands, config })
    }
}

/// The configuration of each equation alone; an error where an override is for nothing that any of them has.
pub(super) fn configs(config: &QuantConfig, members: &[Member], operands: usize) -> Result<Vec<QuantConfig>> {
    let overrides = |of: &mut QuantConfig, steps: usize| {
        for (step, config) in config.steps().filter(|&(step, _)| step < steps) {
            *of = std::mem::take(of).with_step(step, config.clone());
        }
    };
    let longest = members.iter().map(|member| member.operands.len()).max().unwrap_or(1);
    let mut steps = base(config);
    overrides(&mut steps, usize::MAX);
    steps.check_fits(longest)?;
    let mut sides = base(config);
    for (operand, tensor) in config.operands() {
        sides = sides.with_operand(operand, *tensor);
    }
    sides.check_fits(operands)?;
    let own = |member: &Member| {
        let mut own = base(config);
        overrides(&mut own, member.operands.len().saturating_sub(1));
        for (operand, tensor) in config.operands() {
            for (place, _) in member.operands.iter().enumerate().filter(|&(_, &common)| common == operand) {
                own = own.with_operand(place, *tensor);
            }
        }
        own
    };
    Ok(members.iter().map(own).collect())
}

/// The configuration without what is said of single steps and operands.
fn base(config: &QuantConfig) -> QuantConfig {
    let base = QuantConfig::from(config.default_step().clone());
    match config.intermediates() {
        Some(&tensor) => base.with_intermediates(tensor),
        None => base,
    }
}
