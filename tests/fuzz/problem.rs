//! Equations with operands, made of decisions.

use ndarray::ArrayD;
use qeinsum::path::Path;
use qeinsum::{Element, QEinsum};

use super::choices::{Choices, Decide, relaid};

const LABELS: [char; 6] = ['a', 'b', 'i', 'j', 'k', 'Z'];

/// An equation and the shapes of its operands.
pub(crate) struct Problem {
    pub(crate) equation: String,
    pub(crate) shapes: Vec<Vec<usize>>,
    /// How many times the innermost of one loop over all labels runs.
    pub(crate) iterations: usize,
}

impl Problem {
    /// Up to four operands of up to four labels, repeated and lone ones included, of sizes 0 to 5, some broadcasting; or one
    /// product of two, large enough that threads share it.
    pub(crate) fn new(choices: &mut Choices<'_>) -> Self {
        if choices.below(32) == 31 {
            return Self::large(choices);
        }
        let sizes = LABELS.map(|_| choices.of(&[2, 3, 4, 5, 1, 2, 3, 0]));
        let labels = 1 + choices.below(LABELS.len());
        let (mut terms, mut shapes) = (Vec::new(), Vec::new());
        for _ in 0..=choices.below(4) {
            let ids: Vec<usize> = (0..choices.below(5)).map(|_| choices.below(labels)).collect();
            let broadcast = if choices.below(4) == 3 { ids.first().copied() } else { None };
            shapes.push(ids.iter().map(|&id| if Some(id) == broadcast { 1 } else { sizes[id] }).collect());
            terms.push(ids.iter().map(|&id| LABELS[id]).collect::<String>());
        }
        let mut present: Vec<char> = terms.concat().chars().collect();
        present.sort_unstable();
        present.dedup();
        choices.shuffle(&mut present);
        present.truncate(choices.below(present.len() + 1));
        let output: String = present.into_iter().collect();
        let iterations = sizes[..labels].iter().map(|&size| size.max(1)).product();
        Self { equation: format!("{}->{output}", terms.join(",")), shapes, iterations }
    }

    fn large(choices: &mut Choices<'_>) -> Self {
        let equations = ["bij,bjk->bik", "bij,bkj->kbi", "ij,jk->ik", "ij,kj->ki", "bij,bij->b"];
        let equation = choices.of(&equations);
        let sizes = "bijk".chars().zip([
            1 + choices.below(2),
            1 + choices.below(128),
            choices.of(&[130, 16, 3]),
            1 + choices.below(128),
        ]);
        let sizes: std::collections::HashMap<char, usize> = sizes.collect();
        let operands = equation.split("->").next().unwrap_or_default();
        let shapes = operands.split(',').map(|term| term.chars().map(|label| sizes[&label]).collect()).collect();
        Self { equation: equation.to_owned(), shapes, iterations: sizes.values().product() }
    }

    pub(crate) fn qeinsum(&self) -> QEinsum {
        QEinsum::new(&self.equation).unwrap()
    }

    pub(crate) fn shapes(&self) -> Vec<&[usize]> {
        self.shapes.iter().map(Vec::as_slice).collect()
    }

    /// Operands in this order of memory, and the same in another.
    pub(crate) fn relaid<T: Element>(choices: &mut Choices<'_>, operands: &[ArrayD<T>]) -> Vec<ArrayD<T>> {
        let relaid: Vec<ArrayD<T>> = operands.iter().map(|operand| relaid(choices, operand)).collect();
        assert!(relaid.iter().zip(operands).all(|(relaid, operand)| relaid == operand));
        relaid
    }
}

/// Any path of so many operands.
pub(crate) fn path(choices: &mut impl Decide, operands: usize) -> Path {
    let steps = (2..=operands).rev().map(|left| {
        let first = choices.below(left);
        [first, (first + 1 + choices.below(left - 1)) % left]
    });
    Path::new(steps.collect()).unwrap()
}
