use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use ndarray::{Array2, Array3};

use super::*;
use crate::column::{Column, Kind};
use crate::decode::{CtInput, Examined};
use crate::error::Error;
use crate::kernel::affine::Affine;
use crate::plan::{PlannedSlice, Planner};
use crate::reason::Class;
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::sink::dataset::{DATASET_NAME, Dataset};
use crate::sink::ledger::LedgerRow;
use crate::sink::manifest;
use crate::sink::rows::{Row, RowEncoder};
use crate::sink::shard::{ShardFile, ShardId};
use crate::slice::{Bytes, Pixels, Slice};
use crate::source;

type Tested = Result<(), Box<dyn std::error::Error>>;

static SOURCE_ID: Column = Column::required("source_id", Kind::Text, "");
static FRAME: Column = Column::required("frame", Kind::Int32, "");
static SOP_KEY: Column = Column::new("sop_key", Kind::Text, "");

/// A data set of 12 slices in 4 shards, of which ordinal 5 is rejected; a duplicate and two junk
/// files.
fn data_set(dir: &Path) -> Result<PathBuf, Error> {
    let scans = dir.join("scans");
    fs::create_dir(&scans).expect("a source");
    for n in 0..12 {
        fs::write(scans.join(format!("im{n}")), format!("CT {n}")).expect("a file");
    }
    fs::write(scans.join("copy"), "CT 3").expect("a file");
    fs::write(scans.join("junk1"), "").expect("a file");
    fs::write(scans.join("junk2"), "").expect("a file");
    let mut recipe = Recipe::head();
    (recipe.output.rows_per_shard, recipe.crop_pad.size) = (3, 4);
    let out = dir.join("out");
    let dataset = Dataset::open(&out, &recipe, None)?;
    let sources = source::resolve(&[scans])?;
    let encoder = RowEncoder::new(&recipe, vec![&SOURCE_ID, &FRAME, &SOP_KEY])?;
    let mut records = Vec::new();
    for segment in Planner::new(&dataset, &recipe, &sources, &examine)?.with_segment_slices(6) {
        let segment = segment?;
        let slices: Vec<PlannedSlice> = segment.slices().collect();
        for part in slices.chunk_by(|a, b| a.shard == b.shard) {
            records.push(make(&dataset, &encoder, &segment.sha256, part)?);
        }
    }
    manifest::publish(&dataset.out, &dataset.recipe_hash, &dataset.key.id(), records)?;
    Ok(out)
}

fn examine(bytes: &Bytes) -> Examined {
    let Bytes::File(path) = bytes else { panic!("only files here") };
    let text = fs::read_to_string(path).expect("a file");
    match text.strip_prefix("CT ") {
        None => Examined::Not(Fault::new(Reason::EmptyFile, "no bytes")),
        Some(n) => Examined::Ct(CtInput {
            frames: 1,
            rows: 4,
            columns: 4,
            bytes_per_slice: 10,
            sop_instance_uid: Some(n.to_owned()),
            series_instance_uid: None,
            position: None,
        }),
    }
}

fn make(
    dataset: &Dataset,
    encoder: &RowEncoder,
    plan_sha256: &str,
    part: &[PlannedSlice],
) -> Result<crate::sink::shard::ShardRecord, Error> {
    let id = ShardId {
        generation: 1,
        shard: part[0].shard,
        plan_sha256: plan_sha256.to_owned(),
        recipe_hash: dataset.recipe_hash.clone(),
        key_id: dataset.key.id(),
        first_ordinal: part[0].at.ordinal.0,
        slices: part.len() as u64,
    };
    let (mut rows, mut ledger) = (Vec::new(), Vec::new());
    for planned in part {
        let at = &planned.at;
        let mut row = LedgerRow::written(at.ordinal.0, at.input.source_id, at.frame);
        if at.ordinal.0 == 5 {
            (row.class, row.reason) = (Class::Rejected, Some(Reason::Rescale));
        } else {
            rows.push(Row::from(slice(dataset, planned)));
        }
        ledger.push(row);
    }
    let mut file = ShardFile::begin(&dataset.out, &id, encoder)?;
    file.append(&dataset.out, encoder.encode(rows)?)?;
    Ok(file.finish(&dataset.out, ledger)?.publish(&dataset.out)?.0)
}

fn slice(dataset: &Dataset, planned: &PlannedSlice) -> Slice {
    let Examined::Ct(ct) = examine(&planned.at.input.bytes) else { panic!("planned, so CT") };
    let mut facts = crate::column::Facts::default();
    facts.set(&SOURCE_ID, planned.at.input.source_id.to_string());
    facts.set(&FRAME, 0);
    facts.set_some(&SOP_KEY, ct.sop_instance_uid.map(|uid| dataset.key.pseudonym("sop", &[uid.as_bytes()])));
    Slice {
        at: planned.at.clone(),
        attributes: Arc::default(),
        pixels: Pixels::U8(Array3::from_elem((1, 4, 4), planned.at.ordinal.0 as u8)),
        guide: Array2::default((0, 0)),
        mask: None,
        placement: Affine::IDENTITY,
        facts,
    }
}

const SHARD: &str = "data/g000001/part-00000001.parquet";
const PART: &str = "ledger/g000001/part-00000001.parquet";

/// Every shard whole, or none.
fn reading(all: bool) -> Options {
    Options { read_data: if all { ReadData::All } else { ReadData::None }, against: None }
}

fn lines(findings: &Findings) -> Vec<String> {
    findings.problems.iter().map(ToString::to_string).collect()
}

/// The problems after `damage` was done to a data set.
fn problems(read_data: bool, damage: impl FnOnce(&Path) -> io::Result<()>) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = data_set(dir.path()).expect("a data set");
    damage(&out).expect("damage");
    lines(&verify(&out, &reading(read_data), &mut |_| {}).expect("findings"))
}

fn edit(path: PathBuf, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
    let mut bytes = fs::read(&path)?;
    change(&mut bytes);
    fs::write(path, bytes)
}

#[test]
fn a_whole_data_set_has_no_problems() -> Tested {
    let dir = tempfile::tempdir()?;
    let out = data_set(dir.path())?;
    for read_data in [false, true] {
        let mut progress = Vec::new();
        let findings = verify(&out, &reading(read_data), &mut |p| progress.push((p.checked, p.shards)))?;
        assert_eq!(lines(&findings), Vec::<String>::new());
        assert_eq!(findings.shards_read, if read_data { 4 } else { 0 });
        let digest = manifest::rows_digest(&out)?.ok_or("a manifest")?;
        assert_eq!(findings.rows_digest, digest);
        assert_eq!((findings.shards, findings.rows, findings.tally.found), (4, 11, 15));
        let of = |class| findings.tally.of(class);
        let classes = [Class::Written, Class::Rejected, Class::Duplicate, Class::Filtered].map(of);
        assert_eq!(classes, [11, 1, 1, 2]);
        assert_eq!(progress.last(), Some(&(4, 4)));
    }
    Ok(())
}

#[test]
fn what_is_missing_is_named() {
    for name in [SHARD, PART, "plan/g000001/complete.json", "ledger/g000001/seg-00000.parquet"] {
        let problems = problems(false, |out| fs::remove_file(out.join(name)));
        assert!(problems.contains(&format!("{name}: is missing")), "{problems:?}");
        let misleading =
            problems.iter().any(|problem| problem.contains("not in the plan") || problem.contains("report it"));
        assert!(!misleading, "{problems:?}");
    }
    let problems = problems(false, |out| fs::remove_dir_all(out.join("manifest")));
    assert!(problems[0].starts_with("manifest: there is none"), "{problems:?}");
}

#[test]
fn what_is_not_planned_is_named() {
    let more = "data/g000001/part-00000009.parquet";
    let problems = problems(false, |out| fs::copy(out.join(SHARD), out.join(more)).map(|_| ()));
    assert_eq!(problems, [format!("{more}: is not in the plan")]);
    for beside in ["data/copy.parquet", "data/g000007"] {
        let found = self::problems(false, |out| fs::copy(out.join(SHARD), out.join(beside)).map(|_| ()));
        assert_eq!(found, [format!("{beside}: is not in the plan")]);
    }
}

#[test]
fn a_shard_in_the_place_of_another_is_found_by_its_footer() {
    let other = "data/g000001/part-00000002.parquet";
    let problems = problems(false, |out| fs::copy(out.join(other), out.join(SHARD)).map(|_| ()));
    assert!(problems.contains(&format!("{SHARD}: dcmshard.shard is 2, expected 1")), "{problems:?}");
    assert!(problems.contains(&format!("{SHARD}: its rows are not those that its ledger part says are written")));
}

#[test]
fn one_turned_bit_of_a_shard_is_found_by_read_data() {
    let turn = |out: &Path| edit(out.join(SHARD), |bytes| bytes[30] ^= 1);
    assert!(problems(true, turn).iter().any(|problem| problem.contains(SHARD)));
}

#[test]
fn a_cut_shard_a_changed_ledger_and_a_changed_recipe_are_found() {
    let problems_of =
        |name: &'static str, change: fn(&mut Vec<u8>)| problems(false, move |out| edit(out.join(name), change));
    let cut = problems_of(SHARD, |bytes| bytes.truncate(bytes.len() / 2));
    assert!(cut.iter().any(|problem| problem.contains("is damaged")), "{cut:?}");
    let ledger = problems_of("ledger/g000001/seg-00001.parquet", |bytes| bytes[5] ^= 1);
    assert!(ledger.iter().any(|problem| problem.contains("seg-00001")), "{ledger:?}");
    let recipe = problems_of(DATASET_NAME, |bytes| {
        let text = String::from_utf8_lossy(bytes).replace("\"max_angle_deg\": 45", "\"max_angle_deg\": 46");
        *bytes = text.into_bytes();
    });
    assert_eq!(recipe, [format!("{DATASET_NAME}: recipe_hash is not the hash of its recipe")]);
}

#[test]
fn a_folder_that_is_no_data_set_is_a_usage_error() -> Tested {
    let dir = tempfile::tempdir()?;
    assert!(matches!(verify(dir.path(), &reading(false), &mut |_| {}), Err(Error::Usage(_))));
    Ok(())
}

/// Every file below these folders.
fn files_of(out: &Path, folders: &[&str]) -> Vec<String> {
    let walk = folders.iter().flat_map(|folder| walkdir::WalkDir::new(out.join(folder)).sort_by_file_name());
    let files = walk.map(|entry| entry.expect("can be listed")).filter(|entry| entry.file_type().is_file());
    files.map(|file| file.path().strip_prefix(out).expect("below").display().to_string()).collect()
}

#[test]
fn any_changed_byte_of_plan_ledger_and_manifest_is_found_without_reading_data() -> Tested {
    let dir = tempfile::tempdir()?;
    let out = data_set(dir.path())?;
    for name in files_of(&out, &["plan", "ledger", "manifest"]) {
        let whole = fs::read(out.join(&name))?;
        for at in (0..whole.len()).step_by(61) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(out.join(&name), bytes)?;
            let findings = verify(&out, &reading(false), &mut |_| {})?;
            assert!(!findings.problems.is_empty(), "{name}, byte {at}");
            let aside: Vec<&str> = findings.to_set_aside().into_iter().collect();
            let plan = name.starts_with("plan/") || name.contains("/seg-");
            let expected = match () {
                () if name.ends_with("complete.json") => aside.is_empty() || aside == [name.as_str()],
                () if plan => aside.is_empty() && !findings.to_restore().is_empty(),
                () => aside.contains(&name.as_str()) && aside.iter().all(|n| !n.starts_with("data/")),
            };
            assert!(expected, "{name}, byte {at}: {findings:?}");
        }
        fs::write(out.join(&name), whole)?;
    }
    assert_eq!(lines(&verify(&out, &reading(true), &mut |_| {})?), Vec::<String>::new());
    Ok(())
}

#[test]
fn shards_are_not_set_aside_for_a_plan_that_has_changed() -> Tested {
    let dir = tempfile::tempdir()?;
    let out = data_set(dir.path())?;
    // A segment that reads as the same plan, with another hash; and no complete.json that would tell.
    fs::remove_file(out.join("plan/g000001/complete.json"))?;
    let path = out.join("plan/g000001/seg-00000.parquet");
    let (planned, _) = crate::plan::read_inputs(&path)?;
    let table = crate::sink::table::read(&path)?;
    let metadata: Vec<(&str, String)> = table.metadata.iter().map(|(k, v)| (k.as_str(), v.clone())).rev().collect();
    crate::sink::table::write(&[()], |_| Ok(table.rows.clone()), &metadata, fs::File::create(&path)?, &path)?;
    assert_eq!(crate::plan::read_inputs(&path)?.0, planned);
    let findings = verify(&out, &reading(true), &mut |_| {})?;
    assert!(findings.to_restore().contains("plan/g000001"), "{findings:?}");
    assert!(findings.to_set_aside().is_empty());
    Ok(())
}

#[test]
fn a_condemned_slice_is_a_reject_with_the_reason_of_its_amendment() {
    let ids = |out: &Path| {
        let rows = crate::sink::ledger::read(&out.join(PART)).expect("a ledger part");
        rows.iter().map(|row| (row.ordinal.expect("planned"), row.source_id)).collect::<Vec<_>>()
    };
    let condemn = |out: &Path, ordinal: u64, source_id: &str, reason: &str| {
        let json =
            format!("{{\"source_id\": \"{source_id}\", \"frame\": 0, \"reason\": \"{reason}\", \"detail\": \"\"}}");
        fs::write(out.join(format!("plan/g000001/condemned-{ordinal:012}.json")), json)
    };
    // Of the second shard's slices 3 to 5, the last is a reject.
    let found = problems(false, |out| condemn(out, 5, &ids(out)[2].1.to_string(), "rescale"));
    assert_eq!(found, Vec::<String>::new());
    let found = problems(false, |out| condemn(out, 4, &ids(out)[1].1.to_string(), "decoder_crash"));
    let says = "slice 4 is written, but plan/g000001/condemned-000000000004.json says decoder_crash";
    assert_eq!(found, [format!("{PART}: {says}"), format!("{SHARD}: {says}")]);
    let found = problems(false, |out| condemn(out, 4, &ids(out)[2].1.to_string(), "decoder_crash"));
    assert_eq!(found, ["plan/g000001/condemned-000000000004.json: names another slice than the plan"]);
    let found = problems(false, |out| condemn(out, 99, &ids(out)[2].1.to_string(), "decoder_crash"));
    assert_eq!(found, ["plan/g000001/condemned-000000000099.json: names no slice that is planned"]);
    let found = problems(false, |out| fs::write(out.join("plan/g000001/condemned-000000000004.json"), "{"));
    assert!(found.len() == 1 && found[0].contains("is damaged"), "{found:?}");
}

#[test]
fn a_generation_that_only_touches_inputs_plans_nothing_and_is_whole() -> Tested {
    let dir = tempfile::tempdir()?;
    let out = data_set(dir.path())?;
    let folder = crate::sink::publish::OutputFolder::create(&out, 0o750)?;
    let (ledger, segment) = (crate::plan::segment_ledger_name(2, 0), crate::plan::segment_name(2, 0));
    let ledger = crate::sink::ledger::publish(&folder, &ledger, &[], &[])?;
    let table = crate::sink::table::read(&out.join(crate::plan::segment_name(1, 0)))?;
    let mut metadata = table.metadata;
    metadata.insert("ledger_sha256".to_owned(), ledger.sha256);
    let metadata: Vec<(&str, String)> = metadata.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    let mut file = folder.begin(&segment)?;
    let path = out.join(&segment);
    crate::sink::table::write(&[(); 0], |_| Ok(table.rows.slice(0, 0)), &metadata, &mut file, &path)?;
    let sha256 = file.publish()?.sha256;
    let segments = vec![crate::plan::SegmentSummary { index: 0, slices: 0, not_planned: 0, sha256 }];
    let complete = crate::plan::Complete { generation: 2, slices: 0, not_planned: 0, segments };
    folder.publish_bytes(&crate::plan::complete_name(2), &serde_json::to_vec(&complete)?)?;
    assert_eq!(lines(&verify(&out, &reading(true), &mut |_| {})?), Vec::<String>::new());
    Ok(())
}
