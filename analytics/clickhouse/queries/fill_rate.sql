-- By hour of the request: what came of rides. Filled: a driver had it at least once.
SELECT
    toStartOfHour(requested_at) AS hour,
    count() AS requested,
    countIf(isNotNull(first_assigned_at)) AS assigned,
    countIf(status = 'completed') AS completed,
    countIf(status = 'unfulfilled') AS unfulfilled,
    countIf(status = 'cancelled') AS cancelled,
    round(assigned / requested, 4) AS fill_rate,
    round(completed / requested, 4) AS completion_rate,
    round(avg(offers_sent), 2) AS offers_per_ride
FROM muster.rides
WHERE market = {market:String}
    AND requested_at >= {from:DateTime} AND requested_at < {until:DateTime}
GROUP BY hour
ORDER BY hour
