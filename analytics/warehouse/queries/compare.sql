-- question: how do the two arms of a rollout compare?
-- grain: one row per arm, base first, also for an arm without requests; where the report is divided, so for each part
--   (and for none: part NULL); the columns after `left_out_*` are sums over users
-- parameters: asked, as in `narrowed.sql` and `arms.sql`; waits, each arm's quantiles: above its own
--   requests are counted for each user, from which the quantiles' intervals come
-- reads the macro `arms` and the view `verdicts`; quantiles interpolate between neighbours (quantile_cont), NULLs are left out
-- a user is a number of 64 bits here, which groups in half the time of 16 bytes: two of a million users share one in
--   one of 40 million reports, and count as one user then
-- nothing is materialized but small tables: reading a few columns of the files again is cheaper than keeping them all.
--   (A materialized `asked` DuckDB streams to its readers, 5 % faster; but beside doubles it keeps it in memory.)
WITH asked AS NOT MATERIALIZED (FROM arms($asked)),
waits AS (
    SELECT unnest(
        $waits::STRUCT(arm VARCHAR, latency_p50_ms DOUBLE, latency_p99_ms DOUBLE, ttft_p50_ms DOUBLE)[], max_depth := 2
    )
),
counted AS NOT MATERIALIZED (
    SELECT
        arm, hash(user_hash) AS user_number, request_id, application, started_at,
        outcome = 'ok' AS is_ok,
        failed AS error_rate,
        CASE WHEN outcome = 'ok' THEN latency_ms END AS latency_ms,
        CASE WHEN outcome = 'ok' AND stream THEN ttft_ms END AS ttft_ms,
        CASE
            WHEN outcome = 'ok' AND (output_tokens > 0 OR endpoint IN ('chat.completions', 'completions', 'responses'))
                THEN output_tokens
        END AS output_tokens,
        CASE WHEN outcome = 'ok' AND stream AND output_tokens > 1 THEN output_ms END AS output_ms,
        CASE WHEN outcome = 'ok' AND stream AND output_tokens > 1 AND output_ms IS NOT NULL THEN output_tokens - 1 END
            AS later_tokens,
        cost_usd
    FROM asked
    WHERE is_counted
),
fitting AS MATERIALIZED (
    SELECT arm, user_number, is_ok, request_id, received_at, feedback_id, positive
    FROM counted JOIN verdicts USING (request_id)
    -- behind the join, so that it compares nothing but ids
    WHERE CASE WHEN verdicts.application IS NOT DISTINCT FROM counted.application
        THEN received_at <= started_at + INTERVAL 48 HOUR END
        -- before it, for what is asked of a short time: with a day in hand, by which hosts' clocks may differ
        AND ($asked['since'] IS NULL OR received_at >= $asked['since']::TIMESTAMP - INTERVAL 1 DAY)
        AND ($asked['until'] IS NULL OR received_at < $asked['until']::TIMESTAMP + INTERVAL 3 DAY)
),
often AS MATERIALIZED (SELECT request_id FROM fitting GROUP BY request_id HAVING count(*) > 1),
rated AS NOT MATERIALIZED (
    SELECT arm, user_number, is_ok, positive FROM fitting ANTI JOIN often USING (request_id)
    UNION ALL
    SELECT any_value(arm), any_value(user_number), any_value(is_ok), arg_max(positive, (received_at, feedback_id))
    FROM fitting SEMI JOIN often USING (request_id)
    GROUP BY request_id
),
facts AS MATERIALIZED (
    SELECT
        arm, is_wanted, is_split, is_forced, endpoint, step, percent,
        model_of_arm AS model,
        CASE WHEN failed = 1 THEN coalesce(error_class, fallback_reason, outcome) END AS failure,
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
    WHERE is_wanted AND is_split
    GROUP BY arm
),
models AS (
    SELECT arm, arg_max(model, (requests, model)) AS model
    FROM (
        SELECT arm, model, sum(requests) AS requests FROM facts
        WHERE is_wanted AND is_split AND model IS NOT NULL
        GROUP BY arm, model
    )
    GROUP BY arm
),
failures AS (
    SELECT arm, list({'error_class': failure, 'requests': requests} ORDER BY requests DESC, failure) AS failures
    FROM (
        SELECT arm, failure, sum(requests)::BIGINT AS requests FROM facts
        WHERE is_wanted AND is_split AND failure IS NOT NULL
        GROUP BY arm, failure
    )
    GROUP BY arm
),
-- of both arms: what stands behind their names
by_part AS MATERIALIZED (SELECT arm[length(split_part(arm, '=', 1)) + 1:] AS behind, * FROM facts),
endpoints AS (
    SELECT behind, list({'endpoint': endpoint, 'requests': requests} ORDER BY requests DESC, endpoint) AS endpoints
    FROM (
        SELECT behind, endpoint, sum(requests)::BIGINT AS requests FROM by_part
        WHERE is_wanted AND is_split AND endpoint IS NOT NULL
        GROUP BY behind, endpoint
    )
    GROUP BY behind
),
served AS (
    SELECT
        arm, user_number,
        count(error_rate)::DOUBLE AS error_rate_n, sum(error_rate::DOUBLE) AS error_rate_x,
        count(output_tokens)::DOUBLE AS output_tokens_n, sum(output_tokens::DOUBLE) AS output_tokens_x,
        sum(later_tokens::DOUBLE) AS output_token_ms_n, sum(output_ms) AS output_token_ms_x,
        count(cost_usd)::DOUBLE AS cost_usd_n, sum(cost_usd) AS cost_usd_x,
        count(*) FILTER (WHERE is_ok)::DOUBLE AS response_rate_n,
        count(latency_ms)::DOUBLE AS latency_p50_ms_n, sum((latency_ms > latency_p50_ms)::DOUBLE) AS latency_p50_ms_x,
        latency_p50_ms_n AS latency_p99_ms_n, sum((latency_ms > latency_p99_ms)::DOUBLE) AS latency_p99_ms_x,
        count(ttft_ms)::DOUBLE AS ttft_p50_ms_n, sum((ttft_ms > ttft_p50_ms)::DOUBLE) AS ttft_p50_ms_x
    FROM counted LEFT JOIN waits USING (arm)
    GROUP BY arm, user_number
),
heard AS (
    SELECT
        arm, user_number,
        count(*)::DOUBLE AS satisfaction_n, sum(positive::DOUBLE) AS satisfaction_x,
        count(*) FILTER (WHERE is_ok)::DOUBLE AS response_rate_x
    FROM rated
    GROUP BY arm, user_number
),
per_user AS MATERIALIZED (
    SELECT
        served.*,
        coalesce(satisfaction_n, 0.0) AS satisfaction_n,
        satisfaction_x,
        CASE WHEN response_rate_n > 0 THEN coalesce(response_rate_x, 0.0) END AS response_rate_x
    FROM served LEFT JOIN heard USING (arm, user_number)
),
sums AS (
    SELECT
        arm,
        count(*) AS users,
        count(*) FILTER (WHERE error_rate_n > 0) AS error_rate_users, sum(error_rate_n) AS error_rate_n, sum(error_rate_x) AS error_rate_x,
        sum(error_rate_x * error_rate_x) AS error_rate_xx, sum(error_rate_x * error_rate_n) AS error_rate_xn, sum(error_rate_n * error_rate_n) AS error_rate_nn,
        count(*) FILTER (WHERE output_tokens_n > 0) AS output_tokens_users, sum(output_tokens_n) AS output_tokens_n, sum(output_tokens_x) AS output_tokens_x,
        sum(output_tokens_x * output_tokens_x) AS output_tokens_xx, sum(output_tokens_x * output_tokens_n) AS output_tokens_xn, sum(output_tokens_n * output_tokens_n) AS output_tokens_nn,
        count(*) FILTER (WHERE output_token_ms_n > 0) AS output_token_ms_users, sum(output_token_ms_n) AS output_token_ms_n, sum(output_token_ms_x) AS output_token_ms_x,
        sum(output_token_ms_x * output_token_ms_x) AS output_token_ms_xx, sum(output_token_ms_x * output_token_ms_n) AS output_token_ms_xn, sum(output_token_ms_n * output_token_ms_n) AS output_token_ms_nn,
        count(*) FILTER (WHERE cost_usd_n > 0) AS cost_usd_users, sum(cost_usd_n) AS cost_usd_n, sum(cost_usd_x) AS cost_usd_x,
        sum(cost_usd_x * cost_usd_x) AS cost_usd_xx, sum(cost_usd_x * cost_usd_n) AS cost_usd_xn, sum(cost_usd_n * cost_usd_n) AS cost_usd_nn,
        count(*) FILTER (WHERE satisfaction_n > 0) AS satisfaction_users, sum(satisfaction_n) AS satisfaction_n, sum(satisfaction_x) AS satisfaction_x,
        sum(satisfaction_x * satisfaction_x) AS satisfaction_xx, sum(satisfaction_x * satisfaction_n) AS satisfaction_xn, sum(satisfaction_n * satisfaction_n) AS satisfaction_nn,
        count(*) FILTER (WHERE response_rate_n > 0) AS response_rate_users, sum(response_rate_n) AS response_rate_n, sum(response_rate_x) AS response_rate_x,
        sum(response_rate_x * response_rate_x) AS response_rate_xx, sum(response_rate_x * response_rate_n) AS response_rate_xn, sum(response_rate_n * response_rate_n) AS response_rate_nn,
        count(*) FILTER (WHERE latency_p50_ms_n > 0) AS latency_p50_ms_users, sum(latency_p50_ms_n) AS latency_p50_ms_n, sum(latency_p50_ms_x) AS latency_p50_ms_x,
        sum(latency_p50_ms_x * latency_p50_ms_x) AS latency_p50_ms_xx, sum(latency_p50_ms_x * latency_p50_ms_n) AS latency_p50_ms_xn, sum(latency_p50_ms_n * latency_p50_ms_n) AS latency_p50_ms_nn,
        count(*) FILTER (WHERE latency_p99_ms_n > 0) AS latency_p99_ms_users, sum(latency_p99_ms_n) AS latency_p99_ms_n, sum(latency_p99_ms_x) AS latency_p99_ms_x,
        sum(latency_p99_ms_x * latency_p99_ms_x) AS latency_p99_ms_xx, sum(latency_p99_ms_x * latency_p99_ms_n) AS latency_p99_ms_xn, sum(latency_p99_ms_n * latency_p99_ms_n) AS latency_p99_ms_nn,
        count(*) FILTER (WHERE ttft_p50_ms_n > 0) AS ttft_p50_ms_users, sum(ttft_p50_ms_n) AS ttft_p50_ms_n, sum(ttft_p50_ms_x) AS ttft_p50_ms_x,
        sum(ttft_p50_ms_x * ttft_p50_ms_x) AS ttft_p50_ms_xx, sum(ttft_p50_ms_x * ttft_p50_ms_n) AS ttft_p50_ms_xn, sum(ttft_p50_ms_n * ttft_p50_ms_n) AS ttft_p50_ms_nn
    FROM per_user
    GROUP BY arm
),
left_out AS (
    SELECT
        behind,
        coalesce(sum(requests) FILTER (WHERE NOT is_wanted), 0)::BIGINT AS left_out_not_live,
        coalesce(sum(requests) FILTER (WHERE is_wanted AND is_forced AND NOT is_split), 0)::BIGINT AS left_out_forced,
        coalesce(sum(requests) FILTER (WHERE is_wanted AND NOT is_forced AND NOT is_split), 0)::BIGINT
            AS left_out_without_user
    FROM by_part
    GROUP BY behind
),
places AS (
    SELECT place, name, behind, name || behind AS arm
    FROM (VALUES (1, 'base'), (2, 'candidate')) AS arms(place, name)
    CROSS JOIN (SELECT behind FROM by_part UNION SELECT '') AS behinds
)
SELECT
    places.name AS arm,
    places.arm AS arm_and_part,
    CASE WHEN behind <> '' THEN behind[2:] END AS part,
    models.model,
    coalesce(per_arm.requests, 0) AS requests,
    coalesce(sums.error_rate_x, 0)::BIGINT AS errors,
    failures.failures,
    coalesce(sums.latency_p50_ms_n, 0)::BIGINT AS latency_p50_ms_of,
    coalesce(sums.latency_p99_ms_n, 0)::BIGINT AS latency_p99_ms_of,
    coalesce(sums.ttft_p50_ms_n, 0)::BIGINT AS ttft_p50_ms_of,
    sums.cost_usd_x AS total_cost_usd,
    coalesce(per_arm.cost_unknown, 0) AS cost_unknown,
    coalesce(sums.satisfaction_n, 0)::BIGINT AS ratings,
    per_arm.* EXCLUDE (arm, requests, cost_unknown),
    left_out.* EXCLUDE (behind),
    endpoints.endpoints,
    sums.* EXCLUDE (arm) REPLACE (coalesce(sums.users, 0) AS users)
FROM places
LEFT JOIN per_arm USING (arm)
LEFT JOIN models USING (arm)
LEFT JOIN failures USING (arm)
LEFT JOIN sums USING (arm)
LEFT JOIN left_out USING (behind)
LEFT JOIN endpoints USING (behind)
ORDER BY part, places.place
