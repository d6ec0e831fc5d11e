//! How much memory a run takes beside its operands, its intermediates and its output.
//!
//! A binary of its own with one test: the allocator counts for the whole process.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use ndarray::{ArrayD, IxDyn};
use peak_alloc::PeakAlloc;
use qeinsum::{Compiled, DotGeneralConfig, Key, Plan, QEinsum};

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
}
