//! Sizes bound to an equation: one extent per label, one shape per operand.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::equation::{Equation, Label};
use crate::error::{Error, ErrorKind};
use crate::span::{Span, printable_text};

/// The extents of an array's axes.
///
/// ```
/// let shape: qeinsum::Shape = [2, 3].into_iter().collect();
/// assert_eq!(shape.as_slice(), [2, 3]);
/// ```
pub type Shape = SmallVec<[usize; 8]>;

/// The most axes of an operand or of the output; every file format ends far below. Labels are looked up along a
/// subscript, which takes time and memory quadratic in this.
const MOST_AXES: usize = 1024;

/// What every label of an equation measures, and the shape of every operand.
///
/// A label measures the same in every operand that has it, but for operands in which it measures 1: there it
/// broadcasts. The label's own extent is then the other one.
///
/// ```
/// use qeinsum::{QEinsum, Sizes};
/// let equation = QEinsum::new("ij,j->i")?.equation(&[2, 1])?;
/// let sizes = Sizes::new(&equation, &[vec![2, 1], vec![3]])?; // operand 0 broadcasts along `j`
/// let j = equation.operands()[1][0];
/// assert_eq!((sizes.extent(j), sizes.shapes()[0].as_slice()), (3, &[2, 1][..]));
/// assert_eq!(sizes.shape_of(equation.output()).as_slice(), [2]);
/// assert!(Sizes::new(&equation, &[vec![2, 4], vec![3]]).is_err());
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Sizes {
    extents: Vec<usize>,
    shapes: Vec<Shape>,
}

/// A place in an equation that an error of sizes speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Operand(usize),
    Axis { operand: usize, axis: usize },
    Output,
}

/// Sizes that do not fit; the caller knows whether there is a text to point at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SizeError {
    message: String,
    places: SmallVec<[Place; 2]>,
}

impl SizeError {
    pub(crate) fn new(message: String, places: impl IntoIterator<Item = Place>) -> Self {
        Self { message, places: places.into_iter().collect() }
    }

    /// The public error; `locate` gives the span of a place in `text`.
    pub(crate) fn at(self, text: &str, locate: impl Fn(Place) -> Span) -> Error {
        let spans: SmallVec<[Span; 2]> = self.places.iter().map(|&place| locate(place)).collect();
        let error = Error::from(self);
        if spans.is_empty() { error } else { error.at(text, &spans) }
    }
}

impl From<SizeError> for Error {
    fn from(error: SizeError) -> Self {
        Self::new(ErrorKind::Shape, error.message)
    }
}

impl Sizes {
    /// One shape per operand; an error where they do not fit the equation.
    pub fn new<S: AsRef<[usize]>>(equation: &Equation, shapes: &[S]) -> crate::Result<Self> {
        Ok(Self::bind(equation, shapes)?)
    }

    /// Binds one shape per operand.
    pub(crate) fn bind<S: AsRef<[usize]>>(equation: &Equation, shapes: &[S]) -> Result<Self, SizeError> {
        let operands = equation.operands();
        if operands.len() != shapes.len() {
            let message = format!(
                "the equation has {}, but {} given",
                count(operands.len(), "operand"),
                if shapes.len() == 1 { "1 was".to_owned() } else { format!("{} were", shapes.len()) }
            );
            return Err(SizeError::new(message, []));
        }
        // Per label: its extent so far, and where it was seen.
        let mut seen: Vec<Option<(usize, usize, usize)>> = vec![None; equation.labels().len()];
        // Per label: the last operand that has it, and its first axis there.
        let mut within: Vec<Option<(usize, usize)>> = vec![None; equation.labels().len()];
        check_axes(equation)?;
        for (operand, (labels, shape)) in operands.iter().zip(shapes).enumerate() {
            let shape = shape.as_ref();
            if labels.len() != shape.len() {
                let message = format!(
                    "operand {operand} has {}, but its subscript has {}",
                    count(shape.len(), "axis"),
                    count(labels.len(), "label")
                );
                return Err(SizeError::new(message, [Place::Operand(operand)]));
            }
            for (axis, (&label, &size)) in labels.iter().zip(shape).enumerate() {
                match within[label.index()] {
                    Some((same, first)) if same == operand => {
                        if shape[first] != size {
                            let first = (operand, first, shape[first]);
                            return Err(mismatch(equation, label, first, (operand, axis, size)));
                        }
                    }
                    _ => within[label.index()] = Some((operand, axis)),
                }
                match &mut seen[label.index()] {
                    place @ None => *place = Some((operand, axis, size)),
                    Some((_, _, known)) if *known == size || size == 1 => {}
                    Some(place) if place.2 == 1 => *place = (operand, axis, size),
                    Some(place) => return Err(mismatch(equation, label, *place, (operand, axis, size))),
                }
            }
            if elements(shape).is_none() {
                let message = format!("operand {operand} has more elements than a machine can address: overflow");
                return Err(SizeError::new(message, [Place::Operand(operand)]));
            }
        }
        let extents: Vec<usize> = seen.iter().map(|place| place.map_or(1, |(_, _, size)| size)).collect();
        let sizes =
            Self { extents, shapes: shapes.iter().map(|shape| shape.as_ref().iter().copied().collect()).collect() };
        if elements(&sizes.shape_of(equation.output())).is_none() {
            let message = "the output has more elements than a machine can address: overflow".to_owned();
            return Err(SizeError::new(message, [Place::Output]));
        }
        Ok(sizes)
    }

    /// One size per label, by its name: every label needs one, and every name must be a label.
    ///
    /// ```
    /// use qeinsum::{Equation, Sizes, Syntax};
    /// let equation = Equation::new(Syntax::Compact, &[vec!["i", "j"], vec!["j"]], &["i"])?;
    /// let sizes = Sizes::from_names(&equation, &[("i".to_owned(), 2), ("j".to_owned(), 3)].into())?;
    /// assert_eq!(sizes.shapes()[0].as_slice(), [2, 3]);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn from_names(equation: &Equation, sizes: &BTreeMap<String, usize>) -> crate::Result<Self> {
        Ok(Self::by_name(equation, sizes)?)
    }

    /// The same, with the places that an error speaks of.
    pub(crate) fn by_name(equation: &Equation, sizes: &BTreeMap<String, usize>) -> Result<Self, SizeError> {
        for name in sizes.keys() {
            if equation.label(name).is_none() {
                let message = format!(
                    "size given for label `{}`, which is in no operand; {}",
                    printable_text(name, 40),
                    meant(equation, |name| sizes.contains_key(name))
                );
                return Err(SizeError::new(message, []));
            }
        }
        let mut shapes: Vec<Shape> = Vec::with_capacity(equation.operands().len());
        for (operand, labels) in equation.operands().iter().enumerate() {
            let mut shape = Shape::new();
            for (axis, &label) in labels.iter().enumerate() {
                let Some(&size) = sizes.get(equation.name(label)) else {
                    let message = format!("no size given for label `{}`", printable_text(equation.name(label), 40));
                    return Err(SizeError::new(message, [Place::Axis { operand, axis }]));
                };
                shape.push(size);
            }
            shapes.push(shape);
        }
        Self::bind(equation, &shapes)
    }

    /// The same size for every label.
    pub(crate) fn uniform(equation: &Equation, size: usize) -> Result<Self, SizeError> {
        check_axes(equation)?;
        Ok(Self {
            extents: vec![size; equation.labels().len()],
            shapes: equation.operands().iter().map(|labels| labels.iter().map(|_| size).collect()).collect(),
        })
    }

    /// The extent of a label: the largest it has in any operand (0 where it is 0 in one).
    pub fn extent(&self, label: Label) -> usize {
        self.extents[label.index()]
    }

    /// The extent of every label, in order.
    pub(crate) fn extents(&self) -> &[usize] {
        &self.extents
    }

    /// The shape of each operand.
    pub fn shapes(&self) -> &[Shape] {
        &self.shapes
    }

    /// The extents of `labels`.
    pub fn shape_of(&self, labels: &[Label]) -> Shape {
        labels.iter().map(|&label| self.extent(label)).collect()
    }
}

fn check_axes(equation: &Equation) -> Result<(), SizeError> {
    let operands = equation.operands().iter().enumerate();
    let places =
        operands.map(|(operand, labels)| (labels.len(), format!("operand {operand}"), Place::Operand(operand)));
    let output = (equation.output().len(), "the output".to_owned(), Place::Output);
    for (axes, what, place) in places.chain([output]) {
        if axes > MOST_AXES {
            let message = format!("{what} has {axes} axes, over the limit of {MOST_AXES}");
            return Err(SizeError::new(message, [place]));
        }
    }
    Ok(())
}

/// The number of elements of an array of this shape, if its bytes can be addressed at all (16 bytes an element).
///
/// An array with an axis of size 0 has none, but its other axes must not overflow either: strides need them.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    let mut bytes = 16_usize;
    for &size in shape {
        bytes = bytes.checked_mul(size.max(1))?;
    }
    if isize::try_from(bytes).is_err() {
        return None;
    }
    Some(if shape.contains(&0) { 0 } else { bytes / 16 })
}

/// An error that names `what` where an array of this shape cannot be addressed.
pub(crate) fn check_elements(shape: &[usize], what: &str) -> Result<usize, Error> {
    elements(shape).ok_or_else(|| {
        let message = format!("{what} has more elements than a machine can address: overflow");
        Error::new(ErrorKind::Limit, message)
    })
}

/// What may have been meant where something is given for a name that is no label: the labels that nothing is given for, or
/// else all.
pub(crate) fn meant(equation: &Equation, is_given: impl Fn(&str) -> bool) -> String {
    let names = || equation.labels().map(|label| equation.name(label));
    let missing: Vec<&str> = names().filter(|name| !is_given(name)).collect();
    let (said, labels) = match names().len() {
        0 => return "there are no labels".to_owned(),
        _ if missing.is_empty() => ("there are", names().collect()),
        _ => ("nothing is given for", missing),
    };
    let shown: Vec<String> = labels.iter().take(SHOWN).map(|name| format!("`{}`", printable_text(name, 40))).collect();
    let more = labels.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{said} {}{more}", shown.join(", "))
}

/// As many labels stand in a message.
const SHOWN: usize = 8;

fn mismatch(
    equation: &Equation,
    label: Label,
    first: (usize, usize, usize),
    second: (usize, usize, usize),
) -> SizeError {
    let message = format!(
        "label `{}` has two sizes: {} (operand {}, axis {}) and {} (operand {}, axis {})",
        printable_text(equation.name(label), 40),
        first.2,
        first.0,
        first.1,
        second.2,
        second.0,
        second.1
    );
    let places = [(first.0, first.1), (second.0, second.1)].map(|(operand, axis)| Place::Axis { operand, axis });
    SizeError::new(message, places)
}

/// `1 axis`, `3 axes`, `2 labels`.
pub(crate) fn count(n: usize, noun: &str) -> String {
    match (n, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "axis") => format!("{n} axes"),
        _ => format!("{n} {noun}s"),
    }
}
