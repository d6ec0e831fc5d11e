//! What the targets call, which lies in `tests/fuzz` of the crate that is tested.

#[path = "../../tests/fuzz/mod.rs"]
mod fuzz;
#[path = "../../tests/reference/mod.rs"]
mod reference;

macro_rules! targets {
    ($($target:ident)*) => {$(
        /// The target of this name.
        pub fn $target(bytes: &[u8]) {
            fuzz::$target::check(bytes);
        }
    )*};
}

targets!(parse lower plan_json npy npz safetensors config frozen network run gradients);
