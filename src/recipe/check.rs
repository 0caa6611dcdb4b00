//! What recipes must hold beyond the type of each key.

use super::{Dtype, LimitsKeys, Recipe, RecipeError, Steps, Window};

/// Most channels of a tensor.
pub(super) const MAX_WINDOWS: usize = 16;

/// The smallest HU a slice holds after `hu_window`.
const LOWEST_HU: f64 = -1024.0;

impl Recipe {
    /// Appends every contradiction and every value out of range.
    pub(super) fn check(&self, errors: &mut Vec<RecipeError>) {
        let mut say = |key: &str, problem: String| errors.push(RecipeError { key: key.to_owned(), problem });
        if self.version != 1 {
            say("version", format!("found {}, expected 1", self.version));
        }
        self.check_windows(&mut say);
        self.check_numbers(&mut say);
        check_limits(&self.limits, &mut say);
        self.check_agreement(&mut say);
        if self.steps == Steps::Published {
            self.check_published(&mut say);
        }
    }

    fn check_windows(&self, say: &mut impl FnMut(&str, String)) {
        if let Some(problem) = window_problem(&self.hu_window.guide) {
            say("hu_window.guide", problem);
        } else if self.hu_window.guide.low() < LOWEST_HU {
            let low = self.hu_window.guide.low();
            say(
                "hu_window.guide",
                format!("found low edge {low} HU, expected -1024 or above: every pixel would be head"),
            );
        }
        let windows = &self.hu_window.windows;
        if let Some(problem) = windows.iter().find_map(window_problem) {
            say("hu_window.windows", problem);
        }
        if windows.len() > MAX_WINDOWS {
            say("hu_window.windows", format!("found {} windows, expected at most {MAX_WINDOWS}", windows.len()));
        }
    }

    fn check_numbers(&self, say: &mut impl FnMut(&str, String)) {
        let angle = self.tilt.max_angle_deg;
        if angle <= 0.0 || angle > 90.0 {
            say("tilt.max_angle_deg", format!("found {angle}, expected above 0, at most 90"));
        }
        if self.tilt.max_stderr_deg <= 0.0 {
            say("tilt.max_stderr_deg", format!("found {}, expected above 0", self.tilt.max_stderr_deg));
        }
        if !(16..=4096).contains(&self.crop_pad.size) {
            say("crop_pad.size", format!("found {}, expected 16 to 4096", self.crop_pad.size));
        }
        if !(1..=1_000_000).contains(&self.output.rows_per_shard) {
            say("output.rows_per_shard", format!("found {}, expected 1 to 1000000", self.output.rows_per_shard));
        }
    }

    fn check_agreement(&self, say: &mut impl FnMut(&str, String)) {
        if !self.denoise.enabled && self.tilt.enabled {
            say("tilt.enabled", "found true, expected false while denoise.enabled = false: there is no outline".into());
        }
        if !self.denoise.enabled && self.crop_pad.crop {
            say("crop_pad.crop", "found true, expected false while denoise.enabled = false: there is no mask".into());
        }
        match (self.output.dtype, self.hu_window.windows.is_empty()) {
            (Dtype::Int16, false) => {
                say("output.dtype", "found \"int16\", expected \"uint8\" where hu_window.windows has entries".into());
            }
            (Dtype::Uint8, true) => {
                say("output.dtype", "found \"uint8\", expected \"int16\" where hu_window.windows = []".into());
            }
            _ => {}
        }
    }

    /// The published steps cast the windowed HU to uint8 and take 0 for background.
    fn check_published(&self, say: &mut impl FnMut(&str, String)) {
        let Window { center, width } = self.hu_window.guide;
        let (low, high) = (center - (width / 2.0).floor(), center + (width / 2.0).floor());
        if low != 0.0 || high > 255.0 {
            let found = format!("found {low} to {high} HU, expected 0 to at most 255 where steps = \"published\"");
            say("hu_window.guide", found);
        }
        if self.hu_window.windows != [self.hu_window.guide] {
            let found = self.hu_window.windows.len();
            say("hu_window.windows", format!("found {found}, expected the guide alone where steps = \"published\""));
        }
    }
}

/// The least leaves room for the smallest sound file. The most keeps every count and product of them
/// inside its type, and what is held in memory by a limit within what a machine may have.
fn check_limits(limits: &LimitsKeys, say: &mut impl FnMut(&str, String)) {
    let ranges = [
        ("file_bytes", limits.file_bytes, 1024, 1 << 50),
        ("header_bytes", limits.header_bytes, 1024, 1 << 30),
        ("value_bytes", limits.value_bytes, 256, 1 << 30),
        ("elements", limits.elements.into(), 64, 1 << 24),
        ("depth", limits.depth.into(), 2, 1024),
        ("items", limits.items.into(), 1, 1 << 24),
        ("side_px", limits.side_px.into(), 1, 65_535),
        ("frames", limits.frames.into(), 1, 1 << 22),
        ("fragments", limits.fragments.into(), 1, 1 << 24),
        ("frame_bytes", limits.frame_bytes, 1, 1 << 31),
        ("decoded_bytes", limits.decoded_bytes, 1, 1 << 50),
        ("inflated_bytes", limits.inflated_bytes, 1024, 1 << 36),
    ];
    for (key, found, least, most) in ranges {
        if !(least..=most).contains(&found) {
            say(&format!("limits.{key}"), format!("found {found}, expected {least} to {most}"));
        }
    }
}

fn window_problem(window: &Window) -> Option<String> {
    let Window { center, width } = *window;
    // PS3.3 C.11.2.1.2; far below 1 the edges would be the same number
    if width < 1.0 {
        Some(format!("found width {width}, expected 1 or above"))
    } else if width > 65535.0 || center.abs() > 32768.0 {
        Some(format!(
            "found [{center:e}, {width:e}], expected a center within 32768 HU of 0 and a width of at most 65535"
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::RecipeErrors;
    use super::*;

    fn keys(settings: &[&str]) -> Vec<String> {
        let settings: Vec<String> = settings.iter().map(|s| s.to_string()).collect();
        match Recipe::from_toml("", &settings) {
            Ok(_) => Vec::new(),
            Err(RecipeErrors(errors)) => errors.into_iter().map(|error| error.key).collect(),
        }
    }

    #[test]
    fn denoise_off_needs_tilt_and_crop_off() {
        assert_eq!(keys(&["denoise.enabled=false"]), ["tilt.enabled", "crop_pad.crop"]);
        assert!(keys(&["denoise.enabled=false", "tilt.enabled=false", "crop_pad.crop=false"]).is_empty());
    }

    #[test]
    fn dtype_and_windows_agree() {
        assert_eq!(keys(&["output.dtype=int16"]), ["output.dtype"]);
        assert_eq!(keys(&["hu_window.windows=[]"]), ["output.dtype"]);
        assert!(keys(&["hu_window.windows=[]", "output.dtype=int16"]).is_empty());
    }

    #[test]
    fn published_steps_need_a_window_from_zero_that_fits_a_byte() {
        assert_eq!(keys(&["steps=published", "hu_window.guide=[40, 100]"]), ["hu_window.guide", "hu_window.windows"]);
        assert!(keys(&["steps=published"]).is_empty());
    }

    #[test]
    fn every_number_out_of_range_is_refused_by_its_key() {
        let wrong = [
            ("tilt.max_angle_deg", vec!["0", "-1", "90.1", "nan", "inf", "-inf", "1e400", "true"]),
            ("tilt.max_stderr_deg", vec!["0", "-1", "nan", "inf"]),
            ("crop_pad.size", vec!["15", "4097", "-1", "512.0", "1e9", "99999999999999999999"]),
            ("output.rows_per_shard", vec!["0", "1000001", "-5"]),
            ("output.compression", vec!["zstd:0", "zstd:23", "zstd", "gzip", "3"]),
            ("hu_window.guide", vec!["[40]", "40", "[nan, 80]", "[40, -80]", "[40, 0.5]", "[1e308, 1]"]),
            ("hu_window.windows", vec!["[[40, 1e-300]]", "[[0, 1e9]]", "[[1, 2], [3]]", "40"]),
            ("version", vec!["0", "2", "-1", "1.0"]),
            ("limits.file_bytes", vec!["0", "1023", "1125899906842625", "-1", "1.0", "4 GiB"]),
            ("limits.header_bytes", vec!["1023", "1073741825"]),
            ("limits.value_bytes", vec!["255", "1073741825"]),
            ("limits.elements", vec!["63", "16777217", "4294967296"]),
            ("limits.depth", vec!["1", "1025"]),
            ("limits.items", vec!["0", "16777217"]),
            ("limits.side_px", vec!["0", "65536"]),
            ("limits.frames", vec!["0", "4194305"]),
            ("limits.fragments", vec!["0", "16777217"]),
            ("limits.frame_bytes", vec!["0", "2147483649"]),
            ("limits.decoded_bytes", vec!["0", "9223372036854775807"]),
            ("limits.inflated_bytes", vec!["1023", "68719476737"]),
            ("decode.codecs", vec!["all", "[jpeg]", "[\"jpeg\", \"mpeg\"]", "[1]", "true"]),
        ];
        for (key, values) in wrong {
            for value in values {
                assert_eq!(keys(&[&format!("{key}={value}")]), [key], "{key}={value}");
            }
        }
        assert!(keys(&["tilt.max_angle_deg=90", "crop_pad.size=4096", "hu_window.guide=[0.5, 1]"]).is_empty());
    }

    #[test]
    fn a_guide_below_air_is_refused() {
        assert_eq!(keys(&["hu_window.guide=[0, 4000]"]), ["hu_window.guide"]);
    }
}
