//! The JSON form of a family: everything that its text says and all that is needed to load it again.
//!
//! What can be derived of the paths, their polynomials, is derived again and must agree. What the report says was measured
//! is taken as its claim.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::ranges::Ranges;
use super::{Family, FamilyOptions, FamilyReport, terms};
use crate::equation::{Equation, Label, Syntax};
use crate::error::{Error, ErrorKind, Result};
use crate::path::Path;
use crate::path::tree::unfit;
use crate::span::printable_text;
use crate::unique;

/// Version of the JSON form. A reader refuses others.
///
/// ```
/// use qeinsum::QEinsum;
/// use qeinsum::path::{FAMILY_FORMAT, FamilyOptions};
/// let ranges = [("i".to_owned(), 1..=8)].into();
/// let text = QEinsum::new("i,i->")?.family(&ranges, &FamilyOptions::new())?.to_json();
/// assert!(text.contains(&format!("\"format\": {FAMILY_FORMAT}")), "{text}");
/// # Ok::<(), qeinsum::Error>(())
/// ```
pub const FAMILY_FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    equation: String,
    syntax: DocumentSyntax,
    inputs: Vec<Vec<String>>,
    output: Vec<String>,
    #[serde(deserialize_with = "unique::entries")]
    ranges: BTreeMap<String, [usize; 2]>,
    options: FamilyOptions,
    members: Vec<DocumentMember>,
    report: FamilyReport,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DocumentSyntax {
    Compact,
    Named,
}

#[derive(Serialize, Deserialize)]
struct DocumentMember {
    path: Vec<Vec<usize>>,
    ssa_path: Vec<Vec<usize>>,
    multiplications: String,
    wins: usize,
}

impl Family {
    /// The family as JSON: equation, ranges, options, members and report.
    ///
    /// ```
    /// use qeinsum::QEinsum;
    /// use qeinsum::path::{Family, FamilyOptions};
    /// let ranges = ["i", "j", "k"].map(|label| (label.to_owned(), 2..=64)).into();
    /// let family = QEinsum::new("ij,jk->ik")?.family(&ranges, &FamilyOptions::new())?;
    /// assert_eq!(Family::from_json(&family.to_json())?, family);
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    #[expect(clippy::missing_panics_doc, reason = "it cannot: nothing in a family fails to serialize")]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("keys of a family are strings")
    }

    /// The family that [`to_json`](Self::to_json) wrote.
    ///
    /// An error where the text is none, is of another format version, or contradicts itself.
    pub fn from_json(text: &str) -> Result<Self> {
        let bad = |error: serde_json::Error| {
            let shown = printable_text(&error.to_string(), 300);
            Error::new(ErrorKind::Path, format!("this is no family: {shown}"))
        };
        Self::rebuilt(serde_json::from_str(text).map_err(bad)?)
    }

    fn rebuilt(document: Document) -> Result<Self> {
        let wrong = |message: &str| Error::new(ErrorKind::Path, message);
        if document.format != FAMILY_FORMAT {
            let message = format!("the family has format {}, but this reads {FAMILY_FORMAT}", document.format);
            return Err(wrong(&message));
        }
        let syntax = match document.syntax {
            DocumentSyntax::Compact => Syntax::Compact,
            DocumentSyntax::Named => Syntax::Named,
        };
        let equation = Equation::new(syntax, &document.inputs, &document.output)?;
        let ranges: BTreeMap<String, RangeInclusive<usize>> =
            document.ranges.into_iter().map(|(name, [low, high])| (name, low..=high)).collect();
        let ranges = Ranges::by_name(&equation, &ranges)?;
        document.options.check()?;
        let terms = terms(&equation, &ranges)?;
        let mut members = Vec::with_capacity(document.members.len());
        for member in &document.members {
            let pairs = member.path.iter().filter(|step| step.as_slice() != [0]);
            let pairs: Option<Vec<[usize; 2]>> = pairs.map(|step| step.as_slice().try_into().ok()).collect();
            let path = Path::new(pairs.ok_or_else(|| wrong("a step of a family's path has two positions"))?)?;
            if path.operands() != equation.operands().len() {
                return Err(unfit(&path, equation.operands().len()));
            }
            members.push((path, member.wins));
        }
        if members.is_empty() || document.report.worst.sizes.len() != equation.labels().len() {
            return Err(wrong("the family has no member, or a report of another equation"));
        }
        let family = Self::of(&equation, ranges, document.options, &terms, members, document.report);
        let derived = family.document();
        let agree = derived.equation == document.equation
            && derived.members.iter().zip(&document.members).all(|(derived, read)| {
                derived.ssa_path == read.ssa_path && derived.multiplications == read.multiplications
            });
        if agree { Ok(family) } else { Err(wrong("the family contradicts itself: its paths cost something else")) }
    }

    fn document(&self) -> Document {
        let names = |labels: &[Label]| -> Vec<String> {
            labels.iter().map(|&label| self.equation.name(label).to_owned()).collect()
        };
        let member = |member: &super::Member| DocumentMember {
            path: member.path.to_lists(),
            ssa_path: member.path.to_ssa_lists(),
            multiplications: member.polynomial.clone(),
            wins: member.wins,
        };
        Document {
            format: FAMILY_FORMAT,
            equation: self.equation.to_string(),
            syntax: match self.equation.syntax() {
                Syntax::Compact => DocumentSyntax::Compact,
                Syntax::Named => DocumentSyntax::Named,
            },
            inputs: self.equation.operands().iter().map(|labels| names(labels)).collect(),
            output: names(self.equation.output()),
            ranges: self.ranges().into_iter().map(|(name, range)| (name, [*range.start(), *range.end()])).collect(),
            options: self.options,
            members: self.members.iter().map(member).collect(),
            report: self.report.clone(),
        }
    }
}

/// What [`to_json`](Family::to_json) writes.
impl Serialize for Family {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document().serialize(serializer)
    }
}

/// What [`from_json`](Family::from_json) reads.
impl<'de> Deserialize<'de> for Family {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::rebuilt(Document::deserialize(deserializer)?).map_err(|error| de::Error::custom(error.message()))
    }
}
