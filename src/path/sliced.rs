//! Paths that run in slices: which labels can be sliced, and what that costs.
//!
//! A sliced label is a loop over its indices: around everything where the output has it, else around what the call that
//! sums it is made of, whose result each pass adds to. A step runs inside the loops that stand around the step that reads
//! it, down to the innermost one whose label its result still has; it is made once before a loop that it does not depend
//! on. `lower` makes loops by the same rule, and verifying a plan compares the two.
//!
//! Everything here goes by labels, so that a search may ask many thousand times.

use super::evaluate::{PathCost, StepCost};
use super::terms::{Leg, Terms};
use super::tree::unfit;
use crate::equation::{Equation, Label};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::ContractionGraph;
use crate::path::{Cost, Path};

/// What the arithmetic of a call lets be sliced, beside the labels that it keeps.
///
/// [`QuantConfig::call_kinds`](crate::QuantConfig::call_kinds) says what the calls of a path are under a configuration.
///
/// ```
/// use qeinsum::path::{CallKind, sliceable};
/// let qe = qeinsum::QEinsum::new("ij,jk,kl->il")?;
/// let (graph, path) = (qe.graph(&[&[2, 3], &[3, 4], &[4, 5]])?, "(0,1) (0,1)".parse()?);
/// let k = graph.equation().label("k").expect("the equation has it"); // summed by the second call
/// assert!(sliceable(&graph, &path, &[k], &[CallKind::Float, CallKind::Float]).is_ok());
/// assert!(sliceable(&graph, &path, &[k], &[CallKind::Float, CallKind::Quantized]).is_err());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum CallKind {
    /// Floats: the labels that it sums, as far as slices of them are ranges of its terms.
    #[default]
    Float,
    /// Quantized by scales of what a side holds along all that is summed: no label that it sums. Where both sides are there as a
    /// whole before the loop nothing but the call would be in it, and slices would make nothing smaller.
    Quantized,
    /// The same with noise, which belongs to places in the whole array: it runs in no slice at all.
    Noisy,
}

/// Why a label cannot be sliced.
///
/// ```
/// use qeinsum::path::{Obstacle, Slicing};
/// let graph = qeinsum::QEinsum::new("ijk,jkl,l->i")?.graph(&[&[2, 3, 4], &[3, 4, 5], &[5]])?;
/// let slicing = Slicing::new(&graph, &"(0,1) (0,1)".parse()?, &[])?;
/// let [j, k] = ["j", "k"].map(|name| graph.equation().label(name).expect("the equation has it"));
/// // Terms are added in the order of `j`, and in that of `k` for each.
/// assert_eq!(slicing.check(&[k]).unwrap_err().obstacle, Obstacle::Order { step: 0, before: j });
/// assert!(slicing.check(&[k, j]).is_ok());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Obstacle {
    /// It is named twice.
    Twice,
    /// It measures 1 or 0.
    Size(usize),
    /// There is only one operand, and no intermediate result.
    Alone,
    /// It is summed before any call, where nothing is large.
    Reduced,
    /// A step of the path sums another label before it that is not sliced, so that slices are no ranges of its terms.
    Order {
        /// The step, from 0.
        step: usize,
        /// The other label.
        before: Label,
    },
    /// A step of the path that sums it is quantized.
    Quantized {
        /// The step, from 0.
        step: usize,
    },
    /// A step of the path that would run in its slices draws noise.
    Noisy {
        /// The step, from 0.
        step: usize,
    },
}

/// That some labels of an equation cannot be sliced.
///
/// ```
/// use qeinsum::path::{Obstacle, Slicing, Unsliceable};
/// let graph = qeinsum::QEinsum::new("ij,jk->ik")?.graph(&[&[1, 3], &[3, 4]])?;
/// let i = graph.equation().label("i").expect("the equation has it");
/// let unsliceable = Slicing::new(&graph, &"(0,1)".parse()?, &[])?.check(&[i]).unwrap_err();
/// assert_eq!(unsliceable, Unsliceable { label: i, obstacle: Obstacle::Size(1) });
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Unsliceable {
    /// The label at fault.
    pub label: Label,
    /// Why it cannot be sliced.
    pub obstacle: Obstacle,
}

impl Unsliceable {
    /// The error for a user.
    pub(crate) fn error(self, equation: &Equation) -> Error {
        let name = |label| equation.joined(&[label], "");
        let reason = match self.obstacle {
            Obstacle::Twice => "it is named twice".to_owned(),
            Obstacle::Size(size) => format!("it measures {size}"),
            Obstacle::Alone => "there are no intermediate results of one operand".to_owned(),
            Obstacle::Reduced => "it is summed before any call".to_owned(),
            Obstacle::Order { step, before } => {
                let before = name(before);
                format!(
                    "step {step} sums `{before}` before it, and floats are added in that order; `{before}` would have to be \
                     sliced too"
                )
            }
            Obstacle::Quantized { step } => {
                format!("step {step} sums it, and is quantized by scales of what all its slices hold")
            }
            Obstacle::Noisy { step } => {
                format!("step {step} would run in its slices, and draws noise for the whole of its sides at once")
            }
        };
        Error::new(ErrorKind::Slice, format!("label `{}` cannot be sliced: {reason}", name(self.label)))
    }
}

/// Where a label goes along a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Into the output, at this place.
    Output(usize),
    /// This step sums it.
    Summed(usize),
    /// It is summed by no call, or measures 1.
    Reduced,
}

/// What can be sliced along a path, and what it then costs: made once for a path, asked for many sets of labels.
///
/// ```
/// use qeinsum::graph::ContractionGraph;
/// use qeinsum::path::{Obstacle, Slicing};
/// use qeinsum::{Equation, Sizes, Syntax};
/// let names = [vec!["a", "b"], vec!["b", "c"], vec!["c", "d"]];
/// let equation = Equation::new(Syntax::Compact, &names, &["a", "d"])?;
/// let sizes = Sizes::new(&equation, &[[8, 4], [4, 16], [16, 2]])?;
/// let slicing = Slicing::new(&ContractionGraph::new(&equation, &sizes), &"(0,1) (0,1)".parse()?, &[])?;
/// let label = |name| equation.label(name).expect("the equation has it");
///
/// // Of the first product, which is 8 by 16, only a column is there at a time.
/// assert!(slicing.check(&[label("c")]).is_ok());
/// let cost = slicing.cost(&[label("c")]);
/// assert_eq!(cost.per_step[0].elements.to_string(), "8");
/// assert_eq!(cost.multiplications.to_string(), "768"); // nothing is computed twice
///
/// let twice = slicing.check(&[label("c"), label("c")]).unwrap_err();
/// assert_eq!((twice.label, twice.obstacle), (label("c"), Obstacle::Twice));
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Slicing {
    terms: Terms,
    /// Of every operand and result.
    values: Vec<Vec<Leg>>,
    /// The unsliced cost of each step.
    per_step: Vec<StepCost>,
    /// By step, the one that reads its result; none for the last.
    readers: Vec<Option<usize>>,
    /// By label.
    fates: Vec<Fate>,
    /// By step, what it sums, in the order in which terms are added.
    summed: Vec<Vec<Label>>,
    /// By step; beyond its end, floats.
    kinds: Vec<CallKind>,
    /// What calls sum before other labels.
    leading: Vec<Label>,
}

/// The place of a label among those that a call sums.
pub(crate) fn sum_order(leading: &[Label], label: Label) -> (bool, Label) {
    (!leading.contains(&label), label)
}

impl Slicing {
    /// What can be sliced along `path`, whose calls are of these kinds: floats, where there is none for a step.
    ///
    /// An error where the path does not have the graph's number of operands.
    pub fn new(graph: &ContractionGraph, path: &Path, kinds: &[CallKind]) -> Result<Self> {
        if path.operands() != graph.operands() {
            return Err(unfit(path, graph.operands()));
        }
        let terms = Terms::new(graph);
        let steps = path.ssa();
        let (per_step, values) = terms.trace(&steps);
        let operands = graph.operands();
        let mut readers = vec![None; steps.len()];
        let mut fates = vec![Fate::Reduced; terms.extents.len()];
        for (place, label) in graph.equation().output().iter().enumerate() {
            fates[label.index()] = Fate::Output(place);
        }
        let mut summed = Vec::with_capacity(steps.len());
        for (step, &[a, b]) in steps.iter().enumerate() {
            for id in [a, b] {
                if let Some(earlier) = id.checked_sub(operands) {
                    readers[earlier] = Some(step);
                }
            }
            let result = &values[operands + step];
            // One that broadcasts on a side is squeezed there, and summed on the other before the call.
            let here = values[a].iter().filter(|leg| {
                leg.wide && is_wide(&values[b], label_of(**leg)) && find(result, label_of(**leg)).is_none()
            });
            let here: Vec<Label> = here.copied().map(label_of).collect();
            for label in &here {
                fates[label.index()] = Fate::Summed(step);
            }
            summed.push(here);
        }
        Ok(Self { terms, values, per_step, readers, fates, summed, kinds: kinds.to_vec(), leading: Vec::new() })
    }

    /// The same for calls that sum these labels before others; see [`Found::leading`](crate::path::Found::leading).
    ///
    /// ```
    /// use qeinsum::path::Slicing;
    /// let graph = qeinsum::QEinsum::new("ijk,jkl,l->i")?.graph(&[&[2, 3, 4], &[3, 4, 5], &[5]])?;
    /// let slicing = Slicing::new(&graph, &"(0,1) (0,1)".parse()?, &[])?;
    /// let k = graph.equation().label("k").expect("the equation has it");
    /// assert!(slicing.check(&[k]).is_err()); // `j` is summed before it
    /// assert!(slicing.summing_first(&[k]).check(&[k]).is_ok());
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[must_use]
    pub fn summing_first(mut self, leading: &[Label]) -> Self {
        for summed in &mut self.summed {
            summed.sort_unstable_by_key(|label| sum_order(leading, *label));
        }
        self.leading = leading.to_vec();
        self
    }

    /// Whether these labels can be sliced together, in any order; else the first that cannot, and why.
    pub fn check(&self, slices: &[Label]) -> Result<(), Unsliceable> {
        for (at, &label) in slices.iter().enumerate() {
            let fail = |obstacle| Err(Unsliceable { label, obstacle });
            let extent = self.terms.extents[label.index()];
            match self.fates[label.index()] {
                _ if slices[..at].contains(&label) => return fail(Obstacle::Twice),
                _ if extent < 2 => return fail(Obstacle::Size(extent)),
                _ if self.per_step.is_empty() => return fail(Obstacle::Alone),
                Fate::Reduced => return fail(Obstacle::Reduced),
                Fate::Output(_) => {}
                Fate::Summed(step) if self.kind(step) != CallKind::Float => return fail(Obstacle::Quantized { step }),
                Fate::Summed(step) => {
                    let mut before = self.summed[step].iter().take_while(|&&each| each != label);
                    if let Some(&before) = before.find(|before| !slices.contains(before)) {
                        return fail(Obstacle::Order { step, before });
                    }
                }
            }
        }
        if self.kinds.contains(&CallKind::Noisy) {
            for (step, loops) in self.loops(slices).iter().enumerate() {
                if let (CallKind::Noisy, Some(&label)) = (self.kind(step), loops.last()) {
                    return Err(Unsliceable { label, obstacle: Obstacle::Noisy { step } });
                }
            }
        }
        Ok(())
    }

    /// What the path costs in these slices, which [`check`](Self::check) passes: multiplications and elements written in all
    /// passes together, and the elements of each result as it is in one pass.
    ///
    /// The largest is also the output's, whose parts the passes write.
    pub fn cost(&self, slices: &[Label]) -> PathCost {
        let operands = self.values.len() - self.per_step.len();
        let mut write = Cost::ZERO;
        let mut per_step = Vec::with_capacity(self.per_step.len());
        for (step, loops) in self.loops(slices).iter().enumerate() {
            let result = &self.values[operands + step];
            let mut multiplications = self.per_step[step].multiplications.clone();
            let mut passes = Cost::ONE;
            for &label in loops {
                let size = Cost::from(self.terms.extents[label.index()]);
                let is_open = is_wide(result, label) || self.summed[step].contains(&label);
                if !is_open {
                    multiplications = multiplications * size.clone();
                }
                passes = passes * size;
            }
            let left: Vec<Leg> = result.iter().filter(|leg| !loops.contains(&label_of(**leg))).copied().collect();
            let elements = self.terms.elements(&left);
            write = write + &passes * &elements;
            per_step.push(StepCost { multiplications, elements });
        }
        let output = self.per_step.last().map(|last| &last.elements);
        let largest = per_step.iter().map(|step| &step.elements).chain(output).max().cloned().unwrap_or(Cost::ZERO);
        PathCost { multiplications: per_step.iter().map(|step| &step.multiplications).sum(), write, largest, per_step }
    }

    /// By step, the labels of the loops that it runs in, outermost first.
    pub(crate) fn loops(&self, slices: &[Label]) -> Vec<Vec<Label>> {
        let operands = self.values.len() - self.per_step.len();
        let mut around: Vec<(usize, Label)> = Vec::new();
        let mut own: Vec<Vec<Label>> = vec![Vec::new(); self.per_step.len()];
        for &label in slices {
            match self.fates[label.index()] {
                Fate::Output(place) => around.push((place, label)),
                Fate::Summed(step) => own[step].push(label),
                Fate::Reduced => {}
            }
        }
        around.sort_unstable();
        let around: Vec<Label> = around.into_iter().map(|(_, label)| label).collect();
        let mut loops: Vec<Vec<Label>> = vec![Vec::new(); self.per_step.len()];
        for step in (0..self.per_step.len()).rev() {
            let outer = self.readers[step].map_or(&around, |reader| &loops[reader]);
            let result = &self.values[operands + step];
            let inside = outer.iter().rposition(|&label| is_wide(result, label)).map_or(0, |innermost| innermost + 1);
            let mut here = outer[..inside].to_vec();
            own[step].sort_unstable_by_key(|label| sum_order(&self.leading, *label));
            here.append(&mut own[step]);
            loops[step] = here;
        }
        loops
    }

    fn kind(&self, step: usize) -> CallKind {
        self.kinds.get(step).copied().unwrap_or_default()
    }
}

/// The leg of a label, of legs that are sorted.
fn find(legs: &[Leg], label: Label) -> Option<&Leg> {
    legs.binary_search_by_key(&label, |&leg| label_of(leg)).ok().map(|at| &legs[at])
}

fn label_of(leg: Leg) -> Label {
    Label::from_index(leg.label as usize)
}

fn is_wide(legs: &[Leg], label: Label) -> bool {
    find(legs, label).is_some_and(|leg| leg.wide)
}

/// What `path` costs in slices of these labels; see [`Slicing::cost`].
///
/// An error where the path does not fit, or the labels cannot be sliced together.
///
/// ```
/// use qeinsum::path::evaluate_sliced;
/// let graph = qeinsum::QEinsum::new("ab,bc,cd->ad")?.graph(&[&[8, 4], &[4, 16], &[16, 2]])?;
/// let c = graph.equation().label("c").expect("the equation has it");
/// let cost = evaluate_sliced(&graph, &"(0,1) (0,1)".parse()?, &[c])?;
/// assert_eq!(cost.per_step[0].elements.to_string(), "8"); // of 8 times 16
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn evaluate_sliced(graph: &ContractionGraph, path: &Path, slices: &[Label]) -> Result<PathCost> {
    let slicing = Slicing::new(graph, path, &[])?;
    slicing.check(slices).map_err(|unsliceable| unsliceable.error(graph.equation()))?;
    Ok(slicing.cost(slices))
}

/// Whether these labels can be sliced together along `path`, whose calls are of these kinds; see [`Slicing::check`].
///
/// An error says which label cannot be, and why.
///
/// ```
/// use qeinsum::path::sliceable;
/// let graph = qeinsum::QEinsum::new("ij,j->i")?.graph(&[&[2, 3], &[3]])?;
/// let i = graph.equation().label("i").expect("the equation has it");
/// let error = sliceable(&graph, &"(0,1)".parse()?, &[i, i], &[]).unwrap_err();
/// assert_eq!(error.message(), "label `i` cannot be sliced: it is named twice");
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn sliceable(graph: &ContractionGraph, path: &Path, slices: &[Label], kinds: &[CallKind]) -> Result<()> {
    Slicing::new(graph, path, kinds)?.check(slices).map_err(|unsliceable| unsliceable.error(graph.equation()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::graph;
    use crate::path::evaluate;

    fn labels(graph: &ContractionGraph, names: &str) -> Vec<Label> {
        names.chars().map(|name| graph.equation().label(&name.to_string()).unwrap()).collect()
    }

    #[test]
    fn costs_by_hand() {
        let chain = "a=64 b=8 c=64 d=8 e=64";
        // Equation, sizes, path, slices, multiplications, written, largest.
        let cases: &[(&str, &str, &str, &str, [u128; 3])] = &[
            ("ab,bc,cd,de->ae", chain, "(1,2) (0,2) (0,1)", "", [40960, 64 + 512 + 4096, 4096]),
            // The first two steps run once each: they do not have the label that the output loops over.
            ("ab,bc,cd,de->ae", chain, "(1,2) (0,2) (0,1)", "e", [40960, 64 + 512 + 4096, 4096]),
            ("ab,bc,cd,de->ae", chain, "(1,2) (0,2) (0,1)", "a", [40960, 64 + 512 + 4096, 4096]),
            // A sum over a loop writes its result in every pass.
            ("ab,bc,cd,de->ae", chain, "(1,2) (0,2) (0,1)", "c", [40960, 64 * 64 + 512 + 4096, 4096]),
            ("ab,bc,cd,de->ae", chain, "(1,2) (0,2) (0,1)", "b", [40960, 64 + 8 * 512 + 4096, 4096]),
            // Step 0 does not have a, but the loop over its own label is inside the one over d.
            ("ab,bc,cd->ad", "a=3 b=4 c=5 d=6", "(1,2) (0,1)", "ad", [4 * 5 * 6 * 3 + 72, 24 * 3 + 18, 18]),
            ("ab,bc,cd->ad", "a=3 b=4 c=5 d=6", "(0,1) (0,1)", "c", [60 + 90, 15 + 5 * 18, 18]),
        ];
        for (text, sizes, path, slices, [mul, write, largest]) in cases {
            let graph = graph(text, sizes);
            let cost = evaluate_sliced(&graph, &path.parse().unwrap(), &labels(&graph, slices)).unwrap();
            let found = [&cost.multiplications, &cost.write, &cost.largest].map(|cost| cost.to_u128().unwrap());
            assert_eq!(found, [*mul, *write, *largest], "{text} over {slices}");
        }
    }

    #[test]
    fn without_slices_the_cost_is_the_path_s() {
        let graph = graph("ab,bc,cd,de->ae", "a=64 b=8 c=64 d=8 e=64");
        let path = "(1,2) (0,2) (0,1)".parse().unwrap();
        assert_eq!(evaluate_sliced(&graph, &path, &[]), evaluate(&graph, &path));
    }

    #[test]
    fn what_cannot_be_sliced_is_named() {
        use CallKind::{Float, Noisy, Quantized};
        let cases: &[(&str, &str, &[CallKind], &str)] = &[
            ("ijx,ijk,kl->il", "j", &[], ""),
            ("ijx,ijk,kl->il", "ilkj", &[], ""),
            ("ijx,ijk,kl->il", "x", &[], "label `x` cannot be sliced: it is summed before any call"),
            ("ijx,ijk,kl->il", "jj", &[], "label `j` cannot be sliced: it is named twice"),
            ("ijo,ijk,kl->il", "o", &[], "label `o` cannot be sliced: it measures 1"),
            ("ab,ab,b->", "b", &[], ""),
            (
                "abc,abc,d->d",
                "b",
                &[],
                "label `b` cannot be sliced: step 0 sums `a` before it, and floats are added in that order; `a` would have \
                 to be sliced too",
            ),
            ("abc,abc,d->d", "ba", &[], ""),
            (
                "ij,jk,kl->il",
                "j",
                &[Quantized, Float],
                "label `j` cannot be sliced: step 0 sums it, and is quantized by scales of what all its slices hold",
            ),
            ("ij,jk,kl->il", "kil", &[Quantized, Float], ""),
            (
                "ij,jk,kl->il",
                "k",
                &[Noisy, Float],
                "label `k` cannot be sliced: step 0 would run in its slices, and draws noise for the whole of its sides at \
                 once",
            ),
            ("ij,jk,kl->il", "l", &[Noisy, Float], ""),
        ];
        for (text, slices, kinds, expected) in cases {
            let graph = graph(text, "o=1");
            let found = sliceable(&graph, &"(0,1) (0,1)".parse().unwrap(), &labels(&graph, slices), kinds);
            assert_eq!(found.err().map_or(String::new(), |error| error.message().to_owned()), *expected, "{text}");
        }
    }
}
