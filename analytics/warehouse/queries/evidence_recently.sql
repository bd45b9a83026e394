-- question: how many gate rows had each arm lately?
-- grain: one row per arm that had any: arm, requests
-- parameters: step; since (microseconds)
SELECT arm, sum(requests)::BIGINT AS requests
FROM evidence_slot
WHERE step_id = $step AND slot >= make_timestamp($since)
GROUP BY arm
