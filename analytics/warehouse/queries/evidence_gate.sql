-- question: which rows are gate rows of a step that is followed, and what does each count for?
-- grain: one row per gate row: step_id, arm, user_hash, day, slot, ids, is_ok; for each check whether it enters (`*_n`), is bad
--   (`*_x`), and is beyond the limit too (`*_y`); cost in picodollars
-- parameters: {rows}, a table or view of requests; the words of `gate_rows.py`: {is_gate_row}, {failed}, {ended_at}
-- reads the table evidence_step
-- a wait that nobody measured is infinite for a timeout, and else unknown; a request of which only the whole time is known
--   waited for its first token at least until it was longer than Q0
WITH placed AS (
    SELECT
        step.* EXCLUDE (rollout, generation, step, percent, started_at),
        fresh.*,
        outcome = 'ok' AS is_ok,
        outcome IN ('client_error', 'rejected', 'shed') AS is_refused,
        {failed} AS failed,
        coalesce(latency_ms, CASE WHEN outcome = 'timeout' THEN 'infinity'::DOUBLE END) AS waited_ms
    FROM {rows} AS fresh JOIN evidence_step AS step
        ON fresh.rollout = step.rollout AND fresh.generation = step.generation AND fresh.step = step.step
            AND fresh.percent = step.percent
    WHERE {is_gate_row}
),
waited AS (
    SELECT
        *,
        CASE WHEN stream THEN coalesce(ttft_ms, waited_ms) END AS first_ms,
        NOT is_refused AND waited_ms > p50_q0 AS p50_x,
        NOT is_refused AND waited_ms > p99_q0 AS p99_x
    FROM placed
)
SELECT
    id AS step_id, arm_assigned AS arm, user_hash, request_id, response_id, application, started_at,
    worker, boot, seq, is_ok, waited_ms, first_ms,
    epoch_us(started_at) // day_us AS day,
    date_trunc('second', started_at) AS slot,
    {ended_at} AS ended_at,
    outcome = 'client_error' AS is_client_error,
    true AS gate_n,
    arm_served <> arm_assigned AND fallback_reason IS NULL AS crossed_n,
    outcome = 'interrupted' AS unclosed_n,
    fallback_reason IS NOT NULL AS fallback_n,
    failed IS NOT NULL AS errors_n,
    failed AS errors_x,
    p50_x OR (is_ok AND latency_ms IS NOT NULL AND p50_q0 IS NOT NULL) AS p50_n,
    p50_x,
    NOT is_refused AND waited_ms > p50_limit AS p50_y,
    p99_x OR (is_ok AND latency_ms IS NOT NULL AND p99_q0 IS NOT NULL) AS p99_n,
    p99_x,
    NOT is_refused AND waited_ms > p99_limit AS p99_y,
    NOT is_refused AND first_ms > ttft_q0 OR (is_ok AND stream AND ttft_ms IS NOT NULL AND ttft_q0 IS NOT NULL) AS ttft_n,
    NOT is_refused AND first_ms > ttft_q0 AS ttft_x,
    NOT is_refused AND first_ms > ttft_limit AS ttft_y,
    is_ok AS feedback_n,
    is_ok AND latency_ms IS NOT NULL AS timed_n,
    is_ok AND stream AS streamed_n,
    is_ok AND stream AND ttft_ms IS NOT NULL AS first_n,
    cost_usd IS NOT NULL AS cost_n,
    round(cost_usd * 1e12)::HUGEINT AS cost_x,
    cost_usd IS NULL AND NOT is_refused AS uncosted_n
FROM waited
