-- What a transition writes is what a city at rush hour pays for. The request never changes, so it is
-- stored once, apart from the state; the state is stored once, with its event; the history of a ride
-- is a chain from its newest event to its oldest, so that no index grows with every transition.

ALTER TABLE ride_events RENAME TO ride_events_before;
ALTER TABLE decisions RENAME TO decisions_before;
DROP INDEX decisions_by_ride;
DROP INDEX rides_active_driver;
DROP INDEX rides_by_request;
DROP INDEX rides_by_status;
DROP INDEX rides_ended;
ALTER TABLE rides RENAME TO rides_before;

CREATE TABLE rides (
    ride_id TEXT NOT NULL PRIMARY KEY,
    market TEXT NOT NULL,
    rider_id TEXT NOT NULL,
    status TEXT NOT NULL,
    driver_id TEXT,
    version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    requested_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    request_key TEXT UNIQUE,
    request_fingerprint TEXT,
    -- What was asked for; never changes.
    request TEXT NOT NULL,
    -- Its newest event, which holds the present state.
    last_event INTEGER NOT NULL,
    -- Its newest decision, if any was taken.
    last_decision INTEGER
) STRICT;

-- Append-only history; `event_id` is the order of all transitions of all rides.
CREATE TABLE ride_events (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ride_id TEXT NOT NULL,
    -- The event of the same ride before this one.
    prev_event INTEGER,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    -- The ride after it, without the request.
    state TEXT NOT NULL
) STRICT;

-- Who was considered for each wave; bounded by retention.
CREATE TABLE decisions (
    decision_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ride_id TEXT NOT NULL,
    -- The decision about the same ride before this one.
    prev_decision INTEGER,
    attempt INTEGER NOT NULL,
    wave INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

INSERT INTO ride_events (event_id, ride_id, prev_event, seq, at, kind, state)
    SELECT event_id, ride_id, LAG(event_id) OVER (PARTITION BY ride_id ORDER BY seq), seq, at, kind,
        json_remove(state, '$.request')
    FROM ride_events_before ORDER BY event_id;
INSERT INTO decisions (decision_id, ride_id, prev_decision, attempt, wave, at, body)
    SELECT decision_id, ride_id, LAG(decision_id) OVER (PARTITION BY ride_id ORDER BY decision_id),
        attempt, wave, at, body
    FROM decisions_before ORDER BY decision_id;
INSERT INTO rides (ride_id, market, rider_id, status, driver_id, version, epoch, requested_at,
        updated_at, request_key, request_fingerprint, request, last_event, last_decision)
    SELECT ride_id, market, rider_id, status, driver_id, version, epoch, requested_at, updated_at,
        request_key, request_fingerprint, json_extract(state, '$.request'),
        (SELECT MAX(event_id) FROM ride_events_before e WHERE e.ride_id = r.ride_id),
        (SELECT MAX(decision_id) FROM decisions_before d WHERE d.ride_id = r.ride_id)
    FROM rides_before r;

DROP TABLE ride_events_before;
DROP TABLE decisions_before;
DROP TABLE rides_before;

-- The last line of defence: a driver serves one ride at a time.
CREATE UNIQUE INDEX rides_active_driver ON rides (driver_id)
    WHERE status IN ('assigned', 'arrived', 'in_progress');
-- Two indexes serve every listing: the market is compared inside the index. The first never changes
-- after the request; the second also finds open rides.
CREATE INDEX rides_by_request ON rides (requested_at, ride_id, market);
CREATE INDEX rides_by_status ON rides (status, requested_at, ride_id, market);
-- Retention, and the newest instant.
CREATE INDEX rides_ended ON rides (updated_at)
    WHERE status IN ('completed', 'cancelled', 'unfulfilled');
