-- question: how many users failed in a step, and in its present hour, of what is added up?
-- grain: one row per kind and arm: kind, arm, users, of_hour
-- parameters: step; hour_at, when the present hour began (microseconds)
SELECT kind, arm, count(*) AS users, count(*) FILTER (WHERE last_at >= make_timestamp($hour_at)) AS of_hour
FROM evidence_failure
WHERE step_id = $step
GROUP BY kind, arm
