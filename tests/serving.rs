//! Frozen operands: the same bits as the operand itself, and a reason where they do not fit.

use half::{bf16, f16};
use ndarray::{Array2, ArrayD, IxDyn};
use qeinsum::path::{Optimizer, SearchOptions};
use qeinsum::quant::{
    Calibration, DotGeneralConfig, Noise, Numerics, QuantConfig, Rounding, ScaleRounding, TensorConfig, Zero,
};
use qeinsum::{Dtype, Element, ErrorKind, Frozen, FrozenValues, Key, OperandView, QEinsum};

use crate::properties::Random;

/// The shapes of some operands.
type Shapes = &'static [&'static [usize]];

fn config(bits: u8) -> DotGeneralConfig {
    DotGeneralConfig::v4().fwd_bits(Some(bits)).build().unwrap()
}

fn random<T: Element>(random: &mut Random, shape: &[usize]) -> ArrayD<T> {
    T::from_floats(ArrayD::from_shape_fn(IxDyn(shape), |_| random.below(4001) as f32 / 1000.0 - 2.0))
}

/// The bits of every element, those of all NaN alike; binary16 overflows here and there.
fn bits<T: Element>(array: &ArrayD<T>) -> Vec<u32> {
    T::floats(array.view()).iter().map(|x| if x.is_nan() { u32::MAX } else { x.to_bits() }).collect()
}

/// Freezes each operand in turn, and all but the first, beside operands of other sizes than those of the run.
fn serves_the_same<T: Element>(equation: &str, then: &[&[usize]], now: &[&[usize]], config: &QuantConfig) {
    let source = &mut Random::new(then.len() as u64);
    let steps: Vec<&str> = vec!["(0,1)"; then.len() - 1];
    let qe = QEinsum::new(equation).unwrap().with_path(steps.join(" ").parse().unwrap()).with_config(config.clone());
    let operands: Vec<ArrayD<T>> = now.iter().map(|shape| random(source, shape)).collect();
    let key = Key::new(11);
    let expected = qe.run_with_key(&operands, key).unwrap();
    let frozen: Vec<Option<Frozen>> = (0..now.len())
        .map(|position| {
            // What does not change its shape is frozen beside the shapes of before.
            let fits = then[position] == now[position];
            fits.then(|| qe.freeze(position, &operands[position], then, key).unwrap())
        })
        .collect();
    let serve = |served: &dyn Fn(usize) -> bool| {
        let views: Vec<OperandView<'_, T>> = (0..now.len())
            .map(|position| match &frozen[position] {
                Some(frozen) if served(position) => OperandView::Frozen(frozen),
                _ => OperandView::Array(operands[position].view()),
            })
            .collect();
        qe.run_with_key(views, key).unwrap()
    };
    for position in 0..now.len() {
        assert_eq!(bits(&serve(&|other| other == position)), bits(&expected), "{equation} with {position} frozen");
    }
    assert_eq!(bits(&serve(&|_| true)), bits(&expected), "{equation} with all frozen");
    let compiled = qe.compile(now).unwrap();
    let bound: Vec<Frozen> = frozen.iter().flatten().cloned().collect();
    let serving = compiled.serve::<T>(bound).unwrap();
    let open: Vec<_> = serving.open().iter().map(|&position| operands[position].view()).collect();
    assert_eq!(bits(&serving.run_with_key(open.clone(), key).unwrap()), bits(&expected), "{equation} served");
    assert_eq!(bits(&serving.run_with_key(open, key).unwrap()), bits(&expected), "{equation} served again");
}

#[test]
fn frozen_equals_unfrozen() {
    let float = TensorConfig::from_bits(Some(12)).unwrap();
    let mut noisy = config(8);
    for side in [&mut noisy.forward.lhs, &mut noisy.forward.rhs] {
        if let Numerics::Int(int) = &mut side.numerics {
            int.noise = Some(Noise::JaxUniform);
        }
    }
    let configs = [
        QuantConfig::from(config(8)),
        QuantConfig::from(config(4)),
        QuantConfig::from(config(8)).with_operand(0, float).with_intermediates(TensorConfig::UNQUANTIZED),
        QuantConfig::from(noisy),
    ];
    let cases: &[(&str, Shapes, Shapes)] = &[
        ("bi,io->bo", &[&[2, 6], &[6, 4]], &[&[5, 6], &[6, 4]]),
        ("bi,io->ob", &[&[2, 6], &[6, 4]], &[&[3, 6], &[6, 4]]),
        ("btd,dnh->btnh", &[&[1, 3, 4], &[4, 2, 3]], &[&[2, 5, 4], &[4, 2, 3]]),
        ("bij,bjk->kib", &[&[2, 3, 4], &[2, 4, 5]], &[&[2, 3, 4], &[2, 4, 5]]),
        // The second operand is summed over s, and its diagonal taken, before it enters a call.
        ("bi,iios->bo", &[&[2, 3], &[3, 3, 4, 2]], &[&[7, 3], &[3, 3, 4, 2]]),
        ("bi,ir,ro->bo", &[&[2, 6], &[6, 3], &[3, 5]], &[&[4, 6], &[6, 3], &[3, 5]]),
        ("ab,bc,cd,de->ea", &[&[2, 3], &[3, 4], &[4, 3], &[3, 6]], &[&[2, 3], &[3, 4], &[4, 3], &[3, 6]]),
        ("i,j->ij", &[&[3], &[4]], &[&[5], &[4]]),
    ];
    for config in &configs {
        for (equation, then, now) in cases {
            serves_the_same::<f32>(equation, then, now, config);
            serves_the_same::<f16>(equation, then, now, config);
            serves_the_same::<bf16>(equation, then, now, config);
        }
    }
}

/// Two frozen operands that meet are multiplied when they are bound, and their product is quantized there.
#[test]
fn what_frozen_operands_make_alone_is_made_once() {
    let source = &mut Random::new(3);
    let (x, u, v) = (random::<f32>(source, &[4, 6]), random::<f32>(source, &[6, 3]), random::<f32>(source, &[3, 5]));
    let qe = QEinsum::new("bi,ir,ro->bo").unwrap().with_path("(1,2) (0,1)".parse().unwrap()).with_config(config(8));
    let compiled = qe.compile(&[x.shape(), u.shape(), v.shape()]).unwrap();
    let expected = compiled.run((&x, &u, &v)).unwrap();
    let frozen = vec![compiled.freeze(2, &v, None).unwrap(), compiled.freeze(1, &u, None).unwrap()];
    let serving = compiled.clone().serve::<f32>(frozen.clone()).unwrap();
    assert_eq!(serving.open(), [0]);
    assert_eq!(serving.run((&x,)).unwrap(), expected);
    let all = frozen.into_iter().chain([compiled.freeze(0, &x, None).unwrap()]).collect();
    let constant = compiled.serve::<f32>(all).unwrap();
    assert_eq!(constant.run(Vec::<&ArrayD<f32>>::new()).unwrap(), expected);
}

#[test]
fn what_is_kept_is_what_the_reference_keeps() {
    let w = ndarray::arr2(&[[1.0_f32, -0.5], [0.25, 2.0], [0.0, -2.0]]);
    let qe = QEinsum::new("bi,io->bo").unwrap().with_config(config(8));
    let frozen = qe.freeze(1, &w, &[&[4, 3], &[3, 2]], None).unwrap();
    let FrozenValues::Int8(values) = frozen.values() else { panic!("eight bits are integers") };
    assert_eq!(values, &ndarray::arr2(&[[127_i8, -32], [32, 127], [0, -127]]).into_dyn());
    // One over 127.5 over the largest magnitude of each column, in the layout of the result.
    assert_eq!(frozen.inverse_scale(), ndarray::arr2(&[[1.0 / 127.5_f32, 1.0 / 63.75]]).into_dyn());
    assert_eq!((frozen.dtype(), frozen.shape(), frozen.operand()), (Dtype::F32, &[3, 2][..], 1));
    let mut constant = config(8);
    constant.forward.rhs.calibration = Calibration::Constant(2.0);
    let qe = QEinsum::new("bi,io->bo").unwrap().with_config(constant);
    assert_eq!(qe.freeze(1, &w, &[&[4, 3], &[3, 2]], None).unwrap().inverse_scale().shape(), [1, 1]);
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let (x, w) = (Array2::<f32>::ones((4, 3)), Array2::<f32>::ones((3, 3)));
    let qe = QEinsum::new("bi,io->bo").unwrap().with_config(config(8));
    let shapes: &[&[usize]] = &[&[4, 3], &[3, 3]];
    let frozen = qe.freeze(1, &w, shapes, None).unwrap();
    let freeze = |message: &str| (ErrorKind::Freeze, message.to_owned());
    let refused = |result: qeinsum::Result<ArrayD<f32>>| {
        let error = result.unwrap_err();
        (*error.kind(), error.message().to_owned())
    };
    let of = |equation: &str, bits: u8| QEinsum::new(equation).unwrap().with_config(config(bits));
    assert_eq!(
        refused(of("bi,io->ob", 8).run((&x, &frozen))),
        freeze("operand 1 was frozen for `bi,io->bo`, not for `bi,io->ob`")
    );
    assert_eq!(
        refused(of("bi,io->bo", 8).run((&frozen, &w))),
        freeze("operand 0 was frozen as operand 1 of `bi,io->bo`")
    );
    assert_eq!(
        refused(of("bi,io->bo", 4).run((&x, &frozen))),
        freeze("operand 1 was frozen with a configuration that quantizes it otherwise than this one")
    );
    assert_eq!(
        refused(QEinsum::new("bi,io->bo").unwrap().run((&x, &frozen))),
        freeze("operand 1 is frozen, but the run has no configuration; give it the one it was frozen with")
    );
    assert_eq!(refused(qe.run((&Array2::ones((4, 2)), &frozen))).0, ErrorKind::Shape);
    let halves = Array2::<f16>::from_elem((4, 3), f16::ONE);
    let error = qe.run((&halves, &frozen)).unwrap_err();
    assert_eq!(error.message(), "operand 1 was frozen for f32 operands, not for f16");
    let message = |frozen: qeinsum::Result<Frozen>| frozen.unwrap_err().message().to_owned();
    assert_eq!(message(qe.freeze(2, &w, shapes, None)), "there is no operand 2 to freeze; there are 2");
    assert_eq!(message(qe.freeze(1, &x, shapes, None)), "operand 1 has shape [4, 3], but the plan is bound to [3, 3]");
    assert_eq!(
        message(QEinsum::new("bi,io->bo").unwrap().freeze(1, &w, shapes, None)),
        "freezing quantizes, which needs a configuration"
    );
    let float = QuantConfig::from(config(8)).with_operand(1, TensorConfig::UNQUANTIZED);
    assert_eq!(
        message(QEinsum::new("bi,io->bo").unwrap().with_config(float).freeze(1, &w, shapes, None)),
        "operand 1 cannot be frozen: its configuration does not quantize it"
    );
    assert_eq!(
        message(of("ij->ji", 8).freeze(0, &w, &[&[3, 3]], None)),
        "operand 0 cannot be frozen: the plan multiplies it with nothing"
    );
    let mut noisy = config(8);
    if let Numerics::Int(int) = &mut noisy.forward.rhs.numerics {
        int.noise = Some(Noise::Custom1);
    }
    assert_eq!(
        message(QEinsum::new("bi,io->bo").unwrap().with_config(noisy).freeze(1, &w, shapes, None)),
        "the configuration adds noise to operand 1, but no key was given"
    );
    let compiled = qe.compile(shapes).unwrap();
    let served = |frozen: Vec<Frozen>| compiled.clone().serve::<f32>(frozen);
    assert_eq!(served(vec![frozen.clone(), frozen.clone()]).unwrap_err().message(), "operand 1 is given twice");
    let serving = served(vec![frozen]).unwrap();
    assert_eq!(refused(serving.run((&x, &w))).1, "1 operands are not frozen, but 2 were given");
    assert_eq!(refused(serving.run((&w,))).0, ErrorKind::Shape);
}

/// Another path contracts other labels where a frozen operand enters, which then has other scales.
#[test]
fn a_frozen_operand_belongs_to_its_path() {
    let shapes: &[&[usize]] = &[&[2, 3], &[3, 4], &[4, 2]];
    let operands: Vec<ArrayD<f32>> = shapes.iter().map(|shape| ArrayD::ones(IxDyn(shape))).collect();
    let qe = |path: &str| QEinsum::new("ab,bc,ca->").unwrap().with_path(path.parse().unwrap()).with_config(config(8));
    let frozen = qe("(0,1) (0,1)").freeze(2, &operands[2], shapes, None).unwrap();
    let serve = |path: &str| qe(path).run((&operands[0], &operands[1], &frozen));
    serve("(0,1) (0,1)").unwrap();
    let error = serve("(1,2) (0,1)").unwrap_err();
    let expected = "operand 2 was frozen for a call that reads it as [c=4,a=2] contracted over [c,a] on path (0,1) (0,1), \
                    not as [c=4,a=2] contracted over [c] on path (1,2) (0,1)";
    assert!(error.message().starts_with(expected), "{error}");
}

/// A constant bound's scale is an f32 that widens narrower operands once it was stored: what the reference's serving
/// computes from a checkpoint, one rounding less than its training.
#[test]
fn stored_constants_widen() {
    let mut constant = config(8);
    for side in [&mut constant.forward.lhs, &mut constant.forward.rhs] {
        side.calibration = Calibration::Constant(0.7);
    }
    let source = &mut Random::new(9);
    let (x, w) = (random::<bf16>(source, &[20, 16]), random::<bf16>(source, &[16, 20]));
    let differing = |config: DotGeneralConfig| {
        let qe = QEinsum::new("bi,io->bo").unwrap().with_config(config);
        let trained = qe.run((&x, &w)).unwrap();
        let frozen = qe.freeze(0, &x, &[x.shape(), w.shape()], None).unwrap();
        let served = qe.run((&frozen, &w)).unwrap();
        served.iter().zip(&trained).filter(|(served, trained)| served != trained).count()
    };
    assert!(differing(constant.clone()) > 0, "the executed lhs is frozen: its product is not rounded to bf16");
    for side in [&mut constant.forward.lhs, &mut constant.forward.rhs] {
        side.scale_rounding = ScaleRounding::PowerOfTwo;
    }
    assert_eq!(differing(constant), 0, "widened from the start");
}

/// Every kind of frozen operand survives its file, and the same operand makes the same bytes.
#[test]
fn files_are_read_back() {
    let source = &mut Random::new(21);
    let mut checked = 0;
    for bits in [1, 2, 3, 4, 5, 8, 9, 12] {
        for calibration in [Calibration::AbsMax, Calibration::Constant(1.5)] {
            for rounding in [ScaleRounding::Exact, ScaleRounding::PowerOfTwo] {
                let side = TensorConfig {
                    calibration,
                    scale_rounding: rounding,
                    ..TensorConfig::from_bits(Some(bits)).unwrap()
                };
                let config = QuantConfig::default().with_operand(0, side).with_operand(1, side);
                for equation in ["bij,bjk->bik", "bij,bjk->kib"] {
                    survives::<f32>(source, equation, &config, bits);
                    survives::<f16>(source, equation, &config, bits);
                    survives::<bf16>(source, equation, &config, bits);
                    checked += 3;
                }
            }
        }
    }
    assert_eq!(checked, 8 * 2 * 2 * 2 * 3);
}

fn survives<T: Element>(source: &mut Random, equation: &str, config: &QuantConfig, bits: u8) {
    let shapes: &[&[usize]] = &[&[2, 3, 5], &[2, 5, 3]];
    let operands: Vec<ArrayD<T>> = shapes.iter().map(|shape| random(source, shape)).collect();
    let qe = QEinsum::new(equation).unwrap().with_config(config.clone());
    for (position, operand) in operands.iter().enumerate() {
        let frozen = qe.freeze(position, operand, shapes, None).unwrap();
        let bytes = frozen.to_bytes().unwrap();
        let read = Frozen::from_bytes(&bytes).unwrap_or_else(|error| panic!("{equation} {bits} bits: {error}"));
        assert_eq!(read, frozen, "{equation} {bits} bits");
        assert_eq!(read.to_bytes().unwrap(), bytes, "{equation} {bits} bits");
    }
}

#[test]
fn four_bits_take_half_a_byte() {
    let w = Array2::<f32>::from_shape_fn((100, 64), |(i, o)| (i % 7) as f32 - (o % 5) as f32);
    let elements = |bits: u8| {
        let qe = QEinsum::new("bi,io->bo").unwrap().with_config(config(bits));
        let bytes = qe.freeze(1, &w, &[&[1, 100], &[100, 64]], None).unwrap().to_bytes().unwrap();
        bytes.len() - 8 - u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize
    };
    assert_eq!((elements(8), elements(4)), (6400 + 4 * 64, 3200 + 4 * 64));
}

#[test]
fn damaged_files_are_refused() {
    let w = ndarray::arr2(&[[1.0_f32, -0.5], [0.25, 2.0], [0.0, -2.0]]);
    let frozen = |bits: u8| {
        let qe = QEinsum::new("bi,io->bo").unwrap().with_config(config(bits));
        qe.freeze(1, &w, &[&[4, 3], &[3, 2]], None).unwrap().to_bytes().unwrap()
    };
    let whole = frozen(8);
    for end in 0..whole.len() {
        let error = Frozen::from_bytes(&whole[..end]).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::File, "{end}: {error}");
    }
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    // Of the same length, so that offsets stay what they are.
    let changed = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let text = std::str::from_utf8(&whole[8..header]).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        Frozen::from_bytes(&[&whole[..8], text.replacen(from, to, 1).as_bytes(), &whole[header..]].concat())
            .unwrap_err()
    };
    let cases = [
        (r#""version":"1""#, r#""version":"2""#, "the file has version `2`, but only version 1 is known"),
        ("qeinsum.frozen", "qeinsum.frosen", "the file is none of a frozen operand"),
        (r#""equation":"bi,io->bo""#, r#""equation":"bi,io->ob""#, "the equation is not that of the plan"),
        (r#""equation":"bi,io->bo""#, r#""equation":"bi,i->->b""#, "second `->`"),
        (
            r#""operand":"1""#,
            r#""operand":"0""#,
            "`value` has shape [3, 2], but the operand enters its call with [4, 3]",
        ),
        (r#""operand":"1""#, r#""operand":"7""#, "the plan multiplies the operand with nothing"),
        (r#""dtype":"f32""#, r#""dtype":"f64""#, "`dtype` is none of f32, f16 and bf16"),
        (r#""dtype":"f32""#, r#""dtype":"f16""#, "`dtype` is f16, but the plan is one for f32"),
        (r#""packing":"none""#, r#""packing":"nine""#, "`packing` contradicts the plan and the configuration"),
        (r#""version":"1""#, r#""operand":"1""#, "key `operand` stands twice at line 1"),
        (r#""side":"rhs""#, r#""side":"lhs""#, "`side` contradicts the plan and the configuration"),
        (r#""bits":"8""#, r#""bits":"7""#, "`bits` contradicts the plan and the configuration"),
        (
            "\"I8\",\"shape\":[3,2]",
            "\"I8\",\"shape\":[2,3]",
            "`value` has shape [2, 3], but the operand enters its call",
        ),
        ("\"I8\",\"shape\":[3,2]", "\"U8\",\"shape\":[3,2]", "`value` is U8, but the configuration stores I8"),
    ];
    for (from, to, expected) in cases {
        let error = changed(from, to);
        assert!(error.message().contains(expected), "{to}: {error}");
        assert!(matches!(error.kind(), ErrorKind::File | ErrorKind::Syntax), "{error:?}");
    }
    let byte = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[header + at] = value;
        Frozen::from_bytes(&bytes)
    };
    // The scale comes first, two f32; then six integers.
    assert!(byte(7, 0xbf).unwrap_err().message().ends_with("a scale is never negative"));
    assert!(byte(8, 0x80).unwrap_err().message().contains("`value` has -128, but 8 bits reach from -127 to 127"));
    byte(8, 0x81).unwrap();
    let mut four = frozen(4);
    let last = four.len() - 1;
    four[last] = 0x88;
    assert!(Frozen::from_bytes(&four).unwrap_err().message().contains("`value` has -8, but 4 bits reach from -7 to 7"));
}

/// What is left of an operand once labels that are 1 elsewhere were summed may have the same shape, but is another thing.
#[test]
fn the_labels_that_a_call_reads_have_to_be_the_same() {
    let cases: &[(&str, &[usize], Shapes)] =
        &[("bd,bd->", &[3, 3], &[&[3, 1], &[1, 3]]), ("hqk,hqk->h", &[2, 4, 4], &[&[2, 4, 1], &[2, 1, 4]])];
    for &(equation, own, shapes) in cases {
        let (then, now) = (shapes[0], shapes[1]);
        let mut source = Random::new(11);
        let qe = QEinsum::new(equation).unwrap().with_config(config(8));
        let w = random::<f32>(&mut source, own);
        let frozen = qe.freeze(0, &w, &[own, then], None).unwrap();
        let x = random::<f32>(&mut source, then);
        assert_eq!(qe.run((&frozen, &x)).unwrap(), qe.run((&w, &x)).unwrap(), "{equation}");
        let error = qe.run((&frozen, &random::<f32>(&mut source, now))).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Freeze, "{error}");
        assert!(error.message().contains("the axes of size 1 that it was frozen with"), "{error}");
    }
}

/// Noise is drawn from the key of the call that an operand enters.
#[test]
fn an_operand_frozen_with_noise_belongs_to_its_call() {
    let mut noisy = config(8);
    let Numerics::Int(int) = &mut noisy.forward.lhs.numerics else { panic!("quantized") };
    int.noise = Some(Noise::JaxUniform);
    let qe = |path: &str| {
        let qe = QEinsum::new("ab,bc,de->acde").unwrap().with_config(noisy.clone());
        qe.with_path(path.parse().unwrap())
    };
    let mut source = Random::new(5);
    let [a, b, c] = [[2, 3], [3, 2], [2, 2]].map(|shape| random::<f32>(&mut source, &shape));
    let shapes = [a.shape(), b.shape(), c.shape()];
    let frozen = qe("(0,1) (0,1)").freeze(0, &a, &shapes, Key::new(1)).unwrap();
    let same = qe("(0,1) (0,1)").run_with_key((&frozen, &b, &c), Key::new(1)).unwrap();
    assert_eq!(same, qe("(0,1) (0,1)").run_with_key((&a, &b, &c), Key::new(1)).unwrap());
    let error = qe("(1,2) (0,1)").run_with_key((&frozen, &b, &c), Key::new(1)).unwrap_err();
    assert!(error.message().contains("was frozen with the noise of call 0, but enters call 1 here"), "{error}");
}

/// Half integers that are not rounded reach the edge of their range, 8 of four bits, which four bits of a file do not hold.
#[test]
fn unrounded_integers_survive_a_file() {
    let w = ndarray::arr2(&[[1.0_f32, -0.5], [0.25, 2.0], [-3.0, -2.0]]);
    for bits in [2, 3, 4, 5, 8, 12] {
        let mut unrounded = config(bits);
        let Numerics::Int(int) = &mut unrounded.forward.rhs.numerics else { panic!("quantized") };
        (int.zero, int.rounding) = (Zero::Halfway, Rounding::Unrounded);
        let qe = QEinsum::new("bi,io->bo").unwrap().with_config(unrounded);
        let frozen = qe.freeze(1, &w, &[&[4, 3], &[3, 2]], None).unwrap();
        assert_eq!(Frozen::from_bytes(&frozen.to_bytes().unwrap()), Ok(frozen), "{bits} bits");
    }
}

#[test]
fn a_file_that_could_not_be_read_is_not_written() {
    let terms = vec!["a"; 40_000].join(",");
    let qe = QEinsum::new(&format!("{terms}->a")).unwrap().with_config(config(8));
    let steps = qe.with_search(SearchOptions::new().optimizer(Optimizer::None));
    let a = ndarray::arr1(&[1.0_f32, 2.0]);
    let frozen = steps.freeze(0, &a, &vec![&[2][..]; 40_000], None).unwrap();
    let error = frozen.to_bytes().map(|bytes| bytes.len()).unwrap_err();
    assert!(error.message().contains("is longer than the 16777216 that are read"), "{error}");
}

/// Floats that are no integers of the format, or lie beyond it, were not made by freezing.
#[test]
fn values_that_are_floats_are_checked() {
    let w = ndarray::arr2(&[[1.0_f32, -0.5], [0.25, 2.0]]);
    let qe = QEinsum::new("bi,io->bo").unwrap().with_config(config(12));
    let whole = qe.freeze(1, &w, &[&[4, 2], &[2, 2]], None).unwrap().to_bytes().unwrap();
    // The last of the file are the four values.
    let changed = |value: f32| {
        let at = whole.len() - 4;
        Frozen::from_bytes(&[&whole[..at], &value.to_le_bytes()].concat())
    };
    for value in [0.3, 2048.0, -2049.0, 1e30, f32::INFINITY] {
        let error = changed(value).unwrap_err();
        assert!(error.message().contains("which 12 bits do not make"), "{value}: {error}");
    }
    assert!(changed(-2047.0).unwrap().is_finite() && !changed(f32::NAN).unwrap().is_finite());
}
