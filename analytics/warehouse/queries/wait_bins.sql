-- question: how many waits of each arm are in each bin?
-- grain: one row per arm that `ok` requests were assigned to, metric (`latency_ms` or `ttft_ms`) and bin that has waits,
--   in the order of the bins: requests
-- parameters: asked, as in `narrowed.sql` and `arms.sql`
-- reads the macro `waits`; whatever the number of requests, there are some thousand bins
SELECT
    arm,
    CASE WHEN grouping(latency_bin) = 0 THEN 'latency_ms' ELSE 'ttft_ms' END AS metric,
    coalesce(latency_bin, ttft_bin) AS bin,
    count(*) AS requests
FROM waits($asked)
GROUP BY GROUPING SETS ((arm, latency_bin), (arm, ttft_bin))
HAVING bin IS NOT NULL
ORDER BY bin
