-- question: how many users failed in a step, and in its present hour?
-- grain: one row per kind and arm: kind, arm, users, of_hour
-- parameters: step; hour_at, when the present hour began (microseconds)
-- reads what is added up, evidence_failure, and the few of whom only files that are not folded yet tell, peeked_failure
WITH known AS (FROM evidence_failure WHERE step_id = $step),
new AS (
    SELECT kind, arm, user_hash, max(last_at) AS last_at FROM peeked_failure WHERE step_id = $step GROUP BY ALL
),
counted AS (
    SELECT kind, arm, count(*) AS users, count(*) FILTER (WHERE last_at >= make_timestamp($hour_at)) AS of_hour
    FROM known
    GROUP BY kind, arm
    UNION ALL
    SELECT
        new.kind, new.arm, count(*) FILTER (WHERE known.user_hash IS NULL),
        count(*) FILTER (
            WHERE new.last_at >= make_timestamp($hour_at)
                AND (known.last_at IS NULL OR known.last_at < make_timestamp($hour_at))
        )
    FROM new LEFT JOIN known ON new.kind = known.kind AND new.arm = known.arm AND new.user_hash = known.user_hash
    GROUP BY new.kind, new.arm
)
SELECT kind, arm, sum(users)::BIGINT AS users, sum(of_hour)::BIGINT AS of_hour FROM counted GROUP BY kind, arm
