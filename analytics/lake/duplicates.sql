-- question: how many rows of the lake are one too many?
-- grain: one row: surplus rows by request_id, surplus rows by (worker, boot, seq)
-- parameters: none; reads the view `records` (request_id, worker, boot, seq)
SELECT
    count(*) - count(DISTINCT request_id) AS by_request_id,
    (SELECT coalesce(sum(copies - 1), 0)::BIGINT
     FROM (SELECT count(*) AS copies FROM records GROUP BY worker, boot, seq)) AS by_seq
FROM records
