//! Times one contender: moves alone, questions alone, and questions while others move.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use hdrhistogram::Histogram;
use muster_engine::geo::Position;

use crate::brute_force;
use crate::contender::Contender;
use crate::turns::Turns;
use crate::workload::{Drivers, Move};

/// Moves between two looks at the clock.
pub const BLOCK: usize = 256;

/// One contender at work on one workload.
pub struct Trial<'w> {
    contender: &'w dyn Contender,
    drivers: &'w Drivers,
    turns: Turns<'w>,
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
        Ok(Self { contender, drivers, turns: Turns::new(drivers), time })
    }

    /// Compares answers with brute force; to be called before anybody moves.
    ///
    /// # Errors
    /// When one differs.
    pub fn check(&self) -> anyhow::Result<()> {
        brute_force::check(self.drivers, |rider, found| {
            self.contender.nearest(rider, found);
            Ok(())
        })
    }

    /// Moves that are worth a call together, smallest first.
    pub fn batches(&self) -> &'static [usize] {
        self.contender.batches()
    }

    /// Moves one block of drivers.
    fn move_block(&self, writer: usize, writers: usize) -> anyhow::Result<()> {
        let mut block = self.turns.take(writer, writers, BLOCK);
        block.try_for_each(|step| self.contender.apply(&step))
    }

    /// As [`move_block`](Self::move_block), `batch` of them at once.
    fn move_batches(&self, writer: usize, writers: usize, batch: usize) -> anyhow::Result<()> {
        let block: Vec<Move> = self.turns.take(writer, writers, BLOCK).collect();
        block.chunks(batch).try_for_each(|steps| self.contender.apply_all(steps))
    }

    /// Moves per second on so many threads, 1 or 2, `batch` at once on each.
    ///
    /// # Errors
    /// When a move is refused.
    pub fn moves(&mut self, writers: usize, batch: usize) -> anyhow::Result<f64> {
        let began = Instant::now();
        let made: anyhow::Result<usize> = thread::scope(|scope| {
            let this = &*self;
            let one = |writer: usize| {
                let mut made = 0;
                while began.elapsed() < this.time {
                    match batch {
                        1 => this.move_block(writer, writers)?,
                        batch => this.move_batches(writer, writers, batch)?,
                    }
                    made += BLOCK;
                }
                anyhow::Ok(made)
            };
            let threads: Vec<_> =
                (0..writers).map(|writer| scope.spawn(move || one(writer))).collect();
            threads.into_iter().map(|t| t.join().map_err(|_| anyhow!("it panicked"))?).sum()
        });
        let per_s = made? as f64 / began.elapsed().as_secs_f64();
        self.turns.align(writers);
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
        self.turns.align(writers);
        questions
    }

    fn ask(&self, reader: usize) -> anyhow::Result<Histogram<u64>> {
        ask(self.drivers, reader * 1_000, self.time, |rider, found| {
            self.contender.nearest(rider, found);
            Ok(())
        })
    }
}

/// Asks for the drivers around one rider after the other, from the rider with this number on; how long each
/// answer took, in nanoseconds.
///
/// # Errors
/// When there is no answer.
pub fn ask(
    drivers: &Drivers,
    first: usize,
    time: Duration,
    mut nearest: impl FnMut(Position, &mut Vec<usize>) -> anyhow::Result<()>,
) -> anyhow::Result<Histogram<u64>> {
    let mut latency = Histogram::<u64>::new(3)?;
    let (began, mut asked, mut answer) = (Instant::now(), first, Vec::new());
    while began.elapsed() < time {
        let rider = drivers.rider(asked);
        let sent = Instant::now();
        nearest(rider, &mut answer)?;
        latency.record(u64::try_from(sent.elapsed().as_nanos())?)?;
        asked += 1;
    }
    Ok(latency)
}
