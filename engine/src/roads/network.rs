//! A network that answers: travel times between positions by the streets.

use super::build::Street;
use super::cost::{PathCost, UNREACHABLE};
use super::hierarchy::Hierarchy;
use super::profile::HourProfile;
use super::snap::{Entries, SnapIndex, Snapped};
use super::sweep::sweep;
use crate::geo::Position;
use crate::units::Meters;

/// A way by the streets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoadLeg {
    /// How long it takes, in milliseconds.
    pub time_ms: u32,
    /// How long it is.
    pub distance: Meters,
}

/// How large a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoadSize {
    /// Nodes.
    pub nodes: usize,
    /// Directed street segments.
    pub streets: usize,
    /// Ways that were added so that searches only lead upwards.
    pub shortcuts: usize,
}

/// A contracted street network. Nodes are numbered by importance.
#[derive(Debug)]
pub struct RoadNetwork {
    pub(super) positions: Vec<Position>,
    /// In the order of their nodes.
    pub(super) streets: Vec<Street>,
    pub(super) hierarchy: Hierarchy,
    pub(super) profile: HourProfile,
    pub(super) attribution: String,
    snap: SnapIndex,
}

impl RoadNetwork {
    pub(super) fn new(
        positions: Vec<Position>,
        streets: Vec<Street>,
        hierarchy: Hierarchy,
        profile: HourProfile,
        attribution: String,
    ) -> Self {
        let snap = SnapIndex::new(&positions, &streets);
        Self { positions, streets, hierarchy, profile, attribution, snap }
    }

    /// Where the nodes are.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// The street segments, by the numbers of their nodes.
    pub fn streets(&self) -> &[Street] {
        &self.streets
    }

    /// Speeds by hour.
    pub const fn profile(&self) -> &HourProfile {
        &self.profile
    }

    /// Whom the data is credited to.
    pub fn attribution(&self) -> &str {
        &self.attribution
    }

    /// How large it is.
    pub fn size(&self) -> RoadSize {
        let Hierarchy { ascending, descending } = &self.hierarchy;
        let ways = ascending.climbs.len() + descending.climbs.len();
        let (nodes, streets) = (self.positions.len(), self.streets.len());
        RoadSize { nodes, streets, shortcuts: ways.saturating_sub(streets) }
    }

    /// The fastest ways from each of `froms` to `to` at a local hour; nothing for a position that
    /// is not near a street.
    pub fn many_to_one(&self, froms: &[Position], to: Position, hour: u8) -> Vec<Option<RoadLeg>> {
        self.many_to_many(froms, &[to], hour).pop().unwrap_or_default()
    }

    /// The fastest ways from `from` to each of `tos`, as [`many_to_one`](Self::many_to_one).
    pub fn one_to_many(&self, from: Position, tos: &[Position], hour: u8) -> Vec<Option<RoadLeg>> {
        let (from, tos) = (self.snap.snap(from), self.snap_all(tos));
        let arrivals: Vec<Entries> = tos.iter().map(|to| entries(to, Snapped::arrival)).collect();
        let departure = [entries(&from, Snapped::departure)];
        let Hierarchy { ascending, descending } = &self.hierarchy;
        let costs = sweep(descending, ascending, &arrivals, &departure).pop().unwrap_or_default();
        let legs = tos.iter().zip(costs);
        legs.map(|(to, cost)| self.leg(from.as_ref(), to.as_ref(), cost, hour)).collect()
    }

    /// The fastest ways from each of `froms` to each of `tos`: for each of `tos` what
    /// [`many_to_one`](Self::many_to_one) says, in fewer steps.
    pub fn many_to_many(
        &self,
        froms: &[Position],
        tos: &[Position],
        hour: u8,
    ) -> Vec<Vec<Option<RoadLeg>>> {
        let (froms, tos) = (self.snap_all(froms), self.snap_all(tos));
        let departures: Vec<Entries> =
            froms.iter().map(|from| entries(from, Snapped::departure)).collect();
        let arrivals: Vec<Entries> = tos.iter().map(|to| entries(to, Snapped::arrival)).collect();
        let Hierarchy { ascending, descending } = &self.hierarchy;
        let columns = sweep(ascending, descending, &departures, &arrivals);
        let legs = |(to, costs): (&Option<Snapped>, Vec<PathCost>)| {
            let legs = froms.iter().zip(costs);
            legs.map(|(from, cost)| self.leg(from.as_ref(), to.as_ref(), cost, hour)).collect()
        };
        tos.iter().zip(columns).map(legs).collect()
    }

    fn snap_all(&self, positions: &[Position]) -> Vec<Option<Snapped>> {
        positions.iter().map(|position| self.snap.snap(*position)).collect()
    }

    fn leg(
        &self,
        from: Option<&Snapped>,
        to: Option<&Snapped>,
        through: PathCost,
        hour: u8,
    ) -> Option<RoadLeg> {
        let cost = through.min(from?.along(to?));
        let distance = Meters::new(f64::from(cost.length_dm()) / 10.0);
        let time_ms = self.profile.time_ms(cost.time_ms(), hour);
        (cost != UNREACHABLE).then_some(RoadLeg { time_ms, distance })
    }
}

fn entries(snapped: &Option<Snapped>, of: impl Fn(&Snapped) -> Entries) -> Entries {
    snapped.as_ref().map_or(Entries::NONE, of)
}
