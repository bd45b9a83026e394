-- question: who failed in requests of the followed steps that are not added up yet?
-- grain: one row per gate row that failed: step_id, arm, user_hash, ended_at, errors_x, is_client_error
-- parameters: {gate}, gate rows as `evidence_gate.sql` gives them; kind; reads evidence_seen
-- a row that was folded from another file is left out; of one that is in two of these files each stands
SELECT step_id, arm, user_hash, ended_at, errors_x IS TRUE AS errors_x, is_client_error
FROM ({gate}) AS rows ANTI JOIN (FROM evidence_seen WHERE kind = $kind) AS seen
    ON rows.worker = seen.worker AND rows.boot = seen.boot AND rows.seq >= seen.first_seq AND rows.seq <= seen.last_seq
WHERE errors_x OR is_client_error
