-- question: what did each user's requests of each hour come to?
-- grain: one row per hour (counted since 1970) and user: of each check how many requests enter, are bad, and are beyond the limit
-- gate_n: all of them
-- parameters: {rows}, gate rows as `evidence_gate.sql` gives them; since and until (microseconds); hour (its microseconds)
SELECT
    epoch_us(started_at) // $hour AS hour, user_hash, count(*)::INTEGER AS gate_n,
    (count(*) FILTER (WHERE errors_n))::INTEGER AS errors_n, (count(*) FILTER (WHERE errors_x))::INTEGER AS errors_x,
    (count(*) FILTER (WHERE p50_n))::INTEGER AS p50_n,
    (count(*) FILTER (WHERE p50_x))::INTEGER AS p50_x,
    (count(*) FILTER (WHERE p50_y))::INTEGER AS p50_y,
    (count(*) FILTER (WHERE p99_n))::INTEGER AS p99_n,
    (count(*) FILTER (WHERE p99_x))::INTEGER AS p99_x,
    (count(*) FILTER (WHERE p99_y))::INTEGER AS p99_y,
    (count(*) FILTER (WHERE ttft_n))::INTEGER AS ttft_n,
    (count(*) FILTER (WHERE ttft_x))::INTEGER AS ttft_x,
    (count(*) FILTER (WHERE ttft_y))::INTEGER AS ttft_y
FROM {rows}
WHERE started_at >= make_timestamp($since::BIGINT) AND started_at < make_timestamp($until::BIGINT)
GROUP BY hour, user_hash
