//! Quantization in runs, beside the same element by element.

use ndarray::{ArrayD, ArrayViewD, Dimension as _, IxDyn};

use super::calibration::{Scales, calibrate};
use super::config::{
    Calibration, Clip, ClipGradient, IntNumerics, MaxValue, Numerics, Rounding, ScaleRounding, Storage, TensorConfig,
    Zero,
};
use super::format::{Format, round_to_integer};
use super::part::Part;
use super::quantizer::{Quantized, Values, mask_gradient, quantize, quantized_floats};
use super::step::clip;
use crate::kernel::cases::{self, Random, Stored, assert_same};
use crate::rng::{Key, Layout, Noise};

const FORMATS: [Format; 3] = [Format::F32, Format::Bf16, Format::F16];

fn numerics(random: &mut Random) -> IntNumerics {
    let mut int = IntNumerics::new(random.pick(&[2, 4, 8, 8, 8])).unwrap();
    // Often the usual ones.
    if random.below(2) == 0 {
        int.zero = random.pick(&[Zero::Preserved, Zero::Halfway]);
        int.max = random.pick(&[MaxValue::Edge, MaxValue::Preserved]);
        int.clip = random.pick(&[Clip::ToRange, Clip::Unclipped]);
        int.rounding = random.pick(&[Rounding::Nearest, Rounding::Unrounded]);
        int.storage = random.pick(&[Storage::Int8, Storage::Float]);
    }
    int.noise = random.pick(&[None, Some(Noise::JaxUniform), Some(Noise::Custom1)]);
    int.gradient = ClipGradient::Masked;
    int
}

fn side(random: &mut Random, int: IntNumerics) -> TensorConfig {
    // The last of these bounds gives scales so large that subnormal numbers would matter.
    let calibration = random.pick(&[Calibration::AbsMax, Calibration::AbsMax, Calibration::Constant(1e-37)]);
    let calibration = random.pick(&[calibration, calibration, Calibration::Constant(0.7)]);
    let scale_rounding = random.pick(&[ScaleRounding::Exact, ScaleRounding::Exact, ScaleRounding::PowerOfTwo]);
    TensorConfig { numerics: Numerics::Int(int), calibration, scale_rounding }
}

/// The floats that the reference has before they are stored, one after the other.
fn floats(
    x: &ArrayViewD<'_, f32>,
    format: Format,
    scales: &Scales,
    int: IntNumerics,
    key: Key,
) -> (ArrayD<f32>, Format) {
    let product = scales.kind.product(format);
    let limit = match int.clip {
        Clip::ToRange => product.round(int.clip_limit()),
        Clip::Unclipped => f32::INFINITY,
    };
    let scale = scales.scale.broadcast(x.raw_dim()).unwrap();
    let mut out = ArrayD::zeros(IxDyn(x.shape()));
    for (flat, ((out, &element), &scale)) in out.iter_mut().zip(x).zip(scale).enumerate() {
        let mut value = product.mul(element, scales.kind.factor(scale, format));
        if let Some(noise) = int.noise {
            let mut drawn = [0.0];
            noise.fill(key, x.len(), flat, &mut drawn);
            value = product.add(value, drawn[0]);
        }
        value = clip(value, limit);
        *out = match (int.rounding, int.zero) {
            (Rounding::Unrounded, _) => value,
            (Rounding::Nearest, Zero::Preserved) => round_to_integer(value),
            (Rounding::Nearest, Zero::Halfway) => product.add(value.floor(), 0.5),
        };
    }
    (out, product)
}

/// An array of some format, and how it is quantized.
struct Case {
    stored: Stored<f32>,
    format: Format,
    axes: Vec<usize>,
    int: IntNumerics,
    config: TensorConfig,
    key: Key,
}

impl Case {
    fn random(random: &mut Random, sizes: &[usize]) -> Self {
        let rank = random.below(4);
        let mut shape: Vec<usize> = (0..rank).map(|_| random.pick(&[1, 2, 3, 5, 18])).collect();
        if rank > 0 {
            shape[random.below(rank)] = random.pick(sizes);
        }
        let values = random.pick(&[cases::Values::Unit, cases::Values::Finite, cases::Values::All]);
        let stored = Stored::random(random, &shape, values);
        // No maximum is taken over nothing.
        let axes = (0..rank).filter(|&axis| random.below(2) == 0 && shape[axis] > 0).collect();
        let int = numerics(random);
        let config = side(random, int);
        let layout = random.pick(&[Layout::Original, Layout::Partitionable]);
        let key = Key::new(random.bits()).with_layout(layout);
        Self { stored, format: random.pick(&FORMATS), axes, int, config, key }
    }

    /// The same axes and strides with values that the format has, and whatever they are in memory.
    fn array(&self) -> ArrayD<f32> {
        self.stored.view().mapv(|x| self.format.round(x))
    }
}

fn stored(floats: &ArrayD<f32>, storage: Storage, format: Format) -> Values {
    match storage {
        Storage::Int8 => Values::Int8(floats.mapv(|value| value as i8)),
        Storage::Float => Values::Float(floats.clone(), format),
    }
}

fn assert_same_values(found: &Values, expected: &Values, what: &str) {
    match (found, expected) {
        (Values::Int8(found), Values::Int8(expected)) => assert_eq!(found, expected, "{what}"),
        (Values::Float(found, format), Values::Float(expected, expected_format)) => {
            assert_eq!(format, expected_format, "{what}");
            assert_same(found, expected, what);
        }
        _ => panic!("{what}: stored otherwise"),
    }
}

#[test]
fn elements_of_any_layout_become_what_each_would_alone() {
    for seed in 0..1500 {
        let mut random = Random(seed);
        let case = Case::random(&mut random, &[0, 1, 7, 64, 65, 300, 1100]);
        let Case { format, ref axes, int, ref config, key, .. } = case;
        let rounded = case.array();
        // binary32 is taken as it lies; the others are what conversion gives.
        let x = if format == Format::F32 { case.stored.view() } else { rounded.view() };
        let what = format!("seed {seed}, {:?} {format:?} over {axes:?}, {config:?}", x.shape());
        let Quantized { values, scales, noise } =
            quantize(&x, format, axes, config, int, Some(key), Part::default()).unwrap();
        assert_same(&scales.scale, &calibrate(&x, format, axes, config, int, Part::default()).unwrap().scale, &what);
        let (expected, product) = floats(&x, format, &scales, int, key);
        assert_same_values(&values, &stored(&expected, int.storage, product), &what);
        assert_same(&quantized_floats(&x, format, &scales, int, Some(key), Part::default()), &expected, &what);
        assert_eq!(noise.is_some(), int.noise.is_some(), "{what}");
        let without = IntNumerics { noise: None, ..int };
        let expected = floats(&x, format, &scales, without, key).0;
        assert_same(&quantized_floats(&x, format, &scales, without, Some(key), Part::default()), &expected, &what);
    }
}

#[test]
fn gradients_of_any_layout_are_masked_as_each_would_be_alone() {
    for seed in 0..600 {
        let mut random = Random(seed);
        let case = Case::random(&mut random, &[0, 1, 7, 64, 300, 1100]);
        let Case { format, ref axes, int, ref config, .. } = case;
        let rounded = case.array();
        let x = if format == Format::F32 { case.stored.view() } else { rounded.view() };
        let scales = calibrate(&x, format, axes, config, int, Part::default()).unwrap();
        let made = if format == Format::F32 { random.pick(&FORMATS[..2]) } else { format };
        let stored = Stored::<f32>::random(&mut random, x.shape(), cases::Values::All);
        // An array of its own, in any order.
        let order = random.shuffled(x.ndim());
        let mut back = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, &axis)| back[axis] = at);
        let moved = stored.view().permuted_axes(&order[..]).mapv(|gradient| made.round(gradient));
        let mut gradient = moved.as_standard_layout().into_owned().permuted_axes(&back[..]);
        let mut expected = gradient.clone();
        let product = scales.kind.product(format);
        let limit = if product == Format::F16 { Format::F16.round(int.clip_limit()) } else { int.clip_limit() };
        let scale = scales.scale.broadcast(x.raw_dim()).unwrap();
        for (at, gradient) in expected.indexed_iter_mut() {
            let at = IxDyn(at.slice());
            let scaled = product.mul(x[&at], scales.kind.factor(scale[&at], format));
            let passes = -limit <= scaled && scaled <= limit;
            *gradient = match made {
                Format::Bf16 => Format::Bf16.mul(*gradient, if passes { 1.0 } else { 0.0 }),
                Format::F32 | Format::F16 => {
                    if passes {
                        *gradient
                    } else {
                        0.0
                    }
                }
            };
        }
        mask_gradient(&mut gradient, made, &x, format, &scales, int);
        assert_same(&gradient, &expected, &format!("seed {seed}, {:?} {format:?}, {config:?}", x.shape()));
    }
}

#[test]
fn threads_change_no_bit() {
    let shape = [3, 700, 701];
    let mut random = Random(5);
    let stored = Stored::<f32>::random(&mut random, &shape, cases::Values::Unit);
    let standard = stored.view().as_standard_layout().into_owned();
    let transposed = standard.t().as_standard_layout().into_owned().reversed_axes();
    let pools = [1, 2, 3, 8].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    for layout in [Layout::Original, Layout::Partitionable] {
        for noise in [None, Some(Noise::JaxUniform), Some(Noise::Custom1)] {
            let int = IntNumerics { noise, ..IntNumerics::new(8).unwrap() };
            let config = TensorConfig { numerics: Numerics::Int(int), ..TensorConfig::UNQUANTIZED };
            let key = Some(Key::new(21).with_layout(layout));
            for axes in [[0, 1], [1, 2]] {
                let run = |x: &ArrayD<f32>| {
                    quantize(&x.view(), Format::F32, &axes, &config, int, key, Part::default()).unwrap()
                };
                let expected = pools[0].install(|| run(&standard));
                for pool in &pools {
                    for x in [&standard, &transposed] {
                        assert!(pool.install(|| run(x)) == expected, "{layout:?} {noise:?} over {axes:?}");
                    }
                }
            }
        }
    }
}
