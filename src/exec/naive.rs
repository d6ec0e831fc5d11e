//! The naive interpreter: nested loops over every label, in any type of numbers.
//!
//! It shares nothing with the planner, the lowering or the kernels: it reads the equation and adds up products. It is
//! the oracle of the property tests, and slow.

use ndarray::{ArrayD, ArrayViewD, IxDyn};
use num_traits::Num;

use crate::cancel;
use crate::equation::{Equation, Label};
use crate::error::Result;
use crate::sizes::Sizes;

/// Computes `equation` by its definition, in the arithmetic of the operands: `f64`, `Complex<f64>`, integers.
///
/// Sums are added one term after the other, so that floats are rounded in other places than those of a run.
///
/// ```
/// use ndarray::array;
/// let equation = qeinsum::QEinsum::new("ij,j->i")?.equation(&[2, 1])?;
/// let (a, x) = (array![[1.0, 2.0], [3.0, 4.0]].into_dyn(), array![1.0, 10.0].into_dyn());
/// let y = qeinsum::interpret(&equation, &[a.view(), x.view()])?;
/// assert_eq!(y, array![21.0, 43.0].into_dyn());
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn interpret<T: Num + Copy>(equation: &Equation, operands: &[ArrayViewD<'_, T>]) -> Result<ArrayD<T>> {
    let shapes: Vec<&[usize]> = operands.iter().map(ArrayViewD::shape).collect();
    let sizes = Sizes::bind(equation, &shapes)?;
    let output = equation.output();
    let summed: Vec<Label> = equation.labels().filter(|label| !output.contains(label)).collect();
    let mut result = ArrayD::zeros(IxDyn(&sizes.shape_of(output)));
    let mut index = vec![0; equation.labels().len()];
    for (place, value) in result.indexed_iter_mut() {
        for (axis, label) in output.iter().enumerate() {
            index[label.index()] = place[axis];
        }
        *value = sum_of_products(equation, &sizes, operands, &summed, &mut index)?;
    }
    Ok(result)
}

/// The sum over all values of `summed`, the other labels standing where `index` has them.
fn sum_of_products<T: Num + Copy>(
    equation: &Equation,
    sizes: &Sizes,
    operands: &[ArrayViewD<'_, T>],
    summed: &[Label],
    index: &mut [usize],
) -> Result<T> {
    if summed.iter().any(|&label| sizes.extent(label) == 0) {
        return Ok(T::zero());
    }
    for label in summed {
        index[label.index()] = 0;
    }
    let mut sum = T::zero();
    loop {
        // Of the arithmetic of the user's types nobody knows how long it takes.
        cancel::between_steps()?;
        let factor = |(labels, operand): (&crate::Subscript, &ArrayViewD<'_, T>)| {
            // An axis of extent 1 broadcasts.
            let place: Vec<usize> = labels
                .iter()
                .zip(operand.shape())
                .map(|(label, &size)| if size == 1 { 0 } else { index[label.index()] })
                .collect();
            operand[IxDyn(&place)]
        };
        let factors = equation.operands().iter().zip(operands).map(factor);
        sum = sum + factors.fold(T::one(), |product, factor| product * factor);
        let mut advanced = false;
        for &label in summed.iter().rev() {
            index[label.index()] += 1;
            if index[label.index()] < sizes.extent(label) {
                advanced = true;
                break;
            }
            index[label.index()] = 0;
        }
        if !advanced {
            return Ok(sum);
        }
    }
}
