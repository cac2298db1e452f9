//! What a message to an actor costs, beside a bare actix actor, and what an offer costs from request to
//! win: through Muster's real actors, in one process, over a store that keeps nothing.

#![expect(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use muster_actors::{Dispatch, DriverLink, SessionFrame};
use muster_benches::in_process::{Nowhere, dispatch, driver_id, profile, request, start_driver};
use muster_engine::driver::PhoneFrame;
use muster_engine::effect::AcceptAnswer;
use muster_engine::geo::Position;
use muster_engine::grid::{DriverStatus, Fix};
use muster_engine::id::{OfferId, RideId};
use muster_engine::ride::RideProgress;

// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages under way at once, one to each of so many actors: actors are met cold, as in a city.
const ACTORS: usize = 1_024;
/// Drivers in the city, and the one whose phone answers: alone where he is, for else others would be
/// asked before him whose phones are off.
const DRIVERS: usize = 10_000;
const PHONE: usize = DRIVERS;
const ALONE: (f64, f64) = (40.55, -74.15);

/// An actor with as much state as a small machine has, and no work.
struct Bare {
    state: [u64; 18],
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Add(u64);

impl Actor for Bare {
    type Context = Context<Self>;
}

impl Handler<Add> for Bare {
    type Result = u64;

    fn handle(&mut self, Add(value): Add, _: &mut Context<Self>) -> u64 {
        self.state[0] += value;
        self.state[0]
    }
}

fn bare(arbiter: Option<&Arbiter>) -> Vec<Addr<Bare>> {
    let start = |_| match arbiter {
        Some(arbiter) => Bare::start_in_arbiter(&arbiter.handle(), |_| Bare { state: [0; 18] }),
        None => Bare { state: [0; 18] }.start(),
    };
    (0..ACTORS).map(start).collect()
}

/// One message to each, then the answer of the last: its mailbox is served after theirs.
async fn visit(actors: &[Addr<Bare>]) {
    for actor in actors {
        actor.do_send(Add(1));
    }
    actors.last().unwrap().send(Add(1)).await.unwrap();
}

fn hops(criterion: &mut Criterion) {
    let system = System::new();
    let (other, here) = system.block_on(async { (Arbiter::new(), bare(None)) });
    let there = system.block_on(async { bare(Some(&other)) });
    let city = system.block_on(City::start(ACTORS, 1));
    let links = city.links();
    let mut group = criterion.benchmark_group("actor hop");
    group.throughput(Throughput::Elements(ACTORS as u64));
    group.bench_function("one way, same arbiter (bare actix)", |bencher| {
        bencher.iter(|| system.block_on(visit(&here)));
    });
    group.bench_function("one way, another arbiter (bare actix)", |bencher| {
        bencher.iter(|| system.block_on(visit(&there)));
    });
    group.bench_function("one way, another arbiter", |bencher| {
        bencher.iter(|| {
            links.iter().for_each(|link| link.acknowledge(0));
            system.block_on(city.dispatch.driver(links.last().unwrap().driver())).unwrap();
        });
    });
    group.finish();
    let mut group = criterion.benchmark_group("actor request");
    group.bench_function("and reply, same arbiter (bare actix)", |bencher| {
        bencher.iter(|| system.block_on(here[0].send(Add(1))).unwrap());
    });
    group.bench_function("and reply, another arbiter (bare actix)", |bencher| {
        bencher.iter(|| system.block_on(there[0].send(Add(1))).unwrap());
    });
    group.bench_function("and reply, another arbiter", |bencher| {
        bencher.iter(|| system.block_on(city.dispatch.driver(links[0].driver())).unwrap());
    });
    group.finish();
    drop(links);
    other.stop();
}

struct City {
    dispatch: Dispatch,
    drivers: usize,
}

impl City {
    async fn start(drivers: usize, arbiters: usize) -> Self {
        let dispatch = dispatch(Arc::<Nowhere>::default(), arbiters).await.unwrap();
        for number in 0..drivers {
            start_driver(&dispatch, number).await.unwrap();
        }
        Self { dispatch, drivers }
    }

    /// The driver whose phone answers, free.
    async fn phone(&self) -> DriverLink {
        let (id, (lat, lng)) = (driver_id(PHONE).unwrap(), ALONE);
        self.dispatch.put_driver(&id, profile(PHONE).unwrap()).await.unwrap();
        self.dispatch.set_online(&id, true).await.unwrap();
        let position = Position::from_degrees(lat, lng).unwrap();
        let at = self.dispatch.now();
        let fix = Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
        assert_eq!(self.dispatch.apply_fixes(&id, &[fix]).unwrap(), [Ok(())]);
        let phone = self.dispatch.connect(&id, None).unwrap();
        self.until_free(&phone).await;
        phone
    }

    fn links(&self) -> Vec<DriverLink> {
        let mut links = Vec::new();
        for number in 0..self.drivers {
            links.push(self.dispatch.connect(&driver_id(number).unwrap(), None).unwrap());
        }
        links
    }

    /// A ride from where the phone is, until it is offered there.
    async fn offer(&self, number: u64, phone: &mut DriverLink) -> (RideId, OfferId, Duration) {
        let (name, now) = (format!("ride-{number}"), self.dispatch.now());
        let pickup = self.dispatch.position(phone.driver()).unwrap().position;
        let request = request(&name, pickup, now).unwrap();
        let began = Instant::now();
        let ride = self.dispatch.request_ride(request).await.unwrap().request.ride.clone();
        loop {
            if let PhoneFrame::Offer { offer, .. } = frame(phone).await
                && offer.ride == ride
            {
                return (ride, offer.id.clone(), began.elapsed());
            }
        }
    }

    /// From the phone's yes until it hears that it has won.
    async fn win(&self, offer: OfferId, phone: &mut DriverLink) -> Duration {
        let began = Instant::now();
        assert!(phone.accept(offer, None));
        loop {
            if let PhoneFrame::AcceptResult { answer, .. } = frame(phone).await {
                assert!(matches!(answer, AcceptAnswer::Won(_)), "{answer:?}");
                return began.elapsed();
            }
        }
    }

    /// The ride to its end, and the driver back to where he is free.
    async fn finish(&self, ride: &RideId, phone: &DriverLink) {
        let otp = self.dispatch.ride(ride).await.unwrap().otp.clone();
        let steps = [RideProgress::Arrived, RideProgress::Start { otp }, RideProgress::Complete];
        for step in steps {
            self.dispatch.progress(ride, Some(phone.driver().clone()), step).await.unwrap();
        }
        self.until_free(phone).await;
    }

    async fn until_free(&self, phone: &DriverLink) {
        while self.dispatch.driver(phone.driver()).await.unwrap().status != DriverStatus::Available
        {
            tokio::task::yield_now().await;
        }
    }
}

async fn frame(phone: &mut DriverLink) -> PhoneFrame {
    match phone.next().await.unwrap() {
        SessionFrame::Phone(frame) => {
            if let Some(seq) = seq_of(&frame) {
                phone.acknowledge(seq);
            }
            *frame
        }
        SessionFrame::Superseded | SessionFrame::Restarted => panic!("the phone is let go"),
    }
}

/// What a phone acknowledges here; other frames are few.
fn seq_of(frame: &PhoneFrame) -> Option<u64> {
    if let PhoneFrame::Offer { seq, .. } | PhoneFrame::Assigned { seq, .. } = frame {
        Some(*seq)
    } else {
        None
    }
}

fn offers(criterion: &mut Criterion) {
    let system = System::new();
    let city = system.block_on(City::start(DRIVERS, 2));
    let mut phone = system.block_on(city.phone());
    let mut number = 0;
    let mut timed = |rounds: u64, of: fn(Duration, Duration) -> Duration| {
        system.block_on(async {
            let mut sum = Duration::ZERO;
            for _ in 0..rounds {
                number += 1;
                let (ride, offer, offered) = city.offer(number, &mut phone).await;
                let won = city.win(offer, &mut phone).await;
                sum += of(offered, won);
                city.finish(&ride, &phone).await;
            }
            sum
        })
    };
    let mut group = criterion.benchmark_group("offer");
    group.sample_size(50);
    group.bench_function("request to offer frame", |bencher| {
        bencher.iter_custom(|rounds| timed(rounds, |offered, _| offered));
    });
    group.bench_function("accept to won frame", |bencher| {
        bencher.iter_custom(|rounds| timed(rounds, |_, won| won));
    });
    group.bench_function("request to won frame", |bencher| {
        bencher.iter_custom(|rounds| timed(rounds, |offered, won| offered + won));
    });
    group.finish();
}

criterion_group!(benches, hops, offers);
criterion_main!(benches);
