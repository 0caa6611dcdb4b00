//! The plan: every input is classed and counted, each slice has one place, and neither interruption
//! nor growth nor the machine changes what is there already.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use dcmshard::decode::{CtInput, Examined};
use dcmshard::error::{Error, ExitCode};
use dcmshard::options::Options;
use dcmshard::pipeline::Pipeline;
use dcmshard::plan::{
    PlanCounts, PlannedSlice, Planner, Segment, complete_name, paths_name, segment_ledger_name, segment_name,
};
use dcmshard::reason::{Class, Fault, Reason};
use dcmshard::recipe::{Order, Recipe};
use dcmshard::runner::{self, Cancel, Counters, Line};
use dcmshard::sink::dataset::Dataset;
use dcmshard::sink::ledger::{self, LedgerRow};
use dcmshard::sink::table;
use dcmshard::slice::Bytes;
use dcmshard::source;

type Tested = Result<(), Box<dyn StdError>>;

/// A folder with a source tree, an OUT and a key.
struct Place {
    dir: tempfile::TempDir,
    recipe: Recipe,
    segment_slices: u64,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("key"), [7; 32]).expect("a key");
        fs::create_dir(dir.path().join("scans")).expect("a source");
        let mut recipe = Recipe::head();
        recipe.output.rows_per_shard = 4;
        Place { dir, recipe, segment_slices: 10 }
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("scans")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn private(&self) -> PathBuf {
        self.dir.path().join("out.private")
    }

    fn add(&self, path: &str, content: &str) {
        let path = self.tree().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, content).expect("a file");
    }

    /// A tree with a bit of everything: 60 slices, junk, duplicates.
    fn fill(&self) {
        for n in 0..40 {
            self.add(&format!("p{}/s{}/im{n}", n % 3, n % 5), &ct(n, 1, n % 5, f64::from(n)));
        }
        for n in 0..4 {
            self.add(&format!("enhanced/e{n}"), &ct(100 + n, 5, 9, 0.0));
            self.add(&format!("copies/c{n}"), &ct(n * 7, 1, (n * 7) % 5, f64::from(n * 7)));
            self.add(&format!("notes/n{n}.txt"), "not DICOM");
        }
        self.add("empty", "");
    }

    fn plan(&self) -> Result<(Vec<Segment>, PlanCounts), Error> {
        let sources = source::resolve(&[self.tree()])?;
        let dataset = Dataset::open(&self.out(), &self.recipe, Some(&self.dir.path().join("key")))?;
        let planner = Planner::new(&dataset, &self.recipe, &sources, &examine)?;
        let mut planner = planner.with_segment_slices(self.segment_slices);
        let segments = planner.by_ref().collect::<Result<Vec<_>, _>>()?;
        Ok((segments, planner.counts()))
    }

    /// Every file of the plan and of its ledgers, by name.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for folder in ["plan/g000001", "plan/g000002", "ledger/g000001", "ledger/g000002"] {
            for entry in fs::read_dir(self.out().join(folder)).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                let name = format!("{folder}/{}", path.file_name().expect("a name").display());
                files.push((name, fs::read(path).expect("bytes")));
            }
        }
        files.sort();
        files
    }

    fn ledger(&self, segments: &[Segment]) -> Vec<LedgerRow> {
        let name = |segment: &Segment| self.out().join(segment_ledger_name(segment.generation, segment.index));
        segments.iter().flat_map(|segment| ledger::read(&name(segment)).expect("a ledger")).collect()
    }
}

fn ct(sop: u32, frames: u32, series: u32, position: f64) -> String {
    format!("CT {sop} {frames} {series} {position}")
}

/// Stands in for the header pass: the file says in words what it is.
fn examine(bytes: &Bytes) -> Examined {
    let Bytes::File(path) = bytes else { panic!("only files here") };
    let not = |reason: Reason| Examined::Not(Fault::new(reason, "in words"));
    let Ok(text) = fs::read_to_string(path) else { return not(Reason::Unreadable) };
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["CT", sop, frames, series, position] => Examined::Ct(CtInput {
            frames: frames.parse().expect("a number"),
            rows: 512,
            columns: 512,
            bytes_per_slice: 1000,
            sop_instance_uid: (sop != "-").then(|| format!("1.2.{sop}")),
            series_instance_uid: Some(format!("1.3.{series}")),
            position: position.parse().ok(),
        }),
        ["panic"] => panic!("as asked"),
        ["unreadable"] => not(Reason::Unreadable),
        [""] => not(Reason::EmptyFile),
        _ => not(Reason::NotDicom),
    }
}

fn slices(segments: &[Segment]) -> Vec<PlannedSlice> {
    segments.iter().flat_map(Segment::slices).collect()
}

fn name(slice: &PlannedSlice) -> String {
    let Bytes::File(path) = &slice.at.input.bytes else { panic!("only files here") };
    path.file_name().expect("a name").display().to_string()
}

#[test]
fn ten_thousand_junk_files_and_one_ct_are_one_slice_and_ten_thousand_ledger_rows() -> Tested {
    let mut place = Place::new();
    place.segment_slices = dcmshard::plan::SEGMENT_SLICES;
    for n in 0..10_000 {
        place.add(&format!("d{}/junk{n}", n % 50), "junk");
    }
    place.add("d7/slice", &ct(1, 1, 1, 0.0));
    let (segments, counts) = place.plan()?;
    assert_eq!((segments.len(), slices(&segments).len(), counts.examined), (1, 1, 10_001));
    let rows = place.ledger(&segments);
    assert_eq!(rows.len(), 10_000);
    assert_eq!(rows.iter().map(|row| row.source_id).collect::<BTreeSet<_>>().len(), 10_000);
    assert!(
        rows.iter().all(|row| row.reason == Some(Reason::NotDicom) && row.ordinal.is_none() && row.frame.is_none())
    );
    assert_eq!((segments[0].tally.found, segments[0].tally.of(Class::Filtered)), (10_001, 10_000));
    Ok(())
}

#[test]
fn ordinals_are_dense_frames_stay_together_and_shards_are_cut_by_the_rule() -> Tested {
    let place = Place::new();
    place.fill();
    let (segments, _) = place.plan()?;
    let slices = slices(&segments);
    assert_eq!(slices.len(), 60);
    assert!(segments.len() >= 5, "{} segments", segments.len());
    assert!(slices.iter().enumerate().all(|(n, slice)| slice.at.ordinal.0 == n as u64));
    for pair in slices.windows(2) {
        let [a, b] = pair else { continue };
        assert!(b.shard == a.shard || b.shard == a.shard + 1);
        if a.at.input.source_id == b.at.input.source_id {
            assert_eq!((b.at.frame, b.shard), (a.at.frame + 1, a.shard));
            assert!(Arc::ptr_eq(&a.at.input, &b.at.input));
        } else {
            assert_eq!(b.at.frame, 0);
        }
    }
    for segment in &segments {
        let first = segment.slices().next().map(|slice| slice.shard);
        assert!(segment.index == 0 || slices.iter().filter(|s| Some(s.shard) == first).count() <= 5);
        assert_eq!(segment.slices().count() as u64, segment.slice_count);
    }
    let shards: BTreeSet<u32> = slices.iter().map(|slice| slice.shard).collect();
    for shard in &shards {
        let held = slices.iter().filter(|slice| slice.shard == *shard);
        let inputs: BTreeSet<_> = held.clone().map(|slice| slice.at.input.source_id).collect();
        assert!(held.count() <= 4 || inputs.len() == 1, "shard {shard}");
    }
    assert_eq!(slices[0].weight_bytes, 1000 + 512 * 512 * 4);
    let found: u64 = segments.iter().map(|segment| segment.tally.found).sum();
    assert_eq!(found, 60 + place.ledger(&segments).len() as u64);
    Ok(())
}

#[test]
fn the_plan_does_not_depend_on_the_place_or_on_the_order_of_listing() -> Tested {
    let (one, two) = (Place::new(), Place::new());
    one.fill();
    let mut paths: Vec<PathBuf> = walkdir::WalkDir::new(one.tree())
        .into_iter()
        .filter_map(|entry| entry.ok().filter(|e| e.file_type().is_file()).map(|e| e.into_path()))
        .collect();
    paths.sort();
    for path in paths.iter().rev() {
        let relative = path.strip_prefix(one.tree())?.to_str().ok_or("UTF-8")?;
        two.add(relative, &fs::read_to_string(path)?);
    }
    one.plan()?;
    two.plan()?;
    assert!(one.files().len() > 10);
    assert_eq!(one.files(), two.files());
    Ok(())
}

#[test]
fn a_plan_killed_between_two_publishes_goes_on_to_the_same_bytes() -> Tested {
    let undisturbed = Place::new();
    undisturbed.fill();
    let (segments, _) = undisturbed.plan()?;
    let mut published = Vec::new();
    for segment in &segments {
        let at = (segment.generation, segment.index);
        published.push(undisturbed.out().join(segment_ledger_name(at.0, at.1)));
        published.push(undisturbed.private().join(paths_name(at.0, at.1)));
        published.push(undisturbed.out().join(segment_name(at.0, at.1)));
    }
    published.push(undisturbed.out().join(complete_name(1)));
    let expected = undisturbed.files();
    for kept in 0..published.len() {
        for path in &published[kept..] {
            fs::remove_file(path)?;
        }
        let (again, _) = undisturbed.plan()?;
        assert_eq!(undisturbed.files(), expected, "killed after {kept} publishes");
        assert_eq!(again.len(), segments.len());
    }
    Ok(())
}

#[test]
fn what_came_after_a_kill_joins_the_same_generation() -> Tested {
    let place = Place::new();
    place.fill();
    let (segments, _) = place.plan()?;
    let last = segments.last().ok_or("segments")?;
    // Killed with ledger and paths of the last segment published, but not the segment.
    fs::remove_file(place.out().join(segment_name(1, last.index)))?;
    fs::remove_file(place.out().join(complete_name(1)))?;
    place.add("late/one", &ct(900, 1, 1, 0.0));
    let (segments, _) = place.plan()?;
    assert_eq!(slices(&segments).len(), 61);
    assert!(segments.iter().all(|segment| segment.generation == 1));
    Ok(())
}

#[test]
fn a_segment_of_the_same_inputs_is_not_planned_twice() -> Tested {
    let place = Place::new();
    place.fill();
    let (first, counts) = place.plan()?;
    assert_eq!(counts, PlanCounts { examined: 53, ..PlanCounts::default() });
    let files = place.files();
    let (again, counts) = place.plan()?;
    assert_eq!(counts, PlanCounts { known: 53, ..PlanCounts::default() });
    assert_eq!(place.files(), files);
    let ids = |segments: &[Segment]| {
        slices(segments)
            .iter()
            .map(|s| (s.at.ordinal, s.at.input.source_id, s.at.frame, s.shard, name(s)))
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), ids(&again));
    let tallies =
        |segments: &[Segment]| segments.iter().map(|s| (s.sha256.clone(), s.tally.clone())).collect::<Vec<_>>();
    assert_eq!(tallies(&first), tallies(&again));
    Ok(())
}

#[test]
fn of_duplicates_the_first_in_plan_order_is_planned() -> Tested {
    for (segment_slices, order) in
        [(3, Order::Shuffled), (1000, Order::Shuffled), (3, Order::Series), (1000, Order::Series)]
    {
        let mut place = Place::new();
        (place.segment_slices, place.recipe.output.order) = (segment_slices, order);
        for n in 0..30 {
            place.add(&format!("d{}/im{n}", n % 7), &ct(n % 10, 1, n % 3, f64::from(n % 4)));
            place.add(&format!("d{}/without{n}", n % 7), &ct(0, 1, 1, 0.0).replace("CT 0", "CT -"));
        }
        let (segments, _) = place.plan()?;
        let (slices, rows) = (slices(&segments), place.ledger(&segments));
        assert_eq!((slices.len(), rows.len()), (40, 20));
        let order: Vec<_> = slices.iter().map(|slice| slice.at.input.source_id).collect();
        for row in &rows {
            assert_eq!((row.class, row.reason), (Class::Duplicate, Some(Reason::DuplicateSopInstance)));
            let winner = row.winner.ok_or("a winner")?;
            assert!(order.contains(&winner) && !order.contains(&row.source_id));
        }
        if segment_slices == 1000 && place.recipe.output.order == Order::Shuffled {
            // Inside a segment, the winner is the one that would have come first.
            let path_half = |id: &dcmshard::identity::SourceId| id.0[12..].to_vec();
            assert!(rows.iter().all(|row| row.winner.is_some_and(|w| path_half(&w) < path_half(&row.source_id))));
        }
    }
    Ok(())
}

#[test]
fn series_order_is_by_series_then_position_and_unplaced_slices_come_last() -> Tested {
    let mut place = Place::new();
    place.segment_slices = 1000;
    place.recipe.output.order = Order::Series;
    for n in 0..20 {
        let position = if n % 10 == 3 { f64::NAN } else { f64::from((n * 7) % 10) };
        place.add(&format!("d{}/im{n}", n % 4), &ct(n, 1, n % 2, position).replace("NaN", "unknown"));
    }
    let (segments, _) = place.plan()?;
    let order: Vec<(u32, Option<f64>)> = slices(&segments)
        .iter()
        .map(|slice| {
            let Examined::Ct(ct) = examine(&slice.at.input.bytes) else { panic!("planned, so CT") };
            (u32::from(ct.series_instance_uid.as_deref() == Some("1.3.1")), ct.position)
        })
        .collect();
    for half in [&order[..10], &order[10..]] {
        assert!(half.iter().all(|(series, _)| *series == half[0].0));
        let placed: Vec<f64> = half.iter().map_while(|(_, position)| *position).collect();
        assert!(placed.is_sorted());
        assert!(half[placed.len()..].iter().all(|(_, position)| position.is_none()));
    }
    Ok(())
}

#[test]
fn new_inputs_go_into_the_next_generation_and_change_nothing_that_is_there() -> Tested {
    let place = Place::new();
    place.fill();
    place.plan()?;
    let before = place.files();
    place.add("p0/s0/new", &ct(500, 3, 1, 0.0));
    place.add("new/copy", &ct(7, 1, 1, 0.0));
    place.add("p0/s0/im0", "CT 0 1 0 0 and longer");
    fs::remove_file(place.tree().join("p1/s1/im1"))?;
    let (segments, counts) = place.plan()?;
    // What changed has no shard yet: its row will be of what the file holds then.
    assert_eq!(counts, PlanCounts { examined: 2, known: 52, vanished: 1, ..PlanCounts::default() });
    let last = segments.last().ok_or("segments")?;
    assert_eq!((last.generation, last.index, last.slice_count), (2, 0, 3));
    let slices = slices(&segments);
    assert_eq!((slices[60].at.ordinal.0, slices[60].shard, slices.len()), (60, 0, 63));
    assert_eq!(place.ledger(&segments[segments.len() - 1..])[0].class, Class::Duplicate);
    let after = place.files();
    assert!(before.iter().all(|file| after.contains(file)));
    let (again, counts) = place.plan()?;
    assert_eq!((again.len(), counts.examined, counts.changed), (segments.len(), 0, 0));
    assert_eq!(place.files(), after);
    Ok(())
}

#[test]
fn what_could_not_be_read_is_tried_again_and_has_one_row_until_it_can() -> Tested {
    let place = Place::new();
    place.add("good", &ct(1, 1, 1, 0.0));
    place.add("bad", "unreadable");
    let (segments, _) = place.plan()?;
    assert_eq!(place.ledger(&segments)[0].reason, Some(Reason::Unreadable));
    let files = place.files();
    let (_, counts) = place.plan()?;
    assert_eq!((counts.examined, counts.known), (1, 1));
    assert_eq!(place.files(), files);
    place.add("bad", &ct(2, 1, 1, 0.0));
    let (segments, _) = place.plan()?;
    assert_eq!((slices(&segments).len(), segments[1].generation), (2, 2));
    let (_, counts) = place.plan()?;
    assert_eq!((counts.examined, counts.known), (0, 2));
    Ok(())
}

#[test]
fn a_panic_in_the_header_pass_costs_one_file() -> Tested {
    let place = Place::new();
    place.add("good", &ct(1, 1, 1, 0.0));
    place.add("bad", "panic");
    let (segments, _) = place.plan()?;
    assert_eq!(slices(&segments).len(), 1);
    assert_eq!(place.ledger(&segments)[0].reason, Some(Reason::Internal));
    Ok(())
}

#[test]
fn a_source_that_was_moved_is_found_by_its_label() -> Tested {
    let place = Place::new();
    place.fill();
    place.plan()?;
    let elsewhere = place.dir.path().join("archive");
    fs::create_dir(&elsewhere)?;
    fs::rename(place.tree(), elsewhere.join("scans"))?;
    let sources = source::resolve(&[elsewhere.join("scans")])?;
    let dataset = Dataset::open(&place.out(), &place.recipe, Some(&place.dir.path().join("key")))?;
    let mut planner = Planner::new(&dataset, &place.recipe, &sources, &examine)?;
    let segments = planner.by_ref().collect::<Result<Vec<_>, _>>()?;
    assert_eq!(planner.counts().known, 53);
    // Who looks up a path finds it where it is now.
    let table = table::read(&place.private().join(paths_name(1, 0)))?;
    let roots = table.rows.column_by_name("root").ok_or("a column")?.as_binary::<i32>();
    let root = elsewhere.join("scans").canonicalize()?;
    assert!(roots.iter().all(|bytes| bytes == Some(root.as_os_str().as_encoded_bytes())));
    for slice in slices(&segments) {
        let Bytes::File(path) = &slice.at.input.bytes else { panic!("only files here") };
        assert!(path.is_file());
    }
    Ok(())
}

#[test]
fn names_that_are_no_utf8_links_and_special_files_are_planned_or_counted() -> Tested {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    place.add("plain", &ct(1, 1, 1, 0.0));
    let odd = place.tree().join(std::ffi::OsStr::from_bytes(b"od\xffd"));
    fs::create_dir(&odd)?;
    fs::write(odd.join(std::ffi::OsStr::from_bytes(b"im\xfe")), ct(2, 1, 1, 0.0))?;
    std::os::unix::fs::symlink(place.tree().join("plain"), place.tree().join("link"))?;
    std::os::unix::fs::symlink(place.tree(), place.tree().join("loop"))?;
    let _socket = std::os::unix::net::UnixListener::bind(place.tree().join("socket"))?;
    let (segments, counts) = place.plan()?;
    assert_eq!((slices(&segments).len(), counts.examined), (2, 2));
    let rows = place.ledger(&segments);
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.reason == Some(Reason::SpecialFile)));
    let (again, counts) = place.plan()?;
    assert_eq!((slices(&again).len(), counts.known), (2, 5));
    assert!(slices(&again).iter().all(|slice| matches!(examine(&slice.at.input.bytes), Examined::Ct(_))));
    Ok(())
}

#[test]
fn plan_and_ledger_hold_no_name_of_a_file_or_folder() -> Tested {
    let place = Place::new();
    place.add("CANARYFOLDER/CANARYFILE", &ct(1, 1, 1, 0.0));
    place.add("CANARYFOLDER/CANARYJUNK", "CANARYCONTENT");
    place.plan()?;
    for (name, bytes) in place.files() {
        assert!(!bytes.windows(6).any(|window| window == b"CANARY"), "{name}");
        if name.ends_with(".parquet") {
            let table = table::read(&place.out().join(&name))?;
            assert!(!format!("{table:?}").contains("CANARY"), "{name}");
            assert!(!format!("{table:?}").contains("1.2.1"), "{name}");
        }
    }
    let private = table::read(&place.private().join(paths_name(1, 0)))?;
    assert_eq!(private.rows.num_rows(), 2);
    Ok(())
}

#[test]
fn an_empty_source_is_a_usage_error_that_touches_nothing() {
    let place = Place::new();
    assert!(matches!(place.plan(), Err(Error::Usage(_))));
    assert!(!Path::exists(&place.out()));
}

#[test]
fn a_plan_that_is_asked_to_end_marks_nothing_complete_and_goes_on_later() -> Tested {
    let (undisturbed, place) = (Place::new(), Place::new());
    for place in [&undisturbed, &place] {
        place.fill();
    }
    undisturbed.plan()?;
    let cancel = Cancel::default();
    let sources = source::resolve(&[place.tree()])?;
    let dataset = Dataset::open(&place.out(), &place.recipe, Some(&place.dir.path().join("key")))?;
    let planner = Planner::new(&dataset, &place.recipe, &sources, &examine)?;
    let mut planner = planner.with_segment_slices(place.segment_slices).heeding(&Cancel::default()).heeding(&cancel);
    assert!(planner.next().is_some_and(|segment| segment.is_ok()));
    cancel.request(ExitCode::Interrupted);
    assert!(planner.next().is_none() && planner.next().is_none());
    assert!(!place.out().join(complete_name(1)).exists());
    drop(planner);
    drop(dataset);
    place.plan()?;
    assert_eq!(place.files(), undisturbed.files());
    Ok(())
}

/// The next segment may be an hour of header reading away.
#[test]
fn a_run_that_fails_does_not_wait_for_the_next_segment() -> Tested {
    let place = Place::new();
    place.fill();
    let (segments, _) = place.plan()?;
    let data = place.out().join("data");
    fs::write(&data, "a file where a folder must be")?;
    let dataset = Dataset::open(&place.out(), &place.recipe, Some(&place.dir.path().join("key")))?;
    let pipeline = Pipeline::new(&place.recipe, &dataset.key);
    let (options, key_id) = (Options::default(), dataset.key.id());
    let line = Line {
        pipeline: &pipeline,
        recipe: &place.recipe,
        options: &options,
        folder: &dataset.out,
        sources: &[],
        key_id: &key_id,
        suspects: None,
    };
    let (planned, receiver) = crossbeam_channel::bounded(1);
    planned.send(segments.into_iter().next().ok_or("a segment").map_err(|what| Error::Bug(what.to_owned())))?;
    let error = runner::run(&line, receiver, &Counters::new(&pipeline), &Cancel::default()).expect_err("no folder");
    assert_eq!(error.exit_code(), ExitCode::OutputIo, "{error}");
    drop(planned); // up to here, another segment could have come
    Ok(())
}
