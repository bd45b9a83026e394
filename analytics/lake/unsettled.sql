-- question: which requests does the journal know that the lake does not have yet?
-- grain: one row: closed and waiting to be shipped, opened and not closed
-- parameters: none; reads the views `records` and `journal` (worker, boot, seq, is_closed; a request may stand in it twice)
SELECT
    count(*) FILTER (WHERE is_closed) AS waiting,
    count(*) FILTER (WHERE NOT is_closed) AS open
FROM (SELECT worker, boot, seq, bool_or(is_closed) AS is_closed FROM journal GROUP BY worker, boot, seq) AS known
ANTI JOIN records USING (worker, boot, seq)
