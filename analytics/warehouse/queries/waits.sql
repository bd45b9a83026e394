-- question: how long did each arm's callers wait?
-- grain: one row per arm that `ok` requests were assigned to, where the report is divided per arm and part: arm (as
--   `arms.sql` says), latency_ms and ttft_ms (of streams): their values at the levels asked for, NULL where there are none
-- parameters: asked, as in `narrowed.sql` and `arms.sql`; latency_levels and ttft_levels, each 0-1
-- a question of its own, so that what it keeps in memory, which is every value, is gone when `compare.sql` is asked
SELECT
    arm,
    quantile_cont(latency_ms, $latency_levels) AS latency_ms,
    quantile_cont(CASE WHEN stream THEN ttft_ms END, $ttft_levels) AS ttft_ms
FROM arms($asked)
WHERE is_counted AND outcome = 'ok'
GROUP BY arm
