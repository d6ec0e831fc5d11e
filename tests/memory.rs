//! How much memory a run takes beside its operands, its intermediates and its output.
//!
//! A binary of its own with one test: the allocator counts for the whole process.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use ndarray::{ArrayD, IxDyn};
use peak_alloc::PeakAlloc;
use qeinsum::{Compiled, DotGeneralConfig, Element, Key, Plan, QEinsum, QuantConfig, Real};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;

/// What a first run may take beside what the plan says: panels and other scratch memory of every thread.
const ROOM: usize = 64 * MIB;

/// What the next one may: the scratch memory is there already.
const ROOM_AGAIN: usize = MIB;

fn bytes(shape: &[usize]) -> usize {
    4 * shape.iter().product::<usize>()
}

/// Bytes of the values that the plan's steps make, the output among them.
fn made(plan: &Plan) -> usize {
    plan.steps().iter().map(|step| bytes(plan.value(step.result()).shape())).sum()
}

/// The most that was allocated at once while something was computed, beside what was before.
fn peak<R>(compute: impl FnOnce() -> R) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    drop(compute());
    ALLOCATED.peak_usage().saturating_sub(before)
}

fn check(compiled: &Compiled, what: &str) {
    let plan = compiled.plan();
    let operands: Vec<ArrayD<f32>> = plan
        .sizes()
        .shapes()
        .iter()
        .zip(1..)
        .map(|(shape, seed)| {
            let values = Key::new(seed).uniform(shape.iter().product());
            ArrayD::from_shape_vec(IxDyn(shape), values).unwrap()
        })
        .collect();
    let run = || compiled.run(&operands[..]).unwrap();
    let made = made(plan);
    let first = peak(run);
    // Now and then a thread does what another did before, and needs as much.
    let again = (0..10).map(|_| peak(run)).min().unwrap_or_default();
    let (first, again) = (first.saturating_sub(made), again.saturating_sub(made));
    assert!(first <= ROOM, "{what}: {first} bytes beside the {made} that the plan makes");
    assert!(again <= ROOM_AGAIN, "{what}: {again} bytes beside the {made} that the plan makes, when it runs again");
}

/// What a plan in slices takes is what it says, give or take what little a run keeps besides.
fn check_slices<T: Element>(plan: &Plan, what: &str) {
    let shapes = plan.sizes().shapes().iter();
    let operands: Vec<ArrayD<T>> = shapes.map(|shape| ArrayD::from_elem(IxDyn(shape), T::ZERO)).collect();
    let stated = usize::try_from(plan.peak_bytes_in(T::DTYPE).unwrap()).unwrap();
    let beside: usize = operands.iter().map(|operand| operand.len() * size_of::<T>()).sum();
    let run = || plan.run(&operands[..]).unwrap();
    drop(run());
    let measured = (0..2).map(|_| peak(run)).min().unwrap_or_default();
    let stated = stated - beside;
    assert!(measured <= stated + ROOM_AGAIN, "{what} in {}: {measured} bytes, not {stated}\n{plan}", T::DTYPE);
    assert!(measured + ROOM_AGAIN >= stated, "{what} in {}: only {measured} bytes, not {stated}\n{plan}", T::DTYPE);
}

/// Contractions of which something is too large, and what makes it smaller.
fn sliced_plans_take_what_they_say() {
    type Case = (&'static str, &'static str, &'static [&'static [usize]], &'static [&'static str]);
    let cases: [Case; 7] = [
        ("ab,bc,cd->ad", "(0,1) (0,1)", &[&[2000, 20], &[20, 300], &[300, 1500]], &[]),
        ("ab,bc,cd->ad", "(0,1) (0,1)", &[&[2000, 20], &[20, 150], &[150, 500]], &["c"]),
        ("ab,bc,cd->ad", "(0,1) (0,1)", &[&[90, 20], &[20, 1000], &[1000, 6000]], &["a"]),
        ("ab,bc,cd->ad", "(1,2) (0,1)", &[&[6, 40], &[40, 30], &[30, 90_000]], &["a", "b"]),
        ("abi,abj,ik->kj", "(0,1) (0,1)", &[&[10, 400, 1500], &[10, 400, 1200], &[1500, 100]], &["a"]),
        ("ai,bi,ci->abc", "(0,1) (0,1)", &[&[100, 8], &[200, 8], &[200, 8]], &["b"]),
        ("ai,bi,ci,abx->cx", "(0,1) (1,2) (0,1)", &[&[300, 8], &[900, 8], &[40, 8], &[300, 900, 2]], &["a"]),
    ];
    for (equation, path, shapes, slices) in cases {
        let plan = QEinsum::new(equation).unwrap().with_path(path.parse().unwrap()).plan(shapes).unwrap();
        let sliced = plan.with_slices(slices).unwrap();
        let what = format!("{equation} over {slices:?}");
        check_slices::<f32>(&sliced, &what);
        check_slices::<f64>(&sliced, &what);
        check_slices::<half::f16>(&sliced, &what);
    }
}

/// Several equations, whose common product stays until the last of them has read it.
fn joint_plans_take_what_they_say() {
    type Case = (&'static [(&'static str, &'static [usize])], &'static [&'static str], &'static [&'static [usize]]);
    let shapes: &[&[usize]] = &[&[1000, 20], &[20, 800], &[800, 1000], &[800, 1200]];
    let cases: [Case; 4] = [
        (&[("ab,bc,cd->ad", &[0, 1, 2]), ("ab,bc,ce->ae", &[0, 1, 3])], &["(0,1) (0,1)", "(0,1) (0,1)"], shapes),
        (&[("ab,bc->ca", &[0, 1]), ("ab,bc,cd->ad", &[0, 1, 2])], &["(0,1)", "(0,1) (0,1)"], &shapes[..3]),
        (&[("ab,bc->ca", &[0, 1]), ("ab,bc->ca", &[0, 1]), ("ab->ba", &[0])], &["(0,1)", "(0,1)", "(0)"], &shapes[..2]),
        (&[("ab,bc,bc->ac", &[0, 1, 1]), ("ab,bc->", &[0, 1])], &["(0,1) (0,1)", "(0,1)"], &shapes[..2]),
    ];
    for (equations, paths, shapes) in cases {
        let paths = paths.iter().map(|path| path.parse().unwrap()).collect();
        let plan = QEinsum::many(equations).unwrap().with_paths(paths).plan(shapes).unwrap();
        let operands: Vec<ArrayD<f32>> = shapes.iter().map(|shape| ArrayD::zeros(IxDyn(shape))).collect();
        let beside: usize = shapes.iter().map(|shape| bytes(shape)).sum();
        let stated = usize::try_from(plan.peak_bytes().unwrap()).unwrap() - beside;
        let run = || plan.run(&operands[..]).unwrap();
        drop(run());
        let measured = (0..2).map(|_| peak(run)).min().unwrap_or_default();
        assert!(measured.abs_diff(stated) <= ROOM_AGAIN, "{measured} bytes, not {stated}\n{plan}");
    }
}

/// Runs and gradients, quantized in different ways, take no more than was said, but for scratch memory that is there already.
fn quantized_runs_take_at_most_what_is_said<T: Real>() {
    let configs = [
        DotGeneralConfig::v4(),
        DotGeneralConfig::v4().fwd_bits(Some(4)).dlhs_bits(Some(8)).drhs_bits(Some(8)),
        DotGeneralConfig::v4().fwd_bits(Some(12)),
    ];
    let configs = configs.map(|config| QuantConfig::from(config.build().unwrap()));
    let cases: [(&str, &[&[usize]]); 3] = [
        ("ij,jk->ik", &[&[900, 600], &[600, 700]]),
        ("bqhd,bkhd->bhqk", &[&[2, 512, 4, 32], &[2, 512, 4, 32]]),
        ("ij,jk,kl->li", &[&[700, 400], &[400, 800], &[800, 300]]),
    ];
    for (equation, shapes) in cases {
        for config in &configs {
            let plan = QEinsum::new(equation).unwrap().plan(shapes).unwrap();
            let operands: Vec<ArrayD<T>> =
                shapes.iter().map(|shape| ArrayD::from_elem(IxDyn(shape), T::ZERO)).collect();
            let beside: usize = operands.iter().map(|operand| operand.len() * size_of::<T>()).sum();
            let said = |bytes: Option<u64>| usize::try_from(bytes.unwrap()).unwrap() - beside;
            let what = format!("{equation} in {}: {config:?}", T::DTYPE);

            let key = Some(Key::new(0));
            let run = || plan.run_quantized(&operands[..], config, key).unwrap();
            drop(run());
            let (run, most) = (peak(run), said(plan.run_bytes(T::DTYPE, Some(config))));
            assert!(run <= most + ROOM_AGAIN, "a run takes {run} bytes, not {most}: {what}");

            let gradients = || {
                let (output, pullback) = plan.vjp(&operands[..], Some(config), key).unwrap();
                pullback.pull(&output).unwrap()
            };
            drop(gradients());
            let (taken, most) = (peak(gradients), said(plan.gradient_bytes(T::DTYPE, Some(config))));
            assert!(taken <= most + ROOM_AGAIN, "gradients take {taken} bytes, not {most}: {what}");
        }
    }
}

#[test]
fn runs_take_little_beside_what_their_plans_make() {
    let cases: [(&str, &[&[usize]]); 9] = [
        ("ij,jk->ik", &[&[1500, 1400], &[1400, 1300]]),
        ("ij,kj->ki", &[&[300, 9000], &[400, 9000]]),
        ("bij,bjk->bik", &[&[5000, 8, 8], &[5000, 8, 8]]),
        ("bqhd,bkhd->bhqk", &[&[2, 512, 4, 64], &[2, 512, 4, 64]]),
        ("efbad,cf->abcde", &[&[16, 32, 16, 16, 16], &[48, 32]]),
        ("i,j->ij", &[&[2000], &[3000]]),
        ("ij,jk,kl,lm->im", &[&[400, 500], &[500, 600], &[600, 700], &[700, 800]]),
        ("ij->ji", &[&[2000, 1500]]),
        ("ijk->k", &[&[200, 300, 40]]),
    ];
    // On two threads, whose scratch memory is what the runs leave behind.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    for (equation, shapes) in cases {
        let einsum = QEinsum::new(equation).unwrap();
        let quantized = einsum.clone().with_config(DotGeneralConfig::v4().build().unwrap());
        pool.install(|| check(&einsum.compile(shapes).unwrap(), equation));
        pool.install(|| check(&quantized.compile(shapes).unwrap(), &format!("{equation}, quantized")));
    }
    pool.install(sliced_plans_take_what_they_say);
    pool.install(joint_plans_take_what_they_say);
    pool.install(quantized_runs_take_at_most_what_is_said::<f32>);
    pool.install(quantized_runs_take_at_most_what_is_said::<half::bf16>);
}
