//! A training run in miniature, whose parameters are those of the reference arithmetic after every step.

use ndarray::{Array2, ArrayD, Zip};
use qeinsum::quant::{Noise, StochasticRounding};
use qeinsum::{DotGeneralConfig, Key, Plan, QEinsum};

use crate::properties::Random;
use crate::reference;

const STEPS: u32 = 20;
const RATE: f32 = 0.5;
/// Examples, inputs, hidden units, outputs.
const SIZES: [usize; 4] = [16, 6, 12, 3];

/// A layer as the library runs it and as the reference arithmetic does.
struct Layer {
    einsum: QEinsum,
    plan: Plan,
    config: DotGeneralConfig,
}

/// Both ways of running a layer: its output, and what takes the output's gradient back to those of input and weights.
type Pull<'a> = Box<dyn FnOnce(&ArrayD<f32>) -> (ArrayD<f32>, ArrayD<f32>) + 'a>;

impl Layer {
    fn new(equation: &str, shapes: [&[usize]; 2], config: &DotGeneralConfig) -> Self {
        let einsum = QEinsum::new(equation).unwrap().with_config(config.clone());
        let plan = einsum.plan(&shapes).unwrap();
        Self { einsum, plan, config: config.clone() }
    }

    fn run<'a>(&'a self, x: &'a ArrayD<f32>, w: &'a ArrayD<f32>, key: Key) -> (ArrayD<f32>, Pull<'a>) {
        let (out, grads) = self.einsum.vjp((x, w), key).unwrap();
        let pull = move |cotangent: &ArrayD<f32>| {
            let [dx, dw] = <[_; 2]>::try_from(grads.pull(cotangent).unwrap()).unwrap();
            (dx, dw)
        };
        (out, Box::new(pull))
    }

    fn reference<'a>(&'a self, x: &'a ArrayD<f32>, w: &'a ArrayD<f32>, key: Key) -> (ArrayD<f32>, Pull<'a>) {
        let recorded = reference::run(&self.plan, &[x.clone(), w.clone()], &self.config, Some(key.words()));
        let out = recorded.output(&self.plan).clone();
        let pull = move |cotangent: &ArrayD<f32>| {
            let [dx, dw] = <[_; 2]>::try_from(reference::pull(&self.plan, &recorded, cotangent)).unwrap();
            (dx, dw)
        };
        (out, Box::new(pull))
    }
}

/// How a layer is run.
type Run = for<'a> fn(&'a Layer, &'a ArrayD<f32>, &'a ArrayD<f32>, Key) -> (ArrayD<f32>, Pull<'a>);

/// Weights of two layers, moved by one step of gradient descent; the mean squared error before it comes out.
fn step(layers: &[Layer; 2], run: Run, weights: &mut [ArrayD<f32>; 2], data: [&ArrayD<f32>; 2], key: Key) -> f32 {
    let [x, y] = data;
    let [first, second] = weights;
    let (hidden, pull_first) = run(&layers[0], x, first, key.fold_in(0));
    let active = hidden.mapv(|value| value.max(0.0));
    let (out, pull_second) = run(&layers[1], &active, second, key.fold_in(1));
    let error = &out - y;
    let count = error.len() as f32;
    let (mut back, second_gradient) = pull_second(&error.mapv(|error| 2.0 * error / count));
    Zip::from(&mut back).and(&hidden).for_each(|back, &hidden| *back = if hidden > 0.0 { *back } else { 0.0 });
    let first_gradient = pull_first(&back).1;
    for (weight, gradient) in [(first, first_gradient), (second, second_gradient)] {
        weight.zip_mut_with(&gradient, |weight, gradient| *weight -= RATE * gradient);
    }
    error.iter().map(|error| error * error).sum::<f32>() / count
}

#[test]
fn parameters_are_those_of_the_reference_arithmetic_after_every_step() {
    let [examples, inputs, hidden, outputs] = SIZES;
    let config = DotGeneralConfig::v4().drhs_bits(Some(8)).build().unwrap();
    let config = config.with_stochastic_rounding(StochasticRounding::Both, Noise::Custom1);
    // The second equation writes its result the other way round, so that its call is swapped.
    let layers = [
        Layer::new("bi,io->bo", [&[examples, inputs], &[inputs, hidden]], &config),
        Layer::new("bi,io->ob", [&[examples, hidden], &[hidden, outputs]], &config),
    ];
    assert_eq!(layers.each_ref().map(|layer| layer.plan.swapped_calls()), [0, 1]);
    let random = &mut Random::new(7);
    let mut values = |shape: [usize; 2], scale: f32| {
        Array2::from_shape_simple_fn(shape, || (random.below(2001) as f32 / 1000.0 - 1.0) * scale).into_dyn()
    };
    let x = values([examples, inputs], 1.0);
    let y = values([outputs, examples], 1.0);
    let mut ours = [values([inputs, hidden], 0.5), values([hidden, outputs], 0.5)];
    let mut theirs = ours.clone();
    let mut losses = Vec::new();
    for number in 0..STEPS {
        let key = Key::new(42).fold_in(number);
        let loss = step(&layers, Layer::run, &mut ours, [&x, &y], key);
        let expected = step(&layers, Layer::reference, &mut theirs, [&x, &y], key);
        assert_eq!(loss.to_bits(), expected.to_bits(), "step {number}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let bits = |array: &ArrayD<f32>| array.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(ours), bits(theirs), "step {number}");
        }
        losses.push(loss);
    }
    assert!(losses[losses.len() - 1] < losses[0] / 2.0, "it learns: {losses:?}");
}
