-- question: which feedback is there, and which request does each piece mean?
-- grain: one row per piece of feedback that can mean one request: request_id (perhaps of none that is in the lake),
--   feedback_id, received_at, application (whose key sent it), thumb, rating, signal
-- parameters: none; reads the views `requests` (request_id, response_id) and `feedback`; it is the view `pieces`
-- Whether a piece counts is for the reader, who has the request at hand: the application is the same, it came within 48
-- hours, and it is the newest of its kind, as `feedback.sql` says. So it need not be known of all requests of the lake.
WITH named AS (
    SELECT feedback_id, min(requests.request_id) AS request_id
    FROM requests JOIN feedback ON requests.response_id = feedback.response_id
    WHERE feedback.request_id IS NULL
    GROUP BY feedback_id
    HAVING count(DISTINCT requests.request_id) = 1
)
SELECT request_id, feedback_id, received_at, application, thumb, rating, signal
FROM feedback
WHERE request_id IS NOT NULL
UNION ALL
SELECT named.request_id, feedback_id, received_at, application, thumb, rating, signal
FROM feedback JOIN named USING (feedback_id)
