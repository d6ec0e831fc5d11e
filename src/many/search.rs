//! Searches a path for each equation, so that all of them together multiply least.
//!
//! Of equations of a few operands all paths are there to choose from; with all paths of all equations the choice may be
//! proved the best. Of larger ones the paths are those that the ordinary search finds for each alone, and for each with
//! products contracted first that several have (`greedy.rs`). What each has alone is always there, so that together they
//! never multiply more than one by one.

use std::collections::HashSet;

use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::lower::{Numbers, Part, Plan, lower};
use crate::path::{
    Cost, Found, Objective, Path, SearchOptions, every_path, given as given_path, search as search_path,
};
use crate::sizes::count;

use super::bound::Bound;
use super::choose::choose;
use super::greedy::improve;
use super::marks::Marks;
use super::name;
use super::plan::JointCertificate;

/// Equations of up to so many operands have all of their paths looked at: 180 of 5.
const FEW: usize = 5;

/// The most paths of all equations that are lowered for that.
const MOST_PATHS: usize = 8192;

/// Equations of more operands are taken to have something in common without a look.
const MANY: usize = 1024;

/// What a joint search found.
pub(super) struct Joint {
    /// A plan for each equation.
    pub(super) plans: Vec<Plan>,
    /// The multiplications of each equation alone, all together.
    pub(super) alone: Cost,
    pub(super) certificate: JointCertificate,
}

/// The plans of paths that were given.
pub(super) fn given(equations: &[Bound], paths: &[Path], dtype: Dtype) -> Result<Joint> {
    if paths.len() != equations.len() {
        let message = format!("there are {}, but {}", count(equations.len(), "equation"), count(paths.len(), "path"));
        return Err(Error::new(ErrorKind::Path, message));
    }
    let plan = |(number, (equation, path)): (usize, (&Bound, &Path))| {
        let found = given_path(&equation.graph, path.clone()).map_err(|error| error.within(&name(number)))?;
        Ok(lower(&equation.equation, &equation.sizes, found, dtype))
    };
    let plans = equations.iter().zip(paths).enumerate().map(plan).collect::<Result<Vec<Plan>>>()?;
    let alone = plans.iter().map(Plan::multiplications).sum();
    Ok(Joint { plans, alone, certificate: JointCertificate::Given })
}

/// The best paths together that the search finds.
pub(super) fn search(equations: &[Bound], operands: usize, options: &SearchOptions, dtype: Dtype) -> Result<Joint> {
    search_all_of(FEW, equations, operands, options, dtype)
}

/// The same, where equations of up to `few` operands have all of their paths looked at.
fn search_all_of(
    few: usize,
    equations: &[Bound],
    operands: usize,
    options: &SearchOptions,
    dtype: Dtype,
) -> Result<Joint> {
    if options.memory_limit.is_some() {
        let message = "several equations together are not sliced: plan them without a memory limit, or one by one";
        return Err(Error::new(ErrorKind::Slice, message));
    }
    let alone = |(number, equation): (usize, &Bound)| {
        search_path(&equation.graph, options).map_err(|error| error.within(&name(number)))
    };
    let alone = equations.iter().enumerate().map(alone).collect::<Result<Vec<Found>>>()?;
    let is_proved = alone.iter().all(|found| found.certificate.is_optimal());
    let cost: Cost = alone.iter().map(|found| &found.cost.multiplications).sum();
    let as_alone = |certificate| {
        let plans = equations.iter().zip(alone.iter().cloned());
        let plans = plans.map(|(equation, found)| lower(&equation.equation, &equation.sizes, found, dtype)).collect();
        Joint { plans, alone: cost.clone(), certificate }
    };
    if options.objective != Objective::Mul {
        return Ok(as_alone(JointCertificate::Unproved));
    }
    if !have_common_pairs(equations) {
        // Then no call of any paths is that of another, and the best alone are the best together.
        return Ok(as_alone(if is_proved { JointCertificate::Optimal } else { JointCertificate::Unproved }));
    }
    let mut pools = Pools::new(equations, operands, dtype);
    for (number, found) in alone.iter().enumerate() {
        pools.add(number, found.clone());
    }
    let mut left = MOST_PATHS;
    let mut are_all_there = true;
    for (number, equation) in equations.iter().enumerate() {
        let is_small = equation.operands.len() <= few;
        let paths = if is_small { every_path(equation.operands.len()) } else { Vec::new() };
        if !is_small || paths.len() > left {
            are_all_there = false;
            continue;
        }
        left -= paths.len();
        for path in paths {
            pools.add(number, given_path(&equation.graph, path)?);
        }
    }
    if !are_all_there {
        improve(&mut pools, options)?;
    }
    let choice = choose(&pools.calls, pools.numbers.costs(), &vec![0; equations.len()]);
    let is_best = are_all_there && choice.is_best;
    let certificate = if is_best { JointCertificate::Optimal } else { JointCertificate::Unproved };
    let picked = equations.iter().zip(pools.found).zip(choice.picks);
    let plans = picked
        .map(|((equation, mut pool), pick)| lower(&equation.equation, &equation.sizes, pool.swap_remove(pick), dtype));
    Ok(Joint { plans: plans.collect(), alone: cost, certificate })
}

/// Whether two operands of an equation meet again, in it or in another: a call that two paths have in common begins with
/// such, since what it multiplies they have in common as well.
fn have_common_pairs(equations: &[Bound]) -> bool {
    let mut pairs = HashSet::new();
    equations.iter().any(|equation| {
        let operands = &equation.operands;
        operands.len() > MANY
            || operands
                .iter()
                .enumerate()
                .any(|(at, &one)| operands[..at].iter().any(|&other| !pairs.insert((one.min(other), one.max(other)))))
    })
}

/// Paths to choose from.
pub(super) struct Pools<'e> {
    pub(super) equations: &'e [Bound],
    dtype: Dtype,
    pub(super) numbers: Numbers,
    marks: Marks,
    /// By equation, its paths; the first is the one that it has alone.
    pub(super) found: Vec<Vec<Found>>,
    /// By equation and path, its calls: the numbers of what they make, each once, rising.
    pub(super) calls: Vec<Vec<Vec<usize>>>,
}

impl<'e> Pools<'e> {
    fn new(equations: &'e [Bound], operands: usize, dtype: Dtype) -> Self {
        Self {
            equations,
            dtype,
            numbers: Numbers::new(operands),
            marks: Marks::default(),
            found: vec![Vec::new(); equations.len()],
            calls: vec![Vec::new(); equations.len()],
        }
    }

    /// Adds a path of an equation, unless one with the same calls is there; the number of the one that is there then.
    pub(super) fn add(&mut self, equation: usize, found: Found) -> usize {
        let bound = &self.equations[equation];
        let plan = lower(&bound.equation, &bound.sizes, found.clone(), self.dtype);
        let marks = self.marks.of(&plan, bound.config.as_ref());
        let values = self.numbers.values(&Part { plan: &plan, operands: &bound.operands, marks: &marks });
        let mut calls: Vec<usize> = plan.calls().map(|step| self.numbers.step(values[step.result().index()])).collect();
        calls.sort_unstable();
        calls.dedup();
        let pool = &mut self.calls[equation];
        pool.iter().position(|known| *known == calls).unwrap_or_else(|| {
            pool.push(calls);
            self.found[equation].push(found);
            pool.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QEinsum;

    /// Equations, each with its operands.
    type Equations = Vec<(String, Vec<usize>)>;

    /// Equations of three or four of the same operands, which are matrices whose sides are small or large.
    fn random(below: &mut impl FnMut(usize) -> usize) -> (Equations, Vec<[usize; 2]>) {
        let sizes = [2, 3, 5, 8, 13, 21];
        let shapes: Vec<[usize; 2]> = (0..5).map(|_| [sizes[below(6)], sizes[below(6)]]).collect();
        let mut equations = Equations::new();
        for _ in 0..2 {
            // A chain, whose labels between two operands need sides of one size: others meet nowhere.
            let operands: Vec<usize> = (0..3 + below(2)).map(|_| below(5)).collect();
            let mut terms: Vec<String> = Vec::new();
            let mut ends: Vec<(char, usize)> = Vec::new();
            let mut next = b'a';
            for &operand in &operands {
                let term = shapes[operand].map(|size| {
                    let met = ends.iter().position(|&(_, end)| end == size);
                    if let (Some(met), true) = (met, below(3) > 0) {
                        return ends.swap_remove(met).0;
                    }
                    let label = char::from(next);
                    next += 1;
                    ends.push((label, size));
                    label
                });
                terms.push(term.iter().collect());
            }
            let output: String = ends.iter().map(|&(label, _)| label).take(3).collect();
            equations.push((format!("{}->{output}", terms.join(",")), operands));
        }
        (equations, shapes)
    }

    #[test]
    fn what_is_found_without_a_look_at_all_paths_is_mostly_as_good() {
        let mut state = 7_u64;
        let mut below = |bound: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % bound
        };
        let (mut all, mut shared, mut met) = (0, 0, 0);
        while all < 200 {
            let (equations, shapes) = random(&mut below);
            // Every common operand has to be somewhere.
            let mut used: Vec<usize> = equations.iter().flat_map(|(_, operands)| operands.clone()).collect();
            used.sort_unstable();
            used.dedup();
            let renamed = |operand: &usize| used.binary_search(operand).unwrap();
            let places: Vec<Vec<usize>> =
                equations.iter().map(|(_, operands)| operands.iter().map(renamed).collect()).collect();
            let equations: Vec<(&str, &[usize])> =
                equations.iter().zip(&places).map(|((text, _), places)| (text.as_str(), places.as_slice())).collect();
            let shapes: Vec<&[usize]> = used.iter().map(|&operand| shapes[operand].as_slice()).collect();
            let Ok(bound) = QEinsum::many(&equations).unwrap().bind(&shapes) else { continue };
            all += 1;
            let options = SearchOptions::new();
            let found = |few| {
                let joint = search_all_of(few, &bound, shapes.len(), &options, Dtype::F32).unwrap();
                let alone = joint.alone.clone();
                let plan = super::super::ManyPlan::new(bound.clone(), &shapes, joint, Dtype::F32);
                assert!(plan.multiplications() <= &alone, "{plan}");
                plan
            };
            let (best, greedy) = (found(FEW), found(0));
            assert_eq!(best.certificate(), JointCertificate::Optimal, "{best}");
            assert!(best.multiplications() <= greedy.multiplications(), "{best}\n{greedy}");
            if best.multiplications() < best.multiplications_alone() {
                shared += 1;
                met += usize::from(best.multiplications() == greedy.multiplications());
            }
        }
        // Of 17 that gain by sharing, 12 are found as good.
        assert!(shared >= 15 && 3 * met >= 2 * shared, "{met} of {shared}");
    }
}
