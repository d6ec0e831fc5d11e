//! What steps take: measured speeds, and the time that they predict.
//!
//! In comes a table of measurements; out go predictions for a step of any size. All numbers are integers and logarithms
//! in fixed point, so that a table predicts the same on every machine.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::logs::{self, Log, ONE, Tables};
use crate::dtype::Dtype;
use crate::error::{Error, ErrorKind, Result};
use crate::span::printable_text;

/// What the calls of a plan compute in.
///
/// ```
/// use qeinsum::{Dtype, path::Arithmetic};
/// assert_eq!(Arithmetic::from(Dtype::Bf16), Arithmetic::Bf16);
/// assert_eq!(Arithmetic::ALL.last(), Some(&Arithmetic::Int8));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Arithmetic {
    /// 32-bit floats.
    #[default]
    F32,
    /// 64-bit floats.
    F64,
    /// 16-bit floats of IEEE.
    F16,
    /// 16-bit floats with the exponent of 32-bit ones.
    Bf16,
    /// Pairs of 32-bit floats.
    C32,
    /// Pairs of 64-bit floats.
    C64,
    /// 8-bit integers made of floats before a call, whose sums become floats after it.
    Int8,
}

impl Arithmetic {
    /// All of them, in the order in which they stand in a table.
    pub const ALL: [Self; 7] = [Self::F32, Self::F64, Self::F16, Self::Bf16, Self::C32, Self::C64, Self::Int8];
}

impl From<Dtype> for Arithmetic {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F64 => Self::F64,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::Bf16,
            Dtype::C32 => Self::C32,
            Dtype::C64 => Self::C64,
        }
    }
}

/// The version of the form of a table.
///
/// ```
/// use qeinsum::path::{SPEEDS_FORMAT, Speeds};
/// assert!(Speeds::shipped().to_json().starts_with(&format!("{{\"format\":{SPEEDS_FORMAT},")));
/// ```
pub const SPEEDS_FORMAT: u32 = 1;

/// The sizes that are measured, of the rows of the one side, of those of the other and of the terms of a sum. Between
/// them speeds are interpolated, in logarithms; beyond them they stay what they are at the last.
///
/// ```
/// use qeinsum::path::MEASURED_SIZES;
/// assert!(MEASURED_SIZES.windows(2).all(|pair| pair[1] == 4 * pair[0]));
/// ```
pub const MEASURED_SIZES: [usize; SIZES] = [1, 4, 16, 64, 256, 1024];

const SIZES: usize = 6;
/// The logarithm of what one measured size is times the one before.
const STEP: Log = 2 * ONE;
/// Rows of one side times rows of the other, when the one has no more than the other.
const PAIRS: usize = SIZES * (SIZES + 1) / 2;

/// What one kind of arithmetic takes.
///
/// ```
/// use qeinsum::path::{Arithmetic, Measured, Speeds};
/// // A machine on which everything takes a picosecond.
/// let measured = Measured {
///     call_fs: 1000,
///     move_fs: 1000,
///     prepare_fs: 1000,
///     gather_fs: [1000; 6],
///     multiplication_fs: vec![[1000; 6]; 21], // pairs of six sizes of which the second is not smaller
/// };
/// let speeds = Speeds::new("even".to_owned(), 1, Arithmetic::ALL.map(|_| measured.clone()).to_vec())?;
/// assert_eq!((speeds.name(), speeds.threads()), ("even", 1));
/// assert!((speeds.seconds_to_move(Arithmetic::F32, 1e6) - 1e-6).abs() < 1e-12);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Femtoseconds of a call, however small.
    pub call_fs: u64,
    /// Femtoseconds of an element that is read and written, as by a transposition.
    pub move_fs: u64,
    /// Femtoseconds of an element of a side that is made ready for a call, which a frozen operand saves.
    pub prepare_fs: u64,
    /// Femtoseconds more of an element of a side that is no stack of matrices in memory, by how many elements lie beside
    /// each other that are all summed, all kept, or all in both sides; the numbers are [`MEASURED_SIZES`].
    pub gather_fs: [u64; SIZES],
    /// Femtoseconds of a multiplication in a product of many matrices, with all that it takes to make the sides ready
    /// and to write the result: for each number of rows of one side, for each number of rows of the other that is not
    /// smaller, by the terms of a sum; the numbers are [`MEASURED_SIZES`].
    pub multiplication_fs: Vec<[u64; SIZES]>,
}

/// A table of measured speeds of every [`Arithmetic`].
///
/// ```
/// use qeinsum::path::{Arithmetic, Speeds};
/// let speeds = Speeds::shipped();
/// // 512 x 512 x 512, in floats and in integers that are made of them.
/// let seconds = |arithmetic| speeds.seconds(arithmetic, 512.0 * 512.0 * 512.0, [512.0 * 512.0; 2], 512.0 * 512.0);
/// assert!(seconds(Arithmetic::Int8) < seconds(Arithmetic::F32));
/// assert_eq!(Speeds::from_json(&speeds.to_json())?, *speeds);
/// # Ok::<(), qeinsum::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Speeds {
    name: String,
    threads: usize,
    measured: Vec<Measured>,
    rates: Vec<Rates>,
}

/// The form of a table in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    name: String,
    threads: usize,
    sizes: Vec<usize>,
    arithmetics: Vec<(Arithmetic, Measured)>,
}

impl Speeds {
    /// The table that comes with the crate: the same for everyone, so that the plans are.
    ///
    /// It was measured on one thread of an x86 server with AVX-512 VNNI.
    ///
    /// ```
    /// use qeinsum::path::Speeds;
    /// assert_eq!((Speeds::shipped().name(), Speeds::shipped().threads()), ("shipped 1", 1));
    /// ```
    pub fn shipped() -> &'static Self {
        static SHIPPED: OnceLock<Speeds> = OnceLock::new();
        SHIPPED.get_or_init(|| match Self::from_json(include_str!("speeds.json")) {
            Ok(speeds) => speeds,
            Err(error) => unreachable!("the shipped table is tested: {error:?}"),
        })
    }

    /// A table of measurements, one for each of [`Arithmetic::ALL`], in that order.
    ///
    /// An error where one is missing, a table has another form, or a speed is zero or takes more than an hour.
    pub fn new(name: String, threads: usize, measured: Vec<Measured>) -> Result<Self> {
        if measured.len() != Arithmetic::ALL.len() {
            return Err(refused("it has to have one table for each arithmetic"));
        }
        for one in &measured {
            let numbers = [one.call_fs, one.move_fs, one.prepare_fs];
            let mut numbers = numbers.iter().chain(&one.gather_fs).chain(one.multiplication_fs.iter().flatten());
            if one.multiplication_fs.len() != PAIRS {
                return Err(refused("a table has to have one row for each pair of sizes"));
            }
            if numbers.any(|number| !(1..=MOST_FEMTOSECONDS).contains(number)) {
                return Err(refused("a speed has to be between a femtosecond and an hour"));
            }
        }
        let rates = measured.iter().map(Rates::new).collect();
        Ok(Self { name, threads, measured, rates })
    }

    /// Reads a table.
    ///
    /// An error where it is no table of this format.
    pub fn from_json(text: &str) -> Result<Self> {
        let document: Document = serde_json::from_str(text).map_err(|error| refused(&error.to_string()))?;
        if document.format != SPEEDS_FORMAT {
            return Err(refused(&format!("its format is {}, and this is {SPEEDS_FORMAT}", document.format)));
        }
        let arithmetics = document.arithmetics.iter().map(|(arithmetic, _)| *arithmetic);
        if document.sizes != MEASURED_SIZES || !arithmetics.eq(Arithmetic::ALL) {
            return Err(refused("it is for other sizes or arithmetics"));
        }
        Self::new(document.name, document.threads, document.arithmetics.into_iter().map(|(_, one)| one).collect())
    }

    /// Writes the table.
    pub fn to_json(&self) -> String {
        let document = Document {
            format: SPEEDS_FORMAT,
            name: self.name.clone(),
            threads: self.threads,
            sizes: MEASURED_SIZES.to_vec(),
            arithmetics: Arithmetic::ALL.into_iter().zip(self.measured.iter().cloned()).collect(),
        };
        serde_json::to_string(&document).unwrap_or_default()
    }

    /// What the table is called: where and when it was measured.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many threads the measured runs had.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The seconds that a call is predicted to take, by its multiplications, the elements of its two sides and those of
    /// its result.
    ///
    /// ```
    /// use qeinsum::path::{Arithmetic, Speeds};
    /// let seconds = |rows: f64| {
    ///     let sides = [rows * 256.0, 256.0 * 256.0];
    ///     Speeds::shipped().seconds(Arithmetic::F32, rows * 256.0 * 256.0, sides, rows * 256.0)
    /// };
    /// assert!(seconds(256.0) < 256.0 * seconds(1.0)); // many rows share what reading the matrix takes
    /// ```
    pub fn seconds(&self, arithmetic: Arithmetic, multiplications: f64, sides: [f64; 2], elements: f64) -> f64 {
        let log = |number: f64| (logs::ln(number.max(1.0)) / std::f64::consts::LN_2 * ONE as f64) as Log;
        let rates = self.rates(arithmetic);
        let time = if multiplications > 0.0 {
            rates.time(log(multiplications), sides.map(log), log(elements))
        } else {
            rates.call
        };
        logs::exp((time as f64 / ONE as f64 * std::f64::consts::LN_2).min(700.0)) * FEMTOSECOND
    }

    /// The seconds that it takes to read and write so many elements, as a transposition does.
    pub fn seconds_to_move(&self, arithmetic: Arithmetic, elements: f64) -> f64 {
        elements * self.measured[arithmetic as usize].move_fs as f64 * FEMTOSECOND
    }

    /// The seconds that a call takes more for a side of so many elements that is no stack of matrices in memory, by how
    /// many of them lie beside each other that are all summed, all kept, or all in both sides.
    ///
    /// ```
    /// use qeinsum::path::{Arithmetic, Speeds};
    /// let seconds = |run| Speeds::shipped().seconds_to_gather(Arithmetic::F32, 1e6, run);
    /// assert!(seconds(1.0) >= seconds(64.0)); // the longer what lies together
    /// ```
    pub fn seconds_to_gather(&self, arithmetic: Arithmetic, elements: f64, run: f64) -> f64 {
        let run = (logs::ln(run.max(1.0)) / std::f64::consts::LN_2 * ONE as f64) as Log;
        let each = self.rates(arithmetic).gathering(run) as f64 / ONE as f64;
        elements * logs::exp(each * std::f64::consts::LN_2) * FEMTOSECOND
    }

    /// The seconds of a call that are saved where a side of so many elements was quantized and packed before.
    ///
    /// ```
    /// use qeinsum::path::{Arithmetic, Speeds};
    /// assert!(Speeds::shipped().seconds_to_prepare(Arithmetic::Int8, 1e6) > 0.0); // quantizing a million elements
    /// ```
    pub fn seconds_to_prepare(&self, arithmetic: Arithmetic, elements: f64) -> f64 {
        elements * self.measured[arithmetic as usize].prepare_fs as f64 * FEMTOSECOND
    }

    pub(super) fn rates(&self, arithmetic: Arithmetic) -> &Rates {
        &self.rates[arithmetic as usize]
    }
}

const FEMTOSECOND: f64 = 1e-15;

/// An hour.
const MOST_FEMTOSECONDS: u64 = 3_600_000_000_000_000_000;

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::File, format!("the table of speeds cannot be used: {}", printable_text(why, 300)))
}

/// The speeds of one kind of arithmetic, in logarithms of femtoseconds.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Rates {
    call: Log,
    /// Of a multiplication, by the places of the two numbers of rows and that of the terms among the measured sizes.
    multiplication: [[[Log; SIZES]; SIZES]; SIZES],
    gather: [Log; SIZES],
    least: u64,
}

impl Rates {
    fn new(measured: &Measured) -> Self {
        let log = |femtoseconds: u64| logs::of_size(femtoseconds as usize);
        let mut multiplication = [[[0; SIZES]; SIZES]; SIZES];
        let mut rows = measured.multiplication_fs.iter();
        for (one, other) in (0..SIZES).flat_map(|one| (one..SIZES).map(move |other| (one, other))) {
            let Some(row) = rows.next() else { continue };
            multiplication[one][other] = row.map(log);
            multiplication[other][one] = row.map(log);
        }
        let least = measured.multiplication_fs.iter().flatten().min().copied().unwrap_or(1);
        // Less than what rounding takes off.
        let gather = measured.gather_fs.map(log);
        Self { call: log(measured.call_fs), multiplication, gather, least: least - least / 512 }
    }

    /// The logarithm of the femtoseconds of a call without a multiplication.
    pub(super) fn call(&self) -> Log {
        self.call
    }

    /// The logarithm of the femtoseconds that an element takes more that is gathered, by that of the elements beside it.
    pub(super) fn gathering(&self, run: Log) -> Log {
        let run = Place::of(run);
        run.between(self.gather[run.below], self.gather[run.above])
    }

    /// The femtoseconds that a multiplication takes at least.
    pub(super) fn least(&self) -> u64 {
        self.least
    }

    /// The logarithm of the femtoseconds of a step, by those of its multiplications, of the elements of its sides and
    /// of those of its result.
    ///
    /// What a side lacks of the labels of a step are the rows of the other, and what the result lacks are the terms.
    pub(super) fn time(&self, multiplications: Log, sides: [Log; 2], elements: Log) -> Log {
        // In this order rounding, too, does not tell one side from the other.
        let sides = [sides[0].min(sides[1]), sides[0].max(sides[1])];
        let [other, one] = sides.map(|side| Place::of(multiplications - side));
        let terms = Place::of(multiplications - elements);
        let by_terms = |row: &[Log; SIZES]| terms.between(row[terms.below], row[terms.above]);
        let by_rows =
            |rows: &[[Log; SIZES]; SIZES]| other.between(by_terms(&rows[other.below]), by_terms(&rows[other.above]));
        let each = one.between(by_rows(&self.multiplication[one.below]), by_rows(&self.multiplication[one.above]));
        Tables::get().sum(multiplications + each, self.call)
    }
}

/// A size among the measured ones.
#[derive(Clone, Copy)]
struct Place {
    below: usize,
    above: usize,
    /// The way from the one below to the one above, in units of [`STEP`].
    way: Log,
}

impl Place {
    fn of(size: Log) -> Self {
        let size = size.clamp(0, STEP * (SIZES as Log - 1));
        let below = (size / STEP) as usize;
        Self { below, above: (below + 1).min(SIZES - 1), way: size % STEP }
    }

    fn between(self, below: Log, above: Log) -> Log {
        below + (above - below) * self.way / STEP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(edit: impl Fn(&mut serde_json::Value)) -> Result<Speeds> {
        let mut document: serde_json::Value = serde_json::from_str(&Speeds::shipped().to_json()).unwrap();
        edit(&mut document);
        Speeds::from_json(&document.to_string())
    }

    #[test]
    fn measured_sizes_are_predicted_as_measured_and_those_between_lie_between() {
        let speeds = Speeds::shipped();
        for arithmetic in Arithmetic::ALL {
            let rates = speeds.rates(arithmetic);
            let each = |m: Log, n: Log, k: Log| {
                rates.time(40 * ONE + m + n + k, [40 * ONE + m + k, 40 * ONE + n + k], 40 * ONE + m + n)
                    - 40 * ONE
                    - m
                    - n
                    - k
            };
            let pairs = (0..SIZES).flat_map(|one| (one..SIZES).map(move |other| (one, other)));
            for (row, (m, n)) in pairs.enumerate() {
                for k in 0..SIZES {
                    let [m, n, k] = [m, n, k].map(|place| place as Log * STEP);
                    let measured = logs::of_size(
                        speeds.measured[arithmetic as usize].multiplication_fs[row][(k / STEP) as usize] as usize,
                    );
                    // A call's own time does not count for 2^40 matrices, but for the rounding of a sum.
                    assert!((each(m, n, k) - measured).abs() <= 2, "{arithmetic:?} {m} {n} {k}");
                    assert_eq!(each(m, n, k), each(n, m, k));
                    assert!(each(m, n, k) >= logs::of_size(rates.least() as usize));
                    let ends = [each(m, n, k), each(m, n, k + STEP)];
                    let between = each(m, n, k + ONE);
                    assert!(ends.iter().min() <= Some(&between) && ends.iter().max() >= Some(&between));
                }
            }
            assert_eq!(each(30 * ONE, 30 * ONE, 30 * ONE), each(10 * ONE, 10 * ONE, 10 * ONE));
        }
    }

    type Edit = fn(&mut serde_json::Value);

    #[test]
    fn tables_of_another_form_are_refused() {
        assert!(table(|_| ()).is_ok());
        let cases: [(&str, Edit); 6] = [
            ("its format is 9, and this is 1", |document| document["format"] = 9.into()),
            ("other sizes", |document| document["sizes"] = serde_json::json!([1, 2])),
            ("other sizes or arithmetics", |document| drop(document["arithmetics"].as_array_mut().unwrap().pop())),
            ("between a femtosecond and an hour", |document| document["arithmetics"][0][1]["call_fs"] = 0.into()),
            ("one row for each pair", |document| {
                document["arithmetics"][0][1]["multiplication_fs"].as_array_mut().unwrap().pop();
            }),
            ("unknown field", |document| document["colour"] = 3.into()),
        ];
        for (expected, edit) in cases {
            let error = table(edit).unwrap_err();
            assert!(error.message().contains(expected), "{}", error.message());
        }
        assert!(Speeds::from_json("").is_err());
    }
}
