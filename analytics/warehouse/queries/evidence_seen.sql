-- question: which numbers were folded, with these rows?
-- grain: one row per run of numbers without a hole: worker, boot, first_seq, last_seq; of the boots of these rows alone
-- parameters: {rows}, the name of a table of rows; kind
WITH runs AS (
    SELECT worker, boot, seq AS first_seq, seq AS last_seq FROM {rows} WHERE seq IS NOT NULL
    UNION ALL
    SELECT seen.worker, seen.boot, first_seq, last_seq
    FROM evidence_seen AS seen SEMI JOIN {rows} AS rows ON seen.worker = rows.worker AND seen.boot = rows.boot
    WHERE kind = $kind
),
reached AS (
    SELECT
        *,
        max(last_seq) OVER (
            PARTITION BY worker, boot ORDER BY first_seq, last_seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS before
    FROM runs
),
numbered AS (
    SELECT
        *,
        count(*) FILTER (WHERE before IS NULL OR first_seq > before + 1)
            OVER (PARTITION BY worker, boot ORDER BY first_seq, last_seq) AS run
    FROM reached
)
SELECT worker, boot, min(first_seq) AS first_seq, max(last_seq) AS last_seq
FROM numbered
GROUP BY worker, boot, run
