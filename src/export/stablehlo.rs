//! A program as the text of a `StableHLO` module.
//!
//! The operations are those that `StableHLO` has had since version 0.9. A line of the plan stands as a comment above what it
//! became.

use std::fmt::Write as _;

use crate::dtype::Dtype;
use crate::lower::AxisPair;

use super::program::{Binary, Id, Narrow, Operation, Program, Type, Unary};

/// The module's text.
pub(super) fn write(program: &Program) -> String {
    let mut writer = Writer { program, text: String::new(), names: Vec::new(), next: 0 };
    writer.module();
    writer.text
}

struct Writer<'p> {
    program: &'p Program,
    text: String,
    /// What each value is called; none for constants, which are written where they are read, in the shape that is asked for.
    names: Vec<Option<String>>,
    next: usize,
}

impl Writer<'_> {
    fn module(&mut self) {
        let program = self.program;
        let Some(result) = program.result else { return };
        let arguments: Vec<String> = program
            .ids()
            .filter_map(|id| match program.value(id).operation {
                Operation::Operand(number) => Some(format!("%arg{number}: {}", self.kind(id))),
                _ => None,
            })
            .collect();
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(self.text, "// einsum {}", program.title);
        let _ = writeln!(self.text, "module @qeinsum {{");
        let (arguments, kind) = (arguments.join(", "), self.kind(result));
        let _ = writeln!(self.text, "  func.func public @main({arguments}) -> {kind} {{");
        let mut notes = program.notes.iter().peekable();
        for id in program.ids() {
            while let Some(note) = notes.next_if(|note| note.before <= id.index()) {
                let _ = writeln!(self.text, "    // {}", note.text);
            }
            let name = self.operation(id);
            self.names.push(name);
        }
        for note in notes {
            let _ = writeln!(self.text, "    // {}", note.text);
        }
        let value = self.name(result);
        let _ = writeln!(self.text, "    return {value} : {kind}\n  }}\n}}");
    }

    /// Writes what makes a value, and gives its name.
    #[expect(clippy::too_many_lines, reason = "a line or two for each operation")]
    fn operation(&mut self, id: Id) -> Option<String> {
        let program = self.program;
        let kind = self.kind(id);
        Some(match &program.value(id).operation {
            Operation::Operand(number) => format!("%arg{number}"),
            Operation::Number(_) => return None,
            Operation::Row { numbers, .. } => {
                let numbers: Vec<String> = numbers.iter().map(|&number| literal(number)).collect();
                let flat = self.line(&format!(
                    "stablehlo.constant dense<[{}]> : tensor<{}xf32>",
                    numbers.join(", "),
                    numbers.len()
                ));
                self.line(&format!("stablehlo.reshape {flat} : (tensor<{}xf32>) -> {kind}", numbers.len()))
            }
            Operation::Unary(unary, input) => self.unary(*unary, *input),
            Operation::Binary(binary, left, right) => {
                let [left_name, right_name] = [*left, *right].map(|side| self.broadcast(side, id));
                let shared = self.kind_in_shape_of(*left, id);
                match binary {
                    Binary::Add => self.line(&format!("stablehlo.add {left_name}, {right_name} : {kind}")),
                    Binary::Multiply => self.line(&format!("stablehlo.multiply {left_name}, {right_name} : {kind}")),
                    Binary::Divide => self.line(&format!("stablehlo.divide {left_name}, {right_name} : {kind}")),
                    Binary::Less | Binary::GreaterOrEqual => {
                        let direction = if *binary == Binary::Less { "LT" } else { "GE" };
                        self.line(&format!(
                            "stablehlo.compare {direction}, {left_name}, {right_name}, FLOAT : ({shared}, {shared}) -> {kind}"
                        ))
                    }
                }
            }
            Operation::Select { condition, then, otherwise } => {
                let [condition_name, then, otherwise] =
                    [*condition, *then, *otherwise].map(|part| self.broadcast(part, id));
                let condition = self.kind_in_shape_of(*condition, id);
                self.line(&format!("stablehlo.select {condition_name}, {then}, {otherwise} : {condition}, {kind}"))
            }
            Operation::Clamp { input, low, high } => {
                let input = self.name(*input);
                let [low, high] = [*low, *high]
                    .map(|limit| self.line(&format!("stablehlo.constant dense<{}> : tensor<f32>", literal(limit))));
                self.line(&format!(
                    "stablehlo.clamp {low}, {input}, {high} : (tensor<f32>, {kind}, tensor<f32>) -> {kind}"
                ))
            }
            Operation::Convert(input) => self.convert(*input, id),
            Operation::Flushed(input) => self.flushed(*input),
            Operation::Narrowed(narrow, input) => self.narrowed(*narrow, *input),
            Operation::LargestOver { input, axes } => {
                let rest: Vec<usize> = (0..program.rank(*input)).filter(|axis| !axes.contains(axis)).collect();
                let rest: Vec<usize> = rest.iter().map(|&axis| program.shape(*input)[axis]).collect();
                let flat = tensor(&rest, program.element(id));
                let from = self.line("stablehlo.constant dense<0xFF800000> : tensor<f32>");
                let largest = self.reduce("maximum", *input, axes, &from, &flat);
                self.line(&format!("stablehlo.reshape {largest} : ({flat}) -> {kind}"))
            }
            Operation::SumOver { input, axes } => {
                let element = program.element(id);
                let zero = if element.dtype().is_some_and(Dtype::is_complex) { "(0.0, 0.0)" } else { "0.0" };
                let from = self.line(&format!("stablehlo.constant dense<{zero}> : {}", tensor(&[], element)));
                self.reduce("add", *input, axes, &from, &kind)
            }
            Operation::Transpose { input, permutation } => {
                let (from, permutation) = (self.kind(*input), list(permutation));
                let input = self.name(*input);
                self.line(&format!("stablehlo.transpose {input}, dims = {permutation} : ({from}) -> {kind}"))
            }
            Operation::Reshape(input) => {
                let (input, from) = (self.name(*input), self.kind(*input));
                self.line(&format!("stablehlo.reshape {input} : ({from}) -> {kind}"))
            }
            Operation::Every { input, step } => {
                let (shape, from) = (program.shape(*input), self.kind(*input));
                let last = shape.len().saturating_sub(1);
                let range = |(axis, extent): (usize, &usize)| {
                    if axis == last { format!("0:{extent}:{step}") } else { format!("0:{extent}") }
                };
                let ranges: Vec<String> = shape.iter().enumerate().map(range).collect();
                let input = self.name(*input);
                self.line(&format!("stablehlo.slice {input} [{}] : ({from}) -> {kind}", ranges.join(", ")))
            }
            Operation::Dot { lhs, rhs, dims } => {
                let (left, right) = (self.kind(*lhs), self.kind(*rhs));
                let mut attributes = String::new();
                for (word, pairs) in [("batching_dims", dims.batch()), ("contracting_dims", dims.contracting())] {
                    if !pairs.is_empty() || word == "contracting_dims" {
                        let _ = write!(attributes, "{word} = {}, ", sides(pairs));
                    }
                }
                // Floats are not to be cut to fewer bits before they are multiplied, as some engines do unless told.
                let is_float = program.element(*lhs).dtype().is_some();
                let precision =
                    if is_float { "precision = [HIGHEST, HIGHEST]" } else { "precision = [DEFAULT, DEFAULT]" };
                let (lhs, rhs) = (self.name(*lhs), self.name(*rhs));
                self.line(&format!(
                    "stablehlo.dot_general {lhs}, {rhs}, {attributes}{precision} : ({left}, {right}) -> {kind}"
                ))
            }
            Operation::Barrier(input) => {
                let input = self.name(*input);
                self.line(&format!("stablehlo.optimization_barrier {input} : {kind}"))
            }
        })
    }

    fn unary(&mut self, unary: Unary, input: Id) -> String {
        let (kind, name) = (self.kind(input), self.name(input));
        match unary {
            Unary::Abs => self.line(&format!("stablehlo.abs {name} : {kind}")),
            Unary::Floor => self.line(&format!("stablehlo.floor {name} : {kind}")),
            Unary::RoundEven => self.line(&format!("stablehlo.round_nearest_even {name} : {kind}")),
            Unary::IsNan => {
                let made = tensor(self.program.shape(input), Type::Bool);
                self.line(&format!("stablehlo.compare NE, {name}, {name}, FLOAT : ({kind}, {kind}) -> {made}"))
            }
        }
    }

    fn convert(&mut self, input: Id, made: Id) -> String {
        let (name, from, kind) = (self.name(input), self.kind(input), self.kind(made));
        self.line(&format!("stablehlo.convert {name} : ({from}) -> {kind}"))
    }

    /// A product with a mask would be made a selection, which loses the sign of zero.
    fn flushed(&mut self, input: Id) -> String {
        let (kind, name) = (self.kind(input), self.name(input));
        let mask = tensor(self.program.shape(input), Type::Bool);
        let magnitude = self.line(&format!("stablehlo.abs {name} : {kind}"));
        let least = self.line(&format!("stablehlo.constant dense<{}> : {kind}", literal(f32::MIN_POSITIVE)));
        let is_small =
            self.line(&format!("stablehlo.compare LT, {magnitude}, {least}, FLOAT : ({kind}, {kind}) -> {mask}"));
        let zero = self.line(&format!("stablehlo.constant dense<0.0> : {kind}"));
        let zero = self.line(&format!("stablehlo.multiply {name}, {zero} : {kind}"));
        self.line(&format!("stablehlo.select {is_small}, {zero}, {name} : {mask}, {kind}"))
    }

    fn narrowed(&mut self, narrow: Narrow, input: Id) -> String {
        let (kind, name) = (self.kind(input), self.name(input));
        match narrow {
            Narrow::Bf16 => self.line(&format!("stablehlo.reduce_precision {name}, format = e8m7 : {kind}")),
            // Reducing the precision to that of binary16 would flush what is subnormal there. Engines may leave out a
            // conversion and its way back, but for what stands between them.
            Narrow::F16 => {
                let half = tensor(self.program.shape(input), Type::Float(Dtype::F16));
                let narrow = self.line(&format!("stablehlo.convert {name} : ({kind}) -> {half}"));
                let kept = self.line(&format!("stablehlo.optimization_barrier {narrow} : {half}"));
                self.line(&format!("stablehlo.convert {kept} : ({half}) -> {kind}"))
            }
        }
    }

    fn reduce(&mut self, operation: &str, input: Id, axes: &[usize], from: &str, kind: &str) -> String {
        let (name, operand, axes) = (self.name(input), self.kind(input), list(axes));
        let scalar = tensor(&[], self.program.element(input));
        self.line(&format!(
            "stablehlo.reduce({name} init: {from}) applies stablehlo.{operation} across dimensions = {axes} : \
             ({operand}, {scalar}) -> {kind}"
        ))
    }

    /// A value in the shape of another one.
    fn broadcast(&mut self, input: Id, like: Id) -> String {
        let kind = self.kind_in_shape_of(input, like);
        if let Operation::Number(number) = self.program.value(input).operation {
            return self.line(&format!("stablehlo.constant dense<{}> : {kind}", literal(number)));
        }
        let name = self.name(input);
        if self.program.shape(input) == self.program.shape(like) {
            return name;
        }
        let (from, axes) = (self.kind(input), list(&(0..self.program.rank(input)).collect::<Vec<_>>()));
        self.line(&format!("stablehlo.broadcast_in_dim {name}, dims = {axes} : ({from}) -> {kind}"))
    }

    /// The name of a value; a constant is written for it.
    fn name(&mut self, id: Id) -> String {
        match (&self.names[id.index()], &self.program.value(id).operation) {
            (None, Operation::Number(number)) => {
                let line = format!("stablehlo.constant dense<{}> : tensor<f32>", literal(*number));
                self.line(&line)
            }
            (name, _) => name.clone().unwrap_or_default(),
        }
    }

    /// Writes a line that makes a value, and gives the name of it.
    fn line(&mut self, operation: &str) -> String {
        let name = format!("%{}", self.next);
        self.next += 1;
        let _ = writeln!(self.text, "    {name} = {operation}");
        name
    }

    fn kind(&self, id: Id) -> String {
        tensor(self.program.shape(id), self.program.element(id))
    }

    fn kind_in_shape_of(&self, id: Id, like: Id) -> String {
        tensor(self.program.shape(like), self.program.element(id))
    }
}

/// A type, such as `tensor<2x3xf32>`.
fn tensor(shape: &[usize], element: Type) -> String {
    let mut text = String::from("tensor<");
    for extent in shape {
        let _ = write!(text, "{extent}x");
    }
    text.push_str(match element {
        Type::Float(Dtype::F32) => "f32",
        Type::Float(Dtype::F64) => "f64",
        Type::Float(Dtype::F16) => "f16",
        Type::Float(Dtype::Bf16) => "bf16",
        Type::Float(Dtype::C32) => "complex<f32>",
        Type::Float(Dtype::C64) => "complex<f64>",
        Type::I8 => "i8",
        Type::I32 => "i32",
        Type::I64 => "i64",
        Type::Bool => "i1",
    });
    text.push('>');
    text
}

/// A binary32 number, exactly: MLIR reads decimals as binary64 first.
fn literal(number: f32) -> String {
    if !number.is_finite() {
        return format!("0x{:08X}", number.to_bits());
    }
    let text = format!("{:?}", f64::from(number));
    match text.split_once('e') {
        // A point has to stand before the exponent.
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0e{exponent}"),
        _ => text,
    }
}

fn list(axes: &[usize]) -> String {
    let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
    format!("[{}]", axes.join(", "))
}

fn sides(pairs: &[AxisPair]) -> String {
    let side = |axis: fn(&AxisPair) -> usize| list(&pairs.iter().map(axis).collect::<Vec<_>>());
    format!("{} x {}", side(|pair| pair.0), side(|pair| pair.1))
}
