-- Durable truth of dispatch, as in SQLite. Instants are Unix milliseconds; `request`, `state`,
-- `profile`, `body` and their like are JSON, kept as it was written. Ids compare byte by byte. Tables
-- are made in the first schema of the search path.

CREATE TABLE meta (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Fencing token: who holds the newest one owns all markets.
    epoch BIGINT NOT NULL,
    -- The number of the newest commit. Each commit locks this row and counts it, so commits follow one
    -- another, ids become visible in their order, and a commit whose end nobody heard is found again.
    batch BIGINT NOT NULL,
    -- The newest ids that were given out.
    last_event BIGINT NOT NULL,
    last_decision BIGINT NOT NULL,
    last_zone_event BIGINT NOT NULL
);
INSERT INTO meta (only_row, epoch, batch, last_event, last_decision, last_zone_event)
    VALUES (1, 0, 0, 0, 0, 0);

-- Current state of each ride. Its pages have room for the next version of a row.
CREATE TABLE rides (
    ride_id TEXT COLLATE "C" PRIMARY KEY,
    market TEXT COLLATE "C" NOT NULL,
    rider_id TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    driver_id TEXT COLLATE "C",
    version BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    requested_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    request_key TEXT COLLATE "C" UNIQUE,
    request_fingerprint TEXT,
    -- What was asked for; never changes.
    request TEXT NOT NULL,
    -- Its newest event, which holds the present state.
    last_event BIGINT NOT NULL,
    -- Its newest decision, if any was taken.
    last_decision BIGINT,
    -- Whether it waits until its driver has finished the ride he serves.
    forward BOOLEAN NOT NULL DEFAULT FALSE
) WITH (fillfactor = 80);
-- The last line of defence: a driver has one ride that he serves and one that waits for him.
CREATE UNIQUE INDEX rides_active_driver ON rides (driver_id, forward)
    WHERE status IN ('assigned', 'arrived', 'in_progress');
-- Two indexes serve every listing: the market is compared inside the index.
CREATE INDEX rides_by_request ON rides (requested_at, ride_id, market);
CREATE INDEX rides_by_status ON rides (status, requested_at, ride_id, market);
-- Retention, and the newest instant.
CREATE INDEX rides_ended ON rides (updated_at)
    WHERE status IN ('completed', 'cancelled', 'unfulfilled');

-- Append-only history; `event_id` is the order of all transitions of all rides.
CREATE TABLE ride_events (
    event_id BIGINT PRIMARY KEY,
    ride_id TEXT COLLATE "C" NOT NULL,
    -- The event of the same ride before this one.
    prev_event BIGINT,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    -- The ride after it, without the request.
    state TEXT NOT NULL
);

-- Who was considered for each wave; bounded by retention.
CREATE TABLE decisions (
    decision_id BIGINT PRIMARY KEY,
    ride_id TEXT COLLATE "C" NOT NULL,
    -- The decision about the same ride before this one.
    prev_decision BIGINT,
    attempt BIGINT NOT NULL,
    wave BIGINT NOT NULL,
    at BIGINT NOT NULL,
    body TEXT NOT NULL
);

-- Profile and intent of each driver; `updated_at` is wall-clock time, for people.
CREATE TABLE drivers (
    driver_id TEXT COLLATE "C" PRIMARY KEY,
    market TEXT COLLATE "C" NOT NULL,
    online BOOLEAN NOT NULL,
    profile TEXT NOT NULL,
    rider_blocks TEXT NOT NULL,
    stats TEXT,
    updated_at BIGINT NOT NULL
);

-- Newest position of each driver as of the last snapshot. It is not worth a log: after a crash of the
-- server the table is empty, and supply is back with the first fixes.
CREATE UNLOGGED TABLE positions (
    driver_id TEXT COLLATE "C" PRIMARY KEY,
    lat_e7 BIGINT NOT NULL,
    lng_e7 BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL
) WITH (fillfactor = 50);

-- First answers to mutating calls, kept for a day.
CREATE TABLE idempotency (
    key TEXT COLLATE "C" PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    body BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- Every change of a market's policies.
CREATE TABLE policies (
    market TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    at BIGINT NOT NULL,
    cause TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    -- A hash of the configured book at that time.
    configured TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    PRIMARY KEY (market, version)
);

-- The queue of each zone: JSON of its whole state, and what happened to it.
CREATE TABLE zone_queues (
    market TEXT COLLATE "C" NOT NULL,
    zone TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (market, zone)
);

-- Append-only; bounded by retention.
CREATE TABLE zone_queue_events (
    event_id BIGINT PRIMARY KEY,
    market TEXT COLLATE "C" NOT NULL,
    zone TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    driver_id TEXT COLLATE "C" NOT NULL,
    -- Why he left, for `left`.
    reason TEXT,
    -- An operator's words.
    note TEXT
);

-- Written and emptied in one transaction to find out whether the disk takes new pages.
CREATE TABLE write_probe (
    body BYTEA NOT NULL
);
ALTER TABLE write_probe ALTER COLUMN body SET STORAGE EXTERNAL;
