//! What is said of runs and of the machine: analyses, chosen bits, `doctor`, manual pages, how much is said and in which
//! colours.

use ndarray::Axis;
use qeinsum::QuantConfig;

use crate::harness::{Folder, values};
use crate::snapshot;

fn chain(name: &str) -> Folder {
    let folder = Folder::new(name);
    for (seed, (file, shape)) in
        [("a.npy", [96, 128]), ("b.npy", [128, 96]), ("c.npy", [96, 64])].into_iter().enumerate()
    {
        folder.save(file, values(&shape, seed as u32 + 1));
    }
    folder
}

const CHAIN: [&str; 7] = ["run", "ij,jk,kl->il", "a.npy", "b.npy", "c.npy", "--out", "d.npy"];

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    CHAIN.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn an_analysis_says_what_each_call_costs() {
    let folder = chain("analysis");
    let ran = folder.run(&arguments(&["--bits", "8", "--analyze"]));
    let text = ran.done().out();
    // Times are of this machine; all else is of every machine.
    let kept: String = text
        .lines()
        .filter(|line| !line.starts_with(";   ") && !line.starts_with("; measured"))
        .fold(String::new(), |text, line| text + line + "\n");
    snapshot::assert("cli__analysis", "qeinsum run ij,jk,kl->il --bits 8 --analyze", &kept);
    assert!(text.contains("; measured ") && text.contains(" threads\n;   %"), "{text}");
    folder.run(&arguments(&["--bits", "8", "--report", "--picture", "p.html"])).done();
    let page = String::from_utf8(folder.read("p.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("sqnr 45.03 dB"), "the errors are in the page");
    folder.run(&arguments(&["--picture", "p.png"])).refused(2, "an .svg or an .html file");
    let float = folder.run(&arguments(&["--analyze"]));
    assert!(float.done().out().contains("; measured ") && !float.out().contains("sqnr"));
}

#[test]
fn bits_are_chosen_and_kept() {
    let folder = chain("bits");
    let chosen = folder.run(&arguments(&["--bits", "auto", "--min-sqnr", "20", "--config-out", "bits.toml"]));
    assert_eq!(chosen.code, 0, "{}", chosen.stderr);
    assert!(chosen.stderr.starts_with("note: bits: call 0 "), "{}", chosen.stderr);
    let result = folder.read("d.npy");
    let text = String::from_utf8(folder.read("bits.toml")).unwrap();
    assert!(QuantConfig::from_toml(&text).unwrap().steps().count() == 2, "{text}");
    let header = "# Chosen by `--bits auto` for at least 20 dB.\n# einsum ij,jk,kl->il\n# path ";
    assert!(text.starts_with(header), "{text}");
    // The file gives the same bits, and holds on the same data.
    folder.run(&arguments(&["--config", "bits.toml", "--min-sqnr", "20"])).done();
    assert_eq!(folder.read("d.npy"), result);
    folder.run(&arguments(&["--bits", "auto"])).refused(2, "give `--min-sqnr`");
    folder.run(&arguments(&["--bits", "8", "--config-out", "x.toml"])).refused(2, "`--bits auto`");
    folder.run(&arguments(&["--bits", "auto", "--min-sqnr", "nan"])).refused(2, "a number of decibels");
    folder.run(&["plan", "ij,jk", "--shapes", "2x2,2x2", "--bits", "auto"]).refused(2, "goes by the operands");
}

#[test]
fn chosen_bits_are_checked_on_other_data() {
    let folder = Folder::new("other_data");
    let save = |name: &str, shape: [usize; 2], seed| folder.save(name, values(&shape, seed));
    save("a.npy", [256, 512], 1);
    save("b.npy", [512, 256], 2);
    let product = |more: &[&str]| {
        let arguments = [&["run", "ij,jk->ik", "a.npy", "b.npy", "--out", "c.npy"], more].concat();
        folder.run(&arguments)
    };
    let chosen = product(&["--bits", "auto", "--min-sqnr", "30", "--config-out", "bits.toml"]);
    assert!(chosen.code == 0 && chosen.stderr.contains("call 0 int8; sqnr "), "{}", chosen.stderr);
    let checked = ["--config", "bits.toml", "--min-sqnr", "30"];
    // On other data of the same kind it holds, too.
    save("b.npy", [512, 256], 3);
    product(&checked).done();
    let result = folder.read("c.npy");
    // Two large values of each row cancel out, and nothing is left of the others: it is refused, and nothing is written.
    let (mut a, mut b) = (values(&[256, 512], 4), values(&[512, 256], 5));
    let large = a.index_axis(Axis(1), 5).mapv(|x| 1000.0 * x);
    a.index_axis_mut(Axis(1), 5).assign(&large);
    a.index_axis_mut(Axis(1), 6).assign(&-large);
    let row = b.index_axis(Axis(0), 5).to_owned();
    b.index_axis_mut(Axis(0), 6).assign(&row);
    folder.save("a.npy", a);
    folder.save("b.npy", b);
    product(&checked).refused(2, "and `--min-sqnr` asks for 30 dB");
    assert_eq!(folder.read("c.npy"), result);
}

#[test]
fn exact_results_are_met_by_floats() {
    let folder = chain("floats");
    let chosen = folder.run(&arguments(&["--bits", "auto", "--min-sqnr", "200"]));
    assert!(chosen.stderr.contains("call 0 f32, call 1 f32; sqnr inf dB"), "{}", chosen.stderr);
}

#[test]
fn this_machine_computes_what_every_other_does() {
    let folder = Folder::new("doctor");
    let report = folder.run(&["doctor", "--format", "json"]).json();
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() == 3 && checks.iter().all(|check| check["passed"] == true), "{report}");
    assert!(report["peak_int8_gops"].as_f64().unwrap() > 0.0);
    assert_eq!(report["instruction_sets"][0], "portable");
    let text = folder.run(&["doctor", "--threads", "1"]);
    assert!(text.done().out().contains("float product: the same bits as everywhere"), "{}", text.out());
}

#[test]
fn shells_and_manuals_are_served() {
    let folder = Folder::new("shells");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(folder.run(&["completions", shell]).done().out().contains("calibrate"), "{shell}");
    }
    assert!(folder.run(&["man", "plan"]).done().out().contains(".TH qeinsum-plan 1"));
    std::fs::create_dir(folder.path("man")).unwrap();
    folder.run(&["man", "--out-dir", "man"]).done();
    let pages = std::fs::read_dir(folder.path("man")).unwrap().count();
    assert!(pages > 10, "{pages}");
    folder.run(&["man", "plna"]).refused(2, "there is no command `plna`; did you mean `plan`?");
    let bash = folder.run(&["completions", "bash"]);
    assert!(bash.out().contains("auto optimal greedy random-greedy anneal reference none"), "{}", bash.out());
}

#[test]
fn what_is_said_can_be_more_or_less() {
    let folder = chain("verbosity");
    let usual = folder.run(&["plan", "...ij,jk", "--sizes", "i=2,j=3,k=4"]);
    assert!(usual.stderr.starts_with("note: "), "{}", usual.stderr);
    folder.run(&["-q", "plan", "...ij,jk", "--sizes", "i=2,j=3,k=4"]).done();
    folder.run(&["plan", "-q", "...ij,jk", "--sizes", "i=2,j=3,k=4"]).done();
    let verbose = folder.run(&arguments(&["-v"]));
    assert!(
        verbose.stderr.lines().count() >= 4 && verbose.stderr.starts_with("info: planned in "),
        "{}",
        verbose.stderr
    );
    for bold in [true, false] {
        let help = folder.run(&["plan", "--help", "--color", if bold { "always" } else { "never" }]);
        assert_eq!(help.done().out().contains('\u{1b}'), bold);
    }
    let coloured = folder.run(&["plan", "ij,jk->iz", "--color", "always"]);
    assert_eq!(
        coloured.stderr,
        "\u{1b}[1m\u{1b}[31merror:\u{1b}[0m output label `z` is in no operand\n  ij,jk->iz\n\u{1b}[1m\u{1b}[31m          ^\u{1b}[0m\n"
    );
}

#[test]
fn equations_come_from_files_too() {
    let folder = Folder::new("equations");
    folder.write("chain.txt", "ij,jk,kl->il\n");
    let shapes = ["--shapes", "2x3,3x4,4x5"];
    let plan = |equation: &str, stdin: &[u8]| folder.run_with(&["plan", equation, shapes[0], shapes[1]], stdin);
    let expected = plan("ij,jk,kl->il", b"").stdout;
    assert_eq!(plan("@chain.txt", b"").done().stdout, expected);
    assert_eq!(plan("@-", b"ij,jk,kl->il").done().stdout, expected);
    assert_eq!(plan("@-", b"ij,jk,\r\n kl\n->il\n\n").done().stdout, expected);
    let both = plan("@ij,jk", b"");
    both.refused(2, "unexpected character `@` (U+0040)").refused(2, "`ij,jk`: no such file");
    folder.write("long.txt", vec![b'i'; (1 << 24) + 1]);
    plan("@long.txt", b"").refused(2, "over the limit");
}
