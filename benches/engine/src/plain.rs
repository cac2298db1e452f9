//! What a Rust team would write first: cells in a concurrent map, and an R-tree behind a lock.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, RwLock};

use dashmap::DashMap;
use h3o::{CellIndex, LatLng, Resolution};
use muster_engine::geo::{EARTH_RADIUS_M, Position};
use rstar::{AABB, PointDistance, RTree, RTreeObject};

use crate::contender::{Contender, is_free};
use crate::workload::{Move, NEAREST, RADIUS_M};

/// H3 cells in a concurrent map, each with a list of drivers; rings until enough are found.
#[derive(Debug)]
pub struct CellMap {
    cells: DashMap<CellIndex, Vec<(usize, Position)>>,
    homes: Vec<Mutex<Option<CellIndex>>>,
}

impl CellMap {
    /// Of so many drivers.
    pub fn new(drivers: usize) -> Self {
        let homes = (0..drivers).map(|_| Mutex::new(None)).collect();
        Self { cells: DashMap::new(), homes }
    }
}

fn cell(place: Position) -> anyhow::Result<CellIndex> {
    Ok(LatLng::new(place.lat(), place.lng())?.to_cell(Resolution::Nine))
}

/// Metres between two places along the sphere: the formula everybody knows.
fn haversine_m(a: Position, b: Position) -> f64 {
    let (lat_a, lat_b) = (a.lat().to_radians(), b.lat().to_radians());
    let (north, east) = (lat_b - lat_a, (b.lng() - a.lng()).to_radians());
    let h = (north / 2.0).sin().powi(2) + lat_a.cos() * lat_b.cos() * (east / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS_M * h.sqrt().asin()
}

impl Contender for CellMap {
    fn name(&self) -> &'static str {
        "cells in a DashMap"
    }

    fn apply(&self, step: &Move) -> anyhow::Result<()> {
        let to = cell(step.to)?;
        let mut home = self.homes[step.driver].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = home.replace(to)
            && let Some(mut drivers) = self.cells.get_mut(&from)
        {
            drivers.retain(|(driver, _)| *driver != step.driver);
        }
        self.cells.entry(to).or_default().push((step.driver, step.to));
        Ok(())
    }

    fn nearest(&self, to: Position, answer: &mut Vec<usize>) {
        answer.clear();
        let Ok(centre) = cell(to) else { return };
        let inner_m = 2.0 * Resolution::Nine.edge_length_m() * 0.75;
        let mut found: Vec<(f64, usize)> = Vec::new();
        for k in 0_u32.. {
            let ring: Vec<CellIndex> = centre.grid_ring_fast(k).flatten().collect();
            for cell in ring {
                let Some(drivers) = self.cells.get(&cell) else { continue };
                let free = drivers.iter().filter(|(driver, _)| is_free(*driver));
                let near = free.map(|(driver, at)| (haversine_m(*at, to), *driver));
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
        answer.extend(found.into_iter().take(NEAREST).map(|(_, driver)| driver));
    }
}

/// A driver in the plane of New York's latitude, metres.
#[derive(Debug, Clone, Copy, PartialEq)]
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
#[derive(Debug, Default)]
pub struct Tree {
    tree: RwLock<Indexed>,
}

#[derive(Debug, Default)]
struct Indexed {
    dots: RTree<Dot>,
    places: BTreeMap<usize, [f64; 2]>,
}

impl Indexed {
    fn apply(&mut self, step: &Move) {
        let (driver, at) = (step.driver, flat(step.to));
        if let Some(before) = self.places.insert(driver, at) {
            self.dots.remove(&Dot { driver, at: before });
        }
        self.dots.insert(Dot { driver, at });
    }
}

fn flat(place: Position) -> [f64; 2] {
    let metres = EARTH_RADIUS_M.to_radians();
    [place.lng() * metres * 40.75_f64.to_radians().cos(), place.lat() * metres]
}

impl Contender for Tree {
    fn name(&self) -> &'static str {
        "RwLock<RTree>"
    }

    fn apply(&self, step: &Move) -> anyhow::Result<()> {
        self.tree.write().unwrap_or_else(PoisonError::into_inner).apply(step);
        Ok(())
    }

    /// The lock is worth sharing.
    fn batches(&self) -> &'static [usize] {
        &[1, 64]
    }

    fn apply_all(&self, steps: &[Move]) -> anyhow::Result<()> {
        let mut indexed = self.tree.write().unwrap_or_else(PoisonError::into_inner);
        steps.iter().for_each(|step| indexed.apply(step));
        Ok(())
    }

    fn nearest(&self, to: Position, found: &mut Vec<usize>) {
        let indexed = self.tree.read().unwrap_or_else(PoisonError::into_inner);
        let near = indexed.dots.nearest_neighbor_iter_with_distance_2(flat(to));
        let near = near.take_while(|(_, squared)| *squared <= RADIUS_M * RADIUS_M);
        let free = near.map(|(dot, _)| dot.driver).filter(|driver| is_free(*driver));
        found.clear();
        found.extend(free.take(NEAREST));
    }
}
