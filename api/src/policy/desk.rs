//! The one place where policies change: one change of a market at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_actors::{Dispatch, StoreError};
use muster_engine::id::MarketId;
use muster_engine::policy::PolicyBook;
use muster_engine::time::Timestamp;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::document::shape_fault;
use super::{BookDocument, ChangeCause, PolicyChange, PolicyLog};
use crate::wire::FieldFault;

/// Why a policy did not change. The one in force stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// There is no such market.
    #[error("no market has this id")]
    UnknownMarket,
    /// The caller knows another version than the one in force.
    #[error("version {in_force} is in force")]
    Version {
        /// The version in force.
        in_force: u64,
    },
    /// The document describes no book.
    #[error("the policies are refused: {0:?}")]
    Refused(Vec<FieldFault>),
    /// The change could not be made durable.
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// How one market stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// What is in force.
    pub book: Arc<PolicyBook>,
    /// The change that put it in force; nothing while it is the configuration's from the start.
    pub newest: Option<PolicyChange>,
    /// Since when; as for `newest`, otherwise the start of the process.
    pub since: Timestamp,
    configured: Arc<PolicyBook>,
    configured_hash: String,
    /// What was in force when the configuration changed while the server was down: the change is
    /// recorded as soon as the clock runs.
    unrecorded: Option<BookDocument>,
}

/// How all markets stand when the process starts, before its first ride is resumed.
#[derive(Debug)]
pub struct Standings(BTreeMap<MarketId, Standing>);

impl Standings {
    /// Puts the newest stored book of each market before the configured one, unless the latter
    /// changed since.
    ///
    /// # Errors
    /// [`StoreError`] when the log cannot be read.
    pub async fn load(
        log: &dyn PolicyLog,
        configured: &BTreeMap<MarketId, Arc<PolicyBook>>,
    ) -> Result<Self, StoreError> {
        let mut standings = BTreeMap::new();
        for (market, book) in configured {
            let newest = log.policy_changes(market, 1).await?.into_iter().next();
            standings.insert(market.clone(), Standing::at_start(book, newest)?);
        }
        Ok(Self(standings))
    }

    /// The books to start with.
    pub fn books(&self) -> BTreeMap<MarketId, Arc<PolicyBook>> {
        self.0
            .iter()
            .map(|(market, standing)| (market.clone(), Arc::clone(&standing.book)))
            .collect()
    }
}

impl Standing {
    fn at_start(
        configured: &Arc<PolicyBook>,
        newest: Option<PolicyChange>,
    ) -> Result<Self, StoreError> {
        let configured_hash = hash(configured)?;
        let mut standing = Self {
            book: Arc::clone(configured),
            newest: None,
            since: Timestamp::default(),
            configured: Arc::clone(configured),
            configured_hash,
            unrecorded: None,
        };
        let Some(newest) = newest else { return Ok(standing) };
        let stored = newest.after.book(newest.version, configured);
        if let Err(faults) = &stored {
            tracing::error!(market = %newest.market, version = newest.version, ?faults,
                "the stored policies are refused, the configured ones are put in force");
        }
        match stored {
            Ok(book) if newest.configured == standing.configured_hash => {
                standing.book = Arc::new(book);
                standing.since = newest.at;
                standing.newest = Some(newest);
            }
            Ok(_) | Err(_) => {
                let book = PolicyBook::clone(configured).with_version(newest.version + 1);
                standing.book = Arc::new(book);
                standing.unrecorded = Some(newest.after);
            }
        }
        Ok(standing)
    }

    /// What put the book in force.
    pub fn cause(&self) -> ChangeCause {
        self.newest.as_ref().map_or(ChangeCause::Configuration, |change| change.cause)
    }
}

/// Reads and changes what is in force.
pub struct PolicyDesk {
    dispatch: Dispatch,
    log: Arc<dyn PolicyLog>,
    markets: BTreeMap<MarketId, Mutex<Standing>>,
}

impl PolicyDesk {
    /// Takes over from the start: `dispatch` runs on the books of `standings`.
    ///
    /// # Errors
    /// [`StoreError`] when a change of the configuration cannot be recorded.
    pub async fn open(
        dispatch: Dispatch,
        log: Arc<dyn PolicyLog>,
        standings: Standings,
    ) -> Result<Self, StoreError> {
        let mut markets = BTreeMap::new();
        for (market, mut standing) in standings.0 {
            if let Some(before) = standing.unrecorded.take() {
                let change = PolicyChange {
                    market: market.clone(),
                    version: standing.book.version(),
                    at: dispatch.now(),
                    cause: ChangeCause::File,
                    correlation_id: Uuid::now_v7().to_string(),
                    configured: standing.configured_hash.clone(),
                    before,
                    after: BookDocument::of(&standing.book),
                };
                log.append_policy(&change).await?;
                tell(&change);
                standing.since = change.at;
                standing.newest = Some(change);
            } else if standing.newest.is_none() {
                standing.since = dispatch.now();
            }
            markets.insert(market, Mutex::new(standing));
        }
        Ok(Self { dispatch, log, markets })
    }

    /// How a market stands.
    ///
    /// # Errors
    /// [`DeskError::UnknownMarket`].
    pub async fn standing(&self, market: &MarketId) -> Result<Standing, DeskError> {
        let standing = self.markets.get(market).ok_or(DeskError::UnknownMarket)?;
        Ok(standing.lock().await.clone())
    }

    /// The changes of a market, newest first.
    ///
    /// # Errors
    /// [`DeskError::UnknownMarket`], [`DeskError::Store`].
    pub async fn history(
        &self,
        market: &MarketId,
        limit: u32,
    ) -> Result<Vec<PolicyChange>, DeskError> {
        let known = self.markets.get_key_value(market);
        let (market, _) = known.ok_or(DeskError::UnknownMarket)?;
        Ok(self.log.policy_changes(market, limit).await?)
    }

    /// Replaces a market's book, if one of `versions` (any, without them) is in force. It is durable
    /// when this returns.
    ///
    /// # Errors
    /// [`DeskError`]; the book in force stays.
    pub async fn change(
        &self,
        market: &MarketId,
        document: &BookDocument,
        versions: Option<&[u64]>,
        correlation_id: String,
    ) -> Result<Standing, DeskError> {
        let standing = self.markets.get(market).ok_or(DeskError::UnknownMarket)?;
        let mut standing = standing.lock().await;
        let in_force = standing.book.version();
        if versions.is_some_and(|versions| !versions.contains(&in_force)) {
            return Err(DeskError::Version { in_force });
        }
        let book = document.book(in_force + 1, &standing.configured);
        let book = book.map_err(DeskError::Refused)?;
        if let Some(known) = self.dispatch.markets().get(market) {
            let zones = book.check_zones(known.zones());
            zones.map_err(|error| DeskError::Refused(vec![shape_fault(&error)]))?;
        }
        let hash = standing.configured_hash.clone();
        let change = self.drafted(market, &standing, &book, ChangeCause::Api, correlation_id, hash);
        self.put_in_force(&mut standing, book, change).await?;
        Ok(standing.clone())
    }

    /// Takes over what the configuration says now: a market whose configured book changed gets it,
    /// whatever was put there before. Returns how many did.
    ///
    /// # Errors
    /// [`StoreError`]; the markets not yet changed keep their books and are changed by a repeat.
    pub async fn reconfigure(
        &self,
        books: &BTreeMap<MarketId, Arc<PolicyBook>>,
    ) -> Result<usize, StoreError> {
        let (mut changed, correlation_id) = (0, Uuid::now_v7().to_string());
        for (market, configured) in books {
            let Some(standing) = self.markets.get(market) else { continue };
            let mut standing = standing.lock().await;
            let hash = hash(configured)?;
            if hash == standing.configured_hash {
                continue;
            }
            let version = standing.book.version() + 1;
            let book = PolicyBook::clone(configured).with_version(version);
            let (cause, id) = (ChangeCause::File, correlation_id.clone());
            let change = self.drafted(market, &standing, &book, cause, id, hash.clone());
            self.put_in_force(&mut standing, book, change).await?;
            standing.configured = Arc::clone(configured);
            standing.configured_hash = hash;
            changed += 1;
        }
        Ok(changed)
    }

    fn drafted(
        &self,
        market: &MarketId,
        standing: &Standing,
        book: &PolicyBook,
        cause: ChangeCause,
        correlation_id: String,
        configured: String,
    ) -> PolicyChange {
        PolicyChange {
            market: market.clone(),
            version: book.version(),
            at: self.dispatch.now(),
            cause,
            correlation_id,
            configured,
            before: BookDocument::of(&standing.book),
            after: BookDocument::of(book),
        }
    }

    async fn put_in_force(
        &self,
        standing: &mut Standing,
        book: PolicyBook,
        change: PolicyChange,
    ) -> Result<(), StoreError> {
        if let Err(error) = self.log.append_policy(&change).await {
            // A write that failed half way may be durable all the same.
            let newest = self.log.policy_changes(&change.market, 1).await?;
            if newest.first() != Some(&change) {
                return Err(error);
            }
        }
        let book = Arc::new(book);
        if self.dispatch.set_policies(&change.market, Arc::clone(&book)).is_err() {
            return Err(StoreError::Conflict(format!("market {} is gone", change.market)));
        }
        tell(&change);
        standing.book = book;
        standing.since = change.at;
        standing.newest = Some(change);
        Ok(())
    }
}

fn hash(book: &PolicyBook) -> Result<String, StoreError> {
    let hash = BookDocument::of(book).hash();
    hash.map_err(|error| StoreError::Corrupt(format!("policies without a JSON form: {error}")))
}

fn tell(change: &PolicyChange) {
    tracing::info!(market = %change.market, version = change.version, cause = change.cause.name(),
        correlation_id = change.correlation_id, "other policies are in force");
}
