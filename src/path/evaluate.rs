//! What a path costs, exactly.
//!
//! In come the graph and a path; out go the multiplications and elements of each step and their totals. This is the
//! one definition of `mul`: searches are judged by it.

use serde::{Deserialize, Serialize};

use super::cost::Factors;
use super::terms::{Leg, Terms, for_each_in_union};
use super::tree::unfit;
use crate::error::Result;
use crate::graph::ContractionGraph;
use crate::path::{Cost, Path};

/// The cost of one pairwise step.
///
/// ```
/// use qeinsum::path::StepCost;
/// let plan = qeinsum::QEinsum::new("ij,jk->ik")?.plan(&[&[2, 3], &[3, 4]])?;
/// let StepCost { multiplications, elements } = &plan.cost().per_step[0];
/// assert_eq!((multiplications.to_string(), elements.to_string()), ("24".to_owned(), "8".to_owned()));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct StepCost {
    /// Scalar multiplications: the product of the sizes of all labels in the step.
    pub multiplications: Cost,
    /// Elements of the result.
    pub elements: Cost,
}

/// The cost of a path.
///
/// ```
/// let plan = qeinsum::QEinsum::new("ab,bc,cd->ad")?.plan(&[&[2, 3], &[3, 4], &[4, 5]])?;
/// let cost = plan.cost(); // (0,1) makes 2 x 4 by 24 multiplications, then 2 x 5 by 40
/// assert_eq!(cost.multiplications.to_string(), "64");
/// assert_eq!((cost.per_step.len(), cost.write.to_string(), cost.largest.to_string()), (2, "18".into(), "10".into()));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PathCost {
    /// Scalar multiplications of all steps.
    pub multiplications: Cost,
    /// The steps, in order.
    pub per_step: Vec<StepCost>,
    /// Elements of all pairwise results together.
    pub write: Cost,
    /// Elements of the largest pairwise result; zero without a step.
    pub largest: Cost,
}

/// What `path` costs on `graph`; an error where it does not have the graph's number of operands.
///
/// A step multiplies as many scalars as the product of the sizes of all labels of its two operands. A label that
/// measures 1 in one of them and more in the other counts with its extent in the other; where it measures 0 there,
/// with 0. It is summed in the step after which no operand and not the output has it. Diagonals and sums within one
/// operand come first and cost nothing.
///
/// ```
/// use qeinsum::graph::ContractionGraph;
/// use qeinsum::path::evaluate;
/// use qeinsum::{Equation, Sizes, Syntax};
/// let equation = Equation::new(Syntax::Compact, &[vec!["i", "j"], vec!["j", "k"]], &["i", "k"])?;
/// let graph = ContractionGraph::new(&equation, &Sizes::new(&equation, &[[2, 3], [3, 4]])?);
/// let cost = evaluate(&graph, &"(0,1)".parse()?)?;
/// assert_eq!(cost.multiplications.to_string(), "24");
/// assert_eq!(cost.largest.to_string(), "8");
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn evaluate(graph: &ContractionGraph, path: &Path) -> Result<PathCost> {
    if path.operands() != graph.operands() {
        return Err(unfit(path, graph.operands()));
    }
    Ok(Terms::new(graph).cost(&path.ssa()))
}

impl Terms {
    /// The cost of a path in ids that are never reused.
    pub(super) fn cost(&self, steps: &[[usize; 2]]) -> PathCost {
        let (per_step, _) = self.trace(steps);
        PathCost {
            multiplications: per_step.iter().map(|step| &step.multiplications).sum(),
            write: per_step.iter().map(|step| &step.elements).sum(),
            largest: per_step.iter().map(|step| &step.elements).max().cloned().unwrap_or(Cost::ZERO),
            per_step,
        }
    }

    /// The cost of each step, and the legs of every operand and result.
    pub(super) fn trace(&self, steps: &[[usize; 2]]) -> (Vec<StepCost>, Vec<Vec<Leg>>) {
        let mut left = self.holders.clone();
        let mut values: Vec<Vec<Leg>> = self.operands.clone();
        let mut per_step = Vec::with_capacity(steps.len());
        for &[a, b] in steps {
            let mut result = Vec::with_capacity(values[a].len().max(values[b].len()));
            let mut factors = Factors::NONE;
            for_each_in_union(&values[a], &values[b], |leg, shared| {
                let label = leg.label as usize;
                if leg.wide {
                    factors.times(self.extents[label]);
                }
                left[label] -= u32::from(shared);
                if left[label] > 1 || self.kept[label] || !shared {
                    result.push(leg);
                }
            });
            per_step.push(StepCost { multiplications: factors.product(), elements: self.elements(&result) });
            values.push(result);
        }
        (per_step, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;

    #[test]
    fn costs_by_hand() {
        let chain = "a=64 b=8 c=64 d=8 e=64";
        // Equation, sizes, path, multiplications, written, largest.
        let cases: &[(&str, &str, &str, [u128; 3])] = &[
            ("ab,bc,cd,de->ae", chain, "(1,2) (0,2) (0,1)", [40960, 64 + 512 + 4096, 4096]),
            ("ii,ijx->j", "i=3 j=5 x=100", "(0,1)", [15, 5, 5]),
            ("i->", "i=9", "(0)", [0, 0, 0]),
            (",->", "", "(0,1)", [1, 1, 1]),
            (",ab,bc->ac", "a=3 b=4 c=5", "(0,1) (0,1)", [12 + 60, 12 + 15, 15]),
            ("i,j->ij", "i=3 j=5", "(0,1)", [15, 15, 15]),
            ("i,i,i->", "i=7", "(0,1) (0,1)", [14, 8, 7]),
            ("i,i,j->ij", "i=0 j=5", "(0,2) (0,1)", [0, 0, 0]),
        ];
        for (text, sizes, path, [mul, write, largest]) in cases {
            let cost = evaluate(&graph(text, sizes), &path.parse().unwrap()).unwrap();
            assert_eq!(cost.multiplications, Cost::from(*mul), "{text}");
            assert_eq!(cost.write, Cost::from(*write), "{text}");
            assert_eq!(cost.largest, Cost::from(*largest), "{text}");
        }
    }

    #[test]
    fn a_path_of_another_length_is_refused() {
        let error = evaluate(&graph("i,i->", ""), &"(0)".parse().unwrap()).unwrap_err();
        assert_eq!(error.message(), "the path contracts 1 operand, but the equation has 2");
    }
}
