//! Quantized runs through the public interface: what the goldens do not reach.

use ndarray::{Array2, ArrayD, ArrayView2, IxDyn, arr1, arr2};
use qeinsum::quant::{
    Accumulator, Calibration, DotGeneralConfig, IntNumerics, Noise, Numerics, QuantConfig, TensorConfig,
};
use qeinsum::{DimensionNumbers, ErrorKind, Factor, Key, QDotGeneral, QEinsum, Sums};

fn v4() -> DotGeneralConfig {
    DotGeneralConfig::v4().build().unwrap()
}

/// The worked example of the specification: scales, integers, sums and output.
#[test]
fn a_small_product_step_by_step() {
    let lhs = arr2(&[[1.0_f32, -2.5, 0.75, 3.0], [0.1, 0.2, -0.3, 0.0]]);
    let rhs = arr2(&[[1.0_f32, 2.0], [-1.0, 0.5], [0.25, -4.0], [2.0, 0.0]]);
    let mut records = Vec::new();
    let einsum = QEinsum::new("ij,jk->ik").unwrap().with_config(v4());
    let out = einsum.run_recorded((&lhs, &rhs), None, |step, record| records.push((step, record))).unwrap();
    let [(0, record)] = records.as_slice() else { panic!("one call") };
    let bits = |array: &ArrayD<f32>| array.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(record.lhs.scale.as_ref().unwrap()), [42.5_f32.to_bits(), 0x43d4_7fff]);
    assert_eq!(bits(record.lhs.inverse_scale.as_ref().unwrap()), [0x3cc0_c0c1, 0x3b1a_33ce]);
    assert_eq!(bits(record.rhs.scale.as_ref().unwrap()), [63.75_f32.to_bits(), 31.875_f32.to_bits()]);
    assert_eq!(bits(record.rhs.inverse_scale.as_ref().unwrap()), [0x3c80_8081, 0x3d00_8081]);
    let expected = arr2(&[[42_i8, -106, 32, 127], [42, 85, -127, 0]]).into_dyn();
    assert_eq!(record.lhs.factor, Factor::Int8(expected));
    assert_eq!(record.sums, Sums::I32(arr2(&[[26113, -3072], [-4784, 20177]]).into_dyn()));
    assert_eq!(bits(&out), [0x411a_3551, 0xc011_21b3, 0xbe34_cf52, 0x3fbe_a55a]);
}

/// Beside values this small a subnormal number would be an integer of its own; the original's arithmetic has none.
#[test]
fn subnormal_values_are_zero() {
    let subnormal = f32::MIN_POSITIVE * 0.75;
    let (lhs, rhs) = (arr2(&[[2e-36_f32, subnormal, -subnormal]]), arr2(&[[0.0_f32], [1e6], [5e5]]));
    let einsum = QEinsum::new("ij,jk->ik").unwrap().with_config(v4());
    let mut records = Vec::new();
    let watched = einsum.run_recorded((&lhs, &rhs), None, |_, record| records.push(record)).unwrap();
    assert_eq!(records[0].lhs.factor, Factor::Int8(arr2(&[[127_i8, 0, 0]]).into_dyn()));
    assert_eq!(watched, arr2(&[[0.0_f32]]).into_dyn());
    assert_eq!(einsum.run((&lhs, &rhs)).unwrap(), watched);
}

/// Sums beyond 32 bits: every product is 127 · 127, and the result is what exact arithmetic gives.
#[test]
fn integer_sums_never_overflow() {
    let inverse = 1.0_f32 / 127.5;
    for terms in [131_071_usize, 131_072, 133_144, 133_145, 133_153, 200_000] {
        let ones = Array2::<f32>::ones((1, terms));
        let dot = QDotGeneral::new(DimensionNumbers::new([], [(1, 1)]).unwrap(), v4());
        let record = dot.record(&ones, &ones, None).unwrap();
        let exact = terms as i64 * 127 * 127;
        match &record.sums {
            Sums::I32(sums) => assert_eq!(i64::from(sums[[0, 0]]), exact, "{terms}"),
            Sums::I64(sums) => assert_eq!(sums[[0, 0]], exact, "{terms}"),
            Sums::Float(_) => panic!("int8 sums are integers"),
        }
        assert_eq!(record.output[[0, 0]], exact as f32 * inverse * inverse, "{terms}");
        let minus = ones.mapv(|x| -x);
        assert_eq!(dot.run(&ones, &minus).unwrap()[[0, 0]], -record.output[[0, 0]], "{terms}");
    }
}

#[test]
fn one_side_may_stay_as_it_is() {
    let weights = TensorConfig::from_bits(Some(8)).unwrap();
    let config = QuantConfig::default().with_operand(1, weights);
    let (x, w) = (arr2(&[[0.1_f32, 0.2], [0.3, 0.4]]), arr2(&[[1.0_f32, -1.0], [0.5, 2.0]]));
    let mut sides = Vec::new();
    let einsum = QEinsum::new("ij,jk->ki").unwrap().with_config(config);
    let out = einsum.run_recorded((&x, &w), None, |_, record| sides.push((record.lhs, record.rhs))).unwrap();
    // The call is swapped: its lhs is operand 1, the one that is quantized.
    assert!(matches!(sides[0].0.factor, Factor::Int8(_)) && sides[0].0.scale.is_some());
    assert!(matches!(sides[0].1.factor, Factor::Float(_)) && sides[0].1.scale.is_none());
    let exact = x.dot(&w).reversed_axes();
    assert!(exact.iter().zip(&out).all(|(exact, out)| (exact - out).abs() < 0.02), "{out}");
}

#[test]
fn steps_operands_and_intermediates_have_their_own_settings() {
    let int4 = TensorConfig::from_bits(Some(4)).unwrap();
    let config = QuantConfig::from(v4()).with_operand(2, int4).with_intermediates(TensorConfig::UNQUANTIZED);
    let (a, b, c) = (Array2::<f32>::ones((2, 3)), Array2::ones((3, 4)), Array2::ones((4, 5)));
    let einsum = QEinsum::new("ij,jk,kl->il").unwrap().with_path("(0,1) (0,1)".parse().unwrap()).with_config(config);
    let mut seen = Vec::new();
    einsum
        .run_recorded((&a, &b, &c), None, |step, record| {
            let kind = |factor: &Factor| match factor {
                Factor::Int8(values) => i32::from(values[IxDyn(&[0, 0])]),
                Factor::Float(_) => 0,
            };
            seen.push((step, kind(&record.lhs.factor), kind(&record.rhs.factor)));
        })
        .unwrap();
    // Step 1 multiplies the intermediate, which passes through, and operand 2 in four bits.
    assert_eq!(seen, [(0, 127, 127), (1, 0, 7)]);
}

#[test]
fn noise_needs_a_key_and_follows_it() {
    let int = IntNumerics { noise: Some(Noise::JaxUniform), ..IntNumerics::new(4).unwrap() };
    let side = TensorConfig { numerics: Numerics::Int(int), ..TensorConfig::UNQUANTIZED };
    let config = QuantConfig::default().with_operand(0, side).with_operand(1, side);
    let x = Array2::from_shape_fn((8, 8), |(i, j)| ((3 * i + 5 * j) % 13) as f32 / 13.0);
    let einsum = QEinsum::new("ij,jk->ik").unwrap().with_config(config);
    let error = einsum.run((&x, &x)).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (&ErrorKind::Config, "the configuration adds noise, but no key was given")
    );
    let run = |seed| einsum.run_with_key((&x, &x), Key::new(seed)).unwrap();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn what_quantization_cannot_take_is_refused_by_name() {
    let einsum = QEinsum::new("ij,jk->ik").unwrap().with_config(v4());
    let error = einsum.run((&Array2::<f64>::ones((2, 2)), &Array2::ones((2, 2)))).unwrap_err();
    assert!(error.message().contains("f64"), "{error}");
    let (empty, flat) = (Array2::<f32>::ones((2, 0)), Array2::ones((0, 3)));
    let error = einsum.run((&empty, &flat)).unwrap_err();
    assert_eq!(error.message(), "quantizing over axis 1 needs at least one element, but its size is 0");
    assert_eq!(QEinsum::new("ij,jk->ik").unwrap().run((&empty, &flat)).unwrap(), ArrayD::<f32>::zeros(IxDyn(&[2, 3])));
    let mut config = v4();
    config.forward.lhs.calibration = Calibration::Constant(0.0);
    let error =
        einsum.clone().with_config(config).run((&Array2::<f32>::ones((2, 2)), &Array2::ones((2, 2)))).unwrap_err();
    assert!(error.message().starts_with("`fwd.lhs."), "{error}");
    let mut config = v4();
    config.forward.accumulator = Accumulator::Bf16;
    let error = einsum.with_config(config).run((&Array2::<f32>::ones((2, 2)), &Array2::ones((2, 2)))).unwrap_err();
    assert!(error.message().starts_with("`fwd.accumulator`"), "{error}");
}

/// The library computes with NaN and infinity as the original does: a NaN row has scale NaN and integers 0.
#[test]
fn nan_and_infinity_propagate_as_in_the_original() {
    let lhs = arr2(&[[f32::NAN, 1.0], [f32::INFINITY, 1.0], [1.0, 2.0]]);
    let rhs = arr2(&[[1.0_f32], [1.0]]);
    let out = QEinsum::new("ij,jk->ik").unwrap().with_config(v4()).run((&lhs, &rhs)).unwrap();
    assert!(out[[0, 0]].is_nan() && out[[1, 0]].is_nan());
    assert!((out[[2, 0]] - 3.0).abs() < 0.05);
}

/// Written the other way round, with its settings exchanged, an equation that needs no transpose gives the same bits.
#[test]
fn exchanging_operands_and_their_settings_changes_nothing() {
    let a = Array2::from_shape_fn((5, 7), |(i, j)| ((i * 7 + j * 3) % 11) as f32 - 4.5);
    let b = Array2::from_shape_fn((7, 3), |(j, k)| ((j * 5 + k) % 9) as f32 / 3.0 - 1.0);
    let int4 = TensorConfig::from_bits(Some(4)).unwrap();
    let run = |equation: &str, operands: (ArrayView2<'_, f32>, ArrayView2<'_, f32>), narrow: usize| {
        let config = QuantConfig::from(v4()).with_operand(narrow, int4);
        QEinsum::new(equation).unwrap().with_config(config).run(operands).unwrap()
    };
    let forward = run("ij,jk->ik", (a.view(), b.view()), 0);
    let backward = run("jk,ij->ik", (b.view(), a.view()), 1);
    assert_eq!(forward, backward);
}

/// Operands in any layout quantize to the same numbers; noise follows the row-major order of the operand as given.
#[test]
fn layout_does_not_matter() {
    let mut config = v4();
    if let Numerics::Int(int) = &mut config.forward.lhs.numerics {
        int.noise = Some(Noise::Custom1);
    }
    let einsum = QEinsum::new("bij,bjk->bik").unwrap().with_config(config);
    let a = ArrayD::from_shape_fn(IxDyn(&[2, 3, 4]), |at| ((at[0] * 12 + at[1] * 4 + at[2]) * 7 % 23) as f32 - 11.0);
    let b = ArrayD::from_shape_fn(IxDyn(&[2, 4, 5]), |at| ((at[0] * 20 + at[1] * 5 + at[2]) * 5 % 17) as f32 / 8.0);
    let plain = einsum.run_with_key((&a, &b), Key::new(3)).unwrap();
    let stored = a.view().permuted_axes(IxDyn(&[2, 0, 1])).as_standard_layout().into_owned();
    let relaid = stored.permuted_axes(IxDyn(&[1, 2, 0]));
    assert_eq!(relaid, a);
    assert_eq!(einsum.run_with_key((&relaid, &b), Key::new(3)).unwrap(), plain);
    let mut reversed = b.clone();
    reversed.invert_axis(ndarray::Axis(1));
    let mut reversed = reversed.as_standard_layout().into_owned();
    reversed.invert_axis(ndarray::Axis(1));
    assert_eq!(einsum.run_with_key((&a, &reversed), Key::new(3)).unwrap(), plain);
}

#[test]
fn one_value_serves_many_threads_and_shapes() {
    let einsum = QEinsum::new("ij,j->i").unwrap().with_config(v4());
    let expected: Vec<ArrayD<f32>> =
        (1..40).map(|n| einsum.run((&Array2::ones((n, n)), &arr1(&vec![1.0; n]))).unwrap()).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (einsum, expected) = (einsum.clone(), &expected);
            scope.spawn(move || {
                for n in 1..40_usize {
                    let out = einsum.run((&Array2::ones((n, n)), &arr1(&vec![1.0; n]))).unwrap();
                    assert_eq!(out, expected[n - 1]);
                }
            });
        }
    });
}
