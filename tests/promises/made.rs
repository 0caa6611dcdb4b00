//! DICOM made by the tests: the fewest bytes that are a CT slice, and lies about them.

use std::fs;
use std::path::{Path, PathBuf};

use dcmshard::identity::{Key, SourceId};
use dcmshard::slice::{InputRef, Ordinal, SliceRef};

/// A CT slice to be written as explicit VR little endian.
#[derive(Clone)]
pub struct Ct {
    pub rows: u16,
    pub columns: u16,
    /// Stored values, row by row.
    pub stored: Vec<i16>,
    pub uid: String,
    pub series: String,
    pub slope: &'static str,
    pub intercept: &'static str,
    pub image_type: &'static str,
    pub sop_class: &'static str,
    pub patient_name: String,
}

impl Ct {
    /// A head of soft tissue: a disc-like ellipse (half axes `a` down, `b` across, in pixels)
    /// turned clockwise by `tilt_deg` in a frame of air, with a separate bar below it for a holder.
    pub fn head(size: u16, a: f64, b: f64, tilt_deg: f64) -> Ct {
        let half = f64::from(size) / 2.0 - 0.5;
        let (sin, cos) = tilt_deg.to_radians().sin_cos();
        let mut stored = Vec::with_capacity(usize::from(size) * usize::from(size));
        for row in 0..size {
            for column in 0..size {
                let (y, x) = (f64::from(row) - half, f64::from(column) - half);
                let (along, across) = (y * cos - x * sin, y * sin + x * cos);
                let inside = (along / a).powi(2) + (across / b).powi(2) <= 1.0;
                let texture = ((usize::from(row) * 7 + usize::from(column) * 13) % 11) as i16;
                let holder = row + 6 > size && column > 2 && column + 3 < size;
                stored.push(if inside {
                    30 + texture
                } else if holder {
                    60
                } else {
                    -1000
                });
            }
        }
        Ct { stored, ..Ct::empty(size, size) }
    }

    /// A frame of air.
    pub fn empty(rows: u16, columns: u16) -> Ct {
        Ct {
            rows,
            columns,
            stored: vec![-1000; usize::from(rows) * usize::from(columns)],
            uid: "2.25.1".into(),
            series: "2.25.2".into(),
            slope: "1",
            intercept: "0",
            image_type: "ORIGINAL\\PRIMARY\\AXIAL",
            sop_class: "1.2.840.10008.5.1.4.1.1.2",
            patient_name: "TEST^ONLY".into(),
        }
    }

    /// The same slice with another SOP Instance UID.
    pub fn with_uid(mut self, n: u32) -> Ct {
        self.uid = format!("2.25.1000{n}");
        self
    }

    /// The file's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = vec![0; 128];
        out.extend(b"DICM");
        let mut meta = Vec::new();
        element(&mut meta, (2, 2), b"UI", self.sop_class.as_bytes());
        element(&mut meta, (2, 3), b"UI", self.uid.as_bytes());
        element(&mut meta, (2, 0x10), b"UI", b"1.2.840.10008.1.2.1");
        element(&mut out, (2, 0), b"UL", &(meta.len() as u32).to_le_bytes());
        out.extend(meta);
        element(&mut out, (8, 8), b"CS", self.image_type.as_bytes());
        element(&mut out, (8, 0x16), b"UI", self.sop_class.as_bytes());
        element(&mut out, (8, 0x18), b"UI", self.uid.as_bytes());
        element(&mut out, (8, 0x60), b"CS", b"CT");
        element(&mut out, (0x10, 0x10), b"PN", self.patient_name.as_bytes());
        element(&mut out, (0x10, 0x20), b"LO", self.patient_name.as_bytes());
        element(&mut out, (0x20, 0xd), b"UI", b"2.25.3");
        element(&mut out, (0x20, 0xe), b"UI", self.series.as_bytes());
        element(&mut out, (0x28, 2), b"US", &1u16.to_le_bytes());
        element(&mut out, (0x28, 4), b"CS", b"MONOCHROME2");
        element(&mut out, (0x28, 0x10), b"US", &self.rows.to_le_bytes());
        element(&mut out, (0x28, 0x11), b"US", &self.columns.to_le_bytes());
        for (number, value) in [(0x100, 16u16), (0x101, 16), (0x102, 15), (0x103, 1)] {
            element(&mut out, (0x28, number), b"US", &value.to_le_bytes());
        }
        if !self.intercept.is_empty() {
            element(&mut out, (0x28, 0x1052), b"DS", self.intercept.as_bytes());
        }
        if !self.slope.is_empty() {
            element(&mut out, (0x28, 0x1053), b"DS", self.slope.as_bytes());
        }
        let pixels: Vec<u8> = self.stored.iter().flat_map(|value| value.to_le_bytes()).collect();
        element(&mut out, (0x7fe0, 0x10), b"OW", &pixels);
        out
    }

    /// Writes the file, making its folder.
    pub fn write(&self, path: &Path) {
        let folder = path.parent().expect("a file is in a folder");
        fs::create_dir_all(folder).expect("the folder can be made");
        fs::write(path, self.bytes()).expect("the file can be written");
    }

    /// The slice as the pipeline wants it, from memory.
    pub fn slice_ref(&self) -> SliceRef {
        SliceRef { ordinal: Ordinal(0), input: InputRef::memory(SourceId([1; 24]), self.bytes().into()), frame: 0 }
    }
}

/// The key of tests.
pub fn key() -> Key {
    Key::new([7; 32])
}

/// Appends one explicit VR element, its value padded to even length.
pub fn element(out: &mut Vec<u8>, tag: (u16, u16), vr: &[u8; 2], value: &[u8]) {
    out.extend(tag.0.to_le_bytes());
    out.extend(tag.1.to_le_bytes());
    out.extend(vr);
    let odd = value.len() % 2;
    let length = value.len() + odd;
    if matches!(vr, b"OB" | b"OW" | b"SQ" | b"UN" | b"UT") {
        out.extend([0, 0]);
        out.extend((length as u32).to_le_bytes());
    } else {
        out.extend((length as u16).to_le_bytes());
    }
    out.extend(value);
    out.extend(&[if matches!(vr, b"UI" | b"OB" | b"UN") { 0 } else { b' ' }][..odd]);
}

/// A folder of the test images, or `None` (said aloud) where they do not stand.
pub fn real_data(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    if !path.is_dir() {
        eprintln!("skipped: no test images beside this checkout");
        return None;
    }
    Some(path)
}
