//! dcmshard
fn main() {}
