//! What the playground asks for at each key: an equation, sizes and a few choices become a plan, its texts and its picture.
//!
//! In comes text, out goes JSON; a wrong equation is an answer like any other. Nothing here can fail: the page shows what
//! comes.

mod answer;
mod request;

use wasm_bindgen::prelude::wasm_bindgen;

pub use answer::Answer;
pub use request::Request;

/// The answer to a request, both JSON.
#[wasm_bindgen]
pub fn plan(request: &str) -> String {
    let answer = match serde_json::from_str::<Request>(request) {
        Ok(request) => Answer::to(&request),
        Err(error) => Answer::refused("request", error.to_string()),
    };
    serde_json::to_string(&answer).unwrap_or_default()
}
