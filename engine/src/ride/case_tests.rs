//! A ride machine on its own, with what it is told and what it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{Answer, Effect, Outbox, Refusal, ReplyTo};
use crate::forward::ForwardLink;
use crate::geo::{CellResolution, Position};
use crate::grid::{Reading, Standing, TagFilter, TierSet};
use crate::id::{DriverId, MarketId, OfferId, RideId, RiderId, ServiceTierId};
use crate::machine::Machine;
use crate::market::{Boundary, Market, MarketConfig};
use crate::policy::{DispatchPolicy, PolicyBook};
use crate::ride::{
    CancelledBy, Candidate, CandidateQuery, Candidates, ForwardCandidate, ForwardPlaces,
    PriorityGroup, RankedCandidate, RideCommand, RideMachine, RideProgress, RideRequest,
    RideStatus, rank,
};
use crate::time::Timestamp;
use crate::units::{Meters, Money};

pub(super) const START: Timestamp = Timestamp::from_millis(1_000_000);

pub(super) fn at(ms: u64) -> Timestamp {
    START.plus_millis(ms)
}

pub(super) fn driver(name: &str) -> DriverId {
    DriverId::new(name).unwrap()
}

pub(super) fn market() -> Arc<Market> {
    let square = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#;
    let tier = ServiceTierId::new("economy").unwrap();
    let config = MarketConfig {
        id: MarketId::new("m").unwrap(),
        name: "M".to_owned(),
        boundary: Boundary::from_geojson(square).unwrap(),
        tiers: vec![tier.clone()],
        default_tier: tier,
        resolution: CellResolution::new(9).unwrap(),
    };
    Arc::new(Market::new(config).unwrap())
}

pub(super) fn request(pickup_at: Option<Timestamp>) -> RideRequest {
    RideRequest {
        pickup_at,
        entropy: 7,
        ..RideRequest::plain(
            RideId::new("ride").unwrap(),
            RiderId::new("rider").unwrap(),
            MarketId::new("m").unwrap(),
            Position::from_degrees(0.5, 0.5).unwrap(),
            vec![ServiceTierId::new("economy").unwrap()],
            START,
        )
    }
}

/// What a forward offer of these tests follows.
pub(super) fn before() -> ForwardLink {
    let after = RideId::new("before").unwrap();
    ForwardLink { after, dropoff: Position::from_degrees(0.5, 0.501).unwrap() }
}

/// A ride with drivers around it, who are found in order until they were asked.
pub(super) struct Case {
    pub(super) machine: RideMachine,
    pub(super) nearby: Vec<DriverId>,
    /// Drivers on a trip that ends at [`before`], found in order until they were asked.
    pub(super) on_trip: Vec<DriverId>,
    /// Those of them who need not be asked.
    pub(super) opted_in: Vec<DriverId>,
    pub(super) standings: BTreeMap<DriverId, Standing>,
    pub(super) radii: Vec<f64>,
    /// Where any driver is who is looked at.
    pub(super) seen: Option<Reading>,
    pub(super) effects: Vec<Effect>,
}

impl Case {
    pub(super) fn new(policy: DispatchPolicy, nearby: &[&str]) -> Self {
        Self::of(request(None), policy, nearby)
    }

    pub(super) fn of(request: RideRequest, policy: DispatchPolicy, nearby: &[&str]) -> Self {
        let machine = RideMachine::new(request, market(), Arc::new(PolicyBook::of(policy)));
        let nearby = nearby.iter().map(|name| driver(name)).collect();
        Self {
            machine,
            nearby,
            on_trip: Vec::new(),
            opted_in: Vec::new(),
            standings: BTreeMap::new(),
            radii: Vec::new(),
            seen: None,
            effects: Vec::new(),
        }
    }

    /// A ride that searches since the start.
    pub(super) fn searching(policy: DispatchPolicy, nearby: &[&str]) -> Self {
        let mut case = Self::new(policy, nearby);
        case.tell(RideCommand::Request { reply: None }, 0);
        case
    }

    /// A ride that the first driver won at one second.
    pub(super) fn assigned(policy: DispatchPolicy, nearby: &[&str]) -> Self {
        let mut case = Self::searching(policy, nearby);
        case.accept(nearby[0], 1_000);
        assert_eq!(case.status(), RideStatus::Assigned);
        case
    }

    pub(super) fn find(&mut self, query: &CandidateQuery) -> RideCommand {
        self.radii.push(query.radius.get());
        let free = |id: &&DriverId| {
            let passes = !query.instant || self.opted_in.contains(id);
            passes && !query.asked.contains(*id) && !query.blocked.contains(*id)
        };
        let candidate = |id: &DriverId| Candidate {
            driver: id.clone(),
            from: query.pickup,
            distance: Meters::new(100.0),
            tiers: TierSet::EMPTY.with(0),
            instant_tiers: TierSet::EMPTY.with(0),
            tags: TagFilter::default(),
            standing: self.standings.get(id).copied().unwrap_or_default(),
        };
        let pool = self.nearby.iter().filter(free).take(query.ranking.pool_size(query.limit));
        let mut found = rank(pool.map(candidate).collect(), &query.ranking, at(0));
        let passed_over = found.split_off(query.limit.min(found.len()));
        let asked = |places: &&ForwardPlaces| {
            if found.is_empty() { places.alone } else { places.beside_idle }
        };
        let places = query.forward.as_ref().filter(asked).map_or(0, |places| places.limit);
        let forward = |id: &DriverId| ForwardCandidate {
            ranked: RankedCandidate {
                candidate: candidate(id),
                group: PriorityGroup::Other,
                score: None,
            },
            link: before(),
        };
        let forward = self.on_trip.iter().filter(free).take(places).map(forward).collect();
        RideCommand::Candidates(Box::new(Candidates {
            attempt: query.attempt,
            found,
            forward,
            passed_over,
            excluded: Vec::new(),
            excluded_counts: BTreeMap::new(),
            window: None,
            costs_ms: BTreeMap::new(),
        }))
    }

    pub(super) fn settle(&mut self, mut out: Outbox, ms: u64) {
        self.effects.clear();
        while !out.is_empty() {
            for effect in out.drain().collect::<Vec<_>>() {
                if let Effect::FindCandidates(query) = &effect {
                    let command = self.find(query);
                    self.machine.handle(command, at(ms), &mut out);
                } else if let Effect::LocateDriver(driver) = &effect {
                    let (driver, reading) = (driver.clone(), self.seen);
                    let command = RideCommand::DriverLocated { driver, reading };
                    self.machine.handle(command, at(ms), &mut out);
                } else {
                    self.effects.push(effect);
                }
            }
        }
    }

    pub(super) fn tell(&mut self, command: RideCommand, ms: u64) {
        let mut out = Outbox::default();
        self.machine.handle(command, at(ms), &mut out);
        self.settle(out, ms);
    }

    pub(super) fn wake(&mut self, ms: u64) {
        let mut out = Outbox::default();
        self.machine.on_deadline(at(ms), &mut out);
        self.settle(out, ms);
    }

    pub(super) fn status(&self) -> RideStatus {
        self.machine.record().status
    }

    pub(super) fn version(&self) -> u64 {
        self.machine.record().version
    }

    pub(super) fn offer_to(&self, name: &str) -> OfferId {
        let offers = &self.machine.record().offers;
        let found = offers.iter().find(|(_, live)| live.driver.as_str() == name);
        found.map(|(id, _)| id.clone()).unwrap()
    }

    pub(super) fn live(&self) -> Vec<&str> {
        let mut live: Vec<_> =
            self.machine.record().offers.values().map(|live| live.driver.as_str()).collect();
        live.sort_unstable();
        live
    }

    pub(super) fn accept(&mut self, name: &str, ms: u64) -> OfferId {
        let offer = self.offer_to(name);
        self.accept_offer(&offer, name, ms);
        offer
    }

    pub(super) fn accept_offer(&mut self, offer: &OfferId, name: &str, ms: u64) {
        self.quote_offer(offer, name, None, ms);
    }

    /// Accepts for a fare.
    pub(super) fn quote_offer(
        &mut self,
        offer: &OfferId,
        name: &str,
        fare: Option<Money>,
        ms: u64,
    ) {
        let (offer, driver, vehicle) = (offer.clone(), driver(name), Arc::from("{}"));
        self.tell(RideCommand::OfferAccepted { offer, driver, vehicle, fare }, ms);
    }

    pub(super) fn decline(&mut self, name: &str, ms: u64) {
        let offer = self.offer_to(name);
        self.tell(RideCommand::OfferDeclined { offer }, ms);
    }

    pub(super) fn progress(&mut self, name: &str, step: RideProgress, ms: u64) {
        let (driver, reply) = (Some(driver(name)), Some(ReplyTo(1)));
        self.tell(RideCommand::Progress { driver, step, reply }, ms);
    }

    pub(super) fn cancel(&mut self, by: CancelledBy, ms: u64) {
        self.tell(RideCommand::Cancel { by, reason: None, reply: Some(ReplyTo(1)) }, ms);
    }

    pub(super) fn start_step(&self) -> RideProgress {
        RideProgress::Start { otp: self.machine.record().otp.clone() }
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.effects.iter().find_map(|effect| {
            let Effect::Answer(_, Answer::Refused(refusal)) = effect else { return None };
            Some(*refusal)
        })
    }

    pub(super) fn persists(&self) -> usize {
        self.effects.iter().filter(|effect| matches!(effect, Effect::PersistRide(_))).count()
    }

    /// What a driver is told in this turn.
    pub(super) fn told<'a>(&'a self, name: &str) -> Vec<&'a DriverCommand> {
        let to = |effect: &'a Effect| {
            let Effect::ToDriver(to, command) = effect else { return None };
            (to.as_str() == name).then_some(command)
        };
        self.effects.iter().filter_map(to).collect()
    }
}

pub(super) fn policy() -> DispatchPolicy {
    DispatchPolicy { wave_size: 2, retire_after_ms: 5_000, ..DispatchPolicy::default() }
}
