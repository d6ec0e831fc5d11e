//! Complex operands through the public interface: against the naive interpreter, in gradients, and where they are refused.

use ndarray::{Array2, ArrayD, ArrayViewD, Dimension as _, IxDyn, arr0, arr1, arr2};
use num_complex::Complex;
use qeinsum::quant::TensorConfig;
use qeinsum::{
    DimensionNumbers, DotGeneralConfig, Dtype, Element, ErrorKind, QDotGeneral, QEinsum, QuantizationError, interpret,
};

use crate::properties::{Problem, Random, random_path, relaid, seeds};

/// The operands of a problem with small integers as their imaginary parts, so that sums are exact.
fn complex(random: &mut Random, problem: &Problem) -> Vec<ArrayD<Complex<f64>>> {
    let mut part = || random.below(5) as f64 - 2.0;
    problem.operands.iter().map(|operand| operand.mapv(|re| Complex::new(re, part()))).collect()
}

fn views<T>(operands: &[ArrayD<T>]) -> Vec<ArrayViewD<'_, T>> {
    operands.iter().map(|operand| operand.view()).collect()
}

#[test]
fn every_equation_gives_what_the_naive_interpreter_gives() {
    for seed in 0..seeds(600) {
        let random = &mut Random::new(seed);
        let problem = Problem::random(random);
        let operands = complex(random, &problem);
        let qe = QEinsum::new(&problem.equation()).unwrap();
        let ranks: Vec<usize> = operands.iter().map(ArrayD::ndim).collect();
        let expected = interpret(&qe.equation(&ranks).unwrap(), &views(&operands)).unwrap();
        let context = format!("seed {seed}: {}", problem.equation());
        assert_eq!(qe.run(views(&operands)).unwrap(), expected, "{context}");
        let relaid: Vec<ArrayD<Complex<f64>>> = operands.iter().map(|operand| relaid(random, operand)).collect();
        let path = random_path(random, operands.len());
        let other = qe.clone().with_path(path.clone()).run(views(&relaid)).unwrap();
        assert_eq!(other, expected, "{context} by {path} in another layout");
        if operands.len() < 3 {
            let narrow = |array: &ArrayD<Complex<f64>>| array.mapv(|z| Complex::new(z.re as f32, z.im as f32));
            let operands: Vec<ArrayD<Complex<f32>>> = operands.iter().map(narrow).collect();
            assert_eq!(qe.run(views(&operands)).unwrap(), narrow(&expected), "{context} in c32");
        }
    }
}

/// The derivatives of the result, times the cotangent: the transpose of the linear map, of which nothing is conjugated.
#[test]
fn gradients_are_transposed_and_not_conjugated() {
    for seed in 0..seeds(120) {
        let random = &mut Random::new(seed);
        let problem = Problem::random(random);
        let operands = complex(random, &problem);
        let qe = QEinsum::new(&problem.equation()).unwrap();
        let (out, pullback) = qe.vjp(views(&operands), None).unwrap();
        let cotangent = out.mapv(|_| Complex::new(random.below(5) as f64 - 2.0, random.below(5) as f64 - 2.0));
        let gradients = pullback.pull(&cotangent).unwrap();
        let ranks: Vec<usize> = operands.iter().map(ArrayD::ndim).collect();
        let equation = qe.equation(&ranks).unwrap();
        for (position, gradient) in gradients.iter().enumerate() {
            assert_eq!(gradient.shape(), operands[position].shape());
            let mut operands = operands.clone();
            for (place, &found) in gradient.indexed_iter() {
                operands[position].fill(Complex::ZERO);
                operands[position][&place] = Complex::ONE;
                let derivative = interpret(&equation, &views(&operands)).unwrap();
                let expected = (&derivative * &cotangent).sum();
                let context = format!("seed {seed}: {}", problem.equation());
                assert_eq!(found, expected, "{context}: operand {position} at {:?}", place.slice());
            }
        }
    }
    // d(z·z)/dz = 2z, and not twice its conjugate.
    let z = arr0(Complex::new(3.0, 4.0));
    let (_, pullback) = QEinsum::new(",->").unwrap().vjp((&z, &z), None).unwrap();
    let sum = pullback.pull_summed(&arr0(Complex::new(1.0, 0.0)), &[0, 0]).unwrap();
    assert_eq!(sum, [arr0(Complex::new(6.0, 8.0)).into_dyn()]);
}

#[test]
fn one_handle_serves_many_runs() {
    let a = arr2(&[[Complex::new(1.0_f32, 1.0), Complex::new(0.0, 2.0)]]);
    let b = arr1(&[Complex::new(2.0_f32, 0.0), Complex::new(1.0, -1.0)]);
    let qe = QEinsum::new("ij,j->ij").unwrap();
    let compiled = qe.compile(&[&[1, 2], &[2]]).unwrap();
    let expected = arr2(&[[Complex::new(2.0, 2.0), Complex::new(2.0, 2.0)]]).into_dyn();
    let mut out = Array2::from_elem((1, 2), Complex::new(f32::NAN, 0.0));
    for _ in 0..2 {
        assert_eq!(compiled.run((&a, &b)).unwrap(), expected);
        compiled.run_into((&a, &b), &mut out).unwrap();
        assert_eq!(out.clone().into_dyn(), expected);
    }
    assert_eq!((Complex::<f32>::DTYPE, Complex::<f64>::DTYPE.bytes()), (Dtype::C32, 16));
}

/// The fused multiply-adds of the definition, over more elements than a block has.
#[test]
fn long_sums_have_the_bits_of_their_parts() {
    let random = &mut Random::new(3);
    let mut part = || random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
    let mut side = || ArrayD::from_shape_simple_fn(IxDyn(&[1500]), || Complex::new(part(), part()));
    let (a, b) = (side(), side());
    let found = QEinsum::new("i,i->").unwrap().run((&a, &b)).unwrap()[[].as_slice()];
    let parts = |array: &ArrayD<Complex<f32>>, of: fn(Complex<f32>) -> [f32; 2]| -> ArrayD<f32> {
        arr1(&array.iter().flat_map(|&z| of(z)).collect::<Vec<_>>()).into_dyn()
    };
    let dot = |rhs| QEinsum::new("i,i->").unwrap().run((&parts(&a, |z| [z.re, z.im]), &parts(&b, rhs))).unwrap();
    assert_eq!(found.re.to_bits(), dot(|z| [z.re, -z.im])[[].as_slice()].to_bits());
    assert_eq!(found.im.to_bits(), dot(|z| [z.im, z.re])[[].as_slice()].to_bits());
}

#[test]
fn quantization_refuses_them_by_name() {
    let a = arr2(&[[Complex::new(1.0_f32, 1.0)]]);
    let v4 = || DotGeneralConfig::v4().build().unwrap();
    let expected = "`fwd` quantizes operands of type c32; they have to be f32, f16 or bf16";
    let refused = |error: qeinsum::Error| {
        assert_eq!((error.kind(), error.message()), (&ErrorKind::Config, expected));
    };
    let qe = QEinsum::new("ij,jk->ik").unwrap().with_config(v4());
    refused(qe.run((&a, &a)).unwrap_err());
    refused(qe.vjp((&a, &a), qeinsum::Key::new(0)).unwrap_err());
    refused(qe.freeze(1, &a, &[&[1, 1], &[1, 1]], None).unwrap_err());
    refused(
        qe.clone().with_dtype(Dtype::C32).plan(&[&[1, 1], &[1, 1]]).unwrap().check_config(&v4().into()).unwrap_err(),
    );
    let dims = || DimensionNumbers::new([], [(1, 0)]).unwrap();
    refused(QDotGeneral::new(dims(), v4()).run(&a, &a).unwrap_err());
    let bare = QDotGeneral::new(dims(), DotGeneralConfig::unquantized()).run(&a, &a).unwrap_err();
    assert_eq!(bare.message(), "quantized calls take f32, f16 and bf16 operands, not c32");

    let mut gradient = v4();
    gradient.forward.lhs = TensorConfig::UNQUANTIZED;
    gradient.forward.rhs = TensorConfig::UNQUANTIZED;
    gradient.forward.accumulator = qeinsum::quant::Accumulator::Auto;
    (gradient.dlhs.residual, gradient.drhs.residual) = Default::default();
    let error = qe.with_config(gradient).vjp((&a, &a), qeinsum::Key::new(0)).unwrap_err();
    assert_eq!(error.message(), "`dlhs` quantizes operands of type c32; they have to be f32, f16 or bf16");
}

#[test]
fn a_configuration_that_quantizes_nothing_lets_them_pass() {
    let a = arr2(&[[Complex::new(1.0_f64, 1.0)]]);
    let exact = QEinsum::new("ij,jk->ik").unwrap();
    let config = DotGeneralConfig::unquantized();
    let expected = exact.run((&a, &a)).unwrap();
    assert_eq!(exact.clone().with_config(config.clone()).run((&a, &a)).unwrap(), expected);
    let plan = exact.plan(&[&[1, 1], &[1, 1]]).unwrap();
    let mut worst = Vec::new();
    let found = plan.run_measured((&a, &a), &config.into(), None, |_, error| worst.push(error.largest())).unwrap();
    assert_eq!((found, worst), (expected, vec![0.0]));
    // Of two parts, as one error: 3² + 4² over 1² in all, and the larger of the two differences.
    let z = |re, im| arr1(&[Complex::new(re, im)]).into_dyn();
    let error = QuantizationError::between(&z(3.0_f64, 4.0), &z(3.0, 5.0));
    assert_eq!((error.largest(), format!("{error}").as_str()), (1.0, "sqnr 13.98 dB, max error 1.000e0"));
}
