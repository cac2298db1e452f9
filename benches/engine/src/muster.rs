//! Muster's own: a slot a driver, and the market's grid.

use std::sync::Arc;

use anyhow::bail;
use muster_engine::geo::{CellResolution, Position};
use muster_engine::grid::{
    DriverSlot, DriverStatus, Fix, FixLimits, Grid, NearbyQuery, Supply, Taken, TierSet,
};
use muster_engine::id::{DriverId, InlineDriverId, MarketId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::time::Timestamp;
use muster_engine::units::Meters;

use crate::contender::{Contender, is_free};
use crate::workload::{BEGIN_MS, Move, NEAREST, RADIUS_M};

/// Around everything the workload visits.
const AREA: &str = r#"{"type":"Polygon","coordinates":[[[-74.2,40.5],[-73.7,40.5],[-73.7,41.1],
    [-74.2,41.1],[-74.2,40.5]]]}"#;

/// A market around New York with two tiers and cells of resolution 9.
///
/// # Errors
/// Never, with these constants.
pub fn market() -> anyhow::Result<Market> {
    let tiers = vec![ServiceTierId::new("standard")?, ServiceTierId::new("xl")?];
    Ok(Market::new(MarketConfig {
        id: MarketId::new("nyc")?,
        name: "New York".to_owned(),
        boundary: Boundary::from_geojson(AREA)?,
        default_tier: tiers[0].clone(),
        tiers,
        resolution: CellResolution::new(9)?,
    })?)
}

/// Limits that let a driver report as often as a benchmark can.
pub fn limits() -> FixLimits {
    FixLimits { fixes_per_s_max: u32::MAX, jump_m_min: 1e9, ..FixLimits::default() }
}

/// The grid and its drivers.
#[derive(Debug)]
pub struct Muster {
    market: Market,
    limits: FixLimits,
    grid: Grid,
    slots: Vec<Arc<DriverSlot>>,
    /// What an actor knows of its driver, read when his cell changes.
    supplies: Vec<Supply>,
}

impl Muster {
    /// With so many drivers, none of whom has a position.
    ///
    /// # Errors
    /// Never, with these constants.
    pub fn new(drivers: usize) -> anyhow::Result<Self> {
        let market = market()?;
        let slot = |number: usize| {
            anyhow::Ok(Arc::new(DriverSlot::new(DriverId::new(&number.to_string())?)))
        };
        let supply = |number: usize| {
            let status =
                if is_free(number) { DriverStatus::Available } else { DriverStatus::OnTrip };
            Supply { status, ..Supply::free(TierSet::EMPTY.with(0)) }
        };
        Ok(Self {
            grid: Grid::of(&market),
            market,
            limits: limits(),
            slots: (0..drivers).map(slot).collect::<Result<_, _>>()?,
            supplies: (0..drivers).map(supply).collect(),
        })
    }

    /// The grid.
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }
}

impl Contender for Muster {
    fn name(&self) -> &'static str {
        "muster"
    }

    /// What a fix costs: judged, written into the driver's slot, the index changed with the cell.
    fn apply(&self, step: &Move) -> anyhow::Result<()> {
        let at = Timestamp::from_millis(step.at_ms);
        let fix =
            Fix { position: step.to, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
        let slot = &self.slots[step.driver];
        match slot.apply(&fix, at, &self.limits, &self.market) {
            Ok(applied) if applied.cell_changed => {
                self.grid.place(slot, self.supplies[step.driver].clone());
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(refused) => bail!("a move was refused: {refused:?}"),
        }
    }

    /// As the intake from Kafka does with what is at hand.
    fn batches(&self) -> &'static [usize] {
        &[1, 32]
    }

    fn apply_all(&self, steps: &[Move]) -> anyhow::Result<()> {
        steps.iter().for_each(|step| self.slots[step.driver].touch());
        steps.iter().try_for_each(|step| self.apply(step))
    }

    /// With the filters of a search: who is free, the tier, how old the fix is.
    fn nearest(&self, to: Position, found: &mut Vec<usize>) {
        let query = NearbyQuery {
            at: to,
            radius: Meters::new(RADIUS_M),
            limit: NEAREST,
            excluded_max: 0,
            live_offers_max: 2,
            now: Timestamp::from_millis(BEGIN_MS),
            explains: false,
        };
        let fresh = Timestamp::from_millis(BEGIN_MS - 1);
        let nearby = self.grid.nearest::<InlineDriverId, _, _>(
            &query,
            |taken: Taken| taken,
            |_, supply, reading| match supply.taken_under(2, query.now) {
                Some(taken) => Err(taken),
                None if !supply.tiers.contains(0) || reading.received_at <= fresh => {
                    Err(Taken::OutOfTouch)
                }
                None => Ok(()),
            },
        );
        found.clear();
        found.extend(
            nearby.found.iter().filter_map(|one| one.driver.as_str().parse::<usize>().ok()),
        );
    }
}
