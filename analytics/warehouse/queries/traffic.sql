-- question: who was dealt to which arm, step by step, how much was asked, when, and by which kind of user key?
-- grain: rows of several kinds, by `kind`: step (requests of split users in one step, and those users); hour (the same
--   requests by hour); bin (the users by hundredths of the buckets); source (all requests of the purpose that is asked for,
--   by where the user key came from); reason (the same by why the arm); left_out (requests made for other purposes)
-- parameters: asked, as in `narrowed.sql`, with one rollout and generation
-- A user counts once in a step, for the arm of the first request that was decided by the step's percentage: that of most of
-- its requests. crossed_users were assigned both arms at that percentage. Pinned users are dealt by nobody: never in it.
WITH asked AS NOT MATERIALIZED (
    SELECT
        started_at, purpose, reason, user_source, step, percent, arm_assigned AS arm, user_hash, bucket, is_wanted,
        is_wanted AND reason IN ('split', 'stale') AND bucket IS NOT NULL AND arm_assigned IS NOT NULL AS is_split
    FROM narrowed($asked)
),
placed AS MATERIALIZED (
    SELECT
        step, percent, arm, user_hash, any_value(bucket) AS bucket,
        count(*) AS requests, min(started_at) AS first_at, max(started_at) AS last_at
    FROM asked
    WHERE is_split
    GROUP BY step, percent, arm, user_hash
),
in_force AS (
    SELECT step, arg_max(percent, (requests, percent)) AS percent
    FROM (SELECT step, percent, sum(requests) AS requests FROM placed GROUP BY step, percent)
    GROUP BY step
),
first_arm AS (
    SELECT placed.step, user_hash, arg_min(arm, (first_at, arm)) AS arm, min(arm) <> max(arm) AS is_crossed
    FROM placed JOIN in_force
        ON placed.step IS NOT DISTINCT FROM in_force.step AND placed.percent IS NOT DISTINCT FROM in_force.percent
    GROUP BY placed.step, user_hash
),
users AS (
    SELECT
        step,
        count(*) FILTER (WHERE arm = 'base') AS base_users,
        count(*) FILTER (WHERE arm = 'candidate') AS candidate_users,
        count(*) FILTER (WHERE is_crossed) AS crossed_users
    FROM first_arm
    GROUP BY step
),
steps AS (
    SELECT
        placed.step,
        any_value(in_force.percent) AS percent,
        sum(requests) FILTER (WHERE arm = 'base')::BIGINT AS base_requests,
        sum(requests) FILTER (WHERE arm = 'candidate')::BIGINT AS candidate_requests,
        sum(requests) FILTER (WHERE placed.percent IS DISTINCT FROM in_force.percent)::BIGINT AS mixed_requests,
        min(first_at) AS first_at,
        max(last_at) AS last_at
    FROM placed JOIN in_force ON placed.step IS NOT DISTINCT FROM in_force.step
    GROUP BY placed.step
),
bins AS (
    SELECT bucket // 100 AS bin, count(*) AS users
    FROM (SELECT user_hash, min(bucket) AS bucket FROM placed GROUP BY user_hash)
    GROUP BY bin
),
facts AS MATERIALIZED (
    SELECT date_trunc('hour', started_at) AS hour, arm, is_wanted, is_split, purpose, reason, user_source, count(*) AS requests
    FROM asked
    GROUP BY ALL
)
SELECT 'step' AS kind, steps.*, users.* EXCLUDE (step)
FROM steps JOIN users ON steps.step IS NOT DISTINCT FROM users.step
UNION ALL BY NAME
SELECT
    'hour' AS kind, hour,
    sum(requests) FILTER (WHERE arm = 'base')::BIGINT AS base_requests,
    sum(requests) FILTER (WHERE arm = 'candidate')::BIGINT AS candidate_requests
FROM facts WHERE is_split GROUP BY hour
UNION ALL BY NAME
SELECT 'source' AS kind, user_source AS name, sum(requests)::BIGINT AS requests FROM facts WHERE is_wanted GROUP BY user_source
UNION ALL BY NAME
SELECT 'reason' AS kind, reason AS name, sum(requests)::BIGINT AS requests FROM facts WHERE is_wanted GROUP BY reason
UNION ALL BY NAME
SELECT 'left_out' AS kind, purpose AS name, sum(requests)::BIGINT AS requests FROM facts WHERE NOT is_wanted GROUP BY purpose
UNION ALL BY NAME
SELECT 'bin' AS kind, bin, users AS requests FROM bins
ORDER BY kind, step, hour, bin, requests DESC, name
