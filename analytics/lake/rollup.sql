-- question: how much was asked, of which model, how fast, at what cost, in each hour there was?
-- grain: one row per hour and every combination of the columns down to `error_class`
-- parameters: none; reads the view `unrolled`, and the macros of `analytics/bins.py`
-- every figure may be added up over rows; a sum is NULL where no request has the figure, never 0 for what is unknown
-- errors: as the head-to-head table counts them: what failed, or was answered by the other arm because it failed
-- cost_unknown: requests that may have cost something that nobody knows
-- *_bins: of requests that were answered, how many took so long, by bin; NULL where there are none
-- model_served: callers may invent names; but for the 200 most frequent ones of these rows they are '(other)'
WITH frequent AS (
    SELECT model_served FROM unrolled
    WHERE model_served IS NOT NULL
    GROUP BY model_served ORDER BY count(*) DESC, model_served LIMIT 200
)
SELECT * REPLACE (bins_of(latency_bins) AS latency_bins, bins_of(ttft_bins) AS ttft_bins)
FROM (
    SELECT
        date_trunc('hour', started_at) AS hour,
        rollout,
        generation,
        phase,
        step,
        arm_assigned,
        arm_served,
        reason,
        coalesce(reason IN ('split', 'stale') AND bucket IS NOT NULL, false) AS is_split,
        application,
        endpoint,
        CASE
            WHEN model_served IS NULL OR model_served IN (SELECT model_served FROM frequent) THEN model_served
            ELSE '(other)'
        END AS model_served,
        purpose,
        stream,
        outcome,
        error_class,
        count(*) AS requests,
        count(*) FILTER (
            WHERE fallback_reason IS NOT NULL OR error_class = 'circuit_open'
                OR outcome IN ('upstream_error', 'timeout', 'malformed', 'interrupted')
        ) AS errors,
        count(fallback_reason) AS fallbacks,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(cached_tokens)::BIGINT AS cached_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
        count(output_tokens) AS counted,
        sum(cost_usd) AS cost_usd,
        count(cost_usd) AS priced,
        count(*) FILTER (WHERE cost_usd IS NULL AND outcome NOT IN ('client_error', 'rejected', 'shed'))
            AS cost_unknown,
        sum(latency_ms) AS latency_sum_ms,
        count(latency_ms) AS latencies,
        histogram(bin_of(latency_ms)) FILTER (WHERE outcome = 'ok') AS latency_bins,
        sum(ttft_ms) AS ttft_sum_ms,
        count(ttft_ms) AS ttfts,
        histogram(bin_of(ttft_ms)) FILTER (WHERE outcome = 'ok') AS ttft_bins
    FROM unrolled
    GROUP BY ALL
)
