-- question: how do the two arms of a rollout compare?
-- grain: one row per arm, base first, also for an arm without requests; the columns after `left_out_*` are sums over users
-- parameters: rollout, generation, step (or NULL: all), endpoint (or NULL: all), since (inclusive or NULL), until (exclusive or NULL)
-- reads the views `requests` and `ratings`; quantiles interpolate between neighbours (quantile_cont), NULLs are left out
WITH asked AS (
    SELECT *,
        purpose = 'live' AS is_live,
        reason IN ('split', 'stale') AND bucket IS NOT NULL AND user_hash IS NOT NULL AS is_split
    FROM requests
    WHERE rollout = $rollout AND generation = $generation AND arm_assigned IS NOT NULL
        AND ($step::INTEGER IS NULL OR step = $step::INTEGER)
        AND ($endpoint::VARCHAR IS NULL OR endpoint = $endpoint::VARCHAR)
        AND ($since::TIMESTAMP IS NULL OR started_at >= $since::TIMESTAMP)
        AND ($until::TIMESTAMP IS NULL OR started_at < $until::TIMESTAMP)
),
counted AS (
    SELECT
        arm_assigned AS arm, user_hash, started_at, step, percent, endpoint,
        CASE WHEN arm_served = arm_assigned THEN model_served END AS model,
        CASE
            WHEN fallback_reason IS NOT NULL OR error_class = 'circuit_open'
                OR outcome IN ('upstream_error', 'timeout', 'malformed', 'interrupted') THEN 1
            WHEN outcome = 'ok' THEN 0
        END AS error_rate,
        CASE WHEN outcome = 'ok' THEN latency_ms END AS latency_ms,
        CASE WHEN outcome = 'ok' AND stream THEN ttft_ms END AS ttft_ms,
        CASE
            WHEN outcome = 'ok' AND (output_tokens > 0 OR endpoint IN ('chat.completions', 'completions', 'responses'))
                THEN output_tokens
        END AS output_tokens,
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
endpoints AS (
    SELECT list({'endpoint': endpoint, 'requests': requests} ORDER BY requests DESC, endpoint) AS endpoints
    FROM (SELECT endpoint, count(*) AS requests FROM counted WHERE endpoint IS NOT NULL GROUP BY endpoint)
),
per_user AS (
    SELECT
        arm, user_hash,
        count(error_rate)::DOUBLE AS error_rate_n, sum(error_rate)::DOUBLE AS error_rate_x,
        count(output_tokens)::DOUBLE AS output_tokens_n, sum(output_tokens)::DOUBLE AS output_tokens_x,
        count(cost_usd)::DOUBLE AS cost_usd_n, sum(cost_usd)::DOUBLE AS cost_usd_x,
        count(satisfaction)::DOUBLE AS satisfaction_n, sum(satisfaction)::DOUBLE AS satisfaction_x,
        count(response_rate)::DOUBLE AS response_rate_n, sum(response_rate)::DOUBLE AS response_rate_x
    FROM counted
    GROUP BY arm, user_hash
),
sums AS (
    SELECT
        arm,
        count(*) AS users,
        count(*) FILTER (WHERE error_rate_n > 0) AS error_rate_users, sum(error_rate_n) AS error_rate_n, sum(error_rate_x) AS error_rate_x,
        sum(error_rate_x * error_rate_x) AS error_rate_xx, sum(error_rate_x * error_rate_n) AS error_rate_xn, sum(error_rate_n * error_rate_n) AS error_rate_nn,
        count(*) FILTER (WHERE output_tokens_n > 0) AS output_tokens_users, sum(output_tokens_n) AS output_tokens_n, sum(output_tokens_x) AS output_tokens_x,
        sum(output_tokens_x * output_tokens_x) AS output_tokens_xx, sum(output_tokens_x * output_tokens_n) AS output_tokens_xn, sum(output_tokens_n * output_tokens_n) AS output_tokens_nn,
        count(*) FILTER (WHERE cost_usd_n > 0) AS cost_usd_users, sum(cost_usd_n) AS cost_usd_n, sum(cost_usd_x) AS cost_usd_x,
        sum(cost_usd_x * cost_usd_x) AS cost_usd_xx, sum(cost_usd_x * cost_usd_n) AS cost_usd_xn, sum(cost_usd_n * cost_usd_n) AS cost_usd_nn,
        count(*) FILTER (WHERE satisfaction_n > 0) AS satisfaction_users, sum(satisfaction_n) AS satisfaction_n, sum(satisfaction_x) AS satisfaction_x,
        sum(satisfaction_x * satisfaction_x) AS satisfaction_xx, sum(satisfaction_x * satisfaction_n) AS satisfaction_xn, sum(satisfaction_n * satisfaction_n) AS satisfaction_nn,
        count(*) FILTER (WHERE response_rate_n > 0) AS response_rate_users, sum(response_rate_n) AS response_rate_n, sum(response_rate_x) AS response_rate_x,
        sum(response_rate_x * response_rate_x) AS response_rate_xx, sum(response_rate_x * response_rate_n) AS response_rate_xn, sum(response_rate_n * response_rate_n) AS response_rate_nn
    FROM per_user
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
        coalesce(per_arm.errors, 0) AS errors,
        coalesce(per_arm.latencies, 0) AS latencies,
        coalesce(per_arm.ttfts, 0) AS ttfts,
        coalesce(per_arm.cost_unknown, 0) AS cost_unknown,
        coalesce(per_arm.ratings, 0) AS ratings
    ),
    left_out.*,
    endpoints.endpoints,
    sums.* EXCLUDE (arm) REPLACE (coalesce(sums.users, 0) AS users)
FROM (VALUES (1, 'base'), (2, 'candidate')) AS arms(place, arm)
LEFT JOIN per_arm USING (arm)
LEFT JOIN sums USING (arm)
CROSS JOIN left_out
CROSS JOIN endpoints
ORDER BY arms.place
