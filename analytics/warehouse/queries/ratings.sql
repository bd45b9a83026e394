-- question: what did users say of a request in the end?
-- grain: one row per request that has a thumb or a rating; the newest counts
-- parameters: none; reads the views `requests` and `feedback`; it is the view `ratings`
SELECT request_id, received_at, thumb, rating, (coalesce(thumb = 'up', rating >= 4))::INTEGER AS positive
FROM feedback
JOIN requests USING (request_id)
WHERE feedback.application = requests.application AND (thumb IS NOT NULL OR rating IS NOT NULL)
    AND received_at <= started_at + INTERVAL 48 HOUR
QUALIFY row_number() OVER (PARTITION BY request_id ORDER BY received_at DESC, feedback_id DESC) = 1
