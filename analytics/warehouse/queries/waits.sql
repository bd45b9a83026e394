-- question: which callers' waits count, and in which bin of nearly equal waits are they?
-- grain: one row per `ok` request that counts: arm (as `arms.sql` says); latency_ms; ttft_ms (of streams, else NULL);
--   latency_bin and ttft_bin: bins grow with the wait, the next one begins 0.07 % higher
-- parameters: asked, as in `narrowed.sql` and `arms.sql`
-- it is the macro `waits(asked)`
SELECT
    arm,
    latency_ms,
    ttft_ms,
    floor(1024 * log2(CASE WHEN latency_ms < 0.001 THEN 0.001 ELSE latency_ms END))::INTEGER AS latency_bin,
    floor(1024 * log2(CASE WHEN ttft_ms < 0.001 THEN 0.001 ELSE ttft_ms END))::INTEGER AS ttft_bin
FROM (
    SELECT arm, latency_ms, CASE WHEN stream THEN ttft_ms END AS ttft_ms
    FROM arms(asked)
    WHERE is_counted AND outcome = 'ok'
)
