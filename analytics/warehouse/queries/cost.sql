-- question: what did requests cost, by day, application, model and arm, and what does each user of an arm cost?
-- grain: rows of several kinds, by `kind`, of the requests that are asked about: total; day, application, model; part (by
--   what the report is divided, if it is, and in `of` how the arm came about); dealt (by how the arm came about, its
--   rollout in `of`, and generation; with sums over users for base and candidate); unknown (those of unknown cost by
--   reason, the model in `of`); left_out (others: of pinned users, `forced`, and by other purposes)
-- parameters: asked, as in `narrowed.sql`; there rollout and generation NULL: all traffic, in a rollout or not
-- A cost is that of all tries, and unknown as soon as one of theirs is. cost_usd is NULL where none is known; cost_unknown
-- counts requests that may have cost something nobody knows.
WITH asked AS NOT MATERIALIZED (
    SELECT
        started_at, application, model_served, rollout, generation, percent, user_hash, cost_usd, part,
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
        is_counted, CASE WHEN NOT is_counted THEN left_out END AS left_out, application, model_served AS model, rollout, generation, dealt, part,
        started_at::DATE AS day,
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
    -- three columns as one number: which of a handful of arms it is; grouping by their texts takes half as long again
    SELECT
        hash(rollout, generation, dealt) AS place, user_hash,
        count(cost_usd)::DOUBLE AS n,
        coalesce(sum(cost_usd), 0.0) AS x
    FROM asked
    WHERE is_counted AND dealt IN ('base', 'candidate')
    GROUP BY ALL
),
per_arm AS (
    SELECT
        place,
        count(*) AS users,
        count(*) FILTER (WHERE n > 0) AS priced_users,
        sum(n) AS n, sum(x) AS x, sum(x * x) AS xx, sum(x * n) AS xn, sum(n * n) AS nn
    FROM per_user
    GROUP BY place
),
named AS (
    SELECT
        facts.*,
        unnest([
            {'kind': 'total', 'name': NULL, 'of': NULL, 'generation': NULL, 'counted': true},
            {'kind': 'day', 'name': day::VARCHAR, 'of': NULL, 'generation': NULL, 'counted': true},
            {'kind': 'application', 'name': application, 'of': NULL, 'generation': NULL, 'counted': true},
            {'kind': 'model', 'name': model, 'of': NULL, 'generation': NULL, 'counted': true},
            {'kind': 'part', 'name': part, 'of': dealt, 'generation': NULL, 'counted': true},
            {'kind': 'dealt', 'name': dealt, 'of': rollout, 'generation': generation, 'counted': true},
            {'kind': 'unknown', 'name': reason, 'of': model, 'generation': NULL, 'counted': true},
            {'kind': 'left_out', 'name': left_out, 'of': NULL, 'generation': NULL, 'counted': false}
        ]) AS place
    FROM facts
),
sums AS (
    SELECT
        place.kind, place.name, place.of, place.generation,
        sum(requests)::BIGINT AS requests,
        sum(priced)::BIGINT AS priced,
        sum(cost_usd) AS cost_usd,
        sum(cost_unknown)::BIGINT AS cost_unknown,
        min(first_at) AS first_at,
        max(last_at) AS last_at,
        min(percent_low) AS percent_low,
        max(percent_high) AS percent_high
    FROM named
    WHERE is_counted = place.counted
        AND (place.kind <> 'unknown' OR place.name IS NOT NULL)
        AND (place.kind <> 'part' OR $asked['by'] IS NOT NULL)
    GROUP BY ALL
)
SELECT sums.*, per_arm.* EXCLUDE (place)
FROM sums
LEFT JOIN per_arm ON sums.kind = 'dealt' AND hash(sums.of, sums.generation, sums.name) = per_arm.place
ORDER BY sums.of NULLS LAST, sums.generation, sums.name NULLS LAST
