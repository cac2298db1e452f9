-- By hour and H3 cell of the pickup: seconds from request to first assignment, and to the promised pickup.
-- Rides requested ahead are left out: their waiting is wanted.
SELECT
    toStartOfHour(requested_at) AS hour,
    h3ToString(pickup_cell) AS cell,
    count() AS rides,
    countIf(isNull(first_assigned_at)) AS never,
    arrayMap(s -> round(s, 1), quantiles(0.5, 0.9, 0.99)(
        dateDiff('millisecond', requested_at, first_assigned_at) / 1000)) AS seconds_p50_p90_p99,
    round(avg(promised_eta_s)) AS promised_eta_s
FROM muster.rides
WHERE market = {market:String} AND scheduled = 0
    AND requested_at >= {from:DateTime} AND requested_at < {until:DateTime}
GROUP BY hour, cell
ORDER BY hour, rides DESC, cell
