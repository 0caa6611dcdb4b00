//! Promise: whatever the history of an archive and its runs, the rows are those of one fresh run.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dcmshard::convert::{Conversion, Summary};
use dcmshard::error::Error;
use dcmshard::runner::Cancel;

use crate::growth::{Place, RowSet, ct, row_set};
use crate::line::Tested;
use crate::made::Ct;
use crate::power_loss::OUT;
use crate::simulated_disk::{Fault, Image, SimulatedDisk};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

fn convert(place: &Place, disk: &SimulatedDisk) -> Result<Summary, Error> {
    let storage = Arc::new(disk.clone());
    Conversion::open_on(storage, &[place.src()], Path::new(OUT), &place.recipe, &place.options)?.run(&Cancel::default())
}

fn rows(disk: &SimulatedDisk) -> RowSet {
    let files = disk.image().files();
    let shards = files.iter().filter(|(path, _)| path.starts_with(Path::new(OUT).join("data")));
    row_set(shards.map(|(_, bytes)| bytes.to_vec()))
}

/// A few new files: slices, some that are rejected by the header or by the pixels, some that are none.
fn grow(place: &Place, random: &mut Random, next: &mut u32) {
    for _ in 0..1 + random.below(6) {
        let name = format!("p{}/{next}.dcm", random.below(6));
        match random.below(8) {
            0 => place.add(&name, &Ct { slope: "0", ..ct(*next) }),
            1 => place.add(&name, &Ct { slope: "1e300", ..ct(*next) }),
            2 => {
                place.add(&name, &ct(*next));
                fs::write(place.src().join(&name), "no DICOM").expect("can be written");
            }
            _ => place.add(&name, &ct(*next)),
        }
        *next += 1;
    }
}

/// Another time for a file, the same content.
fn touch(place: &Place, random: &mut Random) {
    let files = walkdir::WalkDir::new(place.src()).sort_by_file_name().into_iter().filter_map(Result::ok);
    let files: Vec<_> = files.filter(|entry| entry.file_type().is_file()).collect();
    let path = files[random.below(files.len() as u64) as usize].path();
    let file = File::options().append(true).open(path).expect("can be opened");
    let time = file.metadata().and_then(|metadata| metadata.modified()).expect("stands");
    file.set_modified(time + Duration::from_secs(1 + random.below(1000))).expect("can be set");
}

/// G04: grown, touched, killed at any operation on the disk, run again; then one run to the end.
#[test]
fn twenty_histories_of_growth_and_kills_have_the_rows_of_one_fresh_run() -> Tested {
    let (mut kills, mut generations) = (0, 0);
    for seed in 0..20 {
        let (mut random, mut next) = (Random(seed), 0);
        let place = Place::new(1 + random.below(4) as u32);
        let mut image = Image::default();
        for _ in 0..3 + random.below(3) {
            grow(&place, &mut random, &mut next);
            for _ in 0..random.below(3) {
                let fault = if random.below(2) == 0 { Fault::Kill } else { Fault::KillHalfway };
                let disk = SimulatedDisk::of(image).failing(random.below(250) as usize, fault);
                kills += usize::from(convert(&place, &disk).is_err());
                image = disk.image();
                if random.below(2) == 0 {
                    touch(&place, &mut random);
                }
                if random.below(2) == 0 {
                    grow(&place, &mut random, &mut next);
                }
            }
            if random.below(2) == 0 {
                let disk = SimulatedDisk::of(image);
                convert(&place, &disk)?;
                image = disk.image();
            }
        }
        let (grown, fresh) = (SimulatedDisk::of(image), SimulatedDisk::default());
        let ended = convert(&place, &grown)?;
        assert_eq!(ended.plan.changed, 0, "seed {seed}");
        assert!(
            rows(&grown)
                == rows(&{
                    convert(&place, &fresh)?;
                    fresh.clone()
                }),
            "seed {seed}: other rows"
        );
        assert_eq!(ended.tally, convert(&place, &fresh)?.tally, "seed {seed}");
        // What was touched between a plan and its shards is compared once more, and then never.
        convert(&place, &grown)?;
        let again = convert(&place, &grown)?;
        assert_eq!((again.plan.examined, again.plan.compared, again.tally), (0, 0, ended.tally), "seed {seed}");
        let files = grown.image().files();
        generations += (1..)
            .take_while(|g| files.contains_key(&Path::new(OUT).join(format!("plan/g{g:06}/complete.json"))))
            .count();
    }
    eprintln!("{kills} kills, {generations} generations");
    Ok(())
}
