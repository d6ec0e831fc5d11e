//! What is refused, and in which words.

use std::ffi::OsStr;

use ndarray::{ArrayD, IxDyn};

use crate::harness::Folder;
use crate::snapshot;

#[test]
fn diagnostics_show_the_place() {
    let folder = Folder::with_arrays("diagnostics");
    folder.write("bad.toml", "[fwd]\nbits = 99\n");
    folder.write("network.json", r#"{"inputs": [["a", "b"]], "output": ["c"], "sizes": {"a": 2, "b": 3}}"#);
    folder.write("plan.json", r#"{"format": 1"#);
    let text = folder.session(&[
        "",
        "bogus",
        "plan",
        "plan --oops ij",
        "plan -x",
        "plan ij --oops",
        "plan ij,jk->iz",
        "plan - --shapes 2",
        "plan -ij->ij --shapes 2x2",
        "plan ij,jk --shapes 2x3,4x5",
        "plan ij,jk --shapes 2x3",
        "plan ij --shapes 2x3x4",
        "plan ij --shapes 2x3y",
        "plan ij --shapes 2x99999999999999999999",
        "plan ij --shapes 4294967296x4294967296",
        "plan ij --sizes i=2",
        "plan ij --sizes i=2,j=3,z=4",
        "plan ij --sizes i=2,i=3",
        "plan ij --shapes 2x3 --sizes i=2",
        "plan ij --optimize best",
        "plan ij --optimize gredy",
        "plan ij --report",
        "many ab,bc->ac --explain",
        "many ab,bc->ac --operants 0,1",
        "plan ij --minimize flops",
        "plan ij --effort 0",
        "plan ij,jk --shapes 2x3,3x4 --path (0,5)",
        "plan ij,jk --shapes 2x3,3x4 --path (0,1),(0,1)",
        "plan ij,jk --shapes 2x3,3x4 --path 0,1",
        "plan ij,jk --shapes 2x3,3x4 --bits 99",
        "plan ij,jk --shapes 2x3,3x4 --config none.toml",
        "plan ij,jk --shapes 2x3,3x4 --explain --format json",
        "plan ij --explain",
        "plan ij --network network.json",
        "plan --network network.json",
        "plan --network none.json",
        "graph ij",
        "run ij a.npy",
        "run ij,jk a.npy --out o.npy",
        "run ij,jk a.npy a.npy --out o.npy",
        "run ijk a.npy --out o.npy",
        "run ij,ij a.npy x.npy --out o.npy",
        "run ij,ij - - --out o.npy",
        "run ij none.npy --out o.npy",
        "run ij a.txt --out o.npy",
        "run ij a.npy --out o.txt",
        "run ij a.npy --out o.npy --cast bf16",
        "run ij a.npy --out o.npy --cast i8",
        "run ij a.npy --out o.npy --report",
        "run ij a.npy --out o.npy --format json",
        "run ij a.npy --out o.npy --bits 8 --analyze --format json",
        "run ij,jk a.npy b.npy --out - --report --bits 8",
        "run ij,ij x.npy x.npy --out o.npy --bits 8",
        "run ij a.npy --out o.npy --max-memory 10",
        "run ij a.npy --out o.npy --max-memory lots",
        "run ij a.npy --out o.npy --threads 0",
        "run ij a.npy --out o.npy --threads 1000000",
        "run ij a.npy --out o.npy --plan plan.json",
        "run --batch cases.jsonl",
        "run --batch cases.jsonl ij",
    ]);
    snapshot::assert("cli__refusals", "requests that are refused", &text);
    assert!(!folder.names().iter().any(|name| name.starts_with('o')), "{:?}", folder.names());
}

#[test]
fn configurations_name_their_fault() {
    let folder = Folder::with_arrays("config");
    folder.write("bad.toml", "version = 1\n[fwd.lhs]\nbits = 99\n");
    folder.write("bad.json", "{");
    folder.write("step.toml", "version = 1\n[step.5.fwd.lhs]\nbits = 4\n");
    for (file, expected) in [("bad.toml", "`bad.toml`: "), ("bad.json", "`bad.json`: "), ("step.toml", "step")] {
        let plan = ["plan", "ij,jk", "--shapes", "2x3,3x4", "--config", file];
        folder.run(&plan).refused(2, expected);
        let run = ["run", "ij,jk", "a.npy", "b.npy", "--out", "o.npy", "--config", file];
        folder.run(&run).refused(2, expected);
    }
}

#[cfg(unix)]
#[test]
fn an_equation_that_is_no_text_is_shown() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = Folder::with_arrays("bytes-of-equation");
    let equation = OsStr::from_bytes(b"ij\xff->ij");
    let out = OsStr::new("--out");
    for arguments in [
        [OsStr::new("run"), equation, OsStr::new("a.npy"), out, OsStr::new("o.npy")],
        [OsStr::new("run"), out, OsStr::new("o.npy"), OsStr::new("--"), equation],
    ] {
        folder.run(&arguments).refused(2, "byte \\xff at position 2\n  ij\\xff\n    ^^^^");
    }
}

#[test]
fn nothing_of_the_input_reaches_the_terminal_raw() {
    let folder = Folder::with_arrays("raw");
    let hostile = "\u{1b}[31m\u{202e}\u{7}\u{9b}\u{200b}";
    for arguments in [
        vec!["run", hostile, "a.npy", "--out", "o.npy"],
        vec!["run", "ij", hostile, "--out", "o.npy"],
        vec!["run", "ij", "a.npy", "--out", hostile],
        vec!["plan", "ij", "--shapes", hostile],
        vec!["plan", "ij", "--sizes", hostile],
        vec!["plan", "ij", "--optimize", hostile],
        vec!["plan", "ij", "--check", hostile],
        vec!["plan", "ij", hostile],
        vec![hostile],
        vec!["plan", "ij", "--optimize", "x\nerror: forged"],
        vec!["plan", "ij", "--x\nerror: forged"],
        vec!["plan", "ij", "more", "x\nerror: forged"],
        vec!["pl\u{1b}[31man", "ij"],
    ] {
        let ran = folder.run(&arguments);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        let raw = |c: char| (c.is_control() && c != '\n') || ('\u{200b}'..='\u{202e}').contains(&c);
        assert!(!ran.stderr.contains(raw), "{arguments:?}: {:?}", ran.stderr);
        assert!(!ran.stderr.contains("\nerror: forged"), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn files_are_refused_before_they_are_read() {
    let folder = Folder::with_arrays("files");
    let whole = folder.read("a.npy");
    folder.write("short.npy", &whole[..whole.len() - 1]);
    folder.write("header.npy", &whole[..20]);
    folder.write("magic.npy", b"not an array");
    folder.write("empty.npy", b"");
    let header = String::from_utf8_lossy(&whole[10..128]).into_owned();
    let with = |from: &str, to: &str| {
        let mut changed = header.replace(from, to);
        changed.truncate(117);
        let padded = format!("{changed:<117}\n");
        [&whole[..10], padded.as_bytes(), &whole[128..]].concat()
    };
    folder.write("int.npy", with("<f4", "<i8"));
    folder.write("object.npy", with("<f4", "|O"));
    folder.write("huge.npy", with("(3, 4)", "(99999999999, 99999999999)"));
    for (file, expected) in [
        ("short.npy", "announces 48 bytes of elements, but there are 47"),
        ("header.npy", "`header.npy`: "),
        ("magic.npy", "`magic.npy`: "),
        ("empty.npy", "`empty.npy`: "),
        ("int.npy", "int64 arrays are not supported"),
        ("object.npy", "`object.npy`: "),
        ("huge.npy", "`huge.npy`: "),
        (".", "`.`: "),
    ] {
        folder.run(&["run", "...->...", file, "--out", "o.npy"]).refused(2, expected);
    }
    assert!(!folder.names().contains(&"o.npy".to_owned()));
}

#[test]
fn files_beside_the_result_are_checked_before_it_is_made() {
    let folder = Folder::with_arrays("beside");
    let before = folder.names();
    let arguments = ["run", "ij,jk->ik", "a.npy", "b.npy", "--out", "o.npy", "--bits", "auto", "--min-sqnr", "10"];
    for (more, code, expected) in [
        (&["--picture", "none/p.svg"][..], 1, "`none/p.svg`: "),
        (&["--config-out", "none/c.toml"], 1, "`none/c.toml`: "),
        (&["--config-out", "o.npy"], 2, "`--out` and `--config-out` name one file: `o.npy`"),
        (&["--config-out", "c.svg", "--picture", "c.svg"], 2, "`--config-out` and `--picture` name one file"),
    ] {
        folder.run(&[&arguments[..], more].concat()).refused(code, expected);
        assert_eq!(folder.names(), before);
    }
}

#[test]
fn a_limit_of_memory_holds_for_gradients_and_needs_sizes() {
    let folder = Folder::with_arrays("gradient-limit");
    folder.save("o.npy", ArrayD::<f32>::zeros(IxDyn(&[3, 5])));
    let arguments = ["vjp", "ij,jk->ik", "a.npy", "b.npy", "--cotangent", "o.npy", "--out-dir", "d", "--memory-limit"];
    let shapes = folder.run(&[&arguments[..], &["300"]].concat());
    shapes.refused(2, "the memory limit is 300 bytes: the run and its gradients need");
    folder
        .run(&["plan", "ij,jk->ik", "--memory-limit", "300"])
        .refused(2, "`--memory-limit` is about a plan with sizes");
}

#[test]
fn memory_is_refused_before_it_is_taken() {
    let folder = Folder::new("memory");
    folder.save("v.npy", ArrayD::<f32>::zeros(IxDyn(&[100_000])));
    folder.save("e.npy", ArrayD::<f32>::zeros(IxDyn(&[100_000, 0])));
    let start = std::time::Instant::now();
    // 40 GB and 80 GB: over what may be taken by default on small machines, and over 64 GiB on any.
    for cast in [&["--cast", "f64"][..], &["--max-memory", "1GiB"]] {
        let arguments = ["run", "a,b->ab", "v.npy", "v.npy", "--out", "o.npy"];
        folder.run(&[&arguments[..], cast].concat()).refused(2, "over the memory limit of");
    }
    let empty = ["run", "az,bz->ab", "e.npy", "e.npy", "--out", "o.npy", "--max-memory", "1GiB"];
    folder.run(&empty).refused(2, "over the memory limit of 1.0 GiB (1073741824 bytes)");
    assert!(start.elapsed().as_secs() < 10);
    assert_eq!(folder.names(), ["e.npy", "v.npy"]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_qeinsum"))
        .args(["parse", &"i".repeat(100_000), "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(0), ""));
}
