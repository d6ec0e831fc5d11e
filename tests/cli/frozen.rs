//! `freeze`, and frozen files in `run`.

use half::{bf16, f16};
use qeinsum::Frozen;

use crate::harness::{Folder, values};
use crate::snapshot;

#[test]
fn a_frozen_file_stands_in_its_operands_place() {
    let folder = Folder::with_arrays("frozen");
    for bits in ["8", "4", "12"] {
        folder.run(&["run", "ij,jk->ki", "a.npy", "b.npy", "--bits", bits, "--out", "o.npy"]).done();
        let expected = folder.load("o.npy");
        for operand in ["0", "1"] {
            let freeze = ["freeze", "ij,jk->ki", "a.npy", "b.npy", "--operand", operand, "--bits", bits, "--out"];
            folder.run(&[&freeze[..], &["w.safetensors"]].concat()).done();
            let mut inputs = ["a.npy", "b.npy"];
            inputs[usize::from(operand == "1")] = "w.safetensors";
            // The configuration is that of the file, or the same one given.
            for config in [&[][..], &["--bits", bits]] {
                let run = ["run", "ij,jk->ki", inputs[0], inputs[1], "--out", "p.npy"];
                folder.run(&[&run[..], config].concat()).done();
                assert_eq!(folder.load("p.npy"), expected, "{bits} bits, operand {operand}");
            }
        }
    }
}

#[test]
fn narrow_types_are_frozen_too() {
    let folder = Folder::new("frozen-narrow");
    folder.save("a.npy", values(&[3, 4], 1).mapv(f16::from_f32));
    folder.save("b.npy", values(&[4, 5], 2).mapv(f16::from_f32));
    folder.save("a.safetensors", values(&[3, 4], 1).mapv(bf16::from_f32));
    folder.save("b.safetensors", values(&[4, 5], 2).mapv(bf16::from_f32));
    for extension in ["npy", "safetensors"] {
        let file = |name: &str| format!("{name}.{extension}");
        let (a, b, out, served) = (file("a"), file("b"), file("out"), file("served"));
        folder.run(&["run", "ij,jk->ik", &a, &b, "--bits", "8", "--out", &out]).done();
        folder.run(&["freeze", "ij,jk->ik", &a, &b, "--operand", "1", "--bits", "8", "--out", "w.safetensors"]).done();
        folder.run(&["run", "ij,jk->ik", &a, "w.safetensors", "--out", &served]).done();
        assert_eq!(folder.load(&served), folder.load(&out), "{extension}");
    }
}

#[test]
fn another_batch_size_and_more_operands() {
    let folder = Folder::with_arrays("frozen-more");
    folder.save("wide.npy", values(&[9, 4], 8));
    folder
        .run(&["freeze", "...j,jk->...k", "a.npy", "b.npy", "--operand", "1", "--bits", "8", "--out", "w.safetensors"])
        .done();
    folder.save("deep.npy", values(&[2, 3, 4], 9));
    for input in ["wide.npy", "deep.npy"] {
        folder.run(&["run", "...j,jk->...k", input, "b.npy", "--bits", "8", "--out", "o.npy"]).done();
        folder.run(&["run", "...j,jk->...k", input, "w.safetensors", "--out", "p.npy"]).done();
        assert_eq!(folder.load("p.npy"), folder.load("o.npy"), "{input}");
    }
    for operand in ["1", "2"] {
        let out = format!("w{operand}.safetensors");
        let eq =
            ["freeze", "ij,jk,kl->il", "a.npy", "b.npy", "c.npy", "--operand", operand, "--bits", "8", "--out", &out];
        folder.run(&eq).done();
    }
    folder.run(&["run", "ij,jk,kl->il", "a.npy", "b.npy", "c.npy", "--bits", "8", "--out", "o.npy"]).done();
    folder.run(&["run", "ij,jk,kl->il", "a.npy", "w1.safetensors", "w2.safetensors", "--out", "p.npy"]).done();
    assert_eq!(folder.load("p.npy"), folder.load("o.npy"));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_written() {
    let folder = Folder::with_arrays("frozen-refused");
    folder.save("nan.npy", values(&[4, 5], 2).mapv(|x| if x > 0.9 { f32::NAN } else { x }));
    folder
        .run(&["freeze", "ij,jk->ik", "a.npy", "b.npy", "--operand", "1", "--bits", "8", "--out", "w.safetensors"])
        .done();
    folder
        .run(&["freeze", "ij,jk->ik", "a.npy", "b.npy", "--operand", "0", "--bits", "4", "--out", "v.safetensors"])
        .done();
    let bytes = folder.read("w.safetensors");
    folder.write("cut.safetensors", &bytes[..bytes.len() - 1]);
    let before = folder.names();
    let text = folder.session(&[
        "freeze ij,jk->ik a.npy b.npy --operand 1 --out x.safetensors",
        "freeze ij,jk->ik a.npy b.npy --operand 2 --bits 8 --out x.safetensors",
        "freeze ij,jk->ik a.npy b.npy --operand 1 --bits 8 --out x.npy",
        "freeze ij,jk->ik a.npy b.npy --operand 1 --bits 40 --out x.safetensors",
        "freeze ij,jk->ik a.npy nan.npy --operand 1 --bits 8 --out x.safetensors",
        "freeze ij,jk->ik a.npy w.safetensors --operand 1 --bits 8 --out x.safetensors",
        "freeze ij->ji a.npy --operand 0 --bits 8 --out x.safetensors",
        "run ij,jk->ki a.npy w.safetensors --out o.npy",
        "run ij,jk->ik a.npy w.safetensors --bits 4 --out o.npy",
        "run ij,jk->ik x.npy w.safetensors --out o.npy",
        "run ij,jk->ik v.safetensors w.safetensors --out o.npy",
        "run ij,jk->ik a.npy w.safetensors --cast f16 --out o.npy",
        "run ij,jk->ik a.npy w.safetensors --bits 8 --report --out o.npy",
        "run ij,jk->ik a.npy cut.safetensors --out o.npy",
    ]);
    snapshot::assert("cli__frozen_operands_that_do_not_fit", "frozen operands that do not fit", &text);
    assert_eq!(folder.names(), before);
    assert!(Frozen::load(folder.path("w.safetensors")).is_ok());
}

#[test]
fn what_is_not_finite_passes_only_where_it_is_allowed() {
    let folder = Folder::with_arrays("frozen-nonfinite");
    folder.save("inf.npy", values(&[4, 5], 2).mapv(|x| if x > 0.9 { f32::INFINITY } else { x }));
    let freeze = ["freeze", "ij,jk->ik", "a.npy", "inf.npy", "--operand", "1", "--bits", "8", "--out", "w.safetensors"];
    folder.run(&[&freeze[..], &["--allow-nonfinite"]].concat()).done();
    let run = ["run", "ij,jk->ik", "a.npy", "w.safetensors", "--out", "o.npy"];
    folder.run(&run).refused(2, "`w.safetensors`: the frozen operand has a NaN or an infinity");
    folder.run(&[&run[..], &["--allow-nonfinite"]].concat()).done();
}

#[test]
fn the_memory_limit_holds_for_frozen_files_too() {
    let folder = Folder::with_arrays("frozen-memory");
    let freeze = ["freeze", "ij,jk->ik", "a.npy", "b.npy", "--operand", "1", "--bits", "8", "--out", "w.safetensors"];
    folder.run(&freeze).done();
    // Sparse: a gigabyte that is not there.
    let file = std::fs::OpenOptions::new().write(true).open(folder.path("w.safetensors")).unwrap();
    file.set_len(1 << 30).unwrap();
    drop(file);
    let run = ["run", "ij,jk->ik", "a.npy", "w.safetensors", "--out", "o.npy", "--max-memory", "64MiB"];
    folder.run(&run).refused(2, "`w.safetensors`: to read it may take 6.0 GiB");
}
