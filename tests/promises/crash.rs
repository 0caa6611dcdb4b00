//! Killed anywhere, the same command again ends with the bytes of an undisturbed run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dcmshard::convert::Conversion;
use dcmshard::error::ExitCode;
use dcmshard::options::Options;
use dcmshard::reason::{Class, Reason};
use dcmshard::recipe::Recipe;
use dcmshard::runner::Cancel;
use dcmshard::sink::ledger::{self, LedgerRow};
use tempfile::TempDir;

use crate::cli::dcmshard;
use crate::line::{self, Tested, convert, inputs, leftovers, options, shards};
use crate::made::{Ct, key};
use crate::shards::hashes;

const SLICES: u32 = 60;

fn archive(folder: &Path) {
    for n in 0..SLICES {
        let ct = Ct::head(128, 40.0, 30.0 + f64::from(n % 7), f64::from(n % 30)).with_uid(n);
        ct.write(&folder.join(format!("{n}.dcm")));
    }
}

/// An archive, its key, and a finished conversion of it.
struct Place {
    folder: TempDir,
    src: PathBuf,
    out: PathBuf,
    key_path: PathBuf,
}

impl Place {
    fn converted() -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let (src, out, key_path) = (path("src"), path("out"), path("key"));
        archive(&src);
        fs::write(&key_path, key().bytes()).expect("can be written");
        let place = Place { folder, src, out, key_path };
        let output = place.convert(&place.out);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        place
    }

    /// The command that makes `out`, four rows a shard.
    fn arguments(&self, out: &Path) -> Vec<String> {
        let [src, out, key] = [&self.src, out, &self.key_path].map(|path| path.display().to_string());
        let fixed = ["convert", &src, "--out", &out, "--key", &key, "--threads", "1"];
        let more = ["--set", "output.rows_per_shard=4", "--progress", "none"];
        fixed.into_iter().chain(more).map(str::to_owned).collect()
    }

    fn convert(&self, out: &Path) -> Output {
        dcmshard(&self.arguments(out).iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// How many files stand below `out/data`.
fn published(out: &Path) -> usize {
    fs::read_dir(out.join("data/g000001")).map(|entries| entries.count()).unwrap_or(0)
}

#[test]
fn killed_in_the_middle_the_same_command_completes_the_same_bytes() {
    let undisturbed = Place::converted();
    let expected = hashes(&undisturbed.out.join("data"));
    assert_eq!(expected.len(), 15);

    // SIGKILL as soon as a given number of shards has been published, wherever the run then is.
    for wanted in [0, 1, 5, 11] {
        let out = undisturbed.folder.path().join(format!("killed-{wanted}"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_dcmshard"))
            .args(undisturbed.arguments(&out))
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        while published(&out) < wanted && child.try_wait().expect("can be waited for").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("can be killed");
        child.wait().expect("can be waited for");
        let again = undisturbed.convert(&out);
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        assert_eq!(hashes(&out.join("data")), expected, "killed after {wanted} shards");
        assert_eq!(hashes(&out.join("ledger")), hashes(&undisturbed.out.join("ledger")));
        assert_eq!(fs::read_dir(out.join(".tmp")).expect("stands").count(), 0, "nothing is left in .tmp");
        let out = out.display().to_string();
        assert!(dcmshard(&["verify", &out, "--read-data"]).status.success());
    }
}

#[test]
fn a_shard_that_is_gone_or_damaged_is_made_again_and_nothing_else() {
    let place = Place::converted();
    let out = &place.out;
    let (expected, time) = (hashes(&out.join("data")), |name: &str| {
        let path = out.join("data/g000001").join(name);
        path.metadata().and_then(|metadata| metadata.modified()).expect("stands")
    });
    let untouched = time("part-00000007.parquet");
    fs::remove_file(out.join("data/g000001/part-00000002.parquet")).expect("can be removed");
    let torn = out.join("data/g000001/part-00000004.parquet");
    let half = fs::read(&torn).map(|bytes| bytes[..bytes.len() / 2].to_vec()).expect("can be read");
    fs::write(&torn, half).expect("can be written");
    assert!(place.convert(out).status.success());
    assert_eq!(hashes(&out.join("data")), expected);
    assert_eq!(time("part-00000007.parquet"), untouched);
}

#[test]
fn a_run_killed_after_some_shards_is_continued_to_the_same_bytes() -> Tested {
    let inputs = inputs(3 * line::SHARD, 6);
    let undisturbed = tempfile::tempdir()?;
    let tally = convert(undisturbed.path(), &options(2, 4, 64), shards(&inputs))?;

    let out = tempfile::tempdir()?;
    convert(out.path(), &options(2, 4, 64), shards(&inputs)[..1].to_vec())?;
    std::fs::write(out.path().join(".tmp/data-g000001-part-00000001.parquet.00"), b"PAR1 torn")?;
    let again = convert(out.path(), &options(8, 1, 2048), shards(&inputs))?;
    assert_eq!(again, tally, "the shard that was there counts too");
    assert_eq!(line::hashes(out.path()), line::hashes(undisturbed.path()));
    assert_eq!(leftovers(out.path()), 0);

    // Once more: nothing to do, and nothing said anew.
    convert(out.path(), &options(1, 1, 64), shards(&inputs))?;
    assert_eq!(std::fs::read_dir(out.path().join("manifest"))?.count(), 2);
    Ok(())
}

#[test]
fn a_shard_without_its_end_or_its_ledger_part_is_made_again() -> Tested {
    let inputs = inputs(2 * line::SHARD, 6);
    let out = tempfile::tempdir()?;
    convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    let whole = line::hashes(out.path());

    let torn = out.path().join("data/g000001/part-00000001.parquet");
    let bytes = std::fs::read(&torn)?;
    std::fs::write(&torn, &bytes[..bytes.len() - 1])?;
    convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    assert_eq!(line::hashes(out.path()), whole);
    assert_eq!(leftovers(out.path()), 1, "the torn one is kept as evidence");

    std::fs::remove_file(out.path().join("ledger/g000001/part-00000000.parquet"))?;
    std::fs::write(out.path().join("ledger/g000001/part-00000001.parquet"), b"PAR1")?;
    convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    assert_eq!(line::hashes(out.path()), whole);
    Ok(())
}

#[test]
fn a_ledger_part_without_its_shard_does_not_stand_in_the_way_when_an_input_has_changed() -> Tested {
    let mut inputs = inputs(2 * line::SHARD, usize::MAX);
    let out = tempfile::tempdir()?;
    let before = convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    // As a kill between the two publishes leaves it; then an input loses its pixels.
    fs::remove_file(out.path().join("data/g000001/part-00000001.parquet"))?;
    inputs[line::SHARD + 3] = inputs[line::SHARD + 3][..900].into();
    let after = convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    assert_eq!((before.of(Class::Rejected), after.of(Class::Rejected)), (1, 2));
    assert_eq!(leftovers(out.path()), 1, "the one that tells of a shard that never was, as evidence");
    Ok(())
}

#[test]
fn a_file_that_was_replaced_by_another_instance_since_it_was_planned_is_no_row() {
    let place = Place::converted();
    let (src, out) = (&place.src, &place.out);
    // The shards are to be made again; meanwhile one file has gone, one is another instance, and one
    // is the same instance exported anew, larger than before.
    fs::remove_dir_all(out.join("data")).expect("can be removed");
    fs::remove_file(src.join("0.dcm")).expect("can be removed");
    Ct::head(128, 40.0, 30.0, 0.0).with_uid(1000).write(&src.join("1.dcm"));
    Ct::head(144, 40.0, 30.0, 0.0).with_uid(2).write(&src.join("2.dcm"));
    let again = place.convert(out);
    // Nothing that is there says otherwise: no shard was made of what the files held before.
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    let rows: Vec<LedgerRow> = crate::shards::parquet_files(&out.join("ledger/g000001"))
        .iter()
        .flat_map(|part| ledger::read(part).expect("a ledger part"))
        .filter(|row| row.class != Class::Written)
        .collect();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.reason == Some(Reason::Unreadable) && row.stage.as_deref() == Some("decode")));
    assert_eq!(crate::shards::rows(out).len(), SLICES as usize - 2);
    assert!(dcmshard(&["verify", &out.display().to_string(), "--read-data"]).status.success());
}

#[test]
fn a_source_that_is_gone_in_the_middle_ends_the_run_and_rejects_nothing() {
    let place = Place::converted();
    let (src, out) = (&place.src, &place.out);
    let expected = hashes(out);

    // Planned, but not converted; then the share is unmounted between the start and the first read.
    fs::remove_dir_all(out.join("data")).expect("can be removed");
    let settings = ["output.rows_per_shard=4".to_owned()];
    let recipe = Recipe::from_toml("", &settings).expect("sound");
    let options = Options { key_file: Some(place.key_path.clone()), ..Options::default() };
    let conversion = Conversion::open(&[src], out, &recipe, &options).expect("the source is there");
    let away = place.folder.path().join("away");
    fs::rename(src, &away).expect("can be moved");
    fs::create_dir(src).expect("can be made");
    let error = conversion.run(&Cancel::default()).expect_err("the source is gone");
    assert_eq!(error.exit_code(), ExitCode::SourceIo, "{error}");
    drop(conversion);

    fs::remove_dir(src).expect("is empty");
    fs::rename(&away, src).expect("can be moved back");
    assert!(place.convert(out).status.success());
    assert_eq!(hashes(out), expected);
}
