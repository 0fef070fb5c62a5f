//! The sendas command.
fn main() {}
