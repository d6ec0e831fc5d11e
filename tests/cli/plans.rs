//! `parse`, `graph`, `path` and `plan`.

use ndarray::{ArrayD, IxDyn};
use serde_json::json;

use crate::harness::Folder;
use crate::snapshot;

const NETWORK: &str = r#"{"name": "ring", "inputs": [["bond 1", "x"], ["x", "é"], ["é", "bond 1"]], "output": [],
    "sizes": {"bond 1": 2, "x": 3, "é": 4}}"#;

#[test]
fn every_stage_has_a_text() {
    let folder = Folder::new("stages");
    folder.write("network.json", NETWORK);
    let stages = folder.session(&[
        "parse ...ij,jk->...ik",
        "parse ,ij",
        "parse ij,jk --format json",
        "graph iij,jk,x->k --sizes i=2,j=3,k=4,x=5",
        "graph ij,jk --shapes 2x3,3x1 --format dot",
        "path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64",
        "path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64 --minimize size --format json",
        "path ab,bc,cd",
        "path ab,bc,cd --format json",
        "path --network network.json",
    ]);
    snapshot::assert("cli__stages", "the earlier stages on the command line", &stages);
}

#[test]
fn a_plan_has_texts() {
    let folder = Folder::new("plans");
    folder.write("network.json", NETWORK);
    let plans = folder.session(&[
        "plan bij,bjk->bik --shapes 16x64x32,16x32x8",
        "plan bij,bjk->bik --sizes b=16,i=64,j=32,k=8 --bits 8 --explain",
        "plan bij,bjk->bik",
        "plan , --shapes scalar,scalar --explain",
        "plan ij,jk->ki --sizes i=0,j=3,k=4 --dtype bf16 --format json",
        "plan ij,jk->ki --format json",
        "plan iij,jk->ki --shapes 2x2x3,3x4 --format dot",
        "plan ab,bc,cd --sizes a=2,b=3,c=4,d=5 --path (0,2),(0,1)",
        "plan ab,bc,cd --sizes a=2,b=3,c=4,d=5 --optimize none",
        "plan --network network.json --optimize greedy",
        "plan i...->i --shapes 2x3",
    ]);
    snapshot::assert("cli__plans", "plans on the command line", &plans);
}

#[test]
fn json_has_what_programs_read() {
    let folder = Folder::new("json");
    let plan = folder
        .run(&["plan", "ab,bc,cd->ad", "--shapes", "2x3,3x4,4x5", "--format", "json", "--timing", "--bits", "4"])
        .json();
    for key in ["format", "planner", "equation", "sizes", "path", "ssa_path", "steps", "cost", "certificate", "slices"]
    {
        assert!(plan.get(key).is_some(), "{key}");
    }
    assert_eq!(plan["path"], json!([[0, 1], [0, 1]]));
    assert_eq!(plan["cost"]["multiplications"], json!("64"));
    assert_eq!(plan["optimal"], json!(true));
    assert!(plan["search_seconds"].as_f64().unwrap() < 10.0);
    assert!(plan["config"].is_object());
    assert_eq!(plan["steps"][0]["op"], json!("dot_general"));
    folder.write("network.json", NETWORK);
    let network = folder.run(&["plan", "--network", "network.json", "--format", "json"]).json();
    assert_eq!((&network["name"], &network["sizes"]["é"]), (&json!("ring"), &json!(4)));
    assert!(network.get("search_seconds").is_none());
}

#[test]
fn the_same_request_prints_the_same_bytes_and_files() {
    let folder = Folder::new("bytes");
    for format in ["text", "json", "dot"] {
        let arguments = ["plan", "ab,bc,cd->ad", "--shapes", "2x3,3x4,4x5", "--format", format];
        let printed = folder.run(&arguments).done().stdout.clone();
        assert_eq!(folder.run(&arguments).stdout, printed);
        let name = format!("plan.{format}");
        assert!(folder.run(&[&arguments[..], &["--out", &name]].concat()).done().stdout.is_empty());
        assert_eq!(folder.read(&name), printed);
        assert_eq!(folder.run(&[&arguments[..], &["--out", "-"]].concat()).stdout, printed);
    }
    assert_eq!(folder.names(), ["plan.dot", "plan.json", "plan.text"]);
    folder.run(&["plan", "ij", "--out", "none/plan.txt"]).refused(1, "`none/plan.txt`: cannot find its directory");
}

#[test]
fn an_order_is_compared_with_a_saved_one() {
    let folder = Folder::new("check");
    let small = ["plan", "ab,bc,cd->ad", "--sizes", "a=2,b=3,c=4,d=5"];
    let large = ["plan", "ab,bc,cd->ad", "--sizes", "a=20,b=3,c=40,d=1"];
    folder.run(&[&small[..], &["--out", "saved.txt"]].concat()).done();
    folder.run(&[&small[..], &["--out", "saved.json", "--format", "json"]].concat()).done();
    folder.write("other.txt", "no plan\n");
    for saved in ["saved.txt", "saved.json"] {
        folder.run(&[&small[..], &["--check", saved]].concat()).done();
        let differs = folder.run(&[&large[..], &["--check", saved]].concat());
        differs.refused(2, "step 0 was (0,1) and is (1,2)\n- sizes a=2 b=3 c=4 d=5\n");
        assert!(differs.stderr.contains("\n- path (0,1) (0,1)\n") && differs.stderr.contains("\n+ path (1,2) (0,1)\n"));
    }
    // Symbolic plans have an order too.
    folder.run(&["plan", "ab,bc,cd->ad", "--check", "saved.json"]).done();
    folder.run(&[&small[..], &["--check", "other.txt"]].concat()).refused(2, "`other.txt`: this is no plan");
    folder.run(&[&small[..], &["--check", "none"]].concat()).refused(2, "`none`: no such file");
}

#[test]
fn thousands_of_operands_are_planned_at_once() {
    let folder = Folder::new("chain");
    let length = 3400;
    let inputs: Vec<[String; 2]> = (0..length).map(|i| [format!("x{i}"), format!("x{}", i + 1)]).collect();
    let sizes: serde_json::Map<_, _> = (0..=length).map(|i| (format!("x{i}"), json!(2))).collect();
    let network = json!({"inputs": inputs, "output": ["x0", format!("x{length}")], "sizes": sizes});
    folder.write("chain.json", network.to_string());
    let start = std::time::Instant::now();
    let plan = folder.run(&["plan", "--network", "chain.json", "--optimize", "greedy", "--format", "json"]).json();
    assert_eq!(plan["path"].as_array().unwrap().len(), length - 1);
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[test]
fn searches_are_told_how_long_and_how_much_memory() {
    let folder = Folder::with_arrays("limits");
    let session = folder.session(&[
        "plan ab,bc,cd,de->ae --shapes 30x40,40x50,50x20,20x3 --memory-limit 22kB",
        "plan ab,bc,cd,da-> --shapes 30x40,40x50,50x20,20x30 --memory-limit 24kB",
        "plan ab,bc,cd,da-> --shapes 30x40,40x50,50x20,20x30 --memory-limit 1kB",
        "plan ab,bc,cd,de->ae --shapes 3x4,4x5,5x2,2x3 --path (0,1),(0,1),(0,1) --memory-limit 240B",
        "plan ab,bc,cd,de->ae --shapes 3x4,4x5,5x2,2x3 --optimize anneal --seed 3 --threads 1",
        "plan ab,bc,cd,de->ae --shapes 3x4,4x5,5x2,2x3 --optimize random-greedy",
        "path ab,bc,cd,de->ae --shapes 3x4,4x5,5x2,2x3 --time-budget 50ms",
        "plan ab,bc --shapes 3x4,4x5 --time-budget 10",
        "plan ab,bc --shapes 3x4,4x5 --time-budget 0s",
        "plan ab,bc --shapes 3x4,4x5 --time-budget 9999h",
        "plan ab,bc --shapes 3x4,4x5 --memory-limit lots",
        "plan ab,bc --shapes 3x4,4x5 --memory-limit 1TiB",
        "run ij,jk,kl->il a.npy b.npy c.npy --memory-limit 250B --out limited.npy",
        "plan ab,bc,cd->ad --shapes 64x256,256x2,2x64 --minimize time --bits 8 --explain",
        "plan ab,bc --minimize time",
        "plan ab,bc --shapes 3x4,4x5 --minimize time --speeds none.json",
        "plan ab,bc --shapes 3x4,4x5 --minimize time --speeds a.npy",
        "bench --calibrate ab,bc",
        "path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64 --format opt-einsum",
        "path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64 --format cotengra",
        "path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64 --ssa-path [(1,2),(0,4),(3,5)]",
        "path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64 --path ['einsum_path',(0,1,2,3)]",
        "path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64 --path @none.txt",
        "path ab,bc,cd,de->ae --shapes 64x8,8x64,64x8,8x64 --ssa-path (0,1)",
    ]);
    snapshot::assert("cli__search_limits", "searches with limits on the command line", &session);
}

#[test]
fn plans_in_slices_are_printed_saved_and_run() {
    let folder = Folder::with_arrays("slices");
    let session = folder.session(&[
        "plan ij,jk,kl->il --shapes 3x4,4x5,5x2 --path (0,1),(0,1) --slice k",
        "plan bij,bjk->bik --shapes 16x64x32,16x32x8 --slice b --bits 8 --explain",
        "plan bij,bjk->bik --shapes 16x64x32,16x32x8 --slice b,j --bits 8",
        "plan ij,jk->ik --shapes 3x4,4x5 --slice z",
        "plan ij,jk->ik --slice j",
        "run ij,jk,kl->il a.npy b.npy c.npy --slice k,l --out sliced.npy",
        "run ij,jk,kl->il a.npy b.npy c.npy --out whole.npy",
        "run ij,jk->ik a.npy b.npy --slice i --bits 8 --report --out o.npy",
        "run ij,jk->ik a.npy b.npy --slice i --bits 8 --out o.npy",
        "vjp ij,jk->ik a.npy b.npy --slice i --cotangent o.npy --out-dir grads",
    ]);
    snapshot::assert("cli__slices", "plans in slices on the command line", &session);
    assert_eq!(folder.read("sliced.npy"), folder.read("whole.npy"));
    let plan = ["plan", "ij,jk,kl->il", "--shapes", "3x4,4x5,5x2", "--slice", "l"];
    assert_eq!(folder.run(&[&plan[..], &["--format", "json", "--out", "plan.json"]].concat()).code, 0);
    let run = ["run", "ij,jk,kl->il", "a.npy", "b.npy", "c.npy", "--plan", "plan.json", "--out", "planned.npy"];
    assert_eq!(folder.run(&run).code, 0);
    assert_eq!(folder.read("planned.npy"), folder.read("whole.npy"));
}

#[test]
fn what_does_not_fit_does_in_slices() {
    let folder = Folder::new("fits");
    folder.save("a.npy", ArrayD::<f32>::ones(IxDyn(&[1000])));
    folder.save("c.npy", ArrayD::<f32>::ones(IxDyn(&[1000, 4])));
    let run = ["run", "i,j,jk->ik", "a.npy", "a.npy", "c.npy", "--path", "(0,1) (0,1)", "--out", "o.npy"];
    let limit = ["--max-memory", "100kB"];
    let refused = folder.run(&[&run[..], &limit].concat());
    assert!(refused.code == 2 && refused.stderr.contains("over the memory limit"), "{}", refused.stderr);
    let ran = folder.run(&[&run[..], &limit, &["--slice", "j"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(folder.load("o.npy"), ArrayD::from_elem(IxDyn(&[1000, 4]), 1000.0_f32).into());
}

#[test]
fn families_are_printed_and_saved() {
    let folder = Folder::new("families");
    let chain = "a=2..1000,b=2..1000,c=2..1000,d=2..1000";
    let session = folder.session(&[
        &format!("family ab,bc,cd->ad --sizes {chain} --samples 2000"),
        "family ab,bc,cd,de->ae --sizes a=1..64,b=16..4096,c=16..4096,d=8,e=2..3 --tolerance 2.5% --seed 3 --samples 2000",
        "family ab,bc,cd,de->ae --sizes a=1..99,b=1..99,c=1..99,d=1..99,e=1..99 --members 3 --samples 2000",
        "family ij->i --sizes i=1..9,j=5",
        "family , --sizes i=1..9",
        "family a,b,c,d,e,f,g,h->a --sizes a=1..2,b=1..2,c=1..2,d=1..2,e=1..2,f=1..2,g=1..2,h=1..2",
        "family ij,jk->ik --sizes i=2..3,j=4..5",
        "family ij,jk->ik --sizes i=2..3,j=4..5,k=7..6",
        "family ij,jk->ik --sizes i=2..3,j=4..5,k=0..6",
        "family ij,jk->ik --sizes i=2..3,j=4..5,k=1..x",
        "family ij,jk->ik --sizes i=2..3,j=4..5,k",
        "family ij,jk->ik --sizes i=2..3,j=4..5,k=1..9 --tolerance much",
        "family ij,jk->ik --sizes i=2..3,j=4..5,k=1..9 --tolerance 2000%",
        "family ij,jk->ik --sizes i=2..3,j=4..5,k=1..9 --grid 0",
        "family ij,jk->ik",
    ]);
    snapshot::assert("cli__families", "families of paths on the command line", &session);
    let arguments = ["family", "ab,bc,cd->ad", "--sizes", chain, "--samples", "500", "--format", "json"];
    folder.run(&[&arguments[..], &["--out", "family.json"]].concat()).done();
    let family = qeinsum::path::Family::from_json(std::str::from_utf8(&folder.read("family.json")).unwrap()).unwrap();
    assert_eq!(family.to_json() + "\n", folder.run(&arguments).done().out());
    assert_eq!(family.members().len(), 2);
}

#[test]
fn pictures_are_files_of_their_own() {
    let folder = Folder::new("pictures");
    let arguments = ["plan", "ab,bc,cd->ad", "--shapes", "2x3,3x4,4x5", "--bits", "8", "--format"];
    let with = |more: &[&'static str]| -> Vec<&str> { [&arguments, more].concat() };
    let svg = folder.run(&with(&["svg"])).done().stdout.clone();
    assert_eq!(folder.run(&with(&["svg"])).stdout, svg);
    folder.run(&with(&["svg", "--out", "plan.svg"])).done();
    assert_eq!(folder.read("plan.svg"), svg);
    let svg = String::from_utf8(svg).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("lhs int8 over b"), "{svg}");
    folder.run(&with(&["html", "--out", "plan.html"])).done();
    let html = String::from_utf8(folder.read("plan.html")).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    // Nothing is fetched: the only addresses are those that name XML's vocabularies.
    let addresses = html.matches("://").count();
    assert_eq!(addresses, html.matches("http://www.w3.org/2000/svg").count());
}

#[test]
fn a_picture_needs_sizes() {
    let folder = Folder::new("sizeless");
    for format in ["svg", "html"] {
        let ran = folder.run(&["plan", "ab,bc->ac", "--format", format]);
        assert_eq!((ran.code, ran.stdout.len()), (2, 0));
        assert!(
            ran.stderr.contains("a picture is of a plan with sizes: give `--shapes` or `--sizes`"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn plans_are_exported() {
    let folder = Folder::new("exports");
    folder.write("noise.toml", "version = 1\npreset = 'v4'\n[fwd.lhs]\nnoise = 'jax.uniform'\n");
    let texts = folder.session(&[
        "plan ij,jk->ki --shapes 2x3,3x4 --format stablehlo",
        "plan ij->i --shapes 2x3 --dtype c64 --format stablehlo",
        "plan ij,jk->ki --format stablehlo",
        "plan ij,jk->ki --format onnx --out plan.onnx",
        "plan ij,jk->ki --shapes 2x3,3x4 --format onnx --out plan.onnx",
        "plan ij,jk->ki --shapes 2x3,3x4 --format onnx --dtype c32",
        "plan ij,jk->ki --shapes 2x3,3x4 --format stablehlo --config noise.toml",
        "plan ij,jk->ki --shapes 2x3,3x4 --format stablehlo --explain",
    ]);
    snapshot::assert("cli__exports", "exports on the command line", &texts);
    let piped = folder.run(&["plan", "ij,jk->ki", "--shapes", "2x3,3x4", "--format", "onnx"]);
    assert_eq!((piped.code, &piped.stdout), (0, &folder.read("plan.onnx")));
}
