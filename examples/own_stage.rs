//! A stage of your own: one file, one line.
//!
//! This one measures how much of the head is brighter than blood, and adds a column.
//!
//! ```text
//! cargo run --release --example own_stage
//! ```

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;

use dcmshard::column::{Column, Kind};
use dcmshard::identity::{Key, SourceId};
use dcmshard::phantom::{self, PhantomOptions};
use dcmshard::pipeline::Pipeline;
use dcmshard::reason::Fault;
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, Slice, SliceRef};
use dcmshard::stage::{Scratch, Stage};

/// A column is declared once, beside the code that fills it.
static DENSE_SHARE: Column =
    Column::new("dense_share", Kind::Float64, "Share of the head's pixels above 100 HU, 0 to 1; null without a head.");

/// What the stage may fill.
static COLUMNS: [&Column; 1] = [&DENSE_SHARE];

/// Measures the share of dense pixels in the head.
#[derive(Debug)]
struct Dense;

impl Stage for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn columns(&self) -> &'static [&'static Column] {
        &COLUMNS
    }

    fn apply(&self, slice: &mut Slice, _scratch: &mut Scratch) -> Result<(), Fault> {
        let Some(mask) = &slice.mask else { return Ok(()) };
        let hu = slice.pixels.hu()?;
        let dense = hu.indexed_iter().filter(|&((row, column), &hu)| hu > 100 && mask.get(row, column));
        let (dense, head) = (dense.count(), mask.count());
        let share = (head > 0).then(|| dense as f64 / head as f64);
        slice.facts.set_some(&DENSE_SHARE, share);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // The one line: where in the order of the steps it stands.
    let pipeline = Pipeline::new(&Recipe::head(), &Key::new([0; 32])).with_stage_after("denoise", Box::new(Dense));
    println!("{pipeline:?}");

    let folder = std::env::temp_dir().join(format!("dcmshard-own-stage-{}", std::process::id()));
    let options = PhantomOptions { heads: 2, slices_per_head: 3, ..Default::default() };
    let truth = phantom::write_archive(&folder, &options)?;
    let mut scratch = Scratch::default();
    for (n, drawn) in truth.files.iter().enumerate() {
        let input = InputRef::file(SourceId([0; 24]), &folder.join(&drawn.path));
        let at = SliceRef { ordinal: Ordinal(n as u64), input, frame: 0 };
        match pipeline.process(&at, &mut scratch) {
            Ok(slice) => println!("slice {n}: {:?}", slice.facts.get(DENSE_SHARE.name)),
            Err(reject) => println!("slice {n}: {}", reject.fault),
        }
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
