//! CPU time per kernel, ns a pixel of the slice, and per stage, us a slice: `make bench`.
//!
//! Medians over slices of medians over rounds; every slice is visited before any is visited again, so
//! that no processor learns one slice by heart. The slices are the program's phantoms and, where it
//! stands beside the checkout, a real head of 28 slices.

#![allow(clippy::print_stdout, reason = "a bench prints")]

use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use dcmshard::identity::{Key, SourceId};
use dcmshard::kernel::contour::{Keep, largest_external};
use dcmshard::kernel::label::Components;
use dcmshard::kernel::mask::Mask;
use dcmshard::kernel::morphology::{dilate_3x3, erode_3x3, fill_holes};
use dcmshard::kernel::{ellipse, window};
use dcmshard::phantom::{PhantomOptions, write_archive};
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::{Recipe, SHIPPED};
use dcmshard::slice::{InputRef, Ordinal, Slice, SliceRef};
use dcmshard::stage::Scratch;
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 7;

/// CPU time of this thread, microseconds.
fn now_us() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

/// Times of named steps: one list per slice.
#[derive(Default)]
struct Times(Vec<(String, Vec<Vec<f64>>)>);

impl Times {
    fn of<R>(&mut self, name: &str, slice: usize, step: impl FnOnce() -> R) -> R {
        let start = now_us();
        let result = step();
        let took = now_us() - start;
        let at = self.0.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.0.push((name.to_owned(), Vec::new()));
            self.0.len() - 1
        });
        let slices = &mut self.0[at].1;
        slices.resize(slices.len().max(slice + 1), Vec::new());
        slices[slice].push(took);
        result
    }

    fn print(self, title: &str, pixels: usize) {
        println!("\n{title}\n{:24} {:>10} {:>10} {:>12}", "", "median us", "p90 us", "ns a pixel");
        for (name, slices) in self.0 {
            let medians: Vec<f64> = slices.into_iter().filter(|times| !times.is_empty()).map(|t| at(t, 0.5)).collect();
            let median = at(medians.clone(), 0.5);
            println!("{name:24} {median:10.1} {:10.1} {:12.4}", at(medians, 0.9), 1000.0 * median / pixels as f64);
        }
    }
}

/// The value below which this share of them lies.
fn at(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len() as f64 * share) as usize).copied().unwrap_or(0.0)
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(self::files(&path)?),
            false => files.push(path),
        }
    }
    files.sort();
    Ok(files)
}

fn at_file(path: &Path) -> SliceRef {
    SliceRef { ordinal: Ordinal(0), input: InputRef::file(SourceId([0; 24]), path), frame: 0 }
}

/// The kernels of `denoise` and of the angle, one after the other, as recipe `head` runs them.
fn kernels(slice: &Slice, index: usize, times: &mut Times) -> Option<()> {
    let hu = slice.pixels.hu().ok()?;
    let spare = slice.guide.clone();
    times.of("guide", index, || black_box(window::guide(hu, 0.0, 80.0, spare)));
    let mask = times.of("mask of the guide", index, || Mask::nonzero(slice.guide.view()));
    let components = times.of("label", index, || Components::of(&mask));
    let largest = times.of("largest", index, || components.largest())?;
    let filled = times.of("fill holes", index, || fill_holes(&largest));
    let dilated = times.of("dilate", index, || dilate_3x3(&filled));
    let eroded = times.of("erode", index, || erode_3x3(&dilated));
    let contour = times.of("contour, all points", index, || largest_external(&eroded, Keep::All))?;
    times.of("contour, corners", index, || black_box(largest_external(&dilated, Keep::Corners)));
    let ellipse = times.of("ellipse", index, || ellipse::fit(&contour.points))?;
    times.of("standard error", index, || black_box(ellipse.tilt_stderr_deg(&contour.points)));
    Some(())
}

fn bench(name: &str, files: &[PathBuf]) {
    let mut scratch = Scratch::default();
    for shipped in SHIPPED {
        let Some(recipe) = Recipe::shipped(shipped.name) else { continue };
        let pipeline = Pipeline::new(&recipe, &Key::new([0; 32]));
        let (mut stages, mut parts, mut pixels) = (Times::default(), Times::default(), 0);
        for _ in 0..ROUNDS {
            for (index, path) in files.iter().enumerate() {
                let mut outcome = pipeline.decode(&at_file(path), &mut scratch);
                for step in 1..pipeline.steps() {
                    outcome = stages.of(pipeline.step_name(step), index, || pipeline.step(step, outcome, &mut scratch));
                    if let (1, "head", Ok(slice)) = (step, shipped.name, &outcome) {
                        pixels = slice.guide.len();
                        kernels(slice, index, &mut parts);
                    }
                }
            }
        }
        if pixels > 0 {
            parts.print(&format!("{name}: kernels"), pixels);
        }
        stages.print(&format!("{name}: stages, {}", shipped.name), 512 * 512);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    write_archive(folder.path(), &PhantomOptions { heads: 2, slices_per_head: 12, ..Default::default() })?;
    let phantoms = files(folder.path())?.into_iter().filter(|path| path.extension().is_none_or(|e| e != "json"));
    bench("24 phantoms", &phantoms.collect::<Vec<_>>());
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/series/head-ct-tilt");
    match real.is_dir() {
        true => bench("28 real slices of a head", &files(&real)?),
        false => println!("\nno real slices: ../shared/data is not here"),
    }
    Ok(())
}
