//! Commits that PostgreSQL did not answer, seen through a wire that can be cut at the right byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_actors::{Store, StoreError};
use muster_api::http::history::RideHistory;
use muster_api::policy::PolicyLog;
use muster_api::store::{Database, PostgresOptions, PostgresStore};
use muster_engine::id::MarketId;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::fixtures::{kept, patient, ride_id, server, step};
use crate::policies::change;

/// When the next commit loses its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Before the server hears of it.
    Before,
    /// After the server heard of it, before it is answered.
    After,
}

/// A wire to the server.
#[derive(Default)]
struct Wire {
    cut_before: AtomicBool,
    cut_after: AtomicBool,
    /// Whether new connections are refused.
    down: AtomicBool,
}

impl Wire {
    /// Lays a wire; returns its port.
    async fn lay(self: &Arc<Self>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let wire = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !wire.down.load(Ordering::SeqCst) {
                    tokio::spawn(Arc::clone(&wire).carry(client));
                }
            }
        });
        port
    }

    async fn carry(self: Arc<Self>, client: TcpStream) {
        let Ok(database) = TcpStream::connect(("127.0.0.1", server().port())).await else { return };
        let (from_client, to_client) = client.into_split();
        let (from_database, to_database) = database.into_split();
        let answers = tokio::spawn(copy(from_database, to_client));
        self.ask(from_client, to_database).await;
        answers.abort();
    }

    /// Carries what is asked until the wire is cut. `answers` end with it.
    async fn ask(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = vec![0; 65_536];
        loop {
            let Ok(count @ 1..) = from.read(&mut bytes).await else { return };
            let is_commit = bytes[..count].windows(6).any(|word| word == b"COMMIT");
            if is_commit && self.cut_before.swap(false, Ordering::SeqCst) {
                return;
            }
            let cut = is_commit && self.cut_after.swap(false, Ordering::SeqCst);
            if to.write_all(&bytes[..count]).await.is_err() || cut {
                return;
            }
        }
    }

    fn cut(&self, cut: Cut, down: bool) {
        self.down.store(down, Ordering::SeqCst);
        let cut_it = match cut {
            Cut::Before => &self.cut_before,
            Cut::After => &self.cut_after,
        };
        cut_it.store(true, Ordering::SeqCst);
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let _ended = tokio::io::copy(&mut from, &mut to).await;
}

/// A store at the end of a wire, which owns the markets.
async fn wired() -> (Arc<Wire>, PostgresStore) {
    let wire = Arc::new(Wire::default());
    let port = wire.lay().await;
    let url = server().database().unwrap();
    let url = url.replace(&format!(":{}/", server().port()), &format!(":{port}/"));
    let options = PostgresOptions {
        connect_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(30),
        reconnect_max: Duration::from_millis(100),
        ..PostgresOptions::new(&url, "muster").unwrap()
    };
    let store = PostgresStore::open(options).await.unwrap();
    store.begin_epoch().await.unwrap();
    assert_eq!(store.commit(&[step("r-0", 1, None)]).await, vec![Ok(())]);
    (wire, store)
}

/// The version of a ride once the store says it.
async fn version(store: &PostgresStore, ride: &str) -> u64 {
    let ride = ride_id(ride);
    loop {
        if let Ok(found) = store.load_ride(&ride).await {
            return found.map_or(0, |record| record.version);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_asked_for_and_holds() {
    let (wire, store) = wired().await;
    wire.cut(Cut::After, false);
    let batch = [step("r-1", 1, None), step("r-0", 1, None), step("r-2", 1, None)];
    let results = store.commit(&batch).await;
    assert_eq!(kept(&results), [true, false, true], "verdicts are those of the first try");
    assert_eq!(store.commit(&[step("r-1", 2, None)]).await, vec![Ok(())]);
    assert_eq!(store.ride_events(&ride_id("r-1"), 0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_known_to_be_lost() {
    let (wire, store) = wired().await;
    wire.cut(Cut::Before, false);
    let results = store.commit(&[step("r-1", 1, None)]).await;
    assert!(matches!(results[..], [Err(StoreError::Unavailable(_))]), "{results:?}");
    assert_eq!(version(&store, "r-1").await, 0);
    assert_eq!(store.commit(&[step("r-1", 1, None)]).await, vec![Ok(())]);
}

#[tokio::test]
async fn a_commit_in_doubt_is_settled_before_anything_is_read_or_written() {
    for (cut, holds) in [(Cut::Before, false), (Cut::After, true)] {
        let (wire, store) = wired().await;
        wire.cut(cut, true);
        let results = store.commit(&[step("r-1", 1, None)]).await;
        assert!(matches!(results[..], [Err(StoreError::InDoubt(_))]), "{results:?}");
        let read = store.load_ride(&ride_id("r-1")).await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        let other = store.commit(&[step("r-2", 1, None)]).await;
        assert!(matches!(other[..], [Err(StoreError::Unavailable(_))]), "{other:?}");
        wire.down.store(false, Ordering::SeqCst);
        assert_eq!(version(&store, "r-1").await, u64::from(holds), "{cut:?}");
        let next = 1 + u64::from(holds);
        assert_eq!(store.commit(&[step("r-1", next, None)]).await, vec![Ok(())]);
    }
}

#[tokio::test]
async fn a_database_that_is_back_is_found_without_being_asked_for_anything() {
    let (wire, store) = wired().await;
    wire.cut(Cut::After, true);
    let results = store.commit(&[step("r-1", 1, None)]).await;
    assert!(matches!(results[..], [Err(StoreError::InDoubt(_))]), "{results:?}");
    wire.down.store(false, Ordering::SeqCst);
    // As the server does every second.
    loop {
        store.tidy().await.unwrap();
        // The pool alone does not end a doubt: history tells nothing of it.
        if store.load_ride(&ride_id("r-1")).await.is_ok() {
            break;
        }
    }
    assert_eq!(version(&store, "r-1").await, 1);
}

#[tokio::test]
async fn a_policy_whose_answer_is_lost_leaves_room_for_the_next() {
    let nyc = MarketId::new("nyc").unwrap();
    for cut in [Cut::Before, Cut::After] {
        let (wire, store) = wired().await;
        store.append_policy(&change(1)).await.unwrap();
        wire.cut(cut, true);
        let unknown = store.append_policy(&change(2)).await;
        assert!(matches!(unknown, Err(StoreError::InDoubt(_))), "{unknown:?}");
        wire.down.store(false, Ordering::SeqCst);
        assert_eq!(version(&store, "r-0").await, 1);
        let mut again = change(2);
        again.correlation_id = "another call".to_owned();
        assert_eq!(store.append_policy(&again).await, Ok(()));
        assert_eq!(store.policy_changes(&nyc, 9).await, Ok(vec![again, change(1)]));
    }
}

#[tokio::test]
async fn an_epoch_begins_only_once_the_commit_that_runs_has_ended() {
    let url = server().database().unwrap();
    let store = PostgresStore::open(patient(&url)).await.unwrap();
    let other = format!("{url}?options=-csearch_path%3Dmuster");
    let mut committing = PgConnection::connect(&other).await.unwrap();
    let mut running = committing.begin().await.unwrap();
    let lock = sqlx::query("SELECT epoch FROM meta FOR UPDATE");
    lock.execute(&mut *running).await.unwrap();
    let beginning = tokio::spawn(async move { store.begin_epoch().await });
    let mut watching = PgConnection::connect(&other).await.unwrap();
    loop {
        let waiting = sqlx::query_scalar(
            "SELECT COUNT(*) FROM pg_stat_activity \
             WHERE datname = CURRENT_DATABASE() AND wait_event_type = 'Lock'",
        );
        let waiting: i64 = waiting.fetch_one(&mut watching).await.unwrap();
        assert!(!beginning.is_finished(), "it did not wait");
        if waiting > 0 {
            break;
        }
    }
    running.commit().await.unwrap();
    assert_eq!(beginning.await.unwrap(), Ok(1));
}
