-- question: which thumbs and ratings are there, and which request does each mean?
-- grain: one row per piece of feedback with a thumb or a rating that can mean one request: request_id (perhaps of none
--   that is in the lake), feedback_id, received_at, application (whose key sent it), positive (1 or 0)
-- parameters: none; reads the views `requests` (request_id, response_id) and `feedback`; it is the view `verdicts`
-- Whether a piece counts is for the reader, who has the request at hand: the application is the same, it came within 48
-- hours, and it is the newest, as `feedback.sql` says. So it need not be known of all requests of the lake.
WITH said AS NOT MATERIALIZED (
    SELECT
        feedback_id, received_at, application, request_id, response_id,
        (coalesce(thumb = 'up', rating >= 4))::INTEGER AS positive
    FROM feedback
    WHERE thumb IS NOT NULL OR rating IS NOT NULL
),
named AS (
    SELECT feedback_id, min(requests.request_id) AS request_id
    FROM requests JOIN said ON requests.response_id = said.response_id
    WHERE said.request_id IS NULL
    GROUP BY feedback_id
    HAVING count(DISTINCT requests.request_id) = 1
)
SELECT request_id, feedback_id, received_at, application, positive
FROM said
WHERE request_id IS NOT NULL
UNION ALL
SELECT named.request_id, feedback_id, received_at, application, positive
FROM said JOIN named USING (feedback_id)
