-- question: what did each user say in each hour?
-- grain: one row per hour (counted since 1970) in which a verdict was received, and user: satisfaction_n, _x in quarters, _e (bad)
-- parameters: {found}, verdicts with their gate rows as `evidence_found.sql` gives them; since and until (microseconds), hour (its
--   microseconds), rating
-- a verdict counts if the request's own application said it within 48 hours; of several of one hour the newest. By the hour in
--   which it was received, not its request's: so an hour is whole as soon as it is over
WITH named AS (
    SELECT * FROM ({found})
    WHERE received_at >= make_timestamp($since::BIGINT) AND received_at < make_timestamp($until::BIGINT)
    QUALIFY count(DISTINCT request_id) OVER (PARTITION BY feedback_id) = 1
),
newest AS (
    SELECT epoch_us(received_at) // $hour AS hour, user_hash, kind, score FROM named
    WHERE said_by IS NOT DISTINCT FROM application AND received_at <= started_at + INTERVAL 48 HOUR
    QUALIFY row_number() OVER (
        PARTITION BY epoch_us(received_at) // $hour, request_id ORDER BY received_at DESC, feedback_id DESC
    ) = 1
)
SELECT
    hour, user_hash, count(*) AS satisfaction_n, sum(4 - score)::BIGINT AS satisfaction_x,
    count(*) FILTER (WHERE score <= 2) AS satisfaction_e
FROM newest
WHERE kind = $rating
GROUP BY hour, user_hash
