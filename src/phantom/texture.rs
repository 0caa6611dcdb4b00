//! Seeded randomness: single numbers, smooth textures and noise.

use ndarray::Array2;

/// One round of splitmix64.
///
/// # Source
/// Steele, Lea, Flood: Fast splittable pseudorandom number generators (OOPSLA 2014).
fn splitmix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A stream of random numbers that depends on its seeds alone.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of these seeds; their order matters.
    pub(crate) fn new(seeds: &[u64]) -> Random {
        Random(seeds.iter().fold(0, |state, &seed| splitmix(state ^ seed)))
    }

    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        splitmix(self.0)
    }

    /// Uniform in low..high.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        low + unit * (high - low)
    }
}

/// A smooth random field over one plane of a volume: value noise, cubic between lattice points.
///
/// Neighbouring planes of one seed are alike, so that a fold of the brain goes on from slice to slice.
#[derive(Debug)]
pub(crate) struct Texture {
    lattice: Vec<f32>,
    side: usize,
    cells_per_px: f64,
    reach: f64,
}

impl Texture {
    /// The plane at `depth` (in lattice cells) of the field of `seed`, with lattice points every
    /// `cell_px`, for coordinates in `-reach_px..reach_px`; farther out the border is repeated.
    pub(crate) fn new(seed: u64, cell_px: f64, depth: f64, reach_px: f64) -> Texture {
        let reach = (reach_px / cell_px).ceil() + 1.0;
        let side = 2 * reach as usize + 2;
        let (plane, share) = (depth.floor(), fade(depth - depth.floor()) as f32);
        let at = |row: usize, column: usize, plane: f64| {
            let bits = Random::new(&[seed, row as u64, column as u64, plane as i64 as u64]).bits();
            (bits >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let point = |index: usize| {
            let (row, column) = (index / side, index % side);
            let (here, next) = (at(row, column, plane), at(row, column, plane + 1.0));
            here + (next - here) * share
        };
        Texture { lattice: (0..side * side).map(point).collect(), side, cells_per_px: 1.0 / cell_px, reach }
    }

    /// The field at (u, v), in -1..1.
    pub(crate) fn at(&self, u: f64, v: f64) -> f64 {
        let limit = self.side as f64 - 1.001;
        let x = (u * self.cells_per_px + self.reach).clamp(0.0, limit);
        let y = (v * self.cells_per_px + self.reach).clamp(0.0, limit);
        let (column, row) = (x as usize, y as usize);
        let (right, down) = (fade(x - column as f64), fade(y - row as f64));
        let between = |row: usize| {
            let points = &self.lattice[row * self.side + column..][..2];
            let (left, next) = (f64::from(points[0]), f64::from(points[1]));
            left + (next - left) * right
        };
        let (top, bottom) = (between(row), between(row + 1));
        top + (bottom - top) * down
    }
}

/// 0 at 0, 1 at 1, flat at both.
fn fade(x: f64) -> f64 {
    x * x * (3.0 - 2.0 * x)
}

/// Correlated noise of mean 0 and standard deviation 1, (row, column): white noise (sums of four
/// 16-bit numbers) smoothed by the binomial 1 4 6 4 1 both ways, all in integers.
pub(crate) fn grain(seeds: &[u64], size: usize) -> Array2<f32> {
    /// Of a sum of four uniform 16-bit numbers: 65536 * sqrt(4 / 12).
    const WHITE_SIGMA: f32 = 37_837.2;
    /// The root of the sum of squares of the 5x5 weights, which add up to 256: 70.
    const SMOOTHED: f32 = 70.0;
    let mut random = Random::new(seeds);
    let wide = size + 4;
    let mut white = vec![0; wide];
    let mut across = Array2::<i32>::zeros((wide, size));
    for mut row in across.outer_iter_mut() {
        white.fill_with(|| white_sample(random.bits()));
        row.iter_mut().zip(white.windows(5)).for_each(|(out, w)| *out = binomial([w[0], w[1], w[2], w[3], w[4]]));
    }
    let mut grain = Array2::zeros((size, size));
    for (row, mut out) in grain.outer_iter_mut().enumerate() {
        let rows: [_; 5] = std::array::from_fn(|k| across.row(row + k));
        for (column, out) in out.iter_mut().enumerate() {
            *out = binomial(rows.map(|row| row[column])) as f32 / (WHITE_SIGMA * SMOOTHED);
        }
    }
    grain
}

fn white_sample(bits: u64) -> i32 {
    (0..4).map(|k| (bits >> (16 * k) & 0xffff) as i32).sum::<i32>() - 2 * 0xffff
}

fn binomial(samples: [i32; 5]) -> i32 {
    let [a, b, c, d, e] = samples;
    a + e + 4 * (b + d) + 6 * c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_is_fixed_forever() {
        let mut random = Random::new(&[1, 2, 3]);
        assert_eq!(random.bits(), Random::new(&[1, 2, 3]).bits());
        assert_ne!(Random::new(&[1, 2]).bits(), Random::new(&[2, 1]).bits());
        assert_eq!(splitmix(0), 0xe220_a839_7b1d_cdaf, "the first output of splitmix64 seeded with 0");
    }

    #[test]
    fn grain_has_mean_0_and_sigma_1_and_is_correlated() {
        let grain = grain(&[5], 256);
        let n = grain.len() as f32;
        let mean = grain.sum() / n;
        let sigma = (grain.iter().map(|g| (g - mean) * (g - mean)).sum::<f32>() / n).sqrt();
        assert!(mean.abs() < 0.05 && (sigma - 1.0).abs() < 0.05, "mean {mean}, sigma {sigma}");
        let neighbours: f32 = grain.windows((1, 2)).into_iter().map(|w| w[[0, 0]] * w[[0, 1]]).sum::<f32>() / n;
        assert!((neighbours - 0.8).abs() < 0.05, "56/70 expected, {neighbours} found");
    }

    #[test]
    fn a_texture_is_continuous_from_cell_to_cell_and_plane_to_plane() {
        let texture = Texture::new(9, 10.0, 1.0, 50.0);
        assert!((texture.at(9.9999, 3.0) - texture.at(10.0001, 3.0)).abs() < 1e-3);
        let near = Texture::new(9, 10.0, 0.9999, 50.0);
        assert!((texture.at(12.0, -7.0) - near.at(12.0, -7.0)).abs() < 1e-3);
        assert!(texture.at(1e9, -1e9).abs() <= 1.0);
    }
}
