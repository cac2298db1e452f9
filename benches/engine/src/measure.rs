//! Times one contender: moves alone, questions alone, and questions while others move.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};
use hdrhistogram::Histogram;

use crate::contender::{Contender, is_free};
use crate::workload::{Drivers, NEAREST, RADIUS_M};

/// Questions that each contender must answer like brute force.
const CHECKED: usize = 40;
/// An answer may differ from brute force's by so many metres in the distance of each driver: a plane
/// instead of a sphere.
const TOLERANCE_M: f64 = 15.0;
/// Moves between two looks at the clock.
const BLOCK: usize = 256;

/// One contender at work on one workload.
pub struct Trial<'w> {
    contender: &'w dyn Contender,
    drivers: &'w Drivers,
    /// The round of everybody's fixes with which the next figure begins.
    round: usize,
    /// How far each of the threads that move drivers is: they move different drivers.
    next: [AtomicUsize; 2],
    time: Duration,
}

/// What questions came to.
#[derive(Debug, Clone, Copy)]
pub struct Questions {
    /// Questions per second, of all threads.
    pub per_s: f64,
    /// Half of them were answered within so many microseconds.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// The 99.9th percentile.
    pub p999_us: f64,
    /// Moves per second made meanwhile.
    pub moves_per_s: f64,
}

impl<'w> Trial<'w> {
    /// Fills the index with everybody's first position; each figure takes `time`.
    ///
    /// # Errors
    /// When a move is refused.
    pub fn new(
        contender: &'w dyn Contender,
        drivers: &'w Drivers,
        time: Duration,
    ) -> anyhow::Result<Self> {
        for number in 0..drivers.count() {
            contender.apply(&drivers.nth(number))?;
        }
        let next = [const { AtomicUsize::new(0) }; 2];
        Ok(Self { contender, drivers, round: 1, next, time })
    }

    /// Compares answers with brute force; to be called before anybody moves.
    ///
    /// # Errors
    /// When one differs.
    pub fn check(&self) -> anyhow::Result<()> {
        let count = self.drivers.count();
        let mut places = vec![None; count];
        for number in 0..count {
            let first = self.drivers.nth(number);
            places[first.driver] = Some(first.to);
        }
        let mut answer = Vec::new();
        for number in 0..CHECKED {
            let rider = self.drivers.rider(number);
            let metres = |place: &Option<muster_engine::geo::Position>| {
                place.map_or(f64::INFINITY, |place| place.distance(rider).get())
            };
            let free = (0..count).filter(|driver| is_free(*driver));
            let mut exact: Vec<f64> = free.map(|driver| metres(&places[driver])).collect();
            exact.retain(|metres| *metres <= RADIUS_M);
            exact.sort_by(f64::total_cmp);
            exact.truncate(NEAREST);
            self.contender.nearest(rider, &mut answer);
            ensure!(answer.len() == exact.len(), "{} of {} found", answer.len(), exact.len());
            for (driver, wanted) in answer.iter().zip(&exact) {
                let found = metres(&places[*driver]);
                let off = (found - wanted).abs();
                ensure!(off <= TOLERANCE_M, "question {number}: {found} m, nearest is {wanted} m");
            }
        }
        Ok(())
    }

    /// Moves one block of drivers; of several `writers` each has his own drivers.
    fn move_block(&self, writer: usize, writers: usize) -> anyhow::Result<()> {
        let block = self.next[writer].fetch_add(BLOCK, Ordering::Relaxed);
        let count = self.drivers.count();
        let own = count / writers;
        for turn in block..block + BLOCK {
            let (round, place) = (self.round + turn / own, turn % own);
            self.contender.apply(&self.drivers.nth(round * count + writer * own + place))?;
        }
        Ok(())
    }

    /// Moves per second on so many threads, 1 or 2.
    ///
    /// # Errors
    /// When a move is refused.
    pub fn moves(&mut self, writers: usize) -> anyhow::Result<f64> {
        let began = Instant::now();
        let made: anyhow::Result<usize> = thread::scope(|scope| {
            let this = &*self;
            let one = |writer: usize| {
                let mut made = 0;
                while began.elapsed() < this.time {
                    this.move_block(writer, writers)?;
                    made += BLOCK;
                }
                anyhow::Ok(made)
            };
            let threads: Vec<_> =
                (0..writers).map(|writer| scope.spawn(move || one(writer))).collect();
            threads.into_iter().map(|t| t.join().map_err(|_| anyhow!("it panicked"))?).sum()
        });
        let per_s = made? as f64 / began.elapsed().as_secs_f64();
        self.align(writers);
        Ok(per_s)
    }

    /// Questions per second on `readers` threads, while `writers` others move drivers.
    ///
    /// # Errors
    /// When a move is refused.
    pub fn questions(&mut self, readers: usize, writers: usize) -> anyhow::Result<Questions> {
        let asking = AtomicBool::new(true);
        let began = Instant::now();
        let questions = thread::scope(|scope| {
            let (this, asking) = (&*self, &asking);
            let moving: Vec<_> = (0..writers)
                .map(|writer| {
                    scope.spawn(move || {
                        let mut made = 0;
                        while asking.load(Ordering::Relaxed) {
                            this.move_block(writer, writers)?;
                            made += BLOCK;
                        }
                        anyhow::Ok(made)
                    })
                })
                .collect();
            let reading: Vec<_> =
                (0..readers).map(|reader| scope.spawn(move || this.ask(reader))).collect();
            let mut latency = Histogram::<u64>::new(3)?;
            for reader in reading {
                latency.add(reader.join().map_err(|_| anyhow!("a reader panicked"))??)?;
            }
            asking.store(false, Ordering::Relaxed);
            let mut made = 0;
            for writer in moving {
                made += writer.join().map_err(|_| anyhow!("a writer panicked"))??;
            }
            let seconds = began.elapsed().as_secs_f64();
            let us = |quantile| latency.value_at_quantile(quantile) as f64 / 1_000.0;
            Ok(Questions {
                per_s: latency.len() as f64 / seconds,
                p50_us: us(0.5),
                p99_us: us(0.99),
                p999_us: us(0.999),
                moves_per_s: made as f64 / seconds,
            })
        });
        self.align(writers);
        questions
    }

    fn ask(&self, reader: usize) -> anyhow::Result<Histogram<u64>> {
        let mut latency = Histogram::<u64>::new(3)?;
        let (began, mut asked, mut answer) = (Instant::now(), reader * 1_000, Vec::new());
        while began.elapsed() < self.time {
            let rider = self.drivers.rider(asked);
            let sent = Instant::now();
            self.contender.nearest(rider, &mut answer);
            latency.record(u64::try_from(sent.elapsed().as_nanos())?)?;
            asked += 1;
        }
        Ok(latency)
    }

    /// Begins with a round that no driver has been through.
    fn align(&mut self, writers: usize) {
        let own = self.drivers.count() / writers.max(1);
        let farthest = self.next.iter_mut().map(|next| std::mem::take(next.get_mut())).max();
        self.round += farthest.unwrap_or(0) / own.max(1) + 1;
    }
}
