//! How long the search for a path takes in a process that is warm: what `benches/planner` asks.
//!
//! In comes the name of a file with a network; out go, as JSON, the seconds of the fastest search and their number. The
//! graph is built within the time, as the planners of other languages take their networks apart within theirs.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use qeinsum::graph::ContractionGraph;
use qeinsum::path::{SearchOptions, search};
use qeinsum::{Equation, Sizes, Syntax};
use serde::Deserialize;

/// How long it goes on.
const ENOUGH: Duration = Duration::from_millis(50);
const MOST: usize = 1000;

#[derive(Deserialize)]
struct Network {
    inputs: Vec<Vec<String>>,
    output: Vec<String>,
    sizes: BTreeMap<String, usize>,
}

#[expect(clippy::print_stdout, reason = "it is a program")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(file) = std::env::args().nth(1) else { return Err("which network?".into()) };
    let network: Network = serde_json::from_str(&std::fs::read_to_string(file)?)?;
    let equation = Equation::new(Syntax::Named, &network.inputs, &network.output)?;
    let sizes = Sizes::from_names(&equation, &network.sizes)?;
    let options = SearchOptions::new();
    let (mut least, mut runs, start) = (Duration::MAX, 0, Instant::now());
    while runs < MOST && (runs == 0 || start.elapsed() < ENOUGH) {
        let begun = Instant::now();
        black_box(search(&ContractionGraph::new(black_box(&equation), &sizes), &options)?);
        least = least.min(begun.elapsed());
        runs += 1;
    }
    println!("{{\"seconds\": {:e}, \"runs\": {runs}}}", least.as_secs_f64());
    Ok(())
}
