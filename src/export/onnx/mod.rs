//! A program as an ONNX model.
//!
//! In comes a program; out go the bytes of a model of operator set 21. ONNX multiplies matrices and batches of them only,
//! so that a dot is transposes and reshapes around a `MatMul` or `MatMulInteger`. What a program says of barriers is left
//! out: ONNX promises no bits, and the test that runs the models looks at what an engine makes of them.

mod model;

use prost::Message as _;

use crate::dtype::Dtype;
use crate::lower::{Axes, DimensionNumbers};

use super::program::{Binary, Id, Narrow, Operation, Program, Type, Unary};
use model::{Attribute, Dimension, Graph, Kind, Model, Node, OperatorSet, Tensor, TensorKind, TensorShape, ValueInfo};

/// The version of the format that operator set 21 came with.
const IR_VERSION: i64 = 10;
const OPERATOR_SET: i64 = 21;

/// ONNX's numbers of element types.
const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// The model's bytes.
pub(super) fn write(program: &Program) -> Vec<u8> {
    model(program).encode_to_vec()
}

fn model(program: &Program) -> Model {
    let mut writer = Writer { program, graph: Graph::default(), names: Vec::new(), note: String::new(), made: 0 };
    writer.graph();
    Model {
        ir_version: IR_VERSION,
        producer_name: "qeinsum".to_owned(),
        graph: Some(writer.graph),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPERATOR_SET }],
    }
}

struct Writer<'p> {
    program: &'p Program,
    graph: Graph,
    /// What each value is called.
    names: Vec<String>,
    /// The line of the plan that the next node begins.
    note: String,
    /// How many names were made up.
    made: usize,
}

impl Writer<'_> {
    fn graph(&mut self) {
        let program = self.program;
        let Some(result) = program.result else { return };
        "einsum".clone_into(&mut self.graph.name);
        self.graph.doc_string.clone_from(&program.title);
        let mut notes = program.notes.iter().peekable();
        for id in program.ids() {
            while let Some(note) = notes.next_if(|note| note.before <= id.index()) {
                self.note.clone_from(&note.text);
            }
            let name = self.operation(id);
            self.names.push(name);
        }
        let last = self.name(result);
        self.named_node("Identity", &[&last], Vec::new(), "result".to_owned());
        self.graph.output.push(value_info("result", program, result));
    }

    /// Adds what makes a value, and gives its name.
    fn operation(&mut self, id: Id) -> String {
        let program = self.program;
        match &program.value(id).operation {
            Operation::Operand(number) => {
                let name = format!("operand_{number}");
                self.graph.input.push(value_info(&name, program, id));
                name
            }
            Operation::Number(number) => self.floats(&[*number], &[]),
            Operation::Row { numbers, rank } => {
                let mut dims = vec![1; *rank];
                dims[rank - 1] = numbers.len() as i64;
                self.floats(numbers, &dims)
            }
            Operation::Unary(unary, input) => {
                let name = match unary {
                    Unary::Abs => "Abs",
                    Unary::Floor => "Floor",
                    Unary::RoundEven => "Round",
                    Unary::IsNan => "IsNaN",
                };
                self.node(name, &[self.name(*input)], Vec::new())
            }
            Operation::Binary(binary, left, right) => {
                let name = match binary {
                    Binary::Add => "Add",
                    Binary::Multiply => "Mul",
                    Binary::Divide => "Div",
                    Binary::Less => "Less",
                    Binary::GreaterOrEqual => "GreaterOrEqual",
                };
                self.node(name, &[self.name(*left), self.name(*right)], Vec::new())
            }
            Operation::Select { condition, then, otherwise } => {
                let inputs = [*condition, *then, *otherwise].map(|part| self.name(part));
                self.node("Where", &inputs, Vec::new())
            }
            Operation::Clamp { input, low, high } => {
                let [low, high] = [*low, *high].map(|limit| self.floats(&[limit], &[]));
                self.node("Clip", &[self.name(*input), low, high], Vec::new())
            }
            Operation::Convert(input) => self.cast(&self.name(*input), program.element(id)),
            Operation::Flushed(input) => {
                // A selection may be a sum with zeros, as it is in onnxruntime, and lose the sign of zero.
                let name = self.name(*input);
                let magnitude = self.node("Abs", std::slice::from_ref(&name), Vec::new());
                let least = self.floats(&[f32::MIN_POSITIVE], &[]);
                let is_normal = self.node("GreaterOrEqual", &[magnitude, least], Vec::new());
                let mask = self.cast(&is_normal, program.element(id));
                self.node("Mul", &[name, mask], Vec::new())
            }
            Operation::Narrowed(narrow, input) => {
                let dtype = match narrow {
                    Narrow::F16 => Dtype::F16,
                    Narrow::Bf16 => Dtype::Bf16,
                };
                let narrow = self.cast(&self.name(*input), Type::Float(dtype));
                self.cast(&narrow, program.element(id))
            }
            Operation::LargestOver { input, axes } => self.reduce("ReduceMax", *input, axes, 1),
            Operation::SumOver { input, axes } => self.reduce("ReduceSum", *input, axes, 0),
            Operation::Transpose { input, permutation } => self.transpose(&self.name(*input), permutation),
            Operation::Reshape(input) => self.reshape(&self.name(*input), program.shape(id)),
            Operation::Every { input, step } => {
                let last = program.rank(*input).saturating_sub(1);
                let extent = program.shape(*input)[last];
                let [start, end, axis, step] = [0, extent, last, *step].map(|number| self.integers(&[number]));
                self.node("Slice", &[self.name(*input), start, end, axis, step], Vec::new())
            }
            Operation::Dot { lhs, rhs, dims } => self.dot(*lhs, *rhs, dims, id),
            Operation::Barrier(input) => self.name(*input),
        }
    }

    /// A dot as a product of matrices, or of a batch of them.
    fn dot(&mut self, lhs: Id, rhs: Id, dims: &DimensionNumbers, id: Id) -> String {
        let program = self.program;
        let (left, right) = (program.shape(lhs), program.shape(rhs));
        let (lhs_free, rhs_free) = (dims.lhs_free(left.len()), dims.rhs_free(right.len()));
        let size = |axes: &[usize], shape: &[usize]| axes.iter().map(|&axis| shape[axis]).product::<usize>();
        let batch: &[usize] = &[size(&dims.lhs_batch(), left)];
        let batch = if dims.batch().is_empty() { &[] } else { batch };
        let contracted = size(&dims.lhs_contracting(), left);
        let matrices = |rows, columns| [batch, &[rows, columns]].concat();

        let order: Axes = [dims.lhs_batch(), lhs_free.clone(), dims.lhs_contracting()].into_iter().flatten().collect();
        let moved = self.transpose(&self.name(lhs), &order);
        let rows = matrices(size(&lhs_free, left), contracted);
        let mut rows = self.reshape(&moved, &rows);
        let order: Axes = [dims.rhs_batch(), dims.rhs_contracting(), rhs_free.clone()].into_iter().flatten().collect();
        let moved = self.transpose(&self.name(rhs), &order);
        let columns = matrices(contracted, size(&rhs_free, right));
        let mut columns = self.reshape(&moved, &columns);
        let is_integer = program.element(lhs) == Type::I8;
        let name = match program.element(id) {
            Type::I32 => "MatMulInteger",
            element => {
                if is_integer {
                    [rows, columns] = [rows, columns].map(|side| self.cast(&side, element));
                }
                "MatMul"
            }
        };
        let product = self.node(name, &[rows, columns], Vec::new());
        self.reshape(&product, program.shape(id))
    }

    fn reduce(&mut self, name: &str, input: Id, axes: &[usize], keeps: i64) -> String {
        let axes = self.integers(axes);
        self.node(name, &[self.name(input), axes], vec![Attribute::int("keepdims", keeps)])
    }

    fn cast(&mut self, input: &str, element: Type) -> String {
        self.node("Cast", &[input.to_owned()], vec![Attribute::int("to", i64::from(number_of(element)))])
    }

    fn transpose(&mut self, input: &str, permutation: &[usize]) -> String {
        if permutation.iter().enumerate().all(|(at, &axis)| at == axis) {
            return input.to_owned();
        }
        let permutation = permutation.iter().map(|&axis| axis as i64).collect();
        self.node("Transpose", &[input.to_owned()], vec![Attribute::ints("perm", permutation)])
    }

    fn reshape(&mut self, input: &str, shape: &[usize]) -> String {
        let shape = self.integers(shape);
        // Else an extent of 0 would mean that of the input.
        self.node("Reshape", &[input.to_owned(), shape], vec![Attribute::int("allowzero", 1)])
    }

    fn name(&self, id: Id) -> String {
        self.names[id.index()].clone()
    }

    fn node(&mut self, name: &str, inputs: &[String], attributes: Vec<Attribute>) -> String {
        let output = format!("v{}", self.made);
        self.made += 1;
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.named_node(name, &inputs, attributes, output.clone());
        output
    }

    fn named_node(&mut self, name: &str, inputs: &[&str], attribute: Vec<Attribute>, output: String) {
        self.graph.node.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output],
            op_type: name.to_owned(),
            attribute,
            doc_string: std::mem::take(&mut self.note),
        });
    }

    fn floats(&mut self, numbers: &[f32], dims: &[i64]) -> String {
        self.constant(FLOAT, dims, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    fn integers(&mut self, numbers: &[usize]) -> String {
        let bytes = numbers.iter().flat_map(|&number| (number as i64).to_le_bytes()).collect();
        self.constant(INT64, &[numbers.len() as i64], bytes)
    }

    /// A constant, which is there once.
    fn constant(&mut self, data_type: i32, dims: &[i64], raw_data: Vec<u8>) -> String {
        let same =
            |there: &&Tensor| (there.data_type, &there.dims[..], &there.raw_data) == (data_type, dims, &raw_data);
        if let Some(there) = self.graph.initializer.iter().find(same) {
            return there.name.clone();
        }
        let name = format!("c{}", self.graph.initializer.len());
        self.graph.initializer.push(Tensor { dims: dims.to_vec(), data_type, name: name.clone(), raw_data });
        name
    }
}

fn value_info(name: &str, program: &Program, id: Id) -> ValueInfo {
    let dim = program.shape(id).iter().map(|&extent| Dimension { dim_value: Some(extent as i64) }).collect();
    let tensor = TensorKind { elem_type: number_of(program.element(id)), shape: Some(TensorShape { dim }) };
    ValueInfo { name: name.to_owned(), kind: Some(Kind { tensor: Some(tensor) }) }
}

fn number_of(element: Type) -> i32 {
    match element {
        Type::Float(Dtype::F32) => FLOAT,
        Type::I8 => 3,
        Type::I32 => 6,
        Type::I64 => INT64,
        Type::Bool => 9,
        Type::Float(Dtype::F16) => 10,
        Type::Float(Dtype::F64) => 11,
        Type::Float(Dtype::C32) => 14,
        Type::Float(Dtype::C64) => 15,
        Type::Float(Dtype::Bf16) => 16,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::{DotGeneralConfig, QEinsum};

    /// The model as it was written, read again, a node a line.
    fn text(bytes: &[u8]) -> String {
        let model = Model::decode(bytes).unwrap();
        let version = model.opset_import[0].version;
        let graph = model.graph.unwrap();
        let kind = |value: &ValueInfo| {
            let tensor = value.kind.as_ref().unwrap().tensor.as_ref().unwrap();
            let shape = &tensor.shape.as_ref().unwrap().dim;
            let shape: Vec<i64> = shape.iter().map(|dimension| dimension.dim_value.unwrap()).collect();
            format!("{}: type {} {shape:?}", value.name, tensor.elem_type)
        };
        let mut text = format!("{}, operator set {version}\n", graph.doc_string);
        for input in &graph.input {
            let _ = writeln!(text, "{}", kind(input));
        }
        for tensor in &graph.initializer {
            let floats = || tensor.raw_data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            let integers = || tensor.raw_data.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
            let (floats, integers): (Vec<f32>, Vec<i64>) =
                if tensor.data_type == FLOAT { (floats(), Vec::new()) } else { (Vec::new(), integers()) };
            let _ = match tensor.data_type {
                FLOAT => writeln!(text, "{} = {floats:?} of {:?}", tensor.name, tensor.dims),
                _ => writeln!(text, "{} = {integers:?}", tensor.name),
            };
        }
        for node in &graph.node {
            if !node.doc_string.is_empty() {
                let _ = writeln!(text, "# {}", node.doc_string);
            }
            let _ = write!(text, "{} = {} {}", node.output[0], node.op_type, node.input.join(", "));
            for Attribute { name, i, ints, .. } in &node.attribute {
                let _ = match i {
                    Some(i) => write!(text, " {name}={i}"),
                    None => write!(text, " {name}={ints:?}"),
                };
            }
            text.push('\n');
        }
        graph.output.iter().for_each(|output| text += &kind(output));
        text
    }

    #[test]
    fn a_model_says_what_it_does() {
        let plan = QEinsum::new("bij,bjk->ibk").unwrap().plan(&[&[2, 3, 4], &[2, 4, 5]]).unwrap();
        let config = DotGeneralConfig::v4().build().unwrap().into();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../../snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| {
            insta::assert_snapshot!("onnx__swapped_and_transposed", text(&plan.to_onnx(Some(&config)).unwrap()));
        });
    }
}
