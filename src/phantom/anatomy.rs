//! What is where in a head: HU at a point of one slice.
//!
//! Coordinates are the head's own: u to the patient's left, v to the back, in px of a 512x512 image,
//! from the centre of the outline. HU are those of textbooks, rounded to what looks right.

use super::head::{Bleed, BleedKind, Head};
use super::shape::{Capsule, bump, deepest, ellipse_depth, mix, ramp, step};
use super::texture::Texture;

/// Thickness of the skin.
pub(crate) const SKIN_PX: f64 = 4.2;
pub(crate) const AIR_HU: f64 = -1000.0;
pub(crate) const SKIN_HU: f64 = 58.0;
/// Over so many px of the image the edge goes from air to skin.
pub(crate) const EDGE_PX: f64 = 2.0;
/// The part of the way from air to skin at which HU is 0.
pub(crate) const ZERO_AT: f64 = AIR_HU / (AIR_HU - SKIN_HU);
const FAT_HU: f64 = -75.0;
const MUSCLE_HU: f64 = 52.0;
const CSF_HU: f64 = 8.0;
const GREY_HU: f64 = 37.0;
const WHITE_HU: f64 = 28.0;
const FALX_HU: f64 = 56.0;
const DIPLOE_HU: f64 = 850.0;
const BASE_HU: f64 = 1100.0;
const CALCIFICATION_HU: f64 = 220.0;

/// One slice of a head, ready to be asked.
#[derive(Debug)]
pub(crate) struct Anatomy<'a> {
    head: &'a Head,
    height: f64,
    /// The bleed, where it is in this slice, and its radius here.
    bleed: Option<(&'a Bleed, f64)>,
    /// Half axes (u, v) of the outline and of the inside of the skull.
    outline: (f64, f64),
    brain: (f64, f64),
    scalp: Texture,
    bone: Texture,
    folds: Texture,
    fine_folds: Texture,
    clouds: Texture,
    warp: (Texture, Texture),
    ventricles: Vec<Capsule>,
    cisterns: Vec<Capsule>,
    nuclei: Vec<Capsule>,
    base: Vec<Capsule>,
    calcifications: Vec<Capsule>,
}

impl<'a> Anatomy<'a> {
    /// Slice `slice` of `head`.
    pub(crate) fn new(head: &'a Head, slice: u32) -> Anatomy<'a> {
        let height = head.height(slice);
        let outline = head.outline(slice);
        let half = |full: f64| 0.5 * full / head.scale();
        let brain = head.brain_half_axes(slice);
        // lattice cells are cubes: a head is about 300 px high
        let texture = |name: u64, cell_px: f64| {
            let seed = head.seed ^ (u64::from(head.index) << 32) ^ (name << 48);
            Texture::new(seed, cell_px, height * 300.0 / cell_px, 280.0)
        };
        let place = Placing { brain, height, ventricle_scale: head.ventricle_scale };
        Anatomy {
            head,
            height,
            bleed: head.bleed().and_then(|bleed| Some((bleed, bleed.radius_at(height)?))),
            outline: (half(outline.minor_px), half(outline.major_px)),
            brain,
            scalp: texture(1, 26.0),
            bone: texture(2, 5.0),
            folds: texture(3, 21.0),
            fine_folds: texture(4, 11.0),
            clouds: texture(5, 60.0),
            warp: (texture(6, 46.0), texture(7, 46.0)),
            ventricles: place.ventricles(),
            cisterns: place.cisterns(),
            nuclei: place.nuclei(),
            base: place.base(),
            calcifications: place.calcifications(),
        }
    }

    /// Distance to the outline, positive inside.
    pub(crate) fn depth(&self, u: f64, v: f64) -> f64 {
        ellipse_depth(u, v, self.outline)
    }

    /// HU of what is at (u, v), `depth` inside the outline: skin, fat and muscle, skull, brain.
    pub(crate) fn tissue(&self, u: f64, v: f64, depth: f64) -> f64 {
        if depth < SKIN_PX - 1.0 {
            return SKIN_HU;
        }
        let inside = self.inner_depth(u, v);
        if inside > 1.0 {
            return self.inside_skull(u, v, inside);
        }
        let bone_from = SKIN_PX + self.head.scalp_px + 0.8 * self.scalp.at(v, u);
        let scalp = mix(SKIN_HU, self.scalp_hu(u, v), step(depth - SKIN_PX));
        let skull = mix(scalp, self.skull_hu(u, v, depth - bone_from, -inside), step(depth - bone_from));
        if inside > -1.0 { mix(skull, self.inside_skull(u, v, inside), step(inside)) } else { skull }
    }

    /// Distance to the inner table, positive inside: bone is thicker front and back, and uneven.
    fn inner_depth(&self, u: f64, v: f64) -> f64 {
        let depth = ellipse_depth(u, v, self.brain);
        let near = ramp(depth, 60.0, 30.0);
        if near == 0.0 {
            return depth;
        }
        let ends = ramp((v / self.brain.1).abs(), 0.70, 1.10);
        let uneven = 1.8 * self.clouds.at(u, v) + 1.2 * self.folds.at(v, u);
        depth - self.sinus(u, v, 11.0) - near * (5.0 * ends + uneven)
    }

    /// Fat in lobules, but for the temples: the muscles there join the skin to the skull, so that
    /// the head is one piece whatever is cut off below 0 HU.
    fn scalp_hu(&self, u: f64, v: f64) -> f64 {
        let temple = ramp((u / self.outline.0).abs(), 0.72, 0.86);
        let lobules = ramp(self.scalp.at(u, v), -0.45, 0.05) * (1.0 - temple);
        mix(MUSCLE_HU - 10.0 + 8.0 * self.bone.at(v, u), FAT_HU, lobules)
    }

    /// Two tables of hard bone and the diploe between them; air where the frontal sinus is.
    fn skull_hu(&self, u: f64, v: f64, from_outer: f64, from_inner: f64) -> f64 {
        let table = from_outer.min(from_inner);
        let grain = 160.0 * self.bone.at(u, v);
        let bone = mix(self.head.table_hu, DIPLOE_HU + grain, ramp(table, 2.0, 4.5));
        let septum = step(u.abs() - 2.5 - 2.0 * self.bone.at(3.0, v));
        mix(bone, AIR_HU, self.sinus(u, v, 1.0) * step(table - 3.0) * septum)
    }

    /// How much (0 to `most`) the frontal sinus thickens the bone here: low slices, front, middle.
    fn sinus(&self, u: f64, v: f64, most: f64) -> f64 {
        if v > 0.0 || self.height > 0.30 {
            return 0.0;
        }
        let width = self.outline.0 * (0.34 + 0.05 * self.clouds.at(u, 0.0));
        most * ramp(self.height, 0.30, 0.22) * ramp(u.abs(), width, 0.7 * width)
    }

    /// Everything inside the inner table, `inside` px from it.
    fn inside_skull(&self, u: f64, v: f64, inside: f64) -> f64 {
        let calm = ramp(inside, 0.0, 24.0);
        let shift = |texture: &Texture| (6.0 * texture.at(u, v) + 1.8 * texture.at(2.6 * v, 2.6 * u)) * calm;
        let (x, y) = (u + shift(&self.warp.0), v + shift(&self.warp.1));
        let hu = self.brain_hu(x, y, inside);
        let hu = self.bleed_hu(u, v, inside, hu);
        let hu = mix(hu, CALCIFICATION_HU, step(deepest(&self.calcifications, x.abs(), y)));
        self.base_hu(x, y, hu)
    }

    /// Grey and white matter, the spaces of fluid in and around them, the falx.
    fn brain_hu(&self, u: f64, v: f64, inside: f64) -> f64 {
        let clouds = self.clouds.at(u, v);
        let (gap, cortex, sulcus) = self.surface(u, v, inside, clouds);
        let nuclei = step(deepest(&self.nuclei, u.abs(), v) / 2.0);
        let matter = mix(WHITE_HU, GREY_HU, cortex.max(nuclei)) + 1.5 * clouds;
        // hard rays are lost in the skull: brain close to bone reads a little high
        let matter = matter + 4.0 * ramp(inside, 30.0, 2.0);
        let fluid = sulcus.max(step(gap - inside)).max(self.fluid(u, v));
        mix(mix(matter, CSF_HU, fluid), FALX_HU, self.falx(u, v, inside))
    }

    /// The surface of the brain: width of the gap below the skull (px), share of cortex, share of
    /// fluid in the furrows.
    fn surface(&self, u: f64, v: f64, inside: f64, clouds: f64) -> (f64, f64, f64) {
        let gap = 1.2 + 0.9 * self.head.sulcus_px * (0.6 + 0.4 * clouds);
        if inside > 44.0 {
            return (gap, 0.0, 0.0);
        }
        let crest = (0.75 * self.folds.at(u, v) + 0.25 * self.fine_folds.at(u, v)).abs();
        let ribbon = ramp(crest, 0.24, 0.16) * ramp(inside, 44.0, 30.0);
        let cortex = ramp(inside, gap + 11.0, gap + 7.0).max(ribbon);
        (gap, cortex, ramp(crest, 0.045 * self.head.sulcus_px, 0.0) * ramp(inside, 38.0, 20.0))
    }

    /// Share of fluid from the ventricles, the cisterns and the gap between the halves.
    fn fluid(&self, u: f64, v: f64) -> f64 {
        let deep = deepest(&self.ventricles, u.abs(), v).max(deepest(&self.cisterns, u.abs(), v));
        let ends = ramp((v / self.brain.1).abs(), 0.45, 0.60);
        let between_halves = step(0.7 * self.head.sulcus_px + 1.2 - u.abs()) * ends * 0.7;
        step(deep).max(between_halves * ramp(self.height, 0.30, 0.36))
    }

    /// The falx: a thin bright line, front and back, all along above the ventricles.
    fn falx(&self, u: f64, v: f64, inside: f64) -> f64 {
        let from = ramp(self.height, 0.68, 0.60) * 0.50;
        let long = ramp((v / self.brain.1).abs(), from, from + 0.04) * ramp(self.height, 0.32, 0.38);
        // where it meets the vault it holds a vein, which widens it to a triangle
        let half_width = 0.75 + 4.0 * ramp(inside, 12.0, 0.0);
        0.75 * step(half_width - u.abs()) * long
    }

    /// Bone of the base of the skull, with the air cells of the mastoid and the sphenoid.
    fn base_hu(&self, u: f64, v: f64, brain: f64) -> f64 {
        let depth = deepest(&self.base, u.abs(), v);
        if depth < -2.0 {
            return brain;
        }
        let bone = mix(brain, BASE_HU + 350.0 * self.bone.at(u, v), step(depth));
        let lateral = ramp(u.abs() / self.brain.0, 0.55, 0.68);
        let middle = ramp(u.abs() / self.brain.0, 0.16, 0.12);
        let cells = step(4.0 * self.fine_folds.at(2.5 * u, 2.5 * v)) * lateral + middle;
        mix(bone, AIR_HU, cells.min(1.0) * step(depth - 3.5))
    }

    /// `brain` with blood over it, and the dark rim of swelling around a clot.
    fn bleed_hu(&self, u: f64, v: f64, inside: f64, brain: f64) -> f64 {
        let Some((bleed, radius)) = self.bleed else { return brain };
        let rough = 0.2 * radius * self.warp.0.at(2.0 * v, 2.0 * u);
        match bleed.kind {
            BleedKind::Intracerebral => self.clot(bleed, u, v, radius + rough, brain),
            BleedKind::Subdural => {
                let side = ramp(u * bleed.center.0.signum() / self.brain.0, 0.15, 0.55);
                let far = (v / self.brain.1 - bleed.center.1).abs();
                let thickness = radius * side * (1.0 - far * far * 1.3).max(0.0) + 0.3 * rough * side;
                mix(brain, bleed.hu + 3.0 * self.clouds.at(u, v), step(thickness - inside) * ramp(side, 0.0, 0.3))
            }
        }
    }

    fn clot(&self, bleed: &Bleed, u: f64, v: f64, radius: f64, brain: f64) -> f64 {
        let middle = bleed.middle(radius, self.brain);
        let (du, dv) = (u - middle.0, v - middle.1);
        let depth = radius - (1.3 * du * du + 0.75 * dv * dv).sqrt();
        let swollen = mix(brain, brain.min(20.0), ramp(depth, -0.5 * radius, -0.1 * radius));
        mix(swollen, bleed.hu + 3.0 * self.clouds.at(2.0 * u, 2.0 * v), step(depth))
    }
}

/// Where the paired parts lie: in units of the brain's half axes, on one side (u >= 0) for both.
struct Placing {
    brain: (f64, f64),
    height: f64,
    ventricle_scale: f64,
}

impl Placing {
    /// A capsule between two places with two radii in px, where the slice has it at all.
    fn part(&self, size: f64, ends: [(f64, f64); 2], radius: (f64, f64)) -> Option<Capsule> {
        let ends = ends.map(|(p, q)| (p * self.brain.0, q * self.brain.1));
        let radius = (radius.0 * size, radius.1 * size);
        (radius.0.max(radius.1) > 0.6).then(|| Capsule::new(ends, radius))
    }

    fn ventricles(&self) -> Vec<Capsule> {
        let size = |low: f64, high: f64| self.ventricle_scale * bump(self.height, low, high).sqrt();
        let (horns, bodies) = (size(0.40, 0.66), size(0.52, 0.76));
        let parts = [
            self.part(size(0.34, 0.52), [(0.0, -0.16), (0.0, 0.10)], (3.2, 4.0)), // third
            self.part(size(0.14, 0.34), [(0.0, 0.36), (0.05, 0.42)], (7.0, 8.0)), // fourth
            self.part(size(0.14, 0.34), [(0.0, 0.36), (0.0, 0.48)], (7.0, 3.0)),
            self.part(horns, [(0.08, -0.20), (0.21, -0.44)], (7.5, 10.5)),
            self.part(horns, [(0.21, -0.44), (0.26, -0.50)], (9.0, 4.0)),
            self.part(horns, [(0.08, -0.20), (0.12, -0.10)], (7.0, 2.5)),
            self.part(horns, [(0.33, 0.26), (0.40, 0.40)], (9.0, 11.5)),
            self.part(horns, [(0.40, 0.40), (0.32, 0.62)], (10.5, 3.0)),
            self.part(bodies, [(0.19, -0.44), (0.12, -0.15)], (7.0, 11.5)),
            self.part(bodies, [(0.12, -0.15), (0.15, 0.15)], (11.5, 11.0)),
            self.part(bodies, [(0.15, 0.15), (0.32, 0.40)], (11.0, 8.0)),
        ];
        parts.into_iter().flatten().collect()
    }

    /// The Sylvian fissures and the cisterns around the midbrain.
    fn cisterns(&self) -> Vec<Capsule> {
        let size = |low: f64, high: f64| self.ventricle_scale * bump(self.height, low, high).sqrt();
        let (sylvian, star, quad) = (size(0.30, 0.58), size(0.24, 0.40), size(0.32, 0.50));
        let parts = [
            self.part(sylvian, [(1.05, -0.22), (0.68, -0.13)], (5.0, 3.4)),
            self.part(sylvian, [(0.68, -0.13), (0.60, -0.24)], (3.4, 1.6)),
            self.part(sylvian, [(0.68, -0.13), (0.62, 0.08)], (3.6, 2.0)),
            self.part(star, [(0.0, -0.16), (0.20, -0.24)], (9.0, 3.0)),
            self.part(star, [(0.0, -0.14), (0.21, -0.02)], (7.0, 2.8)),
            self.part(star, [(0.21, -0.02), (0.15, 0.16)], (2.6, 3.0)),
            self.part(quad, [(0.15, 0.16), (0.0, 0.22)], (3.0, 5.5)),
        ];
        parts.into_iter().flatten().collect()
    }

    /// Caudate, lentiform nucleus, thalamus.
    fn nuclei(&self) -> Vec<Capsule> {
        let size = bump(self.height, 0.36, 0.66).sqrt();
        let parts = [
            self.part(size, [(0.22, -0.36), (0.17, -0.20)], (8.0, 6.0)),
            self.part(size, [(0.36, -0.20), (0.42, 0.04)], (10.0, 9.0)),
            self.part(size, [(0.13, -0.05), (0.19, 0.12)], (9.0, 14.0)),
        ];
        parts.into_iter().flatten().collect()
    }

    /// The petrous ridges, the wings and the body of the sphenoid.
    fn base(&self) -> Vec<Capsule> {
        let size = ramp(self.height, 0.29, 0.20);
        let parts = [
            self.part(size, [(1.0, 0.24), (0.24, -0.02)], (26.0, 9.0)),
            self.part(size, [(1.0, -0.40), (0.28, -0.30)], (9.0, 5.0)),
            self.part(size, [(0.0, -0.26), (0.12, -0.24)], (22.0, 20.0)),
            self.part(size, [(0.0, -1.0), (0.0, -0.70)], (5.0, 2.0)),
        ];
        parts.into_iter().flatten().collect()
    }

    /// The pineal gland and the choroid plexus of most adults.
    fn calcifications(&self) -> Vec<Capsule> {
        let (pineal, plexus) = (bump(self.height, 0.40, 0.50), bump(self.height, 0.48, 0.60));
        let parts = [
            self.part(pineal, [(0.0, 0.17), (0.0, 0.18)], (3.5, 3.0)),
            self.part(plexus, [(0.36, 0.33), (0.40, 0.40)], (3.0, 4.5)),
        ];
        parts.into_iter().flatten().collect()
    }
}
