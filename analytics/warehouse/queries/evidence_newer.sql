-- question: which verdicts count from now on, and which no more?
-- grain: one row per request whose verdict is new, `sign` 1, and one per request whose former verdict is superseded, `sign` -1
-- parameters: {found}, verdicts with their gate rows; reads evidence_rated
-- a verdict counts if the request's own application said it within 48 hours after the request began; of several the newest
WITH newest AS (
    SELECT * FROM {found}
    WHERE said_by IS NOT DISTINCT FROM application AND received_at <= started_at + INTERVAL 48 HOUR
    QUALIFY row_number() OVER (PARTITION BY step_id, request_id ORDER BY received_at DESC, feedback_id DESC) = 1
),
counting AS (
    SELECT newest.* FROM newest LEFT JOIN evidence_rated AS known
        ON known.request_id = newest.request_id AND known.step_id = newest.step_id
    WHERE known.request_id IS NULL OR (newest.received_at, newest.feedback_id) > (known.received_at, known.feedback_id)
)
SELECT request_id, step_id, arm, user_hash, day, is_ok, received_at, feedback_id, kind, score, 1 AS sign FROM counting
UNION ALL
SELECT known.*, -1 FROM evidence_rated AS known SEMI JOIN counting
    ON known.request_id = counting.request_id AND known.step_id = counting.step_id
