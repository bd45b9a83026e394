-- question: how do users like the answers of each arm, how many say so, and what do they do with them?
-- grain: one row per arm, base first, also for an arm without requests; where the report is divided, so for each part
--   (and for none: part NULL); sums is a list of sums over users, one for each figure that was observed
-- parameters: asked, as in `narrowed.sql` and `arms.sql`
-- reads the macro `arms` and the view `pieces`; of several thumbs or ratings of a request, and of several signals of one
-- kind, the newest counts
WITH counted AS NOT MATERIALIZED (
    SELECT arm, user_hash, request_id, application, started_at, outcome = 'ok' AS is_ok
    FROM arms($asked)
    WHERE is_counted
),
fitting AS MATERIALIZED (
    SELECT
        arm, user_hash, is_ok, request_id, received_at, feedback_id, thumb, rating, signal,
        CASE WHEN thumb IS NULL AND rating IS NULL THEN signal ELSE 'verdict' END AS kind
    FROM counted JOIN pieces USING (request_id)
    -- behind the join, so that it compares nothing but ids
    WHERE CASE WHEN pieces.application IS NOT DISTINCT FROM counted.application
        THEN received_at <= started_at + INTERVAL 48 HOUR END
        -- before it, as in `compare.sql`
        AND ($asked['since'] IS NULL OR received_at >= $asked['since']::TIMESTAMP - INTERVAL 1 DAY)
        AND ($asked['until'] IS NULL OR received_at < $asked['until']::TIMESTAMP + INTERVAL 3 DAY)
),
newest AS (
    SELECT * FROM fitting
    QUALIFY row_number() OVER (PARTITION BY request_id, kind ORDER BY received_at DESC, feedback_id DESC) = 1
),
heard AS MATERIALIZED (
    SELECT
        arm, user_hash, is_ok,
        max(thumb) FILTER (WHERE kind = 'verdict') AS thumb,
        max(rating) FILTER (WHERE kind = 'verdict' AND thumb IS NULL) AS stars,
        bool_or(signal = 'regenerated') IS TRUE AS regenerated,
        bool_or(signal = 'copied') IS TRUE AS copied,
        bool_or(signal = 'edited') IS TRUE AS edited
    FROM newest
    GROUP BY arm, user_hash, is_ok, request_id
),
said AS (
    SELECT
        arm, user_hash,
        count(thumb) AS thumbs, count(*) FILTER (WHERE thumb = 'up') AS thumbs_up,
        count(stars) AS ratings, sum(stars) AS stars, count(*) FILTER (WHERE stars >= 4) AS good_ratings,
        count(*) FILTER (WHERE is_ok AND (thumb IS NOT NULL OR stars IS NOT NULL)) AS rated_answers,
        count(*) FILTER (WHERE is_ok AND regenerated) AS regenerated,
        count(*) FILTER (WHERE is_ok AND copied) AS copied,
        count(*) FILTER (WHERE is_ok AND edited) AS edited
    FROM heard
    GROUP BY arm, user_hash
),
served AS (
    SELECT
        arm, user_hash, count(*) AS requests, count(*) FILTER (WHERE is_ok) AS answers,
        min(started_at) AS first_at, max(started_at) AS last_at
    FROM counted
    GROUP BY arm, user_hash
),
per_user AS MATERIALIZED (
    SELECT served.*, said.* EXCLUDE (arm, user_hash) FROM served LEFT JOIN said USING (arm, user_hash)
),
per_arm AS (
    SELECT
        arm, count(*) AS users, sum(requests)::BIGINT AS requests, sum(answers)::BIGINT AS answers,
        min(first_at) AS first_at, max(last_at) AS last_at
    FROM per_user
    GROUP BY arm
),
observed AS (
    SELECT arm, 'satisfaction' AS name, thumbs + ratings AS n, thumbs_up + good_ratings AS x FROM per_user
    UNION ALL
    SELECT arm, 'thumbs_up', thumbs, thumbs_up FROM per_user
    UNION ALL
    SELECT arm, 'stars', ratings, stars FROM per_user
    UNION ALL
    SELECT arm, 'response_rate', answers, coalesce(rated_answers, 0) FROM per_user
    UNION ALL
    SELECT arm, 'regenerated', answers, coalesce(regenerated, 0) FROM per_user
    UNION ALL
    SELECT arm, 'copied', answers, coalesce(copied, 0) FROM per_user
    UNION ALL
    SELECT arm, 'edited', answers, coalesce(edited, 0) FROM per_user
),
sums AS (
    SELECT arm, list({'name': name, 'users': users, 'n': n, 'x': x, 'xx': xx, 'xn': xn, 'nn': nn}) AS sums
    FROM (
        SELECT
            arm, name, count(*) AS users, sum(n)::DOUBLE AS n, sum(x)::DOUBLE AS x,
            sum(x::DOUBLE * x) AS xx, sum(x::DOUBLE * n) AS xn, sum(n::DOUBLE * n) AS nn
        FROM observed
        WHERE n > 0
        GROUP BY arm, name
    )
    GROUP BY arm
),
levels AS (
    SELECT arm, list({'stars': stars, 'requests': requests} ORDER BY stars) AS levels
    FROM (SELECT arm, stars, count(*) AS requests FROM heard WHERE stars IS NOT NULL GROUP BY arm, stars)
    GROUP BY arm
),
places AS (
    SELECT place, name, behind, name || behind AS arm
    FROM (VALUES (1, 'base'), (2, 'candidate')) AS arms(place, name)
    CROSS JOIN (SELECT DISTINCT arm[length(split_part(arm, '=', 1)) + 1:] AS behind FROM per_arm UNION SELECT '') AS behinds
)
SELECT
    places.name AS arm,
    CASE WHEN behind <> '' THEN behind[2:] END AS part,
    coalesce(per_arm.requests, 0) AS requests,
    coalesce(per_arm.users, 0) AS users,
    coalesce(per_arm.answers, 0) AS answers,
    per_arm.first_at,
    per_arm.last_at,
    levels.levels,
    sums.sums
FROM places
LEFT JOIN per_arm USING (arm)
LEFT JOIN levels USING (arm)
LEFT JOIN sums USING (arm)
ORDER BY part, places.place
