-- question: what do verdicts that count from now on, or no more, add to each user's sums of each day?
-- grain: one row per step, arm, user and day: satisfaction in quarters, the net score in halves
-- in the order of days, as `evidence_gained.sql`
-- parameters: {changes}, as `evidence_newer.sql` gives them; reads evidence_step
-- satisfaction is of the kind that the step counts; the rate of feedback and the net score of verdicts of either kind
SELECT
    step_id, arm, user_hash, day,
    coalesce(sum(sign) FILTER (WHERE kind = rating), 0)::BIGINT AS satisfaction_n,
    coalesce(sum(sign * (4 - score)) FILTER (WHERE kind = rating), 0)::BIGINT AS satisfaction_x,
    coalesce(sum(sign) FILTER (WHERE kind = rating AND score <= 2), 0)::BIGINT AS satisfaction_e,
    coalesce(sum(sign) FILTER (WHERE is_ok), 0)::BIGINT AS feedback_x,
    coalesce(sum(sign * (score - 2)) FILTER (WHERE is_ok), 0)::BIGINT AS net_x
FROM {changes} AS changes JOIN evidence_step AS step ON changes.step_id = step.id
GROUP BY step_id, arm, user_hash, day
ORDER BY day
