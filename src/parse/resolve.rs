//! [`Ast`] and ranks to [`Equation`]: gives `...` labels, and an output where none was written.
//!
//! The labels that stand for `...` take part in the order of labels, and that order decides the order of a
//! contraction. They are therefore chosen as `opt_einsum` chooses them, as JAX does too.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use smallvec::{SmallVec, smallvec};

use super::ast::{Ast, Item, Term};
use super::token::is_letter;
use crate::equation::{Equation, Syntax};
use crate::error::{Error, ErrorKind, Result};
use crate::sizes::{Place, Sizes, count};
use crate::span::Span;

/// The name that stands for all axes of a `...` where no ranks are known.
const ELLIPSIS: &str = "...";

/// Gives every axis of operands of these ranks a label.
///
/// As many unused labels are laid out as the highest rank: in compact syntax the letters `a` to `z`, `A` to `Z`, then
/// those from U+00C0 on; in named syntax `_0`, `_1`, …. A `...` of n axes takes the last n of them, so ellipses of
/// different lengths align at the right. The `...` of the output, and a missing output, take those of the longest.
///
/// A missing output has the axes of `...` first, then the labels that occur once, in code point order.
///
/// An error of kind [`ErrorKind::Shape`] where there are more or fewer ranks than operands, or a rank does not fit.
///
/// ```
/// use qeinsum::Syntax;
/// use qeinsum::parse::{parse, resolve};
/// let ast = parse("...ij,jk", Syntax::Compact)?;
/// assert_eq!(resolve(&ast, &[4, 2])?.to_string(), "cdij,jk->cdik");
/// assert_eq!(resolve(&ast, &[2, 2])?.to_string(), "ij,jk->ik");
/// assert_eq!(resolve(&ast, &[1, 2]).unwrap_err().message(), "operand 0 has 1 axis, but its subscript needs 2 or more");
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn resolve(ast: &Ast, ranks: &[usize]) -> Result<Equation> {
    let axes = ellipsis_axes(ast, ranks).map_err(|error| error.at(ast))?;
    let stand_ins = stand_ins(ast, ranks).map_err(|error| error.at(ast))?;
    labelled(ast, &axes, &stand_ins)
}

/// Resolves without ranks: each `...` stands as one label named `...`.
///
/// ```
/// use qeinsum::Syntax;
/// use qeinsum::parse::{parse, resolve_symbolic};
/// let ast = parse("...ij,jk", Syntax::Compact)?;
/// assert_eq!(resolve_symbolic(&ast)?.to_string(), "...ij,jk->...ik");
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn resolve_symbolic(ast: &Ast) -> Result<Equation> {
    let axes: Vec<usize> = ast.operands().iter().map(|term| usize::from(term.ellipsis().is_some())).collect();
    labelled(ast, &axes, &[ELLIPSIS.to_owned()])
}

/// Resolves for operands of these shapes and binds their sizes.
///
/// The errors of [`resolve`], and one of kind [`ErrorKind::Shape`] where a label has two sizes or a size overflows.
///
/// ```
/// use qeinsum::Syntax;
/// use qeinsum::parse::{bind, parse};
/// let ast = parse("ij,jk->ik", Syntax::Compact)?;
/// let (equation, sizes) = bind(&ast, &[&[2, 5], &[5, 3]])?;
/// assert_eq!(sizes.shape_of(equation.output()).as_slice(), [2, 3]);
///
/// let error = bind(&ast, &[&[2, 5], &[6, 3]]).unwrap_err();
/// let message = "label `j` has two sizes: 5 (operand 0, axis 1) and 6 (operand 1, axis 0)";
/// assert_eq!(error.to_string(), format!("{message}\n  ij,jk->ik\n   ^ ^"));
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub fn bind(ast: &Ast, shapes: &[&[usize]]) -> Result<(Equation, Sizes)> {
    let ranks: Vec<usize> = shapes.iter().map(|shape| shape.len()).collect();
    let equation = resolve(ast, &ranks)?;
    let hidden = Cell::new(false);
    let locate = |place| {
        let span = ast.locate(place, &ranks);
        hidden.set(hidden.get() || matches!(place, Place::Axis { .. }) && ast.slice(span) == ELLIPSIS);
        span
    };
    let sizes = Sizes::bind(&equation, shapes).map_err(|error| {
        let error = error.at(ast.text(), locate);
        // The label it names is one that the user did not write.
        if hidden.get() { error.within("under `...`") } else { error }
    })?;
    Ok((equation, sizes))
}

/// The items of the output that an equation without `->` has: `...` if any operand has it, then the labels that occur
/// once in all operands together, by code point.
pub(super) fn implicit_output<'a>(text: &'a str, operands: &[Term]) -> Vec<Item> {
    let name = |span: Span| -> &'a str { text.get(span.start..span.end).unwrap_or_default() };
    let mut labels: Vec<Span> = operands.iter().flat_map(Term::labels).collect();
    labels.sort_unstable_by_key(|&span| (name(span), span));
    let once = labels.chunk_by(|&a, &b| name(a) == name(b)).filter_map(|same| match same {
        [span] => Some(Item::Label(*span)),
        _ => None,
    });
    operands.iter().find_map(Term::ellipsis).map(Item::Ellipsis).into_iter().chain(once).collect()
}

/// How many axes the `...` of each operand covers; 0 where it has none.
pub(super) fn ellipsis_axes(ast: &Ast, ranks: &[usize]) -> Result<Vec<usize>, ResolveError> {
    let operands = ast.operands();
    if operands.len() != ranks.len() {
        return Err(ResolveError::Operands { terms: operands.len(), given: ranks.len() });
    }
    let mut axes = Vec::with_capacity(ranks.len());
    for (operand, (term, &rank)) in operands.iter().zip(ranks).enumerate() {
        let ellipsis = term.ellipsis().is_some();
        let labels = term.items().len() - usize::from(ellipsis);
        match rank.checked_sub(labels) {
            Some(covered) if ellipsis => axes.push(covered),
            Some(0) => axes.push(0),
            _ => return Err(ResolveError::Rank { operand, rank, labels, ellipsis }),
        }
    }
    Ok(axes)
}

/// As many labels that the equation does not use as the highest rank, in the order in which `...` takes them.
fn stand_ins(ast: &Ast, ranks: &[usize]) -> Result<Vec<String>, ResolveError> {
    if ast.operands().iter().all(|term| term.ellipsis().is_none()) {
        return Ok(Vec::new());
    }
    let wanted = ranks.iter().copied().max().unwrap_or_default();
    let used: BTreeSet<&str> = ast.operands().iter().flat_map(Term::labels).map(|span| ast.slice(span)).collect();
    let unused = |name: &String| !used.contains(name.as_str());
    let found: Vec<String> = match ast.syntax() {
        Syntax::Compact => ('a'..='z')
            .chain('A'..='Z')
            .chain(('\u{c0}'..=char::MAX).filter(|&c| is_letter(c)))
            .map(String::from)
            .filter(unused)
            .take(wanted)
            .collect(),
        Syntax::Named => (0_u64..).map(|number| format!("_{number}")).filter(unused).take(wanted).collect(),
    };
    if found.len() < wanted {
        return Err(ResolveError::Letters { wanted, found: found.len() });
    }
    Ok(found)
}

/// The equation in which the `...` of each operand is its last `axes` of the `stand_ins`.
fn labelled(ast: &Ast, axes: &[usize], stand_ins: &[String]) -> Result<Equation> {
    let last = |n: usize| stand_ins.get(stand_ins.len().saturating_sub(n)..).unwrap_or_default();
    let names = |items: &[Item], covered: usize| {
        let mut names: Vec<&str> = Vec::with_capacity(items.len() + covered);
        for item in items {
            match item {
                Item::Label(span) => names.push(ast.slice(*span)),
                Item::Ellipsis(_) => names.extend(last(covered).iter().map(String::as_str)),
            }
        }
        names
    };
    let operands: Vec<Vec<&str>> =
        ast.operands().iter().zip(axes).map(|(term, &covered)| names(term.items(), covered)).collect();
    let longest = axes.iter().copied().max().unwrap_or_default();
    let output = match ast.output() {
        Some(output) => names(output.term().items(), longest),
        None => names(&implicit_output(ast.text(), ast.operands()), longest),
    };
    Equation::from_names(ast.syntax(), &operands, &output)
        .map_err(|error| Error::new(ErrorKind::Syntax, error.to_string()))
}

/// Operands that do not fit the equation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ResolveError {
    Operands { terms: usize, given: usize },
    Rank { operand: usize, rank: usize, labels: usize, ellipsis: bool },
    Letters { wanted: usize, found: usize },
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Operands { terms, given } => {
                let were = if given == 1 { "was" } else { "were" };
                write!(f, "the equation has {}, but {given} {were} given", count(terms, "operand"))
            }
            Self::Rank { operand, rank, labels, ellipsis } => {
                write!(f, "operand {operand} has {}, but its subscript ", count(rank, "axis"))?;
                if ellipsis { write!(f, "needs {labels} or more") } else { write!(f, "has {}", count(labels, "label")) }
            }
            Self::Letters { wanted, found } => {
                write!(f, "`...` may need {wanted} labels, but only {found} letters are left: over the limit")
            }
        }
    }
}

impl ResolveError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Operands { .. } | Self::Rank { .. } => ErrorKind::Shape,
            Self::Letters { .. } => ErrorKind::Limit,
        }
    }

    fn spans(&self, ast: &Ast) -> SmallVec<[Span; 2]> {
        let terms = ast.operands();
        match self {
            // The first term without an operand, or the place where one is missing.
            Self::Operands { given, .. } => match (terms.get(*given), terms.last()) {
                (Some(term), _) => smallvec![term.span()],
                (None, Some(term)) => smallvec![Span::new(term.span().end, term.span().end)],
                (None, None) => SmallVec::new(),
            },
            Self::Rank { operand, .. } => terms.get(*operand).map(Term::span).into_iter().collect(),
            Self::Letters { .. } => terms.iter().find_map(Term::ellipsis).into_iter().collect(),
        }
    }

    pub(super) fn at(&self, ast: &Ast) -> Error {
        Error::new(self.kind(), self.to_string()).at(ast.text(), &self.spans(ast))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    /// Worked out by hand from the rule: unused letters, as many as the highest rank, the last n for n axes.
    #[test]
    fn ellipses_take_the_last_unused_letters() {
        let cases: &[(&str, &[usize], &str)] = &[
            ("...", &[0], "->"),
            ("...", &[2], "ab->ab"),
            ("...ij,jk", &[3, 2], "cij,jk->cik"),
            ("...ij,...jk->...ik", &[4, 3], "cdij,djk->cdik"),
            ("a...,b...", &[3, 2], "ade,be->deab"),
            ("i...->i", &[3], "ibc->i"),
            ("i...->i...", &[1], "i->i"),
            ("ij->...ij", &[2], "ij->ij"),
            ("...,...", &[0, 3], ",abc->abc"),
            ("...i,i", &[2, 1], "bi,i->b"),
            // The output: the ellipsis, then upper case before lower.
            ("...Ba", &[3], "dBa->dBa"),
            ("...bA,b", &[3, 1], "dbA,b->dA"),
            // Four letters, b to e; two axes take d and e.
            ("a...a", &[4], "adea->de"),
            ("i...i->i...", &[3], "ici->ic"),
            (",...", &[0, 1], ",a->a"),
        ];
        for &(text, ranks, expected) in cases {
            let equation = resolve(&parse(text, Syntax::Compact).unwrap(), ranks).unwrap();
            assert_eq!(equation.to_string(), expected, "{text} {ranks:?}");
        }
    }

    #[test]
    fn letters_run_past_the_alphabet_and_skip_what_is_no_letter() {
        let ast = parse("...", Syntax::Compact).unwrap();
        let equation = resolve(&ast, &[100]).unwrap();
        let letters: Vec<&str> = equation.output().iter().map(|&label| equation.name(label)).collect();
        assert_eq!(letters.len(), 100);
        assert_eq!((letters[25], letters[26], letters[51], letters[52]), ("z", "A", "Z", "À"));
        assert_eq!(&letters[74..76], ["Ö", "Ø"]);
        let error = resolve(&ast, &[1_000_000]).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Limit);
        assert!(error.message().starts_with("`...` may need 1000000 labels"), "{error}");
    }

    #[test]
    fn named_ellipses_take_unused_numbers() {
        let ast = parse("... a _1, a b -> ... b", Syntax::Named).unwrap();
        assert_eq!(resolve(&ast, &[4, 2]).unwrap().to_string(), "_3 _4 a _1, a b -> _3 _4 b");
        assert_eq!(resolve(&ast, &[2, 2]).unwrap().to_string(), "a _1, a b -> b");
    }

    #[test]
    fn without_ranks_an_ellipsis_is_one_label() {
        let cases = [
            ("...ij,...jk", "...ij,...jk->...ik"),
            ("...,...", "...,...->..."),
            ("i...->i", "i...->i"),
            ("ij->...ij", "ij->ij"),
            ("ba", "ba->ab"),
        ];
        for (text, expected) in cases {
            let equation = resolve_symbolic(&parse(text, Syntax::Compact).unwrap()).unwrap();
            assert_eq!(equation.to_string(), expected);
        }
    }

    #[test]
    fn ranks_that_do_not_fit_point_at_the_term() {
        let cases: &[(&str, &[usize], &str)] = &[
            ("ij,jk", &[2], "the equation has 2 operands, but 1 was given\n  ij,jk\n     ^^"),
            ("i", &[1, 1], "the equation has 1 operand, but 2 were given\n  i\n   ^"),
            ("", &[], "the equation has 1 operand, but 0 were given\n  \n  ^"),
            ("ij , jk", &[2, 3], "operand 1 has 3 axes, but its subscript has 2 labels\n  ij , jk\n       ^^"),
            ("i,->i", &[1, 1], "operand 1 has 1 axis, but its subscript has 0 labels\n  i,->i\n    ^"),
            ("ai...", &[1], "operand 0 has 1 axis, but its subscript needs 2 or more\n  ai...\n  ^^^^^"),
        ];
        for &(text, ranks, expected) in cases {
            let error = resolve(&parse(text, Syntax::Compact).unwrap(), ranks).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (&ErrorKind::Shape, expected), "{text}");
        }
    }

    #[test]
    fn sizes_that_do_not_fit_point_at_the_axes() {
        let cases: &[(&str, &[&[usize]], &str)] = &[
            (
                "ij,jk->ik",
                &[&[2, 5], &[6, 3]],
                "label `j` has two sizes: 5 (operand 0, axis 1) and 6 (operand 1, axis 0)\n  ij,jk->ik\n   ^ ^",
            ),
            ("aa", &[&[2, 3]], "label `a` has two sizes: 2 (operand 0, axis 0) and 3 (operand 0, axis 1)\n  aa\n  ^^"),
            (
                "...,...i",
                &[&[2], &[3, 1]],
                "under `...`: label `b` has two sizes: 2 (operand 0, axis 0) and 3 (operand 1, axis 0)\n  \
                 ...,...i\n  ^^^ ^^^",
            ),
            (
                "a,b->ab",
                &[&[usize::MAX / 32], &[32]],
                "the output has more elements than a machine can address: overflow\n  a,b->ab\n       ^^",
            ),
        ];
        for &(text, shapes, expected) in cases {
            let error = bind(&parse(text, Syntax::Compact).unwrap(), shapes).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (&ErrorKind::Shape, expected), "{text}");
        }
        let (equation, sizes) = bind(&parse("...i,i...", Syntax::Compact).unwrap(), &[&[4, 1, 3], &[3, 5]]).unwrap();
        assert_eq!(sizes.shape_of(equation.output()).as_slice(), [4, 5]);
    }

    #[test]
    fn many_labels_resolve_in_time() {
        let names: Vec<String> = (0..100_000).map(|number| format!("n{number}")).collect();
        let text = format!("{} -> {}", names.join(" "), names.join(" "));
        let ast = parse(&text, Syntax::Named).unwrap();
        assert_eq!(resolve(&ast, &[100_000]).unwrap().labels().len(), 100_000);
        let error = bind(&ast, &[&vec![1; 100_000]]).unwrap_err();
        assert_eq!(error.message(), "operand 0 has 100000 axes, over the limit of 1024");
    }
}
