//! Several processes: the same bytes as one, and one message where one of them fails.

#![cfg(unix)]

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Folder, argument, values};

const BINARY: &str = env!("CARGO_BIN_EXE_qeinsum");

/// `mpirun` of so many ranks, also as root and on fewer cores.
fn mpirun(folder: &Folder) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe"]).current_dir(folder.path(""));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn on(folder: &Folder, ranks: usize, arguments: &[&str]) -> Output {
    mpirun(folder).args(["-n", &ranks.to_string(), BINARY]).args(arguments).output().unwrap()
}

fn alone(folder: &Folder, arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).current_dir(folder.path("")).output().unwrap()
}

fn checked(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What was said, without what `mpirun` adds.
fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().filter(|line| line.starts_with("error: ")).map(str::to_owned).collect()
}

/// Writes random arrays.
fn arrays(folder: &Folder, shapes: &[(&str, &[usize])]) {
    for ((name, shape), seed) in shapes.iter().zip(1..) {
        folder.save(name, values(shape, seed));
    }
}

/// Runs a command whose outputs are files, alone and on several ranks.
fn same_bytes(folder: &Folder, arguments: &[&str], files: &[&str]) {
    checked(&alone(folder, arguments));
    let expected: Vec<Vec<u8>> = files.iter().map(|file| fs::read(folder.path(file)).unwrap()).collect();
    for ranks in 1..=4 {
        for file in files {
            fs::remove_file(folder.path(file)).unwrap();
        }
        checked(&on(folder, ranks, arguments));
        for (file, expected) in files.iter().zip(&expected) {
            assert!(fs::read(folder.path(file)).unwrap() == *expected, "{file} of {ranks} ranks, {arguments:?}");
        }
    }
}

const ATTENTION: [(&str, &[usize]); 4] =
    [("q.npy", &[2, 24, 3, 16]), ("k.npy", &[2, 20, 3, 16]), ("v.npy", &[2, 20, 3, 8]), ("g.npy", &[2, 24, 3, 8])];

#[test]
fn a_quantized_attention_is_the_same_on_any_number_of_ranks() {
    let folder = Folder::new("mpi-attention");
    arrays(&folder, &ATTENTION);
    let run = ["run", "bthd,bshd,bshe->bthe", "q.npy", "k.npy", "v.npy", "--bits", "8", "--out", "o.npy"];
    same_bytes(&folder, &run, &["o.npy"]);
    let freeze = ["freeze", "bthd,bshd,bshe->bthe", "q.npy", "k.npy", "v.npy", "--operand", "1", "--bits", "8"];
    checked(&alone(&folder, &[&freeze[..], &["--out", "k.safetensors"]].concat()));
    let serve = ["run", "bthd,bshd,bshe->bthe", "q.npy", "k.safetensors", "v.npy", "--out", "o.npy"];
    same_bytes(&folder, &serve, &["o.npy"]);
}

#[test]
fn gradients_are_the_same_on_any_number_of_ranks() {
    let folder = Folder::new("mpi-gradients");
    arrays(&folder, &ATTENTION);
    let vjp = ["vjp", "bthd,bshd,bshe->bthe", "q.npy", "k.npy", "v.npy", "--cotangent", "g.npy"];
    let noisy = [&vjp[..], &["--bits", "8", "--seed", "5", "--out-dir", "d"]].concat();
    same_bytes(&folder, &noisy, &["d/out.npy", "d/d0.npy", "d/d1.npy", "d/d2.npy"]);
}

#[test]
fn slices_are_the_same_on_any_number_of_ranks() {
    let folder = Folder::new("mpi-slices");
    arrays(&folder, &[("a.npy", &[12, 30]), ("b.npy", &[30, 40]), ("c.npy", &[40, 9])]);
    let run = ["run", "ab,bc,cd->ad", "a.npy", "b.npy", "c.npy", "--path", "(0,1) (0,1)", "--out", "o.npy", "--slice"];
    // The last has fewer slices than there are ranks.
    for (slices, bits) in [("c", None), ("a,c", None), ("a", Some("8")), ("d,a", None), ("d", Some("4"))] {
        let mut arguments = [&run[..], &[slices]].concat();
        arguments.extend(bits.iter().flat_map(|bits| ["--bits", bits]));
        same_bytes(&folder, &arguments, &["o.npy"]);
    }
}

#[test]
fn of_large_files_slices_read_what_they_compute_with() {
    let folder = Folder::new("mpi-slabs");
    arrays(&folder, &[("a.npy", &[16, 512, 40]), ("b.npy", &[40, 2])]);
    let run = ["run", "ijk,kl->ijl", "a.npy", "b.npy", "--out", "o.npy", "--slice", "i", "--checkpoint", "o.part"];
    same_bytes(&folder, &run, &["o.npy"]);
    // The operands are 1,311,040 bytes, of which each rank has a sixteenth at a time.
    let limited = [&run[..], &["--max-memory", "600kB", "--bits", "8"]].concat();
    assert!(said(&alone(&folder, &limited))[0].starts_with("error: the run needs 1."));
    checked(&on(&folder, 2, &limited));
    // Frozen operands are of no plan in slices.
    let freeze = ["freeze", "ijk,kl->ijl", "a.npy", "b.npy", "--operand", "1", "--bits", "8", "--out", "b.safetensors"];
    checked(&alone(&folder, &freeze));
    let sliced = ["run", "ijk,kl->ijl", "a.npy", "b.safetensors", "--slice", "i", "--out", "o.npy"];
    let refused = "error: frozen operands are taken by plans without slices only";
    assert!(said(&alone(&folder, &sliced))[0].starts_with(refused));
    assert!(said(&on(&folder, 2, &sliced))[0].starts_with(refused));
    let mut broken = values(&[16, 512, 40], 1);
    broken[[15, 3, 1]] = f32::NAN;
    folder.save("a.npy", broken);
    let message = "`a.npy`: the element at [15, 3, 1] is NaN or infinite, which a quantized run computes with only under \
                   `--allow-nonfinite`";
    let output = on(&folder, 2, &limited);
    assert!(!output.status.success());
    assert!(said(&output).iter().any(|said| said.ends_with(message)), "{:?}", said(&output));
}

#[test]
fn ranks_share_what_one_has_no_memory_for() {
    let folder = Folder::new("mpi-memory");
    arrays(&folder, &[("a.npy", &[8192, 40]), ("b.npy", &[40, 8]), ("g.npy", &[8192, 8])]);
    let run = ["run", "ij,jk->ik", "a.npy", "b.npy", "--out", "o.npy"];
    checked(&alone(&folder, &run));
    let expected = fs::read(folder.path("o.npy")).unwrap();
    // The operands alone are 1,312,000 bytes, and the result 262,144.
    let limited = [&run[..], &["--memory-limit", "1000kB"]].concat();
    let output = alone(&folder, &limited);
    assert_eq!(
        said(&output),
        ["error: the memory limit is 1000000 bytes: the operands and the output alone need 1574144 bytes"]
    );
    for (ranks, fits) in [(1, false), (2, false), (3, true), (4, true)] {
        fs::remove_file(folder.path("o.npy")).unwrap_or_default();
        let output = on(&folder, ranks, &limited);
        assert_eq!(output.status.success(), fits, "{ranks} ranks: {:?}", said(&output));
        if fits {
            assert!(fs::read(folder.path("o.npy")).unwrap() == expected, "{ranks} ranks");
        }
    }
    // Of frozen operands too, in the syntax that they were frozen for.
    let freeze =
        ["freeze", "i...,...k->ik", "a.npy", "b.npy", "--operand", "0", "--bits", "4", "--out", "a.safetensors"];
    checked(&alone(&folder, &freeze));
    let serve = ["run", "i...,...k->ik", "a.safetensors", "b.npy", "--out", "p.npy"];
    checked(&alone(&folder, &serve));
    let expected = fs::read(folder.path("p.npy")).unwrap();
    let limited = [&serve[..], &["--memory-limit", "1000kB"]].concat();
    assert_eq!(said(&alone(&folder, &limited)), said(&output));
    fs::remove_file(folder.path("p.npy")).unwrap();
    checked(&on(&folder, 4, &limited));
    assert!(fs::read(folder.path("p.npy")).unwrap() == expected);
    // Of gradients too, of which one process says what it needs.
    let vjp = ["vjp", "ij,jk->ik", "a.npy", "b.npy", "--cotangent", "g.npy", "--out-dir", "d"];
    let limited = [&vjp[..], &["--max-memory", "6MB"]].concat();
    assert!(said(&alone(&folder, &limited))[0].starts_with("error: the run needs"));
    checked(&alone(&folder, &vjp));
    let expected = fs::read(folder.path("d/d0.npy")).unwrap();
    fs::remove_file(folder.path("d/d0.npy")).unwrap();
    checked(&on(&folder, 4, &limited));
    assert!(fs::read(folder.path("d/d0.npy")).unwrap() == expected);
}

#[test]
fn one_says_what_is_wrong_and_all_end() {
    let folder = Folder::new("mpi-refusals");
    arrays(&folder, &[("a.npy", &[6, 7]), ("b.npy", &[7, 8])]);
    let cases: [(&[&str], i32, &str); 8] = [
        (&["run", "ij,jk->ik", "a.npy", "no.npy", "--out", "o.npy"], 2, "error: `no.npy`: no such file"),
        (&["run", "ij,jk->ik", "a.npy", "b.npy", "--out", "no/o.npy"], 1, "error: rank 0: `no/o.npy`: "),
        (&["run", "ij,jk->ik", "a.npy", "-", "--out", "o.npy"], 2, "error: standard input is that of rank 0 alone"),
        (
            &["run", "ij,jk->ik", "a.npy", "b.npy", "--bits", "8", "--report", "--out", "o.npy"],
            2,
            "error: a comparison",
        ),
        (&["run", "ij,jk->", "a.npy", "a.npy", "--out", "o.npy"], 2, "error: label `j` has two sizes"),
        (&["run", "ij,jk->ik", "a.npy", "b.npy"], 2, "error: the following required arguments"),
        (
            &["run", "ij,jk->ik", "a.npy", "b.npy", "--memory-limit", "100B", "--out", "o.npy"],
            2,
            "error: the memory limit is 100 bytes: shared by 3 ranks the run needs ",
        ),
        (
            &["run", "ij,jk->ik", "a.npy", "b.npy", "--max-memory", "100B", "--out", "o.npy"],
            2,
            "error: the memory limit is 100 bytes: shared by 3 ranks the run needs ",
        ),
    ];
    for (arguments, code, message) in cases {
        let output = on(&folder, 3, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let said = said(&output);
        assert!(said.len() == 1 && said[0].starts_with(message), "{arguments:?}: {said:?}");
        assert!(!folder.path("o.npy").exists(), "{arguments:?}");
    }
}

#[test]
fn ranks_have_one_command_and_the_same_inputs() {
    let folder = Folder::new("mpi-inputs");
    for part in ["here", "there"] {
        fs::create_dir(folder.path(part)).unwrap();
    }
    arrays(&folder, &[("here/a.npy", &[6, 7]), ("there/b.npy", &[6, 7])]);
    fs::rename(folder.path("there/b.npy"), folder.path("there/a.npy")).unwrap();
    let run = |out: &'static str| ["run", "ij->ji", "a.npy", "--out", out];
    let together = |[here, there]: [&str; 2], [first, second]: [&'static str; 2]| {
        let mut command = mpirun(&folder);
        command.args(["-n", "1", "-wdir", argument(&folder.path(here)), BINARY]).args(run(first));
        command.args([":", "-n", "1", "-wdir", argument(&folder.path(there)), BINARY]).args(run(second));
        command.output().unwrap()
    };
    let other = together(["here", "there"], ["o.npy", "o.npy"]);
    assert_eq!(said(&other), ["error: rank 1: what `a.npy` holds is another than on rank 0"]);
    let other = together(["here", "here"], ["o.npy", "p.npy"]);
    assert_eq!(said(&other), ["error: rank 1: the command is another than on rank 0"]);
    assert!(!folder.path("here/o.npy").exists());
}

/// The process of a rank, once it is there.
fn process_of(rank: usize, folder: &Folder) -> Option<String> {
    let own = format!("OMPI_COMM_WORLD_RANK={rank}");
    let here = fs::canonicalize(folder.path("")).unwrap();
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let process = entry.path();
        let environment = fs::read(process.join("environ")).ok()?;
        let is_it = environment.split(|&byte| byte == 0).any(|each| each == own.as_bytes());
        let is_here = fs::read_link(process.join("cwd")).ok()? == here;
        (is_it && is_here).then(|| entry.file_name().to_string_lossy().into_owned())
    })
}

/// Waits for it, but not for long.
fn ended(mut child: Child) -> Option<Output> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if child.try_wait().unwrap().is_some() {
            return child.wait_with_output().ok();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    None
}

#[test]
fn where_one_dies_all_end_soon_and_others_go_on() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let folder = Folder::new("mpi-killed");
    arrays(&folder, &[("a.npy", &[400, 400]), ("b.npy", &[400, 400])]);
    let path = "ab,bc,cd,de,ef,fg,gh,hi->ai";
    let mut run = vec!["-n", "2", BINARY, "run", path];
    run.extend(["a.npy", "b.npy"].iter().cycle().take(8));
    run.extend(["--slice", "a", "--threads", "1", "--out", "o.npy"]);
    run.extend(["--checkpoint", "o.part", "--checkpoint-every", "1ms"]);
    let child = mpirun(&folder).args(&run).spawn().unwrap();
    let start = Instant::now();
    let process = loop {
        if let Some(process) = process_of(1, &folder) {
            break process;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "there is no rank 1");
    };
    while !folder.path("o.part").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "there is no checkpoint");
    }
    checked(&Command::new("kill").args(["-9", &process]).output().unwrap());
    let output = ended(child).expect("it ends within ten seconds");
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("signal 9"), "mpirun says who was killed");
    assert!(!folder.path("o.npy").exists());

    // Others go on where it was ended.
    let run = [&run[3..], &["--resume"]].concat();
    let another = run.iter().map(|&argument| if argument == "a" { "i" } else { argument }).collect::<Vec<_>>();
    let refused = on(&folder, 2, &another);
    assert_eq!(said(&refused).len(), 1, "{refused:?}");
    assert!(said(&refused)[0].contains("this is the checkpoint of another run"));
    checked(&on(&folder, 3, &run));
    let together = fs::read(folder.path("o.npy")).unwrap();
    assert!(!folder.path("o.part").exists());
    checked(&alone(&folder, &run));
    assert!(fs::read(folder.path("o.npy")).unwrap() == together);
}
