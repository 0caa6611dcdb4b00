//! The command line: one clear line and the right exit code for every mistake, nothing touched.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::made::Ct;

/// Runs the program.
pub fn dcmshard(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dcmshard")).args(arguments).output().expect("the program starts")
}

/// A folder with one slice in it.
fn source(folder: &Path) -> String {
    Ct::head(64, 20.0, 15.0, 0.0).write(&folder.join("a/1.dcm"));
    folder.display().to_string()
}

/// Runs `convert` and holds it against one line that contains `says`, and an exit code.
fn refused(arguments: &[&str], code: i32, says: &str) {
    let output = dcmshard(&[&["convert"], arguments].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(stderr.contains(says), "{arguments:?}: {stderr}\nexpected: {says}");
    assert!(stderr.starts_with("dcmshard: "), "{stderr}");
}

#[test]
fn every_mistake_is_one_line_with_its_exit_code_and_touches_nothing() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let root = temp.path();
    let src = source(&root.join("src"));
    let twin = source(&root.join("other/src"));
    fs::create_dir(root.join("empty")).expect("can be made");
    fs::write(root.join("bad.toml"), "version = 1\n[tilt\n").expect("can be written");
    let path = |name: &str| root.join(name).display().to_string();
    let out = path("out");
    let (out, empty, missing, bad) = (out.as_str(), path("empty"), path("missing"), path("bad.toml"));

    refused(&[&missing, "--out", out], 7, "missing");
    refused(&[&empty, "--out", out], 2, "empty");
    refused(&[&src, "--out", &format!("{src}/out")], 2, "inside");
    refused(&[&src, &twin, "--out", out], 2, "label");
    refused(&[&src, "--out", out, "--recipe", &path("none.toml")], 2, "none.toml");
    refused(&[&src, "--out", out, "--recipe", &bad], 2, "line 2");
    refused(&[&src, "--out", out, "--set", "tilt.max_angel_deg=3"], 2, "did you mean tilt.max_angle_deg?");
    refused(&[&src, "--out", out, "--set", "hu_window.windows=[[40, 0]]"], 2, "hu_window.windows: found width 0");
    refused(&[&src, "--out", out, "--memory", "1KiB"], 2, "found 1024 bytes, expected at least 64MiB");
    refused(&[&src, "--out", out, "--thread", "2"], 2, "--thread");
    refused(&[&src, "--out", out, "--threads", "100000000"], 2, "from 1 to 1024");
    refused(&[&src, "--out", out, "--channel-capacity", "1000000000000"], 2, "from 1 to 1024");
    refused(&[&src, "--out", out, "--recipe", &empty], 2, "cannot be read");
    refused(&[&src, "--out", out, "--set", ""], 2, "--set: found no `=`");
    refused(&[&src, "--out", out, "--set", "tilt.enabled=false\ntilt.method=x"], 2, "tilt.enabled");
    refused(&[&src, "--out", out, "--key", &bad], 2, "32 raw bytes");
    refused(&[&src, &src, "--out", out], 2, "label");
    refused(&[&src, "--out", &bad], 2, "is a file");
    refused(&[&src], 2, "--out");
    refused(&["", "--out", out], 2, "SOURCE");
    refused(&["--out", out], 2, "SOURCE");
    assert!(!root.join("out").exists() && !root.join("out.private").exists(), "OUT was touched");
}

/// Archives of old systems have names in Latin-1.
#[cfg(unix)]
#[test]
fn paths_need_not_be_utf8() {
    use std::os::unix::ffi::OsStringExt;
    let temp = tempfile::tempdir().expect("a temporary folder");
    let name = |bytes: &[u8]| temp.path().join(std::ffi::OsString::from_vec(bytes.to_vec()));
    let (src, out, recipe) = (name(b"K\xf6pfe"), name(b"aus\xdfen"), name(b"k\xf6pf.toml"));
    source(&src);
    fs::write(&recipe, "version = 1\n").expect("can be written");
    let mut convert = Command::new(env!("CARGO_BIN_EXE_dcmshard"));
    let mut source = std::ffi::OsString::from("koepfe=");
    source.push(&src);
    let output = convert.arg("convert").arg(&source).arg("--out").arg(&out).arg("--recipe").arg(&recipe).output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.join("data/g000001/part-00000000.parquet").exists());
}

#[test]
fn a_setting_without_a_recipe_is_laid_over_head() {
    let output = dcmshard(&["recipe", "--set", "tilt.max_angle_deg=30"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("max_angle_deg = 30\n"));
}

#[test]
fn all_mistakes_of_a_recipe_are_reported_each_on_its_line() {
    let output = dcmshard(&["recipe", "head", "--set", "tilt.enabled=maybe", "--set", "crop_pad.size=3"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    assert!(stderr.contains("tilt.enabled") && stderr.contains("crop_pad.size"), "{stderr}");
}

#[test]
fn recipe_prints_what_it_can_read() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let printed = dcmshard(&["recipe", "head", "--set", "tilt.max_angle_deg=30"]);
    let file = temp.path().join("mine.toml");
    fs::write(&file, &printed.stdout).expect("can be written");
    let again = dcmshard(&["recipe", &file.display().to_string()]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&printed.stdout));
    assert!(String::from_utf8_lossy(&again.stdout).contains("max_angle_deg = 30\n"));
}

/// C04: bytes and times of OUT stay as they were.
#[test]
fn another_recipe_into_the_same_out_is_refused_field_by_field() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let src = source(&temp.path().join("src"));
    let out = temp.path().join("out").display().to_string();
    assert!(dcmshard(&["convert", &src, "--out", &out]).status.success());
    let before = tree(Path::new(&out));
    let output = dcmshard(&["convert", &src, "--out", &out, "--recipe", "head-hu", "--set", "tilt.max_angle_deg=30"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    for key in ["tilt.max_angle_deg", "hu_window.windows", "output.dtype"] {
        assert!(stderr.contains(key), "{key} is not in: {stderr}");
    }
    assert!(!stderr.contains("crop_pad.size"), "{stderr}");
    assert_eq!(tree(Path::new(&out)), before);
}

#[test]
fn the_same_command_again_does_nothing_and_says_so() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let src = source(&temp.path().join("src"));
    let out = temp.path().join("out").display().to_string();
    let first = dcmshard(&["convert", &src, "--out", &out]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert!(first.stderr.is_empty(), "nothing on a pipe unless asked");
    let summary = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(summary.contains("found 1 = written 1 + rejected 0 + duplicate 0 + filtered 0"), "{summary}");
    let before = tree(Path::new(&out));
    assert!(dcmshard(&["convert", &src, "--out", &out]).status.success());
    assert_eq!(tree(Path::new(&out)), before);
}

#[test]
fn too_many_rejects_end_with_exit_code_3_and_a_whole_data_set() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let src = temp.path().join("src");
    Ct::head(64, 20.0, 15.0, 0.0).write(&src.join("good.dcm"));
    Ct { slope: "0", ..Ct::head(64, 20.0, 15.0, 0.0) }.with_uid(2).write(&src.join("bad.dcm"));
    let out = temp.path().join("out").display().to_string();
    let src = src.display().to_string();
    let output = dcmshard(&["convert", &src, "--out", &out, "--max-rejects", "0.4"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(dcmshard(&["verify", &out, "--read-data"]).status.success());
    let output = dcmshard(&["convert", &src, "--out", &out, "--max-rejects", "0.5"]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn json_progress_is_one_object_a_line_on_standard_error() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let src = source(&temp.path().join("src"));
    let out = temp.path().join("out").display().to_string();
    let last = last_line(&["convert", &src, "--out", &out, "--progress", "json"]);
    for (field, value) in [("found", 1), ("planned", 1), ("done", 1), ("written", 1), ("rejected", 0), ("exit_code", 0)]
    {
        assert_eq!(last[field], value, "{field}: {last}");
    }
    assert_eq!((&last["state"], &last["plan_is_complete"]), (&"done".into(), &true.into()), "{last}");
    assert_eq!((&last["dataset"]["found"], &last["dataset"]["written"]), (&1.into(), &1.into()), "{last}");
}

#[test]
fn progress_counts_the_shards_of_an_earlier_run_as_done() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let src = source(&temp.path().join("src"));
    let out = temp.path().join("out").display().to_string();
    let convert = ["convert", &src, "--out", &out, "--progress", "json"];
    last_line(&convert);
    let last = last_line(&convert);
    assert_eq!((&last["planned"], &last["done"], &last["existing"]), (&1.into(), &1.into(), &1.into()), "{last}");
    assert_eq!((&last["written"], &last["eta_s"]), (&0.into(), &0.0.into()), "{last}");
}

#[test]
fn the_last_line_of_json_says_how_the_run_ended() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let src = temp.path().join("src");
    Ct { slope: "0", ..Ct::head(64, 20.0, 15.0, 0.0) }.write(&src.join("bad.dcm"));
    let (src, out) = (src.display().to_string(), temp.path().join("out").display().to_string());
    let last = last_line(&["convert", &src, "--out", &out, "--progress", "json", "--max-rejects", "0"]);
    assert_eq!((&last["state"], &last["exit_code"]), (&"done".into(), &3.into()), "{last}");
    assert_eq!(last["dataset"]["reasons"]["rescale"], 1, "{last}");
}

/// The last line on standard error, where every line is a JSON object.
fn last_line(arguments: &[&str]) -> serde_json::Value {
    let output = dcmshard(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<serde_json::Value> =
        stderr.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    lines.last().expect("at least the last state").clone()
}

#[test]
fn verify_finds_a_flipped_bit() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let src = source(&temp.path().join("src"));
    let out = temp.path().join("out");
    let out_name = out.display().to_string();
    assert!(dcmshard(&["convert", &src, "--out", &out_name]).status.success());
    assert!(dcmshard(&["verify", &out_name, "--read-data"]).status.success());
    let shard = out.join("data/g000001/part-00000000.parquet");
    let mut bytes = fs::read(&shard).expect("a shard");
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&shard, bytes).expect("can be written");
    let output = dcmshard(&["verify", &out_name, "--read-data"]);
    assert_eq!(output.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&output.stdout).contains("part-00000000.parquet"));
}

/// Every file below a folder: path, time of last change, bytes.
fn tree(folder: &Path) -> Vec<(String, std::time::SystemTime, Vec<u8>)> {
    let mut files: Vec<_> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.expect("can be listed"))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let changed = fs::metadata(entry.path()).and_then(|metadata| metadata.modified()).expect("has a time");
            (entry.path().display().to_string(), changed, fs::read(entry.path()).expect("can be read"))
        })
        .collect();
    files.sort();
    files
}

/// D08
#[test]
fn a_limit_on_the_size_of_files_is_an_output_error_and_no_death() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, out) = (source(&temp.path().join("src")), temp.path().join("out").display().to_string());
    let convert = |limit: &str| {
        let words = [env!("CARGO_BIN_EXE_dcmshard"), "convert", &src, "--out", &out, "--progress", "none"];
        let script = format!("ulimit -f {limit}; exec \"$0\" \"$@\"");
        Command::new("bash").arg("-c").arg(script).args(words).output().expect("bash starts")
    };
    let limited = convert("4"); // KiB: less than a plan segment and its ledger need together with a shard
    let stderr = String::from_utf8_lossy(&limited.stderr);
    assert_eq!(limited.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("File too large") && stderr.trim_end().lines().count() == 1, "{stderr}");
    let again = convert("unlimited");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}
