//! `--memory` is a bound.

use std::fs;

use dcmshard::phantom::{Head, PhantomOptions, write_multiframe};

use crate::cli::dcmshard;
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
