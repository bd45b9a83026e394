-- question: what did users say of the requests of each hour?
-- grain: one row per hour (of the request, not of what was said of it) and every combination of the columns down to
--   `error_class`, of those that were rated: `ratings` requests, of which `satisfied` had a thumb up, or 4 or 5 stars
-- parameters: none; reads the views `requests` and `ratings`; it is the view `rated_hours`
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
    model_served,
    purpose,
    stream,
    outcome,
    error_class,
    count(*) AS ratings,
    sum(positive)::BIGINT AS satisfied
FROM requests JOIN ratings USING (request_id)
GROUP BY ALL
