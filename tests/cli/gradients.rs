//! `vjp`: the same gradients as the library's, in files.

use half::bf16;
use ndarray::ArrayD;
use qeinsum::io::{self, AnyArray};
use qeinsum::{DotGeneralConfig, Key, QEinsum};

use crate::harness::{Folder, values};
use crate::snapshot;

#[test]
fn gradients_are_those_of_the_library() {
    let folder = Folder::with_arrays("vjp");
    let (a, b, g) = (values(&[3, 4], 1), values(&[4, 5], 2), values(&[5, 3], 7));
    folder.save("g.npy", g.clone());
    let exact = QEinsum::new("ij,jk->ki").unwrap();
    let quantized = exact.clone().with_config(DotGeneralConfig::v4().build().unwrap());
    let command = ["vjp", "ij,jk->ki", "a.npy", "b.npy", "--cotangent", "g.npy", "--out-dir", "deep/grads"];
    for (qe, key, flags) in [(exact, None, &[][..]), (quantized, Some(Key::new(5)), &["--bits", "8", "--seed", "5"])] {
        let (out, grads) = qe.vjp((&a, &b), key).unwrap();
        let expected = grads.pull(&g).unwrap();
        folder.run(&[&command[..], flags].concat()).done();
        for (name, array) in ["out", "d0", "d1"].into_iter().zip([&out, &expected[0], &expected[1]]) {
            assert_eq!(folder.load(&format!("deep/grads/{name}.npy")), AnyArray::from(array.clone()), "{name}");
        }
    }
    folder
        .run(&["vjp", "ij,jk->ki", "a.npy", "b.npy", "--cotangent", "g.npy", "--out-dir", "one", "--wrt", "1"])
        .done();
    let mut names: Vec<_> =
        std::fs::read_dir(folder.path("one")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["d1.npy", "out.npy"]);
}

#[test]
fn bf16_goes_to_one_file() {
    let folder = Folder::new("vjp-bf16");
    let narrow = |shape: &[usize], seed| -> ArrayD<bf16> { values(shape, seed).mapv(bf16::from_f32) };
    let (a, b, g) = (narrow(&[3, 4], 1), narrow(&[4, 5], 2), narrow(&[3, 5], 3));
    for (name, array) in [("a.safetensors", &a), ("b.safetensors", &b), ("g.safetensors", &g)] {
        folder.save(name, array.clone());
    }
    let line = "vjp ij,jk->ik a.safetensors b.safetensors --cotangent g.safetensors --out-dir grads";
    folder.run(&line.split(' ').collect::<Vec<_>>()).done();
    let (_, grads) = QEinsum::new("ij,jk->ik").unwrap().vjp((&a, &b), None).unwrap();
    let path = folder.path("grads/gradients.safetensors");
    for (position, expected) in grads.pull(&g).unwrap().into_iter().enumerate() {
        let spec = format!("{}:d{position}", path.display());
        assert_eq!(io::load(spec).unwrap(), AnyArray::from(expected));
    }
}

#[test]
fn what_cannot_be_differentiated_is_refused_and_nothing_is_written() {
    let folder = Folder::with_arrays("vjp-refused");
    folder.save("g.npy", values(&[3, 5], 6));
    folder.save("g64.npy", values(&[3, 5], 6).mapv(f64::from));
    folder.write("shards.toml", "version = 1\npreset = 'v4'\nstochastic_rounding = 'off'\n[dlhs]\nshards = 3\n");
    folder.write(
        "residual.toml",
        "version = 1\npreset = 'v4'\nstochastic_rounding = 'off'\n[dlhs]\nresidual = 'unspecified'\n",
    );
    folder
        .run(&["freeze", "ij,jk->ik", "a.npy", "b.npy", "--operand", "1", "--bits", "8", "--out", "w.safetensors"])
        .done();
    let before = folder.names();
    let text = folder.session(&[
        "vjp ij,jk->ik a.npy b.npy --cotangent g.npy",
        "vjp ij,jk->ik a.npy b.npy --cotangent a.npy --out-dir grads",
        "vjp ij,jk->ik a.npy b.npy --cotangent g64.npy --out-dir grads",
        "vjp ij,jk->ik a.npy b.npy --cotangent missing.npy --out-dir grads",
        "vjp ij,jk->ik a.npy b.npy --cotangent g.npy --out-dir grads --bits 8",
        "vjp ij,jk->ik a.npy b.npy --cotangent g.npy --out-dir grads --config shards.toml",
        "vjp ij,jk->ik a.npy b.npy --cotangent g.npy --out-dir grads --config residual.toml",
        "vjp ij,jk->ik a.npy w.safetensors --cotangent g.npy --out-dir grads --seed 0",
        "vjp ij,jk->ik a.npy b.npy --cotangent g.npy --out-dir grads --wrt 2",
        "vjp ij,jk->ik a.npy b.npy --cotangent g.npy --out-dir grads --wrt 0,0",
        "vjp ij,jk->ik a.npy b.npy --cotangent g.npy --out-dir a.npy",
        "vjp ij,jk->ik a.npy b.npy --cotangent g.npy --out-dir grads --max-memory 100",
    ]);
    snapshot::assert("cli__gradients_that_cannot_be", "gradients that cannot be computed", &text);
    assert_eq!(folder.names(), before);
}

#[test]
fn nothing_is_written_where_one_file_could_not_be() {
    let folder = Folder::with_arrays("vjp-blocked");
    folder.save("g.npy", values(&[3, 5], 7));
    std::fs::create_dir_all(folder.path("grads/d1.npy")).unwrap();
    let command = ["vjp", "ij,jk->ik", "a.npy", "b.npy", "--cotangent", "g.npy", "--out-dir", "grads"];
    folder.run(&command).refused(2, "`grads/d1.npy`");
    assert_eq!(std::fs::read_dir(folder.path("grads")).unwrap().count(), 1);
    folder.run(&[&command[..], &["--wrt", "0"]].concat()).done();
}
