//! One actor per zone with a queue or one-time passwords.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix::prelude::*;
use muster_engine::effect::Effect;
use muster_engine::id::ZoneId;
use muster_engine::ride::CandidateQuery;
use muster_engine::time::Timestamp;
use muster_engine::zone::{QueueMachine, QueueRecord, Zone, ZoneCommand};

use crate::ports::Durable;
use crate::runtime::{MarketRuntime, Runtime};
use crate::shell::{Deliver, Host, MachineActor, Refreshed};

/// The actor of one zone.
pub(crate) type ZoneActor = MachineActor<ZoneHost>;

/// A zone's actor and what others may see of it.
pub(crate) struct ZoneHandle {
    pub(crate) addr: Addr<ZoneActor>,
}

/// What a zone's machine needs besides the generic shell.
pub(crate) struct ZoneHost {
    market: Arc<MarketRuntime>,
    zone: Arc<Zone>,
    durable: Arc<Mutex<QueueRecord>>,
}

impl ZoneHost {
    fn durable(&self) -> QueueRecord {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Host for ZoneHost {
    type Machine = QueueMachine;
    const NAME: &'static str = "zone";

    fn search(&mut self, _: &CandidateQuery, _: &Runtime) -> Option<ZoneCommand> {
        None
    }

    fn perform(&mut self, effect: Effect, _: &Runtime) {
        if let Effect::PublishQueue(zone, order) = effect {
            self.market.grid.publish_queue(&zone, order);
        }
    }

    fn committed(&mut self, item: &Durable, _: &Runtime) {
        if let Durable::Zone(commit) = item {
            *self.durable.lock().unwrap_or_else(PoisonError::into_inner) =
                QueueRecord::clone(&commit.record);
        }
    }

    fn refresh(&self, runtime: Arc<Runtime>) -> Refreshed {
        let (market, zone) = (Arc::clone(&self.market), Arc::clone(&self.zone));
        let durable = Arc::clone(&self.durable);
        Box::pin(async move {
            let read = runtime.store.load_queue(market.market.id(), &zone.id).await?;
            if let Some(record) = read {
                *durable.lock().unwrap_or_else(PoisonError::into_inner) = record;
            }
            Ok(())
        })
    }

    fn rebuild(&mut self, _: Timestamp, _: &Runtime) -> Option<QueueMachine> {
        Some(QueueMachine::restore(self.durable(), Arc::clone(&self.zone)))
    }

    fn resume(&self) -> Option<ZoneCommand> {
        Some(ZoneCommand::Resume)
    }

    fn before_turn(&self, _: &mut QueueMachine) {}

    fn after_turn(&mut self, _: &QueueMachine, _: &Runtime) {}

    fn retire(&mut self, _: &Runtime) {}
}

/// Starts the actors of a market's watched zones, each where `stored` says it was.
pub(crate) fn start_all(
    runtime: &Arc<Runtime>,
    market: &Arc<MarketRuntime>,
    stored: Vec<QueueRecord>,
) {
    let mut stored: BTreeMap<ZoneId, QueueRecord> =
        stored.into_iter().map(|record| (record.zone.clone(), record)).collect();
    let zones = market.market.zones().iter().filter(|zone| zone.is_watched());
    let handles = zones.map(|zone| {
        let empty = || QueueRecord::new(market.market.id().clone(), zone.id.clone());
        let record = stored.remove(&zone.id).unwrap_or_else(empty);
        (zone.id.clone(), start(runtime, market, zone, record))
    });
    let handles: BTreeMap<ZoneId, ZoneHandle> = handles.collect();
    for handle in handles.values() {
        handle.addr.do_send(Deliver::new(ZoneCommand::Resume));
    }
    for zone in stored.keys() {
        tracing::warn!(market_id = %market.market.id(), zone_id = %zone,
            "the queue of a zone that is not configured stays in the store");
    }
    // Set once, here.
    let _already = market.zones.set(handles);
}

fn start(
    runtime: &Arc<Runtime>,
    market: &Arc<MarketRuntime>,
    zone: &Arc<Zone>,
    record: QueueRecord,
) -> ZoneHandle {
    let machine = QueueMachine::restore(record.clone(), Arc::clone(zone));
    let (market, durable) = (Arc::clone(market), Arc::new(Mutex::new(record)));
    let host = ZoneHost { market, zone: Arc::clone(zone), durable };
    let arbiter = runtime.arbiter_of(zone.id.as_str());
    let addr = ZoneActor::begin(arbiter, machine, host, runtime);
    ZoneHandle { addr }
}
