//! The files of `schemas/` and `examples/recipes/` are what the program prints.

use std::fs;
use std::path::Path;

use dcmshard::schema;

#[test]
fn printed_files_are_up_to_date() {
    for (name, text) in schema::files() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{name} is not what the program prints: run `make schemas`");
    }
}
