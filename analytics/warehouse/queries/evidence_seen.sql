-- question: which numbers were folded, with these?
-- grain: one row per run of numbers without a hole: worker, boot, first_seq, last_seq; of the boots of these numbers alone
-- parameters: {numbers}, a table of worker, boot and seq, each once; kind
WITH islands AS (
    SELECT worker, boot, seq, seq - row_number() OVER (PARTITION BY worker, boot ORDER BY seq) AS island
    FROM {numbers}
    WHERE seq IS NOT NULL
),
runs AS (
    SELECT worker, boot, min(seq) AS first_seq, max(seq) AS last_seq FROM islands GROUP BY worker, boot, island
    UNION ALL
    SELECT seen.worker, seen.boot, first_seq, last_seq
    FROM evidence_seen AS seen SEMI JOIN {numbers} AS numbers ON seen.worker = numbers.worker AND seen.boot = numbers.boot
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
