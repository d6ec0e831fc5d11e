//! A program of array operations: what every engine has, with all shapes known.
//!
//! In come operations one by one; each gets the type and shape that follow from its inputs. Nothing here knows plans or
//! quantization.

use crate::dtype::Dtype;
use crate::lower::{Axes, DimensionNumbers};
use crate::sizes::Shape;

/// The element type of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    Float(Dtype),
    I8,
    I32,
    I64,
    Bool,
}

pub(super) const F32: Type = Type::Float(Dtype::F32);

/// A value of a program, by its position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Id(usize);

impl Id {
    pub(super) const fn index(self) -> usize {
        self.0
    }
}

/// A float type narrower than binary32 that values are rounded to while they stay binary32.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Narrow {
    F16,
    Bf16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unary {
    Abs,
    Floor,
    /// To the nearest integer, ties to even.
    RoundEven,
    IsNan,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Binary {
    Add,
    Multiply,
    Divide,
    Less,
    GreaterOrEqual,
}

impl Binary {
    fn is_comparison(self) -> bool {
        matches!(self, Self::Less | Self::GreaterOrEqual)
    }
}

/// One operation. Where two inputs meet, an extent of 1 stands for any other, and so does a value without axes.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Operation {
    /// An operand of the program.
    Operand(usize),
    /// A binary32 number, without axes.
    Number(f32),
    /// Binary32 numbers along the last of as many axes as `rank` says; the others have extent 1.
    Row {
        numbers: Vec<f32>,
        rank: usize,
    },
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    Select {
        condition: Id,
        then: Id,
        otherwise: Id,
    },
    /// Within two numbers. What becomes of a NaN is the engine's to say.
    Clamp {
        input: Id,
        low: f32,
        high: f32,
    },
    /// To another type: of integers to the nearest float, ties to even; of floats to integers, which they have to fit.
    Convert(Id),
    /// The value with zeros of their sign for subnormal numbers.
    Flushed(Id),
    /// To the nearest value of a narrower type, ties to even, as a binary32 again.
    Narrowed(Narrow, Id),
    /// The largest value over axes, which keep extent 1.
    LargestOver {
        input: Id,
        axes: Axes,
    },
    /// The sum over axes, which are dropped.
    SumOver {
        input: Id,
        axes: Axes,
    },
    Transpose {
        input: Id,
        permutation: Axes,
    },
    Reshape(Id),
    /// Every `step`-th element along the last axis.
    Every {
        input: Id,
        step: usize,
    },
    /// Products, summed over the contracting axes in the type of the result.
    Dot {
        lhs: Id,
        rhs: Id,
        dims: DimensionNumbers,
    },
    /// The same value, about which an engine assumes nothing when it simplifies.
    Barrier(Id),
}

/// A value: what makes it, and what it is.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Value {
    pub(super) operation: Operation,
    pub(super) element: Type,
    pub(super) shape: Shape,
}

/// A line of the plan, and the value before which it stands.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Note {
    pub(super) before: usize,
    pub(super) text: String,
}

/// A program: values in the order in which they are made, operands first.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Program {
    /// The equation, for readers.
    pub(super) title: String,
    pub(super) values: Vec<Value>,
    pub(super) notes: Vec<Note>,
    /// The last value that is returned; none while it is being made.
    pub(super) result: Option<Id>,
}

impl Program {
    pub(super) fn value(&self, id: Id) -> &Value {
        &self.values[id.0]
    }

    pub(super) fn shape(&self, id: Id) -> &Shape {
        &self.values[id.0].shape
    }

    pub(super) fn element(&self, id: Id) -> Type {
        self.values[id.0].element
    }

    pub(super) fn rank(&self, id: Id) -> usize {
        self.shape(id).len()
    }

    /// Ids of all values, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.values.len()).map(Id)
    }

    /// Says in the text what the values from here on are.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(Note { before: self.values.len(), text });
    }

    fn push(&mut self, operation: Operation, element: Type, shape: Shape) -> Id {
        self.values.push(Value { operation, element, shape });
        Id(self.values.len() - 1)
    }

    pub(super) fn operand(&mut self, number: usize, dtype: Dtype, shape: &[usize]) -> Id {
        self.push(Operation::Operand(number), Type::Float(dtype), shape.into())
    }

    pub(super) fn number(&mut self, number: f32) -> Id {
        self.push(Operation::Number(number), F32, Shape::new())
    }

    pub(super) fn row(&mut self, numbers: Vec<f32>, rank: usize) -> Id {
        let mut shape: Shape = std::iter::repeat_n(1, rank).collect();
        shape[rank - 1] = numbers.len();
        self.push(Operation::Row { numbers, rank }, F32, shape)
    }

    pub(super) fn unary(&mut self, unary: Unary, input: Id) -> Id {
        let element = if unary == Unary::IsNan { Type::Bool } else { self.element(input) };
        self.push(Operation::Unary(unary, input), element, self.shape(input).clone())
    }

    pub(super) fn binary(&mut self, binary: Binary, left: Id, right: Id) -> Id {
        let element = if binary.is_comparison() { Type::Bool } else { self.element(left) };
        let shape = self.joint_shape(&[left, right]);
        self.push(Operation::Binary(binary, left, right), element, shape)
    }

    pub(super) fn select(&mut self, condition: Id, then: Id, otherwise: Id) -> Id {
        let shape = self.joint_shape(&[condition, then, otherwise]);
        self.push(Operation::Select { condition, then, otherwise }, self.element(then), shape)
    }

    pub(super) fn clamp(&mut self, input: Id, low: f32, high: f32) -> Id {
        self.push(Operation::Clamp { input, low, high }, self.element(input), self.shape(input).clone())
    }

    /// The value in another type; itself where it has that.
    pub(super) fn convert(&mut self, input: Id, element: Type) -> Id {
        if self.element(input) == element {
            return input;
        }
        self.push(Operation::Convert(input), element, self.shape(input).clone())
    }

    pub(super) fn flushed(&mut self, input: Id) -> Id {
        self.push(Operation::Flushed(input), self.element(input), self.shape(input).clone())
    }

    pub(super) fn narrowed(&mut self, narrow: Narrow, input: Id) -> Id {
        self.push(Operation::Narrowed(narrow, input), self.element(input), self.shape(input).clone())
    }

    /// The largest over axes; without axes the value itself.
    pub(super) fn largest_over(&mut self, input: Id, axes: &[usize]) -> Id {
        if axes.is_empty() {
            return input;
        }
        let mut shape = self.shape(input).clone();
        for &axis in axes {
            shape[axis] = 1;
        }
        let mut axes: Axes = axes.into();
        axes.sort_unstable();
        self.push(Operation::LargestOver { input, axes }, self.element(input), shape)
    }

    pub(super) fn sum_over(&mut self, input: Id, axes: &[usize]) -> Id {
        let shape = (0..self.rank(input)).filter(|axis| !axes.contains(axis)).map(|axis| self.shape(input)[axis]);
        let shape = shape.collect();
        self.push(Operation::SumOver { input, axes: axes.into() }, self.element(input), shape)
    }

    /// The axes in another order; the value itself where the order is the one that they have.
    pub(super) fn transpose(&mut self, input: Id, permutation: Axes) -> Id {
        if permutation.iter().enumerate().all(|(at, &axis)| at == axis) {
            return input;
        }
        let shape = permutation.iter().map(|&axis| self.shape(input)[axis]).collect();
        self.push(Operation::Transpose { input, permutation }, self.element(input), shape)
    }

    /// The elements in another shape; the value itself where the shape is the one that it has.
    pub(super) fn reshape(&mut self, input: Id, shape: Shape) -> Id {
        if *self.shape(input) == shape {
            return input;
        }
        self.push(Operation::Reshape(input), self.element(input), shape)
    }

    /// Every `step`-th element along the last axis, the first one included.
    pub(super) fn every(&mut self, input: Id, step: usize) -> Id {
        let mut shape = self.shape(input).clone();
        if let Some(last) = shape.last_mut() {
            *last = last.div_ceil(step);
        }
        self.push(Operation::Every { input, step }, self.element(input), shape)
    }

    pub(super) fn dot(&mut self, lhs: Id, rhs: Id, dims: &DimensionNumbers, element: Type, shape: Shape) -> Id {
        self.push(Operation::Dot { lhs, rhs, dims: dims.clone() }, element, shape)
    }

    pub(super) fn barrier(&mut self, input: Id) -> Id {
        self.push(Operation::Barrier(input), self.element(input), self.shape(input).clone())
    }

    /// The shape in which values meet that have as many axes, or none.
    fn joint_shape(&self, ids: &[Id]) -> Shape {
        let mut joint = Shape::new();
        for &id in ids {
            let shape = self.shape(id);
            if joint.is_empty() {
                joint.clone_from(shape);
            }
            for (joint, &extent) in joint.iter_mut().zip(shape) {
                // Of 1 and anything else, 0 included, the other one holds.
                if *joint == 1 {
                    *joint = extent;
                }
            }
        }
        joint
    }
}
