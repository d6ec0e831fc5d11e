//! The joint plan: the plans of several equations, and the program that they are together.

use ndarray::ArrayD;

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::exec;
use crate::kernel::Element;
use crate::lower::{CommonStep, Part, Plan, Program, ValueId};
use crate::operands::{Operands, arrays};
use crate::path::Cost;
use crate::quant::QuantConfig;
use crate::rng::Key;
use crate::sizes::{Shape, count};

use super::bound::Bound;
use super::marks::Marks;
use super::search::Joint;

/// What is known about how few multiplications the paths of a joint plan need together.
///
/// ```
/// use qeinsum::{JointCertificate, QEinsum};
/// let many = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc->ca", &[0, 1])])?;
/// let shapes: [&[usize]; 3] = [&[2, 3], &[3, 4], &[4, 5]];
/// assert!(many.plan(&shapes)?.certificate().is_optimal());
/// let given = many.with_paths(vec!["(0,1) (0,1)".parse()?, "(0,1)".parse()?]);
/// assert_eq!(given.plan(&shapes)?.certificate(), JointCertificate::Given);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum JointCertificate {
    /// No paths of the equations, one for each, multiply less when what they have in common is computed once.
    Optimal,
    /// That is not known. They never multiply more than each equation alone.
    Unproved,
    /// The paths were given, and not searched for.
    Given,
}

impl JointCertificate {
    /// Whether the paths are proved to be the best together.
    pub fn is_optimal(self) -> bool {
        self == Self::Optimal
    }
}

impl std::fmt::Display for JointCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Optimal => "proved optimal together",
            Self::Unproved => "not proved optimal together",
            Self::Given => "given, not searched",
        })
    }
}

/// Plans of several equations over common operands as one program, bound to shapes and to the configuration.
///
/// Values are numbered as in a [`Plan`]: the common operands, then one for each step. `Display` prints the equations, then
/// the steps under the equations that they are for, with the labels of the first of these.
///
/// ```
/// use qeinsum::QEinsum;
/// let many = QEinsum::many(&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc,ce->ae", &[0, 1, 3])])?;
/// let plan = many.plan(&[&[20, 30], &[30, 40], &[40, 20], &[40, 20]])?;
/// assert_eq!(plan.to_string(), "\
/// einsum ab,bc,cd->ad of %0, %1, %2
/// sizes a=20 b=30 c=40 d=20
/// path (0,1) (0,1)
/// einsum ab,bc,ce->ae of %0, %1, %3
/// sizes a=20 b=30 c=40 e=20
/// path (0,1) (0,1)
/// %0: [a,b]
/// %1: [b,c]
/// %2: [c,d]
/// %3: [c,e]
/// for 0, 1
///   %4: [c,a] = dot_general %1, %0 contract [0]x[1] swapped
/// for 0
///   %5: [a,d] = dot_general %4, %2 contract [0]x[0] swapped
/// for 1
///   %6: [a,e] = dot_general %4, %3 contract [0]x[0] swapped
/// return %5, %6
/// ; 3 calls (alone 4), 56000 mul (alone 72000)
/// ; paths proved optimal together
/// ");
/// assert_eq!((plan.operands_of(1), plan.shapes().len()), (Some(&[0, 1, 3][..]), 4));
/// assert_eq!(plan.outputs().iter().map(|value| value.index()).collect::<Vec<_>>(), [5, 6]);
/// assert_eq!((plan.steps().len(), plan.plans().len(), plan.peak_bytes()), (3, 2, Some(20_000)));
/// assert_eq!(plan.multiplications().to_string(), "56000");
/// assert_eq!(plan.multiplications_alone().to_string(), "72000");
/// assert!(plan.certificate().is_optimal() && plan.dtype() == qeinsum::Dtype::F32);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct ManyPlan {
    pub(super) program: Program,
    pub(super) plans: Vec<Plan>,
    /// By equation: the common operand that each of its operands is.
    pub(super) operands: Vec<Vec<usize>>,
    /// The shapes of the common operands.
    pub(super) shapes: Vec<Shape>,
    pub(super) dtype: Dtype,
    pub(super) configs: Option<Vec<QuantConfig>>,
    pub(super) alone: Cost,
    pub(super) certificate: JointCertificate,
}

impl ManyPlan {
    pub(super) fn new(bound: Vec<Bound>, shapes: &[&[usize]], joint: Joint, dtype: Dtype) -> Self {
        let Joint { plans, alone, certificate } = joint;
        let mut marks = Marks::default();
        let marks: Vec<Vec<usize>> =
            plans.iter().zip(&bound).map(|(plan, bound)| marks.of(plan, bound.config.as_ref())).collect();
        let parts: Vec<Part<'_>> = plans
            .iter()
            .zip(&bound)
            .zip(&marks)
            .map(|((plan, bound), marks)| Part { plan, operands: &bound.operands, marks })
            .collect();
        let program = Program::new(shapes.len(), &parts);
        let configs = bound.iter().map(|bound| bound.config.clone()).collect();
        let operands = bound.into_iter().map(|bound| bound.operands).collect();
        let shapes = shapes.iter().map(|&shape| Shape::from(shape)).collect();
        Self { program, plans, operands, shapes, dtype, configs, alone, certificate }
    }

    /// The plan of each equation, in their order: run alone, it gives the bits that it gives here.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The common operand that each operand of an equation is; none of an equation that is not there.
    pub fn operands_of(&self, equation: usize) -> Option<&[usize]> {
        self.operands.get(equation).map(Vec::as_slice)
    }

    /// The configuration that quantizes an equation alone as it is quantized here: settings of common operands are those of
    /// its own. None where runs are unquantized, or there is no such equation.
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::quant::{DotGeneralConfig, QuantConfig, TensorConfig};
    /// use qeinsum::QEinsum;
    /// let (a, b) = (array![[1.0_f32, 0.3]], array![[0.7_f32], [-2.0]]);
    /// let config = QuantConfig::from(DotGeneralConfig::v4().build()?).with_operand(1, TensorConfig::from_bits(Some(4))?);
    /// let many = QEinsum::many(&[("ij,jk->ik", &[0, 1]), ("ij,jk->", &[1, 0])])?.with_config(config);
    /// let plan = many.plan(&[a.shape(), b.shape()])?;
    /// let alone = plan.config_of(1).expect("runs are quantized");
    /// assert_eq!(alone.operands().next().map(|(operand, _)| operand), Some(0));
    /// assert_eq!(plan.run((&a, &b))?[1], plan.plans()[1].run_quantized((&b, &a), alone, None)?);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn config_of(&self, equation: usize) -> Option<&QuantConfig> {
        self.configs.as_ref()?.get(equation)
    }

    /// The shapes of the common operands.
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// The steps, each once, in the order in which they run.
    pub fn steps(&self) -> &[CommonStep] {
        &self.program.steps
    }

    /// The value that is the output of each equation.
    pub fn outputs(&self) -> &[ValueId] {
        &self.program.outputs
    }

    /// Scalar multiplications of all calls, each of them once.
    pub fn multiplications(&self) -> &Cost {
        &self.program.multiplications
    }

    /// Scalar multiplications of each equation planned alone, all together, or along its path where paths were given; never
    /// less than those of the joint plan.
    pub fn multiplications_alone(&self) -> &Cost {
        &self.alone
    }

    /// How good the paths are known to be together.
    pub fn certificate(&self) -> JointCertificate {
        self.certificate
    }

    /// The element type that memory is counted in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The most bytes that operands, intermediates and outputs take at one time. What several equations read stays until the
    /// last of them has read it, and outputs stay to the end.
    ///
    /// `None` when that is more than can be counted in 64 bits.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.program.peak_bytes(&self.plans, &self.shapes, self.dtype)
    }

    /// Runs the plan on common operands of the shapes that it is bound to: a result for each equation, in their order.
    pub fn run<'a, T: Element>(&self, operands: impl Operands<'a, T>) -> Result<Vec<ArrayD<T>>> {
        self.execute(arrays(operands, "a run of several equations")?, None)
    }

    /// The same with a key for the noise of stochastic rounding; see [`Many::run_with_key`](super::Many::run_with_key).
    ///
    /// ```
    /// use ndarray::array;
    /// use qeinsum::{Key, QEinsum};
    /// let plan = QEinsum::many(&[("i,i->", &[0, 1])])?.plan(&[&[2], &[2]])?;
    /// let (x, y) = (array![1.0_f32, 2.0], array![3.0_f32, 4.0]);
    /// // Where nothing adds noise, a key changes nothing.
    /// assert_eq!(plan.run_with_key((&x, &y), Key::new(0))?, plan.run((&x, &y))?);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn run_with_key<'a, T: Element>(&self, operands: impl Operands<'a, T>, key: Key) -> Result<Vec<ArrayD<T>>> {
        self.execute(arrays(operands, "a run of several equations")?, Some(key))
    }

    pub(super) fn execute<T: Element>(
        &self,
        operands: Vec<ndarray::ArrayViewD<'_, T>>,
        key: Option<Key>,
    ) -> Result<Vec<ArrayD<T>>> {
        self.check(&operands)?;
        let there = operands.iter().map(|operand| (operand.len() * T::DTYPE.bytes()) as u64).sum();
        exec::check_bytes(self.program.peak_bytes(&self.plans, &self.shapes, T::DTYPE), Some(there))?;
        let Some(configs) = &self.configs else {
            let mut calls: Vec<exec::Unquantized> = self.plans.iter().map(|_| exec::Unquantized).collect();
            return exec::run_program(&self.program, &self.plans, operands, &mut calls);
        };
        let calls = self.plans.iter().zip(configs).enumerate().map(|(number, (plan, config))| {
            exec::QuantizedCalls::new::<T>(plan, config, key).map_err(|error| error.within(&super::name(number)))
        });
        let mut calls = calls.collect::<Result<Vec<_>>>()?;
        exec::run_program(&self.program, &self.plans, operands, &mut calls)
    }

    fn check<T>(&self, operands: &[ndarray::ArrayViewD<'_, T>]) -> Result<()> {
        if operands.len() != self.shapes.len() {
            let message =
                format!("the plan has {}, but {} were given", count(self.shapes.len(), "operand"), operands.len());
            return Err(Error::new(ErrorKind::Shape, message));
        }
        for (number, (operand, bound)) in operands.iter().zip(&self.shapes).enumerate() {
            if operand.shape() != bound.as_slice() {
                let found = operand.shape();
                let message = format!("operand {number} has shape {found:?}, but the plan is bound to {bound:?}");
                return Err(Error::new(ErrorKind::Shape, message));
            }
        }
        for (number, (plan, positions)) in self.plans.iter().zip(&self.operands).enumerate() {
            let shapes: Vec<&[usize]> = positions.iter().map(|&operand| operands[operand].shape()).collect();
            exec::check(plan, &shapes).map_err(|error| error.within(&super::name(number)))?;
        }
        Ok(())
    }
}
