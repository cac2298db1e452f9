//! Who is on the road: the drivers of either city, with their vehicles and profiles.

use std::sync::Arc;

use rand::Rng;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};

use crate::behaviour::Behaviour;
use crate::driver::machine::DriverMachine;
use crate::driver::session::DriverSession;
use crate::driver::vehicle::{FIX_INTERVAL_MS, StreetVehicle, Vehicle};
use crate::error::ReplayError;
use crate::roads::RoadNetwork;
use crate::sf::{TraceVehicle, Traces};
use crate::stands::Stands;
use crate::trips::Trip;
use crate::world::World;

/// Real time after which an unconfirmed frame is sent again.
const CONFIRM_AFTER_MS: i64 = 5_000;
/// Share of the drivers that must come online for the replay to mean anything.
const ONLINE_SHARE_MIN: f64 = 0.95;
/// Real time for one more driver to come online; the fleet as a whole may take long.
const ONLINE_TIMEOUT: Duration = Duration::from_secs(60);

/// A city's vehicles before they have a server.
pub(crate) enum Fleet {
    /// Simulated cars on Manhattan's streets.
    Streets { network: Arc<RoadNetwork>, stands: Option<Arc<Stands>>, drivers: usize },
    /// Recorded cabs.
    Traces { traces: Traces, drivers: usize },
}

impl Fleet {
    /// How many drivers there will be.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Streets { drivers, .. } => *drivers,
            Self::Traces { traces, drivers } => traces.len().min(*drivers),
        }
    }

    /// Whether the vehicles' timetable is tied to the start of the window.
    pub(crate) fn is_recorded(&self) -> bool {
        matches!(self, Self::Traces { .. })
    }

    /// Gives every vehicle its driver.
    pub(crate) fn drivers(
        self,
        world: &World,
        trips: &[Trip],
        starts_at_ms: i64,
    ) -> Vec<(String, Box<dyn Vehicle>)> {
        let now_ms = world.clock.now_ms();
        match self {
            Self::Streets { network, stands, drivers } => (0..drivers)
                .map(|index| {
                    let driver_id = driver_id(world.market, index);
                    let mut random = world.behaviour.stream("start", &[&driver_id]);
                    let start = trips[random.random_range(0..trips.len())].dropoff;
                    // Phases are spread evenly over the interval.
                    let phase_ms = FIX_INTERVAL_MS * index as i64 / drivers as i64;
                    let network = Arc::clone(&network);
                    let vehicle = StreetVehicle::new(network, start, now_ms + phase_ms, random);
                    let vehicle = vehicle.with_stands(stands.clone());
                    (driver_id, Box::new(vehicle) as Box<dyn Vehicle>)
                })
                .collect(),
            Self::Traces { traces, drivers } => traces
                .into_iter()
                .take(drivers)
                .map(|(cab, fixes)| {
                    let vehicle = TraceVehicle::new(fixes, starts_at_ms);
                    let driver_id = driver_id(world.market, cab as usize);
                    (driver_id, Box::new(vehicle) as Box<dyn Vehicle>)
                })
                .collect(),
        }
    }
}

/// The id of a driver, the same in every run.
pub(crate) fn driver_id(market: &str, index: usize) -> String {
    format!("{market}-cab-{index:05}")
}

/// The profile with which a driver registers.
pub(crate) fn profile(behaviour: &Behaviour, market: &str, driver_id: &str) -> serde_json::Value {
    let vehicle = behaviour.vehicle(driver_id);
    let tiers: &[&str] = if vehicle.xl { &["standard", "xl"] } else { &["standard"] };
    let instant_tiers = if vehicle.instant { tiers } else { &[] };
    serde_json::json!({
        "market": market,
        "service_tiers": tiers,
        "preferences": {"instant_tiers": instant_tiers},
        "vehicle": {"make": vehicle.make, "model": vehicle.model, "plate": vehicle.plate},
        "rating": vehicle.rating,
    })
}

/// Starts every driver's task and waits until they are online; returns how many are.
pub(crate) async fn go_online(
    world: &Arc<World>,
    drivers: Vec<(String, Box<dyn Vehicle>)>,
    tasks: &mut JoinSet<()>,
) -> Result<usize, ReplayError> {
    let asked = drivers.len();
    let (online, mut answers) = mpsc::channel(1_024);
    for (index, (driver_id, vehicle)) in drivers.into_iter().enumerate() {
        let confirm_after_ms = world.clock.city_ms_of(CONFIRM_AFTER_MS);
        let machine = DriverMachine::new(driver_id.clone(), world.behaviour, confirm_after_ms);
        let profile = profile(&world.behaviour, world.market, &driver_id);
        let session =
            DriverSession::new(Arc::clone(world), index, driver_id, profile, vehicle, machine);
        tasks.spawn(session.run(online.clone()));
    }
    drop(online);
    let (mut ready, mut failed, mut first_failure) = (0, 0, None);
    while ready + failed < asked {
        match timeout(ONLINE_TIMEOUT, answers.recv()).await {
            Ok(Some(Ok(()))) => ready += 1,
            Ok(Some(Err(detail))) => {
                failed += 1;
                first_failure.get_or_insert(detail);
            }
            Ok(None) | Err(_) => break,
        }
    }
    if (ready as f64) < asked as f64 * ONLINE_SHARE_MIN {
        let detail = first_failure.unwrap_or_else(|| "no answer in time".to_owned());
        return Err(ReplayError::Fleet { ready, asked, detail });
    }
    Ok(ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_seeded_and_some_vehicles_are_large() {
        let behaviour = Behaviour::new(1);
        let profiles: Vec<_> =
            (0..1_000).map(|index| profile(&behaviour, "nyc", &driver_id("nyc", index))).collect();
        let large = profiles
            .iter()
            .filter(|profile| profile["service_tiers"].as_array().unwrap().len() == 2)
            .count();
        assert!((60..140).contains(&large), "{large} of 1000");
        assert_eq!(profiles[3], profile(&behaviour, "nyc", "nyc-cab-00003"));
        let instant = profiles
            .iter()
            .filter(|profile| profile["preferences"]["instant_tiers"] == profile["service_tiers"])
            .count();
        assert!((200..300).contains(&instant), "{instant} of 1000");
        assert_eq!(profiles[3]["market"], "nyc");
        assert!(profiles[3]["vehicle"]["plate"].is_string());
    }
}
