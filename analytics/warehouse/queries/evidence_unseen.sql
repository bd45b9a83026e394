-- question: how do these numbers lie to those that were folded?
-- grain: one row: is_seen (each of them was folded), is_apart (none can have been)
-- parameters: {numbers}, a table of worker, boot and seq; kind
-- rows without a number cannot be told from others: they are new
WITH ranges AS (
    SELECT worker, boot, min(seq) AS first_seq, max(seq) AS last_seq, count(*) > count(seq) AS is_nameless
    FROM {numbers}
    GROUP BY worker, boot
),
placed AS (
    SELECT
        NOT is_nameless AND bool_or(seen.first_seq <= ranges.first_seq AND seen.last_seq >= ranges.last_seq) IS TRUE AS within_seen,
        bool_or(seen.first_seq <= ranges.last_seq AND seen.last_seq >= ranges.first_seq) IS TRUE AS touches
    FROM ranges LEFT JOIN evidence_seen AS seen
        ON seen.kind = $kind AND seen.worker = ranges.worker AND seen.boot = ranges.boot
    GROUP BY ranges.worker, ranges.boot, is_nameless
)
SELECT coalesce(bool_and(within_seen), true) AS is_seen, coalesce(NOT bool_or(touches), true) AS is_apart FROM placed
