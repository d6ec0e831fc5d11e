//! Trains a two-layer classifier on handwritten digits: in f32, with int8 products, and with int4 ones forward.
//!
//! ```text
//! cargo run --release --example digits
//! ```
//!
//! Ten seeds a configuration, each with its own initialization, order of images and noise; the same for all configurations,
//! and the same split of the data for all. Under int8 and int4 each product of a training step is quantized, the gradients'
//! with stochastic rounding. At the end the weights of each int8 model are frozen, written to a file's bytes and read
//! again, and what it serves is compared with what it computed in training, bit for bit.

#![allow(clippy::print_stdout, reason = "an example prints what it found")]

use std::path::Path;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use ndarray::{Array2, ArrayD, ArrayView1, Axis, Zip};
use qeinsum::io::{self, AnyArray};
use qeinsum::quant::DotGeneralConfig;
use qeinsum::{Dtype, Frozen, Key, QEinsum, QuantConfig, Result};

const SEEDS: u32 = 10;
const EPOCHS: usize = 40;
const BATCH: usize = 32;
const HIDDEN: usize = 64;
const RATE: f32 = 0.2;
/// Every image whose number this divides is kept for testing.
const TEST_EVERY: usize = 5;
const CLASSES: usize = 10;

/// Images as rows of pixels between 0 and 1, and what each shows.
struct Digits {
    images: Array2<f32>,
    labels: Vec<usize>,
}

impl Digits {
    /// Training and test images.
    fn load() -> Result<[Self; 2]> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/digits.npz");
        let array = |name: &str| -> Result<ArrayD<f32>> {
            match io::load(format!("{}:{name}", file.display()))?.cast(Dtype::F32)? {
                AnyArray::F32(array) => Ok(array),
                _ => unreachable!("it was cast"),
            }
        };
        let images: Array2<f32> = array("images")?.into_dimensionality().expect("one row an image");
        let labels = array("labels")?;
        let part = |wanted: &dyn Fn(usize) -> bool| {
            let rows: Vec<usize> = (0..images.nrows()).filter(|&row| wanted(row)).collect();
            let labels = rows.iter().map(|&row| labels[[row]] as usize).collect();
            Self { images: images.select(Axis(0), &rows) / 16.0, labels }
        };
        Ok([part(&|row| row % TEST_EVERY != 0), part(&|row| row % TEST_EVERY == 0)])
    }
}

/// A product of activations and weights, and the weights.
struct Layer {
    product: QEinsum,
    weights: Array2<f32>,
}

/// Two layers, with the positive part taken between them.
struct Classifier {
    first: Layer,
    second: Layer,
}

impl Layer {
    fn new(config: Option<&DotGeneralConfig>, inputs: usize, outputs: usize, key: Key) -> Result<Self> {
        let product = QEinsum::new("bi,io->bo")?;
        let product = match config {
            Some(config) => product.with_config(QuantConfig::from(config.clone())),
            None => product,
        };
        let spread = (6.0 / inputs as f32).sqrt();
        let weights = key.uniform(inputs * outputs).into_iter().map(|u| (2.0 * u - 1.0) * spread).collect();
        let weights = Array2::from_shape_vec((inputs, outputs), weights).expect("as many as were drawn");
        Ok(Self { product, weights })
    }

    fn descend(&mut self, gradient: &ArrayD<f32>) {
        self.weights.zip_mut_with(gradient, |weight, gradient| *weight -= RATE * gradient);
    }
}

impl Classifier {
    fn new(config: Option<&DotGeneralConfig>, key: Key) -> Result<Self> {
        Ok(Self {
            first: Layer::new(config, 64, HIDDEN, key.fold_in(0))?,
            second: Layer::new(config, HIDDEN, CLASSES, key.fold_in(1))?,
        })
    }

    /// A step of gradient descent on a batch; its mean loss comes out.
    fn train(&mut self, images: &Array2<f32>, labels: &[usize], key: Key) -> Result<f32> {
        let (first, second) = (&self.first, &self.second);
        let (hidden, pull_first) = first.product.vjp((images, &first.weights), key.fold_in(0))?;
        let active = positive(&hidden);
        let (scores, pull_second) = second.product.vjp((&active, &second.weights), key.fold_in(1))?;
        let (loss, cotangent) = cross_entropy(scores, labels);
        let [mut back, of_second] = gradients(pull_second.pull(&cotangent)?);
        Zip::from(&mut back).and(&hidden).for_each(|back, &hidden| *back = if hidden > 0.0 { *back } else { 0.0 });
        let [of_first] = gradients(pull_first.wrt(&[1])?.pull(&back)?);
        self.first.descend(&of_first);
        self.second.descend(&of_second);
        Ok(loss)
    }

    fn scores(&self, images: &Array2<f32>) -> Result<ArrayD<f32>> {
        let hidden = self.first.product.run((images, &self.first.weights))?;
        self.second.product.run((&positive(&hidden), &self.second.weights))
    }

    /// The layers' weights as the bytes of files.
    fn freeze(&self, batch: usize) -> Result<[Vec<u8>; 2]> {
        let bytes = |layer: &Layer| {
            let shapes: [&[usize]; 2] = [&[batch, layer.weights.nrows()], layer.weights.shape()];
            layer.product.freeze(1, &layer.weights, &shapes, None)?.to_bytes()
        };
        Ok([bytes(&self.first)?, bytes(&self.second)?])
    }
}

fn gradients<const N: usize>(list: Vec<ArrayD<f32>>) -> [ArrayD<f32>; N] {
    list.try_into().unwrap_or_else(|_| unreachable!("as many as were asked for"))
}

fn positive(x: &ArrayD<f32>) -> ArrayD<f32> {
    x.mapv(|x| x.max(0.0))
}

/// What frozen weights alone compute, each layer under the configuration in its file.
fn serve(files: &[Vec<u8>; 2], images: &Array2<f32>) -> Result<ArrayD<f32>> {
    let mut x = images.clone().into_dyn();
    for (number, file) in files.iter().enumerate() {
        let frozen = Frozen::from_bytes(file)?;
        let product = QEinsum::new(frozen.equation())?.with_config(frozen.config().clone());
        let out = product.run((&x, &frozen))?;
        x = if number == 0 { positive(&out) } else { out };
    }
    Ok(x)
}

/// The mean of `-log p` of the right classes, and its gradient with respect to the scores.
fn cross_entropy(mut scores: ArrayD<f32>, labels: &[usize]) -> (f32, ArrayD<f32>) {
    let count = labels.len() as f32;
    let mut loss = 0.0;
    for (mut row, &label) in scores.rows_mut().into_iter().zip(labels) {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let right = row[label] - most;
        // The functions of `libm` give the same bits on every machine.
        row.mapv_inplace(|score| libm::expf(score - most));
        let sum: f32 = row.iter().sum();
        loss += libm::logf(sum) - right;
        row.mapv_inplace(|part| part / sum / count);
        row[label] -= 1.0 / count;
    }
    (loss / count, scores)
}

fn accuracy(scores: &ArrayD<f32>, labels: &[usize]) -> f32 {
    let best = |row: ArrayView1<'_, f32>| {
        row.iter().enumerate().fold(0, |best, (class, score)| if *score > row[best] { class } else { best })
    };
    let right = scores.rows().into_iter().zip(labels).filter(|(row, label)| best(*row) == **label).count();
    right as f32 / labels.len() as f32
}

fn first_difference(a: &ArrayD<f32>, b: &ArrayD<f32>) -> Option<usize> {
    a.iter().zip(b).position(|(a, b)| a.to_bits() != b.to_bits())
}

/// The numbers from 0 to `count` in an order that the key decides.
fn shuffled(key: Key, count: usize) -> Vec<usize> {
    let bits = key.bits32(count);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&at| (bits[at], at));
    order
}

/// What one seed ended with.
struct Trained {
    model: Classifier,
    /// The mean over the last epoch.
    training_loss: f32,
    test_loss: f32,
    accuracy: f32,
}

fn train(
    config: Option<&DotGeneralConfig>,
    [train, test]: [&Digits; 2],
    seed: u32,
    epochs: usize,
    progress: &ProgressBar,
) -> Result<Trained> {
    let key = Key::new(u64::from(seed));
    let mut model = Classifier::new(config, key.fold_in(0))?;
    let mut training_loss = 0.0;
    for epoch in 0..epochs {
        let key = key.fold_in(1 + epoch as u32);
        let order = shuffled(key, train.labels.len());
        let batches = order.chunks_exact(BATCH);
        let count = batches.len() as f32;
        training_loss = 0.0;
        for (number, rows) in batches.enumerate() {
            let images = train.images.select(Axis(0), rows);
            let labels: Vec<usize> = rows.iter().map(|&row| train.labels[row]).collect();
            training_loss += model.train(&images, &labels, key.fold_in(number as u32))? / count;
        }
        progress.inc(1);
    }
    let scores = model.scores(&test.images)?;
    let accuracy = accuracy(&scores, &test.labels);
    let test_loss = cross_entropy(scores, &test.labels).0;
    Ok(Trained { model, training_loss, test_loss, accuracy })
}

/// The mean and the standard deviation (of a sample) of a measure over all seeds.
fn spread(runs: &[Trained], measure: impl Fn(&Trained) -> f32) -> (f64, f64) {
    let values: Vec<f64> = runs.iter().map(|run| f64::from(measure(run))).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (values.len() as f64 - 1.0)).sqrt())
}

/// Forward products of so many bits, the gradients' of eight, with noise on what comes in.
fn bits(forward: u8) -> Result<DotGeneralConfig> {
    DotGeneralConfig::v4().fwd_bits(Some(forward)).drhs_bits(Some(8)).build()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [train_set, test_set] = Digits::load()?;
    let data = [&train_set, &test_set];
    let start = Instant::now();
    println!(
        "{} images to train on, {} to test; {} x {HIDDEN} x {CLASSES} weights, {EPOCHS} epochs, {SEEDS} seeds",
        train_set.labels.len(),
        test_set.labels.len(),
        train_set.images.ncols()
    );
    let configs = [("f32", None), ("int8", Some(bits(8)?)), ("int4 forward", Some(bits(4)?))];
    let progress = ProgressBar::new(configs.len() as u64 * u64::from(SEEDS) * EPOCHS as u64);
    progress.set_style(ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}").expect("the template is right"));
    let mut results = Vec::new();
    for (name, config) in &configs {
        progress.set_message(*name);
        let runs = (0..SEEDS).map(|seed| train(config.as_ref(), data, seed, EPOCHS, &progress));
        results.push((*name, runs.collect::<Result<Vec<Trained>>>()?));
    }
    progress.finish_and_clear();

    println!("\n{:<14} {:>17} {:>17} {:>19}", "", "training loss", "test loss", "test accuracy");
    for (name, runs) in &results {
        let [training, test] = [spread(runs, |run| run.training_loss), spread(runs, |run| run.test_loss)];
        let accuracy = spread(runs, |run| 100.0 * run.accuracy);
        println!(
            "{name:<14} {:>8.4} ± {:.4} {:>8.4} ± {:.4} {:>9.2} ± {:.2} %",
            training.0, training.1, test.0, test.1, accuracy.0, accuracy.1
        );
    }
    let [(float, deviation), (int8, _)] =
        [&results[0].1, &results[1].1].map(|runs| spread(runs, |run| 100.0 * run.accuracy));
    let away = (int8 - float).abs() / deviation;
    println!("\nint8 is {away:.2} standard deviations of f32 away from f32");

    let mut outputs = 0;
    for run in &results[1].1 {
        let files = run.model.freeze(BATCH)?;
        let [trained, served] = [run.model.scores(&test_set.images)?, serve(&files, &test_set.images)?];
        if let Some(at) = first_difference(&trained, &served) {
            return Err(format!("score {at} of a served model is another than in training").into());
        }
        outputs += served.len();
    }
    println!("{outputs} outputs of {SEEDS} served int8 models equal the trained ones bit for bit");
    println!("{:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_are_all_there() {
        let [train, test] = Digits::load().unwrap();
        assert_eq!((train.labels.len(), test.labels.len()), (1437, 360));
        assert_eq!((train.images.dim(), test.images.dim()), ((1437, 64), (360, 64)));
        assert!(train.images.iter().chain(&test.images).all(|pixel| (0.0..=1.0).contains(pixel)));
        let counts = (0..CLASSES).map(|class| train.labels.iter().filter(|&&label| label == class).count());
        assert!(counts.into_iter().all(|count| (130..160).contains(&count)));
        // The first images are of 0, 1, 2, …
        assert_eq!((test.labels[0], &train.labels[..5]), (0, &[1, 2, 3, 4, 6][..]));
    }

    #[test]
    fn a_few_epochs_learn_the_digits_and_serve_what_they_learned() {
        let [train_set, test_set] = Digits::load().unwrap();
        let hidden = ProgressBar::hidden();
        for (config, least) in [(None, 0.9), (Some(bits(8).unwrap()), 0.9), (Some(bits(4).unwrap()), 0.85)] {
            let run = || train(config.as_ref(), [&train_set, &test_set], 3, 4, &hidden).unwrap();
            let trained = run();
            assert!(trained.accuracy > least && trained.test_loss < 0.6, "{} {}", trained.accuracy, trained.test_loss);
            let scores = trained.model.scores(&test_set.images).unwrap();
            assert_eq!(first_difference(&scores, &run().model.scores(&test_set.images).unwrap()), None);
            if config.is_some() {
                let files = trained.model.freeze(BATCH).unwrap();
                assert_eq!(first_difference(&scores, &serve(&files, &test_set.images).unwrap()), None);
            }
        }
    }

    #[test]
    fn the_loss_has_the_gradient_that_it_says() {
        let scores = ArrayD::from_shape_vec(vec![2, 3], vec![0.5_f32, -1.0, 2.0, 0.0, 0.25, -0.5]).unwrap();
        let (loss, gradient) = cross_entropy(scores.clone(), &[2, 0]);
        for at in [[0, 0], [0, 2], [1, 1]] {
            let mut shifted = scores.clone();
            shifted[at] += 0.01;
            let difference = (cross_entropy(shifted, &[2, 0]).0 - loss) / 0.01;
            assert!((difference - gradient[at]).abs() < 2e-3, "{difference} {}", gradient[at]);
        }
        assert_eq!(accuracy(&scores, &[2, 0]), 0.5);
    }
}
