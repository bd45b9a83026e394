-- question: which of these numbers were not folded yet?
-- grain: one row per number: worker, boot, seq
-- parameters: {numbers}, a table of worker, boot and seq; kind
SELECT DISTINCT numbers.worker, numbers.boot, numbers.seq
FROM {numbers} AS numbers
ASOF LEFT JOIN (FROM evidence_seen WHERE kind = $kind) AS seen
    ON numbers.worker = seen.worker AND numbers.boot = seen.boot AND numbers.seq >= seen.first_seq
WHERE numbers.seq IS NOT NULL AND (seen.last_seq IS NULL OR numbers.seq > seen.last_seq)
