-- question: what do gate rows add to each user's sums of each day?
-- grain: one row per step, arm, user and day
-- in the order of days, so that those lie together, and a fold reads those of its rows alone
-- parameters: {sums}, the measures that rows have, added up; {rows}, as `evidence_gate.sql` gives it
SELECT step_id, arm, user_hash, day, min(started_at) AS first_at, max(started_at) AS last_at, {sums}
FROM {rows}
GROUP BY step_id, arm, user_hash, day
ORDER BY day
