//! The one test binary: a module per promise.

#![allow(clippy::unwrap_used, reason = "a test that unwraps nothing has nothing to say")]

mod paths;
