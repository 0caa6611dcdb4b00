//! `--memory` is a bound.

use std::fs;

use dcmshard::phantom::{Head, PhantomOptions, write_multiframe};

use crate::cli::dcmshard;
use crate::made::Ct;
use crate::shards::rows;

/// The peak that a run says of itself (the system's accounting of the process) in its last line.
fn peak_bytes(arguments: &[&str]) -> u64 {
    let output = dcmshard(&[arguments, &["--progress", "json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let last = stderr.lines().last().expect("the last state");
    let last: serde_json::Value = serde_json::from_str(last).expect("a JSON object");
    last["peak_memory_bytes"].as_u64().expect("a number of bytes")
}

#[test]
fn a_300_frame_file_first_in_order_ends_within_64_mib() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, out) = (temp.path().join("src"), temp.path().join("out"));
    fs::create_dir(&src).expect("can be made");
    let head = Head::new(0, &PhantomOptions::default());
    write_multiframe(&src.join("multi.dcm"), 300, &head).expect("can be written");
    let size = fs::metadata(src.join("multi.dcm")).expect("stands").len();
    assert!(size > 150 << 20, "{size} bytes");
    let path = |path: &std::path::Path| path.display().to_string();
    let peak = peak_bytes(&["convert", &path(&src), "--out", &path(&out), "--memory", "64MiB", "--threads", "2"]);
    eprintln!("peak {} MiB", peak >> 20);
    assert!(peak <= 128 << 20, "peak {} MiB, expected at most 64 + 64", peak >> 20);
    assert_eq!(rows(&out).len(), 300);
}

/// What a run keeps of an input when its slices are done is a few dozen bytes.
#[test]
fn twenty_times_as_many_slices_take_hardly_more_memory() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    // What is needed is the least of a few runs: a busy machine lets the allocator keep more.
    let peaks = [1_000, 20_000].map(|slices: u32| {
        let src = temp.path().join(format!("src-{slices}"));
        for n in 0..slices {
            Ct::empty(8, 8).with_uid(n).write(&src.join(format!("{}/{n}.dcm", n / 500)));
        }
        let path = |path: &std::path::Path| path.display().to_string();
        let cheap = ["--set", "crop_pad.size=16", "--memory", "64MiB", "--threads", "2"];
        let peaks = (0..3).map(|run| {
            let out = temp.path().join(format!("out-{slices}-{run}"));
            peak_bytes(&[&["convert", &path(&src), "--out", &path(&out)], &cheap[..]].concat())
        });
        peaks.min().expect("three runs")
    });
    eprintln!("peaks {} and {} MiB", peaks[0] >> 20, peaks[1] >> 20);
    assert!(peaks[1] <= peaks[0] + (12 << 20), "{peaks:?} bytes, expected at most 12 MiB more");
}
