//! One DICOM file through the line, without an output folder.
//!
//! ```text
//! cargo run --release --example one_file FILE [RECIPE]
//! ```
//!
//! Without a file it draws a phantom slice and takes that.

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::path::{Path, PathBuf};

use dcmshard::identity::{Key, SourceId};
use dcmshard::phantom::{self, PhantomOptions};
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, SliceRef};
use dcmshard::stage::Scratch;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (file, recipe) = (arguments.next(), arguments.next());
    let recipe = Recipe::shipped(recipe.as_deref().unwrap_or("head")).ok_or("no recipe of this name ships")?;

    // Pseudonyms need a key. A data set keeps its own in OUT.private; this one is thrown away.
    let pipeline = Pipeline::new(&recipe, &Key::new([0; 32]));
    let folder = std::env::temp_dir().join(format!("dcmshard-one-file-{}", std::process::id()));
    let path = match &file {
        Some(file) => PathBuf::from(file),
        None => draw_one_slice(&folder)?,
    };
    let input = InputRef::file(SourceId([0; 24]), &path);
    let at = SliceRef { ordinal: Ordinal(0), input, frame: 0 };

    match pipeline.process(&at, &mut Scratch::default()) {
        Ok(slice) => {
            println!("tensor {:?}, (channel, row, column)", slice.pixels.dim());
            for (column, value) in slice.facts.iter() {
                println!("{column:<28} {value:?}");
            }
        }
        Err(reject) => println!("no row: {} at {}: {}", reject.fault.reason, reject.stage, reject.fault.detail),
    }
    if file.is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// A phantom head of one slice, below `folder`.
fn draw_one_slice(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let options = PhantomOptions { heads: 1, slices_per_head: 1, ..Default::default() };
    let truth = phantom::write_archive(folder, &options)?;
    let first = truth.files.first().ok_or("a phantom of one slice has one slice")?;
    Ok(folder.join(&first.path))
}
