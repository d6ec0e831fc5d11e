//! What a fuzzer calls: for each reader and each stage a function of bytes that panics where a promise is broken.
//!
//! `fuzz/` has a libFuzzer target for each of them, which calls it and nothing else. `smoke` runs each for a second under
//! `cargo test`, on the inputs in `fuzz/corpus` and on changed ones.

pub(crate) mod choices;
pub(crate) mod config;
pub(crate) mod frozen;
pub(crate) mod gradients;
pub(crate) mod lower;
pub(crate) mod network;
pub(crate) mod npy;
pub(crate) mod npz;
pub(crate) mod parse;
pub(crate) mod plan_json;
pub(crate) mod problem;
pub(crate) mod run;
pub(crate) mod safetensors;
pub(crate) mod settings;
#[cfg(test)]
mod smoke;
pub(crate) mod sound;
