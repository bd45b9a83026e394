-- question: how do the two arms of a rollout compare?
-- grain: one row per arm, base first, also for an arm without requests; the columns after `left_out_*` are sums over users
-- parameters: rollout, generation, step (or NULL: all), since (inclusive or NULL), until (exclusive or NULL)
-- reads the views `requests` and `ratings`; quantiles interpolate between neighbours (quantile_cont), NULLs are left out
WITH asked AS (
    SELECT *,
        purpose = 'live' AS is_live,
        reason IN ('split', 'stale') AND bucket IS NOT NULL AND user_hash IS NOT NULL AS is_split
    FROM requests
    WHERE rollout = $rollout AND generation = $generation AND arm_assigned IS NOT NULL
        AND ($step::INTEGER IS NULL OR step = $step::INTEGER)
        AND ($since::TIMESTAMP IS NULL OR started_at >= $since::TIMESTAMP)
        AND ($until::TIMESTAMP IS NULL OR started_at < $until::TIMESTAMP)
),
counted AS (
    SELECT
        arm_assigned AS arm, user_hash, started_at, step, percent,
        CASE WHEN arm_served = arm_assigned THEN model_served END AS model,
        CASE
            WHEN fallback_reason IS NOT NULL OR error_class = 'circuit_open'
                OR outcome IN ('upstream_error', 'timeout', 'malformed', 'interrupted') THEN 1
            WHEN outcome = 'ok' THEN 0
        END AS error_rate,
        CASE WHEN outcome = 'ok' THEN latency_ms END AS latency_ms,
        CASE WHEN outcome = 'ok' AND stream THEN ttft_ms END AS ttft_ms,
        CASE WHEN outcome = 'ok' THEN output_tokens END AS output_tokens,
        cost_usd,
        cost_usd IS NULL AND outcome NOT IN ('client_error', 'rejected', 'shed') AS is_cost_unknown,
        ratings.positive AS satisfaction,
        CASE WHEN outcome = 'ok' THEN (ratings.request_id IS NOT NULL)::INTEGER END AS response_rate
    FROM asked LEFT JOIN ratings USING (request_id)
    WHERE is_live AND is_split
),
per_arm AS (
    SELECT
        arm,
        mode(model) AS model,
        count(*) AS requests,
        count(DISTINCT user_hash) AS users,
        count(*) FILTER (WHERE error_rate = 1) AS errors,
        quantile_cont(latency_ms, 0.5) AS latency_p50_ms,
        quantile_cont(latency_ms, 0.99) AS latency_p99_ms,
        count(latency_ms) AS latencies,
        quantile_cont(ttft_ms, 0.5) AS ttft_p50_ms,
        count(ttft_ms) AS ttfts,
        sum(cost_usd) AS total_cost_usd,
        count(*) FILTER (WHERE is_cost_unknown) AS cost_unknown,
        count(satisfaction) AS ratings,
        min(started_at) AS first_at,
        max(started_at) AS last_at,
        min(step) AS first_step,
        max(step) AS last_step,
        min(percent) AS percent_low,
        max(percent) AS percent_high
    FROM counted
    GROUP BY arm
),
per_user AS (
    SELECT arm, user_hash, metric, count(value)::DOUBLE AS n, sum(value) AS x
    FROM (
        SELECT arm, user_hash, error_rate::DOUBLE AS error_rate, output_tokens::DOUBLE AS output_tokens, cost_usd,
            satisfaction::DOUBLE AS satisfaction, response_rate::DOUBLE AS response_rate
        FROM counted
    )
    UNPIVOT (value FOR metric IN (error_rate, output_tokens, cost_usd, satisfaction, response_rate))
    GROUP BY arm, user_hash, metric
),
per_metric AS (
    SELECT arm, metric, count(*) AS users, sum(n) AS n, sum(x) AS x, sum(x * x) AS xx, sum(x * n) AS xn, sum(n * n) AS nn
    FROM per_user
    GROUP BY arm, metric
),
sums AS (
    PIVOT per_metric ON metric IN ('error_rate', 'output_tokens', 'cost_usd', 'satisfaction', 'response_rate')
    USING first(users) AS users, first(n) AS n, first(x) AS x, first(xx) AS xx, first(xn) AS xn, first(nn) AS nn
    GROUP BY arm
),
left_out AS (
    SELECT
        count(*) FILTER (WHERE NOT is_live) AS left_out_not_live,
        count(*) FILTER (WHERE is_live AND reason = 'targeting_match') AS left_out_forced,
        count(*) FILTER (WHERE is_live AND NOT is_split AND reason <> 'targeting_match') AS left_out_without_user
    FROM asked
)
SELECT
    arms.arm,
    per_arm.* EXCLUDE (arm) REPLACE (
        coalesce(per_arm.requests, 0) AS requests,
        coalesce(per_arm.users, 0) AS users,
        coalesce(per_arm.errors, 0) AS errors,
        coalesce(per_arm.latencies, 0) AS latencies,
        coalesce(per_arm.ttfts, 0) AS ttfts,
        coalesce(per_arm.cost_unknown, 0) AS cost_unknown,
        coalesce(per_arm.ratings, 0) AS ratings
    ),
    left_out.*,
    sums.* EXCLUDE (arm)
FROM (VALUES (1, 'base'), (2, 'candidate')) AS arms(place, arm)
LEFT JOIN per_arm USING (arm)
LEFT JOIN sums USING (arm)
CROSS JOIN left_out
ORDER BY arms.place
