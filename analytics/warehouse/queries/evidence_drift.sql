-- question: how does what users had gained by a midnight lie to what they gained since, in one check?
-- grain: one row per arm: arm, weight (sum of N now), before, since, product: sums over users of a², (b - a)², a·(b - a), with
--   a = S - R·N by that midnight, under the cap of then, and b the same now; R is the arm's rate now
-- parameters: step; midnight, the first day that does not count; {n}, {x}: a user's figures
WITH today AS MATERIALIZED (
    SELECT arm, user_hash, ({n})::DOUBLE AS n, ({x})::DOUBLE AS x FROM evidence_user WHERE step_id = $step AND {n} > 0
),
that_day AS MATERIALIZED (
    SELECT arm, user_hash, sum({n})::DOUBLE AS n, sum({x})::DOUBLE AS x
    FROM evidence_user_day
    WHERE step_id = $step AND day < $midnight
    GROUP BY arm, user_hash
    HAVING sum({n}) > 0
),
caps AS (
    SELECT
        (SELECT greatest(1.0, coalesce(quantile_cont(n, 0.95), 1.0)) FROM today WHERE arm = 'base') AS cap_now,
        (SELECT greatest(1.0, coalesce(quantile_cont(n, 0.95), 1.0)) FROM that_day WHERE arm = 'base') AS cap_then
),
weighed AS (
    SELECT
        arm,
        least(1.0, cap_now / today.n) * today.n AS n,
        least(1.0, cap_now / today.n) * today.x AS x,
        coalesce(least(1.0, cap_then / nullif(that_day.n, 0)) * that_day.n, 0) AS n_then,
        coalesce(least(1.0, cap_then / nullif(that_day.n, 0)) * that_day.x, 0) AS x_then
    FROM today LEFT JOIN that_day USING (arm, user_hash) CROSS JOIN caps
),
rates AS (SELECT arm, sum(x) / sum(n) AS rate, sum(n) AS weight FROM weighed GROUP BY arm),
excesses AS (
    SELECT arm, weight, x_then - rate * n_then AS a, x - rate * n AS b FROM weighed JOIN rates USING (arm)
)
SELECT arm, max(weight) AS weight, sum(a * a) AS before, sum((b - a) * (b - a)) AS since, sum(a * (b - a)) AS product
FROM excesses
GROUP BY arm
