-- question: how much was asked, of which model, at what cost, in each hour there was?
-- grain: one row per hour, application, endpoint, rollout, generation, assigned arm, serving model, purpose and outcome
-- parameters: none; reads the view `requests`; it is the table `hours` of a published copy
-- sums are NULL where no request has the figure; cost_unknown counts requests that may have cost something nobody knows
SELECT
    date_trunc('hour', started_at) AS hour,
    application,
    endpoint,
    rollout,
    generation,
    arm_assigned,
    model_served,
    purpose,
    outcome,
    count(*) AS requests,
    count(fallback_reason) AS fallbacks,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(cached_tokens)::BIGINT AS cached_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
    sum(cost_usd) AS cost_usd,
    count(*) FILTER (WHERE cost_usd IS NULL AND outcome NOT IN ('client_error', 'rejected', 'shed')) AS cost_unknown,
    sum(latency_ms) AS latency_sum_ms
FROM requests
GROUP BY ALL
