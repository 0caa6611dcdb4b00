//! Fitting an ellipse to a contour, and how far its angle can be trusted.

use super::contour::Point;
use super::dispatch::dispatched;

/// An ellipse in the image plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ellipse {
    /// Row of its centre, pixels.
    pub center_row: f64,
    /// Column of its centre, pixels.
    pub center_column: f64,
    /// Full length of its long axis, pixels.
    pub major_px: f64,
    /// Full length of its short axis, pixels.
    pub minor_px: f64,
    /// Angle of its long axis from the image's vertical, degrees, clockwise on the screen, in
    /// (-90, 90].
    pub tilt_deg: f64,
    /// False where the best conic is a hyperbola, whose "axes" and angle mean nothing.
    closed: bool,
}

/// The ellipse of least squares, as OpenCV's `fitEllipse`, in two passes: a conic through the points
/// gives the centre, a second fit with that centre the axes and the angle. Exactly 5 points go
/// OpenCV's other way, which looks among ellipses only. Sums run in the order of the points.
///
/// `None` for fewer than 5 points, and where the points do not determine a conic (all on one line,
/// or all but one). OpenCV then moves them by random amounts and fits the result; here they are moved
/// by a fixed pattern once, so that a nearly determined conic is still found.
///
/// Where the best conic is a hyperbola, the "axes" are those OpenCV reports, and the standard error
/// of the angle is [`UNKNOWN_DEG`]. So it is for two parallel lines: the "long" axis is their
/// distance, the short one 0, the angle 0.
///
/// # Source
/// OpenCV 5.0.0, `modules/geometry/src/shapedescr.cpp`, fitEllipse (algorithm by D. Weiss).
pub fn fit(points: &[Point]) -> Option<Ellipse> {
    let frame = Frame::of(points)?;
    let near: Vec<[f64; 2]> = points.iter().map(|point| frame.near(point)).collect();
    let direct = <&[_; 5]>::try_from(&near[..]).ok().and_then(fit_direct);
    // A thousandth of the mean offset.
    let ellipse = direct.or_else(|| fit_two_pass(&near, frame.mean_offset_px * frame.scale * 1e-3))?;
    Some(frame.far(ellipse)).filter(|e| e.major_px.is_finite() && e.minor_px.is_finite())
}

/// OpenCV's `fitEllipseNoDirect`; points that determine no conic are moved to the corners of a
/// square in turn, by `shake`.
fn fit_two_pass(points: &[[f64; 2]], shake: f64) -> Option<Ellipse> {
    let conic = solve_normal(sums_of_conic(points)).or_else(|| {
        let by = |bit: usize| if bit == 0 { -shake } else { shake };
        let moved = |(i, &[x, y]): (usize, &[f64; 2])| [x + by(i & 1), y + by(i & 2)];
        let moved: Vec<[f64; 2]> = points.iter().enumerate().map(moved).collect();
        solve_normal(sums_of_conic(&moved))
    })?;
    let center = center_of(conic).or_else(|| nearest_center_of(conic))?;
    Some(Ellipse::of_form(solve_normal(sums_of_form(points, center))?, center))
}

dispatched! {
    /// The normal equations of the conic through points.
    fn sums_of_conic(points: &[[f64; 2]]) -> Normal<5> = conic_sums
}
dispatched! {
    /// The normal equations of the ellipse through points about a centre.
    fn sums_of_form(points: &[[f64; 2]], center: [f64; 2]) -> Normal<3> = form_sums
}

#[inline(always)]
fn conic_sums(points: &[[f64; 2]]) -> Normal<5> {
    normal::<5, 8>(points.iter().map(|&[x, y]| [x * x, y * y, x * y, x, y]))
}

#[inline(always)]
fn form_sums(points: &[[f64; 2]], center: [f64; 2]) -> Normal<3> {
    normal::<3, 4>(points.iter().map(|&[x, y]| {
        let (x, y) = (x - center[0], y - center[1]);
        [x * x, y * y, x * y]
    }))
}

impl Ellipse {
    /// The ellipse `a x^2 + b y^2 + c xy = 1` about a centre (x, y).
    fn of_form([a, b, c]: [f64; 3], center: [f64; 2]) -> Ellipse {
        // Twice the difference of the eigenvalues. As a root it needs no division by a sine, so
        // that nothing happens near 0 and 90 degrees, where c vanishes.
        let spread = (c * c + (b - a) * (b - a)).sqrt();
        // OpenCV's limit below which an axis has no end, and is told as 0.
        let axis = |twice: f64| if twice.abs() > 1e-8 { 2.0 * (2.0 / twice.abs()).sqrt() } else { 0.0 };
        let (long, short) = (axis(a + b - spread), axis(a + b + spread));
        // OpenCV's angle, 0..180: of its box's shorter side from the row direction, which is that
        // of the long axis from the vertical. It reports 0 where the "long" axis is the shorter
        // one, which happens for hyperbolas and parallel lines only.
        let opencv_deg = if long > short { 90.0 - 0.5 * libm::atan2(c, b - a).to_degrees() } else { 0.0 };
        Ellipse {
            center_row: center[1],
            center_column: center[0],
            major_px: long.max(short),
            minor_px: long.min(short),
            tilt_deg: if opencv_deg > 90.0 { opencv_deg - 180.0 } else { opencv_deg },
            closed: a + b > spread && short > 0.0 && long > 0.0,
        }
    }

    /// The standard error of the angle, degrees, given the points that the ellipse was fitted to. It
    /// grows as the outline gets round, up to [`UNKNOWN_DEG`], which is also that of a hyperbola.
    ///
    /// To first order, turning the ellipse by t moves its outline along the normal by
    /// t G sin 2p, with p the eccentric angle from the long axis,
    /// G = (a^2 - b^2) / (2 a b |grad|) and half axes a, b; so the fitted angle is off by
    /// sum(f G sin 2p) / S, S = sum((G sin 2p)^2), for outline deviations f. The deviations of
    /// an anatomical outline are smooth, hence correlated; what counts is their power at
    /// harmonic 2, which the fit has used up. It is estimated as the mean power of harmonics 3 to
    /// 64, of the sine terms only: what is alike on both sides of the long axis (an
    /// egg, a box) turns no axis. Rounding to whole pixels, variance 1/12, is added:
    ///
    /// variance = mean over k of (sum(f G sin kp))^2 / S^2 + (1/12) / S
    ///
    /// # Source
    /// Delta method with a spectral (Daniell window) estimate of the long-run variance: Andrews,
    /// Econometrica 59(3), 1991; distance to first order: Sampson, CGIP 18(2), 1982.
    pub fn tilt_stderr_deg(&self, points: &[Point]) -> f64 {
        if !self.closed {
            return UNKNOWN_DEG;
        }
        let highest = HARMONICS.min(points.len() / 2).max(3);
        let (power, leverage) = power_of_sines(self, points, highest);
        let mean = power[3..=highest].iter().map(|sum| sum * sum).sum::<f64>() / (highest - 2) as f64;
        let variance = mean / (leverage * leverage) + 1.0 / 12.0 / leverage;
        // Of NaN and a number, `min` gives the number.
        variance.sqrt().to_degrees().min(UNKNOWN_DEG)
    }

    /// f G sin kp of all points added up, for k from 3 to `highest`, and S.
    #[inline(always)]
    fn sum_sines(&self, points: &[Point], highest: usize) -> ([f64; HARMONICS + 1], f64) {
        let axis = libm::sincos(self.tilt_deg.to_radians());
        let mut sums = [[0.0; LANES]; HARMONICS + 1];
        let mut leverage = 0.0;
        for points in points.chunks(2 * LANES) {
            let (first, second) = points.split_at(points.len().min(LANES));
            // A second group without points adds nothing.
            let mut groups = [first, second].map(|points| self.first_sines(axis, points));
            for group in &groups {
                leverage += group.leverage.iter().fold(0.0, |sum, part| sum + part);
            }
            for sums in &mut sums[3..=highest] {
                for group in &mut groups {
                    group.add_next(sums);
                }
            }
        }
        (sums.map(|lanes| lanes.iter().sum()), leverage)
    }

    /// Where the sines of up to [`LANES`] points begin.
    #[inline(always)]
    fn first_sines(&self, (sin, cos): (f64, f64), points: &[Point]) -> Sines {
        let (a, b) = (self.major_px / 2.0, self.minor_px / 2.0);
        let flatness = (a * a - b * b) / (2.0 * a * b);
        let (mut xs, mut ys) = ([0.0; LANES], [0.0; LANES]);
        for ((x, y), point) in xs.iter_mut().zip(&mut ys).zip(points) {
            *x = f64::from(point.column) - self.center_column;
            *y = f64::from(point.row) - self.center_row;
        }
        let mut sines = Sines::default();
        for i in 0..LANES {
            let (long, short) = ((xs[i] * sin - ys[i] * cos) / a, (xs[i] * cos + ys[i] * sin) / b);
            let radius = (long * long + short * short).sqrt();
            let (c, s) = (long / radius, short / radius);
            let gradient_squared = (c / a) * (c / a) + (s / b) * (s / b);
            let weight = flatness * (radius - 1.0) / gradient_squared;
            let leverage = flatness * flatness * 4.0 * s * s * c * c / gradient_squared;
            // A point in the centre, and a lane without a point, has no angle and counts nothing.
            let or_nothing = |value: f64| if radius == 0.0 { 0.0 } else { value };
            sines.weight[i] = or_nothing(weight);
            sines.leverage[i] = or_nothing(leverage);
            sines.twice_cos[i] = or_nothing(2.0 * c);
            sines.before[i] = or_nothing(s);
            sines.now[i] = or_nothing(2.0 * s * c);
        }
        sines
    }
}

dispatched! {
    /// See [`Ellipse::sum_sines`].
    fn power_of_sines(ellipse: &Ellipse, points: &[Point], highest: usize) -> ([f64; HARMONICS + 1], f64)
        = Ellipse::sum_sines
}

/// Points side by side: what sin kp is for two neighbouring k, and what it takes to find the next.
#[derive(Default)]
struct Sines {
    /// f G.
    weight: [f64; LANES],
    /// Each point's part of S.
    leverage: [f64; LANES],
    /// 2 cos p.
    twice_cos: [f64; LANES],
    /// sin (k - 1)p.
    before: [f64; LANES],
    /// sin kp.
    now: [f64; LANES],
}

impl Sines {
    /// Adds f G sin (k + 1)p to `sums` and goes on to k + 1.
    #[inline(always)]
    fn add_next(&mut self, sums: &mut [f64; LANES]) {
        for (i, sum) in sums.iter_mut().enumerate() {
            // sin((k + 1) p) = 2 cos p sin kp - sin((k - 1) p)
            let next = self.twice_cos[i] * self.now[i] - self.before[i];
            *sum += self.weight[i] * next;
            (self.before[i], self.now[i]) = (self.now[i], next);
        }
    }
}

/// The standard error of an angle of which nothing is known, degrees: no two axes are further apart.
pub const UNKNOWN_DEG: f64 = 90.0;

/// The highest harmonic of the outline that [`Ellipse::tilt_stderr_deg`] averages: waves of
/// 1/64 of the outline, about 8 mm on a head. Chosen on a real head of 28 slices: four stay
/// below 1 degree, and their axes lie within 4 degrees of the head's plane of symmetry; every axis that is further
/// off has more. With fewer harmonics, which weighs the slow waves of a skull's own asymmetry
/// more, the same slices have two to three times as much, in the same order.
const HARMONICS: usize = 64;

/// Points that are worked on side by side.
const LANES: usize = 8;

/// The shift and scale that fits work in: about the mean of the points, 100 over the sum of their
/// offsets.
struct Frame {
    mean: [f64; 2],
    mean_offset_px: f64,
    scale: f64,
}

impl Frame {
    /// `None` for fewer than 5 points.
    fn of(points: &[Point]) -> Option<Frame> {
        let n = points.len() as f64;
        let sum = |coordinate: fn(&Point) -> i32| points.iter().map(|p| i64::from(coordinate(p))).sum::<i64>() as f64;
        let mean = [sum(|p| p.column) / n, sum(|p| p.row) / n];
        let offset = |p: &Point| (f64::from(p.column) - mean[0]).abs() + (f64::from(p.row) - mean[1]).abs();
        let offsets: f64 = points.iter().map(offset).sum();
        let scale = 100.0 / offsets.max(f64::from(f32::EPSILON));
        (points.len() >= 5).then_some(Frame { mean, mean_offset_px: offsets / (2.0 * n), scale })
    }

    fn near(&self, point: &Point) -> [f64; 2] {
        [(f64::from(point.column) - self.mean[0]) * self.scale, (f64::from(point.row) - self.mean[1]) * self.scale]
    }

    fn far(&self, ellipse: Ellipse) -> Ellipse {
        Ellipse {
            center_row: ellipse.center_row / self.scale + self.mean[1],
            center_column: ellipse.center_column / self.scale + self.mean[0],
            major_px: ellipse.major_px / self.scale,
            minor_px: ellipse.minor_px / self.scale,
            ..ellipse
        }
    }
}

/// Where the gradient of `a x^2 + b y^2 + c xy + d x + e y` vanishes. `None` for a parabola.
fn center_of([a, b, c, d, e]: [f64; 5]) -> Option<[f64; 2]> {
    let determinant = 4.0 * a * b - c * c;
    (determinant.abs() > 1e-14 * (a * a + b * b + c * c))
        .then(|| [(c * e - 2.0 * b * d) / determinant, (c * d - 2.0 * a * e) / determinant])
}

/// Of the points where the gradient comes closest to 0, the one nearest (0, 0): for two parallel
/// lines, which have a line of centres. `None` where there is no second-order term.
fn nearest_center_of([a, b, c, d, e]: [f64; 5]) -> Option<[f64; 2]> {
    // The matrix of the gradient has rank 1, so that its pseudoinverse is itself over its trace squared.
    let trace = 2.0 * (a + b);
    (trace * trace > 0.0).then(|| [-(2.0 * a * d + c * e) / (trace * trace), -(c * d + 2.0 * b * e) / (trace * trace)])
}

/// The sums of least squares: of the products of coefficients, and of the coefficients.
type Normal<const N: usize> = ([[f64; N]; N], [f64; N]);

/// The normal equations that bring `row . coefficients` closest to 1 over all rows, each sum in the
/// order of the rows. Sums stand side by side, `WIDTH` of them, above N, so that a register holds
/// several.
#[inline(always)]
fn normal<const N: usize, const WIDTH: usize>(rows: impl Iterator<Item = [f64; N]>) -> Normal<N> {
    let mut sums = [[0.0; WIDTH]; N];
    for row in rows {
        let mut terms = [1.0; WIDTH];
        terms[..N].copy_from_slice(&row);
        for i in 0..N {
            for j in 0..WIDTH {
                sums[i][j] += row[i] * terms[j];
            }
        }
    }
    (sums.map(|sums| std::array::from_fn(|j| sums[j])), sums.map(|sums| sums[N]))
}

/// Solves normal equations by Cholesky's method. `None` where they do not determine a solution.
fn solve_normal<const N: usize>((mut normal, mut x): Normal<N>) -> Option<[f64; N]> {
    for i in 0..N {
        let diagonal = normal[i][i];
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| normal[i][k] * normal[j][k]).sum();
            if j < i {
                normal[i][j] = (normal[i][j] - known) / normal[j][j];
            } else if diagonal - known > 1e-13 * diagonal {
                normal[i][i] = (diagonal - known).sqrt();
            } else {
                return None;
            }
        }
        let known: f64 = (0..i).map(|k| normal[i][k] * x[k]).sum();
        x[i] = (x[i] - known) / normal[i][i];
    }
    for i in (0..N).rev() {
        let known: f64 = (i + 1..N).map(|k| normal[k][i] * x[k]).sum();
        x[i] = (x[i] - known) / normal[i][i];
    }
    Some(x)
}

/// The ellipse of least algebraic distance among ellipses only: OpenCV's `fitEllipseDirect`,
/// which its `fitEllipse` takes for exactly 5 points. `None` where the points lie on a line.
///
/// # Source
/// Halir, Flusser: Numerically stable direct least squares fitting of ellipses, WSCG 1998.
fn fit_direct(points: &[[f64; 2]; 5]) -> Option<Ellipse> {
    let quadratic = points.map(|[x, y]| [x * x, x * y, y * y]);
    let linear = points.map(|[x, y]| [x, y, 1.0]);
    let scatter = |u: &[[f64; 3]; 5], v: &[[f64; 3]; 5]| {
        std::array::from_fn(|i| std::array::from_fn(|j| (0..5).map(|p| u[p][i] * v[p][j]).sum()))
    };
    let across: Matrix = scatter(&linear, &quadratic);
    // The linear part that is best for each quadratic one.
    let to_linear = solve(scatter(&linear, &linear), across)?.map(|row| row.map(|v: f64| -v));
    let mut reduced: Matrix = scatter(&quadratic, &quadratic);
    for (i, row) in reduced.iter_mut().enumerate() {
        for (j, value) in row.iter_mut().enumerate() {
            *value += (0..3).map(|k| across[k][i] * to_linear[k][j]).sum::<f64>();
        }
    }
    // Times the inverse of the constraint 4 a c - b^2.
    let [r0, r1, r2] = reduced;
    let constrained = [r2.map(|v| v / 2.0), r1.map(|v| -v), r0.map(|v| v / 2.0)];
    let [a, c, b] = eigenvector(constrained, largest_eigenvalue(constrained));
    let [d, e, f] = to_linear.map(|row| row[0] * a + row[1] * c + row[2] * b);
    let center = center_of([a, b, c, d, e]).filter(|_| 4.0 * a * b > c * c)?;
    let at_center = -(f + (d * center[0] + e * center[1]) / 2.0);
    Some(Ellipse::of_form([a / at_center, b / at_center, c / at_center], center))
}

type Matrix = [[f64; 3]; 3];

fn cross(u: [f64; 3], v: [f64; 3]) -> [f64; 3] {
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}

fn dot(u: [f64; 3], v: [f64; 3]) -> f64 {
    u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
}

/// X in `symmetric X = right`, by Cramer's rule; `None` where it is singular.
fn solve(symmetric: Matrix, right: Matrix) -> Option<Matrix> {
    let [u, v, w] = symmetric;
    let adjugate = [cross(v, w), cross(w, u), cross(u, v)];
    let determinant = dot(u, adjugate[0]);
    // The adjugate of a symmetric matrix is symmetric, too.
    let inverse = adjugate.map(|row| row.map(|value| value / determinant));
    let product = inverse.map(|row| std::array::from_fn(|j| (0..3).map(|k| row[k] * right[k][j]).sum()));
    (determinant.abs() > 1e-12 * u[0] * v[1] * w[2]).then_some(product)
}

/// The largest of three real eigenvalues, from the characteristic polynomial.
fn largest_eigenvalue(matrix: Matrix) -> f64 {
    let [u, v, w] = matrix;
    let third = (u[0] + v[1] + w[2]) / 3.0;
    let minors = u[0] * v[1] - u[1] * v[0] + u[0] * w[2] - u[2] * w[0] + v[1] * w[2] - v[2] * w[1];
    let determinant = dot(u, cross(v, w));
    let p = (third * third - minors / 3.0).max(0.0).sqrt();
    let q = third * third * third + (determinant - third * minors) / 2.0;
    let angle = if p > 0.0 { libm::acos((q / (p * p * p)).clamp(-1.0, 1.0)) } else { 0.0 };
    third + 2.0 * p * libm::cos(angle / 3.0)
}

/// The direction that `matrix` stretches by `value`: across the two rows of the rest that differ most.
fn eigenvector(matrix: Matrix, value: f64) -> [f64; 3] {
    let [mut u, mut v, mut w] = matrix;
    (u[0], v[1], w[2]) = (u[0] - value, v[1] - value, w[2] - value);
    let candidates = [cross(v, w), cross(w, u), cross(u, v)];
    candidates.into_iter().fold([0.0; 3], |best, c| if dot(c, c) > dot(best, best) { c } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::contour::{Keep, largest_external};
    use crate::kernel::mask::drawn::mask;
    use proptest::prelude::*;

    /// Points of a turned ellipse about (0, 0), each moved outwards by `outwards` of its eccentric
    /// angle.
    fn drawn(n: usize, [a, b]: [f64; 2], tilt_deg: f64, outwards: impl Fn(f64) -> f64) -> Vec<Point> {
        let (sin, cos) = libm::sincos(tilt_deg.to_radians());
        let point = |i| {
            let angle = std::f64::consts::TAU * i as f64 / n as f64;
            let (s, c) = libm::sincos(angle);
            let (l, m) = ((a + outwards(angle)) * c, (b + outwards(angle)) * s);
            let row = (m * sin - l * cos + 0.5).floor() as i32;
            Point { row, column: (l * sin + m * cos + 0.5).floor() as i32 }
        };
        (0..n).map(point).collect()
    }

    fn points(xy: &[(i32, i32)]) -> Vec<Point> {
        xy.iter().map(|&(column, row)| Point { row, column }).collect()
    }

    /// The difference of two axes' angles, degrees.
    fn between(a: f64, b: f64) -> f64 {
        let difference = (a - b).rem_euclid(180.0);
        difference.min(180.0 - difference)
    }

    /// `opencv` is (center x, center y), (width, height), angle.
    fn assert_is(got: Option<Ellipse>, opencv: ((f64, f64), (f64, f64), f64)) {
        let ((x, y), (width, height), angle) = opencv;
        let e = got.expect("an ellipse");
        let near = |a: f64, b: f64| (a - b).abs() < 1e-4 * (1.0 + b.abs());
        assert!(near(e.center_column, x) && near(e.center_row, y), "{e:?}, expected {opencv:?}");
        assert!(near(e.minor_px, width) && near(e.major_px, height), "{e:?}, expected {opencv:?}");
        assert!(
            between(e.tilt_deg, angle) < 1e-3 && e.tilt_deg > -90.0 && e.tilt_deg <= 90.0,
            "{e:?}, expected {opencv:?}"
        );
    }

    // The figures of the next three tests were made with opencv-python-headless 5.0.0.93:
    //   c = max(cv2.findContours(image, cv2.RETR_EXTERNAL, chain)[0], key=cv2.contourArea)
    //   len(c), cv2.contourArea(c), cv2.fitEllipse(c)
    //   cv2.fitEllipse(np.array([(x, y), ...], np.int32))

    #[test]
    fn contours_and_ellipses_are_opencv_s() {
        let blob = [
            "............",
            "...####.....",
            "..######.##.",
            "..######....",
            ".########...", //
            ".##..####...",
            ".########...",
            "..#######.#.",
            "....####..#.",
            "............",
        ];
        let house = [".......", "..#....", ".###...", ".####..", ".####..", "......."];
        let fitted = |rows: &[&str], keep| {
            let contour = largest_external(&mask(rows), keep).expect("a contour");
            (contour.points.len(), contour.area(), fit(&contour.points))
        };
        let (n, area, ellipse) = fitted(&blob, Keep::Corners);
        assert_eq!((n, area), (14, 39.5));
        assert_is(
            ellipse,
            ((4.681615829467773, 4.66358757019043), (6.912604808807373, 7.868577003479004), 143.740478515625),
        );
        let (n, area, ellipse) = fitted(&blob, Keep::All);
        assert_eq!((n, area), (21, 39.5));
        assert_is(
            ellipse,
            ((4.623049259185791, 4.60161828994751), (6.885540962219238, 7.680717468261719), 139.4521942138672),
        );
        let (n, area, ellipse) = fitted(&house, Keep::Corners);
        assert_eq!((n, area), (5, 6.5));
        assert_is(
            ellipse,
            ((2.436619758605957, 3.239436626434326), (3.1631534099578857, 4.565685272216797), 170.78253173828125),
        );
        let (n, area, ellipse) = fitted(&house, Keep::All);
        assert_eq!((n, area), (9, 6.5));
        assert_is(
            ellipse,
            ((2.349668264389038, 2.850080728530884), (3.0279462337493896, 3.6086575984954834), 134.19464111328125),
        );
    }

    #[test]
    fn five_points_give_an_ellipse_even_where_their_conic_is_a_hyperbola() {
        let on_an_ellipse = points(&[(0, 0), (10, 2), (13, 9), (6, 14), (-2, 8)]);
        assert_is(
            fit(&on_an_ellipse),
            ((5.162696361541748, 6.618347644805908), (13.327323913574219, 17.080745697021484), 128.502685546875),
        );
        let on_a_hyperbola = points(&[(0, 0), (10, 0), (12, 5), (4, 5), (6, 9)]);
        assert_is(
            fit(&on_a_hyperbola),
            ((5.775007724761963, 1.3704369068145752), (8.573979377746582, 21.016592025756836), 148.46856689453125),
        );
    }

    #[test]
    fn angles_are_opencv_s_near_0_45_and_90_degrees() {
        let opencv = [
            (0.0, 0.0),
            (0.01, 0.012190708890557289),
            (45.0, 45.0),
            (89.0, 89.00106811523438),
            (89.99, 89.98780822753906),
            (90.0, 90.0),
            (90.01, 90.01219177246094),
            (91.0, 90.99893188476562),
            (135.0, 135.0),
        ];
        for (tilt, angle) in opencv {
            let e = fit(&drawn(720, [3000.0, 2000.0], tilt, |_| 0.0)).expect("an ellipse");
            assert!(between(e.tilt_deg, angle) < 1e-4, "{tilt}: {}, expected {angle}", e.tilt_deg);
            assert!((e.major_px - 6000.0).abs() < 0.3 && (e.minor_px - 4000.0).abs() < 0.3, "{tilt}: {e:?}");
        }
    }

    #[test]
    fn where_the_xy_term_vanishes_the_long_axis_stays_the_long_one() {
        let wide = points(&[(0, 0), (40, -30), (80, 0), (40, 30), (12, -22), (68, -22), (12, 22), (68, 22)]);
        assert_is(fit(&wide), ((40.0, 0.0), (60.440185546875, 80.53424835205078), 90.0));
        let tall = points(&[(0, 0), (30, -40), (60, 0), (30, 40), (8, -28), (52, -28), (8, 28), (52, 28)]);
        assert_is(fit(&tall), ((30.0, 0.0), (60.440185546875, 80.53424835205078), 0.0));
    }

    /// A stripe of two rows or columns, as a table top or the frame's edge leaves one.
    #[test]
    fn two_parallel_lines_have_opencv_s_figures_and_no_angle() {
        let level = [(0, 0), (1, 1), (3, 0), (5, 1), (9, 0), (8, 1)];
        assert_is(fit(&points(&level)), ((4.333333492279053, 0.5), (0.0, 1.0), 0.0));
        let upright = level.map(|(x, y)| (y, x));
        assert_is(fit(&points(&upright)), ((0.5, 4.333333492279053), (0.0, 1.0), 0.0));
        let apart = points(&[(0, 0), (0, 7), (3, 0), (5, 7), (9, 0), (8, 7), (4, 0)]);
        assert_is(fit(&apart), ((4.142857074737549, 3.5), (0.0, 7.0), 0.0));
        assert_eq!(fit(&apart).map(|lines| lines.tilt_stderr_deg(&apart)), Some(UNKNOWN_DEG));
    }

    #[test]
    fn too_few_points_and_points_on_a_line_have_no_ellipse() {
        assert_eq!(fit(&points(&[(0, 0), (4, 0), (4, 4), (0, 4)])), None);
        assert_eq!(fit(&points(&[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)])), None);
        assert_eq!(fit(&points(&[(3, 3); 7])), None);
    }

    #[test]
    fn the_standard_error_grows_as_the_outline_gets_round() {
        let stderr = |b: f64| {
            let outline = drawn(900, [180.0, b], 20.0, |_| 0.0);
            fit(&outline).expect("an ellipse").tilt_stderr_deg(&outline)
        };
        let errors = [140.0, 170.0, 178.0, 179.9].map(stderr);
        assert!(errors[0] < 0.1 && errors.is_sorted() && errors[3] > 5.0, "{errors:?}");
        let circle = points(&[
            (5, 0),
            (4, 3),
            (3, 4),
            (0, 5),
            (-3, 4),
            (-4, 3),
            (-5, 0),
            (-4, -3),
            (-3, -4),
            (0, -5),
            (3, -4),
            (4, -3),
        ]);
        assert_eq!(fit(&circle).expect("a circle").tilt_stderr_deg(&circle), UNKNOWN_DEG);
    }

    #[test]
    fn what_is_alike_on_both_sides_of_the_axis_is_no_error_and_what_is_not_is() {
        let stderr = |outwards: fn(f64) -> f64| {
            let outline = drawn(900, [180.0, 150.0], -10.0, outwards);
            fit(&outline).expect("an ellipse").tilt_stderr_deg(&outline)
        };
        assert!(stderr(|angle| 6.0 * libm::cos(3.0 * angle)) < 0.1, "an egg");
        assert!(stderr(|angle| 6.0 * libm::sin(3.0 * angle)) > 1.0, "a bulge on one side");
    }

    #[test]
    fn the_standard_error_is_that_of_correlated_outlines() {
        // Smooth random outlines, every wave up to harmonic 64 of the same power, from a fixed
        // generator: what the formula assumes. The pixels are small against the waves.
        let mut state = 1u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        let (mut found, mut told) = (0.0, 0.0);
        for _ in 0..200 {
            let waves: Vec<[f64; 2]> = (0..=64).map(|_| [20.0 * uniform(), 20.0 * uniform()]).collect();
            let outwards = |angle: f64| {
                let wave =
                    |(k, [c, s]): (usize, &[f64; 2])| c * libm::cos(k as f64 * angle) + s * libm::sin(k as f64 * angle);
                waves.iter().enumerate().map(wave).sum()
            };
            let outline = drawn(1000, [2000.0, 1700.0], 30.0, outwards);
            let ellipse = fit(&outline).expect("an ellipse");
            found += (ellipse.tilt_deg - 30.0) * (ellipse.tilt_deg - 30.0);
            told += ellipse.tilt_stderr_deg(&outline) * ellipse.tilt_stderr_deg(&outline);
        }
        let (found, told) = ((found / 200.0).sqrt(), (told / 200.0).sqrt());
        assert!((0.8..1.25).contains(&(told / found)), "told {told}, found {found}");
    }

    proptest! {
        /// The plain way: the angle and centre an ellipse was drawn with. The rounding of its points to
        /// pixels turns the angle the more, the less the axes differ: six standard deviations are taken.
        #[test]
        fn a_drawn_ellipse_is_found_again(a in 900.0..2000.0f64, flat in 0.5..0.95f64, tilt in -89.0..90.0f64) {
            let e = fit(&drawn(1000, [a, flat * a], tilt, |_| 0.0)).expect("an ellipse");
            prop_assert!(between(e.tilt_deg, tilt) < 9.0 / (a - flat * a), "{}", e.tilt_deg);
            prop_assert!((e.major_px - 2.0 * a).abs() < 0.3 && (e.minor_px - 2.0 * flat * a).abs() < 0.3);
            prop_assert!(e.center_row.abs() < 0.1 && e.center_column.abs() < 0.1);
        }

        #[test]
        fn any_points_give_finite_figures_or_none(xy in proptest::collection::vec((-40i32..40, -40i32..40), 0..30)) {
            if let Some(e) = fit(&points(&xy)) {
                let all = [e.center_row, e.center_column, e.major_px, e.minor_px, e.tilt_deg];
                prop_assert!(all.iter().all(|value| value.is_finite()), "{:?}", e);
                prop_assert!(e.tilt_deg > -90.0 && e.tilt_deg <= 90.0);
                prop_assert!((0.0..=UNKNOWN_DEG).contains(&e.tilt_stderr_deg(&points(&xy))));
            }
        }
    }
}
