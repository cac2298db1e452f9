//! Times one contender: moves alone, questions alone, and questions while others move.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use muster_engine_benches::brute_force;
use muster_engine_benches::measure::{BLOCK, ask};
use muster_engine_benches::turns::Turns;
use muster_engine_benches::workload::{Drivers, Move};

use super::contenders::Peer;

/// Moves that fill an empty index at once.
const FILL: usize = 1_000;

/// Seconds that each way of making moves is tried, before the best of them is measured.
const TRIAL: Duration = Duration::from_millis(250);

/// What was measured, one value per round.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Moves per second in the best way to make them.
    pub moves_per_s: Vec<f64>,
    /// Questions per second on one thread while nobody moves.
    pub questions_per_s: Vec<f64>,
    /// Questions per second on one thread while another moves drivers.
    pub busy_questions_per_s: Vec<f64>,
    /// The 99th percentile of these, in microseconds.
    pub busy_p99_us: Vec<f64>,
}

/// How moves are made: so many threads or connections, so many moves a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Way {
    /// Threads, each with a connection of its own where there are any.
    pub writers: usize,
    /// Moves that a call makes.
    pub batch: usize,
}

/// One contender, filled and checked, between its rounds.
pub struct Bout<'w> {
    peer: Box<dyn Peer>,
    drivers: &'w Drivers,
    turns: Turns<'w>,
    /// The fastest way it has to make moves.
    pub way: Way,
    /// What was measured so far.
    pub figures: Figures,
}

impl<'w> Bout<'w> {
    /// Fills a contender, checks its answers, and finds its best way to make moves.
    ///
    /// # Errors
    /// When it answers wrongly or fails.
    pub fn begin(peer: Box<dyn Peer>, drivers: &'w Drivers) -> anyhow::Result<Self> {
        fill(peer.as_ref(), drivers)?;
        peer.filled()?;
        let mut reader = peer.reader()?;
        brute_force::check(drivers, |rider, found| reader.nearest(rider, found))?;
        drop(reader);
        let (turns, way, figures) = (Turns::new(drivers), Way::default(), Figures::default());
        let mut bout = Self { peer, drivers, turns, way, figures };
        let mut best = 0.0;
        for writers in bout.peer.writers() {
            for batch in bout.peer.batches() {
                let tried = Way { writers: *writers, batch: *batch };
                let rate = bout.moves(tried, TRIAL)?;
                if rate > best {
                    (best, bout.way) = (rate, tried);
                }
            }
        }
        Ok(bout)
    }

    /// Measures everything once more.
    ///
    /// # Errors
    /// When the contender fails.
    pub fn round(&mut self, time: Duration) -> anyhow::Result<()> {
        let rate = self.moves(self.way, time)?;
        self.figures.moves_per_s.push(rate);
        let (rate, _) = self.questions(time)?;
        self.figures.questions_per_s.push(rate);
        let (rate, p99_us) = self.busy_questions(time)?;
        self.figures.busy_questions_per_s.push(rate);
        self.figures.busy_p99_us.push(p99_us);
        Ok(())
    }

    /// One writer moves his drivers while it `goes_on`; how many moves he made.
    fn keep_moving(
        &self,
        writer: usize,
        way: Way,
        goes_on: impl Fn() -> bool,
    ) -> anyhow::Result<usize> {
        let mut link = self.peer.writer()?;
        let calls = (BLOCK / way.batch).max(1);
        let (mut made, mut moves) = (0, Vec::with_capacity(calls * way.batch));
        while goes_on() {
            moves.clear();
            moves.extend(self.turns.take(writer, way.writers, calls * way.batch));
            moves.chunks(way.batch).try_for_each(|moves| link.apply(moves))?;
            made += moves.len();
        }
        Ok(made)
    }

    /// Moves made per second.
    fn moves(&mut self, way: Way, time: Duration) -> anyhow::Result<f64> {
        let began = Instant::now();
        let made: anyhow::Result<usize> = thread::scope(|scope| {
            let this = &*self;
            let one = move |writer| this.keep_moving(writer, way, || began.elapsed() < time);
            let threads: Vec<_> =
                (0..way.writers).map(|writer| scope.spawn(move || one(writer))).collect();
            threads.into_iter().map(|t| t.join().map_err(|_| anyhow!("it panicked"))?).sum()
        });
        let per_s = made? as f64 / began.elapsed().as_secs_f64();
        self.turns.align(way.writers);
        Ok(per_s)
    }

    /// Questions per second and their 99th percentile in microseconds.
    fn questions(&self, time: Duration) -> anyhow::Result<(f64, f64)> {
        let mut reader = self.peer.reader()?;
        let began = Instant::now();
        let latency = ask(self.drivers, 0, time, |rider, found| reader.nearest(rider, found))?;
        let rate = latency.len() as f64 / began.elapsed().as_secs_f64();
        Ok((rate, latency.value_at_quantile(0.99) as f64 / 1_000.0))
    }

    fn busy_questions(&mut self, time: Duration) -> anyhow::Result<(f64, f64)> {
        let asking = AtomicBool::new(true);
        let way = Way { writers: 1, ..self.way };
        let answered = thread::scope(|scope| {
            let this = &*self;
            let goes_on = || asking.load(Ordering::Relaxed);
            let writing = scope.spawn(move || this.keep_moving(0, way, goes_on));
            let answered = this.questions(time);
            asking.store(false, Ordering::Relaxed);
            writing.join().map_err(|_| anyhow!("the writer panicked"))??;
            answered
        });
        self.turns.align(1);
        answered
    }
}

fn fill(peer: &dyn Peer, drivers: &Drivers) -> anyhow::Result<()> {
    let mut writer = peer.writer()?;
    let all: Vec<Move> = (0..drivers.count()).map(|number| drivers.nth(number)).collect();
    all.chunks(FILL).try_for_each(|moves| writer.apply(moves))
}

#[cfg(test)]
mod tests {
    use muster_engine_benches::workload::Spread;

    use super::super::contenders::ALL;
    use super::*;

    #[test]
    fn contenders_of_this_process_are_checked_and_measured() {
        let drivers = Drivers::new(400, Spread::Clustered, 1).unwrap();
        for (name, start) in &ALL[..3] {
            let mut bout = Bout::begin(start(400).unwrap(), &drivers).unwrap();
            bout.round(Duration::from_millis(5)).unwrap();
            assert!(bout.figures.moves_per_s[0] > 0.0, "{name}");
            assert!(bout.figures.busy_questions_per_s[0] > 0.0, "{name}");
        }
    }
}
