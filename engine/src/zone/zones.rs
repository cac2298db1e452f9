//! The zones of a market, found by place or id.

use std::collections::BTreeMap;
use std::sync::Arc;

use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};

use super::area::Zone;
use super::geojson::ZoneError;
use crate::geo::{Cell, EARTH_RADIUS_M, Position};
use crate::id::ZoneId;

/// Zones of one market at most.
pub const ZONES_MAX: usize = 1_000;

/// Taken on top of a cell's radius: the flat box around a round cell.
const CELL_MARGIN: f64 = 1.1;

type Boxes = RTree<GeomWithData<Rectangle<[f64; 2]>, usize>>;

/// The zones of a market, most specific first, with an R-tree over their bounding boxes.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    all: Vec<Arc<Zone>>,
    by_id: BTreeMap<ZoneId, usize>,
    boxes: Boxes,
    watched: Boxes,
    exit_fixes_max: u32,
}

impl Zones {
    /// The zones, whose order follows from priority and size.
    ///
    /// # Errors
    /// [`ZoneError`] when two have the same id, or there are more than [`ZONES_MAX`].
    pub fn new(zones: impl IntoIterator<Item = Zone>) -> Result<Self, ZoneError> {
        let mut all: Vec<Arc<Zone>> = zones.into_iter().map(Arc::new).collect();
        if all.len() > ZONES_MAX {
            return Err(ZoneError::TooMany(all.len()));
        }
        all.sort_by(|a, b| {
            let priority = b.priority.cmp(&a.priority);
            let size = a.area.square_degrees().total_cmp(&b.area.square_degrees());
            priority.then(size).then_with(|| a.id.cmp(&b.id))
        });
        let mut by_id = BTreeMap::new();
        for (order, zone) in all.iter().enumerate() {
            if by_id.insert(zone.id.clone(), order).is_some() {
                return Err(ZoneError::Duplicate(zone.id.clone()));
            }
        }
        let boxes = |watched_only: bool| {
            let zones = all.iter().enumerate();
            let chosen = zones.filter(|(_, zone)| !watched_only || zone.is_watched());
            RTree::bulk_load(chosen.map(|(order, zone)| rectangle(zone, order)).collect())
        };
        let exit_fixes = all.iter().filter(|zone| zone.is_watched()).map(|zone| zone.exit_fixes());
        let exit_fixes_max = exit_fixes.max().unwrap_or(0);
        Ok(Self { boxes: boxes(false), watched: boxes(true), all, by_id, exit_fixes_max })
    }

    /// The zones that contain `position`, edges included, most specific first.
    pub fn at(&self, position: Position) -> Vec<&Arc<Zone>> {
        self.containing(&self.boxes, position).into_iter().map(|order| &self.all[order]).collect()
    }

    /// The most specific zone with a queue or with one-time passwords that contains `position`.
    pub fn watched_at(&self, position: Position) -> Option<&Arc<Zone>> {
        let first = self.containing(&self.watched, position).into_iter().next()?;
        self.all.get(first)
    }

    fn containing(&self, boxes: &Boxes, position: Position) -> Vec<usize> {
        let point = AABB::from_point([position.lng(), position.lat()]);
        let found = boxes.locate_in_envelope_intersecting(point).map(|entry| entry.data);
        let mut orders: Vec<usize> =
            found.filter(|order| self.all[*order].area.contains(position)).collect();
        orders.sort_unstable();
        orders
    }

    /// Whether a fix inside `cell` may lie in a watched zone; `false` is certain.
    pub fn may_watch(&self, cell: Cell) -> bool {
        if self.exit_fixes_max == 0 {
            return false;
        }
        let (centre, radius) = (cell.centre(), cell.resolution().circumradius_max().get());
        let north = (radius * CELL_MARGIN / EARTH_RADIUS_M).to_degrees();
        let shrink = centre.lat().to_radians().cos().max(0.01);
        let east = north / shrink;
        let around = AABB::from_corners(
            [centre.lng() - east, centre.lat() - north],
            [centre.lng() + east, centre.lat() + north],
        );
        self.watched.locate_in_envelope_intersecting(around).next().is_some()
    }

    /// Whether fixes are watched for any zone here.
    pub const fn are_watched(&self) -> bool {
        self.exit_fixes_max > 0
    }

    /// Fixes in a row that settle a driver nowhere, whatever zone he may have been in.
    pub const fn exit_fixes_max(&self) -> u32 {
        self.exit_fixes_max
    }

    /// The zone with this id.
    pub fn get(&self, id: &ZoneId) -> Option<&Arc<Zone>> {
        self.by_id.get(id).and_then(|order| self.all.get(*order))
    }

    /// The zone with this id, as written by people.
    pub fn named(&self, name: &str) -> Option<&Arc<Zone>> {
        self.all.iter().find(|zone| zone.id.as_str() == name)
    }

    /// All zones, most specific first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.all.iter()
    }
}

fn rectangle(zone: &Zone, order: usize) -> GeomWithData<Rectangle<[f64; 2]>, usize> {
    let outer = zone.area.bounding_box();
    let corners = AABB::from_corners([outer.west, outer.south], [outer.east, outer.north]);
    GeomWithData::new(Rectangle::from_aabb(corners), order)
}
