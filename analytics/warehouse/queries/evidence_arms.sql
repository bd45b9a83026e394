-- question: how many gate rows and users has each arm of a step, and what is strange about them?
-- grain: one row per arm that has any: arm, requests, crossed, unclosed, fallbacks, costed, uncosted, answers, streamed, timed, first_tokens, net (sum of scores),
--   last_at (microseconds), users (at their first request), crossed_users (seen in both arms; the same in both rows)
-- parameters: step
WITH known AS (FROM evidence_user WHERE step_id = $step),
crossing AS (
    SELECT base.user_hash, base.first_at <= candidate.first_at AS is_base
    FROM known AS base JOIN known AS candidate
        ON base.user_hash = candidate.user_hash AND base.arm = 'base' AND candidate.arm = 'candidate'
)
SELECT
    arm,
    sum(gate_n)::BIGINT AS requests,
    sum(crossed_n)::BIGINT AS crossed,
    sum(unclosed_n)::BIGINT AS unclosed,
    sum(fallback_n)::BIGINT AS fallbacks,
    sum(cost_n)::BIGINT AS costed,
    sum(uncosted_n)::BIGINT AS uncosted,
    sum(feedback_n)::BIGINT AS answers,
    sum(streamed_n)::BIGINT AS streamed,
    sum(timed_n)::BIGINT AS timed,
    sum(first_n)::BIGINT AS first_tokens,
    sum(net_x)::DOUBLE / 2 AS net,
    epoch_us(max(last_at)) AS last_at,
    count(*) - (SELECT count(*) FROM crossing WHERE is_base = (arm <> 'base')) AS users,
    (SELECT count(*) FROM crossing) AS crossed_users
FROM known
GROUP BY arm
