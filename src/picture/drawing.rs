//! What a picture says, before it has a place: nodes, links, and facts in words.

use std::fmt;

/// A picture without coordinates.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    pub(super) heading: Heading,
    /// By value: operands first.
    pub(super) nodes: Vec<Node>,
    /// The position of what the plan returns.
    pub(super) output: usize,
    pub(super) schedule: Schedule,
    pub(super) lines: Vec<Line>,
}

/// What stands above the tree.
#[derive(Clone, Debug)]
pub(super) struct Heading {
    pub(super) equation: String,
    /// `a=64 b=8`, empty where there is no label.
    pub(super) sizes: String,
    /// The rest, a line each.
    pub(super) totals: Vec<String>,
}

/// A value, and the step that makes it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) id: usize,
    pub(super) kind: Kind,
    /// Its line of the plan.
    pub(super) line: String,
    /// What makes it: `operand 0`, `transpose %3 [1,0]`, `dot_general lhs %1, rhs %0, sums j`.
    pub(super) made: String,
    /// `[a,b]`.
    pub(super) axes: String,
    /// `64×8`, or `scalar`.
    pub(super) shape: String,
    /// The names of its labels, in printable form.
    pub(super) labels: Vec<String>,
    pub(super) links: Vec<Link>,
    /// The labels of the loops that it is made in, outermost first.
    pub(super) loops: Vec<String>,
    pub(super) facts: Vec<Fact>,
}

/// What makes a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Operand,
    Unary(Unary),
    Call(Call),
}

/// An operation on one value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Unary {
    Squeeze,
    ReduceSum,
    Diagonal,
    Transpose,
}

/// A call as a drawing shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Call {
    pub(super) sides: Sides,
    /// `4096 mul`, shortened where it is long.
    pub(super) cost: String,
    /// Its part of all multiplications, in hundred-thousandths.
    pub(super) share: u32,
    /// Its part of those of the dearest call, in hundred-thousandths.
    pub(super) of_dearest: u32,
    /// How its sides are quantized, lhs first.
    pub(super) quantized: Option<[String; 2]>,
}

/// Which operand of its step is the lhs of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sides {
    AsWritten,
    Swapped,
}

/// Where a node reads another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Link {
    pub(super) from: usize,
    pub(super) role: Role,
}

/// What is read is to the node that reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Input,
    Lhs,
    Rhs,
}

/// Something said of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fact {
    pub(super) what: &'static str,
    pub(super) text: String,
}

/// Steps in the order in which they run.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// The most bytes at one time while each step runs; none where they cannot be counted.
    pub(super) bytes: Option<Vec<u64>>,
    /// Hundred-thousandths of the predicted time.
    pub(super) time: Vec<u32>,
}

/// A line of the plan's text, and the value that it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) value: Option<usize>,
}

impl Node {
    /// The name of what makes it.
    pub(super) fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Operand => "operand",
            Kind::Unary(unary) => unary.name(),
            Kind::Call(Call { sides: Sides::AsWritten, .. }) => "dot_general",
            Kind::Call(Call { sides: Sides::Swapped, .. }) => "dot_general swapped",
        }
    }
}

impl Unary {
    /// As in a plan.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Squeeze => "squeeze",
            Self::ReduceSum => "reduce_sum",
            Self::Diagonal => "diagonal",
            Self::Transpose => "transpose",
        }
    }

    /// The letter that marks it.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Squeeze => "s",
            Self::ReduceSum => "Σ",
            Self::Diagonal => "d",
            Self::Transpose => "T",
        }
    }
}

impl Role {
    /// The word on the line; none where there is only one.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Input => "",
            Self::Lhs => "lhs",
            Self::Rhs => "rhs",
        }
    }
}

/// One line a node, for people who look at what the next stage draws.
impl fmt::Display for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading.equation)?;
        writeln!(f, "{}", self.heading.sizes)?;
        for line in &self.heading.totals {
            writeln!(f, "{line}")?;
        }
        for node in &self.nodes {
            write!(f, "%{} {} {} {}", node.id, node.name(), node.axes, node.shape)?;
            for link in &node.links {
                write!(f, " {}%{}", if link.role == Role::Input { "" } else { link.role.word() }, link.from)?;
            }
            if let Kind::Call(call) = &node.kind {
                write!(f, ", {}, {} of 100000, area {}", call.cost, call.share, call.of_dearest)?;
                if let Some([lhs, rhs]) = &call.quantized {
                    write!(f, ", {lhs} x {rhs}")?;
                }
            }
            if !node.loops.is_empty() {
                write!(f, ", for {}", node.loops.join(" "))?;
            }
            writeln!(f)?;
            for fact in &node.facts {
                writeln!(f, "  {}: {}", fact.what, fact.text)?;
            }
        }
        Ok(())
    }
}
