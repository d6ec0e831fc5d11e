//! Paths of large equations that begin with products which several of them have.
//!
//! Of all products of two or three operands that occur in two places or more, those that save most are tried: each is
//! contracted first wherever it occurs, and the ordinary search finds what is left of the paths. The best is taken, its
//! results are operands from then on, and so on until nothing is gained, or the work is done. All paths tried go to the pools
//! that the choice is made from in the end.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::path::{Cost, SearchOptions};

use super::begun::{Begun, Signature, Spot};
use super::choose::together;
use super::search::Pools;

/// The work of all searches: about a thousandth of a second each.
const WORK: u64 = 1000;

/// The most products that are tried before one of them is taken.
const MOST_TRIES: usize = 32;

/// A product and the places where it occurs, by equation.
struct Group {
    spots: Vec<(usize, Spot)>,
    saved: Cost,
}

/// Adds paths to the pools that begin with products which equations have in common.
pub(super) fn improve(pools: &mut Pools<'_>, options: &SearchOptions) -> Result<()> {
    let options = &SearchOptions { time_budget: None, ..options.clone() };
    let mut work = WORK.saturating_mul(u64::from(options.effort));
    let mut states: Vec<Begun<'_>> = pools.equations.iter().map(Begun::new).collect();
    let mut picks = vec![0; states.len()];
    let mut token = pools.equations.iter().flat_map(|equation| &equation.operands).max().map_or(0, |&last| last + 1);
    let mut cost = total(pools, &picks);
    loop {
        let mut best = None;
        for group in groups(&states).into_iter().take(MOST_TRIES) {
            let mut changed: BTreeMap<usize, Begun<'_>> = BTreeMap::new();
            for (equation, spot) in &group.spots {
                changed.entry(*equation).or_insert_with(|| states[*equation].clone()).contract(spot, token);
            }
            let price: u64 = changed.values().map(|begun| price(begun.len())).sum();
            let Some(left) = work.checked_sub(price) else { break };
            work = left;
            let mut tried = picks.clone();
            let mut is_possible = true;
            for (&equation, begun) in &changed {
                match begun.complete(options)? {
                    Some(found) => tried[equation] = pools.add(equation, found),
                    None => is_possible = false,
                }
            }
            let together = total(pools, &tried);
            if is_possible && together < cost {
                cost = together;
                best = Some((tried, changed));
            }
        }
        let Some((tried, changed)) = best else { return Ok(()) };
        picks = tried;
        for (equation, begun) in changed {
            states[equation] = begun;
        }
        token += 1;
    }
}

/// What a search of so many operands takes, in units of work.
fn price(operands: usize) -> u64 {
    if operands <= 12 { 1 } else { operands.max(20) as u64 }
}

fn total(pools: &Pools<'_>, picks: &[usize]) -> Cost {
    let calls = pools.calls.iter().zip(picks).map(|(pool, &pick)| pool[pick].as_slice());
    together(calls, pools.numbers.costs())
}

/// The products that occur more than once, those first that save most.
fn groups(states: &[Begun<'_>]) -> Vec<Group> {
    let mut all: BTreeMap<Signature, (Cost, Vec<(usize, Spot)>)> = BTreeMap::new();
    for (equation, begun) in states.iter().enumerate() {
        for spot in begun.spots() {
            let (signature, cost) = begun.signature(&spot);
            let (_, spots) = all.entry(signature).or_insert_with(|| (cost, Vec::new()));
            if !spots.iter().any(|(other, at)| *other == equation && at.overlaps(&spot)) {
                spots.push((equation, spot));
            }
        }
    }
    let mut groups: Vec<Group> = all
        .into_values()
        .filter(|(_, spots)| spots.len() > 1)
        .map(|(cost, spots)| Group { saved: cost * Cost::from(spots.len() - 1), spots })
        .collect();
    // Stable, so that products that save as much stay in the order of their signatures.
    groups.sort_by(|one, other| other.saved.cmp(&one.saved));
    groups
}
