//! A whole archive: folders, files, `truth.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::dicom::{self, Named};
use super::extras;
use super::head::Head;
use super::raster::draw;
use super::truth::{FileTruth, HeadTruth, Truth, rounded};
use crate::error::Error;

/// What an archive holds. The same options give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhantomOptions {
    /// Heads, one series each; 1 to 9999.
    pub heads: u32,
    /// Slices of each head; 1 to 9999.
    pub slices_per_head: u32,
    /// Rows and columns of each slice; 128 to 4096.
    pub size: u32,
    /// Heads are turned by -max to +max; 0 to 45.
    pub max_tilt_deg: f64,
    /// Everything random follows from it.
    pub seed: u64,
    /// Also a localizer, a colour page, a text file, a duplicate and a truncated file.
    pub extras: bool,
}

impl Default for PhantomOptions {
    fn default() -> PhantomOptions {
        PhantomOptions { heads: 4, slices_per_head: 16, size: 512, max_tilt_deg: 25.0, seed: 1, extras: false }
    }
}

impl PhantomOptions {
    fn check(&self) -> Result<(), Error> {
        let problem = |text: String| Err(Error::Usage(format!("phantom: {text}")));
        for (name, value, low, high) in
            [("heads", self.heads, 1, 9999), ("slices", self.slices_per_head, 1, 9999), ("size", self.size, 128, 4096)]
        {
            if !(low..=high).contains(&value) {
                return problem(format!("{name} is {value}, expected {low} to {high}"));
            }
        }
        if !(0.0..=45.0).contains(&self.max_tilt_deg) {
            return problem(format!("the largest tilt is {}, expected 0 to 45 degrees", self.max_tilt_deg));
        }
        Ok(())
    }
}

/// Writes an archive below `folder`, like an export from a hospital: a folder for each patient, one
/// in it for each series, files numbered from 1; and `truth.json`, last of all, with everything that
/// is known of it. Files that are there already are written again.
///
/// # Errors
/// [`Error::Usage`] for options out of range, [`Error::OutputIo`] where writing fails.
pub fn write_archive(folder: &Path, options: &PhantomOptions) -> Result<Truth, Error> {
    options.check()?;
    let mut truth = Truth { options: options.clone(), heads: vec![], files: vec![], extras: vec![] };
    for index in 0..options.heads {
        let head = Head::new(index, options);
        for slice in 0..head.slices() {
            truth.files.push(write_slice(folder, &head, slice)?);
        }
        truth.heads.push(of_head(&head));
    }
    if options.extras {
        truth.extras = extras::write(folder, &Head::new(0, options))?;
    }
    let json = serde_json::to_vec_pretty(&truth).map_err(|error| Error::Bug(format!("truth.json: {error}")))?;
    dicom::save(&folder.join("truth.json"), &json)?;
    Ok(truth)
}

fn write_slice(folder: &Path, head: &Head, slice: u32) -> Result<FileTruth, Error> {
    let path = format!("{}/IM-{:04}.dcm", series_folder(head), slice + 1);
    let at = folder.join(&path);
    let pixels = dicom::stored_bytes(&draw(head, slice), head.storage);
    let bytes = dicom::file(dicom::of_slice(head, slice), &pixels);
    let bytes = bytes.map_err(|source| Error::OutputIo { doing: "encode", path: at.clone(), source })?;
    dicom::save(&at, &bytes)?;
    Ok(FileTruth::new(head, slice, path, head.uid(Named::Instance, slice)))
}

/// The folder of a head's patient, relative to the archive.
pub(crate) fn patient_folder(head: &Head) -> String {
    format!("PHANTOM_HEAD_{:02}", head.index + 1)
}

/// The folder of a head's series, relative to the archive.
pub(crate) fn series_folder(head: &Head) -> String {
    format!("{}/2_HEAD_5MM", patient_folder(head))
}

fn of_head(head: &Head) -> HeadTruth {
    HeadTruth {
        head: head.index,
        folder: series_folder(head),
        tilt_deg: head.tilt_deg,
        axis_ratio: rounded(head.axis_ratio),
        storage: head.storage,
        holder: head.holder(),
        bleed: head.bleed().map(|bleed| bleed.kind),
        patient_name: head.patient_name(),
        patient_id: head.patient_id(),
        series_instance_uid: head.uid(Named::Series, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use dicom_dictionary_std::tags;

    use super::super::raster::OUTSIDE_HU;
    use super::*;

    fn tiny() -> PhantomOptions {
        PhantomOptions { heads: 4, slices_per_head: 2, size: 128, extras: true, ..PhantomOptions::default() }
    }

    #[test]
    fn files_hold_what_was_drawn_and_truth_lists_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let truth = write_archive(folder.path(), &tiny()).expect("an archive");
        assert_eq!((truth.heads.len(), truth.files.len(), truth.extras.len()), (4, 8, 5));
        for file in &truth.files {
            let object = dicom_object::open_file(folder.path().join(&file.path)).expect("DICOM");
            let head = Head::new(file.head, &tiny());
            let bytes = object.element(tags::PIXEL_DATA).expect("pixels").to_bytes().expect("bytes");
            let stored = bytes.chunks(2).map(|b| i16::from_le_bytes([b[0], b[1]]));
            let hu: Vec<i16> = stored
                .map(|value| match value {
                    value if value == head.storage.pixel_padding_value => OUTSIDE_HU,
                    value => value + head.storage.rescale_intercept,
                })
                .collect();
            assert_eq!(hu, draw(&head, file.slice).into_raw_vec_and_offset().0);
            let uid = object.element(tags::SOP_INSTANCE_UID).expect("a UID").to_str().expect("text");
            assert_eq!(uid.trim_end_matches('\0'), file.sop_instance_uid);
        }
        let text = fs::read(folder.path().join("truth.json")).expect("truth.json");
        assert_eq!(serde_json::from_slice::<Truth>(&text).expect("JSON"), truth);
    }

    #[test]
    fn the_same_options_give_the_same_bytes() {
        let (a, b) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let truth = write_archive(a.path(), &tiny()).expect("an archive");
        write_archive(b.path(), &tiny()).expect("an archive");
        let paths = truth.files.iter().map(|f| &f.path).chain(truth.extras.iter().map(|e| &e.path));
        for path in paths {
            let read = |folder: &Path| fs::read(folder.join(path)).expect("a file");
            assert_eq!(read(a.path()), read(b.path()), "{path}");
        }
    }

    #[test]
    fn tilts_spread_over_the_whole_range() {
        let options = PhantomOptions { heads: 10, ..PhantomOptions::default() };
        let tilts: Vec<f64> = (0..10).map(|index| Head::new(index, &options).tilt_deg).collect();
        assert!(tilts.iter().all(|tilt| tilt.abs() <= 25.0));
        assert!(tilts.iter().any(|&tilt| tilt < -15.0) && tilts.iter().any(|&tilt| tilt > 15.0), "{tilts:?}");
    }

    #[test]
    fn options_out_of_range_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = PhantomOptions { size: 64, ..PhantomOptions::default() };
        let error = write_archive(folder.path(), &options).expect_err("64 is too small");
        assert_eq!(error.to_string(), "phantom: size is 64, expected 128 to 4096");
        let options = PhantomOptions { max_tilt_deg: f64::NAN, ..PhantomOptions::default() };
        assert!(write_archive(folder.path(), &options).is_err());
    }
}
