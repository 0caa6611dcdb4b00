//! libFuzzer calls the target that the variable `TARGET` names. With `SEEDS=FOLDER` it writes what every
//! target starts from, and ends.

#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use dcmshard::runner::Cancel;
use dcmshard::convert::Conversion;
use dcmshard::fuzzing;
use dcmshard::options::Options;
use dcmshard::phantom::{PhantomOptions, write_archive};
use dcmshard::recipe::Recipe;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<String> = LazyLock::new(|| std::env::var("TARGET").expect("TARGET names a target"));

fn init() {
    // The hook of libfuzzer-sys ends the process at any panic. One in somebody else's codec is caught, and
    // is a fault of the frame; one that is not caught ends the process all the same.
    drop(std::panic::take_hook());
    if let Ok(folder) = std::env::var("SEEDS") {
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
        fuzzing::write_seeds(&committed, Path::new(&folder)).expect("seeds can be written");
        write_out(Path::new(&folder)).expect("a small data set can be made");
        std::process::exit(0);
    }
}

/// Every file of a small data set, for the targets that read data sets.
fn write_out(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let work = folder.join("work");
    let (archive, out) = (work.join("archive"), work.join("out"));
    let options = PhantomOptions { heads: 1, slices_per_head: 2, size: 128, extras: true, ..Default::default() };
    write_archive(&archive, &options)?;
    let recipe = Recipe::from_toml("", &["crop_pad.size=16".to_owned()])?;
    let options = Options::default();
    Conversion::open(&[archive], &out, &recipe, &options)?.run(&Cancel::default())?;
    let mut folders = vec![work.clone()];
    let mut number = 0;
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            let target = match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => {
                    folders.push(path);
                    continue;
                }
                Some("json") => "out_json",
                Some("parquet") => "out_table",
                _ => continue,
            };
            let to: PathBuf = folder.join(target);
            std::fs::create_dir_all(&to)?;
            std::fs::copy(&path, to.join(number.to_string()))?;
            number += 1;
        }
    }
    std::fs::remove_dir_all(work)?;
    Ok(())
}

fuzz_target!(init: init(), |bytes: &[u8]| fuzzing::run(&TARGET, bytes));
