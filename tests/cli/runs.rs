//! `run`: the same results as the library's, in files.

use half::{bf16, f16};
use ndarray::ArrayD;
use qeinsum::io::AnyArray;
use qeinsum::rng::Layout;
use qeinsum::{DotGeneralConfig, Dtype, Key, QEinsum};

use crate::harness::{Folder, argument, values};
use crate::snapshot;

fn any(array: ArrayD<f32>) -> AnyArray {
    array.into()
}

#[test]
fn results_are_those_of_the_library() {
    let folder = Folder::with_arrays("results");
    let [a, b, c] = [values(&[3, 4], 1), values(&[4, 5], 2), values(&[5, 2], 3)];
    let chain = QEinsum::new("ij,jk,kl->il").unwrap().run((&a, &b, &c)).unwrap();
    let arguments = ["run", "ij,jk,kl->il", "a.npy", "b.npy", "c.npy", "--out", "o.npy"];
    assert!(folder.run(&arguments).done().stdout.is_empty());
    assert_eq!(folder.load("o.npy"), any(chain));
    let bytes = folder.read("o.npy");
    folder.run(&arguments).done();
    assert_eq!(folder.read("o.npy"), bytes);

    folder.run(&[&arguments[..], &["--threads", "3"]].concat()).done();
    assert_eq!(folder.read("o.npy"), bytes);

    let named = QEinsum::named("row x, x col -> col row").unwrap().run((&a, &b)).unwrap();
    folder.run(&["run", "--named", "row x, x col -> col row", "a.npy", "b.npy", "--out", "o.safetensors"]).done();
    assert_eq!(folder.load("o.safetensors"), any(named));
    assert_eq!(folder.names(), ["a.npy", "b.npy", "c.npy", "o.npy", "o.safetensors", "s.npy", "x.npy"]);

    folder.run(&["run", "ij->ji", "a.npy", "--out", "a.npy"]).done();
    assert_eq!(folder.load("a.npy"), any(a.t().as_standard_layout().into_owned()));
}

#[test]
fn equations_that_begin_with_a_hyphen_are_equations() {
    let folder = Folder::with_arrays("hyphen");
    let scalar = folder.load("s.npy");
    for arguments in [
        &["run", "->", "s.npy", "--out", "o.npy"][..],
        &["run", "--out", "o.npy", "->", "s.npy"],
        &["run", "--out", "o.npy", "--", "->", "s.npy"],
        &["run", "--named", "->", "s.npy", "--out", "o.npy"],
        &["run", "", "s.npy", "--out", "o.npy"],
        &["run", "--out", "o.npy", "--", "", "s.npy"],
    ] {
        folder.run(arguments).done();
        assert_eq!(folder.load("o.npy"), scalar, "{arguments:?}");
        std::fs::remove_file(folder.path("o.npy")).unwrap();
    }
}

#[test]
fn streams_and_archives_are_inputs() {
    let folder = Folder::with_arrays("inputs");
    let (a, b) = (values(&[3, 4], 1), values(&[4, 5], 2));
    let expected = QEinsum::new("ij,jk").unwrap().run((&a, &b)).unwrap();
    let stdin = folder.read("a.npy");
    folder.run_with(&["run", "ij,jk", "-", "b.npy", "--out", "o.npy"], &stdin).done();
    assert_eq!(folder.load("o.npy"), any(expected.clone()));
    let whole = folder.read("o.npy");
    let piped = folder.run_with(&["run", "ij,jk", "-", "b.npy", "--out", "-"], &stdin);
    assert_eq!(piped.done().stdout, whole);
    let short = folder.run_with(&["run", "ij,jk", "-", "b.npy", "--out", "o.npy"], &stdin[..stdin.len() - 4]);
    short.refused(2, "`standard input`: the header announces 48 bytes of elements, but there are 44");

    let file = std::fs::File::create(folder.path("z.npz")).unwrap();
    let mut archive = zip::ZipWriter::new(file);
    for name in ["a", "b"] {
        archive.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut archive, &folder.read(&format!("{name}.npy"))).unwrap();
    }
    archive.finish().unwrap();
    folder.save("w.safetensors", b);
    for second in ["z.npz:b", "w.safetensors:out", "w.safetensors"] {
        folder.run(&["run", "ij,jk", "z.npz:a", second, "--out", "o.npy"]).done();
        assert_eq!(folder.read("o.npy"), whole, "{second}");
    }
    folder.run(&["run", "ij", "z.npz:q", "--out", "o.npy"]).refused(2, "no array is called `q`; there are `a`, `b`");
}

#[test]
fn every_type_is_kept_and_cast_on_request() {
    let folder = Folder::with_arrays("types");
    let (a, b) = (values(&[3, 4], 1), values(&[4, 5], 2));
    let product = QEinsum::new("ij,jk").unwrap();
    for dtype in ["f32", "f64", "f16", "bf16"] {
        folder.run(&["run", "ij,jk", "a.npy", "b.npy", "--cast", dtype, "--out", "o.safetensors"]).done();
        let expected: AnyArray = match dtype {
            "f32" => product.run((&a, &b)).unwrap().into(),
            "f64" => product.run((&a.mapv(f64::from), &b.mapv(f64::from))).unwrap().into(),
            "f16" => product.run((&a.mapv(f16::from_f32), &b.mapv(f16::from_f32))).unwrap().into(),
            _ => product.run((&a.mapv(bf16::from_f32), &b.mapv(bf16::from_f32))).unwrap().into(),
        };
        assert_eq!(folder.load("o.safetensors"), expected, "{dtype}");
        // What was written is an input of that type.
        folder.run(&["run", "ij->j", "o.safetensors", "--out", "sum.safetensors"]).done();
        assert_eq!(folder.load("sum.safetensors").dtype(), expected.dtype());
    }
    folder.run(&["run", "ij,ij->", "a.npy", "x.npy", "--out", "o.npy", "--cast", "f64"]).done();
    assert_eq!(folder.load("o.npy").dtype(), Dtype::F64);
}

#[test]
fn quantized_runs_are_those_of_the_library() {
    let folder = Folder::with_arrays("quantized");
    let (a, b, c) = (values(&[3, 4], 1), values(&[4, 5], 2), values(&[5, 2], 3));
    let config = DotGeneralConfig::v4().fwd_bits(Some(4)).dlhs_bits(Some(4)).build().unwrap();
    let chain = QEinsum::new("ij,jk,kl->il").unwrap();
    let expected = chain.clone().with_config(config.clone()).run((&a, &b, &c)).unwrap();
    assert_ne!(expected, chain.run((&a, &b, &c)).unwrap());
    let run = ["run", "ij,jk,kl->il", "a.npy", "b.npy", "c.npy", "--out", "o.npy"];
    folder.run(&[&run[..], &["--bits", "4"]].concat()).done();
    assert_eq!(folder.load("o.npy"), any(expected));
    let bits = folder.read("o.npy");

    let config = qeinsum::QuantConfig::from(config);
    folder.write("config.toml", config.to_toml().unwrap());
    folder.write("config.json", config.to_json().unwrap());
    for file in ["config.toml", "config.json"] {
        folder.run(&[&run[..], &["--config", file]].concat()).done();
        assert_eq!(folder.read("o.npy"), bits, "{file}");
    }
}

#[test]
fn noise_needs_a_seed_and_follows_it() {
    let folder = Folder::with_arrays("noise");
    let (a, b) = (values(&[3, 4], 1), values(&[4, 5], 2));
    let mut config = DotGeneralConfig::v4().build().unwrap();
    if let qeinsum::quant::Numerics::Int(int) = &mut config.forward.lhs.numerics {
        int.noise = Some(qeinsum::quant::Noise::JaxUniform);
    }
    let qe = QEinsum::new("ij,jk").unwrap().with_config(config.clone());
    folder.write("noise.toml", qeinsum::QuantConfig::from(config).to_toml().unwrap());
    let run = ["run", "ij,jk", "a.npy", "b.npy", "--out", "o.npy", "--config", "noise.toml"];
    folder.run(&run).refused(2, "the configuration adds noise: give `--seed`");
    for (flags, layout) in [
        (&["--seed", "7"][..], Layout::Original),
        (&["--seed", "7", "--rng", "jax-partitionable"], Layout::Partitionable),
    ] {
        folder.run(&[&run[..], flags].concat()).done();
        let expected = qe.run_with_key((&a, &b), Key::new(7).with_layout(layout)).unwrap();
        assert_eq!(folder.load("o.npy"), any(expected), "{flags:?}");
    }
}

#[test]
fn a_report_says_what_quantization_costs() {
    let folder = Folder::with_arrays("report");
    let text = folder.session(&[
        "run ij,jk,kl->il a.npy b.npy c.npy --out o.npy --bits 8 --report",
        "run ij,jk,kl->il a.npy b.npy c.npy --out o.npy --bits 4 --report --explain",
        "run ij->ji a.npy --out o.npy --bits 4 --report --format json",
    ]);
    snapshot::assert("cli__reports", "reports of quantized runs", &text);
    let with = folder.run(&["run", "ij,jk", "a.npy", "b.npy", "--out", "o.npy", "--bits", "8", "--report"]).done().code;
    let reported = folder.read("o.npy");
    folder.run(&["run", "ij,jk", "a.npy", "b.npy", "--out", "o.npy", "--bits", "8"]).done();
    assert_eq!((with, folder.read("o.npy")), (0, reported));
}

#[test]
fn what_is_not_finite_is_quantized_on_request_only() {
    let folder = Folder::with_arrays("nonfinite");
    let mut n = values(&[3, 4], 1);
    n[[1, 2]] = f32::NAN;
    folder.save("n.npy", n);
    folder.save("big.npy", values(&[3, 4], 1).mapv(|x| f64::from(x) * 1e300));
    let run = ["run", "ij,ij->", "a.npy", "n.npy", "--out", "o.npy"];
    folder.run(&run).done();
    let quantized = [&run[..], &["--bits", "8"]].concat();
    folder.run(&quantized).refused(2, "`n.npy`: the element at [1, 2] is NaN or infinite");
    folder.run(&[&quantized[..], &["--allow-nonfinite"]].concat()).done();
    let cast = ["run", "ij,ij->", "a.npy", "big.npy", "--out", "o.npy", "--bits", "8", "--cast", "f32"];
    folder.run(&cast).refused(2, "`big.npy`: the element at [0, 0] is NaN or infinite");
}

#[test]
fn a_saved_plan_and_a_given_path_are_followed() {
    let folder = Folder::with_arrays("plan");
    let plan = ["plan", "ij,jk,kl->il", "--shapes", "3x4,4x5,5x2", "--path", "(0,1) (0,1)", "--format", "json"];
    folder.run(&[&plan[..], &["--out", "plan.json"]].concat()).done();
    let run = ["run", "ij,jk,kl->il", "a.npy", "b.npy", "c.npy", "--out", "o.npy", "--bits", "4"];
    let mut results = Vec::new();
    for how in [["--plan", "plan.json"], ["--path", "(0,1) (0,1)"], ["--path", "(1,2) (0,1)"]] {
        folder.run(&[&run[..], &how].concat()).done();
        results.push(folder.read("o.npy"));
    }
    assert_eq!(results[0], results[1]);
    assert_ne!(results[0], results[2]);
    let other = ["run", "ij,jk,kl->li", "a.npy", "b.npy", "c.npy", "--out", "p.npy", "--plan", "plan.json"];
    folder.run(&other).refused(2, "the plan is one of `ij,jk,kl->il`, but the equation is `ij,jk,kl->li`");
    let shape = ["run", "ij,jk,kl->il", "a.npy", "b.npy", "p.npy", "--out", "p.npy", "--plan", "plan.json"];
    folder.save("p.npy", values(&[5, 3], 9));
    folder.run(&shape).refused(2, "operand 2 has shape [5, 3], but the plan is bound to [5, 2]");
    folder.write(
        "broken.json",
        String::from_utf8(folder.read("plan.json")).unwrap().replace("\"swapped\": true", "\"swapped\": false"),
    );
    let broken = ["run", "ij,jk,kl->il", "a.npy", "b.npy", "c.npy", "--out", "p.npy", "--plan", "broken.json"];
    folder.run(&broken).refused(2, "`broken.json`: ");
}

#[test]
fn notes_go_to_standard_error() {
    let folder = Folder::with_arrays("notes");
    let ran = folder.run(&["run", "i...->i", "a.npy", "--out", argument(&folder.path("o.npy"))]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stderr, "note: the axis of `...` is not in the output: it is summed\n  i...->i\n   ^^^\n");
    assert!(ran.stdout.is_empty());
}
