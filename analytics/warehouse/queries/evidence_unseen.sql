-- question: has a file rows that were not folded yet?
-- grain: one row: is_new
-- parameters: {rows}, the question that gives the file's rows; kind
-- rows without a number cannot be told from others: they are new
SELECT count(*) > 0 AS is_new
FROM (
    SELECT worker, boot, min(seq) AS first_seq, max(seq) AS last_seq, count(*) > count(seq) AS is_nameless
    FROM ({rows})
    GROUP BY worker, boot
) AS ranges
WHERE is_nameless OR NOT EXISTS (
    FROM evidence_seen AS seen
    WHERE seen.kind = $kind AND seen.worker = ranges.worker AND seen.boot = ranges.boot
        AND seen.first_seq <= ranges.first_seq AND seen.last_seq >= ranges.last_seq
)
