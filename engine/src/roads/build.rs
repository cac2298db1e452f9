//! From street segments to a network that answers.

use super::connected::largest_part;
use super::contraction::Contraction;
use super::cost::PathCost;
use super::hierarchy::Hierarchy;
use super::network::RoadNetwork;
use super::profile::HourProfile;
use crate::geo::Position;

/// Nodes of a network at most.
pub const NODES_MAX: usize = 8_000_000;

/// Directed street segments of a network at most.
pub const EDGES_MAX: usize = 20_000_000;

/// The longest segment, in metres: a ferry, not a mistyped unit.
const LENGTH_M_MAX: f64 = 200_000.0;

/// Speeds of a segment, in metres per second.
const SPEED_MPS: std::ops::RangeInclusive<f64> = 0.5..=70.0;

/// A street segment that may be driven from one node to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Street {
    /// Where it begins, as an index of the nodes.
    pub from: u32,
    /// Where it ends, as an index of the nodes.
    pub to: u32,
    /// How long it takes on an empty street, in milliseconds.
    pub time_ms: u32,
    /// How long it is, in decimetres.
    pub length_dm: u32,
}

/// Why streets make no network.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum RoadError {
    /// There is nowhere to drive.
    #[error("no two places can be driven between in both directions")]
    Nothing,
    /// More nodes or segments than are supported.
    #[error(
        "{nodes} nodes and {streets} street segments, at most {NODES_MAX} and {EDGES_MAX} are supported"
    )]
    TooLarge {
        /// How many nodes.
        nodes: usize,
        /// How many segments.
        streets: usize,
    },
    /// A segment begins or ends at a node that is not there.
    #[error("street segment {street} leads to node {node}, which is not there")]
    UnknownNode {
        /// The segment.
        street: usize,
        /// The node.
        node: u32,
    },
    /// A length no street has.
    #[error("a street segment is {0} m long, allowed is 0..=200000")]
    Length(f64),
    /// A speed nobody drives.
    #[error("the speed of a street segment is {0} m/s, allowed is 0.5..=70")]
    Speed(f64),
}

impl Street {
    /// A segment of `length_m` metres that is driven at `speed_mps` metres per second.
    ///
    /// # Errors
    /// [`RoadError`] when length or speed is none of a street.
    pub fn new(from: u32, to: u32, length_m: f64, speed_mps: f64) -> Result<Self, RoadError> {
        if !(0.0..=LENGTH_M_MAX).contains(&length_m) {
            return Err(RoadError::Length(length_m));
        }
        if !SPEED_MPS.contains(&speed_mps) {
            return Err(RoadError::Speed(speed_mps));
        }
        let time_ms = (length_m / speed_mps * 1_000.0).round() as u32;
        Ok(Self { from, to, time_ms, length_dm: (length_m * 10.0).round() as u32 })
    }

    pub(super) fn cost(&self) -> PathCost {
        PathCost::new(self.time_ms, self.length_dm)
    }
}

/// What a network is made from.
#[derive(Debug, Clone, Default)]
pub struct Streets {
    /// Where the nodes are.
    pub nodes: Vec<Position>,
    /// The segments between them, one for each direction that may be driven.
    pub segments: Vec<Street>,
    /// Speeds by hour.
    pub profile: Option<HourProfile>,
    /// What the data may be credited to; shown by `muster roads info`.
    pub attribution: String,
}

impl Streets {
    fn check(&self) -> Result<(), RoadError> {
        let (nodes, streets) = (self.nodes.len(), self.segments.len());
        if nodes > NODES_MAX || streets > EDGES_MAX {
            return Err(RoadError::TooLarge { nodes, streets });
        }
        for (street, segment) in self.segments.iter().enumerate() {
            let unknown = [segment.from, segment.to].into_iter().find(|n| *n as usize >= nodes);
            if let Some(node) = unknown {
                return Err(RoadError::UnknownNode { street, node });
            }
        }
        Ok(())
    }

    /// The largest part in which every place can be driven to from every other, each pair of nodes
    /// with its fastest segment alone.
    fn largest_part(&self) -> (Vec<Position>, Vec<Street>) {
        let kept = largest_part(self.nodes.len(), &self.segments);
        let mut number = vec![u32::MAX; self.nodes.len()];
        for (new, old) in kept.iter().enumerate() {
            number[*old as usize] = new as u32;
        }
        let renumbered = self.segments.iter().map(|street| {
            let (from, to) = (number[street.from as usize], number[street.to as usize]);
            Street { from, to, ..*street }
        });
        let outside = |street: &Street| street.from == u32::MAX || street.to == u32::MAX;
        let mut streets: Vec<Street> =
            renumbered.filter(|street| !outside(street) && street.from != street.to).collect();
        keep_fastest(&mut streets);
        (kept.iter().map(|old| self.nodes[*old as usize]).collect(), streets)
    }
}

fn keep_fastest(streets: &mut Vec<Street>) {
    streets.sort_unstable();
    streets.dedup_by_key(|street| (street.from, street.to));
}

impl RoadNetwork {
    /// The network of these streets. `progress` hears how many nodes are contracted, and of how
    /// many.
    ///
    /// # Errors
    /// [`RoadError`] says what is wrong with the streets.
    pub fn build(
        streets: &Streets,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Self, RoadError> {
        streets.check()?;
        let (positions, mut segments) = streets.largest_part();
        if positions.len() < 2 {
            return Err(RoadError::Nothing);
        }
        let nodes = positions.len();
        let mut contraction = Contraction::new(nodes);
        for segment in &segments {
            contraction.connect(segment.from, segment.to, segment.cost());
        }
        let contracted = contraction.run(|done| progress(done, nodes));
        let (hierarchy, rank_of) = Hierarchy::of(&contracted);
        for segment in &mut segments {
            segment.from = rank_of[segment.from as usize];
            segment.to = rank_of[segment.to as usize];
        }
        segments.sort_unstable();
        let positions = contracted.order.iter().map(|node| positions[*node as usize]).collect();
        let profile = streets.profile.unwrap_or(HourProfile::FLAT);
        let attribution = streets.attribution.clone();
        Ok(Self::new(positions, segments, hierarchy, profile, attribution))
    }
}
