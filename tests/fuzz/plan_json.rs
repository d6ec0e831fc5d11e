//! Plans as JSON: whatever is taken for one computes its equation.

use ndarray::{ArrayD, ArrayViewD};
use num_traits::Num;
use qeinsum::{Dtype, Element, Plan, QEinsum, interpret};
use serde_json::Value;

use super::choices::{Choices, Decide, Generator};
use super::sound;

/// An equation, shapes, a path, labels to slice.
type Base = (&'static str, &'static [&'static [usize]], &'static str, &'static [&'static str]);

/// Plans to start from, which together have every operation.
const BASES: [Base; 6] = [
    ("ij,jk->ik", &[&[2, 3], &[3, 4]], "(0,1)", &[]),
    ("ab,bc,cd->da", &[&[2, 3], &[3, 2], &[2, 2]], "(1,2) (0,1)", &[]),
    ("iij,jk,kz->ki", &[&[2, 2, 3], &[1, 2], &[2, 3]], "(0,2) (0,1)", &[]),
    ("ab,bc,cd->ad", &[&[2, 3], &[3, 4], &[4, 2]], "(0,1) (0,1)", &["a", "c"]),
    ("bij,bjk->bik", &[&[2, 2, 2], &[2, 2, 2]], "(0,1)", &["b"]),
    ("ijk->ki", &[&[2, 3, 2]], "(0)", &[]),
];

/// Bytes that begin with `{` are the text; others choose a plan and what to change in it.
pub(crate) fn check(bytes: &[u8]) {
    if bytes.first() == Some(&b'{') {
        if let Ok(text) = std::str::from_utf8(bytes) {
            loaded(text);
        }
        return;
    }
    let mut choices = Choices::new(bytes);
    let (equation, shapes, path, slices) = choices.of(&BASES);
    let qe = QEinsum::new(equation).unwrap().with_path(path.parse().unwrap()).with_slices(slices);
    let mut document: Value = serde_json::from_str(&qe.plan(shapes).unwrap().to_json()).unwrap();
    for _ in 0..=choices.below(4) {
        change(&mut document, &mut choices);
    }
    loaded(&document.to_string());
}

fn loaded(text: &str) {
    let plan = match Plan::from_json(text) {
        Ok(plan) => plan,
        Err(error) => return sound::error(&error),
    };
    sound::plan(&plan);
    let extents = plan.equation().labels().map(|label| plan.sizes().extent(label));
    let iterations = extents.map(|extent| extent.max(1)).try_fold(1_usize, usize::checked_mul);
    let small = iterations.is_some_and(|iterations| iterations <= 1 << 12);
    if small && plan.peak_bytes().is_some_and(|bytes| bytes <= 1 << 20) {
        match plan.dtype() {
            Dtype::F32 => computes::<f32>(&plan),
            Dtype::F64 => computes::<f64>(&plan),
            _ => {}
        }
    }
}

/// Operands are small integers, so that sums are exact in any order.
fn computes<T: Element + Num>(plan: &Plan) {
    let mut generator = Generator::new(1);
    let operands: Vec<ArrayD<T>> = plan.sizes().shapes().iter().map(|shape| generator.integers(shape, 2)).collect();
    let views: Vec<ArrayViewD<'_, T>> = operands.iter().map(|operand| operand.view()).collect();
    let expected = interpret(plan.equation(), &views).unwrap();
    assert_eq!(plan.run(&operands).unwrap(), expected, "{plan}");
}

/// Changes one value somewhere.
fn change(document: &mut Value, choices: &mut Choices<'_>) {
    let other = {
        let nodes = count(document);
        let at = place(choices, nodes);
        nth(document, at).cloned()
    };
    let at = place(choices, count(document));
    let how = choices.below(8);
    let number = choices.of(&[0, 1, 2, 3, 4, 7, 255, u64::from(u32::MAX), 1 << 40, u64::MAX]);
    let Some(node) = nth(document, at) else { return };
    match (how, node) {
        (0, Value::Array(items)) => items.truncate(items.len().saturating_sub(1)),
        (1, Value::Array(items)) => items.extend(items.first().cloned()),
        (2, Value::Array(items)) => choices.shuffle(items),
        (0, Value::Object(entries)) => {
            let key = entries.keys().nth(choices.below(entries.len())).cloned();
            if let Some(key) = key {
                entries.remove(&key);
            }
        }
        (0..3, Value::Bool(value)) => *value = !*value,
        (0..3, node) => *node = number.into(),
        (3..6, node) => *node = other.unwrap_or_default(),
        (6, node) => *node = number.to_string().into(),
        (_, node) => *node = Value::Null,
    }
}

fn place(choices: &mut Choices<'_>, nodes: usize) -> usize {
    (choices.below(256) * 256 + choices.below(256)) % nodes.max(1)
}

fn count(node: &Value) -> usize {
    1 + match node {
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        Value::Object(entries) => entries.values().map(count).sum(),
        _ => 0,
    }
}

/// The node at a place of all of them, each before those in it.
fn nth(node: &mut Value, at: usize) -> Option<&mut Value> {
    if at == 0 {
        return Some(node);
    }
    let mut rest = at - 1;
    let inner: Box<dyn Iterator<Item = &mut Value>> = match node {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(entries) => Box::new(entries.values_mut()),
        _ => return None,
    };
    for node in inner {
        let size = count(node);
        if rest < size {
            return nth(node, rest);
        }
        rest -= size;
    }
    None
}
