//! Shapes with soft edges.

/// From 0 (x well below 0) to 1 (well above), over about 1.6 px: what a scanner makes of an edge.
pub(crate) fn step(x: f64) -> f64 {
    (x / 1.6 + 0.5).clamp(0.0, 1.0)
}

/// 0 at `from` and before, 1 at `to` and beyond, straight between; `from` may be above `to`.
pub(crate) fn ramp(x: f64, from: f64, to: f64) -> f64 {
    ((x - from) / (to - from)).clamp(0.0, 1.0)
}

/// `a` where `share` is 0, `b` where it is 1.
pub(crate) fn mix(a: f64, b: f64, share: f64) -> f64 {
    a + (b - a) * share
}

/// 1 at the middle of `low..high`, 0 at its ends and outside: a parabola.
pub(crate) fn bump(x: f64, low: f64, high: f64) -> f64 {
    (4.0 * (x - low) * (high - x) / ((high - low) * (high - low))).max(0.0)
}

/// A line with round ends whose radius changes from end to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capsule {
    from: (f64, f64),
    along: (f64, f64),
    per_length2: f64,
    radius: (f64, f64),
    /// Middle of the line, and the square of the distance from it beyond which nothing is near.
    middle: (f64, f64),
    reach2: f64,
}

impl Capsule {
    /// Depths are not told below this.
    const NEAR_PX: f64 = 4.0;

    /// From end to end (u, v), with the radius at each.
    pub(crate) fn new(ends: [(f64, f64); 2], radius: (f64, f64)) -> Capsule {
        let [from, to] = ends;
        let along = (to.0 - from.0, to.1 - from.1);
        let length2 = along.0 * along.0 + along.1 * along.1;
        let reach = 0.5 * length2.sqrt() + radius.0.max(radius.1) + Capsule::NEAR_PX;
        Capsule {
            from,
            along,
            per_length2: if length2 > 0.0 { 1.0 / length2 } else { 0.0 },
            radius,
            middle: (0.5 * (from.0 + to.0), 0.5 * (from.1 + to.1)),
            reach2: reach * reach,
        }
    }

    /// Distance of (u, v) to the surface in px, positive inside (a lower bound of it where the
    /// radius changes); anything below -4 may be the lowest number instead.
    pub(crate) fn depth(&self, u: f64, v: f64) -> f64 {
        let (mu, mv) = (u - self.middle.0, v - self.middle.1);
        if mu * mu + mv * mv > self.reach2 {
            return f64::MIN;
        }
        let (du, dv) = (u - self.from.0, v - self.from.1);
        let t = ((du * self.along.0 + dv * self.along.1) * self.per_length2).clamp(0.0, 1.0);
        let (x, y) = (du - t * self.along.0, dv - t * self.along.1);
        mix(self.radius.0, self.radius.1, t) - (x * x + y * y).sqrt()
    }
}

/// The depth of (u, v) in the union of `capsules`, as [`Capsule::depth`].
pub(crate) fn deepest(capsules: &[Capsule], u: f64, v: f64) -> f64 {
    capsules.iter().fold(f64::MIN, |depth, capsule| depth.max(capsule.depth(u, v)))
}

/// Distance of (u, v) to the ellipse with these half axes in px, positive inside. First order: exact
/// on the ellipse, and its sign is exact everywhere.
pub(crate) fn ellipse_depth(u: f64, v: f64, half: (f64, f64)) -> f64 {
    let (x, y) = (u / half.0, v / half.1);
    let rho2 = x * x + y * y;
    if rho2 == 0.0 {
        return half.0.min(half.1);
    }
    let (gx, gy) = (x / half.0, y / half.1);
    let rho = rho2.sqrt();
    (1.0 - rho) * rho / (gx * gx + gy * gy).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_of_an_ellipse_on_its_axes() {
        for (u, v, want) in [(30.0, 0.0, 0.0), (29.0, 0.0, 1.0), (0.0, 40.0, 0.0), (0.0, 42.0, -2.0), (0.0, 0.0, 30.0)]
        {
            let depth = ellipse_depth(u, v, (30.0, 40.0));
            assert!((depth - want).abs() < 1e-9, "({u}, {v}): {depth}, expected {want}");
        }
    }

    #[test]
    fn depth_of_a_capsule() {
        let capsule = Capsule::new([(0.0, 0.0), (10.0, 0.0)], (2.0, 4.0));
        assert!((capsule.depth(-1.0, 0.0) - 1.0).abs() < 1e-9);
        assert!((capsule.depth(5.0, 3.0) - 0.0).abs() < 1e-9);
        assert!((capsule.depth(10.0, 7.0) + 3.0).abs() < 1e-9);
        assert_eq!(capsule.depth(100.0, 0.0), f64::MIN);
        let point = Capsule::new([(1.0, 1.0); 2], (2.0, 2.0));
        assert!((point.depth(1.0, 4.0) + 1.0).abs() < 1e-9);
    }
}
