//! A read that fails and may go well the next time: tried again, else a gap that is told of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use dcmshard::reason::Reason;
use dcmshard::runner::ShardPlan;
use dcmshard::sink::ledger::{self, LedgerRow};
use dcmshard::slice::{InputRef, SliceRef};
use tempfile::TempDir;

use crate::cli::dcmshard;
use crate::line::{self, Tested, convert, hashes, inputs, leftovers, options};
use crate::made::{Ct, key};

/// An archive of slices that do not fit into the first read, and its key.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a temporary folder"));
        for n in 0..6 {
            Ct::head(256, 80.0, 60.0, f64::from(n)).with_uid(n).write(&place.path(&format!("src/{n}.dcm")));
        }
        fs::write(place.path("key"), key().bytes()).expect("can be written");
        place
    }

    /// By its real name, as strace wants it.
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().expect("stands").join(name)
    }

    fn arguments(&self, out: &str) -> Vec<String> {
        self.arguments_with(out, "1")
    }

    fn arguments_with(&self, out: &str, threads: &str) -> Vec<String> {
        let [src, out, key] = ["src", out, "key"].map(|name| self.path(name).display().to_string());
        let fixed = ["convert", &src, "--out", &out, "--key", &key, "--threads", threads];
        let more = ["--set", "output.rows_per_shard=3", "--progress", "none"];
        fixed.into_iter().chain(more).map(str::to_owned).collect()
    }

    fn convert(&self, out: &str) -> Output {
        dcmshard(&self.arguments(out).iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The same, where reads of one input fail with EIO: which of each thread's reads, as strace writes it.
    fn convert_failing(&self, out: &str, when: &str) -> Output {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-P"]).arg(self.path("src/3.dcm"));
        command.args(["-e", "trace=pread64", "-e", &format!("inject=pread64:error=EIO:when={when}")]);
        command.arg(env!("CARGO_BIN_EXE_dcmshard")).args(self.arguments(out));
        command.output().expect("there is strace")
    }
}

/// Whether reads can be made to fail here; said aloud where not.
fn can_inject() -> bool {
    let tried = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let can = tried.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: there is no strace here, or it may not trace");
    }
    can
}

fn unreadable(out: &Path) -> Vec<LedgerRow> {
    let parts = crate::shards::parquet_files(&out.join("ledger"));
    let rows = parts.iter().flat_map(|part| ledger::read(part).expect("a ledger part"));
    rows.filter(|row| row.reason == Some(Reason::Unreadable)).collect()
}

/// What the ledger part says of how many slices could not be read.
fn says_unreadable(part: &Path) -> Option<String> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(fs::File::open(part).expect("can be opened")).expect("is Parquet");
    let pairs = reader.metadata().file_metadata().key_value_metadata().expect("there are some").iter();
    pairs.clone().find(|pair| pair.key == "dcmshard.unreadable").and_then(|pair| pair.value.clone())
}

/// I05, and D07 for the source.
#[test]
fn a_read_that_fails_once_costs_a_moment_and_nothing_else() {
    if !can_inject() {
        return;
    }
    let place = Place::new();
    assert!(place.convert("undisturbed").status.success());
    let output = place.convert_failing("out", "1");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(hashes(&place.path("out")), hashes(&place.path("undisturbed")));
}

/// I05: the others are fine; and a run that was killed before the shard appeared is followed.
#[test]
fn a_read_that_fails_for_ever_is_a_gap_that_is_told_of_and_followed() -> Tested {
    if !can_inject() {
        return Ok(());
    }
    let place = Place::new();
    // The first read of each thread goes well: so the header is read, and the rest is not.
    let output = place.convert_failing("out", "2+");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out = place.path("out");
    let gaps = unreadable(&out);
    assert_eq!((gaps.len(), crate::shards::rows(&out).len()), (1, 5));
    let ordinal = gaps[0].ordinal.ok_or("it was planned")?;
    let parts = [0, 1].map(|shard| out.join(format!("ledger/g000001/part-{shard:08}.parquet")));
    let says: Vec<_> = parts.iter().map(|part| says_unreadable(part)).collect();
    let expected = [0, 1].map(|shard| (ordinal / 3 == shard).then(|| "1".to_owned()));
    assert_eq!(says, expected);

    let whole = hashes(&out);
    fs::remove_file(out.join(format!("data/g000001/part-{:08}.parquet", ordinal / 3)))?;
    let again = place.convert("out");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    let now = hashes(&out);
    assert!(whole.iter().all(|(name, hash)| now.get(name) == Some(hash)), "the bytes of the run that was killed");
    Ok(())
}

/// The shards of `inputs`, from files in `folder`; those in `missing` are not there.
fn shards_of_files(folder: &Path, missing: &[usize]) -> Vec<ShardPlan> {
    let inputs = inputs(2 * line::SHARD, usize::MAX);
    for (n, bytes) in inputs.iter().enumerate() {
        fs::write(folder.join(n.to_string()), bytes).expect("can be written");
    }
    let mut shards = line::shards(&inputs);
    for slice in shards.iter_mut().flat_map(|shard| &mut shard.slices) {
        let n = slice.at.ordinal.0 as usize;
        let name = if missing.contains(&n) { "not-there".to_owned() } else { n.to_string() };
        let input = InputRef::file(slice.at.input.source_id, &folder.join(name));
        slice.at = SliceRef { input, ..slice.at.clone() };
    }
    shards
}

/// C07: of two writers one cannot read an input, and is first, or dies between its two publishes.
#[test]
fn what_one_writer_could_not_read_is_a_gap_for_the_other_too() -> Tested {
    let folder = tempfile::tempdir()?;
    let (reads, cannot) = (shards_of_files(folder.path(), &[]), shards_of_files(folder.path(), &[23]));
    let out = tempfile::tempdir()?;
    let first = convert(out.path(), &options(2, 4, 64), cannot.clone())?;
    assert_eq!(first.reasons[&Reason::Unreadable], 1);
    let whole = hashes(out.path());
    assert_eq!(convert(out.path(), &options(2, 4, 64), reads.clone())?, first);
    fs::remove_file(out.path().join("data/g000001/part-00000001.parquet"))?;
    assert_eq!(convert(out.path(), &options(3, 1, 64), reads.clone())?, first);
    assert_eq!((hashes(out.path()), leftovers(out.path())), (whole, 0));

    // The other way round: what could be read stays, whoever comes later.
    let out = tempfile::tempdir()?;
    let first = convert(out.path(), &options(2, 4, 64), reads)?;
    let whole = hashes(out.path());
    assert_eq!(convert(out.path(), &options(2, 4, 64), cannot.clone())?, first);
    // Where it died before its shard appeared, nobody but the later one can say what the rows are.
    fs::remove_file(out.path().join("data/g000001/part-00000001.parquet"))?;
    let later = convert(out.path(), &options(2, 4, 64), cannot)?;
    assert_eq!(later.reasons[&Reason::Unreadable], 1);
    assert_ne!(hashes(out.path()), whole);
    assert_eq!(leftovers(out.path()), 1, "the ledger part that told of a shard that never was");
    Ok(())
}

/// D12: too few descriptors make it slower, no slice a reject.
#[test]
fn with_few_descriptors_the_result_is_the_same() {
    let place = Place(tempfile::tempdir().expect("a temporary folder"));
    for n in 0..120 {
        let (deep, ct) = (n % 12, Ct::head(64, 20.0, 15.0, f64::from(n % 30)).with_uid(n));
        ct.write(&place.path("src").join("a/".repeat(deep as usize)).join(format!("{n}.dcm")));
    }
    fs::write(place.path("key"), key().bytes()).expect("can be written");
    assert!(place.convert("undisturbed").status.success());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 32; exec \"$0\" \"$@\""]);
    let output = command.arg(env!("CARGO_BIN_EXE_dcmshard")).args(place.arguments_with("out", "16")).output();
    let output = output.expect("there is a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(hashes(&place.path("out")), hashes(&place.path("undisturbed")));
}
