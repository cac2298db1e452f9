//! In the process: Muster's grid, and what a Rust team would write first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use dashmap::DashMap;
use h3o::{CellIndex, LatLng, Resolution};
use muster_engine::geo::{CellResolution, Position};
use muster_engine::grid::{
    DriverSlot, Fix, FixLimits, FixRejection, Grid, NearbyQuery, Supply, TierSet,
};
use muster_engine::id::{DriverId, MarketId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::time::Timestamp;
use muster_engine::units::Meters;
use rstar::{AABB, PointDistance, RTree, RTreeObject};

use super::contenders::{Contender, Missing, Reader, Writer};
use super::workload::{Drivers, Move, NEAREST, RADIUS_M};
use crate::city::Place;

/// Mean radius of the earth as h3o and the engine take it, metres.
const EARTH_RADIUS_M: f64 = 6_371_007.180_918_475;
/// Nothing is gained by batches: a move is a call.
const ONE: &[usize] = &[1];
/// Around everything the workload visits.
const AREA: &str = r#"{"type":"Polygon","coordinates":[[[-74.2,40.5],[-73.7,40.5],[-73.7,41.1],
    [-74.2,41.1],[-74.2,40.5]]]}"#;

fn missing(error: impl std::fmt::Display) -> Missing {
    Missing(error.to_string())
}

/// Metres between two places along the sphere.
pub(super) fn distance_m(a: Place, b: Place) -> f64 {
    let (lat_a, lat_b) = (a.lat.to_radians(), b.lat.to_radians());
    let (north, east) = (lat_b - lat_a, (b.lng - a.lng).to_radians());
    let h = (north / 2.0).sin().powi(2) + lat_a.cos() * lat_b.cos() * (east / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS_M * h.sqrt().asin()
}

struct Muster {
    market: Market,
    limits: FixLimits,
    grid: Grid,
    slots: Vec<Arc<DriverSlot>>,
    /// Of everybody.
    supply: Supply,
}

pub(super) fn muster(drivers: &Drivers) -> Result<Box<dyn Contender>, Missing> {
    let tier = ServiceTierId::new("standard").map_err(missing)?;
    let resolution = CellResolution::new(9).map_err(missing)?;
    let market = MarketConfig {
        id: MarketId::new("nyc").map_err(missing)?,
        name: "New York".to_owned(),
        boundary: Boundary::from_geojson(AREA).map_err(missing)?,
        tiers: vec![tier.clone()],
        default_tier: tier,
        resolution,
    };
    let slot = |number: usize| {
        let driver = DriverId::new(&number.to_string()).map_err(missing)?;
        Ok(Arc::new(DriverSlot::new(driver)))
    };
    let slots: Result<Vec<_>, Missing> = (0..drivers.count()).map(slot).collect();
    let market = Market::new(market).map_err(missing)?;
    Ok(Box::new(Muster {
        // The workload moves every driver as often as it can.
        limits: FixLimits { fixes_per_s_max: u32::MAX, ..FixLimits::default() },
        grid: Grid::of(&market),
        market,
        supply: Supply::free(TierSet::EMPTY.with(0)),
        slots: slots?,
    }))
}

impl Contender for Muster {
    fn batches(&self) -> &'static [usize] {
        ONE
    }

    fn writer(&self) -> anyhow::Result<Box<dyn Writer + '_>> {
        Ok(Box::new(self))
    }

    fn reader(&self) -> anyhow::Result<Box<dyn Reader + '_>> {
        Ok(Box::new(self))
    }
}

impl Writer for &Muster {
    /// What a fix costs: judged, written into the driver's slot, the index changed with the cell.
    fn apply(&mut self, moves: &[Move]) -> anyhow::Result<()> {
        for step in moves {
            let position = Position::from_degrees(step.to.lat, step.to.lng)?;
            let at = Timestamp::from_millis(step.at_ms);
            let fix = Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
            let slot = &self.slots[step.driver];
            let moved = match slot.apply(&fix, at, &self.limits, &self.market) {
                Ok(applied) => applied.cell_changed,
                // Another thread was faster by a whole round of all drivers.
                Err(FixRejection::OutOfOrder) => false,
                Err(refused) => anyhow::bail!("a move was refused: {refused:?}"),
            };
            if moved {
                self.grid.place(slot, self.supply.clone());
            }
        }
        Ok(())
    }
}

impl Reader for &Muster {
    /// With the filters of a search: status, tier.
    fn nearest(&mut self, to: Place) -> anyhow::Result<Vec<usize>> {
        let query = NearbyQuery {
            at: Position::from_degrees(to.lat, to.lng)?,
            radius: Meters::new(RADIUS_M),
            limit: NEAREST,
            excluded_max: 0,
            live_offers_max: 2,
            now: Timestamp::default(),
            explains: false,
        };
        let nearby = self.grid.nearest(
            &query,
            |_| (),
            |_, supply, _| {
                let free = supply.taken().is_none() && supply.tiers.contains(0);
                if free { Ok(()) } else { Err(()) }
            },
        );
        let number = |found: &muster_engine::grid::Found| Ok(found.driver.as_str().parse()?);
        nearby.found.iter().map(number).collect()
    }
}

/// H3 cells in a concurrent map, each with a list of drivers; rings until enough are found.
struct CellMap {
    cells: DashMap<CellIndex, Vec<(usize, Place)>>,
    homes: Vec<Mutex<Option<CellIndex>>>,
}

pub(super) fn cell_map(drivers: &Drivers) -> Result<Box<dyn Contender>, Missing> {
    let homes = (0..drivers.count()).map(|_| Mutex::new(None)).collect();
    Ok(Box::new(CellMap { cells: DashMap::new(), homes }))
}

fn cell(place: Place) -> anyhow::Result<CellIndex> {
    Ok(LatLng::new(place.lat, place.lng)?.to_cell(Resolution::Nine))
}

impl Contender for CellMap {
    fn batches(&self) -> &'static [usize] {
        ONE
    }

    fn writer(&self) -> anyhow::Result<Box<dyn Writer + '_>> {
        Ok(Box::new(self))
    }

    fn reader(&self) -> anyhow::Result<Box<dyn Reader + '_>> {
        Ok(Box::new(self))
    }
}

impl Writer for &CellMap {
    fn apply(&mut self, moves: &[Move]) -> anyhow::Result<()> {
        for step in moves {
            let to = cell(step.to)?;
            let mut home = self.homes[step.driver].lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(from) = home.replace(to)
                && let Some(mut drivers) = self.cells.get_mut(&from)
            {
                drivers.retain(|(driver, _)| *driver != step.driver);
            }
            self.cells.entry(to).or_default().push((step.driver, step.to));
        }
        Ok(())
    }
}

impl Reader for &CellMap {
    fn nearest(&mut self, to: Place) -> anyhow::Result<Vec<usize>> {
        let centre = cell(to)?;
        let inner_m = 2.0 * Resolution::Nine.edge_length_m() * 0.75;
        let mut found: Vec<(f64, usize)> = Vec::new();
        for k in 0_u32.. {
            let ring: Vec<CellIndex> = centre.grid_ring_fast(k).flatten().collect();
            for cell in ring {
                let Some(drivers) = self.cells.get(&cell) else { continue };
                let near = drivers.iter().map(|(driver, at)| (distance_m(*at, to), *driver));
                found.extend(near.filter(|(metres, _)| *metres <= RADIUS_M));
            }
            // Whatever is farther out is at least so far away.
            let beyond_m = f64::from(k) * inner_m;
            found.sort_by(|a, b| a.0.total_cmp(&b.0));
            let enough = found.get(NEAREST - 1).is_some_and(|last| last.0 <= beyond_m);
            if enough || beyond_m > RADIUS_M {
                break;
            }
        }
        Ok(found.into_iter().take(NEAREST).map(|(_, driver)| driver).collect())
    }
}

/// A driver in the plane of the workload's latitude, metres.
#[derive(Clone, Copy, PartialEq)]
struct Dot {
    driver: usize,
    at: [f64; 2],
}

impl RTreeObject for Dot {
    type Envelope = AABB<[f64; 2]>;

    fn envelope(&self) -> Self::Envelope {
        AABB::from_point(self.at)
    }
}

impl PointDistance for Dot {
    fn distance_2(&self, point: &[f64; 2]) -> f64 {
        (self.at[0] - point[0]).powi(2) + (self.at[1] - point[1]).powi(2)
    }
}

/// One R*-tree behind one lock.
struct Tree {
    tree: RwLock<Indexed>,
}

#[derive(Default)]
struct Indexed {
    dots: RTree<Dot>,
    places: BTreeMap<usize, [f64; 2]>,
}

pub(super) fn tree(_: &Drivers) -> Result<Box<dyn Contender>, Missing> {
    Ok(Box::new(Tree { tree: RwLock::default() }))
}

fn flat(place: Place) -> [f64; 2] {
    let metres = EARTH_RADIUS_M.to_radians();
    [place.lng * metres * 40.78_f64.to_radians().cos(), place.lat * metres]
}

impl Contender for Tree {
    fn batches(&self) -> &'static [usize] {
        &[1, 64]
    }

    fn writer(&self) -> anyhow::Result<Box<dyn Writer + '_>> {
        Ok(Box::new(self))
    }

    fn reader(&self) -> anyhow::Result<Box<dyn Reader + '_>> {
        Ok(Box::new(self))
    }
}

impl Writer for &Tree {
    fn apply(&mut self, moves: &[Move]) -> anyhow::Result<()> {
        let mut indexed = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        for step in moves {
            let (driver, at) = (step.driver, flat(step.to));
            if let Some(before) = indexed.places.insert(driver, at) {
                indexed.dots.remove(&Dot { driver, at: before });
            }
            indexed.dots.insert(Dot { driver, at });
        }
        Ok(())
    }
}

impl Reader for &Tree {
    fn nearest(&mut self, to: Place) -> anyhow::Result<Vec<usize>> {
        let indexed = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        let near = indexed.dots.nearest_neighbor_iter_with_distance_2(flat(to));
        let near = near.take_while(|(_, squared)| *squared <= RADIUS_M * RADIUS_M);
        Ok(near.take(NEAREST).map(|(dot, _)| dot.driver).collect())
    }
}
