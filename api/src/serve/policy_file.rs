//! The configuration file while the server runs: other policies in it need no restart.

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use muster_actors::Dispatch;

use crate::config::{Config, MarketSection, TravelTimeSection};
use crate::policy::PolicyDesk;
use crate::serve::shadows::{self, ShadowSettings};

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What tells a changed file from the one that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stamp(Option<(std::time::SystemTime, u64)>);

impl Stamp {
    /// The stamp of the file as it is; to be taken before it is read, so that a change meanwhile
    /// shows.
    pub(super) fn of(path: &Path) -> Self {
        let stamp = |file: Metadata| Some((file.modified().ok()?, file.len()));
        Self(std::fs::metadata(path).ok().and_then(stamp))
    }
}

/// The file that the server was started with.
pub(super) struct PolicyFile {
    path: PathBuf,
    read: Stamp,
    started_with: Config,
    desk: Arc<PolicyDesk>,
    settings: ShadowSettings,
    dispatch: Dispatch,
}

impl PolicyFile {
    pub(super) const fn new(
        path: PathBuf,
        read: Stamp,
        started_with: Config,
        desk: Arc<PolicyDesk>,
        settings: ShadowSettings,
        dispatch: Dispatch,
    ) -> Self {
        Self { path, read, started_with, desk, settings, dispatch }
    }

    /// Looks at the file until the process ends.
    pub(super) fn watch(mut self) {
        actix_web::rt::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                self.look().await;
            }
        });
    }

    async fn look(&mut self) {
        let stamp = Stamp::of(&self.path);
        if stamp == self.read {
            return;
        }
        let (path, settings) = (self.path.clone(), self.settings.clone());
        let loaded = tokio::task::spawn_blocking(move || {
            let mut config = Config::load(Some(&path))?;
            let policies = config.dispatch()?.policies;
            let shadows = settings.of(&mut config, &policies)?;
            Ok::<_, crate::config::ConfigError>((config, policies, shadows))
        });
        let file = self.path.display();
        match loaded.await {
            Ok(Ok((config, policies, shadows))) => match self.desk.reconfigure(&policies).await {
                Ok(markets) => {
                    shadows::put_in_force(&self.dispatch, &shadows);
                    let restart = needs_restart(&self.started_with, &config);
                    if !restart.is_empty() {
                        tracing::warn!(%file, sections = restart.join(", "),
                            "changed sections take effect with the next start");
                    }
                    tracing::info!(%file, markets, "the configuration was read again");
                }
                Err(error) => {
                    // The stamp stays: the next look tries again.
                    tracing::warn!(%file, %error, "changed policies could not be made durable");
                    return;
                }
            },
            Ok(Err(error)) => {
                tracing::error!(%file, %error, "the changed file is refused, policies stay");
            }
            Err(error) => tracing::error!(%file, %error, "the changed file could not be read"),
        }
        self.read = stamp;
    }
}

/// Sections besides the policies in which `now` differs from `then`.
fn needs_restart(then: &Config, now: &Config) -> Vec<String> {
    let sections = [
        ("server", then.server == now.server),
        ("engine", then.engine == now.engine),
        ("clock", then.clock == now.clock),
        ("store", then.store == now.store),
        ("positions", then.positions == now.positions),
        ("log", then.log == now.log),
    ];
    let changed = sections.into_iter().filter(|(_, same)| !same);
    let mut changed: Vec<String> = changed.map(|(name, _)| name.to_owned()).collect();
    let ids: BTreeSet<&String> = then.markets.keys().chain(now.markets.keys()).collect();
    let differs = |id: &&String| match (then.markets.get(*id), now.markets.get(*id)) {
        (Some(then), Some(now)) => without_policies(then) != without_policies(now),
        (None, _) | (_, None) => true,
    };
    changed.extend(ids.into_iter().filter(differs).map(|id| format!("markets.{id}")));
    changed
}

type FixedParts<'s> =
    (&'s str, [Option<&'s str>; 4], Option<&'s TravelTimeSection>, &'s [String], &'s str, u8);

fn without_policies(section: &MarketSection) -> FixedParts<'_> {
    let MarketSection {
        name,
        boundary,
        zones,
        roads,
        travel_time,
        values,
        service_tiers,
        default_tier,
        grid_resolution,
        utc_offset_min: _,
        policy: _,
        rules: _,
        experiment: _,
        shadow: _,
    } = section;
    let places = [Some(boundary.as_str()), zones.as_deref(), roads.as_deref(), values.as_deref()];
    (name, places, travel_time.as_ref(), service_tiers, default_tier, *grid_resolution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_policy_needs_a_restart() {
        let then = Config::load(None).unwrap();
        let mut now = then.clone();
        now.policy.wave_size = 9;
        let nyc = now.markets.get_mut("nyc").unwrap();
        (nyc.policy.wave_size, nyc.utc_offset_min) = (Some(7), -300);
        assert_eq!(needs_restart(&then, &now), Vec::<String>::new());
        now.clock.speed = 2.0;
        now.markets.get_mut("sf").unwrap().grid_resolution = 8;
        now.markets.remove("nyc");
        assert_eq!(needs_restart(&then, &now), ["clock", "markets.nyc", "markets.sf"]);
    }
}
