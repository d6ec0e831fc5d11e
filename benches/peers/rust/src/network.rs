//! cpueinsum: an equation of any number of operands, in an order that it is given, here qeinsum's.

use std::hint::black_box;
use std::sync::Arc;

use cpueinsum::strided_view::{StridedView, StridedViewMut};
use cpueinsum::{ArenaProvider, EinsumPlan, EinsumSpec, Exec, Layout, Pool, Scratch};
use ndarray::ArrayD;

use crate::Fault;
use crate::contestant::{Contestant, Output};
use crate::operands::Operands;

pub fn cpueinsum(
    equation: &str,
    operands: &Operands,
    order: &[[usize; 2]],
    threads: usize,
) -> Result<Box<dyn Contestant>, Fault> {
    let (inputs, output) = equation.split_once("->").ok_or("the equation has no explicit output")?;
    let labels = |term: &str| term.chars().map(|label| i64::from(u32::from(label))).collect::<Vec<_>>();
    let inputs: Vec<Vec<i64>> = inputs.split(',').map(labels).collect();
    let output = labels(output);
    let spec = EinsumSpec::new(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>(), &output, order)?;

    let shape: Vec<usize> = output.iter().map(|&label| extent(label, &inputs, operands)).collect::<Result<_, _>>()?;
    let strides = row_major(&shape);
    let layouts = operands.floats.iter().map(|array| Layout::new(array.shape(), array.strides()));
    let layouts = layouts.collect::<Result<Vec<_>, _>>()?;
    let plan = EinsumPlan::new(&spec, &layouts, Layout::new(&shape, &strides)?)?;
    let workers = match threads {
        1 => Workers::One(ArenaProvider::new()),
        _ => Workers::Pool(Pool::owned(threadteam::Pool::builder().threads(threads).build()?), threads),
    };
    let out = vec![0.0; shape.iter().product()];
    let operands = Arc::clone(&operands.floats);
    Ok(Box::new(Network { plan, operands, shape, strides, out, scratch: Scratch::new(), workers }))
}

fn extent(label: i64, inputs: &[Vec<i64>], operands: &Operands) -> Result<usize, Fault> {
    let place = inputs.iter().zip(&*operands.floats).find_map(|(term, array)| {
        let axis = term.iter().position(|&other| other == label)?;
        Some(array.shape()[axis])
    });
    place.ok_or_else(|| "an output label is in no operand".into())
}

fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut strides = vec![1_isize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].cast_signed();
    }
    strides
}

enum Workers {
    One(ArenaProvider),
    Pool(Pool<'static>, usize),
}

struct Network {
    plan: EinsumPlan<f32>,
    operands: Arc<[ArrayD<f32>]>,
    shape: Vec<usize>,
    strides: Vec<isize>,
    out: Vec<f32>,
    scratch: Scratch<f32>,
    workers: Workers,
}

impl Contestant for Network {
    fn run(&mut self) -> Result<(), Fault> {
        let mut exec = match &self.workers {
            Workers::One(arena) => Exec::serial_with_workspace(arena),
            Workers::Pool(pool, threads) => Exec::new(pool, *threads)?,
        };
        let views = black_box(&*self.operands).iter().map(|array| {
            let elements = array.as_slice().ok_or("an operand does not lie in row-major order")?;
            Ok::<_, Fault>(StridedView::new(elements, array.shape(), array.strides(), 0)?)
        });
        let views = views.collect::<Result<Vec<_>, _>>()?;
        let mut out = StridedViewMut::new(&mut self.out, &self.shape, &self.strides, 0)?;
        self.plan.execute_into(&mut exec, &views, &mut out, &mut self.scratch)?;
        black_box(&self.out);
        Ok(())
    }

    fn output(&mut self) -> Result<Output, Fault> {
        self.run()?;
        Ok(Output::Floats(self.out.clone()))
    }
}
