//! Random words, and what stochastic rounding adds to quantization: `cargo bench --bench noise`.
//!
//! Times are of single threads; with the throughput in elements a second, one over it is the time of an element.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::{Array2, ArrayD};
use qeinsum::quant::{IntNumerics, Noise, Numerics};
use qeinsum::rng::Layout;
use qeinsum::{DotGeneralConfig, Key, QEinsum};

const LAYOUTS: [(&str, Layout); 2] = [("original", Layout::Original), ("partitionable", Layout::Partitionable)];

fn draw(c: &mut Criterion) {
    const WORDS: usize = 1 << 20;
    let mut group = c.benchmark_group("draw");
    group.throughput(Throughput::Elements(WORDS as u64));
    for (layout, of) in LAYOUTS {
        let key = Key::new(1).with_layout(of);
        for noise in [Noise::JaxUniform, Noise::Custom1] {
            let mut values = vec![0.0; WORDS];
            group.bench_function(BenchmarkId::new(noise.to_string(), layout), |bencher| {
                bencher.iter(|| noise.fill(black_box(key), WORDS, 0, &mut values));
            });
        }
    }
    group.finish();
}

/// A side of a call, quantized with its scales and stored: what a gradient's call does to the gradient.
fn quantize(c: &mut Criterion) {
    const SIZE: usize = 1024;
    let shape: &[usize] = &[SIZE, SIZE];
    let standard = Array2::from_shape_fn((SIZE, SIZE), |(i, j)| ((i * 31 + j * 17) % 255) as f32 - 127.0).into_dyn();
    let transposed: ArrayD<f32> = standard.clone().reversed_axes();
    let threads = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread more can be had");
    let mut group = c.benchmark_group("quantize");
    group.throughput(Throughput::Elements((SIZE * SIZE) as u64));
    let noises = [("none", None), ("jax.uniform", Some(Noise::JaxUniform)), ("custom-1", Some(Noise::Custom1))];
    for (equation, scales) in [("ij,kj->ik", "per-row"), ("ij,ik->jk", "per-column")] {
        let plain = QEinsum::new(equation).expect("equations of this list parse");
        for (name, noise) in noises {
            for (layout, of) in LAYOUTS.into_iter().take(if noise.is_some() { 2 } else { 1 }) {
                let mut config = DotGeneralConfig::v4().build().expect("the default configuration is sound");
                let int = IntNumerics { noise, ..IntNumerics::new(8).expect("eight bits are few enough") };
                config.forward.lhs.numerics = Numerics::Int(int);
                let einsum = plain.clone().with_config(config);
                let key = Some(Key::new(3).with_layout(of));
                for (order, array) in [("standard", &standard), ("transposed", &transposed)] {
                    let id = BenchmarkId::new(format!("{name}/{layout}"), format!("{scales}/{order}"));
                    group.bench_function(id, |bencher| {
                        let freeze = || einsum.freeze(0, black_box(array), &[shape, shape], key);
                        threads.install(|| bencher.iter(|| freeze().expect("it fits the equation")));
                    });
                }
            }
        }
    }
    group.finish();
}

criterion_group!(benches, draw, quantize);
criterion_main!(benches);
