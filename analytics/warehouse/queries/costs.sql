-- question: what did each day cost, by application, arm and model, and for how many satisfied answers?
-- grain: one row per day (UTC), application, rollout, assigned arm, whether the split placed the user, and serving
--   model; live traffic alone
-- parameters: none; reads the view `daily`; it is the view `costs`
SELECT
    day,
    application,
    rollout,
    arm_assigned,
    is_split,
    model_served,
    sum(requests)::BIGINT AS requests,
    sum(input_tokens)::BIGINT AS input_tokens,
    sum(cached_tokens)::BIGINT AS cached_tokens,
    sum(output_tokens)::BIGINT AS output_tokens,
    sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
    sum(cost_usd) AS cost_usd,
    sum(priced)::BIGINT AS priced,
    sum(cost_unknown)::BIGINT AS cost_unknown,
    sum(ratings)::BIGINT AS ratings,
    sum(satisfied)::BIGINT AS satisfied
FROM daily
GROUP BY ALL
