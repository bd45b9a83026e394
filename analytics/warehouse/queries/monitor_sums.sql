-- question: what are the sums over users of one check in each slot, under its cap?
-- grain: one row per slot that has users with n > 0, as `evidence_sums.sql` has one per arm
-- parameters: {cells}, users' hours with their figures; {n}, {x}, {y}, {events}: which of these; hours, how many a slot has; cap
--   (NULL: the 95 % quantile of n over users' slots, at least 1); shifts, to which slots beside its own each counts; cycle, after
--   how many slots they begin anew
WITH cells AS (
    SELECT
        hour // $hours AS slot, user_hash,
        sum({n})::DOUBLE AS n, sum({x})::DOUBLE AS x, sum({y})::DOUBLE AS y, sum({events})::BIGINT AS events
    FROM {cells}
    GROUP BY slot, user_hash
    HAVING sum({n}) > 0
),
capped AS (SELECT coalesce($cap::DOUBLE, greatest(1.0, quantile_cont(n, 0.95))) AS cap FROM cells),
placed AS (
    SELECT
        (slot + shift + $cycle) % $cycle AS slot, user_hash, cap, n AS requests, events,
        least(1.0, cap / n) * n AS n, least(1.0, cap / n) * x AS x, least(1.0, cap / n) * y AS y
    FROM cells CROSS JOIN capped CROSS JOIN (SELECT unnest($shifts::BIGINT[]) AS shift)
),
users AS (
    SELECT
        slot, user_hash, max(cap) AS cap, sum(requests) AS requests, sum(events) AS events,
        sum(n) AS n, sum(x) AS x, sum(y) AS y
    FROM placed
    GROUP BY slot, user_hash
)
SELECT
    slot,
    max(cap) AS cap,
    sum(requests)::BIGINT AS requests,
    sum(events)::BIGINT AS events,
    count(*) AS users,
    sum(n) AS n, sum(x) AS x, sum(x * x) AS xx, sum(x * n) AS xn, sum(n * n) AS nn,
    sum(y) AS y_x, sum(y * y) AS y_xx, sum(y * n) AS y_xn
FROM users
GROUP BY slot
ORDER BY slot
