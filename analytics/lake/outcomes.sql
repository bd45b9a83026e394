-- question: how did the requests in the lake end?
-- grain: one row per outcome: outcome, records
-- parameters: none; reads the view `records` (outcome)
SELECT outcome, count(*) AS records
FROM records
GROUP BY outcome
ORDER BY records DESC, outcome
