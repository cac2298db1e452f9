//! Recording: a [`Store`] that tells the recorded log what was made durable, and nothing else of it
//! changes. So the log holds nothing that did not hold, and nothing waits for it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use muster_actors::{Clock, Durable, PortFuture, PositionSnapshot, Recovered, Store, StoreError};
use muster_engine::driver::DriverRecord;
use muster_engine::id::{DriverId, MarketId, RideId, ZoneId};
use muster_engine::market::{Market, Markets};
use muster_engine::policy::{PolicyBook, PolicyPatch};
use muster_engine::ride::RideRecord;
use muster_engine::time::Timestamp;
use muster_engine::zone::QueueRecord;
use muster_record::{Input, MarketLine, Recorder, RecorderConfig};

use crate::policy::{BookDocument, PolicyChange, PolicyLog};

/// What is recorded, and where.
pub struct Recording {
    /// The folder; made if absent.
    pub folder: PathBuf,
    /// Bytes that its files may take together.
    pub bytes_max: u64,
    /// Which build records.
    pub build: String,
    /// Engine seconds per real second, as the engine's clock.
    pub clock_speed: f64,
    /// Is told how many inputs were dropped, whenever some were.
    pub on_dropped: Box<dyn Fn(u64) + Send + Sync>,
    /// The markets with the policies they start with.
    pub markets: Vec<MarketLine>,
}

impl Recording {
    /// How the log tells of markets and the policies in force in them.
    #[must_use]
    pub fn markets_of<'m>(
        markets: &Markets,
        book: impl Fn(&MarketId) -> Option<&'m Arc<PolicyBook>>,
    ) -> Vec<MarketLine> {
        let line = |market: &Arc<Market>| {
            let book = book(market.id())?;
            Some(MarketLine {
                at: Timestamp::default(),
                market: market.id().clone(),
                service_tiers: market.tiers().to_vec(),
                default_tier: market.tiers().get(usize::from(market.default_tier()))?.clone(),
                grid_resolution: market.resolution().number(),
                policy_version: book.version(),
                policy: policy_of(&BookDocument::of(book).policy),
                varied: !book.rules().is_empty() || book.experiment().is_some(),
            })
        };
        markets.iter().filter_map(line).collect()
    }
}

fn policy_of(patch: &PolicyPatch) -> serde_json::Value {
    serde_json::to_value(patch).unwrap_or_default()
}

/// A store whose commits, position snapshots and policy changes are recorded.
pub struct RecordedStore<S: ?Sized> {
    inner: Arc<S>,
    markets: Vec<MarketLine>,
    recorder: Recorder,
    /// The engine's clock, which begins when the store has been recovered.
    clock: OnceLock<Clock>,
    clock_speed: f64,
}

impl<S: Store + PolicyLog + ?Sized> RecordedStore<S> {
    /// Begins the log's first file.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn open(inner: Arc<S>, recording: Recording) -> std::io::Result<Self> {
        let Recording { folder, bytes_max, build, clock_speed, on_dropped, markets } = recording;
        let now = Clock::start(clock_speed, Timestamp::default()).now();
        let config = RecorderConfig { folder, bytes_max, build, clock_speed, on_dropped };
        let recorder = Recorder::start(config, now)?;
        Ok(Self { inner, markets, recorder, clock: OnceLock::new(), clock_speed })
    }

    /// Writes what is left and closes the file. Waits for the disk.
    pub fn finish(&self) {
        self.recorder.finish();
    }

    fn now(&self) -> Timestamp {
        self.clock.get().map_or_else(Timestamp::default, Clock::now)
    }

    fn record(&self, durable: &Durable) {
        match durable {
            Durable::Ride(commit) => {
                let record = Arc::clone(&commit.record);
                self.recorder.tell(Input::Ride(commit.at, commit.kind, record));
            }
            Durable::Driver(record) => self.record_driver(record),
            // Places in queues follow from fixes.
            Durable::Zone(_) => {}
        }
    }

    fn record_driver(&self, record: &DriverRecord) {
        self.recorder.tell(Input::Driver(self.now(), Box::new(record.clone())));
    }

    fn record_positions(&self, positions: &[PositionSnapshot]) {
        for PositionSnapshot { driver, position, received_at, .. } in positions {
            self.recorder.tell(Input::Fix(*received_at, driver.clone(), *position));
        }
    }

    /// What the city is like when the recording begins.
    fn record_start(&self, recovered: &Recovered) {
        let clock = self.clock.get_or_init(|| Clock::start(self.clock_speed, recovered.newest_at));
        for market in &self.markets {
            let line = MarketLine { at: clock.now(), ..market.clone() };
            self.recorder.tell(Input::Market(Box::new(line)));
        }
        recovered.drivers.iter().for_each(|record| self.record_driver(record));
        self.record_positions(&recovered.positions);
        for record in &recovered.open_rides {
            self.recorder.tell(Input::OpenRide(Arc::new(record.clone())));
        }
    }

    fn record_policy(&self, change: &PolicyChange) {
        let market = self.markets.iter().find(|line| line.market == change.market);
        let Some(market) = market else { return };
        self.recorder.tell(Input::Market(Box::new(MarketLine {
            at: change.at,
            policy_version: change.version,
            policy: policy_of(&change.after.policy),
            varied: !change.after.rules.is_empty() || change.after.experiment.is_some(),
            ..market.clone()
        })));
    }
}

impl<S: Store + PolicyLog + ?Sized> Store for RecordedStore<S> {
    fn commit<'a>(&'a self, batch: &'a [Durable]) -> PortFuture<'a, Vec<Result<(), StoreError>>> {
        Box::pin(async move {
            let verdicts = self.inner.commit(batch).await;
            let kept = batch.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok());
            kept.for_each(|(durable, _)| self.record(durable));
            verdicts
        })
    }

    fn begin_epoch(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        self.inner.begin_epoch()
    }

    fn recover(&self) -> PortFuture<'_, Result<Recovered, StoreError>> {
        Box::pin(async move {
            let recovered = self.inner.recover().await?;
            self.record_start(&recovered);
            Ok(recovered)
        })
    }

    fn load_ride<'a>(
        &'a self,
        ride: &'a RideId,
    ) -> PortFuture<'a, Result<Option<RideRecord>, StoreError>> {
        self.inner.load_ride(ride)
    }

    fn load_driver<'a>(
        &'a self,
        driver: &'a DriverId,
    ) -> PortFuture<'a, Result<Option<DriverRecord>, StoreError>> {
        self.inner.load_driver(driver)
    }

    fn load_queue<'a>(
        &'a self,
        market: &'a MarketId,
        zone: &'a ZoneId,
    ) -> PortFuture<'a, Result<Option<QueueRecord>, StoreError>> {
        self.inner.load_queue(market, zone)
    }

    fn save_positions<'a>(
        &'a self,
        positions: &'a [PositionSnapshot],
    ) -> PortFuture<'a, Result<(), StoreError>> {
        self.record_positions(positions);
        self.inner.save_positions(positions)
    }
}

impl<S: Store + PolicyLog + ?Sized> PolicyLog for RecordedStore<S> {
    fn append_policy<'a>(
        &'a self,
        change: &'a PolicyChange,
    ) -> PortFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.inner.append_policy(change).await?;
            self.record_policy(change);
            Ok(())
        })
    }

    fn policy_changes<'a>(
        &'a self,
        market: &'a MarketId,
        limit: u32,
    ) -> PortFuture<'a, Result<Vec<PolicyChange>, StoreError>> {
        self.inner.policy_changes(market, limit)
    }
}
