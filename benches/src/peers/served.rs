//! Servers of their own: Redis, Tile38, PostGIS, each as it is used well.

use muster_engine::geo::Position;
use muster_engine_benches::contender::is_free;
use muster_engine_benches::workload::{Move, NEAREST, RADIUS_M};
use muster_services::{Postgres, Redis, ServiceError, Tile38};
use redis::{Client, Connection};
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::runtime::Runtime;

use super::contenders::{Missing, Peer, Reader, Writer};

/// The keys or collections of the drivers who are free and of the others: no search of Redis filters, so
/// that it is asked of the free ones only, and of no more of them than are wanted.
const FREE: &str = "free";
const TAKEN: &str = "taken";
/// Members that one command names at most: other clients wait while it runs.
const COMMAND_MEMBERS_MAX: usize = 256;

fn missing(error: impl std::fmt::Display) -> Missing {
    Missing(error.to_string())
}

/// A server that speaks the protocol of Redis, and its words.
struct Resp<S> {
    _server: S,
    client: Client,
    words: Words,
}

#[derive(Clone, Copy)]
enum Words {
    Redis,
    Tile38,
}

pub(super) fn redis() -> Result<Box<dyn Peer>, Missing> {
    let server = Redis::start().map_err(missing)?;
    let client = Client::open(server.url()).map_err(missing)?;
    Ok(Box::new(Resp { _server: server, client, words: Words::Redis }))
}

pub(super) fn tile38() -> Result<Box<dyn Peer>, Missing> {
    let server = Tile38::start().map_err(|error| match error {
        ServiceError::Missing(program) => Missing(format!("{program} is not in PATH")),
        ServiceError::Failed { .. } | ServiceError::Io(_) => missing(error),
    })?;
    let client = Client::open(server.url()).map_err(missing)?;
    Ok(Box::new(Resp { _server: server, client, words: Words::Tile38 }))
}

struct RespLink {
    connection: Connection,
    words: Words,
}

impl<S> Resp<S> {
    fn link(&self) -> anyhow::Result<RespLink> {
        Ok(RespLink { connection: self.client.get_connection()?, words: self.words })
    }
}

impl<S: Sync> Peer for Resp<S> {
    fn batches(&self) -> &'static [usize] {
        &[1, 16, 256, 4 * COMMAND_MEMBERS_MAX]
    }

    /// With more connections than cores the server always has a command to read.
    fn writers(&self) -> &'static [usize] {
        &[1, 2, 4]
    }

    fn writer(&self) -> anyhow::Result<Box<dyn Writer + '_>> {
        Ok(Box::new(self.link()?))
    }

    fn reader(&self) -> anyhow::Result<Box<dyn Reader + '_>> {
        Ok(Box::new(self.link()?))
    }
}

impl Writer for RespLink {
    fn apply(&mut self, moves: &[Move]) -> anyhow::Result<()> {
        let mut pipeline = redis::pipe();
        match self.words {
            // One command may name many members of a key: cheaper than one command each. Several commands
            // of them are under way at once.
            Words::Redis => {
                let (free, taken): (Vec<&Move>, Vec<&Move>) =
                    moves.iter().partition(|step| is_free(step.driver));
                for (key, moves) in [(FREE, free), (TAKEN, taken)] {
                    for moves in moves.chunks(COMMAND_MEMBERS_MAX) {
                        let command = pipeline.cmd("GEOADD").arg(key);
                        for step in moves {
                            command.arg(step.to.lng()).arg(step.to.lat()).arg(step.driver);
                        }
                        command.ignore();
                    }
                }
            }
            Words::Tile38 => {
                for step in moves {
                    let key = if is_free(step.driver) { FREE } else { TAKEN };
                    let command = pipeline.cmd("SET").arg(key).arg(step.driver).arg("POINT");
                    command.arg(step.to.lat()).arg(step.to.lng()).ignore();
                }
            }
        }
        pipeline.query::<()>(&mut self.connection)?;
        Ok(())
    }
}

impl Reader for RespLink {
    fn nearest(&mut self, to: Position, found: &mut Vec<usize>) -> anyhow::Result<()> {
        *found = match self.words {
            Words::Redis => {
                let mut search = redis::cmd("GEOSEARCH");
                search.arg(FREE).arg("FROMLONLAT").arg(to.lng()).arg(to.lat());
                search.arg("BYRADIUS").arg(RADIUS_M).arg("m").arg("ASC").arg("COUNT").arg(NEAREST);
                search.query(&mut self.connection)?
            }
            Words::Tile38 => {
                let mut search = redis::cmd("NEARBY");
                search.arg(FREE).arg("LIMIT").arg(NEAREST).arg("IDS").arg("POINT");
                search.arg(to.lat()).arg(to.lng()).arg(RADIUS_M);
                let (_cursor, near): (u64, Vec<usize>) = search.query(&mut self.connection)?;
                near
            }
        };
        Ok(())
    }
}

/// PostgreSQL with PostGIS: an unlogged table with an index on the positions of the drivers who are free.
struct PostGis {
    _server: Postgres,
    url: String,
}

pub(super) fn postgis() -> Result<Box<dyn Peer>, Missing> {
    let server = Postgres::start().map_err(missing)?;
    let url = server.database().map_err(missing)?;
    let database = url.rsplit('/').next().unwrap_or_default();
    server
        .sql(
            database,
            "CREATE EXTENSION postgis; \
             CREATE UNLOGGED TABLE fleet (driver bigint PRIMARY KEY, free boolean NOT NULL, \
             at geography(Point) NOT NULL); \
             CREATE INDEX fleet_at ON fleet USING gist (at) WHERE free",
        )
        .map_err(missing)?;
    Ok(Box::new(PostGis { _server: server, url }))
}

struct SqlLink {
    runtime: Runtime,
    connection: PgConnection,
}

impl PostGis {
    fn link(&self) -> anyhow::Result<SqlLink> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let connection = runtime.block_on(PgConnection::connect(&self.url))?;
        Ok(SqlLink { runtime, connection })
    }
}

impl Peer for PostGis {
    fn batches(&self) -> &'static [usize] {
        &[1, 100, 1_000]
    }

    /// A statement of a connection is one process of the server.
    fn writers(&self) -> &'static [usize] {
        &[1, 2, 4]
    }

    fn filled(&self) -> anyhow::Result<()> {
        let mut link = self.link()?;
        link.runtime.block_on(sqlx::query("VACUUM ANALYZE fleet").execute(&mut link.connection))?;
        Ok(())
    }

    fn writer(&self) -> anyhow::Result<Box<dyn Writer + '_>> {
        Ok(Box::new(self.link()?))
    }

    fn reader(&self) -> anyhow::Result<Box<dyn Reader + '_>> {
        Ok(Box::new(self.link()?))
    }
}

impl Writer for SqlLink {
    fn apply(&mut self, moves: &[Move]) -> anyhow::Result<()> {
        // A row may change once in a statement, and rows are locked in one order by all writers.
        let newest: std::collections::BTreeMap<usize, Position> =
            moves.iter().map(|step| (step.driver, step.to)).collect();
        let drivers: Vec<i64> = newest.keys().map(|driver| *driver as i64).collect();
        let free: Vec<bool> = newest.keys().map(|driver| is_free(*driver)).collect();
        let lats: Vec<f64> = newest.values().map(|place| place.lat()).collect();
        let lngs: Vec<f64> = newest.values().map(|place| place.lng()).collect();
        let upsert = sqlx::query(
            "INSERT INTO fleet (driver, free, at) \
             SELECT driver, free, ST_MakePoint(lng, lat)::geography \
             FROM UNNEST($1::bigint[], $2::boolean[], $3::float8[], $4::float8[]) \
             AS v (driver, free, lat, lng) \
             ON CONFLICT (driver) DO UPDATE SET at = excluded.at",
        );
        let upsert = upsert.bind(drivers).bind(free).bind(lats).bind(lngs);
        self.runtime.block_on(upsert.execute(&mut self.connection))?;
        Ok(())
    }
}

impl Reader for SqlLink {
    fn nearest(&mut self, to: Position, found: &mut Vec<usize>) -> anyhow::Result<()> {
        // The index gives the nearest in order; a condition on the distance beside it would have all
        // drivers within it sorted first.
        let search = sqlx::query(
            "SELECT driver FROM (SELECT driver, at <-> ST_MakePoint($1, $2)::geography AS metres \
             FROM fleet WHERE free ORDER BY at <-> ST_MakePoint($1, $2)::geography LIMIT $4) AS nearest \
             WHERE metres <= $3 ORDER BY metres",
        );
        let search = search.bind(to.lng()).bind(to.lat()).bind(RADIUS_M).bind(NEAREST as i64);
        let rows = self.runtime.block_on(search.fetch_all(&mut self.connection))?;
        found.clear();
        for row in &rows {
            found.push(usize::try_from(row.try_get::<i64, _>(0)?)?);
        }
        Ok(())
    }
}
