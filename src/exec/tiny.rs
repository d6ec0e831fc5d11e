//! Plans of one tiny call on their two operands, for which everything is settled beforehand.

use ndarray::ArrayD;

use crate::dtype::Dtype;
use crate::kernel::{Element, TinyProduct};
use crate::lower::{Op, Plan};
use crate::operands::OperandView;
use crate::quant::{Binary32, Dequantize, Products, QuantConfig, TensorConfig, ToEightBits};
use crate::sizes::Shape;

use super::order::Readers;
use super::quantized::QuantizedCalls;

/// A plan of one tiny call, with what its operands become in it.
#[derive(Clone, Debug)]
pub(crate) struct TinyPlan {
    product: TinyProduct,
    shapes: [Shape; 2],
    /// Which operand is the lhs, and which the rhs.
    sides: [usize; 2],
    factors: Factors,
}

/// What the elements of the two sides become.
#[derive(Clone, Copy, Debug)]
enum Factors {
    /// What they are.
    Elements,
    /// Eight-bit integers, of binary32 numbers.
    EightBits([ToEightBits<Binary32>; 2]),
}

impl TinyPlan {
    /// None where the plan is of another kind, or quantized in another way than the usual one.
    pub(crate) fn new(plan: &Plan, config: Option<&QuantConfig>) -> Option<Self> {
        let call = match plan.steps() {
            [call] => call,
            [call, last] if matches!(last.op(), Op::Transpose { .. }) => call,
            _ => return None,
        };
        let Op::DotGeneral { lhs, rhs, dims, orientation } = call.op() else { return None };
        let order = Readers::new(plan).memory_order(call);
        let product = TinyProduct::new(plan.value(*lhs).shape(), plan.value(*rhs).shape(), dims, &order)?;
        let factors = match config {
            None => Factors::Elements,
            Some(config) => {
                // Of a configuration that asks for a key, or is refused, this makes nothing.
                let calls = QuantizedCalls::new::<f32>(plan, config, None).ok()?;
                let forward = calls.config(0, *orientation).forward;
                let to = |side: &TensorConfig| ToEightBits::of(side, *side.int()?).filter(|to| to.calibrates());
                let sides = [to(&forward.lhs)?, to(&forward.rhs)?];
                if forward.dequantize != Dequantize::Output {
                    return None;
                }
                Factors::EightBits(sides)
            }
        };
        let [first, second] = plan.sizes().shapes() else { return None };
        Some(Self { product, shapes: [first.clone(), second.clone()], sides: [lhs.index(), rhs.index()], factors })
    }

    /// The result; none for operands that are not as the plan has them, or not in row-major order.
    pub(crate) fn run<T: Element>(&self, operands: &[OperandView<'_, T>]) -> Option<ArrayD<T>> {
        let [OperandView::Array(first), OperandView::Array(second)] = operands else { return None };
        if first.shape() != self.shapes[0].as_slice() || second.shape() != self.shapes[1].as_slice() {
            return None;
        }
        let [lhs, rhs] = self.sides.map(|side| if side == 0 { first } else { second });
        match self.factors {
            Factors::Elements => T::tiny(&self.product, lhs.as_slice()?, rhs.as_slice()?),
            Factors::EightBits(to) if T::DTYPE == Dtype::F32 => {
                let (lhs, rhs) = (T::floats(lhs.view()), T::floats(rhs.view()));
                let sides = [lhs.as_slice()?, rhs.as_slice()?];
                Some(T::from_floats(self.product.multiply_scaled(sides, to, Products(Binary32))))
            }
            Factors::EightBits(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, IxDyn, ShapeBuilder as _};

    use crate::kernel::cases::{Random, Sample, Values, assert_same};
    use crate::quant::DotGeneralConfig;
    use crate::{Compiled, Element, QEinsum};

    /// Runs on operands in row-major order, which is the tiny way, and in another one, which is not.
    fn check<T: Element + Sample>(compiled: &Compiled, shapes: [&[usize]; 2], random: &mut Random, values: Values) {
        let rows = shapes.map(|shape| ArrayD::from_shape_simple_fn(IxDyn(shape), || T::sample(random, values)));
        let columns = rows.each_ref().map(|rows| {
            let mut columns = ArrayD::from_elem(IxDyn(rows.shape()).f(), T::ZERO);
            columns.assign(rows);
            columns
        });
        let what = format!("{} of {} on {shapes:?}", compiled.plan().equation(), T::DTYPE);
        assert_same(&compiled.run(&rows[..]).unwrap(), &compiled.run(&columns[..]).unwrap(), &what);
    }

    #[test]
    fn tiny_runs_give_the_bits_of_others() {
        let equations =
            ["ij,jk->ik", "ij,jk->ki", "bij,bjk->bik", "ib,kbj->jib", "i,j->ji", "i,i->", "ij,ij->ij", ",i->i"];
        let mut tiny = 0;
        for seed in 0..300 {
            let mut random = Random(seed);
            let text = random.pick(&equations);
            let equation = QEinsum::new(text).unwrap();
            let sizes: Vec<usize> = (0..16).map(|_| random.pick(&[1, 2, 3, 4, 7, 8])).collect();
            let (operands, _) = text.split_once("->").unwrap();
            let shape = |labels: &str| labels.bytes().map(|label| sizes[usize::from(label) % 16]).collect::<Vec<_>>();
            let shapes: Vec<_> = operands.split(',').map(shape).collect();
            let shapes = [&shapes[0][..], &shapes[1][..]];
            let values = random.pick(&[Values::Unit, Values::Finite, Values::All]);
            let plain = equation.compile(&shapes).unwrap();
            tiny += usize::from(plain.is_tiny());
            check::<f32>(&plain, shapes, &mut random, values);
            check::<f64>(&plain, shapes, &mut random, values);
            check::<half::f16>(&plain, shapes, &mut random, values);
            check::<half::bf16>(&plain, shapes, &mut random, values);
            let config = DotGeneralConfig::v4().fwd_bits(Some(random.pick(&[2, 4, 8]))).build().unwrap();
            let quantized = equation.with_config(config).compile(&shapes).unwrap();
            assert_eq!(plain.is_tiny(), quantized.is_tiny());
            check::<f32>(&quantized, shapes, &mut random, values);
            check::<half::bf16>(&quantized, shapes, &mut random, values);
        }
        assert!(tiny > 100, "{tiny}");
    }
}
