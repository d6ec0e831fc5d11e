//! Families of paths for chains of matrices whose sizes are not known yet: `cargo run --release --example matrix_chains`.
//!
//! For chains of three to seven matrices it prints how many paths a family has, and by how much the one that it chooses
//! is above the best on fresh random sizes, beside the same for a family of at most n + 1 paths and for the n + 1 paths that are known to be within a constant
//! factor of the best at all sizes: those that multiply everything around one size (F. López, L. Karlsson and
//! P. Bientinesi, *On the Parenthesisations of Matrix Chains: All Are Useful, Few Are Essential*, 2023).
//!
//! Nothing of the family's own report is printed: sizes, costs and the best are those of this file.

use std::io::Write as _;

use qeinsum::path::{Family, FamilyOptions, Path};
use qeinsum::{Equation, Sizes, Syntax};

/// The sizes of every matrix.
const SMALLEST: usize = 2;
const LARGEST: usize = 1000;

/// Fresh sizes of a chain.
const SAMPLES: usize = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "sizes {SMALLEST}..{LARGEST}, {SAMPLES} random ones of each chain, uniform on a logarithmic scale")?;
    writeln!(out, "| matrices | paths | share within 10% | half | 95 of 100 | 99 of 100 | worst |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for matrices in 3..=7 {
        let rows = compare(matrices, SAMPLES)?;
        writeln!(out, "{}", rows.family.row(matrices, "in the family"))?;
        writeln!(out, "{}", rows.fewer.row(matrices, "in a family of at most n + 1"))?;
        writeln!(out, "{}", rows.fans.row(matrices, "around one size"))?;
    }
    Ok(())
}

/// The excesses of some paths, as shares of the least cost, rising.
struct Measured {
    paths: usize,
    excesses: Vec<f64>,
}

impl Measured {
    fn new(paths: usize, mut excesses: Vec<f64>) -> Self {
        excesses.sort_by(f64::total_cmp);
        Self { paths, excesses }
    }

    fn within(&self, tolerance: f64) -> f64 {
        // Costs are whole numbers, and their quotients rounded.
        self.excesses.partition_point(|&excess| excess <= tolerance + 1e-12) as f64 / self.excesses.len() as f64
    }

    fn quantile(&self, share: f64) -> f64 {
        let place = (self.excesses.len() as f64 * share).ceil() as usize;
        self.excesses[place.max(1) - 1]
    }

    fn row(&self, matrices: usize, which: &str) -> String {
        let quantiles = [0.5, 0.95, 0.99, 1.0].map(|share| format!("{:.1}%", self.quantile(share) * 100.0));
        let within = self.within(0.1) * 100.0;
        format!("| {matrices} | {} {which} | {within:.2}% | {} |", self.paths, quantiles.join(" | "))
    }
}

/// Families and the paths around one size, on the same sizes.
struct Compared {
    family: Measured,
    fewer: Measured,
    fans: Measured,
}

fn compare(matrices: usize, samples: usize) -> qeinsum::Result<Compared> {
    let labels: Vec<String> = (0..=matrices).map(|label| format!("n{label}")).collect();
    let operands: Vec<Vec<&str>> = labels.windows(2).map(|pair| pair.iter().map(String::as_str).collect()).collect();
    let equation = Equation::new(Syntax::Named, &operands, &[labels[0].as_str(), labels[matrices].as_str()])?;
    let ranges = labels.iter().map(|label| (label.clone(), SMALLEST..=LARGEST)).collect();
    let options = FamilyOptions::new();
    let family = Family::new(&equation, &ranges, &options)?;
    let fewer = Family::new(&equation, &ranges, &options.most_members(matrices + 1))?;
    let mut state = 0x5eed_u64;
    let mut excesses = [const { Vec::new() }; 3];
    for _ in 0..samples {
        let sizes: Vec<usize> = (0..=matrices).map(|_| log_uniform(&mut state)).collect();
        let shapes: Vec<&[usize]> = sizes.windows(2).collect();
        let bound = Sizes::new(&equation, &shapes)?;
        let of = |family: &Family| {
            let member = family.choose(&bound).expect("the sizes are in the ranges");
            cost(family.members()[member].path(), &sizes)
        };
        let fan = (0..=matrices).map(|centre| fan(&sizes, centre)).min().unwrap_or(0);
        let least = least(&sizes) as f64;
        for (excesses, cost) in excesses.iter_mut().zip([of(&family), of(&fewer), fan]) {
            excesses.push(cost as f64 / least - 1.0);
        }
    }
    let [of_family, of_fewer, of_fans] = excesses;
    Ok(Compared {
        family: Measured::new(family.members().len(), of_family),
        fewer: Measured::new(fewer.members().len(), of_fewer),
        fans: Measured::new(matrices + 1, of_fans),
    })
}

/// A size of which every magnitude is as likely.
fn log_uniform(state: &mut u64) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let unit = (*state >> 11) as f64 / (1_u64 << 53) as f64;
    let (low, high) = (SMALLEST as f64, (LARGEST + 1) as f64);
    (low * libm::pow(high / low, unit)) as usize
}

/// The multiplications of the best order of a chain, by dynamic programming over its parts.
fn least(sizes: &[usize]) -> u64 {
    let matrices = sizes.len() - 1;
    let mut costs = vec![vec![0; matrices + 1]; matrices + 1];
    for length in 2..=matrices {
        for start in 0..=matrices - length {
            let end = start + length;
            costs[start][end] = (start + 1..end)
                .map(|middle| {
                    let step = (sizes[start] * sizes[middle] * sizes[end]) as u64;
                    costs[start][middle] + costs[middle][end] + step
                })
                .min()
                .unwrap_or(0);
        }
    }
    costs[0][matrices]
}

/// The multiplications of a path of a chain.
fn cost(path: &Path, sizes: &[usize]) -> u64 {
    let mut parts: Vec<(usize, usize)> = (1..sizes.len()).map(|end| (end - 1, end)).collect();
    let mut cost = 0;
    for &[earlier, later] in path.steps() {
        let (second, first) = (parts.remove(later), parts.remove(earlier));
        let ends = if first.1 == second.0 { [first.0, first.1, second.1] } else { [second.0, second.1, first.1] };
        assert!(first.1 == second.0 || second.1 == first.0, "no step of a good path of a chain is an outer product");
        cost += ends.iter().map(|&end| sizes[end] as u64).product::<u64>();
        parts.push((ends[0], ends[2]));
    }
    cost
}

/// The multiplications of the order in which every product has this size.
fn fan(sizes: &[usize], centre: usize) -> u64 {
    let places = 0..sizes.len() - 1;
    let sides = places.map(|place| [place, place + 1]).chain([[sizes.len() - 1, 0]]);
    let apart = sides.filter(|side| !side.contains(&centre));
    apart.map(|[one, other]| (sizes[centre] * sizes[one] * sizes[other]) as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_chains_are_within_ten_percent_almost_always() {
        let compared = compare(4, 2000).unwrap();
        assert!(compared.family.within(0.1) > 0.99);
        assert!(compared.family.quantile(0.95) <= compared.fans.quantile(0.95));
    }

    #[test]
    fn costs_by_hand() {
        let sizes = [2, 30, 4, 50];
        assert_eq!(least(&sizes), 2 * 30 * 4 + 2 * 4 * 50);
        assert_eq!(cost(&"(1,2) (0,1)".parse().unwrap(), &sizes), 30 * 4 * 50 + 2 * 30 * 50);
        // Around the first size from the left, around the second from the right.
        assert_eq!((fan(&sizes, 0), fan(&sizes, 1)), (2 * 30 * 4 + 2 * 4 * 50, 30 * 4 * 50 + 2 * 30 * 50));
    }
}
