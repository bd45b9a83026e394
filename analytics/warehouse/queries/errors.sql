-- question: what fails, where, how often, since when, and did anybody see it?
-- grain: first one row with the counts of all requests (is_whole); then one row per arm, model, upstream, outcome of the
--   request, error class, status, endpoint and rescue, the most requests first
-- parameters: asked, as in `narrowed.sql`, there rollout and generation NULL: all traffic, in a rollout or not; most (how
--   many groups at most)
-- A failure is a try at a model that failed, or what failed without one: a request that the gateway refused or that was
-- never closed, a candidate that was not even asked because its circuit was open. One request may have several.
WITH asked AS NOT MATERIALIZED (
    SELECT *, is_wanted AND (NOT is_forced OR $asked['forced']) AS is_counted
    FROM narrowed($asked)
),
failing AS MATERIALIZED (
    SELECT
        request_id, started_at, user_hash, endpoint, outcome, status, error_class, fallback_reason, upstream, attempts,
        arm_assigned, coalesce(arm_served, arm_assigned) AS arm,
        -- who is rejected may have asked for anything: each invented name would be a group of its own
        coalesce(model_served, CASE WHEN outcome <> 'rejected' THEN model_requested END) AS model
    FROM asked
    WHERE is_counted
        AND (outcome NOT IN ('ok', 'client_cancelled') OR fallback_reason IS NOT NULL OR len(attempts) > 1)
),
tries AS (
    SELECT request_id, started_at, user_hash, endpoint, outcome, fallback_reason, unnest(attempts) AS one
    FROM failing
),
failures AS MATERIALIZED (
    SELECT
        request_id, started_at, user_hash, endpoint, outcome, fallback_reason,
        one.arm AS arm, one.model AS model, one.upstream AS upstream, one.error_class AS error_class, one.status AS status
    FROM tries
    WHERE one.error_class IS NOT NULL
    UNION ALL
    SELECT request_id, started_at, user_hash, endpoint, outcome, fallback_reason, arm, model, upstream, error_class, status
    FROM failing
    WHERE outcome NOT IN ('ok', 'client_cancelled') AND (coalesce(len(attempts), 0) = 0 OR attempts[-1].error_class IS NULL)
    UNION ALL
    SELECT
        request_id, started_at, user_hash, endpoint, outcome, fallback_reason,
        arm_assigned AS arm, NULL AS model, NULL AS upstream, fallback_reason AS error_class, NULL AS status
    FROM failing
    WHERE fallback_reason IS NOT NULL
        AND NOT coalesce(
            list_bool_or(list_transform(attempts, lambda one: one.arm = arm_assigned AND one.error_class IS NOT NULL)), false
        )
),
whole AS (
    SELECT
        count(*) FILTER (WHERE is_counted) AS requests,
        count(*) FILTER (WHERE is_counted AND outcome IN ('upstream_error', 'timeout', 'malformed', 'interrupted')) AS failed,
        count(*) FILTER (WHERE is_counted AND outcome = 'client_error') AS client_errors,
        count(*) FILTER (WHERE is_counted AND outcome IN ('rejected', 'shed')) AS refused,
        count(*) FILTER (WHERE is_wanted AND NOT is_counted) AS left_out_forced,
        count(*) FILTER (WHERE NOT is_wanted) AS left_out_not_live,
        min(started_at) FILTER (WHERE is_counted) AS first_at,
        max(started_at) FILTER (WHERE is_counted) AS last_at
    FROM asked
),
unseen AS (
    SELECT
        count(DISTINCT request_id) FILTER (WHERE fallback_reason IS NOT NULL) AS rescued_by_fallback,
        count(DISTINCT request_id) FILTER (WHERE fallback_reason IS NULL) AS rescued_by_another_try
    FROM failures
    WHERE outcome = 'ok'
),
groups AS MATERIALIZED (
    SELECT
        arm, model, upstream, outcome, error_class, status, endpoint,
        CASE WHEN outcome = 'ok' THEN CASE WHEN fallback_reason IS NULL THEN 'another try' ELSE 'fallback' END END AS rescued_by,
        count(*) AS failures,
        count(DISTINCT request_id) AS requests,
        count(DISTINCT user_hash) AS users,
        min(started_at) AS first_at,
        max(started_at) AS last_at,
        max(DISTINCT request_id, 3) AS examples
    FROM failures
    GROUP BY ALL
)
SELECT true AS is_whole, whole.*, unseen.*, (SELECT count(*) FROM groups) AS groups
FROM whole CROSS JOIN unseen
UNION ALL BY NAME
SELECT false AS is_whole, *
FROM (
    FROM groups
    ORDER BY requests DESC, last_at DESC, arm, model, upstream, outcome, error_class, status, endpoint, rescued_by
    LIMIT $most
)
