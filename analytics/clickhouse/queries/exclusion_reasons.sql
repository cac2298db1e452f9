-- By hour: why drivers near a pickup were not asked, as muster_candidates_excluded_total counts them: once
-- per wave.
SELECT
    toStartOfHour(at) AS hour,
    reason,
    sum(d.drivers) AS excluded,
    uniqExact(ride_id) AS rides,
    round(excluded / sum(excluded) OVER (PARTITION BY hour), 4) AS share
FROM muster.decisions AS d FINAL
WHERE market = {market:String} AND stage = 'nearby'
    AND at >= {from:DateTime} AND at < {until:DateTime}
GROUP BY hour, reason
ORDER BY hour, excluded DESC, reason
