//! A replay from start to end: server, clock, fleet, requests, wind-down, summary.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::behaviour::Behaviour;
use crate::clock::CityClock;
use crate::compare::ComparedMode;
use crate::driver::socket::{self, Target};
use crate::error::ReplayError;
use crate::fleet::{self, Fleet};
use crate::http::{self, Api, Version};
use crate::line::StandLine;
use crate::measure::{End, Recorder, count};
use crate::options::{City, ReplayOptions};
use crate::progress::Progress;
use crate::rider::Rider;
use crate::roads::RoadNetwork;
use crate::server::OwnServer;
use crate::sf::{self, Window};
use crate::stands::{self, Stands};
use crate::summary::{Percentiles, ReplaySummary};
use crate::trips::{self, Trip};
use crate::wire::{Received, ServerFrame};
use crate::world::{Codes, World};

/// City time between the fleet's last arrival and the first request: one more fix from everyone.
const SETTLE_MS: i64 = 8_000;
/// Real time that a recorded fleet gets to come online, and more for each driver.
const ONLINE_ALLOWANCE_MS: i64 = 4_000;
const ONLINE_ALLOWANCE_PER_DRIVER_MS: i64 = 4;
/// Real time between two looks at the progress.
const TICK: Duration = Duration::from_millis(250);
/// Real time for all drivers to say goodbye.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(30);
/// Accepts may seem late by this much city time because the clocks differ, and by the latency.
const ACCEPT_TOLERANCE_MS: i64 = 1_000;
const ACCEPT_TOLERANCE_REAL_MS: f64 = 25.0;
/// Speeds closer than this are the same.
const SPEED_TOLERANCE: f64 = 1e-6;

/// Replays a city hour as `options` say.
///
/// Without a server's address in the options, this program is started once more as a private
/// server (`serve`) and asked to drain at the end.
///
/// # Errors
/// [`ReplayError`] when the options or data are unusable, the server cannot be used, or too few
/// drivers come online. Faults *during* the replay are figures of the summary.
pub async fn run(options: ReplayOptions) -> Result<ReplaySummary, ReplayError> {
    options.check()?;
    run_in(&options, &Setting::default()).await
}

/// What a run of a comparison has that a plain replay has not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    /// The market's zones, where drivers wait in line.
    pub(crate) stands: Option<Arc<Stands>>,
    /// What is put in force before anyone is online.
    pub(crate) mode: Option<ComparedMode>,
}

/// Replays in a setting; the options have been checked.
pub(crate) async fn run_in(
    options: &ReplayOptions,
    setting: &Setting,
) -> Result<ReplaySummary, ReplayError> {
    raise_file_limit();
    let city = load(options, setting).await?;
    match &options.url {
        Some(url) => replay(options, setting, url, city).await,
        None => {
            let zones =
                setting.stands.is_some().then(|| (options.city.market(), stands::MANHATTAN));
            let config = options.server_config.as_deref();
            let server = OwnServer::start(options.speed(), config, zones).await?;
            let url = server.url.clone();
            let replayed = replay(options, setting, &url, city).await;
            let stopped = server.stop().await;
            let mut summary = replayed?;
            // A replay stopped by hand has its interrupt seen by the server too.
            if !summary.interrupted {
                summary.server_fault = stopped.err().map(|error| error.to_string());
            }
            Ok(summary)
        }
    }
}

/// A city's people before there is a server.
struct Loaded {
    fleet: Fleet,
    trips: Vec<Trip>,
}

async fn load(options: &ReplayOptions, setting: &Setting) -> Result<Loaded, ReplayError> {
    let (options, stands) = (options.clone(), setting.stands.clone());
    let load = move || match options.city {
        City::Manhattan => {
            let network = Arc::new(RoadNetwork::manhattan()?);
            let mut trips = trips::manhattan(options.seed)?;
            if let Some(minutes) = options.minutes() {
                trips.retain(|trip| trip.after_ms < i64::from(minutes) * 60_000);
            }
            trips::keep_share(&mut trips, options.trip_share(), options.seed);
            let drivers = options.drivers();
            Ok(Loaded { fleet: Fleet::Streets { network, stands, drivers }, trips })
        }
        City::SanFrancisco => {
            let window = Window::new(&options);
            let (traces, mut trips) = sf::load(options.data.as_deref(), &window)?;
            trips::keep_share(&mut trips, options.trip_share(), options.seed);
            Ok(Loaded { fleet: Fleet::Traces { traces, drivers: options.drivers() }, trips })
        }
    };
    tokio::task::spawn_blocking(load).await.map_err(|error| ReplayError::data("the city", error))?
}

async fn replay(
    options: &ReplayOptions,
    setting: &Setting,
    url: &str,
    city: Loaded,
) -> Result<ReplaySummary, ReplayError> {
    let Loaded { fleet, trips } = city;
    let api = Api::new(url)?;
    let version = check_speed(&api, url, options.speed()).await?;
    let market = options.city.market();
    if let Some(mode) = setting.mode {
        let stands = setting.stands.as_deref();
        let put = mode.put_in_force(&api, market, stands).await;
        put.map_err(|code| server_error(url, format!("mode {}: {code}", mode.name())))?;
    }
    let behaviour = Behaviour::new(options.seed);
    let clock = calibrate(&api, url, &behaviour, options).await?;
    let (stop, stopped) = watch::channel(false);
    let tolerance_ms = ACCEPT_TOLERANCE_MS + (ACCEPT_TOLERANCE_REAL_MS * options.speed()) as i64;
    let run_id = format!("replay-{:x}-{}", clock.now_ms(), options.seed);
    let world = Arc::new(World {
        api,
        clock,
        behaviour,
        recorder: Recorder::new(run_id, trips.len(), tolerance_ms),
        market,
        binary: options.binary,
        follow_trips: options.follow_trips,
        codes: Codes::default(),
        stands: setting.stands.clone(),
        line: StandLine::default(),
        stop: stopped,
        connecting: World::connecting_permits(),
    });
    let last_ms = trips.last().map_or(0, |trip| trip.after_ms);
    let mut progress = Progress::new(last_ms, options.quiet);
    progress.phase(&format!("bringing {} drivers online", fleet.len()));
    let recorded = fleet.is_recorded();
    let allowance_ms = ONLINE_ALLOWANCE_MS + ONLINE_ALLOWANCE_PER_DRIVER_MS * fleet.len() as i64;
    let mut starts_at_ms = clock.now_ms() + clock.city_ms_of(allowance_ms);
    let drivers = fleet.drivers(&world, &trips, starts_at_ms);
    let mut sessions = JoinSet::new();
    let online = fleet::go_online(&world, drivers, &mut sessions).await?;
    if !recorded {
        starts_at_ms = clock.now_ms() + SETTLE_MS;
    }
    let ended_before = offers_ended(&world.api).await;
    let hour = Hour { world: &world, starts_at_ms, options };
    let measured = hour.pass(&trips, &mut progress).await;
    progress.phase("closing");
    let mut summary = summarize(options, &world, &measured, online, &version);
    summary.offers_ended = ended_since(ended_before, offers_ended(&world.api).await);
    let _ = stop.send(true);
    let all_home = async { while sessions.join_next().await.is_some() {} };
    if timeout(GOODBYE_TIMEOUT, all_home).await.is_err() {
        sessions.abort_all();
    }
    summary.server_invariant_violations = server_violations(&world.api).await;
    progress.finish();
    Ok(summary)
}

/// The hour itself.
struct Hour<'a> {
    world: &'a Arc<World>,
    starts_at_ms: i64,
    options: &'a ReplayOptions,
}

/// What the hour's course tells apart from the recorder.
struct Measured {
    interrupted: bool,
    city_minutes: f64,
    real_s: f64,
    fixes_per_s: f64,
}

impl Hour<'_> {
    /// Requests every trip at its time, then waits for the open rides.
    async fn pass(&self, trips: &[Trip], progress: &mut Progress) -> Measured {
        let clock = self.world.clock;
        sleep_until(clock.instant_of(self.starts_at_ms)).await;
        let (began, fixes_before) = (Instant::now(), self.world.recorder.fixes());
        let mut riders = JoinSet::new();
        let mut interrupted = false;
        let mut fixes_per_s = 0.0;
        let course = async {
            self.request(trips, &mut riders, progress).await;
            let seconds = began.elapsed().as_secs_f64().max(0.001);
            fixes_per_s = (self.world.recorder.fixes() - fixes_before) as f64 / seconds;
            self.wind_down(progress).await;
        };
        tokio::select! {
            () = course => {}
            _ = tokio::signal::ctrl_c() => interrupted = true,
        }
        riders.abort_all();
        Measured {
            interrupted,
            city_minutes: (clock.now_ms() - self.starts_at_ms) as f64 / 60_000.0,
            real_s: began.elapsed().as_secs_f64(),
            fixes_per_s,
        }
    }

    async fn request(&self, trips: &[Trip], riders: &mut JoinSet<()>, progress: &mut Progress) {
        let clock = self.world.clock;
        for (index, &trip) in trips.iter().enumerate() {
            let due_ms = self.starts_at_ms + trip.after_ms;
            let due = clock.instant_of(due_ms);
            while Instant::now() + TICK < due {
                sleep(TICK).await;
                progress.show(self.world, clock.now_ms() - self.starts_at_ms);
            }
            sleep_until(due).await;
            if index % 64 == 0 {
                progress.show(self.world, trip.after_ms);
                while riders.try_join_next().is_some() {}
            }
            let world = Arc::clone(self.world);
            riders.spawn(Rider { world, index, trip, due_ms }.run());
        }
    }

    async fn wind_down(&self, progress: &mut Progress) {
        let clock = self.world.clock;
        let minutes = i64::from(self.options.wind_down_minutes());
        let ends_at_ms = clock.now_ms() + minutes * 60_000;
        while clock.now_ms() < ends_at_ms
            && self.world.recorder.ledger(|ledger| ledger.live.open()) > 0
        {
            sleep(TICK).await;
            progress.show(self.world, clock.now_ms() - self.starts_at_ms);
        }
    }
}

async fn check_speed(api: &Api, url: &str, asked: f64) -> Result<Version, ReplayError> {
    let version = api.version().await.map_err(|detail| server_error(url, detail))?;
    let server = version.clock_speed.unwrap_or(1.0);
    if (server - asked).abs() > SPEED_TOLERANCE {
        return Err(ReplayError::SpeedMismatch { server, asked });
    }
    Ok(version)
}

/// Learns the server's time from the welcome of a driver's socket.
async fn calibrate(
    api: &Api,
    url: &str,
    behaviour: &Behaviour,
    options: &ReplayOptions,
) -> Result<CityClock, ReplayError> {
    use futures_util::StreamExt;
    let failed = |detail: String| server_error(url, detail);
    let market = options.city.market();
    let driver_id = format!("{market}-clock");
    let profile = fleet::profile(behaviour, market, &driver_id);
    api.put_driver(&driver_id, &profile).await.map_err(failed)?;
    let mut socket = socket::open(&Target {
        authority: &api.authority(),
        driver_id: &driver_id,
        driver_index: 0,
        binary: false,
        last_seq: None,
    })
    .await
    .map_err(failed)?;
    let welcome = async {
        while let Some(Ok(message)) = socket.next().await {
            let at = Instant::now();
            let frame = message.to_text().ok().and_then(Received::parse).map(|one| one.frame);
            if let Some(ServerFrame::Welcome { server_time_ms: Some(city_ms), .. }) = frame {
                return Some(CityClock::new(at, city_ms, options.speed()));
            }
        }
        None
    };
    let clock = timeout(Duration::from_secs(20), welcome).await.ok().flatten();
    // The clock's driver never goes online; that its socket closes well matters to nobody.
    let _ = socket.close(None).await;
    clock.ok_or_else(|| failed("a driver's socket got no welcome with a server_time".to_owned()))
}

fn server_error(url: &str, detail: String) -> ReplayError {
    ReplayError::Server { url: url.to_owned(), detail }
}

/// Thousands of sockets need thousands of file descriptors.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where the limit may not be raised, connections fail and the summary says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn server_violations(api: &Api) -> Option<u64> {
    let text = api.metrics().await.ok()?;
    http::sum_of_counter(&text, "muster_invariant_violations_total").map(|sum| sum as u64)
}

async fn offers_ended(api: &Api) -> Option<BTreeMap<String, u64>> {
    let text = api.metrics().await.ok()?;
    Some(http::counter_by_label(&text, "muster_offers_ended_total", "outcome"))
}

/// What was counted since `before`.
fn ended_since(
    before: Option<BTreeMap<String, u64>>,
    now: Option<BTreeMap<String, u64>>,
) -> Option<BTreeMap<String, u64>> {
    let (before, now) = (before?, now?);
    let since = |(how, count): (String, u64)| {
        let earlier = before.get(&how).copied().unwrap_or(0);
        (how, count.saturating_sub(earlier))
    };
    Some(now.into_iter().map(since).collect())
}

fn summarize(
    options: &ReplayOptions,
    world: &World,
    measured: &Measured,
    online: usize,
    version: &Version,
) -> ReplaySummary {
    let recorder = &world.recorder;
    let revision = version.revision.as_deref().map(|text| format!(" ({text})"));
    let mut summary = ReplaySummary {
        city: options.city.title().to_owned(),
        server: format!("{}{}", version.version, revision.unwrap_or_default()),
        drivers: online as u64,
        speed: options.speed(),
        seed: options.seed,
        interrupted: measured.interrupted,
        city_minutes: measured.city_minutes,
        real_s: measured.real_s,
        fixes_sent: recorder.fixes(),
        fixes_per_s: measured.fixes_per_s,
        reconnects: recorder.reconnects.load(Ordering::Relaxed),
        fix_deadlines_missed: recorder.fixes_missed.load(Ordering::Relaxed),
        request_deadlines_missed: recorder.requests_missed.load(Ordering::Relaxed),
        ..ReplaySummary::default()
    };
    recorder.ledger(|ledger| {
        summary.requested = ledger.live.requested;
        summary.assigned = ledger.live.assigned;
        summary.boarded = ledger.boarded();
        summary.completed = ledger.live.completed;
        summary.reallocations = ledger.reallocations;
        for end in ledger.ends() {
            match end {
                None => summary.open_at_end += 1,
                Some(End::Completed) => {}
                Some(End::Unfulfilled { reason }) => count(&mut summary.unfulfilled, reason),
                Some(End::Cancelled { by, reason }) => {
                    count(&mut summary.cancelled, &format!("{by}: {reason}"));
                }
                Some(End::Refused { code }) => count(&mut summary.refused, code),
            }
        }
        summary.time_to_first_offer_ms = Percentiles::of(&ledger.first_offer_us, 1_000.0);
        summary.request_ms = Percentiles::of(&ledger.post_us, 1_000.0);
        summary.time_to_assign_s = Percentiles::of(&ledger.assign_ms, 1_000.0);
        summary.pickup_s = Percentiles::of(&ledger.pickup_ms, 1_000.0);
        summary.pickup_m = Percentiles::of(&ledger.pickup_m, 1.0);
        summary.offers_per_ride = Percentiles::of(&ledger.offers_per_ride(), 1.0);
        summary.offers = ledger.offers;
        summary.foreign_offers = ledger.foreign_offers;
        summary.accepts = ledger.accepts;
        summary.unanswered = ledger.unanswered;
        summary.accept_results.clone_from(&ledger.accept_results);
        summary.choices.clone_from(&ledger.choices);
        summary.declines.clone_from(&ledger.declines);
        summary.fixes_rejected.clone_from(&ledger.fixes_rejected);
        summary.errors.clone_from(&ledger.errors);
    });
    recorder.checks(|checks| {
        checks.settle();
        let named = |(kind, count): (&&str, &u64)| ((*kind).to_owned(), *count);
        summary.wire_violations = checks.violations().iter().map(named).collect::<BTreeMap<_, _>>();
        summary.wire_violation_examples = checks.examples().to_vec();
    });
    summary
}
