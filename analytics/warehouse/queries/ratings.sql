-- question: what did users say of a request in the end?
-- grain: one row per request that has a thumb or a rating; the newest counts
-- parameters: none; reads the view `judged`; it is the view `ratings`
SELECT request_id, received_at, thumb, rating, (coalesce(thumb = 'up', rating >= 4))::INTEGER AS positive
FROM judged
WHERE status = 'joined' AND (thumb IS NOT NULL OR rating IS NOT NULL)
