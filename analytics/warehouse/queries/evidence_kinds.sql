-- question: how many thumbs, and how many ratings, had base's requests of some time?
-- grain: one row: thumbs, ratings; of several verdicts on a request the newest
-- parameters: rollout, generation, since and until (microseconds); {said}, verdicts as `evidence_verdicts.sql` gives them
-- reads the view `requests`; what is named by the answer's id counts where that is of one request
WITH base AS (
    SELECT request_id, response_id, application, started_at FROM requests
    WHERE rollout = $rollout AND generation = $generation
        AND started_at >= make_timestamp($since::BIGINT) AND started_at < make_timestamp($until::BIGINT)
        AND arm_assigned = 'base' AND purpose = 'live'
        AND bucket IS NOT NULL AND reason IN ('split', 'stale') AND user_hash IS NOT NULL
),
said AS ({said}),
found AS (
    SELECT said.*, base.request_id AS about, base.application AS own, started_at
    FROM said JOIN base ON said.request_id = base.request_id
    UNION ALL
    SELECT said.*, base.request_id, base.application, started_at
    FROM said JOIN base ON said.response_id = base.response_id
    WHERE said.request_id IS NULL
    QUALIFY count(*) OVER (PARTITION BY feedback_id) = 1
),
newest AS (
    SELECT kind FROM found
    WHERE application IS NOT DISTINCT FROM own AND received_at <= started_at + INTERVAL 48 HOUR
    QUALIFY row_number() OVER (PARTITION BY about ORDER BY received_at DESC, feedback_id DESC) = 1
)
SELECT count(*) FILTER (WHERE kind = 'thumb') AS thumbs, count(*) FILTER (WHERE kind = 'rating') AS ratings FROM newest
