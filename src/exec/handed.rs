//! The passes of loops, handed out to ranks.
//!
//! What does not depend on a loop is computed on every rank. The passes of a loop are cut into units, each some of them one
//! behind the other; whoever is done with one gets the next, so that a slow rank has fewer. The first rank hands them out, takes
//! what they make and computes units as well, in a thread beside. What all make is then given to all.
//!
//! A checkpoint has what came of the passes so far, so that another run goes on there, on as many ranks as that has.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use ndarray::ArrayD;

use crate::cancel;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::kernel::Element;
use crate::lower::{Plan, Stage, ValueId};
use crate::ranks::{Communicator, lost};

use super::message::{from_first, put_word, take_word, to_all};
use super::passes::Passes;
use super::run::{Calls, Held, Values};
use super::sliced::{Sliced, operands};
use super::value::Value;

/// Units that a rank has at a time: the next one is there when one is done.
const AHEAD: usize = 2;

/// How long the first rank waits before it looks again for what the others made.
const PAUSE: Duration = Duration::from_micros(50);

/// What is kept of a run, in case it ends before its time; the first rank has it.
pub(crate) struct Checkpoint<'k> {
    /// What another run has kept.
    pub(crate) saved: Option<Vec<u8>>,
    /// How often something is kept.
    pub(crate) every: Duration,
    /// Keeps it, in place of what was kept before.
    pub(crate) save: &'k mut dyn FnMut(&[u8]) -> Result<()>,
}

/// Who is given the result of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recipients {
    /// All ranks.
    All,
    /// The first one: the others have nothing more to do when the last passes are done.
    First,
}

/// Runs a sliced plan on several ranks, which all have the operands; the result is in row-major order, and none for ranks that
/// are not given it.
pub(crate) fn execute_on<'a, T: Element, C>(
    ranks: &dyn Communicator,
    plan: &Plan,
    known: impl IntoIterator<Item = (ValueId, Held<'a, T>)>,
    calls: &C,
    mut checkpoint: Option<Checkpoint<'_>>,
    recipients: Recipients,
) -> Result<Option<ArrayD<T>>>
where
    C: for<'v> Calls<'v, T> + Clone + Send + Sync,
{
    let mut values = operands(plan, known)?;
    let sliced = Sliced::new(plan);
    let stages = plan.schedule();
    let last = stages.iter().rposition(|stage| matches!(stage, Stage::Loop(_)));
    for (number, stage) in stages.into_iter().enumerate() {
        match stage {
            Stage::Step(step) => sliced.walk.step((step, sliced.numbers[step]), &mut values, &mut calls.clone())?,
            Stage::Loop(outermost) => {
                let passes = Passes::new(plan, &sliced, &outermost);
                let handed = Handed { passes, number, ranks };
                let to = if last == Some(number) { recipients } else { Recipients::All };
                let Some(made) = handed.gather(&values, calls, checkpoint.as_mut(), to)? else { return Ok(None) };
                outermost.reads().iter().for_each(|read| values.clear(read.value));
                values.put(outermost.result(), Held::Value(Value::Owned(made)));
            }
        }
    }
    Ok(Some(values.take_array(plan.output()).into_row_major()))
}

/// The bytes that the first of several ranks takes beside what a plan in slices takes alone: what its own unit makes, and the
/// message of it, and those of other ranks that came, of which one is read. None where 64 bits do not count them.
pub(crate) fn handed_bytes(plan: &Plan, ranks: usize, dtype: Dtype) -> Option<u64> {
    if ranks == 1 {
        return Some(0);
    }
    let sliced = Sliced::new(plan);
    let mut largest = 0_u64;
    for stage in plan.schedule() {
        let Stage::Loop(outermost) = stage else { continue };
        let passes = Passes::new(plan, &sliced, &outermost);
        let came = if passes.are_ordered() { ahead(ranks) } else { 1 };
        largest = largest.max(passes.unit_bytes(ranks, dtype)?.checked_mul(came as u64 + 3)?);
    }
    Some(largest)
}

/// How many units are handed out behind those that were added: units that come before one that was handed out earlier are kept until
/// it does.
fn ahead(ranks: usize) -> usize {
    2 * AHEAD * ranks
}

/// A loop whose passes are handed out.
struct Handed<'h, 'p, 'r> {
    passes: Passes<'h, 'p>,
    /// Its place among the stages of the plan.
    number: usize,
    ranks: &'r dyn Communicator,
}

/// A unit that was done, and what it made.
type Done = (usize, Result<Vec<u8>>);

impl Handed<'_, '_, '_> {
    /// All passes, on all ranks; none where this one is not given what they make.
    fn gather<T: Element, C>(
        &self,
        values: &Values<'_, T>,
        calls: &C,
        checkpoint: Option<&mut Checkpoint<'_>>,
        recipients: Recipients,
    ) -> Result<Option<ArrayD<T>>>
    where
        C: for<'v> Calls<'v, T> + Clone + Send + Sync,
    {
        let ranks = self.ranks;
        if ranks.rank() == 0 {
            let made = self.hand_out(values, calls, checkpoint)?;
            return match recipients {
                Recipients::All => to_all(ranks, made).map(Some),
                Recipients::First => Ok(Some(made)),
            };
        }
        loop {
            let told = ranks.receive(0)?;
            if told.is_empty() {
                break;
            }
            let mut rest = &told[..];
            let [unit, start, end] = [take_word(&mut rest)?, take_word(&mut rest)?, take_word(&mut rest)?];
            let mut message = Vec::new();
            put_word(&mut message, unit);
            message.extend(self.passes.work(start..end, values, &mut calls.clone())?);
            ranks.send(0, &message)?;
        }
        match recipients {
            Recipients::All => from_first(ranks, self.passes.room()).map(Some),
            Recipients::First => Ok(None),
        }
    }

    /// Hands units out, computes some beside, and gathers what they make.
    fn hand_out<T: Element, C>(
        &self,
        values: &Values<'_, T>,
        calls: &C,
        mut checkpoint: Option<&mut Checkpoint<'_>>,
    ) -> Result<ArrayD<T>>
    where
        C: for<'v> Calls<'v, T> + Clone + Send + Sync,
    {
        let saved = checkpoint.as_mut().and_then(|checkpoint| checkpoint.saved.take_if(|saved| self.is_own(saved)));
        let whole = match saved {
            Some(saved) => self.passes.load(&saved[size_of::<u64>()..])?,
            None => self.passes.begin(),
        };
        let units = self.passes.units(&whole.done, self.ranks.size());
        let ahead = if self.passes.are_ordered() { ahead(self.ranks.size()) } else { units.len() };
        let (next, accepted) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let hands = Hands { units: &units, ahead, next: &next, accepted: &accepted };
        let (sender, receiver) = channel();
        // What others are told stays with this thread: who computes knows the passes alone.
        let passes = &self.passes;
        cancel::aside(|token| {
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    cancel::on_behalf(token, || {
                        while let Some(unit) = hands.wait() {
                            let made = passes.work(hands.units[unit].clone(), values, &mut calls.clone());
                            let has_failed = made.is_err();
                            // Where nobody listens any more, something else has failed.
                            if sender.send((unit, made)).is_err() || has_failed {
                                return;
                            }
                        }
                    });
                });
                let gathered = self.collect(whole, hands, &receiver, checkpoint);
                // Lets the thread end where this has failed.
                next.store(units.len(), Ordering::Relaxed);
                gathered
            })
        })
    }

    /// Whether a checkpoint is of this loop.
    fn is_own(&self, saved: &[u8]) -> bool {
        take_word(&mut &saved[..]).is_ok_and(|number| number == self.number)
    }

    fn collect<T: Element>(
        &self,
        mut whole: super::passes::Whole<T>,
        hands: Hands<'_>,
        own: &Receiver<Done>,
        mut checkpoint: Option<&mut Checkpoint<'_>>,
    ) -> Result<ArrayD<T>> {
        let ranks = self.ranks;
        let mut waiting: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        // Who could have a unit more, the first one first.
        let mut idle: Vec<usize> = (0..AHEAD).flat_map(|_| 1..ranks.size()).rev().collect();
        // By rank, the units that it has.
        let mut has = vec![0_usize; ranks.size()];
        let (mut accepted, mut kept, mut came) = (0, Instant::now(), Instant::now());
        while accepted < hands.units.len() {
            // The last units are for those who have none.
            let next = |idle: &[usize], has: &[usize]| {
                idle.iter().rposition(|&rank| has[rank] == 0 || hands.left() >= 2 * ranks.size())
            };
            while let Some(at) = next(&idle, &has) {
                let rank = idle.remove(at);
                let Some(unit) = hands.take() else {
                    idle.push(rank);
                    break;
                };
                let Range { start, end } = hands.units[unit].clone();
                let mut message = Vec::new();
                for word in [unit, start, end] {
                    put_word(&mut message, word);
                }
                ranks.send(rank, &message)?;
                has[rank] += 1;
            }
            match own.try_recv() {
                Ok((unit, made)) => waiting.extend([(unit, made?)]),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            }
            if let Some((rank, message)) = ranks.poll()? {
                let mut made = &message[..];
                waiting.insert(take_word(&mut made)?, made.to_vec());
                idle.insert(0, rank);
                has[rank] = has[rank].saturating_sub(1);
            }
            let before = accepted;
            while let Some(first) = waiting.first_entry() {
                if self.passes.are_ordered() && *first.key() != accepted {
                    break;
                }
                let (unit, made) = first.remove_entry();
                let range = hands.units.get(unit).cloned().ok_or_else(|| lost("there is no such unit"))?;
                self.passes.accept(&mut whole, range, &made)?;
                accepted += 1;
            }
            hands.accepted.store(accepted, Ordering::Relaxed);
            if accepted == before {
                // On the core of the thread that computes: the longer nothing has come, the less it is looked for.
                std::thread::sleep((came.elapsed() / 16).clamp(PAUSE, 20 * PAUSE));
                continue;
            }
            came = Instant::now();
            if let Some(checkpoint) = checkpoint.as_mut().filter(|checkpoint| kept.elapsed() >= checkpoint.every) {
                let mut saved = Vec::new();
                put_word(&mut saved, self.number);
                saved.extend(self.passes.save(&whole));
                (checkpoint.save)(&saved)?;
                kept = Instant::now();
            }
        }
        (1..ranks.size()).try_for_each(|rank| ranks.send(rank, &[]))?;
        Ok(self.passes.finish(whole))
    }
}

/// Which unit is next.
#[derive(Clone, Copy)]
struct Hands<'n> {
    units: &'n [Range<usize>],
    /// How many may be handed out behind those that were added.
    ahead: usize,
    next: &'n AtomicUsize,
    /// How many were added.
    accepted: &'n AtomicUsize,
}

impl Hands<'_> {
    /// The next unit, if there is one and it may be handed out already.
    fn take(&self) -> Option<usize> {
        let end = self.units.len().min(self.accepted.load(Ordering::Relaxed) + self.ahead);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| (next < end).then_some(next + 1)).ok()
    }

    /// Units that nobody has had.
    fn left(&self) -> usize {
        self.units.len().saturating_sub(self.next.load(Ordering::Relaxed))
    }

    /// The next unit, once it may be handed out; none where there is none.
    fn wait(&self) -> Option<usize> {
        loop {
            if let Some(unit) = self.take() {
                return Some(unit);
            }
            if self.next.load(Ordering::Relaxed) >= self.units.len() {
                return None;
            }
            std::thread::sleep(PAUSE);
        }
    }
}
