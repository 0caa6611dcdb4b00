//! Promise: an archive may grow, change and move between runs, and while one goes: what is known is not
//! opened again, old shards keep their bytes, and in the end there is a row for each slice, once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef};
use dcmshard::convert::{Conversion, Summary};
use dcmshard::decode::{Examined, examine};
use dcmshard::error::{Error, ExitCode};
use dcmshard::identity::SourceId;
use dcmshard::options::Options;
use dcmshard::pipeline::Pipeline;
use dcmshard::plan::{PlanCounts, Planner};
use dcmshard::reason::{Class, Reason};
use dcmshard::recipe::Recipe;
use dcmshard::runner::{self, Cancel, Counters, Line, ShardPlan, Snapshot};
use dcmshard::sink::dataset::Dataset;
use dcmshard::sink::ledger::{self, LedgerRow, Tally};
use dcmshard::slice::Bytes;
use dcmshard::source;
use dcmshard::verify::{self, ReadData};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::line::{self, Tested};
use crate::made::{Ct, key};
use crate::shards::{hashes, parquet_files};

/// Every row by source_id and frame, all columns.
pub type RowSet = BTreeMap<(String, i32), Vec<ArrayRef>>;

/// The rows of shards, given as bytes; no row may be there twice.
pub fn row_set(shards: impl Iterator<Item = Vec<u8>>) -> RowSet {
    let mut set = RowSet::new();
    for shard in shards {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(shard)).expect("is Parquet");
        for batch in builder.build().expect("can be read") {
            let batch = batch.expect("can be read");
            let ids = batch.column_by_name("source_id").expect("a column").as_string::<i32>();
            let frames = batch.column_by_name("frame").expect("a column").as_primitive::<Int32Type>();
            for row in 0..batch.num_rows() {
                let columns = batch.columns().iter().map(|column| column.slice(row, 1)).collect();
                let before = set.insert((ids.value(row).to_owned(), frames.value(row)), columns);
                assert!(before.is_none(), "row {} of {} is there twice", frames.value(row), ids.value(row));
            }
        }
    }
    set
}

/// An archive in the making, and data sets of it.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub recipe: Recipe,
    pub options: Options,
}

/// A run that ended well.
struct Ran {
    summary: Summary,
    counters: Snapshot,
}

impl Ran {
    fn plan(&self) -> PlanCounts {
        self.summary.plan
    }

    /// Files that were opened, for whatever purpose.
    fn opened(&self) -> u64 {
        let decoded: u64 = self.counters.steps.iter().map(|step| step.slices).sum();
        self.counters.headers_read + self.plan().examined + self.plan().compared + decoded
    }
}

/// A slice of its own for each number.
pub fn ct(n: u32) -> Ct {
    Ct::head(32, 10.0 + f64::from(n % 4), 8.0, f64::from(n % 30)).with_uid(n)
}

impl Place {
    pub fn new(rows_per_shard: u32) -> Place {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let key_path = dir.path().join("key");
        fs::write(&key_path, key().bytes()).expect("can be written");
        fs::create_dir(dir.path().join("src")).expect("can be made");
        let settings = [format!("output.rows_per_shard={rows_per_shard}"), "crop_pad.size=16".to_owned()];
        let recipe = Recipe::from_toml("", &settings).expect("sound");
        let options = Options { key_file: Some(key_path), ..line::options(2, 2, 64) };
        Place { dir, recipe, options }
    }

    pub fn src(&self) -> PathBuf {
        self.dir.path().join("src")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    pub fn add(&self, name: &str, ct: &Ct) {
        ct.write(&self.src().join(name));
    }

    fn fill(&self, numbers: std::ops::Range<u32>) {
        numbers.for_each(|n| self.add(&format!("p{}/{n}.dcm", n % 3), &ct(n)));
    }

    fn id(&self, name: &str) -> SourceId {
        let folder = Path::new(name).parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        key().source_id("src", folder.as_bytes(), name.as_bytes())
    }

    fn convert(&self) -> Ran {
        self.convert_to(&self.out())
    }

    fn convert_to(&self, out: &Path) -> Ran {
        let conversion = Conversion::open(&[self.src()], out, &self.recipe, &self.options).expect("can be opened");
        let summary = conversion.run(&Cancel::default()).expect("ends well");
        summary.tally.check().expect("balanced");
        drop(conversion.counters());
        Ran { summary, counters: conversion.counters().snapshot() }
    }

    /// The first run, or the next one, with another header pass and smaller segments.
    fn convert_as(
        &self,
        segment_slices: u64,
        examine: &(dyn Fn(&Bytes) -> Examined + Sync),
    ) -> Result<PlanCounts, Error> {
        let sources = source::resolve(&[self.src()])?;
        let dataset = Dataset::open(&self.out(), &self.recipe, self.options.key_file.as_deref())?;
        let planner = Planner::new(&dataset, &self.recipe, &sources, examine)?;
        let mut planner = planner.with_segment_slices(segment_slices);
        let shards = planner.by_ref().flat_map(|segment| match segment {
            Ok(segment) => ShardPlan::of(&segment).map(Ok).collect(),
            Err(error) => vec![Err(error)],
        });
        let pipeline = Pipeline::new(&self.recipe, &dataset.key);
        let line = Line {
            pipeline: &pipeline,
            recipe: &self.recipe,
            options: &self.options,
            folder: &dataset.out,
            sources: &sources,
            key_id: &dataset.key.id(),
            suspects: None,
        };
        runner::run_shards(&line, shards, &Counters::new(&pipeline), &Cancel::default())?;
        Ok(planner.counts())
    }

    fn rows(&self, out: &Path) -> RowSet {
        row_set(parquet_files(&out.join("data")).iter().map(|path| fs::read(path).expect("can be read")))
    }

    /// Rows and counts of a data set made in one run of what the archive holds now.
    fn fresh(&self) -> (RowSet, Tally) {
        let out = self.dir.path().join("fresh");
        let ran = self.convert_to(&out);
        let rows = self.rows(&out);
        for folder in [&out, &self.dir.path().join("fresh.private")] {
            fs::remove_dir_all(folder).expect("can be removed");
        }
        (rows, ran.summary.tally)
    }

    /// O1, O4 and the row set: the data set is sound, and holds the rows of a fresh run.
    fn check_as_fresh(&self) {
        self.check_sound();
        assert!(self.rows(&self.out()) == self.fresh().0, "other rows than a fresh run");
    }

    fn check_sound(&self) {
        let findings = verify::verify(
            &self.out(),
            &verify::Options { read_data: ReadData::All, ..verify::Options::default() },
            &mut |_| {},
        )
        .expect("can be verified");
        assert!(findings.problems.is_empty(), "{:?}", findings.problems);
    }

    /// The rows of all ledgers, later generations behind earlier ones.
    fn ledger(&self) -> Vec<LedgerRow> {
        let parts = parquet_files(&self.out().join("ledger"));
        parts.iter().flat_map(|part| ledger::read(part).expect("a ledger part")).collect()
    }

    fn rows_of(&self, name: &str) -> Vec<LedgerRow> {
        let id = self.id(name);
        self.ledger().into_iter().filter(|row| row.source_id == id).collect()
    }

    /// Bytes and modification times of what is published.
    fn state(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        let files = ["data", "ledger", "plan"].map(|folder| parquet_files(&self.out().join(folder)));
        let time = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).expect("stands");
        files.into_iter().flatten().map(|path| (path.clone(), (fs::read(&path).expect("bytes"), time(&path)))).collect()
    }

    fn touch(&self, name: &str) {
        let file = File::options().append(true).open(self.src().join(name)).expect("can be opened");
        let now = file.metadata().and_then(|metadata| metadata.modified()).expect("stands");
        file.set_modified(now + Duration::from_secs(3600)).expect("can be set");
    }
}

/// Every file of `before` is there as it was.
fn check_kept(before: &BTreeMap<PathBuf, (Vec<u8>, SystemTime)>, place: &Place) {
    let after = place.state();
    for (path, was) in before {
        assert!(after.get(path) == Some(was), "{} is not as it was", path.display());
    }
}

/// G01: wherever new files come in the order of the walk.
#[test]
fn new_inputs_in_front_in_the_middle_and_at_the_end_make_new_shards_and_open_nothing_old() -> Tested {
    let place = Place::new(4);
    place.fill(0..18);
    place.convert();
    let mut known: Vec<SourceId> = (0..18).map(|n| place.id(&format!("p{}/{n}.dcm", n % 3))).collect();
    known.sort_unstable();
    let (first, middle, last) = (known[0], known[9], known[17]);
    let is_at: [&dyn Fn(&SourceId) -> bool; 3] =
        [&|id| *id < first, &|id| *id > first && *id < middle, &|id| *id > last];
    for (at, is_there) in (100..).zip(is_at) {
        let before = place.state();
        let name = (0..100_000).map(|n| format!("new{n}/{at}.dcm")).find(|name| is_there(&place.id(name)));
        place.add(&name.ok_or("a name with such a place")?, &ct(at));
        let ran = place.convert();
        assert_eq!((ran.plan().examined, ran.counters.headers_read, ran.counters.walked), (1, 1, 1));
        assert_eq!((ran.summary.exit_code(), ran.counters.shards), (ExitCode::Done, 1));
        check_kept(&before, &place);
        place.check_as_fresh();
        assert_eq!(place.convert().opened(), 0);
    }
    let (rows, tally) = place.fresh();
    assert_eq!((rows.len(), place.convert().summary.tally), (21, tally));
    Ok(())
}

/// O2 of a finished conversion: nothing is opened, and nothing published.
#[test]
fn a_finished_conversion_run_again_opens_no_input() {
    let place = Place::new(64);
    (0..1500).for_each(|n| Ct::empty(8, 8).with_uid(n).write(&place.src().join(format!("{}/{n}", n % 7))));
    place.add("rejected", &Ct { slope: "0", ..ct(2000) });
    place.add("rejected-later", &Ct { slope: "1e300", ..ct(2001) });
    fs::write(place.src().join("notes.txt"), "no DICOM").expect("can be written");
    let tally = place.convert().summary.tally;
    let before = (place.state(), hashes(&place.out()));
    let again = place.convert();
    assert_eq!((again.opened(), again.plan().known, again.counters.existing), (0, 1503, 1501));
    assert_eq!((again.summary.tally, again.counters.shards), (tally, 0));
    assert!(before == (place.state(), hashes(&place.out())));
}

/// G02: another time, the same content.
#[test]
fn a_touched_input_is_read_once_and_has_no_new_row() {
    let place = Place::new(4);
    place.fill(0..6);
    fs::write(place.src().join("notes.txt"), "no DICOM").expect("can be written");
    place.add("copy", &ct(0));
    let tally = place.convert().summary.tally;
    let before = place.state();
    ["p0/0.dcm", "p1/4.dcm", "notes.txt", "copy"].iter().for_each(|name| place.touch(name));
    let ran = place.convert();
    assert_eq!((ran.plan().touched, ran.plan().compared, ran.plan().examined, ran.plan().known), (4, 2, 2, 4));
    assert_eq!((ran.summary.exit_code(), ran.summary.tally, ran.counters.walked), (ExitCode::Done, tally, 0));
    check_kept(&before, &place);
    let again = place.convert();
    assert_eq!((again.opened(), again.plan().touched, again.plan().known), (0, 0, 8));
    place.check_as_fresh();
    // And once more: the latest time counts.
    place.touch("p0/0.dcm");
    assert_eq!(place.convert().plan().touched, 1);
    assert_eq!(place.convert().opened(), 0);
    place.check_sound();
}

/// G02: other content under a path that is a row.
#[test]
fn a_changed_input_keeps_its_row_and_is_said_by_every_run_until_it_is_back() {
    let place = Place::new(4);
    place.fill(0..6);
    place.convert();
    let (before, rows) = (place.state(), place.rows(&place.out()));
    place.add("p0/3.dcm", &ct(77));
    let other_pixels = Ct { stored: ct(5).stored, ..ct(4) };
    place.add("p1/4.dcm", &other_pixels);
    for name in ["p0/3.dcm", "p1/4.dcm"] {
        place.touch(name);
    }
    for _ in 0..2 {
        let ran = place.convert();
        assert_eq!((ran.plan().changed, ran.plan().compared), (2, 2));
        assert_eq!(ran.summary.exit_code(), ExitCode::Rejects);
        assert!(before == place.state() && rows == place.rows(&place.out()));
        place.check_sound();
    }
    place.fill(3..5);
    assert_eq!(place.convert().summary.exit_code(), ExitCode::Done);
    place.check_as_fresh();
}

/// G02: moved, copied, vanished.
#[test]
fn moved_and_copied_inputs_are_duplicates_that_name_their_winner_and_vanished_ones_keep_their_rows() -> Tested {
    let place = Place::new(4);
    place.fill(0..6);
    place.convert();
    let (before, rows) = (place.state(), place.rows(&place.out()));
    fs::rename(place.src().join("p0/0.dcm"), place.src().join("moved.dcm"))?;
    fs::copy(place.src().join("p1/1.dcm"), place.src().join("copied.dcm"))?;
    fs::remove_file(place.src().join("p2/2.dcm"))?;
    let ran = place.convert();
    assert_eq!((ran.plan().vanished, ran.plan().examined, ran.plan().known), (2, 2, 4));
    assert_eq!((ran.summary.exit_code(), ran.summary.tally.of(Class::Duplicate)), (ExitCode::Done, 2));
    check_kept(&before, &place);
    assert!(rows == place.rows(&place.out()));
    for (loser, winner) in [("moved.dcm", "p0/0.dcm"), ("copied.dcm", "p1/1.dcm")] {
        let [row] = &place.rows_of(loser)[..] else { return Err("one row".into()) };
        assert_eq!((row.class, row.winner), (Class::Duplicate, Some(place.id(winner))));
    }
    let again = place.convert();
    assert_eq!((again.opened(), again.plan().vanished), (0, 2));
    place.check_sound();
    Ok(())
}

/// G02: what was rejected or no slice, and is one now. Its rows of then count no more.
#[test]
fn what_is_mended_is_planned_anew_and_counted_once() {
    let place = Place::new(4);
    place.fill(0..6);
    let beyond = |n| Ct { slope: "1e300", ..ct(n) };
    place.add("header.dcm", &Ct { slope: "0", ..ct(10) });
    place.add("pixels.dcm", &beyond(11));
    place.add("other.dcm", &beyond(12));
    place.add("still.dcm", &beyond(13));
    fs::write(place.src().join("late.dcm"), "not yet copied").expect("can be written");
    let ran = place.convert();
    assert_eq!((ran.summary.tally.found, ran.summary.tally.of(Class::Rejected)), (11, 4));
    assert_eq!(place.convert().opened(), 0, "what is rejected for good is not opened again");
    let before = place.state();
    for (name, n) in [("header.dcm", 10), ("pixels.dcm", 11), ("other.dcm", 112), ("late.dcm", 14)] {
        place.add(name, &ct(n));
        place.touch(name);
    }
    // Another file, and as bad.
    place.add("still.dcm", &Ct { stored: ct(1).stored, ..beyond(13) });
    place.touch("still.dcm");
    let ran = place.convert();
    assert_eq!((ran.summary.exit_code(), ran.plan().changed), (ExitCode::Done, 0));
    check_kept(&before, &place);
    place.check_as_fresh();
    assert_eq!(ran.summary.tally, place.fresh().1);
    assert_eq!(
        place.rows_of("pixels.dcm").iter().map(|row| row.class).collect::<Vec<_>>(),
        [Class::Rejected, Class::Written]
    );
    let again = place.convert();
    assert_eq!((again.opened(), &again.summary.tally), (0, &ran.summary.tally));
    // Nobody holds the SOP Instance that was in `other.dcm` before.
    place.add("found-elsewhere.dcm", &ct(12));
    assert_eq!(place.convert().summary.tally.of(Class::Duplicate), 0);
    place.check_as_fresh();
}

/// G02: a planned slice that could not be read is a gap; it is planned anew when it can be read.
#[test]
fn what_could_not_be_read_is_planned_into_the_next_generation_once_it_can() -> Tested {
    let place = Place::new(4);
    place.fill(0..6);
    place.add("copy", &ct(0));
    let away = place.dir.path().join("away");
    let gone = [place.src().join("p0/0.dcm"), place.src().join("p1/1.dcm"), place.src().join("copy")];
    let hide = Mutex::new(0);
    // All are planned, then taken away before one is decoded.
    let counts = place.convert_as(100, &|bytes| {
        let examined = examine(bytes, &place.recipe);
        let mut seen = hide.lock().expect("not poisoned");
        *seen += 1;
        if *seen == 7 {
            fs::create_dir(&away).expect("can be made");
            for path in &gone {
                fs::rename(path, away.join(path.file_name().expect("a name"))).expect("can be moved");
            }
        }
        examined
    })?;
    assert_eq!(counts.examined, 7);
    let unreadable = |rows: &[LedgerRow]| rows.iter().filter(|row| row.reason == Some(Reason::Unreadable)).count();
    assert_eq!(unreadable(&place.ledger()), 2);
    let before = place.state();
    let ran = place.convert();
    assert_eq!((ran.opened(), ran.summary.tally.of(Class::Rejected)), (0, 2), "still away");
    // One comes back; of the other, or its copy, only one is left, under the other path.
    fs::rename(away.join("1.dcm"), &gone[1])?;
    let duplicate = place.ledger().iter().any(|row| row.source_id == place.id("copy") && row.class == Class::Duplicate);
    let loser = if duplicate { &gone[2] } else { &gone[0] };
    fs::write(loser, ct(0).bytes())?;
    let ran = place.convert();
    // The copy's size is as it was and its time is not: it is opened for it, or because its winner is lost.
    assert_eq!((ran.plan().changed, ran.plan().vanished, ran.counters.written), (0, 1, 2));
    check_kept(&before, &place);
    place.check_as_fresh();
    assert_eq!(ran.summary.tally.of(Class::Rejected), 1, "the path that is lost");
    assert_eq!(place.convert().opened(), 0);
    Ok(())
}

/// `dcmshard convert` without the right to read what its mode forbids, also as root.
fn convert_without_rights(place: &Place) -> Option<i32> {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]);
    command.arg(env!("CARGO_BIN_EXE_dcmshard")).arg("convert").arg(place.src()).arg("--out").arg(place.out());
    command.arg("--key").arg(place.dir.path().join("key"));
    command.args(["--set", "output.rows_per_shard=4", "--set", "crop_pad.size=16", "--progress", "none"]);
    command.output().ok()?.status.code()
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("can be set");
}

/// G02: permission lost and given back, of files and of a folder; known inputs do not care.
#[test]
fn permission_lost_and_given_back_costs_nothing_but_a_run() {
    let place = Place::new(4);
    place.fill(0..6);
    if convert_without_rights(&place) != Some(0) {
        eprintln!("skipped: setpriv is not here, or may not take rights away");
        return;
    }
    place.fill(6..9);
    place.add("closed/9.dcm", &ct(9));
    let forbidden = ["p0/0.dcm", "p0/6.dcm", "p1/7.dcm", "closed"].map(|name| place.src().join(name));
    forbidden.iter().for_each(|path| set_mode(path, 0));
    assert_eq!(convert_without_rights(&place), Some(0));
    let unreadable = place.ledger().iter().filter(|row| row.reason == Some(Reason::Unreadable)).count();
    assert_eq!(unreadable, 3, "two new files and a folder");
    let before = place.state();
    assert_eq!(convert_without_rights(&place), Some(0));
    assert!(before == place.state(), "the same again is nothing new");
    set_mode(&forbidden[3], 0o700);
    forbidden[..3].iter().for_each(|path| set_mode(path, 0o600));
    let ran = place.convert();
    assert_eq!((ran.plan().examined, ran.counters.written), (3, 3));
    place.check_as_fresh();
    assert_eq!(place.convert().opened(), 0);
}

/// G03: files that come while the headers are read, in folders listed and not yet listed.
#[test]
fn what_comes_while_a_run_goes_is_in_this_generation_or_the_next_and_never_in_both() -> Tested {
    for segment_slices in [1, 4, 100] {
        let place = Place::new(3);
        place.fill(0..12);
        let seen = Mutex::new(0);
        place.convert_as(segment_slices, &|bytes| {
            let mut seen = seen.lock().expect("not poisoned");
            *seen += 1;
            if *seen <= 12 {
                place.add(&format!("p{}/late{}.dcm", *seen % 3, *seen), &ct(100 + *seen));
                place.add(&format!("new{}/late.dcm", *seen), &ct(200 + *seen));
            }
            examine(bytes, &place.recipe)
        })?;
        let first = place.rows(&place.out()).len();
        assert!(first >= 12);
        let before = place.state();
        let ran = place.convert();
        assert_eq!(ran.counters.written as usize, 36 - first, "segments of {segment_slices}");
        check_kept(&before, &place);
        place.check_as_fresh();
        assert_eq!(place.convert().opened(), 0);
    }
    Ok(())
}

/// C08: copies and instances of one UID with other content, in the same shard, another shard, another
/// segment, another generation; in whatever order the files came.
#[test]
fn of_one_sop_instance_the_same_input_wins_wherever_and_in_whatever_order_its_copies_come() -> Tested {
    let names: Vec<String> = (0..12).map(|n| format!("d{}/{n}.dcm", n % 4)).collect();
    for (rows_per_shard, segment_slices) in [(100, 100), (1, 100), (1, 1), (2, 3)] {
        let mut winners = Vec::new();
        for reversed in [false, true] {
            let place = Place::new(rows_per_shard);
            let mut files: Vec<(u32, &String)> = (0..).zip(&names).collect();
            if reversed {
                files.reverse();
            }
            // Three instances, four files each: two of these are copies, two have other pixels.
            for (n, name) in files {
                place.add(name, &Ct { stored: ct(n % 6).stored, ..ct(n % 3) });
            }
            place.convert_as(segment_slices, &|bytes| examine(bytes, &place.recipe))?;
            let of_class = |class| place.ledger().into_iter().filter(move |row| row.class == class);
            let written: Vec<SourceId> = of_class(Class::Written).map(|row| row.source_id).collect();
            let lost: BTreeMap<_, _> = of_class(Class::Duplicate).map(|row| (row.source_id, row.winner)).collect();
            assert_eq!((written.len(), lost.len()), (3, 9));
            assert!(lost.values().all(|winner| winner.is_some_and(|winner| written.contains(&winner))));
            // Another generation: the one that is a row already wins, wherever the new one stands.
            let before = place.state();
            (20..26).for_each(|n| place.add(&format!("late/{n}.dcm"), &ct(n % 3)));
            let ran = place.convert();
            assert_eq!((ran.counters.written, ran.summary.tally.of(Class::Duplicate)), (0, 15));
            check_kept(&before, &place);
            place.check_sound();
            winners.push((written, lost));
        }
        assert_eq!(winners[0], winners[1], "{rows_per_shard} rows a shard, segments of {segment_slices}");
    }
    Ok(())
}

/// C08: a copy whose header shows damage does not win.
#[test]
fn a_damaged_copy_does_not_win_over_a_sound_one_where_its_header_shows_it() {
    let place = Place::new(4);
    for n in 0..12 {
        place.add(&format!("sound/{n}.dcm"), &ct(n));
        let name = format!("bad/{n}.dcm");
        match n % 3 {
            0 => place.add(&name, &Ct { slope: "0", ..ct(n) }),
            1 => place.add(&name, &Ct { intercept: "", ..ct(n) }),
            _ => {
                let bytes = ct(n).bytes();
                fs::write(place.src().join(&name), &bytes[..bytes.len() - 9]).expect("can be written");
            }
        }
    }
    let tally = place.convert().summary.tally;
    assert_eq!((tally.of(Class::Written), tally.of(Class::Rejected), tally.of(Class::Duplicate)), (12, 12, 0));
    assert_eq!((tally.reasons[&Reason::Rescale], tally.reasons[&Reason::Truncated]), (8, 4));
}
