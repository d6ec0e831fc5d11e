//! The guide: pages to read, whose examples are compiled and run with the tests.
//!
//! - [`tour`]: what there is, in five minutes.
//! - [`plans`]: how to read a plan, and what an explained one adds.
//! - [`quantization`]: what quantizing a product does, step by step.
//! - [`coming_from`]: `opt_einsum`, `jnp.einsum`, fjformer and AQT, qwix: what is called what here.
//! - [`recipes`]: snapshots of orders in your tests, weights from a Flax checkpoint, an attention block, memory limits, bits
//!   chosen by data.
//! - [`ranks`]: several processes and machines: what they share, what goes wrong, what to expect of many.
//! - [`promises`]: which bits, orders, errors, limits and formats you may rely on, and for how long.

#[doc = include_str!("tour.md")]
pub mod tour {}

#[doc = include_str!("plans.md")]
pub mod plans {}

// Documentation is built without files beside it: here its pictures come before the page, and the first to define a
// name wins. Where the page is read by itself, it names the files.
#[doc = include_str!("pictures.md")]
#[doc = include_str!("quantization.md")]
pub mod quantization {}

#[doc = include_str!("coming_from.md")]
pub mod coming_from {}

#[doc = include_str!("recipes.md")]
pub mod recipes {}

#[doc = include_str!("ranks.md")]
pub mod ranks {}

#[doc = include_str!("promises.md")]
pub mod promises {}

#[cfg(test)]
mod pictures;
