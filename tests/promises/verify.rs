//! Promise: `verify` finds what is not as it was written, names it, and clears the way for `convert` to make it
//! again; the digest of the rows is that of the inputs, whatever their history.

use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::path::PathBuf;
use std::process::Output;

use dcmshard::recipe::Recipe;
use dcmshard::sink::dataset::Dataset;

use crate::cli::dcmshard;
use crate::made::{Ct, key};
use crate::shards::hashes;

/// A source, an OUT of three generations made of it, and a key.
struct Place {
    dir: tempfile::TempDir,
}

/// Slices that each generation brings.
const GENERATIONS: [std::ops::Range<u32>; 3] = [0..11, 11..17, 17..22];

/// A head; one in seven above what 16 bits hold.
fn slice(n: u32) -> Ct {
    let ct = Ct::head(64, 20.0 + f64::from(n % 5), 15.0, f64::from(n) - 10.0).with_uid(n);
    if n % 7 == 3 { Ct { slope: "1e300", ..ct } } else { ct }
}

fn file_of(n: u32) -> String {
    format!("{}/im{n}.dcm", n % 3)
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("key"), key().bytes()).expect("can be written");
        Place { dir }
    }

    /// With an OUT that grew twice.
    fn grown() -> Place {
        let place = Place::new();
        for generation in GENERATIONS {
            place.add(generation);
            place.convert("out", &[]);
        }
        place
    }

    fn add(&self, slices: std::ops::Range<u32>) {
        slices.for_each(|n| slice(n).write(&self.path("src").join(file_of(n))));
        if !self.path("src/cut.dcm").exists() {
            fs::write(self.path("src/notes.txt"), "no DICOM").expect("can be written");
            fs::write(self.path("src/cut.dcm"), &slice(0).bytes()[..300]).expect("can be written");
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn word(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Into `out`, four rows a shard.
    fn convert(&self, out: &str, more: &[&str]) -> Output {
        let fixed = ["convert", &self.word("src"), "--out", &self.word(out), "--key", &self.word("key")];
        let small = ["--set", "output.rows_per_shard=4", "--set", "crop_pad.size=64"];
        let output = dcmshard(&[&fixed[..], &small, more].concat());
        assert!(output.status.success(), "{}", text(&output));
        output
    }

    fn verify(&self, out: &str, more: &[&str]) -> (Option<i32>, String) {
        let output = dcmshard(&[&["verify", &self.word(out)], more].concat());
        (output.status.code(), text(&output))
    }

    fn verify_source(&self, source: &str, more: &[&str]) -> (Option<i32>, String) {
        self.verify("out", &[&["--source", source, "--key", &self.word("key")], more].concat())
    }

    /// Every published file.
    fn published(&self, out: &str) -> Vec<(String, String)> {
        let all = hashes(&self.path(out)).into_iter();
        all.filter(|(name, _)| !name.starts_with(".tmp/")).collect()
    }

    fn shards(&self) -> BTreeSet<String> {
        let names = self.published("out").into_iter().map(|(name, _)| name);
        names.filter(|name| name.starts_with("data/")).collect()
    }

    fn edit(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path(file);
        let mut bytes = fs::read(&path).expect("can be read");
        change(&mut bytes);
        fs::write(path, bytes).expect("can be written");
    }

    /// Changes an input behind the back of its size and modification time.
    fn edit_input(&self, n: u32, change: impl FnOnce(&mut Ct)) {
        let path = self.path("src").join(file_of(n));
        let time = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("has a time");
        let mut ct = slice(n);
        change(&mut ct);
        ct.write(&path);
        let file = File::options().write(true).open(&path).expect("can be opened");
        file.set_times(FileTimes::new().set_modified(time)).expect("can be set");
    }
}

/// The digest that `verify` or `convert` prints.
fn digest(text: &str) -> String {
    let at = text.find("digest ").unwrap_or_else(|| panic!("no digest in {text}"));
    text[at + 7..].chars().take_while(char::is_ascii_hexdigit).collect()
}

#[test]
fn a_grown_archive_and_a_fresh_run_have_the_same_rows_digest_and_another_pixel_another() {
    let place = Place::grown();
    let (code, grown) = place.verify("out", &["--read-data"]);
    assert_eq!(code, Some(0), "{grown}");
    assert_eq!(digest(&grown).len(), 64);
    assert_eq!(digest(&place.verify("out", &[]).1), digest(&grown), "as the ledgers say");
    for (out, more) in [
        ("fresh-1", &["--threads", "1"][..]),
        ("fresh-3", &["--threads", "3", "--set", "output.order=\"series\""]),
        ("tensor", &["--set", "output.layout=\"tensor\"", "--set", "output.rows_per_shard=100"]),
    ] {
        let summary = text(&place.convert(out, more));
        assert_eq!(digest(&summary), digest(&grown), "{out}: {summary}");
        let (code, found) = place.verify(out, &["--read-data"]);
        assert_eq!((code, digest(&found)), (Some(0), digest(&grown)), "{out}: {found}");
    }
    place.edit_input(8, |ct| ct.stored[32 * 64 + 32] += 1);
    place.convert("changed", &[]);
    assert_ne!(digest(&place.verify("changed", &["--read-data"]).1), digest(&grown));
}

/// V01: `verify --read-data-subset` over t slices covers every shard.
#[test]
fn the_parts_of_read_data_subset_are_every_shard_once() {
    let place = Place::grown();
    let shards = place.shards();
    assert_eq!(shards.len(), 7, "11, 6 and 5 slices, four a shard, in generations of their own");
    for shard in &shards {
        place.edit(&format!("out/{shard}"), |bytes| bytes[40] ^= 1);
    }
    assert_eq!(place.verify("out", &[]).0, Some(0), "a turned bit of an image is not looked for");
    for of in [1, 2, 3, 7, 10] {
        let mut seen = BTreeSet::new();
        for part in 1..=of {
            let (code, found) = place.verify("out", &["--read-data-subset", &format!("{part}/{of}")]);
            let named: Vec<_> = shards.iter().filter(|shard| found.contains(*shard)).collect();
            assert_eq!(code, Some(if named.is_empty() { 0 } else { 8 }), "{part}/{of}: {found}");
            assert!(named.into_iter().all(|shard| seen.insert(shard)), "{part}/{of}: twice");
        }
        assert_eq!(seen.len(), shards.len(), "{of} parts");
    }
}

/// What is done to a data set, and the files that are to be named for it.
type Damage = (&'static str, fn(&Place), &'static [&'static str]);

const FIRST: &str = "data/g000001/part-00000000.parquet";
const SECOND: &str = "data/g000001/part-00000001.parquet";
const LATER: &str = "data/g000003/part-00000001.parquet";
const LEDGER: &str = "ledger/g000001/part-00000001.parquet";
const MANIFEST: &str = "manifest/00000003.json";

const DAMAGES: [Damage; 9] = [
    ("one bit of a shard", |place| place.edit(&format!("out/{SECOND}"), |bytes| bytes[40] ^= 1), &[SECOND]),
    ("a cut shard", |place| place.edit(&format!("out/{LATER}"), |bytes| bytes.truncate(bytes.len() / 2)), &[LATER]),
    ("an empty shard", |place| place.edit(&format!("out/{FIRST}"), Vec::clear), &[FIRST]),
    (
        "two shards swapped",
        |place| {
            let (first, second, aside) =
                (place.path("out").join(FIRST), place.path("out").join(SECOND), place.path("x"));
            fs::rename(&first, &aside).expect("can be renamed");
            fs::rename(&second, &first).expect("can be renamed");
            fs::rename(&aside, &second).expect("can be renamed");
        },
        &[FIRST, SECOND],
    ),
    ("one bit of a ledger part", |place| place.edit(&format!("out/{LEDGER}"), |bytes| bytes[40] ^= 1), &[LEDGER]),
    (
        "a cut ledger part and one bit of its shard",
        |place| {
            place.edit(&format!("out/{LEDGER}"), |bytes| bytes.truncate(bytes.len() - 9));
            place.edit(&format!("out/{SECOND}"), |bytes| bytes[40] ^= 1);
        },
        &[SECOND, LEDGER],
    ),
    ("a cut manifest", |place| place.edit(&format!("out/{MANIFEST}"), |bytes| bytes.truncate(100)), &[MANIFEST]),
    (
        "another hash in the manifest",
        |place| {
            place.edit(&format!("out/{MANIFEST}"), |bytes| {
                let text = String::from_utf8(bytes.clone()).expect("JSON");
                let at = text.find("\"sha256\": \"").expect("a hash") + 11;
                bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            });
        },
        &[MANIFEST],
    ),
    (
        "another digest in the manifest",
        |place| {
            place.edit(&format!("out/{MANIFEST}"), |bytes| {
                let text = String::from_utf8(bytes.clone()).expect("JSON");
                let at = text.find("\"rows_digest\": \"").expect("a digest") + 16;
                bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            });
        },
        &[MANIFEST],
    ),
];

/// D14: a published shard (or ledger part, or manifest) that is damaged later.
#[test]
fn what_is_damaged_is_named_set_aside_and_made_again_with_the_same_bytes() {
    let place = Place::grown();
    let before = place.published("out");
    for (what, damage, files) in DAMAGES {
        damage(&place);
        let damaged = place.published("out");
        let (code, found) = place.verify("out", &["--read-data"]);
        assert_eq!(code, Some(8), "{what}: {found}");
        for file in files {
            assert!(found.lines().any(|line| line.starts_with(file)), "{what}: {file} is not named in {found}");
        }
        assert_eq!(place.published("out"), damaged, "{what}: verify changes nothing");
        let (code, found) = place.verify("out", &["--read-data", "--set-aside"]);
        assert_eq!(code, Some(8), "{what}: {found}");
        for file in files {
            assert!(found.contains(&format!("set aside: {file}")), "{what}: {found}");
            assert!(!place.path("out").join(file).exists(), "{what}: {file}");
        }
        assert!(found.contains("dcmshard convert SOURCE... --out "), "{what}: {found}");
        place.convert("out", &[]);
        assert_eq!(place.published("out"), before, "{what}");
        let (code, found) = place.verify("out", &["--read-data"]);
        assert_eq!(code, Some(0), "{what}: {found}");
    }
    let aside = fs::read_dir(place.path("out/.tmp")).expect("stands").count();
    assert!(aside >= DAMAGES.iter().map(|(_, _, files)| files.len()).sum(), "what was damaged is kept: {aside}");
}

#[test]
fn without_read_data_all_but_a_turned_bit_of_a_shard_is_found() {
    let place = Place::grown();
    for (what, damage, files) in &DAMAGES[1..] {
        damage(&place);
        let (code, found) = place.verify("out", &["--set-aside"]);
        assert_eq!(code, Some(8), "{what}: {found}");
        let last = files.last().expect("one");
        assert!(found.contains(&format!("set aside: {last}")), "{what}: {found}");
        place.verify("out", &["--read-data", "--set-aside"]);
        place.convert("out", &[]);
        let (code, found) = place.verify("out", &["--read-data"]);
        assert_eq!(code, Some(0), "{what}: {found}");
    }
}

#[test]
fn a_damaged_plan_is_not_set_aside_and_its_line_says_why() {
    let place = Place::grown();
    let segment = "plan/g000002/seg-00000.parquet";
    place.edit(&format!("out/{segment}"), |bytes| bytes[20] ^= 1);
    let before = place.published("out");
    let (code, found) = place.verify("out", &["--set-aside"]);
    assert_eq!(code, Some(8), "{found}");
    let why = format!("not to be mended: {segment} cannot be made again from OUT alone");
    assert!(found.contains(&why) && found.contains("nothing is set aside before that"), "{found}");
    assert!(place.path("out").join(segment).exists());
    assert_eq!(place.published("out"), before, "{found}");
}

#[test]
fn nothing_is_set_aside_while_a_run_is_at_work() {
    let place = Place::grown();
    place.edit(&format!("out/{FIRST}"), Vec::clear);
    let mut recipe = Recipe::head();
    (recipe.output.rows_per_shard, recipe.crop_pad.size) = (4, 64);
    let run = Dataset::open(&place.path("out"), &recipe, Some(&place.path("key"))).expect("not locked");
    let (code, said) = place.verify("out", &["--set-aside"]);
    assert_eq!((code, said.lines().count()), (Some(5), 1), "{said}");
    assert!(place.path("out").join(FIRST).exists());
    assert_eq!(place.verify("out", &[]).0, Some(8), "to look is allowed");
    drop(run);
    assert_eq!(place.verify("out", &["--set-aside"]).0, Some(8));
    assert!(!place.path("out").join(FIRST).exists());
}

#[test]
fn rows_and_rejects_made_again_from_their_source_are_the_same() {
    let place = Place::grown();
    let (code, found) = place.verify_source(&place.word("src"), &[]);
    assert_eq!(code, Some(0), "{found}");
    // 22 slices, three of them rejected by decode, and the cut file, which its header rejects.
    assert!(found.contains("compared 23 of 23 slices with their source\n"), "{found}");
    let (code, found) = place.verify_source(&place.word("src"), &["--rows", "5", "--seed", "3"]);
    assert_eq!(code, Some(0), "{found}");
    assert!(found.contains("compared 5 of 5 slices"), "{found}");
    // The tree was moved: the label tells which source it is.
    fs::create_dir(place.path("elsewhere")).expect("can be made");
    fs::rename(place.path("src"), place.path("elsewhere/heads")).expect("can be renamed");
    let (code, found) = place.verify_source(&format!("src={}", place.word("elsewhere/heads")), &[]);
    assert_eq!(code, Some(0), "{found}");
    let (code, found) = place.verify_source(&place.word("elsewhere/heads"), &[]);
    assert_eq!(code, Some(7), "{found}");
    assert!(found.contains("not compared: 23 of a source that is not named"), "{found}");
}

#[test]
fn a_row_that_is_not_what_its_source_gives_is_named_by_shard_source_id_frame_and_columns() {
    let place = Place::grown();
    place.edit_input(8, |ct| ct.stored[32 * 64 + 32] += 1);
    place.edit_input(10, |ct| ct.slope = "1.000"); // as long as it was
    let id = |n: u32| {
        let path = file_of(n);
        key().source_id("src", path.split('/').next().expect("a folder").as_bytes(), path.as_bytes()).to_string()
    };
    let (code, found) = place.verify_source(&place.word("src"), &[]);
    assert_eq!(code, Some(8), "{found}");
    let line = |id: &str| found.lines().find(|line| line.contains(id)).unwrap_or_else(|| panic!("{found}"));
    let other = line(&id(8));
    assert!(other.starts_with("data/g000001/part-"), "{other}");
    assert!(other.contains(" frame 0: made again, it differs in image, content_id"), "{other}");
    assert!(other.ends_with("the file is as it was written"), "{other}");
    assert!(line(&id(10)).ends_with("is hu_range, made again it is a row"), "{found}");
    assert!(!found.contains("im8") && !found.contains("TEST"), "{found}");
    // The shard is whole: nothing of it is to be made again.
    assert!(!place.verify_source(&place.word("src"), &["--set-aside"]).1.contains("set aside: "));
}

#[test]
fn a_damaged_shard_is_told_from_another_source_when_rows_are_made_again() {
    let place = Place::grown();
    for shard in place.shards() {
        place.edit(&format!("out/{shard}"), |bytes| bytes[40] ^= 1);
    }
    let (code, found) = place.verify_source(&place.word("src"), &["--set-aside"]);
    assert_eq!(code, Some(8), "{found}");
    assert!(found.contains("set aside: data/"), "{found}");
    place.convert("out", &[]);
    place.verify("out", &["--read-data", "--set-aside"]);
    place.convert("out", &[]);
    assert_eq!(place.verify_source(&place.word("src"), &["--read-data"]).0, Some(0));
}

#[test]
fn inputs_that_have_gone_or_changed_are_counted_and_none_at_all_is_an_error() {
    let place = Place::grown();
    fs::remove_file(place.path("src").join(file_of(0))).expect("can be removed");
    let path = place.path("src").join(file_of(1));
    let longer = [fs::read(&path).expect("can be read"), vec![0; 2]].concat();
    fs::write(path, longer).expect("can be written");
    let (code, found) = place.verify_source(&place.word("src"), &[]);
    assert_eq!(code, Some(0), "{found}");
    let expected =
        "compared 21 of 23 slices with their source; not compared: 1 whose file has gone, 1 whose file has changed\n";
    assert!(found.contains(expected), "{found}");
    fs::remove_dir_all(place.path("src")).expect("can be removed");
    fs::create_dir(place.path("src")).expect("can be made");
    fs::write(place.path("src/other"), "x").expect("can be written");
    let (code, found) = place.verify_source(&place.word("src"), &[]);
    assert_eq!(code, Some(7), "{found}");
    assert!(found.contains("23 whose file has gone"), "{found}");
    // Another key: nothing can be said.
    let output = dcmshard(&["verify", &place.word("out"), "--source", &place.word("src")]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    let usage = dcmshard(&["verify", &place.word("out"), "--rows", "3"]);
    assert_eq!(usage.status.code(), Some(2), "{}", text(&usage));
}

/// `verify` of a path that is no data set makes nothing there.
#[test]
fn to_set_aside_in_what_is_no_data_set_makes_nothing() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).expect("can be made");
    let (code, said) = place.verify("empty", &["--set-aside"]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(fs::read_dir(place.path("empty")).expect("stands").count(), 0);
    assert_eq!(place.verify("none", &["--set-aside"]).0, Some(2));
    assert!(!place.path("none").exists());
}
