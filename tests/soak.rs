//! A process that computes for long: whether what it computes stays right, and what it keeps stops growing.
//!
//! A binary of its own with one test: the allocator counts for the whole process. `QEINSUM_SOAK_SECONDS` is how long it goes
//! on; `--nocapture` shows how many equations it was, and what was kept.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use ndarray::{ArrayD, ArrayViewD};
use peak_alloc::PeakAlloc;
use qeinsum::{DotGeneralConfig, QEinsum, interpret};
use rayon::{ThreadPool, ThreadPoolBuilder};

use fuzz::choices::{Decide, Generator};

#[allow(dead_code, reason = "the readers are fuzzed, and need no soak")]
mod fuzz;
mod reference;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// How often memory is looked at: with every thread ended that computed, since a thread keeps memory for its next product,
/// which is bounded, but becomes as large only as the largest product so far. The first half is for caches to fill, which are
/// bounded too; what grows without bound grows as much in the second half.
const LOOKS: u32 = 8;

/// What may be kept more at the end than after the first half: entries of caches for longer equations than before.
const GROWTH: usize = 4 << 20;

/// Equations that live as long as the process, each with more shapes than its caches hold.
const LONG_LIVED: [(&str, &[usize]); 6] = [
    ("ab,bc->ac", &[2, 2]),
    ("ab,bc,cd->da", &[2, 2, 2]),
    ("abc,abd->acd", &[3, 3]),
    ("aab->b", &[3]),
    ("ab,ab,b->a", &[2, 2, 1]),
    ("a,b->ab", &[1, 1]),
];

/// One equation that is asked for again and again, with other shapes.
struct LongLived {
    qe: QEinsum,
    quantized: QEinsum,
    text: &'static str,
}

impl LongLived {
    fn new(text: &'static str) -> Self {
        let qe = QEinsum::new(text).unwrap();
        let quantized = qe.clone().with_config(DotGeneralConfig::v4().build().unwrap());
        Self { qe, quantized, text }
    }

    /// Runs it on integers, whose sums are exact, and quantized, which has to be what it is without caches.
    fn check(&self, ranks: &[usize], generator: &mut Generator, pool: &ThreadPool) {
        let sizes: [usize; 4] = [0; 4].map(|_| 1 + generator.below(6));
        let terms = self.text.split("->").next().unwrap_or_default().split(',');
        let operands: Vec<ArrayD<f32>> = terms
            .map(|term| {
                let shape: Vec<usize> = term.bytes().map(|label| sizes[usize::from(label - b'a')]).collect();
                generator.integers(&shape, 3)
            })
            .collect();
        let views: Vec<ArrayViewD<'_, f32>> = operands.iter().map(|operand| operand.view()).collect();
        let expected = interpret(&self.qe.equation(ranks).unwrap(), &views).unwrap();
        assert_eq!(pool.install(|| self.qe.run(&operands[..])).unwrap(), expected, "{} {sizes:?}", self.text);

        let anew = Self::new(self.text).quantized.run(&operands[..]).unwrap();
        let kept = pool.install(|| self.quantized.run(&operands[..])).unwrap();
        assert_eq!(kept, anew, "{} {sizes:?}, quantized", self.text);
    }
}

/// What Linux says of this process, in its own units, where it says it.
fn status(name: &str) -> Option<usize> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().find_map(|word| word.parse().ok())
}

/// Bytes that the process has in memory.
fn resident() -> Option<usize> {
    status("VmRSS:")?.checked_mul(1024)
}

fn threads() -> Option<usize> {
    status("Threads:")
}

/// Everything once.
fn round(long_lived: &[(LongLived, &[usize])], generator: &mut Generator, pool: &ThreadPool) {
    let bytes: Vec<u8> = (0..64 + generator.below(192)).map(|_| generator.below(256) as u8).collect();
    fuzz::run::check(&bytes);
    fuzz::gradients::check(&bytes);
    for (equation, ranks) in long_lived {
        equation.check(ranks, generator, pool);
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "shown by a test that is asked to show it")]
fn nothing_grows_and_nothing_differs() {
    let seconds = std::env::var("QEINSUM_SOAK_SECONDS").map_or(60, |seconds| seconds.parse().unwrap());
    let long_lived = LONG_LIVED.map(|(text, ranks)| (LongLived::new(text), ranks));
    let (start, mut generator) = (Instant::now(), Generator::new(3));
    let mut rounds = 0_usize;
    let mut looks = Vec::new();
    for look in 1..=LOOKS {
        let end = Duration::from_secs(seconds) * look / LOOKS;
        let before = threads();
        thread::scope(|scope| {
            scope.spawn(|| {
                let pools = [1, 2, 3, 8].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
                while start.elapsed() < end {
                    round(&long_lived, &mut generator, &pools[rounds % pools.len()]);
                    rounds += 1;
                }
            });
        });
        fuzz::run::end_threads();
        // A pool that is dropped does not wait for its threads.
        let patience = Instant::now();
        while threads() > before && patience.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(10));
        }
        let (kept, resident) = (ALLOCATED.current_usage(), resident());
        println!(
            "soak: {rounds} rounds of {} equations in {} s; {kept} bytes are kept, {} resident",
            2 + LONG_LIVED.len(),
            start.elapsed().as_secs(),
            resident.map_or_else(|| "an unknown number".into(), |bytes| bytes.to_string()),
        );
        looks.push((kept, resident));
    }
    let ((kept, resident), (kept_now, resident_now)) = (looks[looks.len() / 2 - 1], looks[looks.len() - 1]);
    assert!(kept_now <= kept + GROWTH, "{kept} bytes are kept after the first half, {kept_now} after the second");
    if let (Some(before), Some(now)) = (resident, resident_now) {
        assert!(
            now <= before + before / 4 + GROWTH,
            "{before} bytes are resident after the first half, {now} after the second"
        );
    }
}
