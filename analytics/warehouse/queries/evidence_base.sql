-- question: how did base answer in some time?
-- grain: one row: answers (ok gate rows of base), streamed, timed, p50_ms, p99_ms, first_tokens, ttft_ms
-- parameters: rollout, generation, since and until (microseconds), step and percent (NULL: any)
-- reads the view `requests`; quantiles interpolate between neighbours
SELECT
    count(*) AS answers,
    count(*) FILTER (WHERE stream) AS streamed,
    count(latency_ms) AS timed,
    quantile_cont(latency_ms, 0.5) AS p50_ms,
    quantile_cont(latency_ms, 0.99) AS p99_ms,
    count(ttft_ms) FILTER (WHERE stream) AS first_tokens,
    quantile_cont(ttft_ms, 0.5) FILTER (WHERE stream) AS ttft_ms
FROM requests
WHERE rollout = $rollout AND generation = $generation
    AND started_at >= make_timestamp($since::BIGINT) AND started_at < make_timestamp($until::BIGINT)
    AND ($step IS NULL OR step = $step::INTEGER)
    AND ($percent IS NULL OR percent = $percent::DECIMAL(5, 2))
    AND arm_assigned = 'base' AND outcome = 'ok' AND purpose = 'live'
    AND bucket IS NOT NULL AND reason IN ('split', 'stale') AND user_hash IS NOT NULL
