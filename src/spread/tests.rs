//! The same bits on any number of ranks, by any labels.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, Axis};
use num_complex::Complex;

use super::{Network, Spread};
use crate::compiled::Compiled;
use crate::exec::{Checkpoint, Held, Recipients, Unquantized, Value, execute_on};
use crate::kernel::Element;
use crate::lower::ValueId;
use crate::quant::{DotGeneralConfig, Noise, QuantConfig};
use crate::ranks::{Communicator as _, alone as alone_rank, in_threads};
use crate::rng::Key;
use crate::{Error, OperandView, Plan, QEinsum, Stored};

/// Numbers that round.
fn operand<T: Element>(shape: &[usize], seed: u32) -> ArrayD<T> {
    let mut state = seed.wrapping_mul(2_654_435_769) | 1;
    let parts = if T::DTYPE.is_complex() { &[2][..] } else { &[] };
    let shape: Vec<usize> = shape.iter().chain(parts).copied().collect();
    let floats = ArrayD::from_shape_fn(ndarray::IxDyn(&shape), |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    });
    T::from_floats(floats)
}

/// Every way to share the calls: all by one choice of labels for each, whatever it costs.
fn spreads(compiled: &Compiled, ranks: usize) -> Vec<Spread> {
    let chosen = compiled.spread(ranks, Network { latency: 0.0, bytes_per_second: f64::INFINITY });
    let dear = compiled.spread(ranks, Network { latency: 1.0, bytes_per_second: 1.0 });
    let plan = compiled.plan();
    let mut all = vec![chosen, dear];
    for label in plan.equation().labels() {
        all.extend(Spread::by(plan, compiled.config(), ranks, label));
    }
    all
}

/// What a rank is given of an operand.
fn part<'a, T>(whole: &'a ArrayD<T>, part: &[Range<usize>]) -> ArrayViewD<'a, T> {
    let mut view = whole.view();
    for (axis, range) in part.iter().enumerate() {
        view.slice_axis_inplace(Axis(axis), range.clone().into());
    }
    view
}

fn check<T: Element>(equation: &str, shapes: &[&[usize]], config: Option<QuantConfig>) -> Result<usize, Error> {
    let qe = QEinsum::new(equation)?.with_dtype(T::DTYPE);
    let qe = match config {
        Some(config) => qe.with_config(config),
        None => qe,
    };
    let compiled = qe.compile(shapes)?;
    let operands: Vec<ArrayD<T>> = shapes.iter().zip(1..).map(|(shape, seed)| operand(shape, seed)).collect();
    let key = Key::new(11);
    let bits = |array: &ArrayD<T>| crate::kernel::bytes(array.as_slice().unwrap()).to_vec();
    let (alone, pullback) = compiled.vjp(&operands[..], key)?;
    let cotangent = operand::<T>(alone.shape(), 99);
    let gradients = pullback.pull(&cotangent)?;
    let run = compiled.run_with_key(&operands[..], key)?;
    assert_eq!(bits(&run), bits(&alone));
    let mut tried = 0;
    for ranks in [2, 3, 5] {
        for spread in spreads(&compiled, ranks) {
            let what = format!("{equation} {shapes:?} {} {spread}", T::DTYPE);
            let made = in_threads(ranks, |ranks| {
                let run = compiled.run_spread(ranks, &spread, &operands[..], Some(key))?;
                let (plan, config) = (compiled.plan(), compiled.config());
                let parts: Vec<_> = operands
                    .iter()
                    .enumerate()
                    .map(|(at, array)| part(array, &spread.part(plan, at, ranks.rank())))
                    .collect();
                let of_parts = plan.run_parts_on(ranks, &spread, &parts[..], config, Some(key))?;
                assert_eq!(bits(&of_parts), bits(&run));
                let for_first = plan.run_parts_for_first(ranks, &spread, &parts[..], config, Some(key))?;
                assert_eq!(for_first.as_ref().map(bits), (ranks.rank() == 0).then(|| bits(&run)));
                let (forward, pullback) = match ranks.size() {
                    2 => plan.vjp_parts_on(ranks, &spread, &parts[..], config, Some(key))?,
                    _ => compiled.vjp_spread(ranks, spread.clone(), &operands[..], Some(key))?,
                };
                assert_eq!(bits(&forward), bits(&run));
                let pulled = pullback.pull(&cotangent)?;
                let for_first = pullback.wrt(&[pulled.len() - 1])?.pull_for_first(&cotangent)?;
                let last = for_first.as_deref().map(|gradients| gradients.iter().map(bits).collect::<Vec<_>>());
                assert_eq!(last, (ranks.rank() == 0).then(|| vec![bits(&pulled[pulled.len() - 1])]));
                Ok::<_, Error>((run, pulled))
            });
            for made in made {
                let (run, pulled) = made?;
                assert!(bits(&run) == bits(&alone), "{what}");
                for (operand, (pulled, gradient)) in pulled.iter().zip(&gradients).enumerate() {
                    assert!(bits(pulled) == bits(gradient), "gradient {operand} of {what}");
                }
            }
            tried += 1;
        }
    }
    Ok(tried)
}

/// Equations with batches, diagonals, sums before calls, labels that broadcast, long and short contractions.
const EQUATIONS: [(&str, &[&[usize]]); 9] = [
    ("ij,jk->ik", &[&[6, 7], &[7, 5]]),
    ("ij,jk->ki", &[&[5, 4096], &[4096, 3]]),
    ("bij,bjk->bik", &[&[4, 3, 2050], &[4, 2050, 2]]),
    ("ij,jk,kl->il", &[&[4, 6], &[6, 8], &[8, 3]]),
    ("bthd,bshd->bhts", &[&[2, 5, 3, 8], &[2, 4, 3, 8]]),
    ("aab,bc,cd->da", &[&[3, 3, 4], &[4, 5], &[5, 2]]),
    ("abx,bc->c", &[&[5, 6, 2], &[6, 3]]),
    ("ij,ij->", &[&[30, 300], &[30, 300]]),
    ("ij,jk,jl->ikl", &[&[3, 5], &[1, 4], &[5, 2]]),
];

#[test]
fn ranks_make_the_bits_of_one() {
    let mut tried = 0;
    for (equation, shapes) in EQUATIONS {
        tried += check::<f32>(equation, shapes, None).unwrap();
        tried += check::<f64>(equation, shapes, None).unwrap();
    }
    for (equation, shapes) in &EQUATIONS[..4] {
        tried += check::<f16>(equation, shapes, None).unwrap();
        tried += check::<bf16>(equation, shapes, None).unwrap();
        tried += check::<Complex<f32>>(equation, shapes, None).unwrap();
    }
    assert!(tried > 200, "{tried}");
}

#[test]
fn ranks_quantize_as_one_does() {
    let v4 = || DotGeneralConfig::v4().build().unwrap();
    let noisy = DotGeneralConfig::v4().drhs_bits(Some(8)).noise(Noise::Custom1).build().unwrap();
    let configs: [QuantConfig; 4] = [
        v4().into(),
        noisy.into(),
        QuantConfig::from_bits(4).unwrap(),
        QuantConfig::from(v4()).with_operand(1, crate::quant::TensorConfig::UNQUANTIZED),
    ];
    for config in configs {
        for (equation, shapes) in EQUATIONS {
            check::<f32>(equation, shapes, Some(config.clone())).unwrap();
        }
        check::<bf16>(EQUATIONS[3].0, EQUATIONS[3].1, Some(config.clone())).unwrap();
        check::<f16>(EQUATIONS[2].0, EQUATIONS[2].1, Some(config)).unwrap();
    }
}

#[test]
fn what_is_chosen_follows_what_messages_cost() {
    let compiled = QEinsum::new("ij,jk->ik").unwrap().compile(&[&[512, 1 << 16], &[1 << 16, 8]]).unwrap();
    let free = Network { latency: 0.0, bytes_per_second: f64::INFINITY };
    assert!(compiled.spread(4, free).calls()[0].is_some());
    let dear = Network { latency: 10.0, bytes_per_second: 1.0 };
    assert_eq!(compiled.spread(4, dear).calls(), [None]);
}

/// One rank takes what one process does, however its calls are shared, and of several each takes less where it has to.
#[test]
fn what_a_rank_takes_is_known() {
    const LARGE: [(&str, &[&[usize]]); 4] = [
        ("ij,jk->ik", &[&[3000, 700], &[700, 5]]),
        ("ij,jk->ik", &[&[8, 40_000], &[40_000, 5]]),
        ("ij,jk,kl->il", &[&[4000, 60], &[60, 800], &[800, 3]]),
        ("bthd,bshd->bhts", &[&[2, 50, 8, 900], &[2, 4, 8, 900]]),
    ];
    let int8 = QuantConfig::from_bits(8).unwrap();
    let dear = Network { latency: 10.0, bytes_per_second: 1.0 };
    for (equation, shapes) in EQUATIONS.into_iter().chain(LARGE) {
        let plan = QEinsum::new(equation).unwrap().plan(shapes).unwrap();
        for config in [None, Some(&int8)] {
            let bytes = |spread: &Spread| spread.run_bytes(&plan, plan.dtype(), config);
            let alone = bytes(&Spread::choose(&plan, config, 1, dear));
            // Of quantized calls a plan says the most that any adds, whichever it is.
            let stated = plan.run_bytes(plan.dtype(), config);
            assert!(alone == stated || (config.is_some() && alone < stated), "{equation}: {alone:?} of {stated:?}");
            for ranks in [2, 5, 1000] {
                let within = |limit| Spread::choose_within(&plan, config, ranks, dear, limit, bytes);
                // All that is computed everywhere fits everywhere.
                let whole = within(alone.unwrap()).unwrap();
                assert!(bytes(&whole) <= alone, "{equation}");
                if LARGE.contains(&(equation, shapes)) {
                    let least = within(alone.unwrap() * 3 / 4);
                    assert!(bytes(&least.unwrap_or_else(|error| panic!("{equation} {shapes:?}: {error}"))) < alone);
                }
            }
        }
    }
    let plan = QEinsum::new("ij,jk->ik").unwrap().plan(&[&[512, 512], &[512, 512]]).unwrap();
    let bytes = |spread: &Spread| spread.run_bytes(&plan, plan.dtype(), None);
    assert_eq!(
        Spread::choose_within(&plan, None, 4, dear, 1000, bytes).unwrap_err().to_string(),
        "the memory limit is 1000 bytes: shared by 4 ranks the run needs 3145728 bytes on one"
    );
}

/// In slices the first rank takes more for what the others send it, and the more of them the more where what comes waits for its turn.
#[test]
fn what_the_first_rank_takes_for_slices_is_known() {
    for (equation, shapes, path, slices) in SLICED {
        let plan = QEinsum::new(equation).unwrap().with_path(path.parse().unwrap()).plan(shapes).unwrap();
        let plan = plan.with_slices(slices).unwrap();
        let bytes = |ranks| Spread::choose(&plan, None, ranks, Network::default()).run_bytes(&plan, plan.dtype(), None);
        assert_eq!(bytes(1), plan.run_bytes(plan.dtype(), None), "{equation} {slices:?}");
        let output = plan.value(plan.output()).bytes_in(plan.dtype()).unwrap();
        assert!(bytes(2) >= bytes(1).map(|alone| alone + 4 * output.min(8)), "{equation} {slices:?}");
        assert!(bytes(4) >= bytes(3), "{equation} {slices:?}");
    }
}

/// Ranges that end where the blocks of a gradient's sums do change who computes what, and nothing of what comes out.
#[test]
fn gradients_of_rows_are_summed_in_parts() {
    let shapes: [&[usize]; 2] = [&[5000, 3], &[3, 2]];
    let compiled = QEinsum::new("bi,io->bo").unwrap().compile(&shapes).unwrap();
    let operands: Vec<ArrayD<f32>> = shapes.iter().zip(1..).map(|(shape, seed)| operand(shape, seed)).collect();
    let (alone, pullback) = compiled.vjp(&operands[..], None).unwrap();
    let gradients = pullback.pull(&alone).unwrap();
    let free = Network { latency: 0.0, bytes_per_second: f64::INFINITY };
    for ranks in [2, 3, 4] {
        let plain = compiled.spread(ranks, free);
        let spread = plain.clone().for_gradients(compiled.plan(), f32::DTYPE, None);
        let mut parts = [0, 0];
        for (spread, parts) in [&plain, &spread].into_iter().zip(&mut parts) {
            spread.each_summed(compiled.plan(), f32::DTYPE, None, |call, summed| {
                *parts += usize::from(spread.sums_parts(call.label, summed));
            });
        }
        assert_eq!(parts, [0, 1], "{spread}");
        for pulled in in_threads(ranks, |ranks| {
            let (_, pullback) = compiled.vjp_spread(ranks, spread.clone(), &operands[..], None)?;
            pullback.pull(&alone)
        }) {
            assert!(pulled.unwrap() == gradients, "{ranks} ranks");
        }
    }
}

/// An equation with shapes, a path, and the labels that are sliced.
type Case = (&'static str, &'static [&'static [usize]], &'static str, &'static [&'static str]);

/// Each in another way: into the output, summed by few terms or by many.
const SLICED: [Case; 7] = [
    ("ij,jk,kl->il", &[&[4, 6], &[6, 8], &[8, 9]], "(0,1) (0,1)", &["l"]),
    ("ij,jk,kl->il", &[&[4, 6], &[6, 8], &[8, 9]], "(0,1) (0,1)", &["k"]),
    ("ij,jk,kl->il", &[&[4, 6], &[6, 8], &[8, 9]], "(0,1) (0,1)", &["l", "k", "i"]),
    ("ij,jk->ik", &[&[3, 5000], &[5000, 4]], "(0,1)", &["j"]),
    ("ija,jab->ib", &[&[3, 64, 512], &[64, 512, 5]], "(0,1)", &["a"]),
    ("ija,jab->ib", &[&[3, 2048, 11], &[2048, 11, 2]], "(0,1)", &["a"]),
    ("ab,bc,cd,de,ea->", &[&[3, 4], &[4, 5], &[5, 6], &[6, 7], &[7, 3]], "(0,1) (0,1) (0,1) (0,1)", &["a", "c", "e"]),
];

fn check_sliced<T: Element>(config: Option<&QuantConfig>) -> usize {
    let mut tried = 0;
    for (equation, shapes, path, slices) in SLICED {
        let qe = QEinsum::new(equation).unwrap().with_dtype(T::DTYPE).with_path(path.parse().unwrap());
        let Ok(plan) = qe.plan(shapes).unwrap().with_slices(slices) else { continue };
        if config.is_some_and(|config| plan.check_config(config).is_err()) {
            continue;
        }
        let operands: Vec<ArrayD<T>> = shapes.iter().zip(1..).map(|(shape, seed)| operand(shape, seed)).collect();
        let bits = |array: &ArrayD<T>| crate::kernel::bytes(array.as_slice().unwrap()).to_vec();
        let alone = match config {
            Some(config) => plan.run_quantized(&operands[..], config, None).unwrap(),
            None => plan.run(&operands[..]).unwrap(),
        };
        for ranks in [1, 2, 3, 5] {
            for made in in_threads(ranks, |ranks| plan.run_on(ranks, &operands[..], config, None)) {
                assert!(bits(&made.unwrap()) == bits(&alone), "{equation} {slices:?} {} {ranks} ranks", T::DTYPE);
            }
        }
        tried += 1;
    }
    tried
}

#[test]
fn slices_are_handed_out() {
    assert_eq!(check_sliced::<f32>(None), SLICED.len());
    assert!(check_sliced::<f16>(None) > 2);
    assert!(check_sliced::<Complex<f64>>(None) > 2);
    assert!(check_sliced::<f32>(Some(&QuantConfig::from_bits(8).unwrap())) > 0);
}

/// An array that is read part by part, and how many elements were.
#[derive(Debug)]
struct Kept<'a> {
    array: &'a ArrayD<f32>,
    read: AtomicUsize,
}

impl Stored<f32> for Kept<'_> {
    fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    fn read(&self, ranges: &[Range<usize>]) -> Result<ArrayD<f32>, Error> {
        let part = part(self.array, ranges);
        self.read.fetch_add(part.len(), Ordering::Relaxed);
        Ok(part.to_owned())
    }
}

#[test]
fn ranks_read_of_what_is_stored_what_they_compute_with() {
    let (x, w) = (operand::<f32>(&[64, 8, 30], 1), operand::<f32>(&[30, 9], 2));
    let compiled = QEinsum::new("ijk,kl->ijl").unwrap().compile(&[x.shape(), w.shape()]).unwrap();
    let plan = compiled.plan();
    let run = |plan: &Plan, ranks: usize| {
        let made = in_threads(ranks, |ranks| {
            let kept = [&x, &w].map(|array| Kept { array, read: AtomicUsize::new(0) });
            let operands: Vec<OperandView<'_, f32>> = kept.iter().map(|kept| OperandView::Stored(kept)).collect();
            let made = if plan.slices().is_empty() {
                let spread = Spread::by(plan, None, ranks.size(), plan.equation().label("i").unwrap()).unwrap();
                compiled.run_spread(ranks, &spread, operands, None)
            } else {
                plan.run_on(ranks, operands, None, None)
            };
            (made.unwrap(), kept.map(|kept| kept.read.into_inner()))
        });
        let expected = plan.run((&x, &w)).unwrap();
        assert!(made.iter().all(|(made, _)| *made == expected));
        made.into_iter().map(|(_, read)| read).collect::<Vec<_>>()
    };
    assert_eq!(run(plan, 4), [[x.len() / 4, w.len()]; 4]);
    // Who is given which passes is not known before; each pass reads its slab, and no rank the same twice.
    for (slices, slabs) in [(&["i"][..], 1), (&["i", "j"], 2), (&["l"], 0)] {
        let sliced = plan.with_slices(slices).unwrap();
        let once = slabs == 1;
        assert_eq!(sliced.slab(0).map_or(0, |slab| slab.held), slabs);
        for ranks in [1, 3] {
            let read = run(&sliced, ranks);
            let all: usize = read.iter().map(|[x, _]| x).sum();
            assert!(read.iter().all(|[read, _]| *read <= x.len()), "{read:?}");
            assert!(all >= x.len() && (!once || all == x.len()), "{slices:?} {all}");
        }
    }
}

#[test]
fn ranks_go_on_with_a_file_that_all_have_read() {
    let path = std::env::temp_dir().join(format!("qeinsum-resumed-on-ranks-{}", std::process::id()));
    let (x, w) = (operand::<f32>(&[64, 8, 30], 1), operand::<f32>(&[30, 9], 2));
    let plan = QEinsum::new("ijk,kl->ijl").unwrap().plan(&[x.shape(), w.shape()]).unwrap();
    let plan = plan.with_slices(&["i"]).unwrap();
    let run = |ranks: usize, array: &ArrayD<f32>, checkpoint: &super::Checkpoint| {
        in_threads(ranks, |ranks| {
            let kept = [array, &w].map(|array| Kept { array, read: AtomicUsize::new(0) });
            let operands: Vec<OperandView<'_, f32>> = kept.iter().map(|kept| OperandView::Stored(kept)).collect();
            plan.run_kept(ranks, operands, None, None, checkpoint.clone())
        })
    };
    let begun = super::Checkpoint::new(&path).every(Duration::ZERO);
    let first = run(1, &x, &begun).pop().unwrap().unwrap();
    for made in run(3, &x, &super::Checkpoint::new(&path).resume().unwrap()) {
        assert_eq!(made.unwrap(), first);
    }
    // Of other elements it is another's.
    let mut other = x.clone();
    other[[63, 7, 29]] += 1.0;
    let error = run(1, &other, &super::Checkpoint::new(&path).resume().unwrap()).pop().unwrap().unwrap_err();
    assert!(error.to_string().ends_with("this is the checkpoint of another run"), "{error}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_run_goes_on_where_another_was_ended() {
    let mut resumed = 0;
    for (equation, shapes, path, slices) in SLICED {
        let plan = QEinsum::new(equation).unwrap().with_path(path.parse().unwrap()).plan(shapes).unwrap();
        let plan = plan.with_slices(slices).unwrap();
        let operands: Vec<ArrayD<f32>> = shapes.iter().zip(1..).map(|(shape, seed)| operand(shape, seed)).collect();
        let known = || {
            let views = operands.iter().enumerate();
            views.map(|(id, operand)| (ValueId::new(id), Held::Value(Value::Borrowed(operand.view()))))
        };
        let run = |ranks: usize, saved: Option<&Vec<u8>>| {
            let made = in_threads(ranks, |ranks| {
                let mut kept = Vec::new();
                let mut save = |bytes: &[u8]| {
                    kept.push(bytes.to_vec());
                    Ok(())
                };
                let checkpoint = Checkpoint { saved: saved.cloned(), every: Duration::ZERO, save: &mut save };
                let made = execute_on(ranks, &plan, known(), &Unquantized, Some(checkpoint), Recipients::All)
                    .unwrap()
                    .unwrap();
                (made, kept)
            });
            made.into_iter().next().unwrap()
        };
        let alone = plan.run(&operands[..]).unwrap();
        let (made, kept) = run(2, None);
        assert_eq!(made, alone, "{equation}");
        let some = kept.len().div_ceil(5).max(1);
        for (saved, ranks) in kept.iter().step_by(some).zip([1, 3, 2, 5].into_iter().cycle()) {
            assert_eq!(run(ranks, Some(saved)).0, alone, "{equation} on {ranks} ranks");
            resumed += 1;
        }
        // What is cut short is refused, and nothing is read beside it.
        let last = kept.last().unwrap();
        for end in [0, 8, 9, last.len() / 2, last.len() - 1] {
            let cut = last[..end].to_vec();
            let mut save = |_: &[u8]| Ok(());
            let checkpoint = Checkpoint { saved: Some(cut), every: Duration::MAX, save: &mut save };
            let made = execute_on(&alone_rank(), &plan, known(), &Unquantized, Some(checkpoint), Recipients::First);
            let made = made.map(Option::unwrap);
            // Of less than a number nothing is known, and the run begins anew.
            assert!(if end < 8 { made.as_ref() == Ok(&alone) } else { made.is_err() || plan.schedule().len() > 1 });
        }
    }
    assert!(resumed > 20, "{resumed}");
}

#[test]
fn what_is_no_part_of_a_rank_is_refused() {
    let plan = QEinsum::new("ij,jk->ik").unwrap().plan(&[&[6, 7], &[7, 5]]).unwrap();
    let spread = Spread::by(&plan, None, 2, plan.equation().label("i").unwrap()).unwrap();
    let (a, b) = (operand::<f32>(&[6, 7], 1), operand::<f32>(&[7, 5], 2));
    let errors = in_threads(2, |ranks| plan.run_parts_on(ranks, &spread, (&a, &b), None, None).unwrap_err());
    assert_eq!(errors[1].to_string(), "operand 0 has shape [6, 7], but this rank's part is [3..6, 0..7]");
    let sliced = plan.with_slices(&["j"]).unwrap();
    let errors = in_threads(2, |ranks| sliced.run_parts_on(ranks, &spread, (&a, &b), None, None).unwrap_err());
    assert!(errors[0].to_string().contains("slices"), "{}", errors[0]);
}
