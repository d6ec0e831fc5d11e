//! Snapshots of plans: each shows the equation, the path and the plan, so that a diff names the pass that changed.

use qeinsum::path::{Certificate, Objective, SearchOptions};
use qeinsum::{Dtype, Group, Plan, QEinsum};

use crate::snapshot;

struct Case {
    /// Words for the file name.
    name: &'static str,
    equation: &'static str,
    shapes: &'static [&'static [usize]],
}

const fn case(name: &'static str, equation: &'static str, shapes: &'static [&'static [usize]]) -> Case {
    Case { name, equation, shapes }
}

const CASES: &[Case] = &[
    case("matrix_product", "ij,jk->ik", &[&[64, 32], &[32, 16]]),
    case("matrix_product_transposed", "ij,jk->ki", &[&[64, 32], &[32, 16]]),
    case("implicit_output", "kj,ik", &[&[3, 4], &[2, 3]]),
    case("batched_product", "bij,bjk->bik", &[&[8, 64, 32], &[8, 32, 16]]),
    case("batch_in_the_middle", "bij,bjk->ibk", &[&[2, 3, 4], &[2, 4, 5]]),
    case("attention_scores", "bqhd,bkhd->bhqk", &[&[2, 128, 8, 64], &[2, 128, 8, 64]]),
    case("attention_values", "bhqk,bkhd->bqhd", &[&[2, 8, 128, 128], &[2, 128, 8, 64]]),
    case("attention_whole", "bqhd,bkhd,bkhe->bqhe", &[&[2, 16, 4, 8], &[2, 24, 4, 8], &[2, 24, 4, 8]]),
    case("chain_of_four", "ab,bc,cd,de->ae", &[&[64, 8], &[8, 64], &[64, 8], &[8, 64]]),
    case("scalar_and_matrices", ",ab,bc->ac", &[&[], &[3, 4], &[4, 5]]),
    case("outer_product", "i,j->ji", &[&[3], &[4]]),
    case("inner_product", "i,i->", &[&[100], &[100]]),
    case("hadamard", "ij,ji->ij", &[&[3, 4], &[4, 3]]),
    case("trace", "ii->", &[&[5, 5]]),
    case("diagonal", "iji->ji", &[&[5, 3, 5]]),
    case("transpose", "ijk->kij", &[&[3, 4, 5]]),
    case("sum_of_one_axis", "ij->j", &[&[3, 4]]),
    case("dangling_sum", "xa,ab,bc->c", &[&[100, 100], &[100, 100], &[100, 100]]),
    case("diagonal_then_product", "iij,jk->ik", &[&[3, 3, 4], &[4, 5]]),
    case("broadcast_contracted", "ij,jk->ik", &[&[3, 1], &[4, 5]]),
    case("broadcast_batch", "bij,bjk->bik", &[&[1, 3, 4], &[2, 4, 5]]),
    case("broadcast_kept", "ij,jk,kl->ijl", &[&[3, 1], &[5, 4], &[4, 2]]),
    case("ellipsis", "...ij,...jk->...ik", &[&[5, 1, 3, 4], &[2, 4, 5]]),
    case("ellipsis_summed", "i...,i->i", &[&[3, 4, 5], &[3]]),
    case("hyperedge", "ai,bi,ci,di,ei->abcde", &[&[2, 9], &[3, 9], &[2, 9], &[3, 9], &[2, 9]]),
    case("tucker", "abc,ia,jb,kc->ijk", &[&[4, 5, 6], &[20, 4], &[20, 5], &[20, 6]]),
    case("matricized_product", "ijk,jr,kr->ir", &[&[30, 20, 10], &[20, 5], &[10, 5]]),
    case("tensor_ring", "aib,bjc,cka->ijk", &[&[3, 8, 3], &[3, 8, 3], &[3, 8, 3]]),
    case("multi_contract", "abc,cbd->da", &[&[2, 3, 4], &[4, 3, 5]]),
    case("empty_contraction", "ij,jk->ik", &[&[3, 0], &[0, 2]]),
    case("disconnected", "ab,cd->adcb", &[&[2, 3], &[4, 5]]),
];

#[test]
fn plans_read_as_they_did() {
    for Case { name, equation, shapes } in CASES {
        let qe = QEinsum::new(equation).unwrap();
        let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
        let plan = qe.plan(shapes).unwrap();
        let resolved = qe.equation(&ranks).unwrap();
        let text = format!("written {}\nresolved {resolved}\n\n{plan}", qe.ast());
        snapshot::assert(&format!("plan__{name}"), equation, &text);
    }
}

#[test]
fn named_and_symbolic_plans_read_as_they_did() {
    let named = QEinsum::named("batch time chan, chan out -> batch time out").unwrap();
    let plan = named.plan(&[&[2, 3, 4], &[4, 5]]).unwrap();
    snapshot::assert("plan__named", "batch time chan, chan out -> batch time out", &plan.to_string());
    for (name, equation) in [
        ("batched_product", "bij,bjk->bik"),
        ("chain_of_four", "ab,bc,cd,de->ae"),
        ("ellipsis", "...ij,...jk->...ik"),
        ("scalars", ",->"),
        ("one_operand", "iij->j"),
    ] {
        let symbolic = QEinsum::new(equation).unwrap().symbolic().unwrap();
        snapshot::assert(&format!("symbolic__{name}"), equation, &symbolic.to_string());
    }
}

#[test]
fn a_plan_is_the_same_after_a_round_trip_through_json() {
    for Case { equation, shapes, .. } in CASES {
        let plan = QEinsum::new(equation).unwrap().plan(shapes).unwrap();
        let loaded = Plan::from_json(&plan.to_json()).unwrap_or_else(|error| panic!("{equation}: {error}"));
        assert_eq!(loaded, plan, "{equation}");
        assert_eq!(loaded.to_json(), plan.to_json(), "{equation}");
    }
}

/// Every number, word and flag of a plan's JSON is load-bearing: changing one is noticed, or changes nothing.
#[test]
fn a_plan_that_was_tampered_with_is_refused() {
    for Case { equation, shapes, .. } in CASES {
        let plan = QEinsum::new(equation).unwrap().plan(shapes).unwrap();
        let json: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
        let mut tampered = 0;
        for pointer in ["/path", "/ssa_path", "/values", "/steps", "/result", "/shapes", "/sizes", "/inputs", "/output"]
        {
            let mut places = Vec::new();
            leaves(json.pointer(pointer).unwrap(), pointer.to_owned(), &mut places);
            for place in places {
                let mut changed = json.clone();
                let leaf = changed.pointer_mut(&place).unwrap();
                *leaf = match leaf.clone() {
                    serde_json::Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
                    serde_json::Value::Bool(flag) => (!flag).into(),
                    serde_json::Value::String(text) => format!("{text}x").into(),
                    other => other,
                };
                tampered += 1;
                if let Ok(loaded) = Plan::from_json(&changed.to_string()) {
                    panic!("{equation}: {place} changed, and the plan was loaded:\n{loaded}");
                }
            }
        }
        assert!(tampered > 5, "{equation}");
    }
}

#[test]
fn a_plan_that_claims_what_is_not_so_is_refused() {
    let qe = QEinsum::new("ab,bc,cd->ad").unwrap().with_path("(0,1) (0,1)".parse().unwrap());
    let json: serde_json::Value =
        serde_json::from_str(&qe.plan(&[&[3, 4], &[4, 5], &[5, 2]]).unwrap().to_json()).unwrap();
    let with = |changes: &[(&str, serde_json::Value)]| {
        let mut changed = json.clone();
        for (name, value) in changes {
            changed[*name] = value.clone();
        }
        Plan::from_json(&changed.to_string())
    };
    assert!(with(&[]).is_ok());
    // The other order multiplies 64 times, this one 90 times.
    let unproved = |bound: &str| serde_json::json!({"kind": "unproved", "lower_bound": bound});
    assert!(with(&[("certificate", unproved("64"))]).is_ok());
    for changes in [
        &[("certificate", serde_json::json!({"kind": "optimal"})), ("optimal", true.into())][..],
        &[("certificate", unproved("91"))],
    ] {
        let error = with(changes).unwrap_err();
        assert!(error.message().contains("the plan claims a proof that its path does not have"), "{error}");
    }
    for (place, name) in [("/cost", "more"), ("/values/0", "name"), ("/steps/0/dimension_numbers", "x")] {
        let mut changed = json.clone();
        changed.pointer_mut(place).unwrap()[name] = 1.into();
        let error = Plan::from_json(&changed.to_string()).unwrap_err();
        assert!(error.message().contains(&format!("unknown field `{name}`")), "{error}");
    }
}

/// What is claimed of another objective is no claim about multiplications.
#[test]
fn plans_of_all_objectives_are_the_same_after_a_round_trip_through_json() {
    let (mut dearer, mut unproved) = (0, 0);
    for objective in Objective::ALL {
        let options = SearchOptions::new().objective(objective);
        for [a, b, c, d, e] in [[2, 3, 4, 5, 6], [9, 2, 8, 3, 7], [2, 30, 3, 2, 20], [40, 2, 2, 2, 2]] {
            let shapes: [&[usize]; 4] = [&[a, b, c], &[c, d], &[b, d, e], &[e, a]];
            let qe = QEinsum::new("abc,cd,bde,ea->d").unwrap();
            let cheapest = qe.plan(&shapes).unwrap();
            let plan = qe.with_search(options.clone()).plan(&shapes).unwrap();
            let more = plan.cost().multiplications > cheapest.cost().multiplications;
            dearer += usize::from(more && *plan.certificate() == Certificate::Optimal);
            assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan, "{objective:?}");
            // As a search that ended early would have it: the whole of a large score is no bound of multiplications.
            let Some(score) = objective.score(plan.cost()) else { continue };
            unproved += usize::from(score > plan.cost().multiplications);
            let mut early: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
            early["certificate"] = serde_json::json!({"kind": "unproved", "lower_bound": score.to_string()});
            early["optimal"] = false.into();
            assert!(Plan::from_json(&early.to_string()).is_ok(), "{objective:?}");
        }
    }
    assert!(dearer > 0 && unproved > 0, "{dearer} {unproved}");
}

/// Each list of pairs has an order, whatever the other one has.
#[test]
fn pairs_of_axes_in_another_order_are_refused() {
    for (equation, swapped) in [("abc,abd->cd", "contracting"), ("abc,abd->abcd", "batch")] {
        let plan = QEinsum::new(equation).unwrap().plan(&[&[2, 3, 4], &[2, 3, 5]]).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
        for side in ["lhs", "rhs"] {
            let place = format!("/steps/0/dimension_numbers/{side}_{swapped}");
            let axes = json.pointer_mut(&place).unwrap().as_array_mut().unwrap();
            assert_eq!(axes.len(), 2);
            axes.reverse();
        }
        let error = Plan::from_json(&json.to_string()).unwrap_err();
        assert!(error.message().contains("dimension numbers other than its labels give"), "{error}");
    }
}

/// Only what broadcasts loses an axis without a sum.
#[test]
fn an_axis_of_several_indices_is_not_squeezed() {
    let plan = QEinsum::new("ij,jk->ik").unwrap().plan(&[&[2, 1], &[3, 4]]).unwrap();
    let mut document: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
    assert_eq!(document["steps"][0]["op"], "squeeze");
    // The first operand as if `j` did not broadcast there.
    document["shapes"][0][1] = 3.into();
    document["values"][0]["shape"][1] = 3.into();
    let error = Plan::from_json(&document.to_string()).unwrap_err();
    assert!(error.to_string().contains("squeezes axis 1, which broadcasts against nothing"), "{error}");
}

/// Axes end where their value does.
#[test]
fn axes_that_a_value_does_not_have_are_refused() {
    for (equation, shape) in [("ij->i", [3, 4]), ("ii->i", [4, 4])] {
        let plan = QEinsum::new(equation).unwrap().plan(&[&shape]).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&plan.to_json()).unwrap();
        *json.pointer_mut("/steps/0/axes").unwrap().as_array_mut().unwrap().last_mut().unwrap() = 2.into();
        let error = Plan::from_json(&json.to_string()).unwrap_err();
        assert!(error.message().contains("names axes that its input does not have"), "{error}");
    }
}

/// The bytes of a sum over slices, counted by hand: operands, the sum, and what is made of it.
#[test]
fn sums_over_slices_take_what_they_are_announced_to() {
    let plan = |dtype| {
        let qe = QEinsum::new("ij,jk,kl->il").unwrap().with_path("(0,1) (0,1)".parse().unwrap());
        qe.with_slices(&["j"]).with_dtype(dtype).plan(&[&[20, 3], &[3, 30], &[30, 2]]).unwrap()
    };
    let [sliced, after] = [plan(Dtype::F32), plan(Dtype::F16)].map(|plan| {
        assert_eq!(plan.steps().iter().map(qeinsum::Step::group).collect::<Vec<_>>(), [Group::PerSlice, Group::After]);
        plan.peak_bytes().unwrap()
    });
    let (operands, sum, output) = (20 * 3 + 3 * 30 + 30 * 2, 20 * 30, 20 * 2);
    // In f32 the chains are the result; those of f16 are twice as wide, and there beside it when it is made of them.
    assert_eq!(sliced, 4 * (operands + sum + output));
    assert_eq!(after, 2 * operands + 4 * sum + 2 * sum);
}

fn leaves(value: &serde_json::Value, place: String, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| leaves(value, format!("{place}/{at}"), out));
        }
        serde_json::Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(value, format!("{place}/{name}"), out));
        }
        serde_json::Value::Null => {}
        _ => out.push(place),
    }
}

#[test]
fn what_needs_no_copy_is_a_view_of_its_operand() {
    let cube = ndarray::Array::from_shape_fn((3, 1, 3), |(i, j, k)| (100 * i + 10 * j + k) as f32).into_dyn();
    for equation in ["ijk->kji", "ijk->ijk", "iji->ji", "ijk->"] {
        let einsum = QEinsum::new(equation).unwrap();
        let compiled = einsum.compile(&[cube.shape()]).unwrap();
        let view = compiled.view(&cube).unwrap();
        if equation == "ijk->" {
            assert!(view.is_none(), "{equation}");
            continue;
        }
        let view = view.unwrap();
        assert_eq!(view, einsum.run((&cube,)).unwrap(), "{equation}");
        assert_eq!(view.first().map(std::ptr::from_ref), cube.first().map(std::ptr::from_ref), "{equation}");
        assert!(compiled.view(&ndarray::Array3::<f32>::zeros((3, 1, 4))).is_err());
    }
}
