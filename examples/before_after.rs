//! Draws the README's picture: one phantom slice as stored, and its row.
//!
//! ```text
//! cargo run --release --example before_after docs/before-after.png
//! ```

use std::error::Error;

use dcmshard::identity::{Key, SourceId};
use dcmshard::phantom::{self, PhantomOptions};
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, Pixels, SliceRef};
use dcmshard::stage::Scratch;
use image::{GrayImage, Luma, imageops};

/// Pixels between the two halves.
const GAP_PX: u32 = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let picture = std::env::args().nth(1).ok_or("name the PNG to write")?;
    let folder = std::env::temp_dir().join(format!("dcmshard-picture-{}", std::process::id()));
    let options = PhantomOptions { heads: 10, slices_per_head: 9, ..Default::default() };
    let truth = phantom::write_archive(&folder, &options)?;

    // A slice through the ventricles with blood in it, of the head that lies most askew.
    let middle = truth.files.iter().filter(|file| file.slice == 5 && file.bleed);
    let chosen = middle.max_by(|a, b| a.tilt_deg.abs().total_cmp(&b.tilt_deg.abs())).ok_or("no slice has a bleed")?;
    let input = InputRef::file(SourceId([0; 24]), &folder.join(&chosen.path));
    let at = SliceRef { ordinal: Ordinal(0), input, frame: 0 };

    let pipeline = Pipeline::new(&Recipe::head(), &Key::new([0; 32]));
    let scratch = &mut Scratch::default();
    let stored = pipeline.step(1, pipeline.decode(&at, scratch), scratch).map_err(|reject| reject.fault)?;
    let row = pipeline.process(&at, scratch).map_err(|reject| reject.fault)?;
    std::fs::remove_dir_all(&folder)?;

    let before = stored.pixels.hu()?;
    let Pixels::U8(after) = &row.pixels else { return Err("recipe head makes uint8".into()) };
    let (height, width) = (before.nrows() as u32, before.ncols() as u32);
    let left = GrayImage::from_fn(width, height, |x, y| {
        Luma([(i32::from(before[[y as usize, x as usize]]) * 255 / 80).clamp(0, 255) as u8])
    });
    let right = GrayImage::from_fn(512, 512, |x, y| Luma([after[[0, y as usize, x as usize]]]));
    let mut both = GrayImage::from_pixel(width + GAP_PX + 512, height.max(512), Luma([255]));
    imageops::replace(&mut both, &left, 0, 0);
    imageops::replace(&mut both, &right, i64::from(width + GAP_PX), 0);
    both.save(&picture)?;
    Ok(())
}
