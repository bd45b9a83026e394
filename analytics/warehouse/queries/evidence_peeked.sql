-- question: who failed in some requests?
-- grain: one row per request that failed: rollout, generation, step, percent, worker, boot, seq, arm, user_hash, ended_at
--   (microseconds), errors_x, is_client_error; a user of a row that is in two files is there twice
-- parameters: {rows}, requests; the words of `gate_rows.py`: {is_gate_row}, {failed}, {ended_at}
-- joins nothing: it is asked of the newest files again and again, and its plan costs more than their few rows
SELECT
    rollout, generation, step, percent, worker, boot, seq, arm_assigned AS arm, user_hash,
    epoch_us({ended_at}) AS ended_at, {failed} IS TRUE AS errors_x, outcome = 'client_error' AS is_client_error
FROM ({rows})
WHERE {is_gate_row} AND ({failed} OR outcome = 'client_error')
