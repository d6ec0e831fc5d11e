//! The resolved equation: interned labels, explicit output, no ellipsis, no spans.
//!
//! An [`Equation`] is valid by construction: its output has distinct labels, each of them in some operand.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::span::printable_text;

/// One index of an equation, interned.
///
/// Labels of one equation are numbered in the order of their names (by code point), so comparing two labels compares
/// their names; JAX sorts contracted labels this way, and the numbers depend on it.
///
/// ```
/// let equation = qeinsum::QEinsum::new("zy,ya->za")?.equation(&[2, 2])?;
/// let [y, z] = ["y", "z"].map(|name| equation.label(name).unwrap());
/// assert!(y < z); // as their names
/// assert_eq!((y.index(), equation.name(y)), (1, "y")); // after `a`
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Label(u32);

impl Label {
    /// Position of the label in its equation's name table.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The label at `index` of a name table. Only rooms that enumerate an equation's labels need it.
    pub(crate) const fn from_index(index: usize) -> Self {
        Self(index as u32)
    }
}

/// The labels of one operand or of the output, an axis each. A label may repeat within an operand.
///
/// ```
/// use qeinsum::{QEinsum, Subscript};
/// let equation = QEinsum::new("iij->ji")?.equation(&[3])?;
/// let (operand, output) = (&equation.operands()[0], equation.output());
/// assert_eq!(operand.len(), 3); // a slice of labels
/// assert_eq!(operand[1..].iter().rev().copied().collect::<Subscript>(), *output);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Subscript(SmallVec<[Label; 8]>);

impl Deref for Subscript {
    type Target = [Label];

    fn deref(&self) -> &[Label] {
        &self.0
    }
}

impl FromIterator<Label> for Subscript {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Self {
        Self(labels.into_iter().collect())
    }
}

/// How an equation is written.
///
/// ```
/// use qeinsum::{QEinsum, Syntax};
/// let equation = QEinsum::named("time chan -> chan")?.equation(&[2])?;
/// assert_eq!(equation.syntax(), Syntax::Named);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Syntax {
    /// `bij,bjk->bik`: one letter a label.
    Compact,
    /// `batch time chan, chan out -> batch time out`: names separated by spaces.
    Named,
}

/// An einsum equation with all of its labels known.
///
/// ```
/// let qe = qeinsum::QEinsum::new("...ij,jk")?;
/// let equation = qe.equation(&[3, 2])?;
/// assert_eq!(equation.to_string(), "cij,jk->cik");
/// assert_eq!(equation.operands().len(), 2);
/// let names: Vec<&str> = equation.labels().map(|label| equation.name(label)).collect();
/// assert_eq!(names, ["c", "i", "j", "k"]); // `...` became the first letter that was free
/// assert_eq!(equation.subscript(equation.output()), "cik");
/// assert_eq!(equation.label("z"), None);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Equation {
    syntax: Syntax,
    names: Arc<[Box<str>]>,
    operands: Vec<Subscript>,
    output: Subscript,
}

/// Why names do not make an equation. The parser reports the same with spans before it comes to this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum EquationError {
    NoOperand,
    UnknownOutput(String),
    RepeatedOutput(String),
}

impl fmt::Display for EquationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoOperand => f.write_str("an equation needs at least one operand"),
            Self::UnknownOutput(name) => write!(f, "output label `{}` is in no operand", printable_text(name, 40)),
            Self::RepeatedOutput(name) => write!(f, "output label `{}` is repeated", printable_text(name, 40)),
        }
    }
}

impl Equation {
    /// The equation whose operands' axes and whose output's axes have these names.
    ///
    /// An error where there is no operand, or the output has an unknown name or one name twice.
    ///
    /// ```
    /// use qeinsum::{Equation, Syntax};
    /// let equation = Equation::new(Syntax::Compact, &[vec!["i", "j"], vec!["j"]], &["i"])?;
    /// assert_eq!(equation.to_string(), "ij,j->i");
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn new<S: AsRef<str>>(syntax: Syntax, operands: &[Vec<S>], output: &[S]) -> crate::Result<Self> {
        Self::from_names(syntax, operands, output)
            .map_err(|error| crate::Error::new(crate::ErrorKind::Syntax, error.to_string()))
    }

    /// Interns the names of each operand's axes and of the output's.
    pub(crate) fn from_names<S: AsRef<str>>(
        syntax: Syntax,
        operands: &[Vec<S>],
        output: &[S],
    ) -> Result<Self, EquationError> {
        if operands.is_empty() {
            return Err(EquationError::NoOperand);
        }
        let mut names: Vec<&str> = operands.iter().flatten().map(AsRef::as_ref).collect();
        names.sort_unstable();
        names.dedup();
        let label = |name: &str| names.binary_search(&name).ok().map(Label::from_index);
        let mut resolved = Vec::with_capacity(operands.len());
        for operand in operands {
            resolved.push(operand.iter().filter_map(|name| label(name.as_ref())).collect());
        }
        let mut seen = vec![false; names.len()];
        let mut labels = Subscript::default();
        for name in output {
            let name = name.as_ref();
            let found = label(name).ok_or_else(|| EquationError::UnknownOutput(name.to_owned()))?;
            if std::mem::replace(&mut seen[found.index()], true) {
                return Err(EquationError::RepeatedOutput(name.to_owned()));
            }
            labels.0.push(found);
        }
        let names = names.into_iter().map(Box::from).collect();
        Ok(Self { syntax, names, operands: resolved, output: labels })
    }

    /// The subscripts of the operands, in the order written; at least one.
    pub fn operands(&self) -> &[Subscript] {
        &self.operands
    }

    /// The output's subscript: distinct labels.
    pub fn output(&self) -> &Subscript {
        &self.output
    }

    /// Every label of the equation, in order.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = Label> + use<> {
        (0..self.names.len()).map(Label::from_index)
    }

    /// The name of a label of this equation.
    ///
    /// # Panics
    ///
    /// Where the label is of a larger equation: a label means something only in the equation that it came from.
    pub fn name(&self, label: Label) -> &str {
        &self.names[label.index()]
    }

    /// The label of this name, if the equation has it.
    pub fn label(&self, name: &str) -> Option<Label> {
        self.names.binary_search_by(|probe| (**probe).cmp(name)).ok().map(Label::from_index)
    }

    /// How the equation is written.
    pub fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// A subscript in this equation's syntax: `bij`, or `batch time` in named syntax.
    pub fn subscript(&self, labels: &[Label]) -> String {
        self.joined(labels, if self.syntax == Syntax::Named { " " } else { "" })
    }

    /// The names of `labels` with `between` between them; a name that the parser would not read is shown in printable
    /// form.
    pub(crate) fn joined(&self, labels: &[Label], between: &str) -> String {
        let shown = |name: &'_ str| {
            let identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            // A letter without width is a letter: escaped, the equation would not parse again.
            let letter = name.chars().eq(name.chars().take(1).filter(|c| c.is_alphabetic()));
            if identifier || letter { name.to_owned() } else { printable_text(name, 80) }
        };
        let names: Vec<String> = labels.iter().map(|&label| shown(self.name(label))).collect();
        names.join(between)
    }
}

/// The equation in its own syntax: `bij,bjk->bik`, or `batch time, time out -> batch out`.
impl fmt::Display for Equation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operands: Vec<String> = self.operands.iter().map(|operand| self.subscript(operand)).collect();
        write_terms(f, self.syntax, &operands, Some(&self.subscript(&self.output)))
    }
}

/// Writes terms with commas and the arrow as a syntax has them, without a space where a term is empty.
pub(crate) fn write_terms(
    f: &mut impl fmt::Write,
    syntax: Syntax,
    operands: &[String],
    output: Option<&str>,
) -> fmt::Result {
    let space = |wanted: bool| if wanted && syntax == Syntax::Named { " " } else { "" };
    for (position, operand) in operands.iter().enumerate() {
        if position > 0 {
            write!(f, ",{}", space(!operand.is_empty()))?;
        }
        f.write_str(operand)?;
    }
    if let Some(output) = output {
        let lone = operands.len() == 1 && operands[0].is_empty();
        write!(f, "{}->{}{output}", space(!lone), space(!output.is_empty()))?;
    }
    Ok(())
}
