-- question: which pieces of feedback are verdicts?
-- grain: one row per thumb or rating: feedback_id, received_at, application, request_id, response_id, kind (`thumb`, `rating`),
--   score in quarters: a thumb 4 or 0, a rating 0 to 4
-- parameters: {rows}, pieces of feedback
SELECT
    feedback_id, received_at, application, request_id, response_id,
    CASE WHEN thumb IS NOT NULL THEN 'thumb' ELSE 'rating' END AS kind,
    CASE thumb WHEN 'up' THEN 4 WHEN 'down' THEN 0 ELSE rating - 1 END::BIGINT AS score
FROM {rows}
WHERE thumb IS NOT NULL OR rating IS NOT NULL
