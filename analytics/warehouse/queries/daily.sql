-- question: how much did users ask each day, of whom, how fast, at what cost, and were they satisfied?
-- grain: one row per day (UTC) and every combination of the columns down to `model_served`; live traffic alone
-- parameters: none; reads the views `hourly` and `rated_hours`; it is the view `daily`
WITH figures AS (
    SELECT * FROM hourly
    UNION ALL BY NAME
    SELECT * FROM rated_hours
)
SELECT
    hour::DATE AS day,
    rollout,
    generation,
    phase,
    step,
    arm_assigned,
    arm_served,
    is_split,
    application,
    endpoint,
    model_served,
    coalesce(sum(requests), 0)::BIGINT AS requests,
    coalesce(sum(requests) FILTER (WHERE outcome = 'ok'), 0)::BIGINT AS answers,
    coalesce(sum(errors), 0)::BIGINT AS errors,
    coalesce(sum(fallbacks), 0)::BIGINT AS fallbacks,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(cached_tokens)::BIGINT AS cached_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
    coalesce(sum(counted), 0)::BIGINT AS counted,
    sum(cost_usd) AS cost_usd,
    coalesce(sum(priced), 0)::BIGINT AS priced,
    coalesce(sum(cost_unknown), 0)::BIGINT AS cost_unknown,
    sum(latency_sum_ms) AS latency_sum_ms,
    coalesce(sum(latencies), 0)::BIGINT AS latencies,
    merged_bins(latency_bins) AS latency_bins,
    sum(ttft_sum_ms) AS ttft_sum_ms,
    coalesce(sum(ttfts), 0)::BIGINT AS ttfts,
    merged_bins(ttft_bins) AS ttft_bins,
    sum(ratings)::BIGINT AS ratings,
    sum(ratings) FILTER (WHERE outcome = 'ok')::BIGINT AS rated_answers,
    sum(satisfied)::BIGINT AS satisfied
FROM figures
WHERE purpose = 'live'
GROUP BY ALL
