//! Families: the few paths of which one is good, whatever the sizes turn out to be.
//!
//! In come an equation of a few operands and a range of sizes for each label; out goes a [`Family`] of paths of which, at
//! all sizes that were looked at, one is within a tolerance of the best, and which is told by their costs as polynomials.
//! All trees are candidates; nothing here is a rule of thumb but the choice of the sizes that are looked at. Absent:
//! objectives other than multiplications, sizes of 0, and operands in which a label measures 1 and broadcasts.

mod build;
mod demands;
mod dispatch;
mod display;
mod fewer;
mod options;
mod ranges;
mod report;
mod serial;
mod splits;
mod trees;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

pub use options::FamilyOptions;
pub use report::{BuiltFrom, FamilyReport, Fresh, Grid, Worst};
pub use serial::FAMILY_FORMAT;

use self::build::build;
use self::dispatch::Dispatch;
use self::ranges::Ranges;
use self::splits::{MOST_OPERANDS, Splits};
use self::trees::Trees;
use super::polynomial::polynomial;
use super::terms::Terms;
use super::tree::canonical;
use crate::equation::{Equation, Label};
use crate::error::{Error, ErrorKind, Result};
use crate::graph::ContractionGraph;
use crate::path::Path;
use crate::sizes::{SizeError, Sizes, count};

/// The natural logarithm of the largest cost that a family may have: doubles end a little above.
const LN_OF_LARGEST: f64 = 690.0;

/// A few contraction paths of an equation whose sizes are known as ranges only, and which of them to take at given sizes.
///
/// It is made by [`QEinsum::family`](crate::QEinsum::family) or [`Family::new`], for up to seven operands: of more, search
/// for each size. Costs are multiplications, those of [`evaluate`](crate::path::evaluate), as doubles.
///
/// ```
/// use std::collections::BTreeMap;
/// use qeinsum::QEinsum;
/// use qeinsum::path::FamilyOptions;
///
/// let qe = QEinsum::new("ab,bc,cd->ad")?;
/// let ranges: BTreeMap<_, _> = ["a", "b", "c", "d"].map(|label| (label.to_owned(), 2..=1000)).into();
/// let family = qe.family(&ranges, &FamilyOptions::new())?;
/// assert_eq!(family.members().len(), 2);
///
/// let (_, sizes) = qe.bind(&[&[500, 3], &[3, 800], &[800, 7]])?;
/// let member = family.choose(&sizes).expect("the sizes are in the ranges");
/// assert_eq!(family.members()[member].path().to_string(), "(1,2) (0,1)");
/// // What it was made of and for.
/// assert_eq!((family.equation().to_string(), family.ranges()), ("ab,bc,cd->ad".to_owned(), ranges));
/// assert_eq!(family.options(), &FamilyOptions::new());
/// assert!(family.report().worst.excess <= 0.1);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Family {
    equation: Equation,
    ranges: Ranges,
    options: FamilyOptions,
    members: Vec<Member>,
    dispatch: Dispatch,
    report: FamilyReport,
}

/// A path of a family.
///
/// ```
/// use qeinsum::QEinsum;
/// use qeinsum::path::FamilyOptions;
/// let ranges = ["a", "b", "c"].map(|label| (label.to_owned(), 2..=100)).into();
/// let family = QEinsum::new("ab,bc,c->a")?.family(&ranges, &FamilyOptions::new())?;
/// // The matrices are multiplied with the vector one after the other, whatever their sizes.
/// let [member] = family.members() else { unreachable!("one path is enough") };
/// assert_eq!((member.path().to_string(), member.polynomial()), ("(1,2) (0,1)".to_owned(), "a·b + b·c"));
/// assert_eq!(member.wins(), family.report().built_from.grid.sizes);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    path: Path,
    polynomial: String,
    wins: usize,
}

impl Member {
    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its scalar multiplications as a polynomial in the labels: `a·b·c + a·c·d`.
    pub fn polynomial(&self) -> &str {
        &self.polynomial
    }

    /// At how many sizes of the grid that the family was built from it is the member that is chosen.
    pub fn wins(&self) -> usize {
        self.wins
    }
}

impl Family {
    /// The family of an equation, with a range of sizes for every label by its name.
    ///
    /// The same ranges and options give the same family on every machine. Of up to six operands it takes some two seconds
    /// at most.
    ///
    /// An error where a range is missing, empty or begins at 0, or belongs to no label; where there are more than seven
    /// operands; where an option is out of its range; or where costs may be beyond what a double holds.
    ///
    /// ```
    /// use qeinsum::path::{Family, FamilyOptions};
    /// use qeinsum::{Equation, Syntax};
    /// let names = [vec!["a", "b"], vec!["b", "c"], vec!["c"]];
    /// let equation = Equation::new(Syntax::Compact, &names, &["a"])?;
    /// let ranges = ["a", "b", "c"].map(|label| (label.to_owned(), 2..=512)).into();
    /// // From right to left is best always.
    /// assert_eq!(Family::new(&equation, &ranges, &FamilyOptions::new())?.members().len(), 1);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn new(
        equation: &Equation,
        ranges: &BTreeMap<String, RangeInclusive<usize>>,
        options: &FamilyOptions,
    ) -> Result<Self> {
        Self::locating(equation, ranges, options, Error::from)
    }

    /// The same; `locate` makes the error of a range, with the place in the equation where there is a text.
    pub(crate) fn locating(
        equation: &Equation,
        ranges: &BTreeMap<String, RangeInclusive<usize>>,
        options: &FamilyOptions,
        locate: impl FnOnce(SizeError) -> Error,
    ) -> Result<Self> {
        let ranges = match Ranges::by_name(equation, ranges) {
            Ok(ranges) => ranges,
            Err(error) => return Err(locate(error)),
        };
        options.check()?;
        let terms = terms(equation, &ranges)?;
        let splits = Splits::new(&terms);
        let trees = Trees::new(&splits, &ranges);
        let built = build(&splits, &trees, &ranges, options);
        let mut members = Vec::with_capacity(built.members.len());
        for (&tree, &wins) in built.members.iter().zip(&built.wins) {
            members.push((Path::from_ssa(&canonical(&trees.joins(tree)))?, wins));
        }
        Ok(Self::of(equation, ranges, *options, &terms, members, built.report))
    }

    /// The family of these paths, each with the sizes that it wins; they have the equation's number of operands.
    fn of(
        equation: &Equation,
        ranges: Ranges,
        options: FamilyOptions,
        terms: &Terms,
        members: Vec<(Path, usize)>,
        report: FamilyReport,
    ) -> Self {
        let steps: Vec<Vec<Vec<Label>>> = members.iter().map(|(path, _)| terms.labels_of_steps(&path.ssa())).collect();
        let dispatch = Dispatch::new(&steps);
        let members = members.into_iter().zip(steps);
        let member = |((path, wins), steps)| Member { path, polynomial: polynomial(equation, steps), wins };
        let members = members.map(member).collect();
        Self { equation: equation.clone(), ranges, options, members, dispatch, report }
    }

    /// The equation, its output explicit.
    pub fn equation(&self) -> &Equation {
        &self.equation
    }

    /// The range of each label, by name.
    pub fn ranges(&self) -> BTreeMap<String, RangeInclusive<usize>> {
        let labels = self.equation.labels().zip(self.ranges.iter());
        labels.map(|(label, range)| (self.equation.name(label).to_owned(), range.clone())).collect()
    }

    /// What the family was asked to be.
    pub fn options(&self) -> &FamilyOptions {
        &self.options
    }

    /// The paths, those first that are chosen at more sizes; at least one.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// How good they are, and on which sizes that was measured.
    pub fn report(&self) -> &FamilyReport {
        &self.report
    }

    /// Which member multiplies least at these sizes of the family's equation, the earlier of equal ones; none where a size
    /// is outside of its range or a label broadcasts.
    ///
    /// Nothing is allocated, and it takes less than a microsecond.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// use qeinsum::path::FamilyOptions;
    /// let qe = QEinsum::new("ij,jk->ik")?;
    /// let ranges = ["i", "j", "k"].map(|label| (label.to_owned(), 2..=64)).into();
    /// let family = qe.family(&ranges, &FamilyOptions::new())?;
    /// let choice = |shapes: &[&[usize]]| Ok::<_, qeinsum::Error>(family.choose(&qe.bind(shapes)?.1));
    /// assert_eq!(choice(&[&[2, 3], &[3, 4]])?, Some(0));
    /// assert_eq!(choice(&[&[2, 3], &[3, 65]])?, None);
    /// assert_eq!(choice(&[&[2, 1], &[3, 4]])?, None);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn choose(&self, sizes: &Sizes) -> Option<usize> {
        let operands = self.equation.operands();
        let is_its_own = operands.len() == sizes.shapes().len()
            && operands.iter().zip(sizes.shapes()).all(|(labels, shape)| {
                labels.len() == shape.len()
                    && labels.iter().zip(shape).all(|(label, size)| sizes.extents().get(label.index()) == Some(size))
            });
        (is_its_own && self.ranges.contain(sizes.extents())).then(|| self.dispatch.cheapest(sizes.extents()))
    }

    /// The path for an equation of these sizes, where the family has one.
    pub(crate) fn member(&self, equation: &Equation, sizes: &Sizes) -> Option<&Path> {
        let is_its_own = equation.operands() == self.equation.operands() && equation.output() == self.equation.output();
        is_its_own.then(|| self.choose(sizes)).flatten().map(|member| self.members[member].path())
    }
}

/// The equation's operands without lone labels and diagonals, every label of which counts as one that is larger than 1.
fn terms(equation: &Equation, ranges: &Ranges) -> Result<Terms> {
    let operands = equation.operands().len();
    if operands > MOST_OPERANDS {
        let message = format!(
            "a family has at most {MOST_OPERANDS} operands, and the equation has {}: search a path for each size instead",
            count(operands, "operand")
        );
        return Err(Error::new(ErrorKind::Limit, message));
    }
    if ranges.ln_of_largest() > LN_OF_LARGEST {
        let message = "the ranges are too wide for a family: a cost may be more than a double holds";
        return Err(Error::new(ErrorKind::Limit, message));
    }
    Ok(Terms::new(&ContractionGraph::new(equation, &Sizes::uniform(equation, 2)?)))
}

impl Terms {
    /// By step of a path in ids that are never reused: its labels, rising.
    fn labels_of_steps(&self, steps: &[[usize; 2]]) -> Vec<Vec<Label>> {
        let values = self.values(steps);
        let labels = |&[a, b]: &[usize; 2]| {
            let both = values[a].iter().chain(&values[b]);
            let mut labels: Vec<Label> = both.map(|leg| Label::from_index(leg.label as usize)).collect();
            labels.sort_unstable();
            labels.dedup();
            labels
        };
        steps.iter().map(labels).collect()
    }
}
