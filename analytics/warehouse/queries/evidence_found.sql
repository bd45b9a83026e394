-- question: which verdicts that wait are about these gate rows?
-- grain: one row per verdict and gate row that it names: of the row request_id, application, started_at, step_id, arm, user_hash,
--   day, is_ok; of the verdict feedback_id, received_at, said_by (the application), kind, score
-- parameters: {rows}, gate rows; {verdicts}, verdicts
SELECT rows.request_id, rows.application, rows.started_at, step_id, arm, user_hash, day, is_ok,
    feedback_id, received_at, verdicts.application AS said_by, kind, score
FROM {rows} AS rows JOIN {verdicts} AS verdicts ON rows.request_id = verdicts.request_id
UNION ALL
SELECT rows.request_id, rows.application, rows.started_at, step_id, arm, user_hash, day, is_ok,
    feedback_id, received_at, verdicts.application, kind, score
FROM {rows} AS rows JOIN {verdicts} AS verdicts ON rows.response_id = verdicts.response_id
WHERE verdicts.request_id IS NULL
