//! The passes of loops, handed out to ranks.
//!
//! What does not depend on a loop is computed on every rank. The passes of a loop are cut into units, each some of them one
//! behind the other; whoever is done with one gets the next, so that a slow rank has fewer. The first rank hands them out, takes
//! what they make and computes units as well, in a thread beside. What all make is then given to all.
//!
//! A unit makes parts of the output; or trees of the blocks of terms that it has, where passes fill blocks; or, where a block
//! takes more passes than a rank is to have, the two sides of the call that sums, whose terms the first rank adds in their order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Duration;

use ndarray::{ArrayD, Axis, IxDyn, Slice};

use crate::cancel;
use crate::error::Result;
use crate::kernel::{self, Element, Forest, Order, PartialSums};
use crate::lower::{DimensionNumbers, Gathering, Loop, Op, Plan, Stage, ValueId};
use crate::ranks::{Communicator, lost};

use super::run::{Calls, Held, Values};
use super::shared_terms::{decode, encode, fill};
use super::sliced::{Gathered, Sliced, operands};
use super::value::Value;

/// Units for each rank, so that a slow one leaves some to the others.
const UNITS: usize = 16;

/// Units that a rank has at a time: the next one is there when one is done.
const AHEAD: usize = 2;

/// How long the first rank waits before it looks again for what the others made.
const PAUSE: Duration = Duration::from_micros(50);

/// Runs a sliced plan on several ranks; all have the operands, and the result, which is in row-major order.
pub(crate) fn execute_on<'a, T: Element, C>(
    ranks: &dyn Communicator,
    plan: &Plan,
    known: impl IntoIterator<Item = (ValueId, Held<'a, T>)>,
    calls: &C,
) -> Result<ArrayD<T>>
where
    C: for<'v> Calls<'v, T> + Clone + Send + Sync,
{
    let mut values = operands(plan, known)?;
    let sliced = Sliced::new(plan);
    for stage in plan.schedule() {
        match stage {
            Stage::Step(step) => sliced.walk.step((step, sliced.numbers[step]), &mut values, &mut calls.clone())?,
            Stage::Loop(outermost) => {
                let handed = Handed::new(plan, &sliced, &outermost, ranks.size());
                let made = handed.gather(ranks, &values, calls)?;
                outermost.reads().iter().for_each(|read| values.clear(read.value));
                values.put(outermost.result(), Held::Value(Value::Owned(made)));
            }
        }
    }
    Ok(values.take_array(plan.output()).into_row_major())
}

/// A loop whose passes are handed out.
struct Handed<'h, 'p> {
    plan: &'p Plan,
    sliced: &'h Sliced<'p>,
    outermost: &'h Loop,
    made: Made,
    passes: usize,
    /// Passes of a unit.
    unit: usize,
    /// The ranks.
    ranks: usize,
}

/// What units make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Made {
    Parts,
    Trees,
    Sides,
}

/// What has come of the units so far, on the first rank.
enum Whole<T: Element> {
    Parts(ArrayD<T>),
    Trees(Forest<T::Part>),
    Sides(PartialSums<T>),
}

impl<'h, 'p> Handed<'h, 'p> {
    fn new(plan: &'p Plan, sliced: &'h Sliced<'p>, outermost: &'h Loop, ranks: usize) -> Self {
        let passes = outermost.passes();
        let fair = (passes / (UNITS * ranks)).max(1);
        let (made, unit) = match outermost.gathering() {
            Gathering::Along(_) => (Made::Parts, fair),
            Gathering::Sum => {
                // So many passes have whole blocks of terms.
                let block: usize = if plan.dtype().is_complex() { 512 } else { 1024 };
                let terms = plan.slice_terms(outermost.result()).max(1);
                let least = block >> terms.trailing_zeros().min(block.trailing_zeros());
                if passes.div_ceil(least) < 2 * ranks {
                    (Made::Sides, 1)
                } else {
                    (Made::Trees, fair.div_ceil(least) * least)
                }
            }
        };
        Self { plan, sliced, outermost, made, passes, unit, ranks }
    }

    fn units(&self) -> usize {
        self.passes.div_ceil(self.unit)
    }

    fn range(&self, unit: usize) -> Range<usize> {
        unit * self.unit..((unit + 1) * self.unit).min(self.passes)
    }

    /// Whether what units make is added in their order.
    fn is_ordered(&self) -> bool {
        self.made != Made::Parts
    }

    fn order(&self) -> Order {
        let result = self.outermost.result();
        self.sliced.walk.readers.memory_order(self.plan.maker(result))
    }

    /// The dimension numbers of the call that sums.
    fn dims(&self) -> &'p DimensionNumbers {
        match self.plan.maker(self.outermost.result()).op() {
            Op::DotGeneral { dims, .. } => dims,
            _ => unreachable!("a loop ends with the call that sums its label"),
        }
    }

    /// All passes, on all ranks.
    fn gather<T: Element, C>(&self, ranks: &dyn Communicator, values: &Values<'_, T>, calls: &C) -> Result<ArrayD<T>>
    where
        C: for<'v> Calls<'v, T> + Clone + Send + Sync,
    {
        if ranks.rank() == 0 {
            let whole = self.hand_out(ranks, values, calls)?;
            let elements = whole.as_slice_memory_order().expect("what was made has no gaps");
            ranks.broadcast(0, &mut kernel::bytes(elements).to_vec())?;
            return Ok(whole);
        }
        loop {
            let told = ranks.receive(0)?;
            let Ok(unit) = told.try_into().map(u64::from_ne_bytes) else { break };
            let mut bytes = unit.to_ne_bytes().to_vec();
            bytes.extend(self.work(unit as usize, values, &mut calls.clone())?);
            ranks.send(0, &bytes)?;
        }
        let mut whole = self.room();
        let mut bytes = Vec::new();
        ranks.broadcast(0, &mut bytes)?;
        fill(whole.as_slice_memory_order_mut().expect("what is made has no gaps"), &bytes)?;
        Ok(whole)
    }

    /// What a unit makes, as bytes.
    fn work<T: Element>(
        &self,
        unit: usize,
        values: &Values<'_, T>,
        calls: &mut impl for<'c> Calls<'c, T>,
    ) -> Result<Vec<u8>> {
        let passes = self.range(unit);
        let mut bytes = Vec::new();
        match self.made {
            Made::Parts => {
                let mut parts = Vec::new();
                self.sliced.passes(self.outermost, passes, values, &mut Gathered::Parts(&mut parts), calls)?;
                for part in &parts {
                    put(&mut bytes, part);
                }
            }
            Made::Sides => {
                let mut sides = Vec::new();
                self.sliced.passes(self.outermost, passes, values, &mut Gathered::Sides(&mut sides), calls)?;
                for side in sides.iter().flatten() {
                    put(&mut bytes, side);
                }
            }
            Made::Trees => {
                let terms = self.plan.slice_terms(self.outermost.result());
                let shape = self.plan.value(self.outermost.result()).shape();
                let own = passes.start * terms..passes.end * terms;
                let mut sums = PartialSums::of_terms(shape, &self.order(), own);
                self.sliced.passes(self.outermost, passes, values, &mut Gathered::Sum(&mut sums), calls)?;
                bytes = encode(sums.into_forest().trees());
            }
        }
        Ok(bytes)
    }

    fn begin<T: Element>(&self) -> Whole<T> {
        let (plan, result) = (self.plan, self.outermost.result());
        match self.made {
            Made::Parts => {
                let shape = plan.sizes().shape_of(plan.equation().output());
                Whole::Parts(ArrayD::from_elem(IxDyn(&shape), T::ZERO))
            }
            Made::Trees => Whole::Trees(Forest::default()),
            Made::Sides => {
                Whole::Sides(PartialSums::new(plan.value(result).shape(), &self.order(), plan.terms(result)))
            }
        }
    }

    /// An array like the one that all make.
    fn room<T: Element>(&self) -> ArrayD<T> {
        match self.made {
            Made::Parts => self.finish(self.begin()),
            Made::Trees | Made::Sides => self.finish(Whole::Trees(Forest::default())),
        }
    }

    fn finish<T: Element>(&self, whole: Whole<T>) -> ArrayD<T> {
        let shape = self.plan.value(self.outermost.result()).shape();
        match whole {
            Whole::Parts(whole) => whole,
            Whole::Trees(forest) => PartialSums::of_forest(forest, shape, &self.order()),
            Whole::Sides(sums) => sums.finish(),
        }
    }

    /// Adds what a unit made.
    fn accept<T: Element>(&self, whole: &mut Whole<T>, unit: usize, bytes: &[u8]) -> Result<()> {
        let shape = self.plan.value(self.outermost.result()).shape();
        match whole {
            Whole::Parts(whole) => {
                let mut rest = bytes;
                for pass in self.range(unit) {
                    let part = take::<T>(&mut rest)?;
                    let mut place = whole.view_mut();
                    for (axis, index) in self.place(pass) {
                        place.slice_axis_inplace(Axis(axis), Slice::from(index..=index));
                    }
                    place.assign(&part);
                }
            }
            Whole::Trees(forest) => {
                decode(bytes, || PartialSums::<T>::zeros(shape, &self.order()), |tree| forest.push(tree))?;
            }
            Whole::Sides(sums) => {
                let dims = self.dims();
                let mut rest = bytes;
                for _ in self.range(unit) {
                    let lhs = take::<T>(&mut rest)?;
                    let rhs = take::<T>(&mut rest)?;
                    sums.add(lhs.view(), rhs.view(), dims);
                }
            }
        }
        Ok(())
    }

    /// The axes of the output that are sliced, and the index of a pass on each.
    fn place(&self, pass: usize) -> Vec<(usize, usize)> {
        let mut rest = pass;
        let mut place = Vec::new();
        let mut next = Some(self.outermost);
        while let Some(around) = next {
            let each = around.passes() / around.slice().size;
            if let Gathering::Along(axis) = around.gathering() {
                place.push((axis, rest / each));
            }
            rest %= each;
            next = around.next();
        }
        place
    }

    /// Hands units out, computes some beside, and gathers what they make.
    fn hand_out<T: Element, C>(&self, ranks: &dyn Communicator, values: &Values<'_, T>, calls: &C) -> Result<ArrayD<T>>
    where
        C: for<'v> Calls<'v, T> + Clone + Send + Sync,
    {
        let (next, accepted) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let hands = Hands { units: self.units(), window: self.window(), next: &next, accepted: &accepted };
        let (sender, receiver) = channel();
        cancel::aside(|token| {
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    cancel::on_behalf(token, || {
                        while let Some(unit) = hands.wait() {
                            let made = self.work(unit, values, &mut calls.clone());
                            let has_failed = made.is_err();
                            // Where nobody listens any more, another rank has failed.
                            if sender.send((unit, made)).is_err() || has_failed {
                                return;
                            }
                        }
                    });
                });
                let gathered = self.collect(ranks, &hands, &receiver);
                // Lets the thread end where this has failed.
                next.store(usize::MAX / 2, Ordering::Relaxed);
                gathered
            })
        })
    }

    /// How many units may be out that were handed out behind one that has not come: those that come are kept until it does.
    fn window(&self) -> usize {
        if self.is_ordered() { 2 * AHEAD * self.ranks } else { usize::MAX / 2 }
    }

    fn collect<T: Element>(
        &self,
        ranks: &dyn Communicator,
        hands: &Hands<'_>,
        own: &Receiver<(usize, Result<Vec<u8>>)>,
    ) -> Result<ArrayD<T>> {
        let mut whole = self.begin();
        let mut waiting = BTreeMap::new();
        // Who has nothing to do, as often as it could have a unit more.
        let mut idle: Vec<usize> = (0..AHEAD).flat_map(|_| 1..ranks.size()).collect();
        let mut accepted = 0;
        while accepted < hands.units {
            idle.reverse();
            while let Some(&rank) = idle.last() {
                let Some(unit) = hands.take() else { break };
                ranks.send(rank, &(unit as u64).to_ne_bytes())?;
                idle.pop();
            }
            idle.reverse();
            let mut came = Vec::new();
            match own.try_recv() {
                Ok((unit, made)) => came.push((unit, made?)),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            }
            if let Some((rank, bytes)) = ranks.poll()? {
                let Some((head, made)) = bytes.split_first_chunk() else { return Err(lost("a unit has no number")) };
                came.push((u64::from_ne_bytes(*head) as usize, made.to_vec()));
                idle.push(rank);
            }
            if came.is_empty() {
                std::thread::sleep(PAUSE);
            }
            for (unit, made) in came {
                if self.is_ordered() {
                    waiting.insert(unit, made);
                } else {
                    self.accept(&mut whole, unit, &made)?;
                    accepted += 1;
                }
            }
            while let Some(made) = waiting.remove(&accepted) {
                self.accept(&mut whole, accepted, &made)?;
                accepted += 1;
            }
            hands.accepted.store(accepted, Ordering::Relaxed);
        }
        (1..ranks.size()).try_for_each(|rank| ranks.send(rank, &[]))?;
        Ok(self.finish(whole))
    }
}

/// Which unit is next.
#[derive(Clone, Copy)]
struct Hands<'n> {
    units: usize,
    window: usize,
    next: &'n AtomicUsize,
    /// Of units whose order matters, those that were added.
    accepted: &'n AtomicUsize,
}

impl Hands<'_> {
    /// The next unit, if there is one and it may be handed out already.
    fn take(&self) -> Option<usize> {
        let end = self.units.min(self.accepted.load(Ordering::Relaxed).saturating_add(self.window));
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next < end).then_some(next + 1)).ok()
    }

    /// The next unit, once it may be handed out; none where there is none.
    fn wait(&self) -> Option<usize> {
        loop {
            if let Some(unit) = self.take() {
                return Some(unit);
            }
            if self.next.load(Ordering::Relaxed) >= self.units {
                return None;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Adds an array to a message: its rank, its shape and its elements, which are in row-major order.
fn put<T: Element>(bytes: &mut Vec<u8>, array: &ArrayD<T>) {
    for &size in [array.ndim()].iter().chain(array.shape()) {
        bytes.extend((size as u64).to_ne_bytes());
    }
    bytes.extend(kernel::bytes(array.as_slice().expect("it is in row-major order")));
}

/// The next array of a message.
fn take<T: Element>(bytes: &mut &[u8]) -> Result<ArrayD<T>> {
    let cut = || lost("what a unit made is cut short");
    let mut size = || {
        let (word, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
        *bytes = rest;
        Ok(u64::from_ne_bytes(*word) as usize)
    };
    let rank = size()?;
    let shape: Vec<usize> = (0..rank).map(|_| size()).collect::<Result<_>>()?;
    let mut elements = vec![T::ZERO; shape.iter().product()];
    let (own, rest) = bytes.split_at_checked(size_of_val(&elements[..])).ok_or_else(cut)?;
    fill(&mut elements, own)?;
    *bytes = rest;
    Ok(ArrayD::from_shape_vec(IxDyn(&shape), elements).expect("as many as the shape has"))
}
