-- question: which quantiles do each arm's waits have?
-- grain: one row per arm that `ok` requests were assigned to: arm, latency_ms and ttft_ms: a list each, of its levels,
--   interpolated between neighbours; NULL where there is no wait
-- parameters: asked, as in `narrowed.sql` and `arms.sql`; latency_levels, ttft_levels (0-1, rising)
-- reads the macro `waits`; it keeps every wait in memory
SELECT
    arm,
    quantile_cont(latency_ms, $latency_levels) AS latency_ms,
    quantile_cont(ttft_ms, $ttft_levels) AS ttft_ms
FROM waits($asked)
GROUP BY arm
