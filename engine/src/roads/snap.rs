//! Which street a position is on, and how far along it.

use rstar::primitives::{GeomWithData, Line};
use rstar::{PointDistance, RTree};

use super::build::Street;
use super::cost::{PathCost, UNREACHABLE};
use super::sweep::Entry;
use crate::geo::{EARTH_RADIUS_M, Position};

/// A position farther from every street than this many metres is not on the network.
const GAP_M_MAX: f64 = 1_000.0;

/// A position this near to a node, in metres along the street, is at it.
const NODE_M: f64 = 1.0;

/// A street between two nodes, with what it costs in each direction.
#[derive(Debug, Clone, Copy)]
struct Segment {
    from: u32,
    to: u32,
    there: PathCost,
    back: PathCost,
}

/// The streets of a network by where they are.
#[derive(Debug)]
pub(super) struct SnapIndex {
    plane: Plane,
    segments: Vec<Segment>,
    lines: RTree<GeomWithData<Line<[f64; 2]>, u32>>,
}

/// Metres on a plane that touches the earth at the network's middle.
#[derive(Debug, Clone, Copy)]
struct Plane {
    metres_per_degree: [f64; 2],
}

impl Plane {
    fn at(positions: &[Position]) -> Self {
        let lats = || positions.iter().map(|position| position.lat());
        let middle = f64::midpoint(
            lats().fold(f64::INFINITY, f64::min),
            lats().fold(f64::NEG_INFINITY, f64::max),
        );
        let metres = EARTH_RADIUS_M.to_radians();
        Self { metres_per_degree: [metres * middle.to_radians().cos(), metres] }
    }

    fn point(&self, position: Position) -> [f64; 2] {
        let [lng, lat] = self.metres_per_degree;
        [position.lng() * lng, position.lat() * lat]
    }
}

/// A position on the network.
#[derive(Debug, Clone, Copy)]
pub(super) struct Snapped {
    index: u32,
    segment: Segment,
    /// How far along the segment, 0..=1.
    share: f64,
    /// The way between the position and the street, at the street's speed.
    gap: PathCost,
}

/// Where a position enters or leaves the network: at one node or two, at none when it is not on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entries {
    entries: [Entry; 2],
    count: usize,
}

impl AsRef<[Entry]> for Entries {
    fn as_ref(&self) -> &[Entry] {
        &self.entries[..self.count]
    }
}

impl Entries {
    pub(super) const NONE: Self = Self::of([None, None]);

    const fn of(ways: [Option<Entry>; 2]) -> Self {
        let none = Entry { node: 0, cost: UNREACHABLE };
        match ways {
            [Some(one), Some(other)] => Self { entries: [one, other], count: 2 },
            [Some(one), None] | [None, Some(one)] => Self { entries: [one, none], count: 1 },
            [None, None] => Self { entries: [none, none], count: 0 },
        }
    }
}

impl Snapped {
    fn entry(&self, node: u32, cost: PathCost, share: f64) -> Option<Entry> {
        let exists = cost != UNREACHABLE;
        exists.then(|| Entry { node, cost: cost.share(share).plus(self.gap) })
    }

    /// The node the position is at, if it is at one: all its streets may be taken, whatever the
    /// direction of the one that was found.
    fn node(&self) -> Option<Entries> {
        let Segment { from, to, .. } = self.segment;
        let at = |node| Entries::of([Some(Entry { node, cost: self.gap }), None]);
        match self.share {
            share if share <= 0.0 => Some(at(from)),
            share if share >= 1.0 => Some(at(to)),
            _ => None,
        }
    }

    /// The nodes that are reached first from here.
    pub(super) fn departure(&self) -> Entries {
        let Segment { from, to, there, back } = self.segment;
        let ways = || [self.entry(to, there, 1.0 - self.share), self.entry(from, back, self.share)];
        self.node().unwrap_or_else(|| Entries::of(ways()))
    }

    /// The nodes from which this place is reached.
    pub(super) fn arrival(&self) -> Entries {
        let Segment { from, to, there, back } = self.segment;
        let ways = || [self.entry(from, there, self.share), self.entry(to, back, 1.0 - self.share)];
        self.node().unwrap_or_else(|| Entries::of(ways()))
    }

    /// The way to a place on the same street without leaving it.
    pub(super) fn along(&self, to: &Self) -> PathCost {
        let ahead = to.share - self.share;
        let way = if ahead >= 0.0 { self.segment.there } else { self.segment.back };
        if self.index != to.index || way == UNREACHABLE {
            return UNREACHABLE;
        }
        way.share(ahead.abs()).plus(self.gap).plus(to.gap)
    }
}

impl SnapIndex {
    pub(super) fn new(positions: &[Position], streets: &[Street]) -> Self {
        let plane = Plane::at(positions);
        let mut segments: Vec<Segment> = Vec::with_capacity(streets.len());
        let mut lines = Vec::with_capacity(streets.len());
        // Sorted by both ends, so each direction finds the other.
        let cost = |from, to| {
            let found = streets.binary_search_by_key(&(from, to), |s| (s.from, s.to));
            found.map_or(UNREACHABLE, |index| streets[index].cost())
        };
        for street in streets {
            let back = cost(street.to, street.from);
            if back != UNREACHABLE && street.to < street.from {
                continue;
            }
            let (from, to) = (street.from, street.to);
            let ends = [from, to].map(|node| plane.point(positions[node as usize]));
            lines.push(GeomWithData::new(Line::new(ends[0], ends[1]), segments.len() as u32));
            segments.push(Segment { from, to, there: street.cost(), back });
        }
        Self { plane, segments, lines: RTree::bulk_load(lines) }
    }

    /// The nearest street; nothing when there is none near.
    pub(super) fn snap(&self, position: Position) -> Option<Snapped> {
        let point = self.plane.point(position);
        let found = self.lines.nearest_neighbor(point)?;
        let gap_m = found.distance_2(&point).sqrt();
        if gap_m > GAP_M_MAX {
            return None;
        }
        let segment = self.segments[found.data as usize];
        let share = share_along(found.geom(), point);
        Some(Snapped { index: found.data, segment, share, gap: gap(&segment, gap_m) })
    }
}

fn share_along(line: &Line<[f64; 2]>, point: [f64; 2]) -> f64 {
    let span = [line.to[0] - line.from[0], line.to[1] - line.from[1]];
    let off = [point[0] - line.from[0], point[1] - line.from[1]];
    let squared = span[0] * span[0] + span[1] * span[1];
    if squared <= 0.0 {
        return 0.0;
    }
    let share = (span[0] * off[0] + span[1] * off[1]) / squared;
    let from_end_m = (1.0 - share) * squared.sqrt();
    match share * squared.sqrt() {
        from_begin_m if from_begin_m < NODE_M => 0.0,
        _ if from_end_m < NODE_M => 1.0,
        _ => share,
    }
}

fn gap(segment: &Segment, gap_m: f64) -> PathCost {
    let cost = if segment.there == UNREACHABLE { segment.back } else { segment.there };
    let gap_dm = (gap_m * 10.0).round();
    let ms_per_dm = f64::from(cost.time_ms()) / f64::from(cost.length_dm().max(1));
    PathCost::new((gap_dm * ms_per_dm).round() as u32, gap_dm as u32)
}
