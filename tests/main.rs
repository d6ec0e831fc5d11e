//! The test binary: a module per promise.

#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

mod arithmetic;
mod cancel;
mod certificates;
mod complex;
mod ebnf;
mod errors;
mod exports;
mod families;
mod fixture;
mod fuzz;
mod gradients;
mod grammar;
mod joint_optimum;
mod manifest;
mod many;
mod paths;
mod plans;
mod properties;
mod quantized;
mod reference;
mod seed_arguments;
mod serving;
mod slices;
mod snapshot;
mod threads;
mod times;
mod together;
mod training;
