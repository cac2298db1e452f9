//! A driver machine on its own, with what it is told and what it asks for.

use std::sync::Arc;

use crate::driver::{
    Departure, DriverCommand, DriverMachine, DriverProfile, DriverRecord, DriverStats, PhoneFrame,
    RidePreferences, RiderBlocks, VehicleCapacity,
};
use crate::effect::{AcceptAnswer, Answer, Asker, Effect, Outbox, ReplyTo, SessionId};
use crate::geo::{CellResolution, Position};
use crate::grid::{DriverSlot, Fix, FixLimits, Supply};
use crate::id::{DriverId, MarketId, OfferId, RideId, RiderId, ServiceTierId};
use crate::machine::Machine;
use crate::market::{Boundary, Market, MarketConfig};
use crate::offer::{Exclusion, Offer, OfferKind, OfferTerms};
use crate::policy::{DispatchPolicy, PolicyBook};
use crate::ride::{
    AssignedDriver, Assignment, RideCommand, RideMachine, RideNeeds, RideRecord, RideRequest,
    RideStatus,
};
use crate::time::Timestamp;
use crate::travel::EtaSource;
use crate::units::{EtaSeconds, Meters, Money};

pub(super) const START: Timestamp = Timestamp::from_millis(1_000_000);

/// Offers of these tests live so long.
pub(super) const TTL_MS: u64 = 10_000;

pub(super) fn at(ms: u64) -> Timestamp {
    START.plus_millis(ms)
}

pub(super) fn tier() -> ServiceTierId {
    ServiceTierId::new("economy").unwrap()
}

pub(super) fn place() -> Position {
    Position::from_degrees(0.5, 0.5).unwrap()
}

pub(super) fn offer_id(name: &str) -> OfferId {
    OfferId::new(&format!("offer-{name}")).unwrap()
}

pub(super) fn market() -> Arc<Market> {
    let square = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#;
    let config = MarketConfig {
        id: MarketId::new("m").unwrap(),
        name: "M".to_owned(),
        boundary: Boundary::from_geojson(square).unwrap(),
        tiers: vec![tier()],
        default_tier: tier(),
        resolution: CellResolution::new(9).unwrap(),
    };
    Arc::new(Market::new(config).unwrap())
}

pub(super) fn profile() -> DriverProfile {
    DriverProfile {
        market: MarketId::new("m").unwrap(),
        service_tiers: vec![tier()],
        vehicle: Arc::from("{}"),
        tags: Vec::new(),
        rating: None,
        blocked_until: None,
        preferences: RidePreferences::default().into(),
        capacity: VehicleCapacity::default(),
        wallet: None,
        departure: Departure::None,
        scheduled_pickup_at: None,
        home: None,
    }
}

/// The offer of ride `name`, made at the start.
pub(super) fn offer(name: &str) -> Offer {
    Offer {
        id: offer_id(name),
        ride: RideId::new(name).unwrap(),
        driver: DriverId::new("d").unwrap(),
        distance: Meters::new(100.0),
        pickup_eta: EtaSeconds::new(30),
        eta_source: EtaSource::GreatCircle,
        service_tier: tier(),
        offered_at: START,
        visible_at: START,
        expires_at: at(TTL_MS),
        forward: None,
        kind: OfferKind::Ride,
        quoted: None,
        standby: false,
        terms: Arc::new(OfferTerms {
            pickup: place(),
            dropoff: None,
            fare: None,
            tip: None,
            needs: Arc::new(RideNeeds::of(&request(name), &Arc::default())),
        }),
    }
}

/// What the rider of ride `name` asked for.
pub(super) fn request(name: &str) -> Arc<RideRequest> {
    Arc::new(RideRequest {
        entropy: 7,
        ..RideRequest::plain(
            RideId::new(name).unwrap(),
            RiderId::new("rider").unwrap(),
            MarketId::new("m").unwrap(),
            place(),
            vec![tier()],
            START,
        )
    })
}

/// Ride `name` as it stands after driver `d` was assigned at `assigned_ms`.
pub(super) fn ride(name: &str, status: RideStatus, assigned_ms: u64) -> Arc<RideRecord> {
    let policy = DispatchPolicy::default();
    let request = RideRequest::clone(&request(name));
    let machine = RideMachine::new(request, market(), Arc::new(PolicyBook::of(policy)));
    let mut record = machine.record().clone();
    record.status = status;
    let driver = DriverId::new("d").unwrap();
    record.assignment = Some(Assignment {
        offer: offer_id(name),
        driver: AssignedDriver { id: driver, service_tier: tier(), vehicle: Arc::from("{}") },
        distance: Meters::new(100.0),
        pickup_eta: EtaSeconds::new(30),
        eta_source: EtaSource::GreatCircle,
        assigned_at: at(assigned_ms),
        nudged_at: None,
        forward: None,
        fare: None,
    });
    Arc::new(record)
}

pub(super) struct Case {
    pub(super) machine: DriverMachine,
    pub(super) effects: Vec<Effect>,
}

impl Case {
    /// A driver who is online, connected and heard at the start.
    pub(super) fn available() -> Self {
        Self::with(DispatchPolicy {
            stale_after_ms: 3_600_000,
            lost_after_ms: 3_600_000,
            ..DispatchPolicy::default()
        })
    }

    pub(super) fn with(policy: DispatchPolicy) -> Self {
        let driver = DriverId::new("d").unwrap();
        let (slot, market) = (Arc::new(DriverSlot::new(driver.clone())), market());
        let position = place();
        let fix = Fix { position, at: START, accuracy_m: None, speed_mps: None, bearing_deg: None };
        slot.apply(&fix, START, &FixLimits::default(), &market).unwrap();
        let record = DriverRecord {
            driver,
            profile: profile(),
            online: true,
            rider_blocks: RiderBlocks::default(),
            stats: DriverStats::default(),
        };
        let machine = DriverMachine::new(record, slot, market, Arc::new(policy), START);
        let mut case = Self { machine, effects: Vec::new() };
        case.connect(1, None, 0);
        case
    }

    /// The same driver, of whom nothing is known but his record.
    pub(super) fn rebuilt(&self, ms: u64) -> Self {
        let (record, old) = (self.machine.record().clone(), &self.machine);
        let (slot, market) = (Arc::clone(&old.slot), Arc::clone(&old.market));
        let machine = DriverMachine::new(record, slot, market, Arc::clone(&old.policy), at(ms));
        Self { machine, effects: Vec::new() }
    }

    pub(super) fn tell(&mut self, command: DriverCommand, ms: u64) {
        let mut out = Outbox::default();
        self.machine.handle(command, at(ms), &mut out);
        self.effects = out.drain().collect();
        assert_eq!(self.machine.check(), Ok(()));
    }

    pub(super) fn wake(&mut self, ms: u64) {
        let mut out = Outbox::default();
        self.machine.on_deadline(at(ms), &mut out);
        self.effects = out.drain().collect();
    }

    pub(super) fn offered(&mut self, name: &str, ms: u64) {
        self.tell(DriverCommand::Offer { offer: Box::new(offer(name)), redelivered: false }, ms);
    }

    pub(super) fn accept(&mut self, name: &str, reply: u64, ms: u64) {
        self.accept_for(name, None, reply, ms);
    }

    pub(super) fn accept_for(&mut self, name: &str, fare: Option<Money>, reply: u64, ms: u64) {
        let (offer, asker) = (offer_id(name), Some(Asker::Caller(ReplyTo(reply))));
        self.tell(DriverCommand::Accept { offer, fare, asker }, ms);
    }

    pub(super) fn decline(&mut self, name: &str, ms: u64) {
        let (offer, reply) = (offer_id(name), Some(ReplyTo(1)));
        self.tell(DriverCommand::Decline { offer, reason: None, reply }, ms);
    }

    pub(super) fn answered(&mut self, name: &str, answer: AcceptAnswer, ms: u64) {
        self.tell(DriverCommand::AcceptAnswered { offer: offer_id(name), answer }, ms);
    }

    pub(super) fn wins(&mut self, name: &str, ms: u64) {
        let won = AcceptAnswer::Won(ride(name, RideStatus::Assigned, ms));
        self.answered(name, won, ms);
    }

    pub(super) fn set_online(&mut self, online: bool, ms: u64) {
        self.tell(DriverCommand::SetOnline { online, reply: None }, ms);
    }

    pub(super) fn connect(&mut self, session: u64, last_seq: Option<u64>, ms: u64) {
        self.tell(DriverCommand::Connect { session: SessionId(session), last_seq }, ms);
    }

    pub(super) fn live(&self) -> Vec<&str> {
        self.machine.live_offers().map(|offer| offer.ride.as_str()).collect()
    }

    pub(super) fn supply(&self) -> Option<Supply> {
        self.effects.iter().find_map(|effect| {
            let Effect::PlaceSupply(supply) = effect else { return None };
            Some(Supply::clone(supply))
        })
    }

    pub(super) fn refused_to_ride(&self) -> Vec<Exclusion> {
        let refusals = self.effects.iter().filter_map(|effect| {
            let Effect::ToRide(_, RideCommand::OfferRefused { reason, .. }) = effect else {
                return None;
            };
            Some(*reason)
        });
        refusals.collect()
    }

    pub(super) fn answers(&self) -> Vec<&Answer> {
        let answers = self.effects.iter().filter_map(|effect| {
            let Effect::Answer(_, answer) = effect else { return None };
            Some(answer)
        });
        answers.collect()
    }

    pub(super) fn frames(&self) -> Vec<&PhoneFrame> {
        let frames = self.effects.iter().filter_map(|effect| {
            let Effect::SendFrame(_, frame) = effect else { return None };
            Some(frame)
        });
        frames.collect()
    }
}
