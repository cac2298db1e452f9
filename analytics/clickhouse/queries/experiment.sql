-- The arms of experiments side by side. A ride counts for the arm of its first search that considered a
-- driver; a ride that no driver was near to is in no arm here (muster_experiment_rides_total has all).
-- p_value is that of a two-sided test of the fill rate against all other arms of the experiment (normal
-- approximation).
WITH
    arms AS
    (
        SELECT market, ride_id, argMin(d.arm, (d.attempt, d.at)) AS arm
        FROM muster.decisions AS d FINAL
        WHERE market = {market:String} AND d.arm != ''
            AND at >= {from:DateTime} AND at < {until:DateTime}
        GROUP BY market, ride_id
    ),
    counted AS
    (
        SELECT
            splitByChar('/', arm)[1] AS experiment,
            arm,
            count() AS rides,
            countIf(isNotNull(first_assigned_at)) AS assigned,
            countIf(status = 'completed') AS completed,
            countIf(status = 'unfulfilled') AS unfulfilled,
            quantiles(0.5, 0.9)(
                dateDiff('millisecond', requested_at, first_assigned_at) / 1000) AS assign_s,
            avg(promised_eta_s) AS eta_s,
            avg(offers_sent) AS offers
        FROM muster.rides AS r
        INNER JOIN arms USING (market, ride_id)
        GROUP BY arm
    ),
    compared AS
    (
        SELECT
            *,
            sum(rides) OVER (PARTITION BY experiment) - rides AS other_rides,
            sum(assigned) OVER (PARTITION BY experiment) - assigned AS other_assigned,
            (assigned + other_assigned) / (rides + other_rides) AS pooled,
            (assigned / rides - other_assigned / other_rides)
                / sqrt(pooled * (1 - pooled) * (1 / rides + 1 / other_rides)) AS z
        FROM counted
    )
SELECT
    arm,
    rides,
    round(assigned / rides, 4) AS fill_rate,
    round(completed / rides, 4) AS completion_rate,
    unfulfilled,
    arrayMap(s -> round(s, 1), assign_s) AS assign_s_p50_p90,
    round(eta_s) AS promised_eta_s,
    round(offers, 2) AS offers_per_ride,
    if(isFinite(z), round(erfc(abs(z) / sqrt(2)), 4), NULL) AS p_value
FROM compared
ORDER BY arm
