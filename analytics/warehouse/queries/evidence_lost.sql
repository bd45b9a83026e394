-- question: of the numbers that were given out between a step's first and last row of each boot, how many have no row?
-- grain: one row: due, lost
-- parameters: step; {settled}, a table of worker, boot and seq: up to where a boot's requests must all be in the lake
WITH spans AS (
    SELECT worker, boot, first_seq, least(last_seq, settled.seq) AS last_seq
    FROM evidence_boot JOIN {settled} AS settled USING (worker, boot)
    WHERE step_id = $step AND settled.seq >= first_seq
),
found AS (
    SELECT sum(least(seen.last_seq, spans.last_seq) - greatest(seen.first_seq, spans.first_seq) + 1) AS numbers
    FROM spans JOIN evidence_seen AS seen
        ON seen.kind = 'incoming' AND seen.worker = spans.worker AND seen.boot = spans.boot
            AND seen.first_seq <= spans.last_seq AND seen.last_seq >= spans.first_seq
)
SELECT
    coalesce((SELECT sum(last_seq - first_seq + 1) FROM spans), 0)::BIGINT AS due,
    coalesce((SELECT sum(last_seq - first_seq + 1) FROM spans), 0)::BIGINT - coalesce((SELECT numbers FROM found), 0)::BIGINT
        AS lost
