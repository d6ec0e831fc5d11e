//! The lowering vectors: raw JAX operations against the steps of our plans.

use qeinsum::path::Path;
use qeinsum::{Op, Plan, QEinsum, ValueId};
use serde_json::Value;

use super::set::Set;
use super::stage::{list, numbers, text};

/// One operation, as both sides can say it: what it is, which values it reads, and its axes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Squeeze { axes: Vec<usize>, shape: Vec<usize> },
    ReduceSum { axes: Vec<usize>, shape: Vec<usize> },
    Diagonal { kept: bool, shape: Vec<usize> },
    Dot { swapped: bool, dims: [Vec<usize>; 4], shape: Vec<usize> },
    Transpose { permutation: Vec<usize>, shape: Vec<usize> },
}

/// Compares every vector; gives how many there were.
pub(crate) fn check(set: &mut Set) -> usize {
    let Some(document) = set.document("lowering") else { return 0 };
    let mut count = 0;
    for kind in ["two_operand", "one_operand", "multi_operand"] {
        for entry in list(&document[kind]) {
            count += 1;
            if let Err(difference) = compare(entry) {
                set.differ(format!("lowering {} {}: {difference}", entry["equation"], entry["shapes"]));
            }
        }
    }
    count
}

fn compare(entry: &Value) -> Result<(), String> {
    let mut qe = QEinsum::new(text(&entry["equation"])).map_err(|error| error.to_string())?;
    let positions: Vec<Vec<usize>> =
        list(&entry["contractions"]).iter().map(|step| numbers(&step["operand_indices"])).collect();
    if positions.iter().all(|pair| pair.len() == 2) {
        let path = Path::new(positions.iter().map(|pair| [pair[0], pair[1]]).collect());
        qe = qe.with_path(path.map_err(|error| error.to_string())?);
    }
    let shapes: Vec<Vec<usize>> = list(&entry["shapes"]).iter().map(numbers).collect();
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    let plan = qe.plan(&shapes).map_err(|error| error.to_string())?;
    let (golden, ours) = (golden_operations(entry), our_operations(&plan));
    if golden != ours {
        return Err(format!("golden {golden:?}\n  ours {ours:?}"));
    }
    if entry["swap"].as_bool().is_some_and(|swap| swap != (plan.swapped_calls() == 1)) {
        return Err(format!("swap is {}", entry["swap"]));
    }
    Ok(())
}

/// JAX's operations, in order, with its mask-and-sum idiom for a diagonal read as one.
///
/// `select_n` starts a diagonal; the sum after it either drops all axes of the label but the last (a diagonal that is
/// kept) or all of them (a diagonal that is summed as well).
fn golden_operations(entry: &Value) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut masked = false;
    // The rank of the mask of a diagonal: how often its label stands in the operand.
    let mut repeats = 0;
    // Whose value each operation's inputs are: an operand, or the result of a dot.
    let order = |name: &str| -> Option<usize> {
        let operands = list(&entry["shapes"]).len();
        let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<usize>().ok();
        number("op").or_else(|| number("dot").map(|dot| operands + dot))
    };
    let mut calls = 0;
    for op in list(&entry["ops"]) {
        let shape = numbers(&op["out_shape"]);
        match text(&op["op"]) {
            "squeeze" => seen.push(Seen::Squeeze { axes: numbers(&op["dimensions"]), shape }),
            "select_n" => masked = true,
            "reduce_sum" if masked => {
                masked = false;
                let axes = numbers(&op["axes"]).len();
                seen.push(Seen::Diagonal { kept: axes < repeats, shape });
            }
            "reduce_sum" => {
                // JAX lists them by label; which axes are summed is what counts.
                let mut axes = numbers(&op["axes"]);
                axes.sort_unstable();
                seen.push(Seen::ReduceSum { axes, shape });
            }
            "transpose" => seen.push(Seen::Transpose { permutation: numbers(&op["permutation"]), shape }),
            "dot_general" => {
                let positions = numbers(&list(&entry["contractions"])[calls]["operand_indices"]);
                assert!(positions[0] > positions[1], "the reference pops the later operand first");
                let ids: Vec<Option<usize>> = list(&op["ins"]).iter().map(|name| order(text(name))).collect();
                // The later operand has the larger id: results are appended at the end.
                let swapped = ids[0] > ids[1];
                let dims = &op["dimension_numbers"];
                let dims = [&dims[0][0], &dims[0][1], &dims[1][0], &dims[1][1]].map(numbers);
                seen.push(Seen::Dot { swapped, dims, shape });
                calls += 1;
            }
            "iota" => repeats = shape.len(),
            "eq" | "and" | "broadcast_in_dim" => {}
            other => panic!("unknown operation {other}"),
        }
    }
    seen
}

fn our_operations(plan: &Plan) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    let shape = |id: ValueId| plan.value(id).shape().to_vec();
    let mut diagonal: Option<ValueId> = None;
    for step in plan.steps() {
        let out = shape(step.result());
        match step.op() {
            Op::Squeeze { axes, .. } => seen.push(Seen::Squeeze { axes: axes.to_vec(), shape: out }),
            Op::ReduceSum { input, .. } if diagonal == Some(*input) => {
                // A diagonal that nobody needs: the reference sums it in the same step.
                seen.pop();
                seen.push(Seen::Diagonal { kept: false, shape: out });
            }
            Op::ReduceSum { axes, .. } => seen.push(Seen::ReduceSum { axes: axes.to_vec(), shape: out }),
            Op::Diagonal { .. } => {
                diagonal = Some(step.result());
                seen.push(Seen::Diagonal { kept: true, shape: out });
            }
            Op::Transpose { permutation, .. } => {
                seen.push(Seen::Transpose { permutation: permutation.to_vec(), shape: out });
            }
            Op::DotGeneral { dims, orientation, .. } => {
                let dims = [dims.lhs_contracting(), dims.rhs_contracting(), dims.lhs_batch(), dims.rhs_batch()];
                let swapped = *orientation == qeinsum::Orientation::Swapped;
                seen.push(Seen::Dot { swapped, dims: dims.map(|axes| axes.to_vec()), shape: out });
            }
        }
    }
    seen
}
