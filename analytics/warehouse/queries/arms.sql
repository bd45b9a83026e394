-- question: which requests are an arm's, and which of them count?
-- grain: one row per request that was assigned to an arm: its columns; arm (`base` or `candidate`; where the report is
--   divided, `=` and the request's part behind it, if it has one); is_split (the split placed its user); is_counted;
--   failed (1, 0, or NULL where that is no question for a model); model_of_arm (the model that answered, where the arm
--   itself did)
-- parameters: asked, as in `narrowed.sql`, with as_treated: true for the arm that served, false for the one assigned
-- it is the macro `arms(asked)`
SELECT
    * EXCLUDE (arm_of),
    CASE WHEN asked['by'] IS NULL THEN arm_of ELSE arm_of || coalesce('=' || part, '') END AS arm,
    -- who has a bucket has a user_hash; that column is the widest, and not read where it need not be
    bucket IS NOT NULL AND (reason IN ('split', 'stale') OR (asked['forced'] AND is_forced)) AS is_split,
    is_wanted AND is_split AS is_counted,
    CASE
        WHEN (fallback_reason IS NOT NULL AND NOT asked['as_treated']) OR error_class = 'circuit_open'
            OR outcome IN ('upstream_error', 'timeout', 'malformed', 'interrupted') THEN 1
        WHEN outcome = 'ok' THEN 0
    END AS failed,
    CASE WHEN arm_served = arm_of THEN model_served END AS model_of_arm
FROM (
    SELECT *, CASE WHEN asked['as_treated'] THEN arm_served ELSE arm_assigned END AS arm_of
    FROM narrowed(asked)
    WHERE arm_assigned IS NOT NULL
)
WHERE arm_of IS NOT NULL
