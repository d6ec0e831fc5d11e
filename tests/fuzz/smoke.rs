//! Each fuzz target for a second: on its corpus, and on inputs made of it by chance from a fixed seed.
//!
//! `QEINSUM_FUZZ_SECONDS` is another time, for a machine without libFuzzer; `--nocapture` shows how many inputs it was.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::choices::{Decide, Generator};

/// The most bytes of an input that is made.
const MOST_BYTES: usize = 1 << 12;

/// An input as it goes in; it is written to a file if the target panics on it.
struct Tried<'a> {
    target: &'a str,
    input: &'a [u8],
}

impl Drop for Tried<'_> {
    #[expect(clippy::print_stderr, reason = "the input of a test that fails")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = std::env::temp_dir().join(format!("qeinsum-fuzz-{}", self.target));
            let kept = fs::write(&path, self.input);
            let mut text = format!("`{}` fails on `{}`", self.target, self.input.escape_ascii());
            let _ = write!(text, ", kept in {}: {kept:?}", path.display());
            eprintln!("{text}");
        }
    }
}

#[expect(clippy::print_stdout, reason = "shown by a test that is asked to show it")]
fn smoke(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!corpus.is_empty());
    let run = |input: &[u8]| {
        let tried = Tried { target, input };
        check(tried.input);
    };
    for input in &corpus {
        run(input);
    }

    let seconds = std::env::var("QEINSUM_FUZZ_SECONDS").map_or(1, |seconds| seconds.parse().unwrap());
    let (start, generator) = (Instant::now(), &mut Generator::new(1));
    let mut executions = corpus.len();
    while start.elapsed() < Duration::from_secs(seconds) {
        run(&changed(generator, &corpus));
        executions += 1;
    }
    println!("{target}: {executions} executions");
}

/// Some input with a few changes, such as those a fuzzer makes.
fn changed(generator: &mut Generator, corpus: &[Vec<u8>]) -> Vec<u8> {
    const NUMBERS: [&[u8]; 8] = [
        b"0",
        b"-1",
        b"18446744073709551615",
        b"9223372036854775808",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0\0\0\0\x80",
        b"1e999",
        b"[[",
    ];
    let some = |generator: &mut Generator| &corpus[generator.below(corpus.len())];
    let mut input = some(generator).clone();
    for _ in 0..=generator.below(4) {
        let at = generator.below(input.len() + 1);
        let end = (at + 1 + generator.below(8)).min(input.len());
        match generator.below(8) {
            0 if at < input.len() => input[at] ^= 1 << generator.below(8),
            1 if at < input.len() => input[at] = generator.below(256) as u8,
            2 => drop(input.drain(at..end)),
            3 => {
                let copied = input[at..end].to_vec();
                let to = generator.below(input.len() + 1);
                input.splice(to..to, copied);
            }
            4 => drop(input.splice(at..end, NUMBERS[generator.below(NUMBERS.len())].iter().copied())),
            5 => {
                let other = some(generator);
                let from = generator.below(other.len() + 1);
                input.splice(at.., other[from..].iter().copied());
            }
            6 => input.truncate(at),
            _ => drop(
                input.splice(at..at, (0..generator.below(16)).map(|_| generator.below(256) as u8).collect::<Vec<_>>()),
            ),
        }
    }
    input.truncate(MOST_BYTES);
    input
}

macro_rules! smoke {
    ($($target:ident)*) => {$(
        #[test]
        fn $target() {
            smoke(stringify!($target), super::$target::check);
        }
    )*};
}

smoke!(parse lower plan_json npy npz safetensors config frozen network run gradients);
