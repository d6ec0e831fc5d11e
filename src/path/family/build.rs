//! Which trees become the members of a family, and how good they are.
//!
//! In come the ranges of sizes; out go a few trees and a report. They are within the tolerance on a grid first. Then sizes
//! off the grid are drawn, and from the worst of them sizes that are worse still are climbed to; where the members are not
//! within the tolerance, those sizes are added and the members chosen anew, until none is found.

use super::demands::{Bits, Cover, Demands, empty, insert};
use super::fewer::{Losses, fewer};
use super::options::FamilyOptions;
use super::ranges::Ranges;
use super::report::{BuiltFrom, FamilyReport, Fresh, Grid, Worst};
use super::splits::{Splits, excess};
use super::trees::{Tree, Trees, count};
use crate::path::random::Random;

/// How often members are chosen anew at most.
const ROUNDS: u64 = 24;
/// Sizes that are drawn off the grid in a round.
const DRAWN: usize = 8192;
/// The worst of a round's sizes that are added at most.
const ADDED: usize = 512;
/// The worst sizes that are climbed from.
const CLIMBS: usize = 16;
/// Steps of a climb.
const STEPS: usize = 40;

/// The streams of random numbers; a round has its own.
const OF_GRID: u64 = 0;
const OF_COVER: u64 = 1;
const OF_CHECK: u64 = 2;
const OF_FEWER: u64 = 3;
const OF_ROUNDS: u64 = 4;

/// Sizes that fewer members are chosen by, and the numbers that are kept for them, of each tree at each size.
const SIZES_OF_FEWER: usize = 8192;
const LOSSES: usize = 1 << 23;

/// The trees of a family.
#[derive(Clone, Debug)]
pub(super) struct Built {
    /// The members, among the trees over all operands, those first that are chosen at more sizes of the grid.
    pub(super) members: Vec<usize>,
    /// By member: at how many sizes of the grid it is chosen.
    pub(super) wins: Vec<usize>,
    pub(super) report: FamilyReport,
}

/// Sizes and how far above the best the members are there.
#[derive(Clone, Debug)]
struct Measured {
    extents: Vec<usize>,
    excess: f64,
}

pub(super) fn build(splits: &Splits, trees: &Trees, ranges: &Ranges, options: &FamilyOptions) -> Built {
    let builder = Builder { splits, trees: trees.whole(), ranges, tolerance: options.tolerance };
    let grid = ranges.grid(options.grid, &mut Random::new(options.seed, OF_GRID));
    let mut demands = Demands::new(builder.trees.len());
    demands.add(grid.points.iter().map(|extents| builder.demand(extents)));
    let mut random = Random::new(options.seed, OF_COVER);
    let mut added: Vec<Vec<usize>> = Vec::new();
    let mut cover = demands.cover(&mut random);
    let mut rounds = 1;
    for round in 0..ROUNDS {
        let mut violated = builder.violated(&cover, &mut Random::new(options.seed, OF_ROUNDS + round));
        if violated.is_empty() {
            break;
        }
        demands.add(violated.iter().map(|extents| builder.demand(extents)));
        added.append(&mut violated);
        cover = demands.cover(&mut random);
        rounds += 1;
    }
    let enough_members = cover.trees.len();
    let chosen = match options.most_members {
        Some(most) if most < enough_members => fewer(&builder.losses(&mut Random::new(options.seed, OF_FEWER)), most),
        _ => cover.trees,
    };
    let (members, wins) = builder.ordered(&chosen, &grid.points);
    let all = grid.points.iter().chain(&added);
    let excesses: Vec<f64> = all.map(|extents| builder.excess(&members, extents)).collect();
    let built_from = BuiltFrom {
        grid: Grid { sizes: grid.points.len(), random: grid.random },
        added: added.len(),
        rounds,
        within: excesses.iter().filter(|&&excess| excess <= options.tolerance).count(),
        worst: excesses.iter().copied().fold(0.0, f64::max),
    };
    let (fresh, worst) = builder.checked(&members, options);
    let report = FamilyReport {
        paths: count(splits.operands()),
        undominated: builder.trees.len(),
        enough_members,
        least_members: cover.least,
        built_from,
        fresh,
        worst,
    };
    Built { members, wins, report }
}

struct Builder<'a> {
    splits: &'a Splits,
    trees: &'a [Tree],
    ranges: &'a Ranges,
    tolerance: f64,
}

impl Builder<'_> {
    /// The trees that are within the tolerance at these sizes.
    fn demand(&self, extents: &[usize]) -> Bits {
        let mut prices = Vec::new();
        self.splits.prices(extents, &mut prices);
        let costs: Vec<f64> = self.trees.iter().map(|tree| tree.cost(&prices)).collect();
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let mut demand = empty(costs.len());
        let good = costs.iter().enumerate().filter(|(_, cost)| excess(**cost, least) <= self.tolerance);
        good.for_each(|(tree, _)| insert(&mut demand, tree));
        demand
    }

    /// By how much each tree is above the tolerance at random sizes.
    fn losses(&self, random: &mut Random) -> Losses {
        let sizes = SIZES_OF_FEWER.min(LOSSES / self.trees.len());
        let mut losses: Losses = self.trees.iter().map(|_| Vec::with_capacity(sizes)).collect();
        let mut prices = Vec::new();
        for _ in 0..sizes {
            self.splits.prices(&self.ranges.sample(random), &mut prices);
            let least = self.splits.least(&prices);
            for (tree, losses) in self.trees.iter().zip(&mut losses) {
                losses.push((excess(tree.cost(&prices), least) - self.tolerance).max(0.0) as f32);
            }
        }
        losses
    }

    /// The excess of the cheapest member.
    fn excess(&self, members: &[usize], extents: &[usize]) -> f64 {
        let mut prices = Vec::new();
        self.splits.prices(extents, &mut prices);
        let costs = members.iter().map(|&member| self.trees[member].cost(&prices));
        excess(costs.fold(f64::INFINITY, f64::min), self.splits.least(&prices))
    }

    fn measured(&self, members: &[usize], extents: Vec<usize>) -> Measured {
        Measured { excess: self.excess(members, &extents), extents }
    }

    /// So many random sizes, the worst first.
    fn drawn(&self, members: &[usize], count: usize, random: &mut Random) -> Vec<Measured> {
        let mut drawn: Vec<Measured> = (0..count).map(|_| self.measured(members, self.ranges.sample(random))).collect();
        drawn.sort_by(|a, b| b.excess.total_cmp(&a.excess));
        drawn
    }

    /// Sizes off the grid at which the members are not within the tolerance, where some are found.
    fn violated(&self, cover: &Cover, random: &mut Random) -> Vec<Vec<usize>> {
        let drawn = self.drawn(&cover.trees, DRAWN, random);
        let climbed: Vec<Measured> =
            drawn[..CLIMBS].iter().map(|from| self.climb(&cover.trees, from.clone())).collect();
        let found = climbed.into_iter().chain(drawn.into_iter().take(ADDED));
        found.filter(|measured| measured.excess > self.tolerance).map(|measured| measured.extents).collect()
    }

    /// Sizes of a higher excess, each by changing that of one label, until no change leads higher.
    fn climb(&self, members: &[usize], from: Measured) -> Measured {
        let mut best = from;
        for _ in 0..STEPS {
            let here = best.extents.clone();
            for (label, range) in self.ranges.iter().enumerate() {
                let size = here[label];
                let less = [size / 2, size - size / 8, size - 1];
                let more = [1, size / 8, size].map(|step| size.saturating_add(step));
                for to in less.into_iter().chain(more) {
                    let to = to.clamp(*range.start(), *range.end());
                    if to != size {
                        let mut extents = here.clone();
                        extents[label] = to;
                        let measured = self.measured(members, extents);
                        if measured.excess > best.excess {
                            best = measured;
                        }
                    }
                }
            }
            if best.extents == here {
                break;
            }
        }
        best
    }

    /// The members, those first that are chosen at more of these sizes, and at how many.
    fn ordered(&self, cover: &[usize], points: &[Vec<usize>]) -> (Vec<usize>, Vec<usize>) {
        let mut prices = Vec::new();
        let mut wins = vec![0; cover.len()];
        for extents in points {
            self.splits.prices(extents, &mut prices);
            let costs = cover.iter().map(|&tree| self.trees[tree].cost(&prices)).enumerate();
            let (place, _) = costs.fold((0, f64::INFINITY), |best, next| if next.1 < best.1 { next } else { best });
            wins[place] += 1;
        }
        let mut order: Vec<usize> = (0..cover.len()).collect();
        order.sort_by_key(|&place| std::cmp::Reverse(wins[place]));
        (order.iter().map(|&place| cover[place]).collect(), order.iter().map(|&place| wins[place]).collect())
    }

    /// How good the members are on fresh sizes, and the worst that are found from there.
    fn checked(&self, members: &[usize], options: &FamilyOptions) -> (Fresh, Worst) {
        let drawn = self.drawn(members, options.samples, &mut Random::new(options.seed, OF_CHECK));
        let climbed = drawn.iter().take(CLIMBS * 2).map(|from| self.climb(members, from.clone()));
        let mut worst = drawn[0].clone();
        for measured in climbed {
            if measured.excess > worst.excess {
                worst = measured;
            }
        }
        let fresh = Fresh::new(drawn.iter().map(|measured| measured.excess).collect(), options.tolerance);
        (fresh, Worst { excess: worst.excess, sizes: worst.extents })
    }
}
