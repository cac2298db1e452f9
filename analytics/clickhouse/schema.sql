-- Muster in ClickHouse: two topics, kept as they happened, and rides as they stand. ClickHouse 25.5 or
-- newer (the order of arguments of geoToH3). Edit kafka_broker_list, then:
--   clickhouse-client --multiquery < schema.sql
--
-- Messages come at least once. What is kept is keyed by what happened, so that a repeated message
-- replaces itself; queries read with FINAL, or from states that do not count twice.

CREATE DATABASE IF NOT EXISTS muster;

-- Every transition of every ride.

CREATE TABLE IF NOT EXISTS muster.ride_events_queue (message String)
ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092',
    kafka_topic_list = 'ride-events',
    kafka_group_name = 'muster-analytics',
    kafka_format = 'JSONAsString',
    kafka_max_block_size = 65536;

CREATE TABLE IF NOT EXISTS muster.ride_events
(
    market LowCardinality(String),
    ride_id String,
    -- Grows by one with each transition of a ride.
    version UInt64,
    event_id String,
    type LowCardinality(String),
    at DateTime64(3, 'UTC'),
    cause LowCardinality(String),
    correlation_id String,
    rider_id String,
    status LowCardinality(String),
    attempt UInt32,
    wave UInt32,
    search_radius_m UInt32,
    service_tiers Array(LowCardinality(String)),
    pickup_lat Float64,
    pickup_lng Float64,
    -- H3, resolution 8: some 0.7 km2.
    pickup_cell UInt64,
    requested_at DateTime64(3, 'UTC'),
    pickup_at Nullable(DateTime64(3, 'UTC')),
    driver_id String,
    service_tier LowCardinality(String),
    pickup_eta_s Nullable(UInt32),
    offers_sent UInt32,
    offers_declined UInt32,
    offers_expired UInt32,
    cancelled_by LowCardinality(String),
    reason String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (market, ride_id, version)
TTL toDateTime(at) + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS muster.ride_events_read TO muster.ride_events AS
WITH JSONExtractRaw(message, 'ride') AS ride
SELECT
    JSONExtractString(ride, 'market') AS market,
    JSONExtractString(ride, 'ride_id') AS ride_id,
    JSONExtractUInt(ride, 'version') AS version,
    JSONExtractString(message, 'event_id') AS event_id,
    JSONExtractString(message, 'type') AS type,
    parseDateTime64BestEffort(JSONExtractString(message, 'at'), 3, 'UTC') AS at,
    JSONExtractString(message, 'cause') AS cause,
    JSONExtractString(message, 'correlation_id') AS correlation_id,
    JSONExtractString(ride, 'rider_id') AS rider_id,
    JSONExtractString(ride, 'status') AS status,
    toUInt32(JSONExtractUInt(ride, 'attempt')) AS attempt,
    toUInt32(JSONExtractUInt(ride, 'wave')) AS wave,
    toUInt32(JSONExtractUInt(ride, 'search_radius_m')) AS search_radius_m,
    JSONExtract(ride, 'service_tiers', 'Array(LowCardinality(String))') AS service_tiers,
    JSONExtractFloat(ride, 'pickup', 'lat') AS pickup_lat,
    JSONExtractFloat(ride, 'pickup', 'lng') AS pickup_lng,
    geoToH3(pickup_lat, pickup_lng, toUInt8(8)) AS pickup_cell,
    parseDateTime64BestEffort(JSONExtractString(ride, 'requested_at'), 3, 'UTC') AS requested_at,
    parseDateTime64BestEffortOrNull(JSONExtractString(ride, 'pickup_at'), 3, 'UTC') AS pickup_at,
    JSONExtractString(ride, 'driver', 'driver_id') AS driver_id,
    JSONExtractString(ride, 'driver', 'service_tier') AS service_tier,
    JSONExtract(ride, 'pickup_eta_s', 'Nullable(UInt32)') AS pickup_eta_s,
    toUInt32(JSONExtractUInt(ride, 'offers', 'sent')) AS offers_sent,
    toUInt32(JSONExtractUInt(ride, 'offers', 'declined')) AS offers_declined,
    toUInt32(JSONExtractUInt(ride, 'offers', 'expired')) AS offers_expired,
    JSONExtractString(ride, 'cancelled_by') AS cancelled_by,
    JSONExtractString(ride, 'reason') AS reason
FROM muster.ride_events_queue;

-- Rides as they stand: the newest of each, and when things happened first.

CREATE TABLE IF NOT EXISTS muster.ride_states
(
    market LowCardinality(String),
    ride_id String,
    requested_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    newest AggregateFunction(argMax,
        Tuple(status String, attempt UInt32, offers_sent UInt32, driver_id String), UInt64),
    pickup_cell SimpleAggregateFunction(any, UInt64),
    scheduled SimpleAggregateFunction(max, UInt8),
    first_assigned_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC'))),
    promised_eta_s AggregateFunction(argMinIf, Nullable(UInt32), UInt64, UInt8),
    started_at SimpleAggregateFunction(min, Nullable(DateTime64(3, 'UTC')))
)
ENGINE = AggregatingMergeTree
ORDER BY (market, ride_id)
TTL toDateTime(requested_at) + INTERVAL 400 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS muster.ride_states_read TO muster.ride_states AS
SELECT
    market,
    ride_id,
    max(e.requested_at) AS requested_at,
    argMaxState(
        CAST((status, attempt, offers_sent, driver_id),
            'Tuple(status String, attempt UInt32, offers_sent UInt32, driver_id String)'),
        version) AS newest,
    any(e.pickup_cell) AS pickup_cell,
    max(toUInt8(isNotNull(pickup_at))) AS scheduled,
    min(if(type IN ('driver_assigned', 'otp_entered'), at, NULL)) AS first_assigned_at,
    argMinIfState(pickup_eta_s, version, toUInt8(type = 'driver_assigned')) AS promised_eta_s,
    min(if(type = 'ride_started', at, NULL)) AS started_at
FROM muster.ride_events AS e
GROUP BY market, ride_id;

CREATE VIEW IF NOT EXISTS muster.rides AS
SELECT
    market,
    ride_id,
    max(s.requested_at) AS requested_at,
    argMaxMerge(newest) AS latest,
    latest.status AS status,
    latest.attempt AS attempts,
    latest.offers_sent AS offers_sent,
    latest.driver_id AS driver_id,
    any(s.pickup_cell) AS pickup_cell,
    max(s.scheduled) AS scheduled,
    min(s.first_assigned_at) AS first_assigned_at,
    argMinIfMerge(s.promised_eta_s) AS promised_eta_s,
    min(s.started_at) AS started_at
FROM muster.ride_states AS s
GROUP BY market, ride_id;

-- Every driver considered for every wave: what `explain` shows. Those whom a decision does not name are
-- one row per reason, with their number in `drivers` and no driver_id.

CREATE TABLE IF NOT EXISTS muster.decisions_queue (message String)
ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka:9092',
    kafka_topic_list = 'allocation-decisions',
    kafka_group_name = 'muster-analytics',
    kafka_format = 'JSONAsString',
    kafka_max_block_size = 65536;

CREATE TABLE IF NOT EXISTS muster.decisions
(
    market LowCardinality(String),
    ride_id String,
    attempt UInt32,
    wave UInt32,
    at DateTime64(3, 'UTC'),
    event_id String,
    attempt_kind LowCardinality(String),
    mode LowCardinality(String),
    policy_version UInt64,
    -- experiment/arm
    arm LowCardinality(String),
    radius_m UInt32,
    -- Of a dispatch window, in batched mode.
    window_requests Nullable(UInt32),
    window_drivers Nullable(UInt32),
    pickup_cell UInt64,
    drivers UInt32,
    driver_id String,
    -- nearby: a filter took him out; ranked: others were preferred; offered: he was asked.
    stage LowCardinality(String),
    reason LowCardinality(String),
    distance_m Nullable(Float64),
    pickup_eta_s Nullable(UInt32),
    eta_source LowCardinality(String),
    score Nullable(UInt16),
    forward Bool,
    cost_ms Nullable(Int64),
    offer_id String,
    service_tier LowCardinality(String),
    correlation_id String
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (market, ride_id, attempt, wave, at, event_id)
TTL toDateTime(at) + INTERVAL 90 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS muster.decisions_read TO muster.decisions AS
SELECT
    JSONExtractString(message, 'market') AS market,
    JSONExtractString(message, 'ride_id') AS ride_id,
    toUInt32(JSONExtractUInt(message, 'attempt')) AS attempt,
    toUInt32(JSONExtractUInt(message, 'wave')) AS wave,
    parseDateTime64BestEffort(JSONExtractString(message, 'at'), 3, 'UTC') AS at,
    JSONExtractString(message, 'event_id') AS event_id,
    JSONExtractString(message, 'attempt_kind') AS attempt_kind,
    JSONExtractString(message, 'mode') AS mode,
    JSONExtractUInt(message, 'policy_version') AS policy_version,
    JSONExtractString(message, 'arm') AS arm,
    toUInt32(JSONExtractUInt(message, 'radius_m')) AS radius_m,
    JSONExtract(message, 'window_requests', 'Nullable(UInt32)') AS window_requests,
    JSONExtract(message, 'window_drivers', 'Nullable(UInt32)') AS window_drivers,
    geoToH3(
        JSONExtractFloat(message, 'pickup_lat'),
        JSONExtractFloat(message, 'pickup_lng'),
        toUInt8(8)) AS pickup_cell,
    toUInt32(JSONExtractUInt(message, 'drivers')) AS drivers,
    JSONExtractString(message, 'driver_id') AS driver_id,
    JSONExtractString(message, 'stage') AS stage,
    JSONExtractString(message, 'reason') AS reason,
    JSONExtract(message, 'distance_m', 'Nullable(Float64)') AS distance_m,
    JSONExtract(message, 'pickup_eta_s', 'Nullable(UInt32)') AS pickup_eta_s,
    JSONExtractString(message, 'eta_source') AS eta_source,
    JSONExtract(message, 'score', 'Nullable(UInt16)') AS score,
    JSONExtractBool(message, 'forward') AS forward,
    JSONExtract(message, 'cost_ms', 'Nullable(Int64)') AS cost_ms,
    JSONExtractString(message, 'offer_id') AS offer_id,
    JSONExtractString(message, 'service_tier') AS service_tier,
    JSONExtractString(message, 'correlation_id') AS correlation_id
FROM muster.decisions_queue;
