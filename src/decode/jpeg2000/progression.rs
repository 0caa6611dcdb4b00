//! The order in which a tile's packets come.
//!
//! # Source
//! T.800 B.12.

use super::failed;
use super::layout::Layout;
use super::parameters::{Change, Order, Parameters};
use crate::reason::Fault;

/// One packet: a layer of a precinct.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Packet {
    pub(super) resolution: u32,
    pub(super) precinct: u32,
    pub(super) layer: u32,
}

/// Calls `read` for every packet of the tile once, in order.
///
/// # Errors
/// Those of `read`; reason `decode_failed` where the changes of the progression order leave packets
/// out.
pub(super) fn each(
    layout: &mut Layout,
    parameters: &Parameters,
    order: Order,
    mut read: impl FnMut(&mut Layout, Packet) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let all = [Change { order, first_resolution: 0, end_resolution: LAST, end_layer: LAST }];
    let changes = if parameters.changes.is_empty() { &all[..] } else { &parameters.changes };
    for change in changes {
        let resolutions = change.first_resolution..change.end_resolution.min(parameters.levels + 1);
        let layers = 0..change.end_layer.min(parameters.layers);
        let mut precincts = precincts(layout, resolutions);
        // Packets of a precinct come in the order of their layers, so those of an earlier change are
        // the first ones.
        let mut next = |layout: &mut Layout, (resolution, precinct): (u32, u32), layer: u32| {
            let Some(read_layers) = layout.layers.get_mut(precinct as usize) else { return Ok(()) };
            if u32::from(*read_layers) != layer {
                return Ok(());
            }
            *read_layers = read_layers.saturating_add(1);
            read(layout, Packet { resolution, precinct, layer })
        };
        match change.order {
            Order::LayerResolution => {
                for layer in layers {
                    for &precinct in &precincts {
                        next(layout, precinct, layer)?;
                    }
                }
            }
            Order::ResolutionLayer => {
                for of_one in precincts.chunk_by(|a, b| a.0 == b.0) {
                    for layer in layers.clone() {
                        for &precinct in of_one {
                            next(layout, precinct, layer)?;
                        }
                    }
                }
            }
            Order::ResolutionPosition | Order::PositionResolution => {
                if change.order == Order::PositionResolution {
                    precincts.sort_by_cached_key(|&(resolution, precinct)| {
                        (layout.position(resolution, precinct), resolution, precinct)
                    });
                }
                for &precinct in &precincts {
                    for layer in layers.clone() {
                        next(layout, precinct, layer)?;
                    }
                }
            }
        }
    }
    match layout.layers.iter().all(|&layers| u32::from(layers) == parameters.layers) {
        true => Ok(()),
        false => Err(failed("the progression order leaves packets out")),
    }
}

/// No end but that of the tile.
const LAST: u32 = u32::MAX;

/// Resolution and precinct, resolution by resolution, each row by row.
fn precincts(layout: &Layout, resolutions: std::ops::Range<u32>) -> Vec<(u32, u32)> {
    resolutions
        .flat_map(|resolution| layout.precincts_of(resolution).map(move |precinct| (resolution, precinct)))
        .collect()
}
