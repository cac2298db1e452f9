//! A run: frames by the schedule, pongs as they come.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use mio::{Events, Poll};

use super::line::{Heard, Line};
use super::{GenerateArgs, Order, Outcome};
use crate::fleet::Fleet;
use crate::load::frames::{Car, FrameWriter, ping};
use crate::load::schedule::{Pace, Schedule};
use crate::net::unix_ms;
use crate::process::Usage;
use crate::report::latencies_in_micros;

/// Frames between two looks at what came back.
const FRAMES_PER_LOOK: u32 = 32;
/// The longest pause before the next frame: what came back meanwhile is noticed so much later.
const PAUSE_MAX: Duration = Duration::from_micros(100);
/// A server that says nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// The payload of the pings at the end of a run.
const LAST: u64 = u64::MAX;
const READ_BYTES: usize = 16 * 1024;

/// The connections of a generator.
pub(super) struct Lines {
    lines: Vec<Line>,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

/// What a run counts as it goes.
struct Tally {
    began: Instant,
    /// Latencies of what was due before are not counted.
    measured_from: Duration,
    pings_open: u64,
    last_open: usize,
    latencies: Histogram<u64>,
    lateness: Histogram<u64>,
    outcome: Outcome,
    heard_at: Instant,
}

impl Lines {
    /// Opens all connections, one after the other.
    pub(super) fn open(args: &GenerateArgs) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let mut lines = Vec::with_capacity(args.count);
        for index in 0..args.count {
            let number = args.first + index;
            let car = Car::new(args.seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
            let driver = Fleet::id(number);
            let line = Line::open(args.address, &driver, car, poll.registry(), index);
            lines.push(line.with_context(|| format!("{driver} cannot connect"))?);
        }
        Ok(Self { lines, poll, events: Events::with_capacity(4096), buffer: vec![0; READ_BYTES] })
    }

    /// Sends frames as ordered, until all of them have been read.
    pub(super) fn run(&mut self, order: &Order) -> anyhow::Result<Outcome> {
        let schedule = Schedule {
            connections: self.lines.len(),
            pace: order.pace,
            ping_every: order.ping_every.max(1),
        };
        let mut writer = FrameWriter::new(order.encoding, order.fixes);
        let mut tally = Tally::new(Duration::from_secs_f64(order.warm_s));
        let end = tally.measured_from + Duration::from_secs_f64(order.seconds);
        let mut frame = 0;
        let warm =
            self.send_until(tally.measured_from, &schedule, &mut writer, &mut tally, frame)?;
        let before = Reading::of(order.server_pid, &tally)?;
        frame += warm;
        let measured = self.send_until(end, &schedule, &mut writer, &mut tally, frame)?;
        let after = Reading::of(order.server_pid, &tally)?;
        self.settle(&mut tally)?;
        let mut outcome = tally.into_outcome();
        outcome.fixes_sent = (warm + measured) * u64::from(writer.fixes());
        outcome.frames = measured;
        outcome.seconds = (after.at - before.at).as_secs_f64();
        outcome.server_user_s = (after.server.user - before.server.user).as_secs_f64();
        outcome.server_system_s = (after.server.system - before.server.system).as_secs_f64();
        outcome.own_s = (after.own.cpu() - before.own.cpu()).as_secs_f64();
        Ok(outcome)
    }

    /// Sends what is due until `end` and returns how many frames that were.
    fn send_until(
        &mut self,
        end: Duration,
        schedule: &Schedule,
        writer: &mut FrameWriter,
        tally: &mut Tally,
        first: u64,
    ) -> anyhow::Result<u64> {
        let mut frame = first;
        loop {
            let now = tally.began.elapsed();
            if now >= end {
                return Ok(frame - first);
            }
            let now_ms = unix_ms();
            let mut left = FRAMES_PER_LOOK;
            while left > 0 && schedule.due(frame) <= now && schedule.may_send(tally.pings_open) {
                self.send(frame, schedule, writer, tally, now_ms)?;
                frame += 1;
                left -= 1;
            }
            if left > 0 {
                match schedule.pace {
                    Pace::Rate(_) => pause(schedule.due(frame).saturating_sub(now).min(PAUSE_MAX)),
                    // The window is full: nothing can be done before something comes back.
                    Pace::Window(_) => self.look(Some(SILENCE_MAX), tally)?,
                }
            }
            self.look(Some(Duration::ZERO), tally)?;
        }
    }

    fn send(
        &mut self,
        frame: u64,
        schedule: &Schedule,
        writer: &mut FrameWriter,
        tally: &mut Tally,
        now_ms: u64,
    ) -> anyhow::Result<()> {
        let line = &mut self.lines[schedule.connection(frame)];
        let bytes = if schedule.has_ping(frame) {
            let now = tally.began.elapsed();
            let due = match schedule.pace {
                Pace::Rate(_) => schedule.due(frame),
                Pace::Window(_) => now,
            };
            tally.sent_ping(due, now);
            writer.write_with_ping(&mut line.car, now_ms, due.as_nanos() as u64)
        } else {
            writer.write(&mut line.car, now_ms)
        };
        if !line.send(bytes)? {
            tally.outcome.blocked += 1;
        }
        Ok(())
    }

    /// Hears what has come back, after waiting for it if nothing has.
    fn look(&mut self, wait: Option<Duration>, tally: &mut Tally) -> anyhow::Result<()> {
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            let line = &mut self.lines[event.token().0];
            if event.is_writable() {
                line.send_rest()?;
            }
            if event.is_readable() {
                line.hear(&mut self.buffer, |heard| tally.hear(heard))?;
            }
        }
        if tally.heard_at.elapsed() > SILENCE_MAX && tally.pings_open > 0 {
            bail!("the server has answered nothing for {} s", SILENCE_MAX.as_secs());
        }
        Ok(())
    }

    /// Waits until every connection has been read to its end: a ping behind its last frame comes back.
    fn settle(&mut self, tally: &mut Tally) -> anyhow::Result<()> {
        for index in 0..self.lines.len() {
            self.lines[index].send(&ping(LAST))?;
            tally.pings_open += 1;
            tally.last_open += 1;
            if index % 256 == 0 {
                self.look(Some(Duration::ZERO), tally)?;
            }
        }
        tally.heard_at = Instant::now();
        while tally.last_open > 0 && tally.outcome.closed == 0 {
            self.look(Some(Duration::from_millis(100)), tally)?;
        }
        Ok(())
    }
}

impl Tally {
    fn new(measured_from: Duration) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            measured_from,
            pings_open: 0,
            last_open: 0,
            latencies: latencies_in_micros(),
            lateness: latencies_in_micros(),
            outcome: Outcome::default(),
            heard_at: now,
        }
    }

    fn sent_ping(&mut self, due: Duration, now: Duration) {
        self.pings_open += 1;
        if due >= self.measured_from {
            self.lateness.saturating_record(micros(now.saturating_sub(due)));
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Pong(payload) => {
                self.heard_at = Instant::now();
                self.pings_open = self.pings_open.saturating_sub(1);
                if payload == LAST {
                    self.last_open = self.last_open.saturating_sub(1);
                    return;
                }
                let due = Duration::from_nanos(payload);
                if due >= self.measured_from {
                    let latency = (self.heard_at - self.began).saturating_sub(due);
                    self.latencies.saturating_record(micros(latency));
                }
            }
            Heard::Refusal => self.outcome.refused += 1,
            Heard::Closed => self.outcome.closed += 1,
        }
    }

    fn into_outcome(self) -> Outcome {
        let counts = |histogram: &Histogram<u64>| {
            let recorded = histogram.iter_recorded();
            recorded.map(|at| (at.value_iterated_to(), at.count_at_value())).collect()
        };
        Outcome {
            latencies: counts(&self.latencies),
            lateness: counts(&self.lateness),
            ..self.outcome
        }
    }
}

/// What was used up to an instant.
struct Reading {
    at: Duration,
    server: Usage,
    own: Usage,
}

impl Reading {
    fn of(server_pid: u32, tally: &Tally) -> anyhow::Result<Self> {
        let (server, own) = (Usage::of(server_pid)?, Usage::of(std::process::id())?);
        Ok(Self { at: tally.began.elapsed(), server, own })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// Lets the server have the processor until the next frame is due.
#[expect(
    clippy::disallowed_methods,
    reason = "frames are due in microseconds, epoll knows milliseconds"
)]
fn pause(pause: Duration) {
    if !pause.is_zero() {
        std::thread::sleep(pause);
    }
}
