//! A multi-head attention block and the quantized linear layer that it is made of, forward and backward.
//!
//! ```text
//! cargo run --release --example attention
//! ```
//!
//! Every product is an einsum of its own, quantized or not: projections, scores, context. What is between them (bias, mask,
//! softmax) is plain code. The tests compare the unquantized block with scalar loops in f64, its gradients with finite
//! differences of them, and the int8 block with both.

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn, ScalarOperand};
use num_traits::Float;
use qeinsum::quant::DotGeneralConfig;
use qeinsum::{Element, Key, Pullback, QEinsum, QuantConfig, Result};

/// What the block computes in: f32, or f64 unquantized.
trait Real: Element + Float + ScalarOperand + std::iter::Sum + std::ops::AddAssign {}
impl<T: Element + Float + ScalarOperand + std::iter::Sum + std::ops::AddAssign> Real for T {}

/// `y = x w + b` over the last axis of `x`.
#[derive(Clone, Debug)]
struct Linear<T> {
    weight: Array2<T>,
    bias: Array1<T>,
}

/// The gradients of a layer's parameters, which have their shapes.
type LinearGradients<T> = Linear<T>;

/// How a layer takes the gradient of its output back.
struct LinearPull<'a, T>(Pullback<'a, T>);

/// The product that all layers share, planned once for each shape.
fn dense(config: Option<&DotGeneralConfig>) -> Result<QEinsum> {
    einsum("...i,io->...o", config)
}

fn einsum(equation: &str, config: Option<&DotGeneralConfig>) -> Result<QEinsum> {
    let einsum = QEinsum::new(equation)?;
    Ok(match config {
        Some(config) => einsum.with_config(QuantConfig::from(config.clone())),
        None => einsum,
    })
}

impl<T: Real> Linear<T> {
    fn forward<'a>(&'a self, dense: &QEinsum, x: &'a ArrayD<T>, key: Key) -> Result<(ArrayD<T>, LinearPull<'a, T>)> {
        let (product, pull) = dense.vjp((x, &self.weight), key)?;
        Ok((product + &self.bias, LinearPull(pull)))
    }
}

impl<T: Real> LinearPull<'_, T> {
    /// The gradients of the input and of the parameters.
    fn pull(&self, cotangent: &ArrayD<T>) -> Result<(ArrayD<T>, LinearGradients<T>)> {
        let [x, weight] = pair(self.0.pull(cotangent)?);
        let outputs = weight.shape()[1];
        let rows = cotangent.as_standard_layout();
        let mut bias = Array1::zeros(outputs);
        for row in rows.as_slice().into_iter().flat_map(|all| all.chunks_exact(outputs)) {
            bias.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value);
        }
        let weight = weight.into_dimensionality().expect("a weight has two axes");
        Ok((x, Linear { weight, bias }))
    }
}

fn pair<T>(gradients: Vec<T>) -> [T; 2] {
    gradients.try_into().unwrap_or_else(|_| unreachable!("two operands have two gradients"))
}

/// The parameters of a block, or their gradients: projections of the input, and of the context back.
#[derive(Clone, Debug)]
struct Parameters<T> {
    query: Linear<T>,
    key: Linear<T>,
    value: Linear<T>,
    output: Linear<T>,
}

/// A causal multi-head self-attention block.
#[derive(Debug)]
struct Attention {
    heads: usize,
    dense: QEinsum,
    scores: QEinsum,
    context: QEinsum,
}

/// What a block computed.
#[derive(Debug)]
struct Trained<T> {
    output: ArrayD<T>,
    input_gradient: ArrayD<T>,
    gradients: Parameters<T>,
}

impl<T: Real> Trained<T> {
    /// What was computed, by name. The biases of keys are left out: they shift the scores of a query all alike, so that
    /// their gradient is zero but for rounding.
    fn named(&self) -> [(&'static str, ArrayD<T>); 9] {
        let Parameters { query, key, value, output } = &self.gradients;
        let weight = |layer: &Linear<T>| layer.weight.clone().into_dyn();
        let bias = |layer: &Linear<T>| layer.bias.clone().into_dyn();
        [
            ("output", self.output.clone()),
            ("gradient of the input", self.input_gradient.clone()),
            ("gradient of query weights", weight(query)),
            ("gradient of query biases", bias(query)),
            ("gradient of key weights", weight(key)),
            ("gradient of value weights", weight(value)),
            ("gradient of value biases", bias(value)),
            ("gradient of output weights", weight(output)),
            ("gradient of output biases", bias(output)),
        ]
    }
}

impl Attention {
    fn new(heads: usize, config: Option<&DotGeneralConfig>) -> Result<Self> {
        Ok(Self {
            heads,
            dense: dense(config)?,
            scores: einsum("bthk,bshk->bhts", config)?,
            context: einsum("bhts,bshk->bthk", config)?,
        })
    }

    /// Runs forward on `x`, of [batch, time, channels], and back from the gradient that `loss` makes of the output.
    fn train<T: Real>(
        &self,
        x: &ArrayD<T>,
        parameters: &Parameters<T>,
        key: Key,
        loss: impl FnOnce(&ArrayD<T>) -> ArrayD<T>,
    ) -> Result<Trained<T>> {
        let keys = key.split(6);
        let (query, pull_query) = parameters.query.forward(&self.dense, x, keys[0])?;
        let (of_key, pull_key) = parameters.key.forward(&self.dense, x, keys[1])?;
        let (value, pull_value) = parameters.value.forward(&self.dense, x, keys[2])?;

        let [query, of_key, value] = [query, of_key, value].map(|projected| self.split(projected));
        let scale = T::one() / T::from(query.shape()[3]).expect("a size is a number").sqrt();
        let query = query.mapv_into(|q| q * scale);
        let (mut scores, pull_scores) = self.scores.vjp((&query, &of_key), keys[3])?;
        mask_future(&mut scores);
        let weights = softmax(scores);
        let (context, pull_context) = self.context.vjp((&weights, &value), keys[4])?;
        let merged = merge(context);
        let (output, pull_output) = parameters.output.forward(&self.dense, &merged, keys[5])?;

        let (merged, output_gradients) = pull_output.pull(&loss(&output))?;
        let [weights_back, value_back] = pair(pull_context.pull(&self.split(merged))?);
        // What is masked had a weight of zero, and gets a gradient of zero.
        let scores_back = softmax_back(&weights, weights_back);
        let [query_back, key_back] = pair(pull_scores.pull(&scores_back)?);
        let (from_query, query) = pull_query.pull(&merge(query_back.mapv_into(|q| q * scale)))?;
        let (from_key, key) = pull_key.pull(&merge(key_back))?;
        let (from_value, value) = pull_value.pull(&merge(value_back))?;
        let gradients = Parameters { query, key, value, output: output_gradients };
        Ok(Trained { output, input_gradient: from_query + from_key + from_value, gradients })
    }

    /// [batch, time, channels] to [batch, time, head, channels of a head].
    fn split<T: Real>(&self, x: ArrayD<T>) -> ArrayD<T> {
        let [batch, time, channels] = *x.shape() else { unreachable!("projections have three axes") };
        reshaped(x, &[batch, time, self.heads, channels / self.heads])
    }
}

/// [batch, time, head, channels of a head] to [batch, time, channels].
fn merge<T: Real>(x: ArrayD<T>) -> ArrayD<T> {
    let [batch, time, heads, width] = *x.shape() else { unreachable!("heads have four axes") };
    reshaped(x, &[batch, time, heads * width])
}

fn reshaped<T: Real>(x: ArrayD<T>, shape: &[usize]) -> ArrayD<T> {
    x.into_shape_with_order(IxDyn(shape)).expect("the same number of elements")
}

/// Scores of keys that come after their query become minus infinity.
fn mask_future<T: Real>(scores: &mut ArrayD<T>) {
    for (at, score) in scores.indexed_iter_mut() {
        if at[3] > at[2] {
            *score = T::neg_infinity();
        }
    }
}

/// Weights over the last axis that are positive and sum to one.
fn softmax<T: Real>(mut scores: ArrayD<T>) -> ArrayD<T> {
    for mut row in scores.lanes_mut(Axis(3)) {
        let most = row.iter().copied().fold(T::neg_infinity(), T::max);
        row.mapv_inplace(|score| exp(score - most));
        let sum: T = row.iter().copied().sum();
        row.mapv_inplace(|part| part / sum);
    }
    scores
}

/// The gradient of scores from that of their softmax.
fn softmax_back<T: Real>(weights: &ArrayD<T>, mut incoming: ArrayD<T>) -> ArrayD<T> {
    for (mut incoming, weights) in incoming.lanes_mut(Axis(3)).into_iter().zip(weights.lanes(Axis(3))) {
        let mean: T = incoming.iter().zip(weights).map(|(&g, &w)| g * w).sum();
        incoming.zip_mut_with(&weights, |g, &w| *g = w * (*g - mean));
    }
    incoming
}

/// The exponential of `libm`, which is the same on every machine.
fn exp<T: Real>(x: T) -> T {
    T::from(libm::exp(x.to_f64().expect("a float is a number"))).expect("a number is a float")
}

/// Sizes of the example: batch, time, channels, heads.
const SIZES: [usize; 4] = [2, 12, 32, 4];

/// Values about zero of about this magnitude.
fn values(key: Key, shape: &[usize], magnitude: f32) -> ArrayD<f32> {
    let mut uniform = key.uniform(shape.iter().product()).into_iter();
    ArrayD::from_shape_simple_fn(IxDyn(shape), || (2.0 * uniform.next().unwrap_or(0.5) - 1.0) * magnitude)
}

fn random_parameters(key: Key, channels: usize) -> Parameters<f32> {
    let linear = |number: u32| {
        let magnitude = (3.0 / channels as f32).sqrt();
        let weight = values(key.fold_in(2 * number), &[channels, channels], magnitude);
        let bias = values(key.fold_in(2 * number + 1), &[channels], 0.1);
        Linear {
            weight: weight.into_dimensionality().expect("two axes"),
            bias: bias.into_dimensionality().expect("one axis"),
        }
    };
    Parameters { query: linear(0), key: linear(1), value: linear(2), output: linear(3) }
}

fn widened(parameters: &Parameters<f32>) -> Parameters<f64> {
    let linear =
        |layer: &Linear<f32>| Linear { weight: layer.weight.mapv(f64::from), bias: layer.bias.mapv(f64::from) };
    let Parameters { query, key, value, output } = parameters;
    Parameters { query: linear(query), key: linear(key), value: linear(value), output: linear(output) }
}

/// The distance of two arrays as a part of the second's length.
fn relative_error(found: &ArrayD<f32>, expected: &ArrayD<f64>) -> f64 {
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let distance = length(&mut found.iter().zip(expected).map(|(&found, &expected)| f64::from(found) - expected));
    distance / length(&mut expected.iter().copied())
}

fn int8() -> Result<DotGeneralConfig> {
    DotGeneralConfig::v4().drhs_bits(Some(8)).build()
}

fn main() -> Result<()> {
    let [batch, time, channels, heads] = SIZES;
    let x = values(Key::new(1), &[batch, time, channels], 1.0);
    let parameters = random_parameters(Key::new(2), channels);
    let target = values(Key::new(3), &[batch, time, channels], 1.0);
    let exact =
        Attention::new(heads, None)?
            .train(&x.mapv(f64::from), &widened(&parameters), Key::new(0), |output| output - &target.mapv(f64::from))?;
    println!("multi-head attention, {batch} x {time} x {channels}, {heads} heads; errors relative to f64\n");
    println!("{:<26} {:>9} {:>9}", "", "f32", "int8");
    let run = |config: Option<&DotGeneralConfig>| {
        Attention::new(heads, config)?.train(&x, &parameters, Key::new(0), |output| output - &target)
    };
    let (single, quantized) = (run(None)?, run(Some(&int8()?))?);
    for ((name, exact), (single, quantized)) in
        exact.named().into_iter().zip(single.named().into_iter().zip(quantized.named()))
    {
        let errors = [single, quantized].map(|(_, found)| relative_error(&found, &exact));
        println!("{name:<26} {:>9.1e} {:>9.1e}", errors[0], errors[1]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block once more, in scalar loops over [batch, time, channels].
    fn scalar_output(x: &ArrayD<f64>, parameters: &Parameters<f64>, heads: usize) -> ArrayD<f64> {
        let [batch, time, channels] = *x.shape() else { panic!("three axes") };
        let width = channels / heads;
        let linear = |layer: &Linear<f64>, x: &ArrayD<f64>| {
            ArrayD::from_shape_fn(IxDyn(&[batch, time, channels]), |at| {
                let products = (0..channels).map(|i| x[[at[0], at[1], i]] * layer.weight[[i, at[2]]]);
                products.sum::<f64>() + layer.bias[at[2]]
            })
        };
        let [q, k, v] = [&parameters.query, &parameters.key, &parameters.value].map(|layer| linear(layer, x));
        let mut context = ArrayD::zeros(x.raw_dim());
        for b in 0..batch {
            for h in 0..heads {
                for t in 0..time {
                    let of_head = h * width..(h + 1) * width;
                    let score = |s: usize| {
                        of_head.clone().map(|c| q[[b, t, c]] * k[[b, s, c]]).sum::<f64>() / (width as f64).sqrt()
                    };
                    let parts: Vec<f64> = (0..=t).map(|s| score(s).exp()).collect();
                    let sum: f64 = parts.iter().sum();
                    for c in of_head.clone() {
                        context[[b, t, c]] = parts.iter().enumerate().map(|(s, part)| part / sum * v[[b, s, c]]).sum();
                    }
                }
            }
        }
        linear(&parameters.output, &context)
    }

    /// One of a block's layers.
    type Choose = fn(&mut Parameters<f64>) -> &mut Linear<f64>;

    fn problem() -> (ArrayD<f32>, Parameters<f32>, ArrayD<f32>) {
        let shape = [2, 5, 6];
        (values(Key::new(1), &shape, 1.0), random_parameters(Key::new(2), 6), values(Key::new(3), &shape, 1.0))
    }

    fn exact() -> Trained<f64> {
        let (x, parameters, cotangent) = problem();
        let block = Attention::new(2, None).unwrap();
        block.train(&x.mapv(f64::from), &widened(&parameters), Key::new(0), |_| cotangent.mapv(f64::from)).unwrap()
    }

    #[test]
    fn the_output_is_that_of_scalar_loops() {
        let (x, parameters, _) = problem();
        let expected = scalar_output(&x.mapv(f64::from), &widened(&parameters), 2);
        for (found, expected) in exact().output.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-13, "{found} is not {expected}");
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        const STEP: f64 = 1e-5;
        let (x, parameters, cotangent) = problem();
        let (x, parameters, cotangent) = (x.mapv(f64::from), widened(&parameters), cotangent.mapv(f64::from));
        let loss = |x: &ArrayD<f64>, parameters: &Parameters<f64>| (scalar_output(x, parameters, 2) * &cotangent).sum();
        let close = |found: f64, difference: f64, what: &str| {
            let difference = difference / (2.0 * STEP);
            assert!((found - difference).abs() < 1e-8, "{what}: {found} is not {difference}");
        };
        let exact = exact();
        for (at, &found) in exact.input_gradient.indexed_iter() {
            let shifted = |by: f64| {
                let mut x = x.clone();
                x[&at] += by;
                loss(&x, &parameters)
            };
            close(found, shifted(STEP) - shifted(-STEP), "input");
        }
        let layers: [(&str, Choose); 4] = [
            ("query", |parameters| &mut parameters.query),
            ("key", |parameters| &mut parameters.key),
            ("value", |parameters| &mut parameters.value),
            ("output", |parameters| &mut parameters.output),
        ];
        for (name, choose) in layers {
            let gradient = choose(&mut exact.gradients.clone()).clone();
            for (at, &found) in gradient.weight.indexed_iter() {
                let shifted = |by: f64| {
                    let mut parameters = parameters.clone();
                    choose(&mut parameters).weight[at] += by;
                    loss(&x, &parameters)
                };
                close(found, shifted(STEP) - shifted(-STEP), name);
            }
            for (at, &found) in gradient.bias.indexed_iter() {
                let shifted = |by: f64| {
                    let mut parameters = parameters.clone();
                    choose(&mut parameters).bias[at] += by;
                    loss(&x, &parameters)
                };
                close(found, shifted(STEP) - shifted(-STEP), name);
            }
        }
    }

    #[test]
    fn f32_and_int8_stay_close() {
        let (x, parameters, cotangent) = problem();
        for (config, limit) in [(None, 1e-6), (Some(int8().unwrap()), 0.05)] {
            let block = Attention::new(2, config.as_ref()).unwrap();
            let run = |key: u64| block.train(&x, &parameters, Key::new(key), |_| cotangent.clone()).unwrap();
            let trained = run(0);
            for ((name, found), (_, expected)) in trained.named().iter().zip(exact().named()) {
                let error = relative_error(found, &expected);
                assert!(error < limit, "{name}: {error}");
            }
            assert_eq!(run(0).named(), trained.named(), "the same key");
            assert_eq!(run(1).output, trained.output, "noise is the gradients' alone");
            assert_eq!(run(1).input_gradient == trained.input_gradient, config.is_none());
        }
    }
}
