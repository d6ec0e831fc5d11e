//! Nothing overlaps, nothing is cut, nothing gets out of its quotes: over random and over hostile plans.

use std::fmt::Write as _;

use std::collections::BTreeMap;

use super::lanes::{Leaves, lanes};
use super::measure::{columns, width};
use super::place::Placed;
use crate::path::{Optimizer, Path, SearchOptions};
use crate::{DotGeneralConfig, Dtype, Equation, Plan, QEinsum, QuantizationError, Sizes, Syntax};

/// A small deterministic generator (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % bound.max(1)
    }
}

/// Operands of up to four labels, repeated and lone ones included, in a random order of contraction.
fn random_plan(seed: u64) -> Plan {
    let random = &mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let names = [
        "a",
        "b",
        "bond 12345",
        "è",
        "長い名前",
        "א",
        "x\u{202e}y",
        "<i>",
        "a very long name of a label, and more of it",
    ];
    let operands = 1 + random.below(if seed.is_multiple_of(4) { 90 } else { 14 });
    let terms: Vec<Vec<&str>> =
        (0..operands).map(|_| (0..random.below(5)).map(|_| names[random.below(names.len())]).collect()).collect();
    let mut output: Vec<&str> = terms.iter().flatten().copied().collect();
    output.sort_unstable();
    output.dedup();
    output.truncate(random.below(4));
    let equation = Equation::new(Syntax::Named, &terms, &output).unwrap();
    let sizes: BTreeMap<String, usize> =
        names.iter().map(|name| ((*name).to_owned(), [1, 2, 3, 70_000][random.below(4)])).collect();
    let sizes = equation.labels().map(|label| (equation.name(label).to_owned(), sizes[equation.name(label)])).collect();
    let Ok(sizes) = Sizes::from_names(&equation, &sizes) else { return random_plan(seed + 1_000_003) };
    let steps = (2..=operands).rev().map(|left| {
        let first = random.below(left);
        [first, (first + 1 + random.below(left - 1)) % left]
    });
    let path = Path::new(steps.collect()).unwrap();
    Plan::for_equation(&equation, &sizes, &SearchOptions::new(), Some(path), Dtype::F32).unwrap()
}

fn check(placed: &Placed, context: &str) {
    let boxes = placed.boxes();
    for (name, area) in &boxes {
        assert!(
            area.x + area.width <= placed.width && area.y + area.height <= placed.height && area.x > 0 && area.y > 0,
            "{context}: {name} at {area:?} is outside of {}x{}",
            placed.width,
            placed.height
        );
    }
    // By height, so that only neighbours are compared.
    let mut sorted: Vec<_> = boxes.iter().collect();
    sorted.sort_by_key(|(_, area)| area.y);
    for (at, (name, one)) in sorted.iter().enumerate() {
        for (other_name, other) in sorted[at + 1..].iter().take_while(|(_, other)| other.y < one.y + one.height) {
            let beside = one.x + one.width <= other.x || other.x + other.width <= one.x;
            assert!(beside, "{context}: {name} at {one:?} overlaps {other_name} at {other:?}");
        }
    }
    for text in placed.items.iter().flat_map(|item| &item.texts) {
        assert!(width(&text.words, text.size) <= text.area.width, "{context}: {}", text.words);
    }
}

#[test]
fn nothing_overlaps_and_nothing_is_cut() {
    let config = DotGeneralConfig::v4().build().unwrap().into();
    for seed in 0..150 {
        let plan = random_plan(seed);
        check(&plan.picture().placed(), &format!("seed {seed}"));
        check(&plan.picture().quantized(&config).placed(), &format!("seed {seed}, quantized"));
    }
}

#[test]
fn every_value_has_its_row_once() {
    for seed in 0..200 {
        let plan = random_plan(seed);
        let drawing = plan.picture().drawing();
        for leaves in [Leaves::OwnRow, Leaves::BesideTheirCall] {
            let lanes = lanes(&drawing, leaves);
            let mut nodes: Vec<usize> = lanes.rows.iter().flatten().copied().collect();
            nodes.sort_unstable();
            assert_eq!(nodes, (0..plan.values().len()).collect::<Vec<_>>(), "seed {seed}");
            assert!(lanes.count <= plan.equation().operands().len().ilog2() + 1, "seed {seed}: {}", lanes.count);
        }
    }
}

#[test]
fn every_line_of_the_plan_that_is_about_a_value_says_so() {
    let config = DotGeneralConfig::v4().build().unwrap().into();
    let plan = QEinsum::new("iij,jk,kl->li").unwrap().plan(&[&[2, 2, 3], &[3, 4], &[4, 5]]).unwrap();
    let drawing = plan.picture().quantized(&config).drawing();
    let values: Vec<usize> = drawing.lines.iter().filter_map(|line| line.value).collect();
    assert_eq!(values, (0..plan.values().len()).collect::<Vec<_>>());
    for line in drawing.lines.iter().filter(|line| line.value.is_some()) {
        assert!(line.text.starts_with(&format!("%{}: ", line.value.unwrap())), "{}", line.text);
    }
    let sliced = QEinsum::new("ab,bc,cd->ad").unwrap().with_slices(&["a", "c"]);
    let sliced = sliced.plan(&[&[20, 30], &[30, 40], &[40, 20]]).unwrap();
    let lines = sliced.picture().drawing().lines;
    let text: String = lines.iter().map(|line| line.text.clone() + "\n").collect();
    assert_eq!(text, sliced.to_string());
    assert_eq!(lines.iter().filter(|line| line.value.is_some()).count(), sliced.values().len());
}

#[test]
fn measured_errors_are_said_of_their_calls() {
    let plan = QEinsum::new("ij,jk,kl->il").unwrap().plan(&[&[2, 3], &[3, 4], &[4, 5]]).unwrap();
    let exact = ndarray::arr1(&[3.0_f32, 4.0]).into_dyn();
    let errors = [QuantizationError::default(), QuantizationError::between(&exact, &(&exact - 0.5))];
    let drawing = plan.picture().with_errors(&errors).drawing();
    let said: Vec<(usize, &str)> = drawing
        .nodes
        .iter()
        .flat_map(|node| node.facts.iter().map(|fact| (node.id, fact)))
        .filter(|(_, fact)| fact.what == "error")
        .map(|(id, fact)| (id, fact.text.as_str()))
        .collect();
    assert_eq!(said, [(3, "sqnr inf dB, max error 0.000e0"), (4, "sqnr 16.99 dB, max error 5.000e-1")]);
}

#[test]
fn deep_trees_are_narrow_and_do_not_end_the_stack() {
    let operands = 1000;
    let name = |at: usize| format!("x{at}");
    let terms: Vec<Vec<String>> = (0..operands).map(|at| vec![name(at), name(at + 1)]).collect();
    let equation = Equation::new(Syntax::Named, &terms, &[name(0), name(operands)]).unwrap();
    let shapes = vec![[2, 2]; operands];
    let sizes = Sizes::new(&equation, &shapes).unwrap();
    let options = SearchOptions::new().optimizer(Optimizer::None);
    // The result goes to the end of the list, so that this path eats the chain from one side.
    let steps = (2..=operands).rev().map(|left| if left == operands { [0, 1] } else { [0, left - 1] });
    let path = Path::new(steps.collect()).unwrap();
    let plan = Plan::for_equation(&equation, &sizes, &options, Some(path), Dtype::F32).unwrap();
    let placed = plan.picture().placed();
    assert!(placed.width < 900, "{}", placed.width);
    assert!(columns(&placed.heading[0].words) < 100);
}

#[test]
fn hostile_labels_stay_texts() {
    let names = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=y>",
        "'&amp;\n\r\u{0}",
        "\u{202e}]]>",
        "--><!--",
        "{{7*7}}\\",
    ];
    let terms: Vec<Vec<&str>> = vec![names.to_vec(), names.to_vec(), vec![names[0]]];
    let equation = Equation::new(Syntax::Named, &terms, &[names[0]]).unwrap();
    let sizes = Sizes::new(&equation, &[vec![2; 6], vec![2; 6], vec![2]]).unwrap();
    let plan = Plan::for_equation(&equation, &sizes, &SearchOptions::new(), None, Dtype::F32).unwrap();
    let (svg, html) = (plan.picture().to_svg(), plan.picture().to_html());
    for text in [&svg, &html] {
        assert!(!text.contains("<script>alert") && !text.contains("<img") && !text.contains('\u{202e}'));
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }
    assert_eq!(html.matches("</script>").count(), 2);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let tags = ["svg", "title", "desc", "style", "rect", "g", "text", "path", "circle"];
    assert!(
        document.descendants().filter(roxmltree::Node::is_element).all(|node| tags.contains(&node.tag_name().name()))
    );
}

#[test]
fn every_picture_is_xml() {
    for seed in 0..60 {
        let svg = random_plan(seed).picture().to_svg();
        let document = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let of = |name: &'static str| document.descendants().filter(move |node| node.attribute(name).is_some()).count();
        assert_eq!(of("data-value"), of("data-band"));
        assert_eq!(random_plan(seed).picture().to_svg(), svg, "seed {seed}");
    }
}

fn snapshot(name: &str, description: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(description);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn a_small_picture() {
    let plan = QEinsum::new("ij,jk->ki").unwrap().plan(&[&[64, 32], &[32, 16]]).unwrap();
    snapshot("picture__small", "ij,jk->ki as SVG", &plan.picture().to_svg());
}

#[test]
fn drawings_say_what_is_drawn() {
    let config = DotGeneralConfig::v4().build().unwrap().into();
    let plan = |equation: &str, shapes: &[&[usize]], slices: &[&str]| {
        QEinsum::new(equation).unwrap().with_slices(slices).plan(shapes).unwrap()
    };
    let plans = [
        plan("bhqk,bkhd->bqhd", &[&[2, 8, 128, 128], &[2, 128, 8, 64]], &[]),
        plan("iij,jk,x->ki", &[&[2, 2, 3], &[3, 4], &[5]], &[]),
        plan("ab,bc,cd->ad", &[&[20, 30], &[30, 40], &[40, 20]], &["c"]),
        plan("i->i", &[&[0]], &[]),
        plan(",->", &[&[], &[]], &[]),
    ];
    let mut text = String::new();
    for plan in &plans {
        let _ = writeln!(text, "{}", plan.picture().drawing());
    }
    text += &plans[0].picture().quantized(&config).drawing().to_string();
    snapshot("picture__drawings", "drawings before they have coordinates; the last is quantized", &text);
}
