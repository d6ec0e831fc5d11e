//! What a frozen operand is for, and whether it fits where it is passed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::dtype::Dtype;
use crate::equation::Syntax;
use crate::error::{Error, ErrorKind, Result};
use crate::lower::{DimensionNumbers, Entry, Orientation, Plan};
use crate::parse::{self, Ast};
use crate::quant::{IntNumerics, QuantConfig, TensorConfig};
use crate::sizes::Shape;
use crate::span::printable_text;

use super::file::{file_error, is_packed};
use super::{call, own_config};

/// What the metadata of a file call the format.
pub(super) const FORMAT: &str = "qeinsum.frozen";
/// The version that is written, and the only one that is read.
const VERSION: &str = "1";

/// What a frozen operand is for.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Place {
    /// The equation as it was written.
    pub(super) equation: String,
    pub(super) syntax: Syntax,
    /// The plan that it was frozen in: the other operands' shapes and the path are those of that time.
    pub(super) plan: Arc<Plan>,
    pub(super) operand: usize,
    pub(super) entry: Entry,
    pub(super) config: Arc<QuantConfig>,
    pub(super) dtype: Dtype,
}

impl Place {
    /// That of the metadata of a file.
    pub(super) fn of(metadata: &BTreeMap<String, String>) -> Result<Self> {
        let text = |key: &str| {
            metadata.get(key).map(String::as_str).ok_or_else(|| file_error(&format!("the metadata have no `{key}`")))
        };
        match metadata.get("format").map(String::as_str) {
            Some(FORMAT) => {}
            _ => return Err(file_error("the file is none of a frozen operand")),
        }
        let version = text("version")?;
        if version != VERSION {
            let version = printable_text(version, 20);
            return Err(file_error(&format!("the file has version `{version}`, but only version {VERSION} is known")));
        }
        let plan = Plan::from_json(text("plan")?).map_err(|error| error.within("`plan`"))?;
        let config = QuantConfig::from_json(text("config")?).map_err(|error| error.within("`config`"))?;
        let syntax = if text("syntax")? == "named" { Syntax::Named } else { Syntax::Compact };
        let equation = text("equation")?.to_owned();
        let ranks: Vec<usize> = plan.sizes().shapes().iter().map(Shape::len).collect();
        let resolved = parse::resolve(&parse::parse(&equation, syntax)?, &ranks)?;
        if resolved.to_string() != plan.equation().to_string() {
            return Err(file_error("the equation is not that of the plan"));
        }
        let operand = text("operand")?.parse().map_err(|_| file_error("`operand` is no number"))?;
        let entry = plan.entry(operand).ok_or_else(|| file_error("the plan multiplies the operand with nothing"))?;
        config.check_fits(ranks.len())?;
        let name = text("dtype")?;
        let dtype = [Dtype::F32, Dtype::F16, Dtype::Bf16].into_iter().find(|dtype| dtype.to_string() == name);
        let dtype = dtype.ok_or_else(|| file_error("`dtype` is none of f32, f16 and bf16"))?;
        if plan.dtype() != dtype {
            return Err(file_error(&format!("`dtype` is {dtype}, but the plan is one for {}", plan.dtype())));
        }
        let (plan, config) = (Arc::new(plan), Arc::new(config));
        Ok(Self { equation, syntax, plan, operand, entry, config, dtype })
    }

    /// That what metadata say for people is what is so.
    pub(super) fn check_description(&self, metadata: &BTreeMap<String, String>) -> Result<()> {
        for (key, expected) in self.description() {
            let said = metadata.get(&key).ok_or_else(|| file_error(&format!("the metadata have no `{key}`")))?;
            if *said != expected {
                return Err(file_error(&format!("`{key}` contradicts the plan and the configuration")));
            }
        }
        Ok(())
    }

    /// The shape of the operand.
    pub(super) fn shape(&self) -> &[usize] {
        &self.plan.sizes().shapes()[self.operand]
    }

    /// The shape that its call reads.
    pub(super) fn side_shape(&self) -> &[usize] {
        self.plan.value(self.entry.value).shape()
    }

    /// How many elements its call reads, which are no more than the operand has, and those can be counted.
    pub(super) fn side_elements(&self) -> usize {
        self.side_shape().iter().product()
    }

    /// The dimension numbers and orientation of the call that it enters, and the rank of the other side.
    pub(super) fn call(&self) -> (&DimensionNumbers, Orientation, usize) {
        call(&self.plan, self.entry)
    }

    /// How it is quantized.
    pub(super) fn tensor_config(&self) -> TensorConfig {
        own_config(&self.plan, &self.config, self.entry)
    }

    /// The integers that it is quantized to.
    pub(super) fn int(&self) -> Result<IntNumerics> {
        let own = self.tensor_config();
        own.int().copied().ok_or_else(|| file_error("the configuration does not quantize the operand"))
    }

    /// What the metadata say of the operand.
    pub(super) fn description(&self) -> BTreeMap<String, String> {
        let orientation = match self.call().1 {
            Orientation::AsWritten => "as_written",
            Orientation::Swapped => "swapped",
        };
        let own = self.tensor_config();
        let bits = own.int().map_or(0, |int| int.bits.get());
        let packed = own.int().is_some_and(|&int| is_packed(int));
        let shape: Vec<String> = self.shape().iter().map(usize::to_string).collect();
        let syntax = match self.syntax {
            Syntax::Compact => "compact",
            Syntax::Named => "named",
        };
        let entries = [
            ("format", FORMAT.to_owned()),
            ("version", VERSION.to_owned()),
            ("equation", self.equation.clone()),
            ("syntax", syntax.to_owned()),
            ("operand", self.operand.to_string()),
            ("side", self.entry.side.to_string()),
            ("orientation", orientation.to_owned()),
            ("dtype", self.dtype.to_string()),
            ("bits", bits.to_string()),
            ("shape", shape.join("x")),
            ("packing", if packed { "low nibble first" } else { "none" }.to_owned()),
        ];
        entries.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
    }

    /// Where this enters `plan` as operand `position`; an error where it is not what that place would quantize.
    pub(super) fn fits(
        &self,
        plan: &Plan,
        ast: Option<&Ast>,
        config: Option<&QuantConfig>,
        position: usize,
        dtype: Dtype,
    ) -> Result<Entry> {
        let refuse = |reason: String| Err(Error::new(ErrorKind::Freeze, format!("operand {position} {reason}")));
        // An ellipsis may stand for more axes than it did; spelled out, equations may still be the same.
        let (written, resolved) = (ast.map(Ast::to_string), plan.equation().to_string());
        if written.as_ref() != Some(&self.equation) && resolved != self.plan.equation().to_string() {
            let here = written.unwrap_or(resolved);
            return refuse(format!("was frozen for `{}`, not for `{here}`", self.equation));
        }
        if self.operand != position {
            return refuse(format!("was frozen as operand {} of `{}`", self.operand, self.equation));
        }
        if self.dtype != dtype {
            return refuse(format!("was frozen for {} operands, not for {dtype}", self.dtype));
        }
        let Some(config) = config else {
            return refuse(
                "is frozen, but the run has no configuration; give it the one it was frozen with".to_owned(),
            );
        };
        let Some(entry) = plan.entry(position) else {
            return refuse("is frozen, but the plan multiplies it with nothing".to_owned());
        };
        if own_config(plan, config, entry) != self.tensor_config() {
            return refuse("was frozen with a configuration that quantizes it otherwise than this one".to_owned());
        }
        let (here, there) = (Reading::of(plan, entry), Reading::of(&self.plan, self.entry));
        if here != there || plan.value(entry.value).shape() != self.plan.value(self.entry.value).shape() {
            return refuse(format!(
                "was frozen for a call that reads it as {there} on path {}, not as {here} on path {}: give the run the path \
                 and the axes of size 1 that it was frozen with",
                self.plan.order(),
                plan.order()
            ));
        }
        if self.tensor_config().noise().is_some() && entry.call != self.entry.call {
            return refuse(format!(
                "was frozen with the noise of call {}, but enters call {} here: give the run the path that it was frozen in, \
                 {}",
                self.entry.call,
                entry.call,
                self.plan.order()
            ));
        }
        Ok(entry)
    }
}

/// How a call reads an operand: the labels that it still has there, and which of them are contracted.
///
/// A label that is 1 elsewhere may be summed before, so that what is left has the same shape but other labels.
#[derive(PartialEq, Eq)]
struct Reading<'a> {
    labels: Vec<&'a str>,
    shape: &'a [usize],
    contracted: Vec<&'a str>,
}

impl<'a> Reading<'a> {
    fn of(plan: &'a Plan, entry: Entry) -> Self {
        let value = plan.value(entry.value);
        let labels: Vec<&str> = value.labels().iter().map(|&label| plan.equation().name(label)).collect();
        let dims = call(plan, entry).0;
        let mut axes = entry.side.of(dims.lhs_contracting(), dims.rhs_contracting());
        axes.sort_unstable();
        let contracted = axes.iter().map(|&axis| labels[axis]).collect();
        Self { labels, shape: value.shape(), contracted }
    }
}

impl fmt::Display for Reading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let axes: Vec<String> =
            self.labels.iter().zip(self.shape).map(|(label, size)| format!("{label}={size}")).collect();
        write!(f, "[{}] contracted over [{}]", axes.join(","), self.contracted.join(","))
    }
}
