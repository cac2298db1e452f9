-- By mode and wave: offers, rides that a driver of the wave won, and how far drivers were.
WITH won AS
(
    SELECT market, ride_id, attempt, driver_id
    FROM muster.ride_events FINAL
    WHERE market = {market:String} AND type = 'driver_assigned'
        AND at >= {from:DateTime} AND at < {until:DateTime}
)
SELECT
    mode,
    wave,
    count() AS offers,
    countIf((market, ride_id, attempt, driver_id) IN won) AS accepted,
    round(accepted / offers, 4) AS acceptance,
    round(avg(distance_m)) AS distance_m,
    round(avg(pickup_eta_s)) AS pickup_eta_s
FROM muster.decisions FINAL
WHERE market = {market:String} AND stage = 'offered'
    AND at >= {from:DateTime} AND at < {until:DateTime}
GROUP BY mode, wave
ORDER BY mode, wave
