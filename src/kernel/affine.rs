//! Affine maps of the image plane.

/// An affine map of points (column, row) to points (column, row), row-major 2x3:
/// `[a, b, c, d, e, f]` maps (x, y) to (a x + b y + c, d x + e y + f).
///
/// Pixel centres lie on integers, so that the pixel at row 3, column 5 is the point (5, 3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// Every point to itself.
    pub const IDENTITY: Affine = Affine([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    /// Moves by (`columns`, `rows`).
    pub const fn translation(columns: f64, rows: f64) -> Affine {
        Affine([1.0, 0.0, columns, 0.0, 1.0, rows])
    }

    /// Scales about the corner of the image (the point (-0.5, -0.5)), as area means do: `scale`
    /// 0.5 maps the centre of four pixels to the centre of one.
    pub const fn scaling_of_pixels(scale: f64) -> Affine {
        let shift = 0.5 * scale - 0.5;
        Affine([scale, 0.0, shift, 0.0, scale, shift])
    }

    /// Turns clockwise, as seen on the screen, by `angle_deg` about (`column`, `row`).
    /// Sine and cosine are `libm`'s, so that every machine has the same bits.
    pub fn turn_clockwise(angle_deg: f64, column: f64, row: f64) -> Affine {
        let (sin, cos) = libm::sincos(angle_deg.to_radians());
        Affine([cos, -sin, column - cos * column + sin * row, sin, cos, row - sin * column - cos * row])
    }

    /// Where (column, row) goes.
    pub fn apply(&self, column: f64, row: f64) -> (f64, f64) {
        let [a, b, c, d, e, f] = self.0;
        (a * column + b * row + c, d * column + e * row + f)
    }

    /// First this map, then `next`.
    pub fn then(&self, next: &Affine) -> Affine {
        let [a, b, c, d, e, f] = self.0;
        let [p, q, r, s, t, u] = next.0;
        Affine([p * a + q * d, p * b + q * e, p * c + q * f + r, s * a + t * d, s * b + t * e, s * c + t * f + u])
    }

    /// The map back. Turns, moves and scalings by more than 0 always have one.
    pub fn inverse(&self) -> Affine {
        let [a, b, c, d, e, f] = self.0;
        let det = a * e - b * d;
        let (ia, ib, id, ie) = (e / det, -b / det, -d / det, a / det);
        Affine([ia, ib, -(ia * c + ib * f), id, ie, -(id * c + ie * f)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: (f64, f64), want: (f64, f64)) {
        assert!((got.0 - want.0).abs() < 1e-9 && (got.1 - want.1).abs() < 1e-9, "{got:?}, expected {want:?}");
    }

    #[test]
    fn clockwise_on_the_screen_takes_up_to_right() {
        let turn = Affine::turn_clockwise(90.0, 10.0, 10.0);
        close(turn.apply(10.0, 5.0), (15.0, 10.0));
    }

    #[test]
    fn then_applies_left_to_right_and_inverse_undoes() {
        let map = Affine::translation(1.0, 2.0).then(&Affine::turn_clockwise(30.0, 4.0, 5.0));
        close(map.apply(3.0, 3.0), (4.0, 5.0));
        let (x, y) = map.apply(7.0, -2.0);
        close(map.inverse().apply(x, y), (7.0, -2.0));
    }

    #[test]
    fn scaling_maps_the_centre_of_four_pixels_to_the_centre_of_one() {
        close(Affine::scaling_of_pixels(0.5).apply(0.5, 0.5), (0.0, 0.0));
    }
}
