//! Runs in slices that are ended and go on.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Folder, values};

const CHAIN: [&str; 8] = ["run", "ab,bc,cd->ad", "a.npy", "b.npy", "c.npy", "--path", "(0,1) (0,1)", "--slice=a"];

fn folder(test: &str, size: usize) -> Folder {
    let folder = Folder::new(test);
    for (name, seed) in ["a.npy", "b.npy", "c.npy"].into_iter().zip(1..) {
        folder.save(name, values(&[size, size], seed));
    }
    folder
}

#[test]
fn a_killed_run_goes_on() {
    let folder = folder("checkpoint-killed", 500);
    folder.run(&[&CHAIN[..], &["--out", "whole.npy"]].concat()).done();
    let run =
        [&CHAIN[..], &["--threads", "1", "--checkpoint", "o.part", "--checkpoint-every", "1ms", "--out", "o.npy"]];
    let run = run.concat();
    let mut child = Command::new(env!("CARGO_BIN_EXE_qeinsum"));
    child.args(&run).current_dir(folder.path("")).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().unwrap();
    let start = Instant::now();
    while !folder.path("o.part").exists() && child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "there is no checkpoint");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // On a fast machine it may have been done.
    if !folder.path("o.npy").exists() {
        let part = fs::read(folder.path("o.part")).unwrap();
        folder.write("damaged.part", &part[..part.len() / 2]);
        let damaged = [&CHAIN[..], &["--checkpoint", "damaged.part", "--resume", "--out", "p.npy"]].concat();
        folder.run(&damaged).refused(2, "`damaged.part`: this is no checkpoint, or a damaged one");
        folder.write("other.part", part);
        folder.save("a.npy", values(&[500, 500], 9));
        let other = [&CHAIN[..], &["--checkpoint", "other.part", "--resume", "--out", "p.npy"]].concat();
        folder.run(&other).refused(2, "`other.part`: this is the checkpoint of another run");
        folder.save("a.npy", values(&[500, 500], 1));
    }
    folder.run(&[&run[..], &["--resume"]].concat()).done();
    assert!(folder.read("o.npy") == folder.read("whole.npy"));
    assert!(!folder.path("o.part").exists());
}

#[test]
fn a_checkpoint_is_of_slices() {
    let folder = folder("checkpoint-refused", 20);
    let whole = ["run", "ab,bc->ac", "a.npy", "b.npy", "--checkpoint", "o.part", "--out", "o.npy"];
    folder.run(&whole).refused(2, "`--checkpoint` is for runs in slices: give `--slice` or `--memory-limit`");
    folder.run(&["run", "ab,bc->ac", "a.npy", "b.npy", "--resume", "--out", "o.npy"]).refused(2, "--checkpoint <FILE>");
    let same = [&CHAIN[..], &["--checkpoint", "o.npy", "--out", "o.npy"]].concat();
    folder.run(&same).refused(2, "`--out` and `--checkpoint` name one file: `o.npy`");
    let plan = ["plan", "ab,bc->ac", "--shapes", "200x300,300x400", "--ranks", "1,8", "--link"];
    let planned = folder.run(&[&plan[..], &["1us,5GB/s"]].concat());
    assert!(planned.done().out().contains("\n; on 8 ranks "), "{}", planned.out());
    folder.run(&[&plan[..], &["fast"]].concat()).refused(2, "a network is a latency and a bandwidth");
}
