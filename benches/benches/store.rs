//! A commit of ride transitions that wait together, on SQLite and, where it is installed, PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a benchmark ends by panicking")]

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use muster_actors::{Durable, Store};
use muster_api::store::{Database, PostgresOptions, PostgresStore, SqliteStore};
use muster_benches::relay::life;
use muster_services::Postgres;
use tokio::runtime::Runtime;

// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns that wait for the commit before theirs and share the next: one of a ride each.
const WAITING: [u64; 3] = [1, 64, 1_024];

/// The first transitions of so many rides that nobody knows yet.
fn requests(next: &mut u64, count: u64) -> Vec<Durable> {
    let first = *next;
    *next += count;
    (first..*next).map(|number| life(number).unwrap().remove(0)).collect()
}

async fn commits(store: &dyn Store, next: &mut u64, waiting: u64, rounds: u64) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        let batch = requests(next, waiting);
        let began = Instant::now();
        let verdicts = store.commit(&batch).await;
        took += began.elapsed();
        assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    }
    took
}

fn commit(criterion: &mut Criterion, runtime: &Runtime, name: &str, store: &dyn Store) {
    let mut group = criterion.benchmark_group("group commit");
    group.sample_size(30);
    let mut next = 0;
    for waiting in WAITING {
        group.throughput(Throughput::Elements(waiting));
        let name = format!("{name}, {waiting} waiting");
        group.bench_function(name, |bencher| {
            bencher
                .iter_custom(|rounds| runtime.block_on(commits(store, &mut next, waiting, rounds)));
        });
    }
    group.finish();
}

#[expect(clippy::print_stdout, reason = "what is missing is part of the result")]
fn stores(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = runtime.block_on(async {
        let store = SqliteStore::open(&folder.path().join("muster.db")).await.unwrap();
        store.begin_epoch().await.unwrap();
        store
    });
    commit(criterion, &runtime, "SQLite", &sqlite);
    runtime.block_on(sqlite.close()).unwrap();
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(error) => return println!("PostgreSQL is missing here: {error}"),
    };
    let postgres = runtime.block_on(async {
        let options = PostgresOptions::new(&server.database().unwrap(), "muster").unwrap();
        let store = PostgresStore::open(options).await.unwrap();
        store.begin_epoch().await.unwrap();
        store
    });
    commit(criterion, &runtime, "PostgreSQL", &postgres);
    runtime.block_on(postgres.close()).unwrap();
}

criterion_group!(benches, stores);
criterion_main!(benches);
