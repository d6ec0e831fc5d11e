//! By which label ranks share each call: the choice of least predicted time.
//!
//! The time of a run is taken for that of its calls, each on all ranks or on one, and of the messages between them. For each
//! call and each label that its result may have ranges of, the least time of everything before it is computed once, from the
//! first call to the last.

use std::str::FromStr;
use std::time::Instant;

use smallvec::SmallVec;

use crate::dtype::Dtype;
use crate::equation::Label;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::TermKind;
use crate::lower::{DimensionNumbers, Op, Plan, ValueId};
use crate::path::Speeds;
use crate::quant::{DotGeneralConfig, QuantConfig};
use crate::ranks::Communicator;

use super::ranges::{Spread, axes_of};

/// What messages cost.
///
/// ```
/// use qeinsum::spread::Network;
/// let slow = Network { latency: 1e-3, bytes_per_second: 1e7 };
/// assert!(slow.seconds(1e6, 4) > Network::default().seconds(1e6, 4));
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Network {
    /// Seconds until a message begins to arrive.
    pub latency: f64,
    /// Bytes that then arrive in a second.
    pub bytes_per_second: f64,
}

impl Default for Network {
    /// That of processes on one machine.
    fn default() -> Self {
        Self { latency: 5e-6, bytes_per_second: 4e9 }
    }
}

impl FromStr for Network {
    type Err = Error;

    /// A latency and a bandwidth, such as `5us,10GB/s`.
    ///
    /// ```
    /// use qeinsum::spread::Network;
    /// let network: Network = "2.5ms,100MB/s".parse()?;
    /// assert_eq!(network, Network { latency: 0.0025, bytes_per_second: 1e8 });
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    fn from_str(text: &str) -> Result<Self> {
        let refused = || {
            let message = "a network is a latency and a bandwidth, such as 5us,10GB/s".to_owned();
            Error::new(ErrorKind::Value, message)
        };
        let number = |text: &str, units: [(&str, f64); 3]| {
            let (unit, (_, factor)) = units.iter().find_map(|unit| Some((text.strip_suffix(unit.0)?, unit)))?;
            let number: f64 = unit.trim().parse().ok()?;
            Some(number * factor).filter(|number| number.is_finite() && *number > 0.0)
        };
        let (latency, bandwidth) = text.split_once(',').ok_or_else(refused)?;
        let latency = number(latency.trim(), [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)]).ok_or_else(refused)?;
        let bandwidth = number(bandwidth.trim(), [("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3)]).ok_or_else(refused)?;
        Ok(Self { latency, bytes_per_second: bandwidth })
    }
}

impl Network {
    /// Seconds until all of so many ranks have so many bytes of one of them.
    pub fn seconds(&self, bytes: f64, ranks: usize) -> f64 {
        let rounds = ranks.next_power_of_two().trailing_zeros();
        f64::from(rounds) * (self.latency + bytes / self.bytes_per_second)
    }

    /// Seconds until the first of so many ranks has so many bytes, of which each of the others sends it its part.
    ///
    /// ```
    /// use qeinsum::spread::Network;
    /// let network = Network::default();
    /// assert!(network.seconds_to_first(1e9, 64) < network.seconds(1e9, 64));
    /// ```
    pub fn seconds_to_first(&self, bytes: f64, ranks: usize) -> f64 {
        let others = ranks as f64 - 1.0;
        others * (self.latency + bytes / ranks as f64 / self.bytes_per_second)
    }

    /// That of these ranks, which is measured where there are several.
    pub(super) fn between(ranks: &dyn Communicator) -> Result<Self> {
        if ranks.size() == 1 { Ok(Self::default()) } else { Self::measure(ranks) }
    }

    /// Measures it: all ranks have what the first one finds.
    ///
    /// ```
    /// use qeinsum::{ranks, spread::Network};
    /// let found = ranks::in_threads(2, |ranks| Network::measure(ranks));
    /// assert!(found[0].as_ref().is_ok_and(|network| network.bytes_per_second > 0.0));
    /// assert_eq!(found[0], found[1]);
    /// ```
    pub fn measure(ranks: &dyn Communicator) -> Result<Self> {
        const LARGE: usize = 1 << 20;
        let least = |bytes: usize| -> Result<f64> {
            let mut least = f64::INFINITY;
            let mut message = vec![0; bytes];
            for _ in 0..5 {
                let start = Instant::now();
                // There and back, so that whoever sends knows when it has come.
                ranks.broadcast(0, &mut message)?;
                ranks.largest(&mut [0])?;
                least = least.min(start.elapsed().as_secs_f64());
            }
            Ok(least)
        };
        let (small, large) = (least(1)?, least(LARGE)?);
        let rounds = f64::from(ranks.size().next_power_of_two().trailing_zeros().max(1));
        let latency = (small / rounds / 2.0).max(1e-9);
        let bytes_per_second = LARGE as f64 * rounds / (large - small).max(1e-9);
        let mut bytes = [latency, bytes_per_second].map(f64::to_ne_bytes).concat();
        ranks.broadcast(0, &mut bytes)?;
        let (words, _) = bytes.as_chunks();
        let number = |at: usize| words.get(at).map_or(0.0, |&word| f64::from_ne_bytes(word));
        Ok(Self { latency: number(0), bytes_per_second: number(1) })
    }
}

/// What a call can be shared by.
struct Choice {
    label: Option<Label>,
    /// How many indices of the label have to stay together.
    unit: usize,
    /// Whether the ranks' sums have to be added.
    is_summed: bool,
}

impl Spread {
    /// How so many ranks share a plan, whose calls are quantized by this configuration.
    pub fn choose(plan: &Plan, config: Option<&QuantConfig>, ranks: usize, network: Network) -> Self {
        Choosing::new(plan, config, ranks, network).spread()
    }

    /// The same of the least predicted time among those whose `bytes` are not more than a limit, as far as they are found: what
    /// [`run_bytes`](Self::run_bytes) or [`gradient_bytes`](Self::gradient_bytes) say.
    ///
    /// An error of kind [`ErrorKind::Limit`] where there is none, with the fewest bytes that were found.
    ///
    /// ```
    /// use qeinsum::{Dtype, QEinsum, spread::{Network, Spread}};
    /// let plan = QEinsum::new("ij,jk->ik")?.plan(&[&[512, 512], &[512, 512]])?;
    /// let slow = Network { latency: 1.0, bytes_per_second: 1e6 };
    /// let bytes = |spread: &Spread| spread.run_bytes(&plan, Dtype::F32, None);
    /// let within = |limit| Spread::choose_within(&plan, None, 2, slow, limit, bytes);
    /// assert_eq!(within(4_000_000)?.to_string(), "2 ranks: -\n"); // messages take longer than the product
    /// assert!(within(2_000_000).is_err()); // the result alone takes half of it, and while it is gathered all
    /// # Ok::<(), qeinsum::Error>(())
    /// ```
    pub fn choose_within(
        plan: &Plan,
        config: Option<&QuantConfig>,
        ranks: usize,
        network: Network,
        limit: u64,
        bytes: impl Fn(&Self) -> Option<u64>,
    ) -> Result<Self> {
        let mut choosing = Choosing::new(plan, config, ranks, network);
        let mut fewest: Option<u64> = None;
        for price in PRICES {
            choosing.price = price;
            let spread = choosing.spread();
            match bytes(&spread) {
                Some(bytes) if bytes <= limit => return Ok(spread),
                Some(bytes) => fewest = Some(fewest.map_or(bytes, |fewest| fewest.min(bytes))),
                None => {}
            }
        }
        let fewest = fewest.map_or_else(|| "more than 2^64".to_owned(), |fewest| fewest.to_string());
        let message =
            format!("the memory limit is {limit} bytes: shared by {ranks} ranks the run needs {fewest} bytes on one");
        Err(Error::new(ErrorKind::Limit, message))
    }
}

/// Seconds that a byte is taken for where memory is short: from what changes nothing that matters to what is all that matters.
const PRICES: [f64; 9] = [0.0, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-6, 1e-3, 1e9];

#[cfg(test)]
impl Spread {
    /// All calls by one label, where they can be.
    pub(super) fn by(plan: &Plan, config: Option<&QuantConfig>, ranks: usize, label: Label) -> Option<Self> {
        let network = Network { latency: 0.0, bytes_per_second: f64::INFINITY };
        let choosing = Choosing { only: Some(label), ..Choosing::new(plan, config, ranks, network) };
        let spread = choosing.spread();
        spread.calls.contains(&Some(label)).then_some(spread)
    }
}

struct Choosing<'p> {
    plan: &'p Plan,
    configs: Option<Vec<DotGeneralConfig>>,
    /// By step, the seconds that it takes on one rank.
    predicted: Vec<f64>,
    ranks: usize,
    network: Network,
    /// The one label that is looked at, where a test asks for that.
    only: Option<Label>,
    /// Seconds that a byte on each rank counts as, where memory is short.
    price: f64,
}

/// The least time of all calls up to one, by the label of whose result ranks have ranges.
struct Best {
    step: usize,
    choices: Vec<Choice>,
    /// By choice.
    seconds: Vec<f64>,
    /// By choice and side, the choice of the call that made the side, if one did.
    before: Vec<[Option<usize>; 2]>,
}

impl<'p> Choosing<'p> {
    fn new(plan: &'p Plan, config: Option<&QuantConfig>, ranks: usize, network: Network) -> Self {
        let configs = config.map(|config| plan.call_configs(config));
        let predicted = plan.predict(config, &[], Speeds::shipped()).per_step;
        Self { plan, configs, predicted, ranks, network, only: None, price: 0.0 }
    }

    fn spread(&self) -> Spread {
        let plan = self.plan;
        // By value, the call that it comes from, through steps that compute nothing.
        let mut calls: Vec<Option<usize>> = vec![None; plan.values().len()];
        let mut found: Vec<Best> = Vec::new();
        for (at, step) in plan.steps().iter().enumerate() {
            let Op::DotGeneral { lhs, rhs, dims, .. } = step.op() else {
                calls[step.result().index()] = step.op().inputs().next().and_then(|input| calls[input.index()]);
                continue;
            };
            let choices = self.choices(found.len(), [*lhs, *rhs], dims);
            let mut best = Best { step: at, choices, seconds: Vec::new(), before: Vec::new() };
            for choice in &best.choices {
                let computing = self.predicted[at] / if choice.label.is_some() { self.ranks as f64 } else { 1.0 };
                let mut seconds = computing;
                if choice.is_summed {
                    seconds += 2.0 * self.network.seconds(self.bytes(step.result()), self.ranks);
                }
                let held = [*lhs, *rhs, step.result()].map(|value| self.held(value, choice.label));
                seconds += self.price * held.iter().sum::<f64>();
                let before = [*lhs, *rhs].map(|side| {
                    let maker = &found[calls[side.index()]?];
                    let needed = choice.label.filter(|&label| !axes_of(plan, side, label).is_empty());
                    let (which, least) = self.least(maker, needed)?;
                    seconds += least;
                    Some(which)
                });
                best.seconds.push(seconds);
                best.before.push(before);
            }
            calls[step.result().index()] = Some(found.len());
            found.push(best);
        }
        self.collect(&found, &calls)
    }

    /// Which choice of a call is best where its result is then needed by ranges of a label, or whole.
    fn least(&self, best: &Best, needed: Option<Label>) -> Option<(usize, f64)> {
        let result = self.plan.steps()[best.step].result();
        let seconds = best.choices.iter().zip(&best.seconds).map(|(choice, seconds)| {
            let made = choice.label.filter(|&label| !axes_of(self.plan, result, label).is_empty());
            let is_given = made.is_some() && made != needed;
            let given = self.network.seconds(self.bytes(result), self.ranks) + self.price * self.bytes(result);
            seconds + if is_given { given } else { 0.0 }
        });
        seconds.enumerate().min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The labels that a call can be shared by; none of them first, which is taken where nothing is gained.
    fn choices(&self, call: usize, sides: [ValueId; 2], dims: &DimensionNumbers) -> Vec<Choice> {
        let plan = self.plan;
        let mut choices = vec![Choice { label: None, unit: 1, is_summed: false }];
        let mut labels: Vec<Label> = sides.iter().flat_map(|&side| plan.value(side).labels().iter().copied()).collect();
        labels.sort_unstable();
        labels.dedup();
        for label in labels {
            let axes = sides.map(|side| axes_of(plan, side, label));
            let summed = dims.contracting().iter().position(|pair| axes[0].contains(&pair.0));
            let extent = plan.sizes().extent(label);
            let is_asked = self.only.is_none_or(|only| only == label);
            if !is_asked || extent < 2 || axes.iter().all(SmallVec::is_empty) {
                continue;
            }
            let unit = match summed {
                None => Some(1),
                Some(place) => {
                    let kind =
                        self.configs.as_ref().map_or(TermKind::Float, |configs| TermKind::of(&configs[call].forward));
                    let sizes: Vec<usize> =
                        dims.contracting().iter().map(|pair| plan.value(sides[0]).shape()[pair.0]).collect();
                    unit_of(kind, plan.dtype(), &sizes, place)
                }
            };
            if let Some(unit) = unit.filter(|unit| extent > *unit) {
                choices.push(Choice { label: Some(label), unit, is_summed: summed.is_some() });
            }
        }
        choices
    }

    /// The bytes on a rank of a value of which each has a range of a label, if it has it.
    fn held(&self, value: ValueId, label: Option<Label>) -> f64 {
        let is_part = label.is_some_and(|label| !axes_of(self.plan, value, label).is_empty());
        self.bytes(value) / if is_part { self.ranks as f64 } else { 1.0 }
    }

    fn bytes(&self, value: ValueId) -> f64 {
        self.plan.value(value).bytes_in(self.plan.dtype()).map_or(f64::INFINITY, |bytes| bytes as f64)
    }

    /// From the last call back to the first.
    fn collect(&self, found: &[Best], calls: &[Option<usize>]) -> Spread {
        let plan = self.plan;
        let extents = plan.sizes().extents().to_vec();
        let mut spread = Spread {
            ranks: self.ranks,
            calls: vec![None; found.len()],
            wants: vec![None; plan.values().len()],
            units: vec![1; extents.len()],
            names: plan.equation().labels().map(|label| plan.equation().joined(&[label], "")).collect(),
            extents,
        };
        let mut open = Vec::new();
        if let Some(last) = calls[plan.output().index()] {
            open.extend(self.least(&found[last], None).map(|(choice, _)| (last, choice)));
        }
        while let Some((call, choice)) = open.pop() {
            let best = &found[call];
            let Choice { label, unit, .. } = best.choices[choice];
            spread.calls[call] = label;
            if let Some(label) = label {
                let own = &mut spread.units[label.index()];
                *own = unit.max(*own);
            }
            let Op::DotGeneral { lhs, rhs, .. } = plan.steps()[best.step].op() else { continue };
            for (side, before) in [*lhs, *rhs].into_iter().zip(best.before[choice]) {
                spread.wants[side.index()] = label.filter(|&label| !axes_of(plan, side, label).is_empty());
                open.extend(calls[side.index()].zip(before));
            }
        }
        // What steps that compute nothing read is needed as what they make.
        for step in plan.steps().iter().rev() {
            if !matches!(step.op(), Op::DotGeneral { .. }) {
                let want = spread.wants[step.result().index()];
                step.op().inputs().for_each(|input| spread.wants[input.index()] = want);
            }
        }
        spread
    }
}

/// How many indices of a label have to stay together where a call sums it, whose summed sizes are these and that of the label
/// is the one at `place`; none where it cannot be shared.
pub(super) fn unit_of(kind: TermKind, dtype: Dtype, sizes: &[usize], place: usize) -> Option<usize> {
    match kind {
        TermKind::Integers => Some(1),
        TermKind::Float if sizes[..place].iter().all(|&size| size == 1) => {
            // Blocks of 1,024 real terms are summed by one rank.
            let block: usize = if dtype.is_complex() { 512 } else { 1024 };
            let rest: usize = sizes[place + 1..].iter().product();
            if rest == 0 { None } else { Some(block >> rest.trailing_zeros().min(block.trailing_zeros())) }
        }
        TermKind::Float | TermKind::Mixed => None,
    }
}
