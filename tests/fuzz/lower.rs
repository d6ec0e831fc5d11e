//! From an equation and sizes to a verified plan, along paths of every kind.

use std::collections::HashMap;

use qeinsum::parse::Item;
use qeinsum::path::{Certificate, Optimizer, SearchOptions};
use qeinsum::{Dtype, QEinsum};

use super::choices::{Choices, Decide};
use super::problem::path;
use super::sound;

/// The text up to a line break is an equation; the bytes after it choose sizes, path and slices.
pub(crate) fn check(bytes: &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let Ok(text) = std::str::from_utf8(&bytes[..end]) else { return };
    let mut choices = Choices::new(bytes.get(end + 1..).unwrap_or_default());
    let parsed = if choices.of(&[false, true]) { QEinsum::named(text) } else { QEinsum::new(text) };
    let Ok(qe) = parsed else { return };
    let terms = qe.ast().operands();
    if text.len() > 200 || terms.len() > 6 || terms.iter().any(|term| term.items().len() > 8) {
        return;
    }

    let mut sizes = HashMap::new();
    let shapes: Vec<Vec<usize>> = terms
        .iter()
        .map(|term| {
            let mut shape = Vec::new();
            for item in term.items() {
                if let Item::Label(span) = item {
                    let known = sizes.entry(qe.ast().slice(*span));
                    let size = *known.or_insert_with(|| choices.of(&[2, 3, 1, 0, 5, 64, 1 << 20, 1 << 31, 1 << 40]));
                    // Here and there an axis that broadcasts, or one that does not fit.
                    shape.push(choices.of(&[size, size, size, size, size, 1, 4]));
                } else {
                    let all = [4, 3, 2];
                    shape.extend(&all[choices.below(4)..]);
                }
            }
            shape
        })
        .collect();
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();

    let optimizers =
        [Optimizer::Auto, Optimizer::Greedy, Optimizer::None, Optimizer::Reference, Optimizer::RandomGreedy];
    let options = SearchOptions::new().optimizer(choices.of(&optimizers)).effort(1);
    let dtype = choices.of(&[Dtype::F32, Dtype::F64, Dtype::F16, Dtype::Bf16, Dtype::C32, Dtype::C64]);
    let mut qe = qe.clone().with_search(options).with_dtype(dtype);
    if choices.of(&[false, true]) {
        qe = qe.with_path(path(&mut choices, shapes.len()));
    }
    let plan = match qe.plan(&shapes) {
        Ok(plan) => plan,
        Err(error) => return sound::error(&error),
    };
    sound::plan(&plan);

    let labels: Vec<String> = plan.equation().labels().map(|label| plan.equation().name(label).to_owned()).collect();
    let chosen: Vec<&String> = labels.iter().filter(|_| choices.below(3) == 2).collect();
    match plan.with_slices(&chosen) {
        Ok(sliced) => {
            sound::plan(&sliced);
            let whole = sliced.with_slices(&[] as &[&str]).unwrap();
            assert_eq!((whole.steps(), whole.values(), whole.cost()), (plan.steps(), plan.values(), plan.cost()));
            // Slices may cost a proof that holds for some paths only.
            let is_kept = *plan.certificate() != Certificate::OptimalConnected;
            assert!(!is_kept || whole == plan, "{}: {}", plan.certificate(), whole.certificate());
        }
        Err(error) => sound::error(&error),
    }
    match qe.symbolic() {
        Ok(symbolic) => assert!(!symbolic.to_string().is_empty()),
        Err(error) => sound::error(&error),
    }
}
