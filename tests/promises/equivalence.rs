//! Threads, memory, channel sizes and interruptions do not change a byte.

use std::fs;
use std::path::Path;

use dcmshard::identity::SourceId;
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, Pixels, SliceRef};
use dcmshard::stage::Scratch;

use crate::cli::dcmshard;
use crate::made::{Ct, key};
use crate::shards::{hashes, rows};

/// An archive of 40 heads, one in eight of them without a usable rescale slope.
fn archive(folder: &Path) {
    for n in 0..40u32 {
        let ct = Ct::head(96, 30.0 + f64::from(n) / 4.0, 24.0, f64::from(n) - 20.0).with_uid(n);
        let ct = if n % 8 == 3 { Ct { slope: "0", ..ct } } else { ct };
        ct.write(&folder.join(format!("{}/{n}.dcm", n / 10)));
    }
    fs::write(folder.join("notes.txt"), "no DICOM").expect("can be written");
}

fn key_file(folder: &Path) -> String {
    let path = folder.join("key");
    fs::write(&path, key().bytes()).expect("can be written");
    path.display().to_string()
}

/// Converts `src` into `out` with ten rows a shard; more arguments may follow.
fn convert(src: &Path, out: &Path, key: &str, more: &[&str]) {
    let (src, out) = (src.display().to_string(), out.display().to_string());
    let fixed = ["convert", &src, "--out", &out, "--key", key, "--set", "output.rows_per_shard=10"];
    let output = dcmshard(&[&fixed, more].concat());
    assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn threads_memory_and_channel_sizes_do_not_change_a_byte() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, key) = (temp.path().join("src"), key_file(temp.path()));
    archive(&src);
    let mut expected = None;
    for threads in ["1", "2", "8"] {
        for memory in ["64MiB", "2GiB"] {
            for capacity in ["1", "16"] {
                let out = temp.path().join(format!("out-{threads}-{memory}-{capacity}"));
                let more = ["--threads", threads, "--memory", memory, "--channel-capacity", capacity];
                convert(&src, &out, &key, &more);
                let found = hashes(&out);
                let shards = found.iter().filter(|(name, _)| name.starts_with("data/")).count();
                assert_eq!(shards, 4, "40 planned slices, ten a shard");
                let expected = expected.get_or_insert_with(|| found.clone());
                assert_eq!(&found, expected, "threads {threads}, memory {memory}, capacity {capacity}");
            }
        }
    }
}

#[test]
fn rows_are_those_of_process_in_a_loop() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, out, key_path) = (temp.path().join("src"), temp.path().join("out"), key_file(temp.path()));
    archive(&src);
    convert(&src, &out, &key_path, &[]);
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let scratch = &mut Scratch::default();
    let mut expected = Vec::new();
    for n in 0..40u32 {
        let (folder, path) = (format!("{}", n / 10), format!("{}/{n}.dcm", n / 10));
        let source_id = key().source_id("src", folder.as_bytes(), path.as_bytes());
        let input = InputRef::file(source_id, &src.join(&path));
        let at = SliceRef { ordinal: Ordinal(0), input, frame: 0 };
        if let Ok(slice) = pipeline.process(&at, scratch) {
            let Pixels::U8(tensor) = &slice.pixels else { panic!("head is uint8") };
            expected.push((source_id.to_string(), tensor.iter().copied().collect::<Vec<u8>>(), slice.facts));
        }
    }
    let rows = rows(&out);
    assert_eq!((rows.len(), expected.len()), (35, 35));
    for row in rows {
        let source_id = row.text("source_id").expect("required");
        let (_, tensor, facts) = expected.iter().find(|(id, ..)| id == source_id).expect("a slice of the loop");
        assert_eq!(row.image(), tensor);
        assert_eq!(facts.get("tilt_angle_deg"), row.float("tilt_angle_deg").map(Into::into).as_ref());
        assert_eq!(facts.get("mask_pixels"), row.int("mask_pixels").map(Into::into).as_ref());
        assert_eq!(facts.get("content_id"), row.text("content_id").map(Into::into).as_ref());
    }
}

#[test]
fn one_input_moved_in_memory_or_on_disk_gives_the_same_row() {
    let ct = Ct::head(96, 40.0, 30.0, 7.0);
    let temp = tempfile::tempdir().expect("a temporary folder");
    ct.write(&temp.path().join("a.dcm"));
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let input = InputRef::file(SourceId([1; 24]), &temp.path().join("a.dcm"));
    let file = SliceRef { ordinal: Ordinal(0), input, frame: 0 };
    let from_file = pipeline.process(&file, &mut Scratch::default()).expect("a row");
    let from_memory = pipeline.process(&ct.slice_ref(), &mut Scratch::default()).expect("a row");
    assert_eq!(from_file.pixels, from_memory.pixels);
    assert_eq!(from_file.facts, from_memory.facts);
}
