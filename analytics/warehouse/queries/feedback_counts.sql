-- question: of how much feedback has each application which fate?
-- grain: one row per application and status: application, status, pieces
-- parameters: none; reads the view `judged`
SELECT application, status, count(*) AS pieces
FROM judged
GROUP BY application, status
ORDER BY application, status
