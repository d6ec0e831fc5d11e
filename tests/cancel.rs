//! Runs that are cancelled end soon, with an error, and leave nothing behind.

#![allow(clippy::print_stdout, reason = "how long it took")]

use std::thread;
use std::time::{Duration, Instant};

use ndarray::{Array, ArrayD, IxDyn};
use num_complex::Complex;
use num_traits::One;
use qeinsum::quant::{Noise, Numerics};
use qeinsum::{Cancel, DotGeneralConfig, Element, ErrorKind, Key, QEinsum, Result, interpret};

/// What this takes is a few hundredths of a second (`.ci/deep faults` prints it), but not on a machine that does other things
/// beside, without optimization; runs that did not end would go on forever.
const SOON: Duration = Duration::from_secs(20);

fn operand<T: Element + One>(shape: &[usize]) -> ArrayD<T> {
    let mut state = 1_u32;
    Array::from_shape_simple_fn(IxDyn(shape), || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if state >> 31 == 0 { T::one() } else { T::ZERO }
    })
}

fn on<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Runs again and again until it is cancelled, in pools of one and of two threads.
fn cancelled<R: Send>(what: &str, run: impl Fn(&Cancel) -> Result<R> + Sync) {
    for threads in [1, 2] {
        for after in [30, 200] {
            let cancel = Cancel::new();
            let (sent, got) = std::sync::mpsc::channel();
            let ended = thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(after));
                    cancel.cancel();
                    sent.send(Instant::now()).unwrap();
                });
                on(threads, || {
                    loop {
                        if let Err(error) = run(&cancel) {
                            return (error, Instant::now());
                        }
                    }
                })
            });
            let (error, ended) = ended;
            assert_eq!((error.kind(), error.to_string().as_str()), (&ErrorKind::Cancelled, "cancelled"), "{what}");
            let took = ended.saturating_duration_since(got.recv().unwrap());
            println!("{what}, {threads} threads, after {after} ms: {:.1} ms", 1e3 * took.as_secs_f64());
            assert!(took < SOON, "{what} took {took:?}");
        }
        // Once cancelled, at once.
        let cancel = Cancel::new();
        cancel.cancel();
        let started = Instant::now();
        assert_eq!(on(threads, || run(&cancel).map(drop)).unwrap_err().kind(), &ErrorKind::Cancelled, "{what}");
        assert!(started.elapsed() < SOON, "{what}");
    }
}

/// An equation of operands of these shapes.
fn forward<T: Element + One>(equation: &str, shapes: &[&[usize]], config: Option<&DotGeneralConfig>) {
    let operands: Vec<ArrayD<T>> = shapes.iter().map(|shape| operand(shape)).collect();
    let einsum = QEinsum::new(equation).unwrap();
    let einsum = config.map_or(einsum.clone(), |config| einsum.with_config(config.clone()));
    let quantized = if config.is_some() { "quantized" } else { "plain" };
    cancelled(&format!("{equation} {shapes:?} {} {quantized}", T::DTYPE), |cancel| {
        einsum.clone().with_cancel(cancel).run_with_key(&operands, Key::new(1))
    });
}

fn noisy() -> DotGeneralConfig {
    let mut config = DotGeneralConfig::v4().build().unwrap();
    for side in [&mut config.forward.lhs, &mut config.forward.rhs] {
        if let Numerics::Int(int) = &mut side.numerics {
            int.noise = Some(Noise::JaxUniform);
        }
    }
    config
}

#[test]
fn products_of_every_type() {
    let square: &[usize] = &[2500, 2500];
    forward::<f32>("ij,jk,kl->il", &[square; 3], None);
    forward::<f64>("ij,jk,kl->il", &[square; 3], None);
    forward::<half::f16>("ij,jk,kl->il", &[square; 3], None);
    forward::<Complex<f64>>("ij,jk->ik", &[square; 2], None);
}

#[test]
fn quantized_products() {
    let square: &[usize] = &[3000, 3000];
    forward::<f32>("ij,jk,kl->il", &[square; 3], Some(&DotGeneralConfig::v4().build().unwrap()));
    forward::<f32>("ij,jk,kl->il", &[square; 3], Some(&noisy()));
    forward::<f32>("ij,jk->ik", &[&[300, 30_000], &[30_000, 300]], Some(&noisy()));
}

#[test]
fn what_is_no_large_product() {
    let square: &[usize] = &[4000, 4000];
    // Sums, products of elements, outer products, vectors, copies, small matrices.
    forward::<f32>("ij->i", &[&[5000, 5000]], None);
    forward::<f64>("ij->j", &[&[3000, 3000]], None);
    forward::<f32>("ij,ij->ji", &[square; 2], None);
    forward::<f32>("i,j->ij", &[&[5000], &[5000]], None);
    forward::<f32>("ij,j->i", &[&[5000, 5000], &[5000]], None);
    forward::<f32>("ijk->kji", &[&[250, 250, 250]], None);
    forward::<f32>("bij,bjk->bik", &[&[100_000, 5, 6], &[100_000, 6, 7]], None);
    forward::<f32>("ij,jk->ik", &[&[4000, 4000], &[4000, 2]], Some(&noisy()));
}

#[test]
fn gradients() {
    let x = operand::<f32>(&[2000, 2000]);
    for config in [None, Some(DotGeneralConfig::v4().drhs_bits(Some(8)).noise(Noise::JaxUniform).build().unwrap())] {
        let einsum = QEinsum::new("ij,jk,kl->il").unwrap();
        let einsum = config.map_or(einsum.clone(), |config| einsum.with_config(config));
        cancelled("forward, to be pulled", |cancel| {
            einsum.clone().with_cancel(cancel).vjp((&x, &x, &x), Key::new(0)).map(drop)
        });
        // The same pullback, with another token each time.
        cancelled("pulled", |cancel| {
            // Forward nobody stops it: the token is not set yet, or the forward run says so itself.
            let (_, grads) = einsum.clone().with_cancel(cancel).vjp((&x, &x, &x), Key::new(0))?;
            grads.pull(&x)
        });
    }
}

#[test]
fn slices_frozen_operands_and_several_equations() {
    let x = operand::<f32>(&[2000, 2000]);
    let sliced = QEinsum::new("ab,bc,cd->ad").unwrap().with_path("(0,1) (0,1)".parse().unwrap()).with_slices(&["c"]);
    let cut = operand::<f32>(&[2000, 40]);
    let back = operand::<f32>(&[40, 2000]);
    cancelled("slices", |cancel| sliced.clone().with_cancel(cancel).run((&cut, &back, &x)));

    let v4 = DotGeneralConfig::v4().build().unwrap();
    let compiled = QEinsum::new("ij,jk->ik").unwrap().with_config(v4).compile(&[x.shape(), x.shape()]).unwrap();
    let frozen = compiled.freeze(1, &x, None).unwrap();
    cancelled("freezing", |cancel| compiled.clone().with_cancel(cancel).freeze(1, &x, None));
    cancelled("serving", |cancel| {
        let serving = compiled.clone().with_cancel(cancel).serve::<f32>(vec![frozen.clone()])?;
        (0..20).try_for_each(|_| serving.run((&x,)).map(drop))
    });

    let many = QEinsum::many(&[("ij,jk->ik", &[0, 1]), ("ij,jk,kl->il", &[0, 1, 0])]).unwrap();
    cancelled("several equations", |cancel| many.clone().with_cancel(cancel).run((&x, &x)));
}

#[test]
fn the_naive_interpreter() {
    let x = operand::<f64>(&[300, 300]);
    let equation = QEinsum::new("ij,jk->ik").unwrap().equation(&[2, 2]).unwrap();
    cancelled("naive", |cancel| cancel.scope(|| interpret(&equation, &[x.view(), x.view()])));
}

#[test]
fn searches_of_runs() {
    // So many operands that a good order takes seconds to find.
    let labels: Vec<char> = ('a'..='z').chain('A'..='Z').collect();
    let terms: Vec<String> =
        (0..40).map(|at| (0..3).map(|step| labels[(7 * at + 11 * step * step + at * step) % 52]).collect()).collect();
    let equation = format!("{}->", terms.join(","));
    let options = qeinsum::path::SearchOptions::new().effort(10_000);
    let shape: &[usize] = &[2, 2, 2];
    cancelled("a search", |cancel| {
        QEinsum::new(&equation)?.with_search(options.clone()).with_cancel(cancel).plan(&[shape; 40])
    });
}

#[test]
fn what_comes_after_is_as_ever_and_nothing_was_written() {
    let a = operand::<f32>(&[300, 500]);
    let b = operand::<f32>(&[500, 400]);
    for threads in [1, 2] {
        on(threads, || {
            for config in [None, Some(noisy())] {
                let einsum = QEinsum::new("ij,jk->ki").unwrap();
                let einsum = config.map_or(einsum.clone(), |config| einsum.with_config(config));
                let expected = einsum.run_with_key((&a, &b), Key::new(3)).unwrap();
                let mut ends = 0;
                for micros in (0..10_000).step_by(500) {
                    let cancel = Cancel::new();
                    let stoppable = einsum.clone().with_cancel(&cancel);
                    let ended = thread::scope(|scope| {
                        scope.spawn(|| {
                            thread::sleep(Duration::from_micros(micros));
                            cancel.cancel();
                        });
                        stoppable.run_with_key((&a, &b), Key::new(3))
                    });
                    match ended {
                        // Whole before it took notice.
                        Ok(made) => assert_eq!(made, expected),
                        Err(error) => {
                            ends += 1;
                            assert_eq!(error.kind(), &ErrorKind::Cancelled);
                        }
                    }
                    assert_eq!(einsum.run_with_key((&a, &b), Key::new(3)).unwrap(), expected);
                }
                assert!(ends > 0);
            }
            let cancel = Cancel::new();
            cancel.cancel();
            let mut out = ndarray::Array2::from_elem((400, 300), 7.0);
            let einsum = QEinsum::new("ij,jk->ki").unwrap().with_cancel(&cancel);
            einsum.run_into((&a, &b), &mut out).unwrap_err();
            assert!(out.iter().all(|&x| x == 7.0));
        });
    }
}

#[test]
fn an_observer_may_run_what_it_likes() {
    let a = operand::<f32>(&[64, 64]);
    let config = DotGeneralConfig::v4().build().unwrap();
    let (cancel, other) = (Cancel::new(), QEinsum::new("ij,jk->ik").unwrap());
    let large = operand::<f32>(&[600, 600]);
    let expected = other.run((&large, &large)).unwrap();
    let einsum = other.clone().with_config(config).with_cancel(&cancel);
    let mut inside = Vec::new();
    let ended = on(2, || {
        einsum.run_recorded((&a, &a), None, |_, _| {
            cancel.cancel();
            inside.push(other.run((&large, &large)).unwrap());
        })
    });
    // The run was whole but for its end, or it took notice: the run inside is not its business.
    assert!(ended.map_or_else(|error| error.kind() == &ErrorKind::Cancelled, |made| made.shape() == [64, 64]));
    assert_eq!(inside, [expected]);
}

#[test]
fn runs_beside_a_cancelled_one_go_on() {
    // In one pool, whose threads take up parts of each other's runs while they wait.
    let x = operand::<f32>(&[500, 500]);
    let einsum = QEinsum::new("ij,jk->ik").unwrap();
    let expected = einsum.run((&x, &x)).unwrap();
    on(2, || {
        rayon::scope(|scope| {
            for number in 0..40_u64 {
                let (einsum, x, expected) = (&einsum, &x, &expected);
                scope.spawn(move |_| {
                    if number % 2 == 0 {
                        assert_eq!(&einsum.run((x, x)).unwrap(), expected);
                        return;
                    }
                    let cancel = Cancel::new();
                    let stoppable = einsum.clone().with_cancel(&cancel);
                    thread::scope(|threads| {
                        threads.spawn(|| {
                            thread::sleep(Duration::from_micros(500 * number));
                            cancel.cancel();
                        });
                        while stoppable.run((x, x)).is_ok_and(|made| made == expected) {}
                    });
                    assert!(cancel.is_cancelled());
                });
            }
        });
    });
}
