-- question: how long did candidate's requests wait, in steps of a twentieth of a doubling of Q0?
-- grain: one row per step j that any request has, the largest for which the wait is above 2^(j/20)·Q0, from -21 (below all) to
--   20: what its requests add, over users, to the sums of 1{wait > 2^(k/20)·Q0} for each k up to j: x, xx, xn; and of all users
--   the same in each row: users, n, nn
-- parameters: cap; {rows}, gate rows; {n}, {wait}, the check's columns there; q0
-- a user's requests come from the longest wait down, so that each adds to the square of what was there before it
WITH counted AS (
    SELECT
        user_hash,
        CASE
            WHEN {wait} <= 0 THEN -21
            WHEN isinf({wait}) THEN 20
            ELSE greatest(-21, least(20, ceil(20 * log2({wait} / $q0)) - 1))
        END::INTEGER AS j,
        count(*)::DOUBLE AS requests
    FROM {rows} AS rows
    WHERE arm = 'candidate' AND {n}
    GROUP BY user_hash, j
),
users AS (
    SELECT user_hash, least(1.0, $cap / sum(requests)) AS weight, sum(requests) AS n FROM counted GROUP BY user_hash
),
reached AS (
    SELECT *, sum(requests) OVER (PARTITION BY user_hash ORDER BY j DESC) AS beyond FROM counted
),
whole AS (SELECT count(*) AS users, sum(weight * n) AS n, sum(weight * n * weight * n) AS nn FROM users)
SELECT
    j,
    sum(weight * requests) AS x,
    sum(weight * weight * (beyond * beyond - (beyond - requests) * (beyond - requests))) AS xx,
    sum(weight * requests * weight * users.n) AS xn,
    any_value(whole.users) AS users, any_value(whole.n) AS n, any_value(whole.nn) AS nn
FROM reached JOIN users USING (user_hash) CROSS JOIN whole
GROUP BY j
