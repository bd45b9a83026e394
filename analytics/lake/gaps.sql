-- question: which requests of a worker's boot are neither in the lake nor in the journal?
-- grain: one row per gap: worker, boot, first_seq, last_seq (both inclusive)
-- parameters: none; reads the views `records` (worker, boot, seq) and `journal` (worker, boot, seq)
WITH present AS (
    SELECT worker, boot, seq FROM records
    UNION
    SELECT worker, boot, seq FROM journal
),
neighbours AS (
    SELECT worker, boot, seq, lag(seq, 1, 0) OVER (PARTITION BY worker, boot ORDER BY seq) AS previous
    FROM present
)
SELECT worker, boot, previous + 1 AS first_seq, seq - 1 AS last_seq
FROM neighbours
WHERE seq - previous > 1
ORDER BY worker, boot, first_seq
