-- question: which requests of a worker's boot are neither in the lake nor in the journal?
-- grain: one row per gap: worker, boot, first_seq, last_seq (both inclusive)
-- parameters: none; reads the views `records` (worker, boot, seq), `journal` (worker, boot, seq), `gone` (worker, boot, seq:
-- the first and last of each range that was let go; what is between them counts as a gap here) and `settled` (worker, boot,
-- seq: up to where a host says that it put everything into the lake)
WITH present AS (
    SELECT worker, boot, seq FROM records
    UNION
    SELECT worker, boot, seq FROM journal
    UNION
    SELECT worker, boot, seq FROM gone
),
neighbours AS (
    SELECT worker, boot, seq, lag(seq, 1, 0) OVER (PARTITION BY worker, boot ORDER BY seq) AS previous
    FROM present
),
last_present AS (
    SELECT worker, boot, max(seq) AS seq FROM present GROUP BY worker, boot
)
SELECT worker, boot, previous + 1 AS first_seq, seq - 1 AS last_seq
FROM neighbours
WHERE seq - previous > 1
UNION ALL
SELECT worker, boot, coalesce(last_present.seq, 0) + 1 AS first_seq, settled.seq AS last_seq
FROM settled
LEFT JOIN last_present USING (worker, boot)
WHERE settled.seq > coalesce(last_present.seq, 0)
ORDER BY worker, boot, first_seq
