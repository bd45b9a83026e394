-- question: what are the sums over users of one check, under its cap?
-- grain: one row per arm that has users with n > 0: arm, cap, requests and events as they are, users, and of N and S the sums,
--   squares and products; y_*: of y in the place of x
-- parameters: step; {users}, a table of users with their figures; {n}, {x}, {y}, {events}: which of these
-- cap: requests of one user that count in full, the 95 % quantile of n over base users, at least 1
WITH users AS NOT MATERIALIZED (
    SELECT arm, ({n})::DOUBLE AS n, ({x})::DOUBLE AS x, ({y})::DOUBLE AS y, {events} AS events
    FROM {users}
    WHERE step_id = $step AND {n} > 0
),
capped AS (
    SELECT greatest(1.0, coalesce(quantile_cont(n, 0.95), 1.0)) AS cap FROM users WHERE arm = 'base'
),
weighed AS NOT MATERIALIZED (
    SELECT
        arm, cap, n AS requests, events,
        least(1.0, cap / n) * n AS n, least(1.0, cap / n) * x AS x, least(1.0, cap / n) * y AS y
    FROM users CROSS JOIN capped
)
SELECT
    arm,
    max(cap) AS cap,
    sum(requests)::BIGINT AS requests,
    sum(events)::BIGINT AS events,
    count(*) AS users,
    sum(n) AS n, sum(x) AS x, sum(x * x) AS xx, sum(x * n) AS xn, sum(n * n) AS nn,
    sum(y) AS y_x, sum(y * y) AS y_xx, sum(y * n) AS y_xn
FROM weighed
GROUP BY arm
