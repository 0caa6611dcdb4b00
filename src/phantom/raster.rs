//! From a head to pixels.

use ndarray::Array2;

use super::anatomy::{AIR_HU, Anatomy, EDGE_PX, ZERO_AT};
use super::head::{Head, Holder};
use super::shape::mix;
use super::texture::grain;
use crate::kernel::affine::Affine;

/// HU outside the reconstruction circle: what padding becomes.
pub(crate) const OUTSIDE_HU: i16 = -1024;

/// HU of one slice (0 is the lowest), (row, column), `size` x `size`; -1024 outside the
/// reconstruction circle and nowhere else. What decoding the slice's file and `hu_window` give.
///
/// Edges carry partial volume: the outline passes where HU is 0. HU are rounded half up.
pub fn draw(head: &Head, slice: u32) -> Array2<i16> {
    let size = head.size as usize;
    let mut grain = grain(&[head.seed, u64::from(head.index), u64::from(slice)], size);
    let scene = Scene::new(head, slice);
    let (middle, radius) = (0.5 * (size as f64 - 1.0), 0.5 * size as f64);
    let mut image = Array2::from_elem((size, size), OUTSIDE_HU);
    for (row, (mut pixels, grain)) in image.outer_iter_mut().zip(grain.outer_iter_mut()).enumerate() {
        let down = row as f64 - middle;
        let half_width = (radius * radius - down * down).max(0.0).sqrt();
        for (column, (pixel, grain)) in pixels.iter_mut().zip(grain).enumerate() {
            if (column as f64 - middle).abs() <= half_width {
                let hu = scene.hu(row as f64, column as f64) + head.noise_hu * f64::from(*grain);
                *pixel = ((hu + 0.5).floor() as i16).max(OUTSIDE_HU + 1);
            }
        }
    }
    image
}

/// A head in its holder, in air.
struct Scene<'a> {
    anatomy: Anatomy<'a>,
    image_to_head: Affine,
    scale: f64,
    holder: Holder,
    cos_half_arc: f64,
}

impl<'a> Scene<'a> {
    fn new(head: &'a Head, slice: u32) -> Scene<'a> {
        let holder = head.holder();
        Scene {
            anatomy: Anatomy::new(head, slice),
            image_to_head: head.outline(slice).head_to_image().inverse(),
            scale: head.scale(),
            holder,
            cos_half_arc: libm::cos(holder.half_arc_deg.to_radians()),
        }
    }

    fn hu(&self, row: f64, column: f64) -> f64 {
        let (u, v) = self.image_to_head.apply(column, row);
        let (u, v) = (u / self.scale, v / self.scale);
        let depth = self.anatomy.depth(u, v);
        let share = (depth * self.scale / EDGE_PX + ZERO_AT).clamp(0.0, 1.0);
        if share == 0.0 {
            return mix(AIR_HU, self.holder.hu, self.holder_cover(row, column));
        }
        mix(AIR_HU, self.anatomy.tissue(u, v, depth), share)
    }

    /// Share of the pixel that the holder covers.
    fn holder_cover(&self, row: f64, column: f64) -> f64 {
        let (down, across) = (row - self.holder.center_row_px, column - self.holder.center_column_px);
        let radius = (down * down + across * across).sqrt();
        let wall = (radius - self.holder.inner_radius_px).min(self.holder.outer_radius_px - radius);
        let end = down - radius * self.cos_half_arc;
        (wall.min(end) + 0.5).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::archive::PhantomOptions;
    use super::*;

    fn small() -> PhantomOptions {
        PhantomOptions { heads: 10, slices_per_head: 5, size: 256, ..PhantomOptions::default() }
    }

    #[test]
    fn a_pixel_is_above_0_hu_at_the_outline_only_where_its_centre_lies_inside() {
        for (index, slice) in [(0, 0), (1, 4), (2, 2), (3, 3)] {
            let head = Head::new(index, &small());
            let image = draw(&head, slice);
            let outline = head.outline(slice);
            let to_head = outline.head_to_image().inverse();
            let half = (0.5 * outline.minor_px, 0.5 * outline.major_px);
            for ((row, column), &hu) in image.indexed_iter() {
                let (u, v) = to_head.apply(column as f64, row as f64);
                let depth = super::super::shape::ellipse_depth(u, v, half);
                if (0.1..1.5).contains(&depth) {
                    assert!(hu > 0, "{depth} px inside, {hu} HU");
                } else if (-7.0..-0.1).contains(&depth) {
                    assert!(hu <= 0, "{depth} px outside, {hu} HU");
                }
            }
        }
    }

    #[test]
    fn the_holder_is_there_and_apart_from_every_head() {
        for index in 0..10 {
            let head = Head::new(index, &small());
            let (holder, outline) = (head.holder(), head.outline(2));
            assert!(holder.inner_radius_px > 0.5 * outline.major_px + 4.0);
            let image = draw(&head, 2);
            let row = (holder.center_row_px + 0.5 * (holder.inner_radius_px + holder.outer_radius_px)).round();
            assert!(image[[row as usize, holder.center_column_px.round() as usize]] > 40);
        }
    }

    #[test]
    fn the_same_head_is_drawn_the_same_and_others_differ() {
        let options = small();
        let draw_head = |index| draw(&Head::new(index, &options), 2);
        assert_eq!(draw_head(1), draw_head(1));
        assert_ne!(draw_head(1), draw_head(2));
        let fewer = PhantomOptions { heads: 2, ..options };
        assert_eq!(draw_head(1), draw(&Head::new(1, &fewer), 2), "a head does not depend on the number of heads");
    }

    #[test]
    fn a_bleed_is_bright_where_it_is_said_to_be() {
        let mut seen = 0;
        for (index, slice) in (0..10).flat_map(|index| (0..5).map(move |slice| (index, slice))) {
            let head = Head::new(index, &small());
            let Some((row, column, _)) = head.bleed_place(slice) else { continue };
            let hu = draw(&head, slice)[[row.round() as usize, column.round() as usize]];
            assert!((45..95).contains(&hu), "{hu} HU in the middle of the bleed of head {index}, slice {slice}");
            seen += 1;
        }
        assert!(seen > 0);
    }
}
