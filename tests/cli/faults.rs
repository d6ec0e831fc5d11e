//! What may go wrong under a run: it is killed, interrupted, or its disk fails. A file is the old one or the new one, whole, and
//! nothing lies beside it.
//!
//! `QEINSUM_KILLS` is how many runs of each kind are killed (`.ci/deep faults` takes more than a test may).

#![cfg(unix)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "how many cases were tried, and what was skipped")]

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Folder, argument, values};

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qeinsum"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn start(folder: &Folder, arguments: &[&str]) -> Child {
    binary().args(arguments).current_dir(folder.path("")).spawn().unwrap()
}

/// What could not be tried here, in words that nobody overlooks.
fn skipped(what: &str, why: &str) {
    eprintln!("\n!! {what}: SKIPPED, nothing of it was checked: {why}\n");
}

/// Shapes whose plan is another for each input.
fn shapes(input: &str) -> &'static str {
    if input == "p.npy" { "700x700,700x700" } else { "700x600,600x700" }
}

fn kills() -> usize {
    std::env::var("QEINSUM_KILLS").map_or(3, |count| count.parse().expect("QEINSUM_KILLS is a number"))
}

/// A command whose files are replaced: what it says for one of two contents, and the files that it writes.
struct Replacing {
    name: &'static str,
    arguments: fn(&'static str) -> Vec<&'static str>,
    files: &'static [&'static str],
}

const REPLACING: &[Replacing] = &[
    Replacing { name: "run", arguments: |input| vec!["run", "ij->ji", input, "--out", "o.npy"], files: &["o.npy"] },
    Replacing {
        name: "run to safetensors",
        arguments: |input| vec!["run", "ij->ji", input, "--out", "o.safetensors"],
        files: &["o.safetensors"],
    },
    Replacing {
        name: "run over its input",
        arguments: |input| match input {
            "p.npy" => vec!["run", "ij->ij", "o.npy", "--out", "o.npy"],
            _ => vec!["run", "ij->ij", input, "--out", "o.npy"],
        },
        files: &["o.npy"],
    },
    Replacing {
        name: "freeze",
        arguments: |input| {
            vec!["freeze", "ij,jk->ik", input, input, "--operand", "1", "--bits", "8", "--out", "w.safetensors"]
        },
        files: &["w.safetensors"],
    },
    Replacing {
        name: "plan",
        arguments: |input| {
            vec!["plan", "ij,jk->ik", "--shapes", shapes(input), "--format", "json", "--out", "plan.json"]
        },
        files: &["plan.json"],
    },
    Replacing {
        name: "picture",
        arguments: |input| {
            vec!["plan", "ij,jk->ik", "--shapes", shapes(input), "--format", "html", "--out", "plan.html"]
        },
        files: &["plan.html"],
    },
    Replacing {
        name: "chosen bits with a picture",
        arguments: |input| {
            let least = if input == "p.npy" { "20" } else { "40" };
            #[rustfmt::skip]
            let arguments = vec![
                "run", "ij,jk->ik", input, "s.npy", "--bits", "auto", "--min-sqnr", least,
                "--config-out", "bits.toml", "--picture", "run.svg", "--out", "o.npy", "-q",
            ];
            arguments
        },
        files: &["bits.toml", "o.npy", "run.svg"],
    },
    Replacing {
        name: "gradients",
        arguments: |input| vec!["vjp", "ij,ij->ij", input, input, "--cotangent", input, "--out-dir", "."],
        files: &["d0.npy", "d1.npy", "out.npy"],
    },
];

fn two_inputs(test: &str) -> Folder {
    let folder = Folder::new(test);
    folder.save("p.npy", values(&[700, 700], 1));
    folder.save("q.npy", values(&[700, 700], 2));
    folder.save("s.npy", values(&[700, 8], 3));
    folder
}

/// Runs killed at random moments, and whether any had begun to replace something.
#[test]
fn a_killed_run_leaves_the_old_file_or_the_new_one() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let mut tried = [0; 3];
    for Replacing { name, arguments, files } in REPLACING {
        let folder = two_inputs("killed");
        let before = folder.names();
        let mut all: Vec<String> = before.iter().cloned().chain(files.iter().map(|&file| file.to_owned())).collect();
        all.sort_unstable();
        let whole = |input| -> Vec<Vec<u8>> {
            let ran = folder.run(&arguments(input));
            assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
            files.iter().map(|file| folder.read(file)).collect()
        };
        let started = Instant::now();
        let contents = [whole("q.npy"), whole("p.npy")];
        let usual = started.elapsed() / 2;
        assert_eq!(folder.names(), all, "{name}");
        for _ in 0..kills() {
            let input = ["p.npy", "q.npy"][random() as usize % 2];
            let mut child = start(&folder, &arguments(input));
            std::thread::sleep(usual * (random() % 1100) / 1000);
            child.kill().unwrap();
            let was_killed = child.wait().unwrap().code().is_none();
            tried[0] += 1;
            tried[1] += usize::from(was_killed);
            for (at, file) in files.iter().enumerate() {
                let now = folder.read(file);
                let is_whole = contents.iter().any(|contents| contents[at] == now);
                assert!(is_whole, "{name}: `{file}` is neither the old file nor the new one");
            }
            // A hidden name is there for a moment, in which it may be killed; the next run takes it away.
            let left = folder.names().len() - all.len();
            tried[2] += left;
            assert!(left <= 1, "{name}: {:?}", folder.names());
            if left > 0 {
                whole(input);
            }
            assert_eq!(folder.names(), all, "{name}");
        }
    }
    let [runs, killed, left] = tried;
    println!(
        "{runs} runs, {killed} of them killed before their end: {left} left a hidden file, which the next run removed"
    );
    assert!(killed > 0, "no run was killed before its end");
}

/// Kills a run as it enters each of its system calls on files, one after the other: no moment is left out.
#[test]
fn a_run_killed_at_any_system_call_leaves_the_old_file_or_the_new_one() {
    // The question mark is for those that not every processor has.
    const WATCHED: &str = "?open,openat,write,writev,pwrite64,fchmod,fchmodat,fsync,fdatasync,?link,linkat,?rename,renameat,\
        renameat2,?unlink,unlinkat,close,flock,?lstat,statx,newfstatat,ftruncate";
    let trace = |folder: &Folder, fault: &str, arguments: &[&str]| {
        Command::new("strace")
            .args(["-f", "-qq", "-o", "trace", "-e", &format!("trace={WATCHED}")])
            .args(if fault.is_empty() { vec![] } else { vec!["-e", fault] })
            .arg(env!("CARGO_BIN_EXE_qeinsum"))
            .args(arguments)
            .current_dir(folder.path(""))
            .stdin(Stdio::null())
            .output()
    };
    let folder = Folder::new("traced");
    for (name, seed) in [("p.npy", 1), ("q.npy", 2)] {
        folder.save(name, values(&[3, 4], seed));
    }
    let replace = |input| ["run", "ij->ji", input, "--threads", "1", "--out", "o.npy"];
    let usable = trace(&folder, "", &replace("p.npy"));
    if !usable.is_ok_and(|ran| ran.status.success()) {
        skipped("a kill at each system call", "there is no `strace` that may trace");
        return;
    }
    let new = folder.read("o.npy");
    // The calls of a run that replaces a file are more than those of one that makes it.
    assert!(trace(&folder, "", &replace("p.npy")).unwrap().status.success());
    let calls = String::from_utf8(folder.read("trace")).unwrap();
    // Each thread counts its own calls; files are written by the first.
    let main = calls.split(' ').next().unwrap().to_owned();
    folder.run(&replace("q.npy")).done();
    let old = folder.read("o.npy");
    let names = folder.names();
    let [mut at_each, mut repaired] = [0; 2];
    for call in WATCHED.split(',').map(|call| call.trim_start_matches('?')) {
        let is_it = |line: &&str| line.starts_with(&main) && line.contains(&format!(" {call}("));
        let count = calls.lines().filter(is_it).count();
        // Those at the end are the ones that write.
        let first = if kills() > 3 { 1 } else { count.saturating_sub(8).max(1) };
        for number in first..=count {
            let fault = format!("inject={call}:signal=KILL:when={number}");
            let ran = trace(&folder, &fault, &replace("p.npy")).unwrap();
            assert!(!ran.status.success(), "{fault} did not kill");
            at_each += 1;
            let now = folder.read("o.npy");
            assert!(now == old || now == new, "{fault}: the file is neither the old one nor the new one");
            if folder.names() != names {
                repaired += 1;
                let hidden = folder.names().into_iter().filter(|name| name.starts_with(".qeinsum-")).count();
                assert_eq!((hidden, folder.names().len()), (1, names.len() + 1), "{fault}: {:?}", folder.names());
            }
            folder.run(&replace("q.npy")).done();
            assert_eq!((folder.read("o.npy"), folder.names()), (old.clone(), names.clone()), "{fault}");
        }
    }
    println!("killed at {at_each} system calls: {repaired} left a hidden file, which the next run removed");
    assert!(at_each > 20 && repaired > 0, "the moment between two names was not met");
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Time between an interrupt and the end of what it interrupts, which has exit code 130 and writes nothing.
fn interrupted(folder: &Folder, arguments: &[&str], after: Duration) -> Duration {
    let names = folder.names();
    let mut child = start(folder, arguments);
    std::thread::sleep(after);
    assert!(child.try_wait().unwrap().is_none(), "{arguments:?} ended by itself");
    let started = Instant::now();
    interrupt(&child);
    let status = child.wait().unwrap();
    let took = started.elapsed();
    assert_eq!(status.code(), Some(130), "{arguments:?}");
    assert_eq!(folder.names(), names, "{arguments:?}");
    took
}

#[test]
fn an_interrupt_ends_a_long_run_at_once() {
    let folder = Folder::new("interrupted");
    // Half a minute and more.
    folder.save("m.npy", values(&[4200, 4200], 1).mapv(f64::from));
    folder.save("n.npy", values(&[4200, 4200], 1));
    #[rustfmt::skip]
    let runs: &[&[&str]] = &[
        &["run", "ij,jk,kl,lm,mn->in", "m.npy", "m.npy", "m.npy", "m.npy", "m.npy", "--out", "o.npy"],
        &["run", "ij,jk,kl,lm,mn->in", "n.npy", "n.npy", "n.npy", "n.npy", "n.npy", "--bits", "8", "--out", "o.npy", "--report"],
        &["vjp", "ij,jk,kl->il", "m.npy", "m.npy", "m.npy", "--cotangent", "m.npy", "--out-dir", "gradients"],
    ];
    for &run in runs {
        let took = interrupted(&folder, run, Duration::from_millis(1500));
        println!("{} of {}: 130 after {:.0} ms", run[0], run[1], 1e3 * took.as_secs_f64());
        // 200 ms on a machine that has nothing else to do.
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

/// Takes back what a test did to the machine, whatever came of the test.
struct Undo(Vec<String>);

impl Drop for Undo {
    fn drop(&mut self) {
        let _ = Command::new(&self.0[0]).args(&self.0[1..]).status();
    }
}

fn does(command: &[&str]) -> bool {
    let ran = Command::new(command[0]).args(&command[1..]).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let folder = two_inputs("full");
    let disk = folder.path("disk");
    fs::create_dir(&disk).unwrap();
    if !does(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", argument(&disk)]) {
        skipped("a full disk", "it takes the right to mount a small one");
        return;
    }
    let _undo = Undo(["umount", "-l", argument(&disk)].map(str::to_owned).into());
    fs::write(disk.join("o.npy"), b"old").unwrap();
    // Two megabytes, of which one fits.
    let ran = folder.run(&["run", "ij->ji", "p.npy", "--out", "disk/o.npy"]);
    ran.refused(1, "`disk/o.npy`: cannot write: No space left on device");
    folder.run(&["run", "ij->ji", "p.npy", "--out", "disk/n.npy"]).refused(1, "No space left on device");
    let names: Vec<_> = fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["o.npy"]);
    assert_eq!(fs::read(disk.join("o.npy")).unwrap(), b"old");
    // Nothing of what failed takes room still.
    folder.save("small.npy", values(&[400, 400], 1));
    folder.run(&["run", "ij->ji", "small.npy", "--out", "disk/o.npy"]).done();
}

#[test]
fn a_limit_of_file_sizes_leaves_the_old_file() {
    let folder = two_inputs("limited");
    folder.write("o.npy", b"old");
    let names = folder.names();
    let limited = format!("ulimit -f 100; exec {} run 'ij->ji' p.npy --out o.npy", env!("CARGO_BIN_EXE_qeinsum"));
    let ran = Command::new("sh").args(["-c", &limited]).current_dir(folder.path("")).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(
        (ran.status.code(), said.as_str()),
        (Some(1), "error: `o.npy`: cannot write: File too large (os error 27)\n")
    );
    assert_eq!((folder.read("o.npy"), folder.names()), (b"old".to_vec(), names));
}

#[test]
fn a_full_device_is_a_failure_of_the_machine() {
    if !Path::new("/dev/full").exists() {
        skipped("a full device", "there is no /dev/full");
        return;
    }
    let folder = two_inputs("device");
    for arguments in [&["run", "ij->ji", "p.npy", "--out", "-"][..], &["plan", "ij,jk"], &["parse", "ij,jk"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let ran = binary().args(arguments).current_dir(folder.path("")).stdout(full).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("No space left on device"), "{arguments:?}: {said}");
    }
    folder.run(&["run", "ij->ji", "p.npy", "--out", "/dev/full"]).refused(2, "`/dev/full`: the name tells no format");
}

#[test]
fn what_is_no_place_for_a_file_is_refused_before_anything_is_computed() {
    let folder = two_inputs("places");
    fs::create_dir(folder.path("d.npy")).unwrap();
    fs::write(folder.path("r.npy"), b"old").unwrap();
    fs::set_permissions(folder.path("r.npy"), fs::Permissions::from_mode(0o444)).unwrap();
    assert!(does(&["mkfifo", argument(&folder.path("f.npy"))]));
    let names = folder.names();
    for (out, code, said) in [
        ("d.npy", 2, "`d.npy`"),
        ("f.npy", 2, "`f.npy`"),
        ("r.npy", 1, "`r.npy`: cannot write: permission denied"),
        ("missing/o.npy", 1, "`missing/o.npy`: cannot find its directory"),
        ("p.npy/o.npy", 1, "`p.npy/o.npy`"),
    ] {
        let run = |arguments: &[&str]| folder.run(&[arguments, &["--out", out]].concat()).refused(code, said).code;
        run(&["run", "ij->ji", "p.npy"]);
        assert_eq!(folder.names(), names, "{out}");
    }
    assert!(fs::symlink_metadata(folder.path("f.npy")).unwrap().file_type().is_fifo());
    assert_eq!(folder.read("r.npy"), b"old");
}

#[test]
fn a_link_stays_one_and_its_file_is_replaced() {
    let folder = two_inputs("links");
    folder.write("o.npy", b"old");
    symlink("o.npy", folder.path("l.npy")).unwrap();
    symlink("p.npy", folder.path("input.npy")).unwrap();
    let names = folder.names();
    folder.run(&["run", "ij->ji", "input.npy", "--out", "l.npy"]).done();
    assert!(fs::symlink_metadata(folder.path("l.npy")).unwrap().is_symlink());
    let transposed = folder.read("o.npy");
    // Over its own input, by another name of it.
    folder.run(&["run", "ij->ji", "p.npy", "--out", "input.npy"]).done();
    assert_eq!(folder.read("p.npy"), transposed);
    assert_eq!(folder.names(), names);
}

#[test]
fn a_folder_that_may_not_be_written_is_left_alone() {
    let folder = two_inputs("folder");
    let closed = folder.path("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("o.npy"), b"old").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    let opened = || fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).unwrap();
    // Permissions do not stop the superuser.
    let is_open = fs::write(closed.join("try"), b"").is_ok();
    let _undo = is_open.then(|| {
        opened();
        fs::remove_file(closed.join("try")).unwrap();
        Undo(["chattr", "-i", argument(&closed)].map(str::to_owned).into())
    });
    if is_open && !does(&["chattr", "+i", argument(&closed)]) {
        skipped("a read-only folder", "nothing stops the superuser on this file system");
        return;
    }
    for out in ["closed/o.npy", "closed/n.npy"] {
        folder.run(&["run", "ij->ji", "p.npy", "--out", out]).refused(1, &format!("`{out}`: cannot write: "));
    }
    let names: Vec<_> = fs::read_dir(&closed).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["o.npy"]);
    assert_eq!(fs::read(closed.join("o.npy")).unwrap(), b"old");
    if !is_open {
        opened();
    }
}
