//! No patient's text leaves the private folder: not in columns, not in names, not in messages.

use std::fs;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_schema::DataType;

use crate::cli::dcmshard;
use crate::made::Ct;
use crate::shards::{batches, parquet_files};

/// What must not be found anywhere.
const CANARY: &str = "ZXCANARYQ";

/// Slices, a reject and a damaged file, whose names, folders and attributes all hold the canary.
fn archive(folder: &Path) {
    let named = |ct: Ct| Ct { patient_name: format!("{CANARY}^NAME"), ..ct };
    let below = folder.join(format!("{CANARY}-patient"));
    named(Ct::head(64, 20.0, 15.0, 5.0)).write(&below.join(format!("{CANARY}-1.dcm")));
    let faulty = Ct { slope: CANARY, ..Ct::head(64, 20.0, 15.0, 0.0) };
    named(faulty).with_uid(2).write(&below.join(format!("{CANARY}-2.dcm")));
    let odd = Ct { image_type: "ORIGINAL\\PRIMARY\\ZXCANARYQ\\zxcanaryq", ..Ct::head(64, 20.0, 15.0, 0.0) };
    named(odd).with_uid(3).write(&below.join("odd.dcm"));
    let whole = named(Ct::head(64, 20.0, 15.0, 0.0)).with_uid(4).bytes();
    fs::write(below.join("cut.dcm"), &whole[..600]).expect("can be written");
    fs::write(below.join(format!("{CANARY}.txt")), CANARY).expect("can be written");
}

#[test]
fn a_canary_in_names_paths_and_values_is_found_nowhere_in_out() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, out) = (temp.path().join("src"), temp.path().join("out"));
    archive(&src);
    let output = dcmshard(&["-vv", "convert", &src.display().to_string(), "--out", &out.display().to_string()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    hold("what is printed", &[output.stdout, output.stderr].concat());
    let verified = dcmshard(&["verify", &out.display().to_string()]);
    hold("what verify prints", &[verified.stdout, verified.stderr].concat());
    for entry in walkdir::WalkDir::new(&out) {
        let entry = entry.expect("can be listed");
        hold("a file's name", entry.path().strip_prefix(&out).expect("is below").to_string_lossy().as_bytes());
        if entry.file_type().is_file() {
            hold(&entry.path().display().to_string(), &fs::read(entry.path()).expect("can be read"));
        }
    }
    // Pages are compressed: read every text back.
    for file in parquet_files(&out) {
        for batch in batches(&file) {
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                if *field.data_type() == DataType::Utf8 {
                    let texts = column.as_string::<i32>().iter().flatten();
                    texts.for_each(|text| hold(field.name(), text.as_bytes()));
                }
            }
        }
    }
}

fn hold(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_ascii_uppercase();
    assert!(!text.contains(CANARY), "{place} holds the canary");
}

#[test]
fn image_type_words_outside_the_standard_form_do_not_pass() {
    // Covered by value above: upper-case words of Image Type could carry a name in its third and
    // later values, so only words of a closed vocabulary pass.
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, out) = (temp.path().join("src"), temp.path().join("out"));
    archive(&src);
    assert!(dcmshard(&["convert", &src.display().to_string(), "--out", &out.display().to_string()]).status.success());
    for row in crate::shards::rows(&out) {
        assert_eq!(row.text("modality"), Some("CT"));
    }
}
