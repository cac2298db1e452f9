//! After a restart: is everything as it was told?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt, stream};

use crate::fleet::Fleet;
use crate::http::{Pool, Request, Response};
use crate::ledger::{Ledger, OfferBook};
use crate::net::unix_ms;
use crate::riders::{number_of, request_body, request_key};
use crate::wire::{AcceptResult, DriverView, Problem, RidePage, RideStatus, RideView};
use crate::witness::{Command, Witness};

const AT_ONCE: usize = 48;

/// Offers that are accepted to see whether they still can be.
const OFFERS_TRIED: usize = 40;

/// An offer must live this much longer to be tried.
const OFFER_MARGIN_MS: u64 = 2_000;

/// Tries of a call while the server says that it is busy.
const TRIES: u32 = 40;

/// What an audit looked at, and what was wrong.
#[derive(Debug, Default)]
pub struct Findings {
    /// Commands whose answer never came.
    pub in_doubt: usize,
    /// Requests repeated with their idempotency key.
    pub repeated: usize,
    /// Offers accepted, and of these won.
    pub offers: (usize, usize),
    /// Rides compared.
    pub rides: usize,
    /// Drivers compared.
    pub drivers: usize,
    /// Drivers found on a ride.
    pub busy: usize,
    /// What was wrong.
    pub mismatches: Vec<String>,
}

/// Compares a restarted server with a ledger.
pub struct Audit<'a> {
    /// Connections to it.
    pub pool: &'a Pool,
    /// What it has told.
    pub ledger: &'a Ledger,
    /// How many drivers there are.
    pub drivers: usize,
    /// The seed the requests were made from.
    pub seed: u64,
}

impl Audit<'_> {
    /// Looks at everything.
    ///
    /// # Errors
    /// When the server does not answer at all.
    pub async fn run(&self) -> anyhow::Result<Findings> {
        let mut findings = Findings { mismatches: self.ledger.take_lies(), ..Findings::default() };
        let in_doubt = self.ledger.take_in_doubt();
        findings.in_doubt = in_doubt.len();
        self.offers(&in_doubt, &mut findings).await?;
        self.repeats(&in_doubt, &mut findings).await?;
        self.rides(&mut findings).await?;
        self.bindings(&mut findings).await?;
        findings.mismatches.extend(self.ledger.take_lies());
        Ok(findings)
    }

    /// Asks until the server is not too busy to answer.
    async fn ask(&self, request: &Request<'_>) -> anyhow::Result<Response> {
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        let mut answer = None;
        for _ in 0..TRIES {
            pause.tick().await;
            let response = self.pool.call(request).await?;
            let busy = response.status == 503 || response.status == 429;
            answer = Some(response);
            if !busy {
                break;
            }
        }
        answer.ok_or_else(|| anyhow::anyhow!("nothing was asked"))
    }

    /// Repeats requests that were never answered: each makes exactly one ride.
    async fn repeats(
        &self,
        in_doubt: &BTreeSet<Command>,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let requests = in_doubt.iter().filter_map(|command| {
            if let Command::Request(rider) = command { number_of(rider) } else { None }
        });
        let repeated = requests.map(|number| self.repeat(number));
        let mut repeated = stream::iter(repeated).buffer_unordered(AT_ONCE);
        while let Some(outcome) = repeated.next().await {
            findings.repeated += 1;
            if let Err(what) = outcome? {
                findings.mismatches.push(what);
            }
        }
        Ok(())
    }

    /// Repeats one request twice.
    async fn repeat(&self, number: u64) -> anyhow::Result<Result<(), String>> {
        let body = request_body(number, self.seed, true);
        let key = request_key(number);
        let request = Request::post("/v1/rides", &body).with_key(&key);
        let mut rides = BTreeSet::new();
        for _ in 0..2 {
            let answer = self.ask(&request).await?;
            if !answer.ok() {
                let text = String::from_utf8_lossy(&answer.body).into_owned();
                return Ok(Err(format!("repeat of {key}: {} {text}", answer.status)));
            }
            let view: RideView = answer.json()?;
            self.ledger.ride(&view);
            rides.insert(view.ride_id);
        }
        let one = rides.len() == 1;
        Ok(one.then_some(()).ok_or_else(|| format!("request {key} made the rides {rides:?}")))
    }

    /// Accepts offers that were told live: each is won, or lost for a reason that can be seen.
    async fn offers(
        &self,
        in_doubt: &BTreeSet<Command>,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        let after_ms = unix_ms() + OFFER_MARGIN_MS;
        for offer in self.ledger.answerable(in_doubt, after_ms, OFFERS_TRIED) {
            if offer.expires_ms < unix_ms() + OFFER_MARGIN_MS {
                continue;
            }
            let command = Command::Accept {
                driver: offer.driver.clone(),
                offer: offer.offer.clone(),
                ride: offer.ride.clone(),
            };
            self.ledger.sent(&command);
            let path = format!("/v1/offers/{}/accept", offer.offer);
            let answer = self.ask(&Request::post(&path, "{}")).await?;
            self.ledger.answered(&command);
            self.ledger.offer_over(&offer.offer);
            if unix_ms() >= offer.expires_ms {
                continue;
            }
            findings.offers.0 += 1;
            match self.judge_accept(&offer, &answer).await? {
                Ok(won) => findings.offers.1 += usize::from(won),
                Err(what) => findings.mismatches.push(format!(
                    "offer {} of ride {} to {}: {what}",
                    offer.offer, offer.ride, offer.driver
                )),
            }
        }
        Ok(())
    }

    async fn judge_accept(
        &self,
        offer: &OfferBook,
        answer: &Response,
    ) -> anyhow::Result<Result<bool, String>> {
        if !answer.ok() {
            let code = answer.json::<Problem>().map_or_else(|_| "?".to_owned(), |p| p.code);
            let told = self.ledger.told(&offer.ride);
            let ride = self.ride(&offer.ride).await?;
            // Nobody may have been told yet that the ride went to another driver, or was called off.
            let gone = ride.status != RideStatus::Searching
                || told.is_some_and(|told| ride.attempt > told.attempt);
            let state = format!("{} in version {}", ride.status.name(), ride.version);
            let what = format!("live when told, now {} {code}, the ride {state}", answer.status);
            return Ok(if gone && code == "unknown_offer" { Ok(false) } else { Err(what) });
        }
        let result: AcceptResult = answer.json()?;
        if let Some(ride) = &result.ride {
            let bound = ride.driver_id() == Some(offer.driver.as_str());
            let verdict = self.ledger.check(ride);
            let verdict = verdict.and_then(|()| {
                bound.then_some(true).ok_or_else(|| "won, and another driver's".to_owned())
            });
            return Ok(verdict);
        }
        let told = self.ledger.told(&offer.ride);
        let ride = self.ride(&offer.ride).await?;
        let again = told.is_some_and(|told| ride.attempt > told.attempt);
        let reason = result.reason.unwrap_or_default();
        let lawful = match reason.as_str() {
            "taken" => ride.driver.is_some(),
            "cancelled" => ride.status == RideStatus::Cancelled,
            "superseded" => again,
            _ => false,
        };
        let what =
            || format!("{} ({reason}) while the ride is {}", result.result, ride.status.name());
        Ok(lawful.then_some(false).ok_or_else(what))
    }

    async fn ride(&self, id: &str) -> anyhow::Result<RideView> {
        self.ask(&Request::get(&format!("/v1/rides/{id}"))).await?.json()
    }

    /// Compares every ride with what was told of it.
    async fn rides(&self, findings: &mut Findings) -> anyhow::Result<()> {
        let ids = self.ledger.rides();
        findings.rides = ids.len();
        let asked = ids.into_iter().map(|id| async move {
            let answer = self.ask(&Request::get(&format!("/v1/rides/{id}"))).await?;
            if !answer.ok() {
                return Ok(Err(format!("ride {id} was acknowledged, now {}", answer.status)));
            }
            anyhow::Ok(self.ledger.check(&answer.json()?))
        });
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some(verdict) = asked.next().await {
            if let Err(what) = verdict? {
                findings.mismatches.push(what);
            }
        }
        Ok(())
    }

    /// No driver is on two rides, and rides and drivers agree about each other.
    async fn bindings(&self, findings: &mut Findings) -> anyhow::Result<()> {
        let mut serving: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for status in ["assigned", "arrived", "in_progress"] {
            for ride in self.list(&format!("market=nyc&status={status}")).await? {
                let driver = ride.driver_id().unwrap_or_default().to_owned();
                serving.entry(driver).or_default().push(ride.ride_id);
            }
        }
        findings.busy = serving.len();
        for (driver, rides) in serving.iter().filter(|(_, rides)| rides.len() > 1) {
            findings.mismatches.push(format!("{driver} is on the rides {rides:?}"));
        }
        let asked = (0..self.drivers).map(|number| async move {
            let path = format!("/v1/drivers/{}", Fleet::id(number));
            let answer = self.ask(&Request::get(&path)).await?;
            anyhow::ensure!(answer.ok(), "{path} answered {}", answer.status);
            answer.json::<DriverView>()
        });
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some(driver) = asked.next().await {
            let driver = driver?;
            findings.drivers += 1;
            let listed = serving.get(&driver.driver_id).and_then(|rides| rides.first());
            if listed != driver.ride_id.as_ref() {
                findings.mismatches.push(format!(
                    "{} says he serves {:?}, the rides say {listed:?}",
                    driver.driver_id, driver.ride_id
                ));
            }
            if driver.status == "offline" {
                findings.mismatches.push(format!("{} was online, now is not", driver.driver_id));
            }
        }
        Ok(())
    }

    /// Every rider who ever asked has one ride.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn one_ride_each(&self) -> anyhow::Result<Vec<String>> {
        let mut rides: BTreeMap<String, String> = BTreeMap::new();
        let mut mismatches = Vec::new();
        for ride in self.list("market=nyc").await? {
            if let Some(other) = rides.insert(ride.rider_id.clone(), ride.ride_id.clone())
                && other != ride.ride_id
            {
                let rider = ride.rider_id;
                mismatches.push(format!("{rider} has the rides {other} and {}", ride.ride_id));
            }
        }
        Ok(mismatches)
    }

    /// All pages of a list of rides.
    async fn list(&self, query: &str) -> anyhow::Result<Vec<RideView>> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let from = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let path = format!("/v1/rides?{query}&limit=200{from}");
            let answer = self.ask(&Request::get(&path)).await?;
            anyhow::ensure!(answer.ok(), "{path} answered {}", answer.status);
            let page: RidePage = answer.json()?;
            all.extend(page.rides);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(all);
            }
        }
    }
}
