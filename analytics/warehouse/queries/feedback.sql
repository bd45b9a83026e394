-- question: what became of each piece of feedback?
-- grain: one row per piece: feedback_id, received_at, application (whose key sent it), status, request_id (the request
--   that it is about; NULL where there is none or more than one), thumb, rating, signal
-- parameters: none; reads the views `requests` (request_id, response_id, application, started_at) and `feedback`;
--   it is the view `judged`
-- status, the first that holds:
--   unmatched   the request is not in the lake, or not yet
--   ambiguous   its response_id is that of several requests
--   foreign     the request is another application's
--   expired     it came more than 48 hours after the request
--   superseded  a newer piece says the same of the request: a verdict (thumb or rating), or the same signal alone
--   joined      it counts
WITH named AS (
    SELECT feedback_id, requests.request_id, requests.application, requests.started_at
    FROM requests JOIN feedback ON requests.request_id = feedback.request_id
    UNION ALL
    SELECT feedback_id, requests.request_id, requests.application, requests.started_at
    FROM requests JOIN feedback ON requests.response_id = feedback.response_id
),
found AS (
    SELECT
        feedback_id,
        count(DISTINCT request_id) AS requests,
        min(request_id) AS request_id,
        min(application) AS application,
        min(started_at) AS started_at
    FROM named
    GROUP BY feedback_id
),
placed AS (
    SELECT
        feedback.*,
        found.request_id AS found_id,
        CASE WHEN thumb IS NULL AND rating IS NULL THEN signal ELSE 'verdict' END AS kind,
        CASE
            WHEN found.feedback_id IS NULL THEN 'unmatched'
            WHEN found.requests > 1 THEN 'ambiguous'
            WHEN feedback.application IS DISTINCT FROM found.application THEN 'foreign'
            WHEN received_at > started_at + INTERVAL 48 HOUR THEN 'expired'
            ELSE 'joined'
        END AS fit
    FROM feedback LEFT JOIN found USING (feedback_id)
)
SELECT
    feedback_id,
    received_at,
    application,
    CASE
        WHEN fit = 'joined' AND row_number() OVER newest_first > 1 THEN 'superseded'
        ELSE fit
    END AS status,
    CASE WHEN fit <> 'ambiguous' THEN found_id END AS request_id,
    thumb,
    rating,
    signal
FROM placed
WINDOW newest_first AS (PARTITION BY fit, found_id, kind ORDER BY received_at DESC, feedback_id DESC)
