//! Times one contender: moves alone, questions alone, and questions while others move.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;

use super::contenders::{Contender, Reader, Writer};
use super::memory::distance_m;
use super::workload::{Drivers, Move, NEAREST, RADIUS_M};
use crate::city::Place;

/// Questions that each contender must answer like brute force.
const CHECKED: u64 = 50;
/// An answer may differ from brute force's by so many metres in the distance of each driver: a sphere
/// of another radius, an ellipsoid, a position kept in 52 bits.
const TOLERANCE_M: f64 = 15.0;
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
pub struct Bout {
    contender: Box<dyn Contender>,
    next: AtomicUsize,
    /// The fastest way it has to make moves.
    pub way: Way,
    /// What was measured so far.
    pub figures: Figures,
}

impl Bout {
    /// Fills a contender, checks its answers, and finds its best way to make moves.
    ///
    /// # Errors
    /// When it answers wrongly or fails.
    pub fn begin(contender: Box<dyn Contender>, drivers: &Drivers) -> anyhow::Result<Self> {
        fill(contender.as_ref(), drivers)?;
        contender.filled()?;
        check(contender.as_ref(), drivers)?;
        let next = AtomicUsize::new(drivers.count());
        let (mut best, mut way) = (0.0, Way::default());
        for writers in contender.writers() {
            for batch in contender.batches() {
                let tried = Way { writers: *writers, batch: *batch };
                let rate = moves(contender.as_ref(), drivers, &next, tried, TRIAL)?;
                if rate > best {
                    (best, way) = (rate, tried);
                }
            }
        }
        Ok(Self { contender, next, way, figures: Figures::default() })
    }

    /// Measures everything once more.
    ///
    /// # Errors
    /// When the contender fails.
    pub fn round(&mut self, drivers: &Drivers, time: Duration) -> anyhow::Result<()> {
        let contender = self.contender.as_ref();
        let rate = moves(contender, drivers, &self.next, self.way, time)?;
        self.figures.moves_per_s.push(rate);
        self.figures.questions_per_s.push(questions(contender, drivers, time)?.0);
        let (rate, p99_us) = busy_questions(contender, drivers, &self.next, self.way.batch, time)?;
        self.figures.busy_questions_per_s.push(rate);
        self.figures.busy_p99_us.push(p99_us);
        Ok(())
    }
}

fn fill(contender: &dyn Contender, drivers: &Drivers) -> anyhow::Result<()> {
    let mut writer = contender.writer()?;
    let all: Vec<Move> = drivers.first().collect();
    all.chunks(FILL).try_for_each(|moves| writer.apply(moves))
}

fn check(contender: &dyn Contender, drivers: &Drivers) -> anyhow::Result<()> {
    let places: BTreeMap<usize, Place> =
        drivers.first().map(|step| (step.driver, step.to)).collect();
    let mut reader = contender.reader()?;
    for number in 0..CHECKED {
        let rider = drivers.rider(number);
        let mut exact: Vec<f64> = places.values().map(|at| distance_m(*at, rider)).collect();
        exact.retain(|metres| *metres <= RADIUS_M);
        exact.sort_by(f64::total_cmp);
        exact.truncate(NEAREST);
        let answer = reader.nearest(rider)?;
        ensure!(answer.len() == exact.len(), "{} of {} found", answer.len(), exact.len());
        for (driver, wanted) in answer.iter().zip(&exact) {
            let place = places.get(driver).ok_or_else(|| anyhow::anyhow!("driver {driver}?"))?;
            let metres = distance_m(*place, rider);
            let off = (metres - wanted).abs();
            ensure!(
                off <= TOLERANCE_M,
                "question {number}: {metres} m where {wanted} m is nearest"
            );
        }
    }
    Ok(())
}

/// Moves drivers until `end`; each writer takes the next `batch` moves, so that every driver's moves
/// come in order.
fn keep_moving(
    writer: &mut dyn Writer,
    drivers: &Drivers,
    next: &AtomicUsize,
    batch: usize,
    goes_on: impl Fn() -> bool,
) -> anyhow::Result<usize> {
    let mut made = 0;
    let mut moves = Vec::with_capacity(batch);
    while goes_on() {
        let first = next.fetch_add(batch, Ordering::Relaxed);
        moves.clear();
        moves.extend((first..first + batch).map(|number| drivers.nth(number)));
        writer.apply(&moves)?;
        made += batch;
    }
    Ok(made)
}

/// Moves made per second.
fn moves(
    contender: &dyn Contender,
    drivers: &Drivers,
    next: &AtomicUsize,
    way: Way,
    time: Duration,
) -> anyhow::Result<f64> {
    let made = Mutex::new(Ok(0_usize));
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..way.writers {
            scope.spawn(|| {
                let own = contender.writer().and_then(|mut writer| {
                    let goes_on = || began.elapsed() < time;
                    keep_moving(writer.as_mut(), drivers, next, way.batch, goes_on)
                });
                let mut all = made.lock().unwrap_or_else(PoisonError::into_inner);
                *all = match (std::mem::replace(&mut *all, Ok(0)), own) {
                    (Ok(sum), Ok(own)) => Ok(sum + own),
                    (Err(error), _) | (_, Err(error)) => Err(error),
                };
            });
        }
    });
    let made = made.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    Ok(made as f64 / began.elapsed().as_secs_f64())
}

/// Questions per second and their 99th percentile in microseconds.
fn questions(
    contender: &dyn Contender,
    drivers: &Drivers,
    time: Duration,
) -> anyhow::Result<(f64, f64)> {
    let mut reader = contender.reader()?;
    ask(reader.as_mut(), drivers, time)
}

fn ask(reader: &mut dyn Reader, drivers: &Drivers, time: Duration) -> anyhow::Result<(f64, f64)> {
    let riders: Vec<Place> = (0..512).map(|number| drivers.rider(number)).collect();
    let mut latency = Histogram::<u64>::new(3)?;
    let began = Instant::now();
    let mut asked = 0_u64;
    while began.elapsed() < time {
        let rider = riders[(asked % 512) as usize];
        let sent = Instant::now();
        reader.nearest(rider)?;
        latency.record(u64::try_from(sent.elapsed().as_nanos())?)?;
        asked += 1;
    }
    let rate = asked as f64 / began.elapsed().as_secs_f64();
    Ok((rate, latency.value_at_quantile(0.99) as f64 / 1_000.0))
}

fn busy_questions(
    contender: &dyn Contender,
    drivers: &Drivers,
    next: &AtomicUsize,
    batch: usize,
    time: Duration,
) -> anyhow::Result<(f64, f64)> {
    let asking = AtomicBool::new(true);
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut writer = contender.writer()?;
            let goes_on = || asking.load(Ordering::Relaxed);
            keep_moving(writer.as_mut(), drivers, next, batch, goes_on)
        });
        let answered = questions(contender, drivers, time);
        asking.store(false, Ordering::Relaxed);
        writing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        answered
    })
}
