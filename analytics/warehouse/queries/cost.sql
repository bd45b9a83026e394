-- question: what did requests cost, by day, application, model and arm, and what does each user of an arm cost?
-- grain: rows of several kinds, by `kind`: total, day, application, model (of the requests that are asked about); dealt (of
--   the same, by rollout, generation and how the arm came about; with sums over users for base and candidate); unknown
--   (those of unknown cost, by reason and model); left_out (of pinned users, `forced`, and by other purposes)
-- parameters: asked, as in `narrowed.sql`; there rollout and generation NULL: all traffic, in a rollout or not
-- A cost is that of all tries, and unknown as soon as one of theirs is. cost_usd is NULL where none is known; cost_unknown
-- counts requests that may have cost something nobody knows.
WITH asked AS NOT MATERIALIZED (
    SELECT
        started_at, application, model_served, rollout, generation, percent, user_hash, cost_usd,
        is_wanted AND (NOT is_forced OR $asked['forced']) AS is_counted,
        CASE WHEN is_wanted THEN 'forced' ELSE purpose END AS left_out,
        CASE
            WHEN rollout IS NULL OR arm_assigned IS NULL THEN NULL
            WHEN reason IN ('split', 'stale') AND bucket IS NOT NULL THEN arm_assigned
            WHEN is_forced THEN 'forced'
            ELSE 'without_user'
        END AS dealt,
        cost_usd IS NULL AND outcome NOT IN ('client_error', 'rejected', 'shed') AS is_unknown,
        cost_unknown AS reason
    FROM narrowed($asked)
),
facts AS MATERIALIZED (
    SELECT
        is_counted, CASE WHEN NOT is_counted THEN left_out END AS left_out, application, model_served AS model, rollout, generation, dealt, started_at::DATE AS day,
        CASE WHEN is_unknown THEN coalesce(reason, '') END AS reason,
        count(*) AS requests,
        count(cost_usd) AS priced,
        sum(cost_usd) AS cost_usd,
        count(*) FILTER (WHERE is_unknown) AS cost_unknown,
        min(started_at) AS first_at,
        max(started_at) AS last_at,
        min(percent) AS percent_low,
        max(percent) AS percent_high
    FROM asked
    GROUP BY ALL
),
per_user AS (
    SELECT
        rollout, generation, dealt, user_hash,
        count(cost_usd)::DOUBLE AS n,
        coalesce(sum(cost_usd), 0.0) AS x
    FROM asked
    WHERE is_counted AND dealt IN ('base', 'candidate')
    GROUP BY rollout, generation, dealt, user_hash
),
per_arm AS (
    SELECT
        rollout, generation, dealt AS name,
        count(*) AS users,
        count(*) FILTER (WHERE n > 0) AS priced_users,
        sum(n) AS n, sum(x) AS x, sum(x * x) AS xx, sum(x * n) AS xn, sum(n * n) AS nn
    FROM per_user
    GROUP BY rollout, generation, dealt
),
named AS (
    SELECT
        facts.*,
        unnest([
            {'kind': 'total', 'name': NULL, 'model': NULL, 'rollout': NULL, 'generation': NULL, 'counted': true},
            {'kind': 'day', 'name': day::VARCHAR, 'model': NULL, 'rollout': NULL, 'generation': NULL, 'counted': true},
            {'kind': 'application', 'name': application, 'model': NULL, 'rollout': NULL, 'generation': NULL, 'counted': true},
            {'kind': 'model', 'name': model, 'model': NULL, 'rollout': NULL, 'generation': NULL, 'counted': true},
            {'kind': 'dealt', 'name': dealt, 'model': NULL, 'rollout': rollout, 'generation': generation, 'counted': true},
            {'kind': 'unknown', 'name': reason, 'model': model, 'rollout': NULL, 'generation': NULL, 'counted': true},
            {'kind': 'left_out', 'name': left_out, 'model': NULL, 'rollout': NULL, 'generation': NULL, 'counted': false}
        ]) AS place
    FROM facts
),
sums AS (
    SELECT
        place.kind, place.name, place.model, place.rollout, place.generation,
        sum(requests)::BIGINT AS requests,
        sum(priced)::BIGINT AS priced,
        sum(cost_usd) AS cost_usd,
        sum(cost_unknown)::BIGINT AS cost_unknown,
        min(first_at) AS first_at,
        max(last_at) AS last_at,
        min(percent_low) AS percent_low,
        max(percent_high) AS percent_high
    FROM named
    WHERE is_counted = place.counted AND (place.kind <> 'unknown' OR place.name IS NOT NULL)
    GROUP BY ALL
)
SELECT sums.*, per_arm.* EXCLUDE (rollout, generation, name)
FROM sums
LEFT JOIN per_arm
    ON sums.kind = 'dealt' AND sums.name = per_arm.name
    AND sums.rollout = per_arm.rollout AND sums.generation = per_arm.generation
ORDER BY sums.rollout NULLS LAST, sums.generation, sums.name NULLS LAST, sums.model NULLS LAST
