-- question: which wait has a rank within its bin?
-- grain: one row per arm, metric, bin and rank that are wanted: wait_ms
-- parameters: asked, as in `narrowed.sql` and `arms.sql`; wanted: arms, metrics, bins and ranks (1: the shortest wait)
-- reads the macro `waits`; what it keeps in memory are the waits in the bins that are wanted, equal ones once
WITH wanted AS MATERIALIZED (
    SELECT unnest($wanted::STRUCT(arm VARCHAR, metric VARCHAR, bin INTEGER, rank BIGINT)[], max_depth := 2)
),
near AS MATERIALIZED (
    SELECT * FROM waits($asked)
    WHERE latency_bin IN (SELECT bin FROM wanted WHERE metric = 'latency_ms')
        OR ttft_bin IN (SELECT bin FROM wanted WHERE metric = 'ttft_ms')
),
told AS (
    SELECT arm, 'latency_ms' AS metric, latency_bin AS bin, latency_ms AS wait_ms, count(*) AS requests
    FROM near
    GROUP BY ALL
    UNION ALL
    SELECT arm, 'ttft_ms', ttft_bin, ttft_ms, count(*) FROM near GROUP BY ALL
),
ranked AS (
    SELECT
        arm, metric, bin, wait_ms,
        sum(requests) OVER (PARTITION BY arm, metric, bin ORDER BY wait_ms) AS last_rank
    FROM told SEMI JOIN wanted USING (arm, metric, bin)
)
SELECT arm, metric, bin, rank, min(wait_ms) AS wait_ms
FROM ranked JOIN wanted USING (arm, metric, bin)
WHERE last_rank >= rank
GROUP BY arm, metric, bin, rank
