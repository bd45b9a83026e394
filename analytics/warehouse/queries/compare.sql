-- question: how do the two arms of a rollout compare?
-- grain: one row per arm, base first, also for an arm without requests; the columns after `left_out_*` are sums over users
-- parameters: rollout, generation, step (or NULL: all), endpoint (or NULL: all), since (inclusive or NULL), until (exclusive or NULL)
-- reads the views `requests` and `verdicts`; quantiles interpolate between neighbours (quantile_cont), NULLs are left out
-- nothing is materialized but small tables: reading a few columns of the files again is cheaper than keeping them all
WITH asked AS NOT MATERIALIZED (
    SELECT *,
        purpose = 'live' AS is_live,
        -- who has a bucket has a user_hash; that column is the widest, and not read where it need not be
        reason IN ('split', 'stale') AND bucket IS NOT NULL AS is_split
    FROM requests
    WHERE rollout = $rollout AND generation = $generation AND arm_assigned IS NOT NULL
        AND ($step::INTEGER IS NULL OR step = $step::INTEGER)
        AND ($endpoint::VARCHAR IS NULL OR endpoint = $endpoint::VARCHAR)
        AND ($since::TIMESTAMP IS NULL OR started_at >= $since::TIMESTAMP)
        AND ($until::TIMESTAMP IS NULL OR started_at < $until::TIMESTAMP)
),
counted AS NOT MATERIALIZED (
    SELECT
        arm_assigned AS arm, user_hash, request_id, application, started_at,
        outcome = 'ok' AS is_ok,
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
        cost_usd
    FROM asked
    WHERE is_live AND is_split
),
fitting AS MATERIALIZED (
    SELECT arm, user_hash, is_ok, request_id, received_at, feedback_id, positive
    FROM counted JOIN verdicts USING (request_id)
    -- behind the join, so that it compares nothing but ids
    WHERE CASE WHEN verdicts.application IS NOT DISTINCT FROM counted.application
        THEN received_at <= started_at + INTERVAL 48 HOUR END
),
often AS MATERIALIZED (SELECT request_id FROM fitting GROUP BY request_id HAVING count(*) > 1),
rated AS NOT MATERIALIZED (
    SELECT arm, user_hash, is_ok, positive FROM fitting ANTI JOIN often USING (request_id)
    UNION ALL
    SELECT any_value(arm), any_value(user_hash), any_value(is_ok), arg_max(positive, (received_at, feedback_id))
    FROM fitting SEMI JOIN often USING (request_id)
    GROUP BY request_id
),
facts AS MATERIALIZED (
    SELECT
        arm_assigned AS arm, is_live, is_split, reason, endpoint, step, percent,
        CASE WHEN arm_served = arm_assigned THEN model_served END AS model,
        count(*) AS requests,
        count(*) FILTER (WHERE cost_usd IS NULL AND outcome NOT IN ('client_error', 'rejected', 'shed')) AS cost_unknown,
        min(started_at) AS first_at,
        max(started_at) AS last_at
    FROM asked
    GROUP BY ALL
),
per_arm AS (
    SELECT
        arm,
        sum(requests)::BIGINT AS requests,
        sum(cost_unknown)::BIGINT AS cost_unknown,
        min(first_at) AS first_at,
        max(last_at) AS last_at,
        min(step) AS first_step,
        max(step) AS last_step,
        min(percent) AS percent_low,
        max(percent) AS percent_high
    FROM facts
    WHERE is_live AND is_split
    GROUP BY arm
),
models AS (
    SELECT arm, arg_max(model, (requests, model)) AS model
    FROM (
        SELECT arm, model, sum(requests) AS requests FROM facts
        WHERE is_live AND is_split AND model IS NOT NULL
        GROUP BY arm, model
    )
    GROUP BY arm
),
waits AS (
    SELECT
        arm,
        quantile_cont(latency_ms, [0.5, 0.99]) AS latency_ms,
        count(latency_ms) AS latencies,
        quantile_cont(ttft_ms, 0.5) AS ttft_p50_ms,
        count(ttft_ms) AS ttfts
    FROM counted
    GROUP BY arm
),
endpoints AS (
    SELECT list({'endpoint': endpoint, 'requests': requests} ORDER BY requests DESC, endpoint) AS endpoints
    FROM (
        SELECT endpoint, sum(requests)::BIGINT AS requests FROM facts
        WHERE is_live AND is_split AND endpoint IS NOT NULL
        GROUP BY endpoint
    )
),
served AS (
    SELECT
        arm, user_hash,
        count(error_rate)::DOUBLE AS error_rate_n, sum(error_rate::DOUBLE) AS error_rate_x,
        count(output_tokens)::DOUBLE AS output_tokens_n, sum(output_tokens::DOUBLE) AS output_tokens_x,
        count(cost_usd)::DOUBLE AS cost_usd_n, sum(cost_usd) AS cost_usd_x,
        count(*) FILTER (WHERE is_ok)::DOUBLE AS response_rate_n
    FROM counted
    GROUP BY arm, user_hash
),
heard AS (
    SELECT
        arm, user_hash,
        count(*)::DOUBLE AS satisfaction_n, sum(positive::DOUBLE) AS satisfaction_x,
        count(*) FILTER (WHERE is_ok)::DOUBLE AS response_rate_x
    FROM rated
    GROUP BY arm, user_hash
),
per_user AS MATERIALIZED (
    SELECT
        served.*,
        coalesce(satisfaction_n, 0.0) AS satisfaction_n,
        satisfaction_x,
        CASE WHEN response_rate_n > 0 THEN coalesce(response_rate_x, 0.0) END AS response_rate_x
    FROM served LEFT JOIN heard USING (arm, user_hash)
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
        coalesce(sum(requests) FILTER (WHERE NOT is_live), 0)::BIGINT AS left_out_not_live,
        coalesce(sum(requests) FILTER (WHERE is_live AND reason = 'targeting_match'), 0)::BIGINT AS left_out_forced,
        coalesce(sum(requests) FILTER (WHERE is_live AND NOT is_split AND reason <> 'targeting_match'), 0)::BIGINT
            AS left_out_without_user
    FROM facts
)
SELECT
    arms.arm,
    models.model,
    coalesce(per_arm.requests, 0) AS requests,
    coalesce(sums.error_rate_x, 0)::BIGINT AS errors,
    waits.latency_ms[1] AS latency_p50_ms,
    waits.latency_ms[2] AS latency_p99_ms,
    coalesce(waits.latencies, 0) AS latencies,
    waits.ttft_p50_ms,
    coalesce(waits.ttfts, 0) AS ttfts,
    sums.cost_usd_x AS total_cost_usd,
    coalesce(per_arm.cost_unknown, 0) AS cost_unknown,
    coalesce(sums.satisfaction_n, 0)::BIGINT AS ratings,
    per_arm.* EXCLUDE (arm, requests, cost_unknown),
    left_out.*,
    endpoints.endpoints,
    sums.* EXCLUDE (arm) REPLACE (coalesce(sums.users, 0) AS users)
FROM (VALUES (1, 'base'), (2, 'candidate')) AS arms(place, arm)
LEFT JOIN per_arm USING (arm)
LEFT JOIN models USING (arm)
LEFT JOIN waits USING (arm)
LEFT JOIN sums USING (arm)
CROSS JOIN left_out
CROSS JOIN endpoints
ORDER BY arms.place
