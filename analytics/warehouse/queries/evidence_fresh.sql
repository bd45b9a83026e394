-- question: which rows of some files were not folded yet?
-- grain: one row per row of the files, each id once: of doubles the settled one
-- parameters: {rows}, the question that gives the rows of the files; {key}, what tells them apart; {doubles}, which of two
--   counts; kind
SELECT * FROM (
    SELECT rows.*
    FROM ({rows}) AS rows
    ASOF LEFT JOIN (FROM evidence_seen WHERE kind = $kind) AS seen
        ON rows.worker = seen.worker AND rows.boot = seen.boot AND rows.seq >= seen.first_seq
    WHERE seen.last_seq IS NULL OR rows.seq > seen.last_seq
)
QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {doubles}) = 1
