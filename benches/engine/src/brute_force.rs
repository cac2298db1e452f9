//! What the right answers are: every driver's distance, sorted.

use anyhow::ensure;
use muster_engine::geo::Position;

use crate::contender::is_free;
use crate::workload::{Drivers, NEAREST, RADIUS_M};

/// Questions that each contender must answer like brute force.
pub const CHECKED: usize = 40;
/// An answer may differ from brute force's by so many metres in the distance of each driver: a plane
/// instead of a sphere, a sphere of another radius, an ellipsoid, a position kept in 52 bits.
const TOLERANCE_M: f64 = 15.0;

/// Compares the answers of a contender that has everybody's first position.
///
/// # Errors
/// When an answer differs, or the contender gives none.
pub fn check(
    drivers: &Drivers,
    mut nearest: impl FnMut(Position, &mut Vec<usize>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let count = drivers.count();
    let mut places = vec![None; count];
    for number in 0..count {
        let first = drivers.nth(number);
        places[first.driver] = Some(first.to);
    }
    let mut answer = Vec::new();
    for number in 0..CHECKED {
        let rider = drivers.rider(number);
        let metres = |place: &Option<Position>| {
            place.map_or(f64::INFINITY, |place| place.distance(rider).get())
        };
        let free = (0..count).filter(|driver| is_free(*driver));
        let mut exact: Vec<f64> = free.map(|driver| metres(&places[driver])).collect();
        exact.retain(|metres| *metres <= RADIUS_M);
        exact.sort_by(f64::total_cmp);
        exact.truncate(NEAREST);
        nearest(rider, &mut answer)?;
        ensure!(answer.len() == exact.len(), "{} of {} found", answer.len(), exact.len());
        for (driver, wanted) in answer.iter().zip(&exact) {
            ensure!(is_free(*driver), "question {number}: driver {driver} is on a trip");
            let place = places.get(*driver).ok_or_else(|| anyhow::anyhow!("driver {driver}?"))?;
            let found = metres(place);
            let off = (found - wanted).abs();
            ensure!(off <= TOLERANCE_M, "question {number}: {found} m, nearest is {wanted} m");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contender::Contender;
    use crate::muster::Muster;
    use crate::plain::{CellMap, Tree};
    use crate::square::SquareGrid;
    use crate::workload::Spread;

    fn filled(contender: &dyn Contender, drivers: &Drivers) {
        let first: Vec<_> = (0..drivers.count()).map(|number| drivers.nth(number)).collect();
        contender.apply_all(&first).unwrap();
    }

    #[test]
    fn every_contender_answers_like_brute_force_and_a_wrong_one_is_caught() {
        let drivers = Drivers::new(600, Spread::Clustered, 1).unwrap();
        let contenders: [Box<dyn Contender>; 4] = [
            Box::new(Muster::new(600).unwrap()),
            Box::new(CellMap::new(600)),
            Box::<Tree>::default(),
            Box::new(SquareGrid::new(600)),
        ];
        for contender in contenders {
            filled(contender.as_ref(), &drivers);
            let ask = |rider, found: &mut Vec<usize>| {
                contender.nearest(rider, found);
                Ok(())
            };
            check(&drivers, ask).unwrap();
            let wrong = |rider, found: &mut Vec<usize>| {
                contender.nearest(rider, found);
                found.reverse();
                Ok(())
            };
            assert!(check(&drivers, wrong).is_err(), "{}", contender.name());
        }
    }
}
