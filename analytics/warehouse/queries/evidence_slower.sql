-- question: how long did base's requests wait, in steps of a twentieth of a doubling of Q0?
-- grain: one row per step j that any request has: j, and the sum of its requests' weights under the cap; j is the largest for
--   which the wait is above 2^(j/20)·Q0, from -21 (below all) to 20
-- parameters: step, cap; {rows}, gate rows; {n}, {wait}, the check's columns there; q0
WITH users AS (
    SELECT user_hash, least(1.0, $cap / {n}) AS weight FROM evidence_user
    WHERE step_id = $step AND arm = 'base' AND {n} > 0
)
SELECT
    CASE
        WHEN {wait} <= 0 THEN -21
        WHEN isinf({wait}) THEN 20
        ELSE greatest(-21, least(20, ceil(20 * log2({wait} / $q0)) - 1))
    END::INTEGER AS j,
    sum(weight) AS weight
FROM {rows} AS rows JOIN users USING (user_hash)
WHERE arm = 'base' AND {n}
GROUP BY j
