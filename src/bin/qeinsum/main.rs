//! The command line of qeinsum.
fn main() {}
